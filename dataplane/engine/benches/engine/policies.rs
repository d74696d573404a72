//! Each policy's verdict, on its own.

use std::{hint::black_box, net::IpAddr, time::Duration};

use apigw_engine::{
    Snapshot,
    fields::Fields,
    policies::admit_call,
    rate_limit::{BucketKey, ScopeValue, Table},
    snapshot::Route,
};
use criterion::{BenchmarkId, Criterion};
use http::{
    HeaderValue, Method,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};

use crate::configurations::{compiled, configuration, content, with_line};

/// Entries of a list in the file.
const ENTRIES: [usize; 4] = [1, 10, 100, 1_000];

/// Callers whom the limiter remembers.
const CALLERS: [u32; 4] = [1, 1_000, 100_000, 1_000_000];

/// Some time after the beginning.
const NOW: Duration = Duration::from_secs(1_000);

pub(crate) fn bench(criterion: &mut Criterion) {
    addresses(criterion);
    cors(criterion);
    rate_limit(criterion);
    places(criterion);
}

fn snapshot_with(line: &str) -> Snapshot {
    compiled(&content(&with_line(line), None), None)
}

fn only_route(snapshot: &Snapshot) -> Route<'_> {
    snapshot.routes().next().expect("there is a route")
}

/// An address that is in none of the ranges, so that all are asked.
fn addresses(criterion: &mut Criterion) {
    let client = IpAddr::from([192, 0, 2, 1]);
    let mut group = criterion.benchmark_group("addresses");
    for count in ENTRIES {
        let ranges: Vec<_> =
            (0..count).map(|number| format!("10.{}.{}.0/24", number / 256, number % 256)).collect();
        let snapshot = snapshot_with(&format!("deny_cidrs: [{}]", ranges.join(", ")));
        let policy = &only_route(&snapshot).policies.addresses;
        assert!(policy.admit(client).is_ok());
        group.bench_with_input(BenchmarkId::new("outside of all", count), &count, |bencher, _| {
            bencher.iter(|| black_box(policy).admit(black_box(client)));
        });
    }
    group.finish();
}

/// A browser's preflight from the last of the origins.
fn cors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cors");
    for count in ENTRIES {
        let origins: Vec<_> = (0..count).map(|number| format!("'https://app{number}.example'")).collect();
        let line = format!("cors: {{ allow_origins: [{}], allow_methods: [GET] }}", origins.join(", "));
        let snapshot = snapshot_with(&line);
        let policy = only_route(&snapshot).policies.cors.as_ref().expect("the route has it");
        let origin = format!("https://app{}.example", count - 1);
        let headers = Fields::from_iter([
            (ORIGIN, HeaderValue::from_str(&origin).expect("an origin is a legal value")),
            (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("GET")),
        ]);
        group.bench_with_input(BenchmarkId::new("preflight", count), &headers, |bencher, headers| {
            bencher.iter(|| policy.rules().judge(&Method::OPTIONS, black_box(headers)));
        });
    }
    group.finish();
}

/// A request of a caller who is remembered beside so many others.
fn rate_limit(criterion: &mut Criterion) {
    let snapshot = compiled(&content(&configuration(1, 0), None), None);
    let route = only_route(&snapshot);
    let limit = route.policies.rate_limit.as_ref().expect("the route has it").rules();
    let key = |caller: u32| BucketKey {
        route: route.id,
        quota: limit.quota,
        scope: ScopeValue::V4(caller.to_be_bytes()),
    };
    let mut group = criterion.benchmark_group("rate limit");
    for callers in CALLERS {
        // Half full, as a table is that is large enough.
        let table = Table::new(2 * callers as usize, [7; 16]);
        for caller in 0..callers {
            let _ = table.decide(&key(caller), NOW);
        }
        let mut caller = 0;
        group.bench_with_input(BenchmarkId::new("in turn", callers), &callers, |bencher, callers| {
            bencher.iter(|| {
                caller = (caller + 1) % callers;
                black_box(&table).decide(&key(caller), NOW)
            });
        });
    }
    group.finish();
}

/// A place under the concurrency limit, and a call under a closed breaker: taken and given back.
fn places(criterion: &mut Criterion) {
    let snapshot = compiled(&content(&configuration(1, 0), None), None);
    let route = only_route(&snapshot);
    let places = route.policies.concurrency.as_ref().expect("the route has it").rules();
    let breaker = route.policies.breaker.as_ref().expect("the route has it").rules();
    let mut group = criterion.benchmark_group("places");
    group.bench_function("concurrency", |bencher| {
        bencher.iter(|| drop(black_box(places).admit(Duration::ZERO)));
    });
    group.bench_function("breaker", |bencher| {
        bencher.iter(|| {
            if let Ok(call) = admit_call(black_box(breaker), NOW) {
                call.succeeded(NOW);
            }
        });
    });
    group.finish();
}
