//! An issuer of tokens that does as the test bids: serves its keys, changes them, falls silent, lies, goes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    origin::{Origin, ok},
    tokens::{Claims, SigningKey, unix_seconds},
};

/// How an issuer answers whoever asks for its keys.
#[derive(Debug, Clone)]
pub enum Conduct {
    /// With these bytes.
    Says(String),
    /// Not at all, until the other side has enough.
    Hangs,
}

/// The issuer. Nothing listens any more when it is dropped.
#[derive(Debug)]
pub struct Issuer {
    origin: Origin,
    conduct: Arc<Mutex<Conduct>>,
}

/// What the issuer's tokens say of it.
pub const ISSUER: &str = "https://issuer.example";

/// Whom its tokens are for.
pub const AUDIENCE: &str = "apigw";

impl Issuer {
    /// One that serves these keys.
    #[must_use]
    pub fn serving(keys: &[&SigningKey]) -> Self {
        let conduct = Arc::new(Mutex::new(Conduct::keys(keys)));
        let shared = Arc::clone(&conduct);
        let origin = Origin::scripted(move |peer| {
            peer.request()?;
            let conduct = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match conduct {
                Conduct::Says(bytes) => peer.send(bytes),
                Conduct::Hangs => peer.until_closed(),
            }
        });
        Self { origin, conduct }
    }

    /// Changes what it does from now on.
    pub fn turns(&self, conduct: Conduct) {
        *self.conduct.lock().unwrap_or_else(PoisonError::into_inner) = conduct;
    }

    /// Where its keys are.
    #[must_use]
    pub fn url(&self) -> String {
        self.origin.url() + "/keys"
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.origin.requests().len()
    }
}

impl Conduct {
    /// Serves these keys.
    #[must_use]
    pub fn keys(keys: &[&SigningKey]) -> Self {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        Self::Says(ok(&json!({ "keys": keys }).to_string()))
    }
}

/// Claims of a good token of the issuer, for this subject.
#[must_use]
pub fn claims(subject: &str) -> Value {
    let now = unix_seconds();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600})
}

/// A good token of the issuer, for this subject.
#[must_use]
pub fn token(key: &SigningKey, subject: &str) -> String {
    let lifetime = Duration::from_mins(10);
    let claims = Claims { subject, issuer: Some(ISSUER), audience: Some(AUDIENCE), lifetime };
    key.sign(claims).unwrap_or_else(|error| panic!("cannot sign: {error}"))
}

/// The field line that presents a token.
#[must_use]
pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}
