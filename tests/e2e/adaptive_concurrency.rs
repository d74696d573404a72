//! Limits of requests at once that follow the upstream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use apigw_tests::{
    client::{self, Connection},
    configuration::Document,
    gate::Gate,
    gateway::Gateway,
    origin::{Origin, ok},
    waiting::eventually,
};
use serde_json::{Value, json};

/// Clients that ask again as soon as they have an answer.
const CLIENTS: usize = 30;

fn adaptive(origin: &Origin, bounds: &str) -> Document {
    let limit = format!("concurrency: {{ adaptive: {{ {bounds} }} }}");
    Document::new().route("all", "/", origin.url()).with(&limit)
}

fn concurrency(gateway: &Gateway) -> Value {
    gateway.data_plane.limits("all")["concurrency"].clone()
}

fn limit(gateway: &Gateway) -> u64 {
    concurrency(gateway)["max_in_flight"].as_u64().expect("a limit is a number")
}

/// An upstream that takes so many milliseconds for each answer.
fn taking(milliseconds: &Arc<AtomicU64>) -> Origin {
    let milliseconds = Arc::clone(milliseconds);
    Origin::scripted(move |peer| {
        loop {
            peer.request()?;
            thread::sleep(Duration::from_millis(milliseconds.load(Ordering::Relaxed)));
            peer.send(ok("done"))?;
        }
    })
}

#[test]
fn a_limit_that_is_found_holds_like_one_that_is_given() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        loop {
            peer.request()?;
            passed.pass()?;
            peer.send(ok("done"))?;
        }
    });
    let gateway = Gateway::with_key(adaptive(&origin, "min: 2, max: 2"));
    let mut under_way: Vec<_> = (0..2)
        .map(|_| {
            let mut connection = Connection::open(gateway.address());
            connection.ask("GET", "/", "");
            connection
        })
        .collect();
    origin.await_request(1);
    let refused = client::get(gateway.address(), "/");
    assert_eq!((refused.status(), &refused.json()["max_in_flight"]), (503, &json!(2)));
    let bounds = json!({"min": 2, "max": 2, "usual_latency_seconds": 0, "latency_seconds": 0});
    assert_eq!(
        concurrency(&gateway),
        json!({"max_in_flight": 2, "in_flight": 2, "adaptive": bounds, "mode": "enforce"})
    );
    gate.open();
    for connection in &mut under_way {
        assert_eq!(connection.response().text(), "done");
    }
    let routes = gateway.data_plane.says("/-/routes");
    assert_eq!(routes[0]["concurrency"], json!({"max_in_flight": 0, "adaptive": {"min": 2, "max": 2}}));
}

#[test]
fn an_upstream_that_answers_later_is_sent_less_until_it_recovers() {
    let milliseconds = Arc::new(AtomicU64::new(5));
    let origin = taking(&milliseconds);
    let gateway = Gateway::with_key(adaptive(&origin, "min: 2, max: 100"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = Connection::open(gateway.address());
                while !is_over.load(Ordering::Relaxed) {
                    let answer = connection.get("/");
                    assert!(matches!(answer.status(), 200 | 503), "{answer:?}");
                    if answer.status() == 503 {
                        // So that those who are refused leave the machine to the others.
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
        eventually("it is used to the upstream", || (limit(&gateway) > 25).then_some(()));
        milliseconds.store(1_000, Ordering::Relaxed);
        eventually("the upstream is sent less", || (limit(&gateway) < 8).then_some(()));
        let state = concurrency(&gateway)["adaptive"].clone();
        let seconds = |name: &str| state[name].as_f64().expect("a time is a number");
        assert!(seconds("latency_seconds") > 2.0 * seconds("usual_latency_seconds"), "{state}");
        milliseconds.store(5, Ordering::Relaxed);
        eventually("the upstream is sent more again", || (limit(&gateway) > 25).then_some(()));
        is_over.store(true, Ordering::Relaxed);
    });
}
