//! Knowing a caller by his token: for the first time among some keys, and again among remembered tokens.

use std::{hash::RandomState, hint::black_box, time::Duration};

use apigw_engine::{
    Snapshot,
    jwt::{
        cache::{CacheLimits, TokenCache},
        keys::KeySet,
        providers::{Accepted, KeySets, ProviderIndex},
        time::UnixTime,
    },
};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use criterion::{BenchmarkId, Criterion};
use serde_json::{Value, json};

use crate::configurations::{compiled, configuration, content};

/// Keys in a provider's set; the most there may be is 100.
const KEYS: [usize; 3] = [1, 10, 100];

/// Tokens that are remembered; the most there may be is 10,000.
const REMEMBERED: [usize; 4] = [1, 100, 1_000, 10_000];

/// As a worker has it.
const LIMITS: CacheLimits = CacheLimits { entries: 10_000, bytes: 32 << 20 };

/// When it takes place, in seconds since 1970.
const NOW: u64 = 1_700_000_000;

/// The keys of the only provider.
struct OnlyProvider(KeySet);

impl KeySets for OnlyProvider {
    fn read<R>(&self, _: ProviderIndex, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        read(Some(&self.0))
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let snapshot = compiled(&content(&configuration(1, 0), None), None);
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    first_time(criterion, &snapshot, &key);
    again(criterion, &snapshot, &key);
}

/// RS256 by a key of 2,048 bits that is the last of its set.
fn first_time(criterion: &mut Criterion, snapshot: &Snapshot, key: &RsaKeyPair) {
    let mut group = criterion.benchmark_group("token for the first time");
    let token = token(key, 0);
    for count in KEYS {
        let others = (1..count).map(|number| jwk(key, &format!("other-{number}")));
        let keys = key_set(&others.chain([jwk(key, "wanted")]).collect::<Vec<_>>());
        group.bench_with_input(BenchmarkId::new("keys", count), &keys, |bencher, keys| {
            bencher.iter(|| {
                // Without memory: nothing is found in it.
                let mut cache = TokenCache::new(LIMITS, RandomState::new());
                judge(snapshot, keys, &mut cache, black_box(&token));
            });
        });
    }
    group.finish();
}

fn again(criterion: &mut Criterion, snapshot: &Snapshot, key: &RsaKeyPair) {
    let mut group = criterion.benchmark_group("token again");
    let keys = key_set(&[jwk(key, "wanted")]);
    for count in REMEMBERED {
        let tokens: Vec<_> = (0..count).map(|user| token(key, user)).collect();
        let mut cache = TokenCache::new(LIMITS, RandomState::new());
        tokens.iter().for_each(|token| judge(snapshot, &keys, &mut cache, token));
        assert_eq!(cache.len(), count);
        let mut in_turn = tokens.iter().cycle();
        group.bench_function(BenchmarkId::new("remembered", count), |bencher| {
            bencher.iter(|| {
                let token = in_turn.next().map(String::as_str).unwrap_or_default();
                judge(snapshot, &keys, &mut cache, black_box(token));
            });
        });
    }
    group.finish();
}

/// A token that is not believed would measure something else.
fn judge(snapshot: &Snapshot, keys: &OnlyProvider, cache: &mut TokenCache, token: &str) {
    let now = UnixTime::new(Duration::from_secs(NOW));
    let judged = snapshot.providers().judge(token, &Accepted::All, keys, cache, now);
    assert!(black_box(judged).is_ok(), "the token is good");
}

fn key_set(keys: &[Value]) -> OnlyProvider {
    OnlyProvider(KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a key set"))
}

fn jwk(key: &RsaKeyPair, id: &str) -> Value {
    let public = key.public_key();
    json!({
        "kty": "RSA", "kid": id, "use": "sig", "alg": "RS256",
        "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
        "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
    })
}

fn token(key: &RsaKeyPair, user: usize) -> String {
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "wanted" });
    let claims = json!({
        "iss": "issuer", "aud": "gateway", "sub": format!("user-{user}"), "iat": NOW, "exp": NOW + 3_600,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(&header), part(&claims));
    let mut signature = vec![0; key.public_modulus_len()];
    let signed = key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature);
    signed.expect("the key signs");
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}
