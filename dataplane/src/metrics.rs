//! Counters of requests, one set for each worker, added up when somebody asks.
//!
//! A worker writes only cells of its own, so counting costs no locked instruction and no cache line travels between
//! processors. Series exist for configured routes and closed sets of labels only, from their first request on.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apigw_engine::{
    Snapshot,
    snapshot::{Route, RouteId},
};
use http::{Method, StatusCode};
use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

/// Upper bounds of the duration histogram, in seconds: those of Prometheus's own clients.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The methods counted by name (RFC 9110 section 9, RFC 5789); any other is `OTHER`.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::HEAD,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// What is counted of one route by one worker.
#[derive(Debug, Default)]
pub(crate) struct RouteCounters {
    /// In the order of [`METHODS`], then all others.
    methods: [OnceLock<Box<MethodCounters>>; METHODS.len() + 1],
}

#[derive(Debug, Default)]
struct MethodCounters {
    /// By the first digit of the status (from 1), then by the other two. Statuses of 6xx and above count with 5xx.
    codes: [OnceLock<Box<Codes>>; 5],
    /// By bound; the last one is above all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

#[derive(Debug)]
struct Codes([AtomicU64; 100]);

impl RouteCounters {
    /// Counts a request; `method` is none where the head could not be read. Only the worker that owns these counters may call this.
    pub(crate) fn count(&self, method: Option<&Method>, status: StatusCode, duration: Duration) {
        let index = METHODS.iter().position(|known| Some(known) == method).unwrap_or(METHODS.len());
        let counters = self.methods[index].get_or_init(Box::default);
        let (class, code) = (status.as_u16() / 100, status.as_u16() % 100);
        let class = usize::from(class.clamp(1, 5) - 1);
        let codes = counters.codes[class].get_or_init(|| Box::new(Codes([const { AtomicU64::new(0) }; 100])));
        add(&codes.0[usize::from(code)], 1);
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(BOUNDS.len());
        add(&counters.buckets[bucket], 1);
        add(&counters.micros, u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Adds to a counter that only this thread writes.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// All workers' counters. Locked when a worker meets a route for the first time and when somebody asks; never for a
/// request that only counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics(Arc<Mutex<BTreeMap<Option<RouteId>, Counters>>>);

/// The counters of a route; under no id, those of requests that met no route.
#[derive(Debug)]
struct Counters {
    /// Its name; empty for none.
    route: String,
    /// By worker; each makes its own when it meets the route.
    of_workers: BTreeMap<usize, Arc<RouteCounters>>,
}

impl Metrics {
    /// A worker's counters of a route.
    pub(crate) fn of_route(&self, route: &Route<'_>, worker: usize) -> Arc<RouteCounters> {
        self.counters(Some(route.id), route.config.name.as_str(), worker)
    }

    /// A worker's counters of requests that met no route.
    pub(crate) fn without_route(&self, worker: usize) -> Arc<RouteCounters> {
        self.counters(None, "", worker)
    }

    fn counters(&self, id: Option<RouteId>, route: &str, worker: usize) -> Arc<RouteCounters> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = all.entry(id);
        let counters =
            counters.or_insert_with(|| Counters { route: route.into(), of_workers: BTreeMap::new() });
        Arc::clone(counters.of_workers.entry(worker).or_default())
    }

    /// Forgets the routes that a snapshot does not have, so that series stay within the configuration. A request of such
    /// a route that is still under way counts where nobody looks.
    pub(crate) fn forget_all_but(&self, snapshot: &Snapshot) {
        let configured: HashSet<_> = snapshot.route_ids().collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|id, _| id.is_none_or(|id| configured.contains(&id)));
    }
}

/// Sums over the workers, of one route and method.
#[derive(Default)]
struct Sum {
    codes: BTreeMap<usize, u64>,
    buckets: [u64; BOUNDS.len() + 1],
    micros: u64,
}

impl Sum {
    fn of<'a>(workers: impl Iterator<Item = &'a MethodCounters>) -> Self {
        let mut sum = Self::default();
        for counters in workers {
            for (class, codes) in counters.codes.iter().enumerate() {
                for (code, count) in codes.get().iter().flat_map(|codes| codes.0.iter().enumerate()) {
                    let count = count.load(Ordering::Relaxed);
                    if count > 0 {
                        *sum.codes.entry((class + 1) * 100 + code).or_default() += count;
                    }
                }
            }
            for (bucket, count) in sum.buckets.iter_mut().zip(&counters.buckets) {
                *bucket += count.load(Ordering::Relaxed);
            }
            sum.micros = sum.micros.wrapping_add(counters.micros.load(Ordering::Relaxed));
        }
        sum
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        // Descriptions only serve to refuse a second collector of the same metrics; there is one.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut requests, mut durations) = (Vec::new(), Vec::new());
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for counters in all.values() {
            for method in 0..=METHODS.len() {
                let of_workers =
                    counters.of_workers.values().filter_map(|counters| counters.methods[method].get());
                let sum = Sum::of(of_workers.map(|counters| &**counters));
                if sum.codes.is_empty() {
                    continue;
                }
                let name = METHODS.get(method).map_or("OTHER", Method::as_str);
                let labels = [("route", counters.route.as_str()), ("method", name)];
                for (code, count) in &sum.codes {
                    let code = code.to_string();
                    let mut counter = Counter::default();
                    counter.set_value(to_f64(*count));
                    let mut metric = metric(&[labels[0], labels[1], ("code", &code)]);
                    metric.set_counter(counter);
                    requests.push(metric);
                }
                let mut metric = metric(&labels);
                metric.set_histogram(histogram(&sum));
                durations.push(metric);
            }
        }
        vec![
            family("apigw_http_requests_total", "Requests answered.", MetricType::COUNTER, requests),
            family(
                "apigw_http_request_duration_seconds",
                "From a request's head to the end of its answer.",
                MetricType::HISTOGRAM,
                durations,
            ),
        ]
    }
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn metric(labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).into());
        pair.set_value((*value).into());
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(labels.iter().map(pair).collect());
    metric
}

fn histogram(sum: &Sum) -> Histogram {
    let mut cumulative = 0;
    let mut buckets = Vec::with_capacity(BOUNDS.len());
    for (bound, count) in BOUNDS.iter().zip(&sum.buckets) {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(cumulative);
        buckets.push(bucket);
    }
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(sum.buckets.iter().sum());
    histogram.set_sample_sum(to_f64(sum.micros) / 1e6);
    histogram
}

/// The number as Prometheus has it; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    fn text(metrics: &Metrics) -> String {
        let registry = Registry::new();
        registry.register(Box::new(metrics.clone())).unwrap();
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn counters_of_workers_are_added_up() {
        let metrics = Metrics::default();
        for worker in 0..2 {
            let counters = metrics.counters(None, "users", worker);
            counters.count(Some(&Method::GET), StatusCode::OK, Duration::from_millis(3));
            counters.count(Some(&Method::GET), StatusCode::OK, Duration::from_secs(60));
            counters.count(Some(&"BREW".parse().unwrap()), StatusCode::IM_A_TEAPOT, Duration::ZERO);
        }
        let text = text(&metrics);
        for line in [
            r#"apigw_http_requests_total{route="users",method="GET",code="200"} 4"#,
            r#"apigw_http_requests_total{route="users",method="OTHER",code="418"} 2"#,
            r#"apigw_http_request_duration_seconds_bucket{route="users",method="GET",le="0.005"} 2"#,
            r#"apigw_http_request_duration_seconds_bucket{route="users",method="GET",le="+Inf"} 4"#,
            r#"apigw_http_request_duration_seconds_count{route="users",method="GET"} 4"#,
            r#"apigw_http_request_duration_seconds_sum{route="users",method="GET"} 120.006"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
