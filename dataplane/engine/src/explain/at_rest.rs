//! A configuration that runs nowhere: buckets are full, breakers closed, and of keys there are only those of the file.

use std::sync::Arc;

use apigw_config::model::{Auth, ProviderKind, Settings};

use super::Live;
use crate::{
    Snapshot,
    callers::{
        Vouched,
        api_key::ApiKeyError,
        basic::{BasicError, Credentials},
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
    now: UnixTime,
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
        Self { keys: FileKeys(keys.collect()), now }
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

    fn find_key(&self, _: &[u8]) -> Option<Result<Arc<Vouched>, ApiKeyError>> {
        None
    }

    fn find_user(&self, _: Credentials) -> Option<Result<Arc<Vouched>, BasicError>> {
        None
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
