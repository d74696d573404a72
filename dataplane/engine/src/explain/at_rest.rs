//! A configuration that runs nowhere: buckets are full, breakers closed, and of keys there are only those of the file, and of the
//! files that it names what somebody has read.

use std::sync::Arc;

use apigw_config::model::{Auth, ProviderKind, Settings};
use aws_lc_rs::hmac;

use super::Live;
use crate::{
    Snapshot,
    callers::{
        Vouched,
        api_key::{ApiKeyError, ApiKeyTable},
        basic::{BasicError, Credentials, UserTable},
    },
    circuit_breaker::BreakerState,
    jwt::{
        error::JwtError,
        keys::KeySet,
        providers::{Accepted, KeySets, ProviderIndex},
        time::UnixTime,
        token::Token,
        verify::Verified,
    },
    rate_limit::{BucketKey, Decision},
    snapshot::Route,
};

/// What is known where nothing runs.
#[derive(Debug)]
pub struct AtRest {
    keys: FileKeys,
    files: ReadFiles,
    now: UnixTime,
}

/// What the files of credentials say that a configuration names; none: nobody has read it.
#[derive(Debug, Default)]
pub struct ReadFiles {
    /// Of API keys.
    pub api_keys: Option<ApiKeyTable>,
    /// Of users.
    pub users: Option<UserTable>,
}

/// The keys that a file holds: shared secrets. By place in the configuration.
#[derive(Debug)]
struct FileKeys(Vec<Option<KeySet>>);

impl AtRest {
    /// Of these settings. Tokens are judged at `now`.
    #[must_use]
    pub fn new(settings: &Settings, now: UnixTime) -> Self {
        let providers = settings.auth.as_ref().map_or(&[][..], Auth::providers);
        let keys = providers.iter().map(|provider| match &provider.kind {
            ProviderKind::Hmac(secret) => Some(KeySet::from_secret(secret.reveal().as_bytes())),
            ProviderKind::Jwks(_) => None,
        });
        Self { keys: FileKeys(keys.collect()), files: ReadFiles::default(), now }
    }

    /// The same, where these files were read.
    #[must_use]
    pub fn with(self, files: ReadFiles) -> Self {
        Self { files, ..self }
    }
}

impl KeySets for FileKeys {
    fn read<R>(&self, provider: ProviderIndex, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        read(self.0.get(provider.0).and_then(Option::as_ref))
    }
}

impl Live for AtRest {
    fn verify(&self, snapshot: &Snapshot, token: &str, accepted: &Accepted) -> Result<Verified, JwtError> {
        let verified = snapshot.providers().verify(&Token::parse(token)?, accepted, &self.keys, self.now);
        verified.map_err(|refusal| refusal.error)
    }

    fn find_key(&self, key: &[u8]) -> Option<Result<Arc<Vouched>, ApiKeyError>> {
        Some(self.files.api_keys.as_ref()?.find(key, self.now).cloned())
    }

    fn find_user(&self, credentials: Credentials) -> Option<Result<Arc<Vouched>, BasicError>> {
        // Nothing is remembered, so no secret tells guesses apart.
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[]);
        let guess = self.files.users.as_ref()?.guess(credentials, &key);
        let is_right = guess.is_right();
        Some(if is_right { Ok(Arc::clone(guess.caller())) } else { Err(BasicError::Wrong) })
    }

    fn count(&self, _: &BucketKey<'_>) -> Option<Decision> {
        None
    }

    fn in_flight(&self, _: &Route<'_>) -> Option<u64> {
        None
    }

    fn breaker(&self, _: &Route<'_>) -> Option<BreakerState> {
        None
    }
}
