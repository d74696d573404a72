//! The live state of what runs, in the API's words. The HTTP endpoints and gRPC tell the same.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apigw_config::{
    model::{self, Auth, Jwks, Provider, ProviderKind, RateLimitBackend},
    names::{PolicyMode, UpstreamUrl},
};
use apigw_engine::{
    Snapshot,
    callers::{
        Vouched,
        api_key::ApiKeyError,
        basic::{BasicError, Credentials},
    },
    circuit_breaker::{Breaker, BreakerPhase, BreakerState},
    concurrency::adaptive::AdaptiveNumbers,
    endpoint::Standing,
    explain::Live,
    jwt::{error::JwtError, providers::Accepted, time::UnixTime, token::Token, verify::Verified},
    mode::JudgedMode,
    rate_limit::{BucketKey, Decision},
    retry::BudgetState,
    snapshot::{Backend, Endpoint, Route},
};
use apigw_proto::v1;

use crate::{
    jwks::ProviderKeys,
    metrics::{Metrics, ReasonSums},
    serving::Serving,
    tls::InUse,
};

/// The moment of an observation, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// In the time of limits and breakers.
    pub(super) now: Duration,
    /// For people.
    pub(super) wall: SystemTime,
}

impl Moment {
    /// Milliseconds since 1970 of a moment that lies before this one, or behind it, by the other clock.
    fn unix_ms(&self, at: Duration, now: Duration) -> u64 {
        let wall = match now.checked_sub(at) {
            Some(ago) => self.wall.checked_sub(ago),
            None => self.wall.checked_add(at.saturating_sub(now)),
        };
        let since_epoch = wall.and_then(|wall| wall.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What runs, for whoever asks what would become of a request now.
pub(super) struct Now<'a> {
    pub(super) serving: &'a Serving,
    pub(super) moment: Moment,
}

impl Now<'_> {
    fn unix_time(&self) -> UnixTime {
        UnixTime::new(self.moment.wall.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl Live for Now<'_> {
    fn verify(&self, snapshot: &Snapshot, token: &str, accepted: &Accepted) -> Result<Verified, JwtError> {
        let (keys, now) = (&self.serving.keys, self.unix_time());
        let verified = snapshot.providers().verify(&Token::parse(token)?, accepted, keys, now);
        verified.map_err(|refusal| refusal.error)
    }

    fn find_key(&self, key: &[u8]) -> Option<Result<Arc<Vouched>, ApiKeyError>> {
        let keys = self.serving.credentials.api_keys()?;
        Some(keys.find(key, self.unix_time()).cloned())
    }

    fn find_user(&self, credentials: Credentials) -> Option<Result<Arc<Vouched>, BasicError>> {
        let passwords = self.serving.credentials.passwords()?;
        // Whoever looks waits for it; the rest of the runtime does not.
        Some(tokio::task::block_in_place(|| passwords.find(credentials)))
    }

    /// As this data plane counts; where a Redis server counts for several, that is only known there.
    fn count(&self, key: &BucketKey<'_>) -> Option<Decision> {
        match &self.serving.snapshot.settings().rate_limit {
            RateLimitBackend::Memory(_) => Some(self.serving.buckets.foresee(key, self.moment.now)),
            RateLimitBackend::Redis(_) => None,
        }
    }

    fn in_flight(&self, route: &Route<'_>) -> Option<u64> {
        Some(route.policies.concurrency.as_ref()?.rules().in_flight.in_flight())
    }

    fn breaker(&self, route: &Route<'_>) -> Option<BreakerState> {
        Some(route.policies.breaker.as_ref()?.rules().state(self.moment.now))
    }
}

/// One row for each route, in the order of the file.
pub(super) fn limits(
    serving: &Serving,
    metrics: &Metrics,
    data_plane: &str,
    moment: Moment,
) -> Vec<v1::RouteLimits> {
    let mut reasons = metrics.reasons();
    let limiter = limiter(serving, metrics, moment);
    let row = |route: Route<'_>| {
        let ReasonSums {
            rejections,
            shadow_rejections,
            retries: _,
            refused_retries,
            copies: _,
            questions: _,
        } = reasons.remove(&route.id).unwrap_or_default();
        let policies = route.policies;
        v1::RouteLimits {
            data_plane: data_plane.into(),
            route: route.config.name.as_str().into(),
            concurrency: policies.concurrency.as_ref().map(|policy| v1::ConcurrencyState {
                max_in_flight: policy.rules().max_in_flight(),
                adaptive: policy.rules().adaptive().map(|adaptive| adaptive_state(adaptive.numbers())),
                in_flight: policy.rules().under_way(),
                mode: mode(policy.mode()),
            }),
            circuit_breaker: policies.breaker.as_ref().map(|policy| v1::CircuitBreakerState {
                mode: mode(policy.mode()),
                ..breaker(policy.rules(), moment)
            }),
            rate_limit: policies
                .rate_limit
                .as_ref()
                .map(|policy| v1::RateLimitState { mode: mode(policy.mode()), ..limiter.clone() }),
            retry: policies.retry.as_ref().map(|rules| {
                let BudgetState { requests, retries, max_retries } = rules.budget(moment.now);
                v1::RetryState { requests, retries, max_retries, refused: refused_retries }
            }),
            rejections: counts(rejections),
            shadow_rejections: counts(shadow_rejections),
        }
    };
    serving.snapshot.routes().map(row).collect()
}

/// An endpoint of a backend that has a name, as the file has it and as it is.
pub(super) struct Configured<'s> {
    pub(super) backend: &'s Arc<Backend>,
    pub(super) config: &'s model::Endpoint,
    pub(super) endpoint: &'s Endpoint,
}

impl Configured<'_> {
    /// Whether it is there, whatever its path is.
    pub(super) fn is_at(&self, url: &UpstreamUrl) -> bool {
        let own = &self.config.url;
        (own.scheme(), own.host(), own.port()) == (url.scheme(), url.host(), url.port())
    }
}

/// The endpoints of the backends that have names, in the order of the file.
pub(super) fn endpoints(snapshot: &Snapshot) -> impl Iterator<Item = Configured<'_>> {
    let pairs = snapshot.config().backends().iter().zip(snapshot.backends());
    pairs.flat_map(|(config, backend)| {
        let endpoints = config.endpoints().iter().zip(backend.endpoints());
        endpoints.map(move |(config, endpoint)| Configured { backend, config, endpoint })
    })
}

/// One row for each of them.
pub(super) fn backends(snapshot: &Snapshot, data_plane: &str, moment: Moment) -> Vec<v1::EndpointState> {
    endpoints(snapshot).map(|endpoint| endpoint_row(&endpoint, data_plane, moment)).collect()
}

/// How an endpoint is.
pub(super) fn endpoint_row(
    configured: &Configured<'_>,
    data_plane: &str,
    moment: Moment,
) -> v1::EndpointState {
    let Configured { backend, config, endpoint } = configured;
    let seen = endpoint.state.as_ref().map(|state| state.seen()).unwrap_or_default();
    v1::EndpointState {
        data_plane: data_plane.into(),
        backend: backend.name().map(ToString::to_string).unwrap_or_default(),
        url: config.url.as_str().into(),
        name: config.url.name().map(ToString::to_string).unwrap_or_default(),
        weight: config.weight.get().into(),
        in_flight: endpoint.state.as_ref().map_or(0, |state| state.in_flight()),
        health: seen.standing.as_str().into(),
        reason: seen.standing.reason().unwrap_or_default(),
        ejected_until_ms: match seen.standing {
            Standing::Ejected(until) => moment.unix_ms(until, moment.now),
            Standing::Healthy | Standing::Unhealthy(_) | Standing::Draining(_) => 0,
        },
        since_ms: seen.since.map_or(0, |since| moment.unix_ms(since, moment.now)),
    }
}

/// The certificates in use: those that clients are shown, then those of backends, in the order of the file.
pub(super) fn certificates(serving: &Serving, data_plane: &str) -> Vec<v1::CertificateState> {
    let of_server = serving.tls().map(|tls| tls.in_use()).unwrap_or_default();
    let of_server = of_server.into_iter().map(|certificate| (String::new(), certificate));
    let of_backends = serving.snapshot.config().backends().iter().filter_map(|backend| {
        let certificate = serving.upstream_tls().in_use(backend)?;
        Some((backend.name().to_string(), certificate))
    });
    let row = |(backend, InUse { file, names, not_after }): (String, InUse)| v1::CertificateState {
        data_plane: data_plane.into(),
        backend,
        file,
        names,
        not_after_ms: u64::try_from(not_after).unwrap_or_default().saturating_mul(1_000),
    };
    of_server.chain(of_backends).map(row).collect()
}

/// Who says who callers are, in the order of the file.
pub(super) fn auth(serving: &Serving, data_plane: &str, moment: Moment) -> Vec<v1::ProviderState> {
    let providers = serving.snapshot.settings().auth.as_ref().map_or(&[][..], Auth::providers);
    let state = |(index, provider): (usize, &Provider)| {
        let named = v1::ProviderState {
            data_plane: data_plane.into(),
            provider: provider.name.as_str().into(),
            ..v1::ProviderState::default()
        };
        match (&provider.kind, serving.keys.of(index)) {
            (ProviderKind::Jwks(jwks), Some(keys)) => fetched(named, jwks, keys, moment),
            _ => v1::ProviderState { mode: "hmac".into(), ..named },
        }
    };
    providers.iter().enumerate().map(state).collect()
}

fn fetched(named: v1::ProviderState, jwks: &Jwks, keys: &ProviderKeys, moment: Moment) -> v1::ProviderState {
    let (standing, now) = keys.standing();
    let unix_ms = |at: Option<Duration>| at.map_or(0, |at| moment.unix_ms(at, now));
    let set = keys.keys();
    let skipped = set.as_ref().map(|set| set.skipped().iter().map(ToString::to_string).collect());
    v1::ProviderState {
        mode: "jwks".into(),
        url: jwks.url.as_str().into(),
        key_count: set.as_ref().map_or(0, |set| u32::try_from(set.keys().len()).unwrap_or(u32::MAX)),
        fetched_at_ms: unix_ms(standing.fetched_at),
        fresh_until_ms: unix_ms(standing.fresh_until),
        last_error: standing.last_error.as_deref().unwrap_or_default().into(),
        successes: standing.successes,
        failures: standing.failures,
        skipped_keys: skipped.unwrap_or_default(),
        ..named
    }
}

fn adaptive_state(numbers: AdaptiveNumbers) -> v1::AdaptiveState {
    let AdaptiveNumbers { bounds, usual_latency, latency } = numbers;
    v1::AdaptiveState {
        min: bounds.min(),
        max: bounds.max(),
        usual_latency_us: micros(usual_latency),
        latency_us: micros(latency),
    }
}

fn breaker(breaker: &Breaker, moment: Moment) -> v1::CircuitBreakerState {
    let state = breaker.state(moment.now);
    let phase = match state.phase {
        BreakerPhase::Closed => v1::BreakerPhase::Closed,
        BreakerPhase::Open => v1::BreakerPhase::Open,
        BreakerPhase::HalfOpen => v1::BreakerPhase::HalfOpen,
    };
    v1::CircuitBreakerState {
        phase: phase.into(),
        failures: state.failures,
        opened_at_ms: state.opened_at.map_or(0, |at| moment.unix_ms(at, moment.now)),
        retry_after_us: state.retry_after.map_or(0, micros),
        half_open_in_flight: state.half_open_in_flight,
        mode: String::new(),
    }
}

/// A length of time as on the wire.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What all limited routes have in common.
fn limiter(serving: &Serving, metrics: &Metrics, moment: Moment) -> v1::RateLimitState {
    let buckets = &serving.buckets;
    let (backend, backend_connected) = match &serving.snapshot.settings().rate_limit {
        RateLimitBackend::Memory(_) => ("memory", true),
        RateLimitBackend::Redis(_) => ("redis", metrics.is_rate_limit_backend_connected()),
    };
    v1::RateLimitState {
        backend: backend.into(),
        keys: buckets.keys_in_use(moment.now) as u64,
        max_keys: buckets.capacity() as u64,
        evictions: buckets.evictions(),
        backend_failures: counts(metrics.rate_limit_backend_failures()),
        mode: String::new(),
        backend_connected,
    }
}

/// As on the wire: nothing for a policy that is enforced.
fn mode(mode: JudgedMode) -> String {
    match mode {
        JudgedMode::Enforce => String::new(),
        JudgedMode::Shadow => PolicyMode::Shadow.as_str().into(),
    }
}

fn counts(counts: BTreeMap<&'static str, u64>) -> Vec<v1::ReasonCount> {
    counts.into_iter().map(|(reason, count)| v1::ReasonCount { reason: reason.into(), count }).collect()
}
