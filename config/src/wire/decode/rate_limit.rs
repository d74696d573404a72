//! Reads where a peer has rate limits counted.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{
        MaxKeys, MemoryBackend, RateLimitBackend, RedisBackend, RedisCredentials, RedisServers,
        RedisTransport,
    },
    names::{KeyPrefix, Secret, ServerAddress},
    problem::{KeyPath, Problems},
};

pub(super) fn rate_limit_backend(
    message: v1::RateLimitBackend,
    problems: &mut Problems,
) -> Option<RateLimitBackend> {
    use v1::rate_limit_backend::Backend;
    let top = KeyPath::Top.key("rate_limit");
    let mut fields = Fields { at: top, problems };
    match fields.needed("backend", message.backend)? {
        Backend::Memory(message) => {
            memory(message, &top.key("memory"), fields.problems).map(RateLimitBackend::Memory)
        }
        Backend::Redis(message) => {
            redis(message, &top.key("redis"), fields.problems).map(RateLimitBackend::Redis)
        }
    }
}

fn memory(message: v1::MemoryBackend, at: &KeyPath<'_>, problems: &mut Problems) -> Option<MemoryBackend> {
    let v1::MemoryBackend { cleanup_us, ttl_us, max_keys } = message;
    let mut fields = Fields { at: *at, problems };
    let cleanup = fields.period("cleanup_seconds", cleanup_us);
    let ttl = fields.period("ttl_seconds", ttl_us);
    let max_keys = fields.take("max_keys", MaxKeys::new(max_keys));
    Some(MemoryBackend { cleanup: cleanup?, ttl: ttl?, max_keys: max_keys? })
}

fn redis(message: v1::RedisBackend, at: &KeyPath<'_>, problems: &mut Problems) -> Option<RedisBackend> {
    let mut fields = Fields { at: *at, problems };
    let addresses: Option<Vec<ServerAddress>> = fields.parse_all("addr", &message.addresses);
    let servers = addresses.and_then(|addresses| {
        let servers = if message.cluster {
            RedisServers::cluster(addresses, message.database)
        } else {
            RedisServers::single(addresses, message.database)
        };
        fields.judged(servers)
    });
    let username = Some(message.username).filter(|username| !username.is_empty());
    let password = Secret::new(message.password).ok();
    let credentials = fields.judged(RedisCredentials::new(username, password));
    let timeout = fields.period("timeout_seconds", message.timeout_us);
    let on_failure = fields.take("on_failure", message.on_failure.parse());
    let key_prefix = fields.take("key_prefix", KeyPrefix::new(&message.key_prefix));
    let local_max_keys = match message.local_max_keys {
        // Of a peer that does not know the field.
        0 => Some(MaxKeys::default()),
        keys => fields.take("local_max_keys", MaxKeys::new(keys)),
    };
    Some(RedisBackend {
        servers: servers?,
        credentials: credentials?,
        transport: if message.tls { RedisTransport::Tls } else { RedisTransport::Plain },
        timeout: timeout?,
        on_failure: on_failure?,
        key_prefix: key_prefix?,
        local_max_keys: local_max_keys?,
    })
}
