//! What rate limits ask of a data plane.

use apigw_proto::v1;

use super::{Feature, Needs};
use crate::{
    model::{RedisBackend, RedisFailure},
    names::KeyPrefix,
};

impl Needs {
    pub(super) fn rate_limit_backend(&mut self, backend: v1::RateLimitBackend) {
        let v1::RateLimitBackend { backend } = backend;
        match backend {
            // How much is remembered, and how long, refuses nobody.
            Some(v1::rate_limit_backend::Backend::Memory(v1::MemoryBackend {
                cleanup_us: _,
                ttl_us: _,
                max_keys: _,
            }))
            | None => {}
            Some(v1::rate_limit_backend::Backend::Redis(redis)) => self.redis(&redis),
        }
    }

    fn redis(&mut self, redis: &v1::RedisBackend) {
        let v1::RedisBackend {
            addresses: _,
            password: _,
            database: _,
            username,
            cluster,
            tls,
            timeout_us,
            on_failure,
            key_prefix,
            // It limits nobody.
            local_max_keys: _,
        } = redis;
        self.add(Feature::RateLimitRedis);
        let is_plain = username.is_empty()
            && !cluster
            && !tls
            && *timeout_us == RedisBackend::DEFAULT_TIMEOUT.micros()
            && on_failure == RedisFailure::default().as_str()
            && key_prefix == KeyPrefix::default().as_str();
        if !is_plain {
            self.add(Feature::RateLimitRedisOptions);
        }
    }

    pub(super) fn rate_limit(&mut self, limit: &v1::RateLimit) {
        let v1::RateLimit { enabled, rps: _, burst: _, scope, mode } = limit;
        if !enabled {
            return;
        }
        self.policy(Feature::RateLimit, mode);
        if !matches!(scope.as_str(), "ip" | "user") {
            self.policy(Feature::RateLimitScope, mode);
        }
    }
}
