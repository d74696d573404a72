//! Reads `rate_limit`. The section of a backend that is not chosen is read all the same, so that no mistake waits in it.

use std::str::FromStr;

use super::{Mapping, Place, Read, Reader, values::IfFilled};
use crate::{
    model::{MemoryBackend, RateLimitBackend, RedisBackend},
    names::ValueError,
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
            Some(Kind::Redis) => redis.and_then(|RedisInFile(redis)| {
                if redis.is_none() {
                    keys.report_beneath("redis", "addr", "missing, but the backend is \"redis\"");
                }
                redis.map(Self::Redis)
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
        let address = keys.or("addr", IfFilled(None));
        let password = keys.or("password", IfFilled(None));
        let database = keys.or("db", 0);
        keys.finish();

        let (IfFilled(address), IfFilled(password), database) = (address?, password?, database?);
        Some(Self(address.map(|address| RedisBackend { address, password, database })))
    }
}

impl Read for MemoryBackend {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let defaults = Self::default();
        let mut keys = Mapping::open(place, reader)?;
        let cleanup = keys.or("cleanup_seconds", defaults.cleanup);
        let ttl = keys.or("ttl_seconds", defaults.ttl);
        keys.finish();

        Some(Self { cleanup: cleanup?, ttl: ttl? })
    }
}
