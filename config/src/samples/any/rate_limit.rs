//! Any place where rate limits are counted.

use proptest::{prelude::*, sample::select};

use super::{any_period, any_secret};
use crate::{
    model::{
        MaxKeys, MemoryBackend, RateLimitBackend, RedisBackend, RedisCredentials, RedisFailure, RedisServers,
        RedisTransport,
    },
    names::{KeyPrefix, ServerAddress},
};

pub(super) fn any_backend() -> impl Strategy<Value = RateLimitBackend> {
    let memory = (any_period(), any_period(), any_max_keys()).prop_map(|(cleanup, ttl, max_keys)| {
        RateLimitBackend::Memory(MemoryBackend { cleanup, ttl, max_keys })
    });
    prop_oneof![memory, any_redis().prop_map(RateLimitBackend::Redis)]
}

fn any_max_keys() -> impl Strategy<Value = MaxKeys> {
    (1_000_u32..=100_000_000).prop_map(|keys| MaxKeys::new(keys).unwrap())
}

fn any_redis() -> impl Strategy<Value = RedisBackend> {
    let address = |name: &str| ServerAddress::new(&format!("{name}.internal:6379")).unwrap();
    let single =
        any::<u32>().prop_map(move |database| RedisServers::single(vec![address("a")], database).unwrap());
    let cluster = select(vec![vec!["a"], vec!["a", "b"]])
        .prop_map(move |names| RedisServers::cluster(names.into_iter().map(address).collect(), 0).unwrap());
    let credentials = (prop::option::of("[a-z]{1,6}"), any_secret())
        .prop_map(|(username, password)| RedisCredentials { username, password });
    let failure = select(vec![RedisFailure::Allow, RedisFailure::Deny, RedisFailure::Local]);
    let transport = select(vec![RedisTransport::Plain, RedisTransport::Tls]);
    let prefix = "[a-z:]{1,8}".prop_map(|text| KeyPrefix::new(&text).unwrap());
    let servers = prop_oneof![single, cluster];
    let keys = any_max_keys();
    (servers, prop::option::of(credentials), transport, any_period(), failure, prefix, keys).prop_map(
        |(servers, credentials, transport, timeout, on_failure, key_prefix, local_max_keys)| RedisBackend {
            servers,
            credentials,
            transport,
            timeout,
            on_failure,
            key_prefix,
            local_max_keys,
        },
    )
}
