//! Keys, key sets and tokens for the tests of this module. Signed with the cryptographic library itself, so that what
//! verifies is not checked by what it is.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
        RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    algorithm::{Algorithm, AlgorithmSet},
    keys::KeySet,
    providers::{KeySets, ProviderIndex},
    time::UnixTime,
    verify::{Demands, Verifier},
};

/// When the tests take place.
pub(super) const NOW: u64 = 1_700_000_000;

pub(super) fn at(seconds: u64) -> UnixTime {
    UnixTime::new(Duration::from_secs(seconds))
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// What a test signs with.
pub(super) enum SigningKey {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(&'static [u8]),
}

impl SigningKey {
    /// A new key, of the kind that the algorithm wants.
    pub(super) fn generate(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Algorithm::Es384 => Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            Algorithm::EdDsa => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Hs256 => Self::Secret(b"a secret that nobody else knows."),
            _ => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        }
    }

    /// The public half as a JSON Web Key.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let point = |pair: &EcdsaKeyPair, curve: &str| {
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({"kty": "EC", "crv": curve, "kid": kid, "x": encode(x), "y": encode(y)})
        };
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                json!({"kty": "RSA", "kid": kid,
                    "n": encode(public.modulus().big_endian_without_leading_zero()),
                    "e": encode(public.exponent().big_endian_without_leading_zero())})
            }
            Self::P256(pair) => point(pair, "P-256"),
            Self::P384(pair) => point(pair, "P-384"),
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encode(pair.public_key())})
            }
            Self::Secret(secret) => json!({"kty": "oct", "kid": kid, "k": encode(secret)}),
        }
    }

    /// A signature, if the key can make one with the algorithm.
    pub(super) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &dyn RsaEncoding = match algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    Algorithm::Ps384 => &RSA_PSS_SHA384,
                    Algorithm::Ps512 => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, input, &mut signature).unwrap();
                signature
            }
            Self::P256(pair) | Self::P384(pair) => pair.sign(&random, input).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(input).as_ref().to_vec(),
            Self::Secret(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input).as_ref().to_vec()
            }
        }
    }

    /// A token of any header and claims, as written.
    pub(super) fn token(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = self.sign(algorithm, input.as_bytes());
        format!("{input}.{}", encode(signature))
    }
}

/// One key for each algorithm, made once; those of RSA share theirs. Their names are those of the algorithms.
pub(super) fn key(algorithm: Algorithm) -> &'static SigningKey {
    static KEYS: LazyLock<HashMap<Algorithm, SigningKey>> = LazyLock::new(|| {
        let own = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Hs256];
        own.map(|algorithm| (algorithm, SigningKey::generate(algorithm))).into()
    });
    KEYS.get(&algorithm).unwrap_or(&KEYS[&Algorithm::Rs256])
}

/// The name of [`key`] in [`key_set`].
pub(super) fn kid(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Es256 => "es256",
        Algorithm::Es384 => "es384",
        Algorithm::EdDsa => "eddsa",
        Algorithm::Hs256 => "hs256",
        _ => "rsa",
    }
}

/// The set of these keys.
pub(super) fn set_of(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": jwks}).to_string().as_bytes()).unwrap()
}

/// All public keys of [`key`].
pub(super) fn key_set() -> KeySet {
    let algorithms = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];
    set_of(&algorithms.map(|algorithm| key(algorithm).jwk(kid(algorithm))))
}

/// A header that names the key of the algorithm.
pub(super) fn header(algorithm: Algorithm) -> String {
    json!({"alg": algorithm.name(), "typ": "JWT", "kid": kid(algorithm)}).to_string()
}

/// What [`verifier`] wants to read.
pub(super) fn good_claims() -> Value {
    json!({"iss": "https://issuer", "aud": "apigw", "sub": "alice", "exp": NOW + 60, "iat": NOW - 60})
}

/// A token that is in order.
pub(super) fn good_token(algorithm: Algorithm) -> String {
    key(algorithm).token(algorithm, &header(algorithm), &good_claims().to_string())
}

/// A verifier that takes tokens of one issuer for one audience, in any algorithm, to the second.
pub(super) fn verifier() -> Verifier {
    Verifier::new("staff", demands())
}

/// What [`verifier`] demands.
pub(super) fn demands() -> Demands {
    Demands {
        issuers: vec!["https://issuer".into()],
        audiences: vec!["apigw".into()],
        algorithms: AlgorithmSet::of(&Algorithm::ALL),
        leeway: Duration::ZERO,
    }
}

/// Key sets by the place of their provider.
pub(super) struct Held(pub(super) Vec<Option<KeySet>>);

impl KeySets for Held {
    fn read<R>(&self, provider: ProviderIndex, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        read(self.0[provider.0].as_ref())
    }
}
