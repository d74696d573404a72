//! Finding the route of a request: what it costs must not grow with the number of routes.

use std::{fmt::Write as _, hint::black_box};

use apigw_config::model::PathRules;
use apigw_engine::{Snapshot, head::RequestHead, path::NormalPath, routing::Asked};
use criterion::{BenchmarkId, Criterion};
use http::Request;

use crate::configurations::{ROUTES, compiled, content, read};

/// What the route of a number asks for.
type Criteria = fn(usize) -> String;

/// By what the routes differ.
const KINDS: [(&str, Criteria); 4] = [
    ("prefix", |number| format!("path_prefix: /api/service{number}/")),
    ("host", |number| format!("hosts: [www.h{number}.example.com], path_prefix: /api/")),
    ("host of many", |number| format!("hosts: ['*.h{number}.example.com'], path_prefix: /api/")),
    ("expression", |number| format!("path_regex: '/api/service{number}/[a-z0-9/]+'")),
];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routes");
    for (kind, asks_for) in KINDS {
        for count in ROUTES {
            let snapshot = snapshot(count, asks_for);
            for (which, path) in
                [("last", format!("/api/service{}/things/7", count - 1)), ("none", "/elsewhere".into())]
            {
                let head = head(&path, count - 1);
                assert_eq!(finds(&snapshot, &head), which == "last", "{path} among {count} routes");
                group.bench_with_input(
                    BenchmarkId::new(format!("{kind}, {which}"), count),
                    &head,
                    |bencher, head| bencher.iter(|| finds(black_box(&snapshot), black_box(head))),
                );
            }
        }
    }
    group.finish();
}

/// Whether a request with this head, as it is received, has a route.
fn finds(snapshot: &Snapshot, head: &RequestHead) -> bool {
    let path = NormalPath::new(head.uri.path(), PathRules::default());
    path.is_ok_and(|path| snapshot.route(&Asked::new(head, &path)).is_some())
}

fn head(path: &str, number: usize) -> RequestHead {
    let request = Request::get(path).header("host", format!("www.h{number}.example.com:8080")).body(());
    request.expect("it is a request").into_parts().0.into()
}

fn snapshot(routes: usize, asks_for: Criteria) -> Snapshot {
    let mut file = "routes:\n".to_owned();
    for number in 0..routes {
        let criteria = asks_for(number);
        let _ = writeln!(
            file,
            "- {{name: service{number}, match: {{{criteria}}}, upstream: 'http://127.0.0.1:9'}}"
        );
    }
    compiled(&content(&read(&file), None), None)
}
