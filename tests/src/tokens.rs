//! JSON Web Tokens for tests and development.
//!
//! Signed here with a few lines rather than with the library that the gateway verifies with, so that the two check
//! each other. Nothing here verifies.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    error::Unspecified,
    hmac,
    rand::{SecureRandom as _, SystemRandom},
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::certificates::pem;

/// What a token says.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// `sub`.
    pub subject: &'a str,
    /// `iss`, where there is one.
    pub issuer: Option<&'a str>,
    /// `aud`, where there is one.
    pub audience: Option<&'a str>,
    /// From now to `exp`.
    pub lifetime: Duration,
}

impl Claims<'_> {
    fn to_json(self, now: SystemTime) -> Value {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut claims = json!({
            "sub": self.subject,
            "iat": now.as_secs(),
            "exp": (now + self.lifetime).as_secs(),
        });
        for (name, value) in [("iss", self.issuer), ("aud", self.audience)] {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        }
        claims
    }
}

/// A token signed with a shared secret (HS256, RFC 7518 section 3.2).
#[must_use]
pub fn hs256(secret: &str, claims: Claims<'_>) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    hs256_of(secret.as_bytes(), &header, &claims.to_json(SystemTime::now()))
}

/// The same with any header and claims, however little sense they make.
#[must_use]
pub fn hs256_of(secret: &[u8], header: &Value, claims: &Value) -> String {
    let input = signing_input(header, claims);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token that nobody signed (RFC 7515 appendix A.5).
#[must_use]
pub fn unsigned(header: &Value, claims: &Value) -> String {
    signing_input(header, claims) + "."
}

/// Seconds since 1970, as `exp` and the like have them.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An issuer's RSA key.
pub struct SigningKey {
    pair: RsaKeyPair,
    id: String,
}

impl SigningKey {
    /// A new key of 2,048 bits with a random id.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate() -> Result<Self, Unspecified> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let mut id = [0; 8];
        SystemRandom::new().fill(&mut id)?;
        Ok(Self { pair, id: URL_SAFE_NO_PAD.encode(id) })
    }

    /// Its name (`kid`).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half as a key set (RFC 7517 section 5).
    #[must_use]
    pub fn key_set(&self) -> Value {
        json!({"keys": [self.jwk()]})
    }

    /// The public half (RFC 7517 section 4).
    #[must_use]
    pub fn jwk(&self) -> Value {
        let public = self.pair.public_key();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "RSA", "kid": self.id, "use": "sig", "alg": "RS256",
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// The public half in DER, as libraries read it: a forger's favourite secret.
    #[must_use]
    pub fn public_der(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The public half in PEM, as programs read it that fetch no key sets (RFC 7468 section 13).
    ///
    /// # Errors
    /// When the library cannot write it.
    pub fn public_pem(&self) -> Result<String, Unspecified> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der()?;
        Ok(pem("PUBLIC KEY", der.as_ref()))
    }

    /// A token of this issuer (RS256, RFC 7518 section 3.3).
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, claims: Claims<'_>) -> Result<String, Unspecified> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.id});
        self.sign_of(&header, &claims.to_json(SystemTime::now()))
    }

    /// Any header and claims, signed by RS256 whatever the header says.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign_of(&self, header: &Value, claims: &Value) -> Result<String, Unspecified> {
        let input = signing_input(header, claims);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What is signed (RFC 7515 section 5.1).
fn signing_input(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    const CLAIMS: Claims<'_> = Claims {
        subject: "alice",
        issuer: Some("http://issuer"),
        audience: None,
        lifetime: Duration::from_mins(1),
    };

    fn parts(token: &str) -> (Value, Value, &str, Vec<u8>) {
        let (input, signature) = token.rsplit_once('.').expect("a token has three parts");
        let (header, claims) = input.split_once('.').expect("a token has three parts");
        let decode = |text| URL_SAFE_NO_PAD.decode(text).expect("parts are base64url");
        let json = |text| serde_json::from_slice(&decode(text)).expect("parts are JSON");
        (json(header), json(claims), input, decode(signature))
    }

    #[test]
    fn rs256_tokens_verify_with_the_published_key() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign(CLAIMS).unwrap();
        let (header, claims, input, signature) = parts(&token);
        assert_eq!(header["kid"], key.key_set()["keys"][0]["kid"]);
        assert_eq!(claims["sub"], "alice");
        assert_eq!(claims["iss"], "http://issuer");
        assert_eq!(claims.get("aud"), None);
        assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|issued| issued + 60));
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.pair.public_key().as_ref());
        public.verify(input.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn hs256_tokens_verify_with_the_secret() {
        let token = hs256("secret", CLAIMS);
        let (header, _, input, signature) = parts(&token);
        assert_eq!(header["alg"], "HS256");
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        hmac::verify(&key, input.as_bytes(), &signature).unwrap();
    }
}
