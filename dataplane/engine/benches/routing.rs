//! What it costs to find a route, by how many there are: `cargo bench -p apigw-engine`.
//!
//! Prints the best of five for each size; best, because whatever else the machine does can only add.

use std::{fmt::Write as _, hint::black_box, time::Instant};

use apigw_config::{
    model::PathRules,
    wire::{Hash, Revision},
};
use apigw_engine::{Snapshot, head::RequestHead, path::NormalPath, routing::Asked};
use http::Request;

const SIZES: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
const QUESTIONS: usize = 100_000;

/// What the route of a number asks for.
type Criteria = fn(usize) -> String;

fn main() {
    let kinds: [(&str, Criteria); 4] = [
        ("prefixes", |number| format!("path_prefix: /api/tenant-{number}/")),
        ("hosts", |number| format!("hosts: [h{number}.example.com], path_prefix: /api/")),
        ("hosts of many", |number| format!("hosts: ['*.h{number}.example.com'], path_prefix: /api/")),
        ("expressions", |number| format!("path_regex: '/api/tenant-{number}/[a-z]+'")),
    ];
    for (kind, route) in kinds {
        for size in SIZES {
            let snapshot = snapshot(size, route);
            let heads: Vec<_> = (0..1_000).map(|step| head(step * 7_919 % size)).collect();
            let times = (0..5).map(|_| nanoseconds(&snapshot, &heads));
            println!("{kind:>14}, {size:>7} routes: {:>6.0} ns", times.fold(f64::INFINITY, f64::min));
        }
    }
}

/// For one question.
fn nanoseconds(snapshot: &Snapshot, heads: &[RequestHead]) -> f64 {
    let start = Instant::now();
    for head in heads.iter().cycle().take(QUESTIONS) {
        let path = NormalPath::new(head.uri.path(), PathRules::default()).expect("it is normal");
        assert!(black_box(snapshot.route(&Asked::new(head, &path))).is_some(), "some route serves it");
    }
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let questions = QUESTIONS as f64;
    start.elapsed().as_secs_f64() * 1e9 / questions
}

fn head(number: usize) -> RequestHead {
    let request = Request::builder().uri(format!("/api/tenant-{number}/users"));
    let request = request.header("host", format!("www.h{number}.example.com:8080")).body(());
    request.expect("it is a request").into_parts().0.into()
}

/// Such routes, and one that serves what none of them does.
fn snapshot(routes: usize, criteria: Criteria) -> Snapshot {
    let mut file =
        "routes:\n- {name: all, match: {path_prefix: /}, upstream: 'http://127.0.0.1:1'}\n".to_owned();
    for number in 0..routes {
        let criteria = criteria(number).replace("[h", "[www.h");
        writeln!(file, "- {{name: r{number}, match: {{{criteria}}}, upstream: 'http://127.0.0.1:1'}}")
            .expect("a text takes any text");
    }
    let config = apigw_config::read("bench.yaml", file.as_bytes()).expect("the file is legal");
    let revision = Revision { epoch: 0, seq: 0, root_hash: Hash::of(b"") };
    Snapshot::compile(config, revision, None).expect("it runs")
}
