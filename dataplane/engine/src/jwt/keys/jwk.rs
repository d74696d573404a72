//! One JSON Web Key (RFC 7517 section 4): whether it can verify signatures, and which.
//!
//! Only the public members that make the key are read; certificates, addresses of certificates and private members are
//! passed over. Nothing here shows a key.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::{Key, KeyKind, MAX_KID_BYTES};
use crate::jwt::{
    algorithm::{Algorithm, AlgorithmSet},
    mark::{Mark, digest},
};

/// Why a key is not used. No text holds any of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not a JSON object.
    #[error("it is not an object")]
    NotAnObject,
    /// `kid` is not a string of at most [`MAX_KID_BYTES`].
    #[error("its \"kid\" is not a string of at most {MAX_KID_BYTES} bytes")]
    Kid,
    /// Another key of the set has the same name and algorithm.
    #[error("another key has the same \"kid\" and algorithm")]
    AmbiguousKid,
    /// `kty` is not a public key's that is known here.
    #[error("its \"kty\" is not RSA, EC or OKP")]
    Type,
    /// A shared secret in a document that anybody can read.
    #[error("a secret (\"kty\": \"oct\") has no place in a public key set")]
    Secret,
    /// `use` is not `sig`.
    #[error("its \"use\" is not \"sig\"")]
    Use,
    /// `key_ops` is not a list of different operations that includes `verify`.
    #[error("its \"key_ops\" do not include \"verify\"")]
    Operations,
    /// `alg` is not one that a key of its type verifies.
    #[error("its \"alg\" is not a signature algorithm for such a key")]
    Algorithm,
    /// `crv` is not one that is known here.
    #[error("its \"crv\" is not P-256, P-384 or Ed25519")]
    Curve,
    /// A member that makes the key is missing or not base64url of the right length.
    #[error("its \"{member}\" is not base64url of the right length")]
    Encoding {
        /// The member's name.
        member: &'static str,
    },
    /// Small enough to be broken, or so large that verifying is an attack.
    #[error("its modulus has {bits} bits; 2048 to 8192 are accepted")]
    ModulusSize {
        /// As many as it has.
        bits: usize,
    },
    /// Even, or otherwise no modulus.
    #[error("its modulus is not one of an RSA key")]
    Modulus,
    /// Even, below 65537 or above 2^32.
    #[error("its exponent is not an odd number from 65537 to 4294967295")]
    Exponent,
    /// Not a point of the curve.
    #[error("its point is not on the curve")]
    NotOnCurve,
    /// A point with which anybody can sign anything.
    #[error("its point has small order")]
    SmallOrder,
}

/// What makes a key, apart from what it says of itself.
struct Material {
    kind: KeyKind,
    /// What such a key can verify.
    can: AlgorithmSet,
    /// SHA-256 of RFC 7638 section 3.
    thumbprint: [u8; 32],
    decoding: DecodingKey,
}

/// The key, if it can be used.
pub(super) fn read(jwk: &Value) -> Result<Key, KeyFault> {
    let jwk = jwk.as_object().ok_or(KeyFault::NotAnObject)?;
    let kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= MAX_KID_BYTES => Some(kid.as_str().into()),
        Some(_) => return Err(KeyFault::Kid),
    };
    check_purpose(jwk)?;
    let material = match jwk.get("kty").and_then(Value::as_str) {
        Some("RSA") => read_rsa(jwk)?,
        Some("EC") => read_ec(jwk)?,
        Some("OKP") => read_ed25519(jwk)?,
        Some("oct") => return Err(KeyFault::Secret),
        _ => return Err(KeyFault::Type),
    };
    let Material { kind, can, thumbprint, decoding } = material;
    let fits = match jwk.get("alg") {
        None => can,
        Some(name) => name
            .as_str()
            .and_then(Algorithm::named)
            .filter(|algorithm| can.contains(*algorithm))
            .map(|algorithm| AlgorithmSet::of(&[algorithm]))
            .ok_or(KeyFault::Algorithm)?,
    };
    let kid: Option<Box<str>> = kid;
    let named = [u8::from(kid.is_some())];
    let mark = Mark::of([
        thumbprint.as_slice(),
        &named,
        kid.as_deref().unwrap_or_default().as_bytes(),
        &fits.bits().to_be_bytes(),
    ]);
    Ok(Key { kid, kind, fits, mark, decoding })
}

/// A key's name, as far as it can be shown.
pub(super) fn kid(jwk: &Value) -> Option<&str> {
    jwk.get("kid")?.as_str().filter(|kid| kid.len() <= MAX_KID_BYTES)
}

/// RFC 7517 sections 4.2 and 4.3.
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), KeyFault> {
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(KeyFault::Use);
    }
    let Some(operations) = jwk.get("key_ops") else { return Ok(()) };
    let operations = operations.as_array().ok_or(KeyFault::Operations)?;
    let is_listed_twice = |(index, operation): (usize, &Value)| operations[..index].contains(operation);
    let is_list_of_names =
        operations.iter().all(Value::is_string) && !operations.iter().enumerate().any(is_listed_twice);
    if is_list_of_names && operations.iter().any(|operation| operation == "verify") {
        Ok(())
    } else {
        Err(KeyFault::Operations)
    }
}

/// Bytes of a member.
fn decode(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, KeyFault> {
    let text = jwk.get(member).and_then(Value::as_str);
    let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    bytes.filter(|bytes| !bytes.is_empty()).ok_or(KeyFault::Encoding { member })
}

/// Bytes of a member that has exactly so many.
fn decode_exactly(
    jwk: &Map<String, Value>,
    member: &'static str,
    length: usize,
) -> Result<Vec<u8>, KeyFault> {
    let bytes = decode(jwk, member)?;
    if bytes.len() == length { Ok(bytes) } else { Err(KeyFault::Encoding { member }) }
}

/// A positive number's bytes without the zeros that some libraries put in front (RFC 7518 section 6.3.1.1).
fn decode_number(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, KeyFault> {
    let bytes = decode(jwk, member)?;
    let start = bytes.iter().position(|&b| b != 0).ok_or(KeyFault::Encoding { member })?;
    Ok(bytes[start..].to_vec())
}

/// RFC 7518 section 6.3.1.
fn read_rsa(jwk: &Map<String, Value>) -> Result<Material, KeyFault> {
    let (n, e) = (decode_number(jwk, "n")?, decode_number(jwk, "e")?);
    let bits = n.len() * 8 - n[0].leading_zeros() as usize;
    if !(2_048..=8_192).contains(&bits) {
        return Err(KeyFault::ModulusSize { bits });
    }
    let exponent = e.iter().take(5).fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    // NIST SP 800-56B section 6.2; small ones have cost many an implementation its signatures.
    if e.len() > 4 || exponent < 65_537 || exponent % 2 == 0 {
        return Err(KeyFault::Exponent);
    }
    if n[n.len() - 1] % 2 == 0 {
        return Err(KeyFault::Modulus);
    }
    let components = RsaPublicKeyComponents { n: &n, e: &e };
    components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).map_err(|_| KeyFault::Modulus)?;
    let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
    let canonical = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(&e), encode(&n));
    Ok(Material {
        kind: KeyKind::Rsa(bits),
        can: AlgorithmSet::RSA,
        thumbprint: digest(canonical.as_bytes()),
        decoding: DecodingKey::from_rsa_raw_components(&n, &e),
    })
}

/// RFC 7518 section 6.2.1.
fn read_ec(jwk: &Map<String, Value>) -> Result<Material, KeyFault> {
    let (kind, algorithm, bytes, curve) = match jwk.get("crv").and_then(Value::as_str) {
        Some("P-256") => (KeyKind::P256, Algorithm::Es256, 32, &ECDSA_P256_SHA256_FIXED),
        Some("P-384") => (KeyKind::P384, Algorithm::Es384, 48, &ECDSA_P384_SHA384_FIXED),
        _ => return Err(KeyFault::Curve),
    };
    let (x, y) = (decode_exactly(jwk, "x", bytes)?, decode_exactly(jwk, "y", bytes)?);
    // SEC 1 section 2.3.3: an uncompressed point.
    let point = [&[4], x.as_slice(), &y].concat();
    ParsedPublicKey::new(curve, &point).map_err(|_| KeyFault::NotOnCurve)?;
    let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
    let canonical = format!(r#"{{"crv":"{kind}","kty":"EC","x":"{}","y":"{}"}}"#, encode(&x), encode(&y));
    Ok(Material {
        kind,
        can: AlgorithmSet::of(&[algorithm]),
        thumbprint: digest(canonical.as_bytes()),
        decoding: DecodingKey::from_ec_der(&point),
    })
}

/// RFC 8037 section 2.
fn read_ed25519(jwk: &Map<String, Value>) -> Result<Material, KeyFault> {
    if jwk.get("crv").and_then(Value::as_str) != Some("Ed25519") {
        return Err(KeyFault::Curve);
    }
    let point = decode_exactly(jwk, "x", 32)?;
    if has_small_order(&point) {
        return Err(KeyFault::SmallOrder);
    }
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(&point));
    Ok(Material {
        kind: KeyKind::Ed25519,
        can: AlgorithmSet::of(&[Algorithm::EdDsa]),
        thumbprint: digest(canonical.as_bytes()),
        decoding: DecodingKey::from_ed_der(&point),
    })
}

/// Whether a point of Ed25519 (RFC 8032 section 5.1.2) is one of the eight whose order divides 8, however encoded.
///
/// With such a key a signature can be made that fits any text. The library does not look: RFC 8032 does not ask for it.
fn has_small_order(point: &[u8]) -> bool {
    /// The y of such points, little-endian: 0, 1, the two of order 8, and p-1, p, p+1 (the latter two not reduced).
    const Y: [[u8; 32]; 7] = [
        near_p(0, 0, 0),
        near_p(1, 0, 0),
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
        near_p(0xec, 0xff, 0x7f),
        near_p(0xed, 0xff, 0x7f),
        near_p(0xee, 0xff, 0x7f),
    ];
    /// A number by its lowest byte, the bytes between, and its highest.
    const fn near_p(lowest: u8, between: u8, highest: u8) -> [u8; 32] {
        let mut number = [between; 32];
        number[0] = lowest;
        number[31] = highest;
        number
    }
    let Ok(mut y) = <[u8; 32]>::try_from(point) else { return false };
    // The highest bit is the sign of x.
    y[31] &= 0x7f;
    Y.contains(&y)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thumbprints_are_those_of_the_standards() {
        for (jwk, expected) in [
            // RFC 7638 section 3.1.
            (
                json!({"kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
                    "n": concat!("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS",
                        "oc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F",
                        "DW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQF",
                        "h6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")}),
                "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            ),
            // RFC 8037 appendix A.3.
            (
                json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
                "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            ),
        ] {
            let members = jwk.as_object().unwrap();
            let material =
                if members.contains_key("crv") { read_ed25519(members) } else { read_rsa(members) };
            assert_eq!(
                URL_SAFE_NO_PAD.encode(material.unwrap_or_else(|fault| panic!("{fault}")).thumbprint),
                expected
            );
        }
    }
}
