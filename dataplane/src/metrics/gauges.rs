//! What is no count but a state, looked at when somebody asks: breakers, requests under way, limiter keys, providers'
//! keys, the configuration that runs.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use apigw_engine::{
    Snapshot,
    circuit_breaker::BreakerPhase,
    endpoint::{CheckTally, EndpointSeen, Standing},
    snapshot::Route,
};
use apigw_proto::v1::ConfigSource;
use prometheus::{
    core::{Collector, Desc},
    proto::{Metric, MetricFamily},
};
use tokio::time::Instant;

use super::families::{counter, counters, gauge, gauges, to_f64};
use crate::{installation::History, running::Running, serving::Serving, tls::InUse};

/// Where configurations come from, by the names that `gwctl status` has for it.
const SOURCES: [(&str, ConfigSource); 3] =
    [("stream", ConfigSource::Stream), ("disk", ConfigSource::Disk), ("file", ConfigSource::File)];

/// Tells the states of what runs.
#[derive(Debug, Clone)]
pub(crate) struct States {
    pub(crate) running: Arc<Running>,
    pub(crate) history: Arc<History>,
    /// Where the time of limits and breakers begins.
    pub(crate) start: Instant,
}

impl Collector for States {
    fn desc(&self) -> Vec<&Desc> {
        // Descriptions only serve a registry, which would tell collectors apart by them; here is none.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.configuration();
        if let Some(serving) = self.running.serving() {
            let now = self.start.elapsed();
            families.extend(of_routes(&serving, now));
            families.extend(of_buckets(&serving, now));
            families.extend(of_providers(&serving));
            families.push(of_credentials(&serving));
            families.extend(of_certificates(&serving));
            families.extend(of_backends(&serving.snapshot));
        }
        // A family without a series has no text form.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

impl States {
    fn configuration(&self) -> Vec<MetricFamily> {
        let changes = self.history.changes();
        let seq = self.running.snapshot().map(|snapshot| gauge(&[], to_f64(snapshot.revision().seq)));
        let age = changes.last_applied.map(|at| gauge(&[], age(at).as_secs_f64()));
        let newest = self.history.newest().source;
        let source = |(name, source)| gauge(&[("source", name)], if source == newest { 1.0 } else { 0.0 });
        let sources = if seq.is_some() { SOURCES.map(source).to_vec() } else { Vec::new() };
        vec![
            gauges("apigw_config_source", "1 for where the configuration that runs came from.", sources),
            gauges("apigw_config_seq", "Number of the configuration that runs.", seq.into_iter().collect()),
            gauges(
                "apigw_config_age_seconds",
                "Since the configuration that runs came into force.",
                age.into_iter().collect(),
            ),
            counters(
                "apigw_config_changes_total",
                "Configurations that were offered.",
                vec![
                    counter(&[("outcome", "applied")], changes.applied),
                    counter(&[("outcome", "rejected")], changes.rejected),
                ],
            ),
        ]
    }
}

fn age(since: SystemTime) -> Duration {
    SystemTime::now().duration_since(since).unwrap_or_default()
}

fn of_routes(serving: &Serving, now: Duration) -> Vec<MetricFamily> {
    let in_flight = |route: Route<'_>| {
        let in_flight = route.policies.concurrency.as_ref()?.rules().under_way();
        Some(gauge(&[("route", route.config.name.as_str())], to_f64(in_flight)))
    };
    let breaker = |route: Route<'_>| {
        let phase = route.policies.breaker.as_ref()?.rules().state(now).phase;
        let number = match phase {
            BreakerPhase::Closed => 0.0,
            BreakerPhase::Open => 1.0,
            BreakerPhase::HalfOpen => 2.0,
        };
        Some(gauge(&[("route", route.config.name.as_str())], number))
    };
    let series = |of_route: &dyn Fn(Route<'_>) -> Option<Metric>| {
        serving.snapshot.routes().filter_map(of_route).collect::<Vec<_>>()
    };
    vec![
        gauges(
            "apigw_in_flight_requests",
            "Requests under way on routes with a concurrency limit.",
            series(&in_flight),
        ),
        gauges("apigw_circuit_breaker_state", "0: closed, 1: open, 2: half open.", series(&breaker)),
    ]
}

fn of_buckets(serving: &Serving, now: Duration) -> Vec<MetricFamily> {
    let buckets = &serving.buckets;
    vec![
        gauges(
            "apigw_rate_limit_keys",
            "Callers whose buckets are not full.",
            vec![gauge(&[], to_f64(buckets.keys_in_use(now) as u64))],
        ),
        gauges(
            "apigw_rate_limit_max_keys",
            "The most callers that are remembered.",
            vec![gauge(&[], to_f64(buckets.capacity() as u64))],
        ),
        counters(
            "apigw_rate_limit_evictions_total",
            "Callers forgotten before their buckets were full, to make room for others.",
            vec![counter(&[], buckets.evictions())],
        ),
    ]
}

/// Of the files in use; without one it has no series.
fn of_credentials(serving: &Serving) -> MetricFamily {
    let failures = serving.credentials.failures();
    counters(
        "apigw_credential_file_failures_total",
        "How often a file of credentials became of no use.",
        failures.map(|(file, count)| counter(&[("file", file)], count)).collect(),
    )
}

fn of_certificates(serving: &Serving) -> Vec<MetricFamily> {
    let (tls, upstream) = (serving.tls(), serving.upstream_tls());
    if tls.is_none() && !upstream.has_files() {
        return Vec::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    let expiry =
        |certificate: &InUse| gauge(&[("certificate", &certificate.file)], certificate.not_after as f64);
    let backends = serving.snapshot.config().backends().iter();
    let mut certificates = tls.map(|tls| tls.in_use()).unwrap_or_default();
    certificates.extend(backends.filter_map(|backend| upstream.in_use(backend)));
    // A file may stand in the configuration twice, a series must not.
    certificates.sort_by(|a, b| a.file.cmp(&b.file));
    certificates.dedup_by(|a, b| a.file == b.file);
    vec![
        gauges(
            "apigw_certificate_expiry_timestamp_seconds",
            "When the time of a certificate in use is over.",
            certificates.iter().map(expiry).collect(),
        ),
        counters(
            "apigw_certificate_renewal_failures_total",
            "How often files of certificates became of no use.",
            vec![counter(&[], tls.map_or(0, |tls| tls.failures()) + upstream.failures())],
        ),
    ]
}

/// Of the backends that have names. No two endpoints of one have the same URL.
fn of_backends(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let (mut healthy, mut checks) = (Vec::new(), Vec::new());
    let (mut ejections, mut unguided) = (Vec::new(), Vec::new());
    for (config, backend) in snapshot.config().backends().iter().zip(snapshot.backends()) {
        let name = ("backend", config.name().as_str());
        unguided.extend(backend.state().map(|state| counter(&[name], state.unguided())));
        for (endpoint, compiled) in config.endpoints().iter().zip(backend.endpoints()) {
            let Some(state) = &compiled.state else { continue };
            let EndpointSeen { standing, checks: CheckTally { passed, failed }, ejections: times, .. } =
                state.seen();
            let url = ("endpoint", endpoint.url.as_str());
            healthy.push(gauge(&[name, url], if standing == Standing::Healthy { 1.0 } else { 0.0 }));
            if config.health.outlier.is_some() {
                ejections.push(counter(&[name, url], times));
            }
            if config.health.active.is_some() {
                checks.push(counter(&[name, url, ("outcome", "success")], passed));
                checks.push(counter(&[name, url, ("outcome", "failure")], failed));
            }
        }
    }
    vec![
        gauges("apigw_endpoint_healthy", "1 for an endpoint that is given requests, 0 otherwise.", healthy),
        counters("apigw_endpoint_checks_total", "Checks of endpoints.", checks),
        counters(
            "apigw_endpoint_ejections_total",
            "How often an endpoint failed too many requests.",
            ejections,
        ),
        counters(
            "apigw_backend_unguided_requests_total",
            "Requests given to an endpoint although none was healthy.",
            unguided,
        ),
    ]
}

fn of_providers(serving: &Serving) -> Vec<MetricFamily> {
    let (mut ages, mut keys, mut fetches) = (Vec::new(), Vec::new(), Vec::new());
    for provider in serving.keys.all() {
        let (standing, now) = provider.standing();
        let name = ("provider", provider.name());
        ages.extend(standing.fetched_at.map(|at| gauge(&[name], now.saturating_sub(at).as_secs_f64())));
        let count = provider.keys().as_ref().map_or(0, |keys| keys.keys().len());
        keys.push(gauge(&[name], to_f64(count as u64)));
        fetches.push(counter(&[name, ("outcome", "success")], standing.successes));
        fetches.push(counter(&[name, ("outcome", "failure")], standing.failures));
    }
    vec![
        gauges("apigw_jwks_age_seconds", "Since the provider's keys in use were fetched.", ages),
        gauges("apigw_jwks_keys", "The provider's keys in use.", keys),
        counters("apigw_jwks_fetches_total", "Fetches of the provider's keys.", fetches),
    ]
}
