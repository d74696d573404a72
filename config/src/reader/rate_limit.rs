//! Reads `rate_limit`. The section of a backend that is not chosen is read all the same, so that no mistake waits in it.

use std::str::FromStr;

use super::{
    Mapping, Place, Read, Reader,
    values::{IfFilled, OneOrMore},
};
use crate::{
    model::{
        MaxKeys, MemoryBackend, RateLimitBackend, RedisBackend, RedisCredentials, RedisFailure, RedisServers,
        RedisTransport,
    },
    names::{KeyPrefix, ValueError},
};

/// The words of `rate_limit.backend`.
pub(super) enum Kind {
    Memory,
    Redis,
}

impl FromStr for Kind {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "memory" => Ok(Self::Memory),
            "redis" => Ok(Self::Redis),
            _ => Err(ValueError::UnknownChoice { choices: "memory, redis", text: text.into() }),
        }
    }
}

impl Read for RateLimitBackend {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let kind = keys.or("backend", Kind::Memory);
        let redis = keys.or("redis", RedisInFile(None));
        let memory = keys.or("memory", MemoryBackend::default());
        let backend = match kind {
            None => None,
            Some(Kind::Memory) => memory.map(Self::Memory),
            Some(Kind::Redis) => redis.zip(memory).and_then(|(RedisInFile(redis), memory)| {
                if redis.is_none() {
                    keys.report_beneath("redis", "addr", "missing, but the backend is \"redis\"");
                }
                redis.map(|redis| Self::Redis(RedisBackend { local_max_keys: memory.max_keys, ..redis }))
            }),
        };
        keys.finish();
        backend
    }
}

/// The `redis` section; none without an address, which is a problem only with that backend.
struct RedisInFile(Option<RedisBackend>);

impl Read for RedisInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let addresses = keys.or("addr", IfFilled(None));
        let cluster = keys.or("cluster", false);
        let username = keys.or("username", IfFilled(None));
        let password = keys.or("password", IfFilled(None));
        let database = keys.or("db", 0);
        let tls = keys.or("tls", false);
        let timeout = keys.or("timeout_seconds", RedisBackend::DEFAULT_TIMEOUT);
        let on_failure = keys.or("on_failure", RedisFailure::default());
        let key_prefix = keys.or("key_prefix", KeyPrefix::default());
        let credentials = username.zip(password).and_then(|(IfFilled(username), IfFilled(password))| {
            keys.judged(RedisCredentials::new(username, password))
        });
        // None where one of them cannot be read, or what they say together is not legal.
        let servers = addresses.zip(cluster).zip(database).and_then(|((addresses, cluster), database)| {
            let IfFilled(Some(OneOrMore(addresses))) = addresses else { return Some(None) };
            let servers = if cluster {
                RedisServers::cluster(addresses, database)
            } else {
                RedisServers::single(addresses, database)
            };
            keys.judged(servers).map(Some)
        });
        keys.finish();

        let (servers, credentials, timeout) = (servers?, credentials?, timeout?);
        let (on_failure, key_prefix) = (on_failure?, key_prefix?);
        let transport = if tls? { RedisTransport::Tls } else { RedisTransport::Plain };
        Some(Self(servers.map(|servers| RedisBackend {
            servers,
            credentials,
            transport,
            timeout,
            on_failure,
            key_prefix,
            // Of the section beside this one.
            local_max_keys: MaxKeys::default(),
        })))
    }
}

impl Read for MemoryBackend {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let defaults = Self::default();
        let mut keys = Mapping::open(place, reader)?;
        let cleanup = keys.or("cleanup_seconds", defaults.cleanup);
        let ttl = keys.or("ttl_seconds", defaults.ttl);
        let max_keys = keys.or("max_keys", defaults.max_keys);
        keys.finish();

        Some(Self { cleanup: cleanup?, ttl: ttl?, max_keys: max_keys? })
    }
}
