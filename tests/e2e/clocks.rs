//! Clocks that jump: publications go on in order, and what is measured is measured as before.

use std::{fs, net::SocketAddr};

use apigw_tests::{
    client,
    clock::Clock,
    configuration::{ConfigFile, Document},
    gateway::{ControlPlane, DataPlane, Source, gwctl, gwctl_json, state_directory},
    network::Network,
    origin::{Origin, Request, ok},
    waiting::eventually,
};
use rustix::process::Signal;
use serde_json::Value;

/// Where a revision stands in the order of all of them.
type Place = (u64, u64);

fn numbered(number: usize, upstream: &Origin) -> Document {
    Document::new().route("all", "/", format!("{}/{number}", upstream.url()))
}

fn runs(address: SocketAddr, number: usize) {
    let expected = format!("GET /{number}/");
    eventually(&format!("content {number} runs"), || {
        client::try_get(address, "/").ok().filter(|answer| answer.text() == expected)
    });
}

fn published(control_plane: &ControlPlane) -> (Place, Value) {
    eventually("something is published", || {
        let status = gwctl_json(control_plane.address(), &["status"]);
        let revision = &status["control_plane"]["revision"];
        Some(((revision["epoch"].as_u64()?, revision["seq"].as_u64()?), status["control_plane"].clone()))
    })
}

#[test]
fn publications_go_on_in_order_whatever_the_clock_says() {
    let upstream = Origin::answering(|request: &Request| ok(request.line()));
    let clock = Clock::new();
    let file = ConfigFile::new(numbered(0, &upstream));
    let start = || ControlPlane::start_as(file.path(), |command| clock.rule(command));
    clock.set(4_000);
    let mut control_plane = start();
    let network = Network::to(control_plane.address());
    let data_plane = DataPlane::start(Source::ControlPlane(network.address()));
    runs(data_plane.traffic(), 0);
    let (mut newest, told) = published(&control_plane);
    let year = told["published_at"].as_str().and_then(|at| at[..4].parse::<u32>().ok());
    assert!(year > Some(2035), "the clock is not set; is Debian's faketime installed? {told}");

    let mut number = 0;
    // Each twice: while the control plane runs, and when it starts.
    for days in [0, -4_000, 8_000, -15_000] {
        clock.set(days);
        for is_restarted in [false, true] {
            if is_restarted {
                control_plane.program().signal(Signal::KILL);
                let _ = control_plane.program_mut().ended();
                control_plane = start();
                network.lead_to(control_plane.address());
            }
            number += 1;
            file.save(numbered(number, &upstream));
            runs(data_plane.traffic(), number);
            let (place, _) = published(&control_plane);
            assert!(place > newest, "{place:?} is not above {newest:?}, by {days} days");
            newest = place;
        }
        let told = gwctl(control_plane.address(), &["rollback"]);
        assert_eq!(told.code, Some(0), "{told:?}");
        runs(data_plane.traffic(), number - 1);
    }

    // Nothing is left that says what was counted to, but what the data plane runs.
    control_plane.program().signal(Signal::KILL);
    let _ = control_plane.program_mut().ended();
    fs::remove_dir_all(state_directory(file.path())).expect("there is a history");
    control_plane = start();
    network.lead_to(control_plane.address());
    runs(data_plane.traffic(), number);
    assert!(published(&control_plane).0 > newest);
}

#[test]
fn limits_and_breakers_are_measured_without_the_clock() {
    let upstream = Origin::saying("served");
    let failing = Origin::answering(|_| "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into());
    let file = ConfigFile::new(
        Document::new()
            .route("limited", "/limited", upstream.url())
            .with("rate_limit: { enabled: true, rps: 0.001, burst: 2, scope: ip }")
            .route("failing", "/failing", failing.url())
            .with("circuit_breaker: { enabled: true, failure_threshold: 2, open_seconds: 3600, half_open_max_in_flight: 1 }")
            .route("free", "/free", upstream.url()),
    );
    let clock = Clock::new();
    let data_plane = DataPlane::start_as(Source::File(file.path()), |command| {
        clock.rule(command.args(["--listen", "127.0.0.1:0"]))
    });
    let status = |path: &str| client::get(data_plane.traffic(), path).status();
    assert_eq!(["/limited", "/limited", "/limited"].map(status), [200, 200, 429]);
    assert_eq!(["/failing", "/failing", "/failing"].map(status), [500, 500, 503]);
    for days in [4_000, -4_000, 0] {
        clock.set(days);
        let answer = client::get(data_plane.traffic(), "/free");
        assert_eq!(answer.status(), 200);
        assert_eq!(["/limited", "/failing"].map(status), [429, 503], "by {days} days");
        let told = data_plane.access(answer.field("x-request-id").expect("an id"));
        let duration = told["duration"].as_f64().expect("a duration");
        assert!((0.0..60.0).contains(&duration), "{told}");
    }
}
