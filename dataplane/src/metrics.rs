//! Counters of requests and connections, one set for each worker, added up when somebody asks.
//!
//! A worker writes only cells of its own, so counting costs no locked instruction and no cache line travels between
//! processors. Series exist for configured routes and closed sets of labels only, from their first request on. What is
//! no count but a state is asked for when somebody looks: [`gauges`].

/// Numbers that one thread counts and others read.
mod cells;
/// Of one route.
mod of_route;
/// Of one worker.
mod of_worker;
/// Of traces.
pub(crate) mod of_traces;
/// Of answers that are compressed.
mod of_compression;
/// States, looked at when somebody asks.
pub(crate) mod gauges;
/// The form they are given out in.
mod families;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use apigw_engine::{
    Snapshot,
    snapshot::{Route, RouteId},
};
use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use self::of_route::RouteSeries;
pub(crate) use self::{
    of_compression::CodingCounters,
    of_route::{ReasonSums, RouteCounters},
    of_worker::{HandshakeOutcome, OpenConnection, ProxyHeaderOutcome, WorkerCounters},
};

/// All workers' counters. Locked when a worker meets a route for the first time and when somebody asks; never for a
/// request that only counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics(Arc<Mutex<Counters>>);

#[derive(Debug, Default)]
struct Counters {
    /// Under no id, those of requests that met no route.
    routes: BTreeMap<Option<RouteId>, OfRoute>,
    workers: Vec<Arc<WorkerCounters>>,
    /// What the last change has ended.
    departed: Vec<RouteId>,
}

/// The counters of a route.
#[derive(Debug)]
struct OfRoute {
    /// Its name; empty for none.
    route: String,
    /// By worker; each makes its own when it meets the route.
    workers: BTreeMap<usize, Arc<RouteCounters>>,
}

impl OfRoute {
    fn counters(&self) -> impl Iterator<Item = &RouteCounters> + Clone {
        self.workers.values().map(AsRef::as_ref)
    }
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

    /// A new worker's counters of its connections.
    pub(crate) fn of_worker(&self) -> Arc<WorkerCounters> {
        let counters = Arc::<WorkerCounters>::default();
        self.lock().workers.push(Arc::clone(&counters));
        counters
    }

    /// Refusals by route and reason.
    pub(crate) fn reasons(&self) -> HashMap<RouteId, ReasonSums> {
        let all = self.lock();
        let routes = all.routes.iter().filter_map(|(id, of_route)| Some(((*id)?, of_route)));
        routes.map(|(id, of_route)| (id, ReasonSums::of(of_route.counters()))).collect()
    }

    /// Whether every worker has a connection to the rate limit server.
    pub(crate) fn is_rate_limit_backend_connected(&self) -> bool {
        self.lock().workers.iter().all(|worker| worker.rate_limit_connections.read() > 0)
    }

    /// Failures of the rate limit server, by reason.
    pub(crate) fn rate_limit_backend_failures(&self) -> BTreeMap<&'static str, u64> {
        of_worker::backend_failures(&self.lock().workers)
    }

    fn counters(&self, id: Option<RouteId>, route: &str, worker: usize) -> Arc<RouteCounters> {
        let mut all = self.lock();
        let of_route = all.routes.entry(id);
        let of_route = of_route.or_insert_with(|| OfRoute { route: route.into(), workers: BTreeMap::new() });
        Arc::clone(of_route.workers.entry(worker).or_default())
    }

    /// Forgets the routes that came to their end with this snapshot, so that series stay within the configuration. A
    /// request of such a route that is still under way counts where nobody looks.
    pub(crate) fn forget_departed(&self, snapshot: &Snapshot) {
        let mut all = self.lock();
        let Counters { routes, departed, .. } = &mut *all;
        // A worker may have met one of those before at the moment when it was forgotten.
        departed.drain(..).for_each(|id| drop(routes.remove(&Some(id))));
        for id in snapshot.departed_routes() {
            routes.remove(&Some(*id));
            departed.push(*id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        // Descriptions only serve a registry, which would tell collectors apart by them; here is none.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let all = self.lock();
        let mut series = RouteSeries::default();
        for of_route in all.routes.values() {
            series.add(&of_route.route, of_route.counters());
        }
        let mut families = series.into_families();
        families.extend(of_worker::families(&all.workers));
        families.extend(of_compression::families(&all.workers));
        // A family without a series has no text form.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};
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
            counters.count_upstream(Duration::from_millis(2));
            counters.count_rejection("rate_limited");
            counters.count_shadow("jwt_missing");
            metrics.of_worker().connects.add(3);
        }
        let text = text(&metrics);
        for line in [
            r#"apigw_http_requests_total{route="users",method="GET",code="200"} 4"#,
            r#"apigw_http_requests_total{route="users",method="OTHER",code="418"} 2"#,
            r#"apigw_http_request_duration_seconds_bucket{route="users",method="GET",le="0.005"} 2"#,
            r#"apigw_http_request_duration_seconds_bucket{route="users",method="GET",le="+Inf"} 4"#,
            r#"apigw_http_request_duration_seconds_count{route="users",method="GET"} 4"#,
            r#"apigw_http_request_duration_seconds_sum{route="users",method="GET"} 120.006"#,
            r#"apigw_upstream_response_seconds_count{route="users"} 2"#,
            r#"apigw_rejections_total{route="users",reason="rate_limited"} 2"#,
            r#"apigw_shadow_rejections_total{route="users",reason="jwt_missing"} 2"#,
            r#"apigw_upstream_connects_total{outcome="success"} 6"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_connection_counts_as_open_until_it_ends() {
        let counters = Metrics::default().of_worker();
        let open = counters.client_connected();
        assert_eq!((counters.accepted.read(), counters.open.read()), (1, 1));
        drop(open);
        assert_eq!((counters.accepted.read(), counters.open.read()), (1, 0));
    }
}
