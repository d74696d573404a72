//! More clients than there is room for, and the end of the process while it is at work.

use std::fs;

use apigw_tests::{
    client::{self, Connection},
    configuration::Document,
    gateway::Gateway,
    origin::Origin,
    waiting::eventually,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

/// An upstream whose answers begin and never end.
fn endless() -> Origin {
    Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")?;
        peer.until_closed()
    })
}

/// A gateway and a client that has the beginning of an answer.
fn streaming(origin: &Origin, drain_timeout: &str) -> (Gateway, Connection) {
    let line = format!("drain_timeout_seconds: {drain_timeout}");
    let gateway = Gateway::standalone(Document::new().server(&line).route("all", "/", origin.url()));
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/", "");
    assert_eq!(connection.head().status(), 200);
    (gateway, connection)
}

#[test]
fn a_connection_too_many_is_told_so_at_once() {
    let origin = Origin::saying("served");
    let gateway =
        Gateway::standalone(Document::new().server("max_connections: 3").route("all", "/", origin.url()));
    let mut connected: Vec<_> = (0..3).map(|_| Connection::open(gateway.address())).collect();
    for connection in &mut connected {
        assert_eq!(connection.get("/").text(), "served");
    }
    let mut refused = Connection::open(gateway.address());
    // Before it has said anything.
    let answer = refused.response();
    assert_eq!((answer.status(), &answer.json()["error"]), (503, &"too_busy".into()));
    assert!(answer.head.lists("connection", "close"));
    refused.until_closed();
    let access = gateway.data_plane.access(answer.field("x-request-id").expect("every answer has an id"));
    assert_eq!(access["why"], "too_many_connections");
    assert_eq!(client::get(gateway.data_plane.admin(), "/readyz").status(), 200);
    let metrics = client::get(gateway.data_plane.admin(), "/metrics").text();
    assert!(metrics.contains("apigw_client_connections_refused_total 1\n"), "{metrics}");

    for connection in &mut connected {
        assert_eq!(connection.get("/").text(), "served");
    }
    connected.pop();
    eventually("the place is given to somebody else", || {
        client::try_get(gateway.address(), "/").ok().filter(|answer| answer.status() == 200)
    });
}

#[test]
fn without_descriptors_accepting_waits_and_goes_on_when_there_are_some() {
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut operator = Connection::open(gateway.data_plane.admin());
    let mut served = Connection::open(gateway.address());
    assert_eq!((operator.get("/readyz").status(), served.get("/").status()), (200, 200));

    let process = gateway.data_plane.program().pid();
    let open = fs::read_dir(format!("/proc/{process}/fd")).expect("the process has descriptors").count();
    let most = Some(open as u64 + 8);
    let process = Pid::from_raw(process.try_into().expect("a process id")).expect("a process id");
    prlimit(Some(process), Resource::Nofile, Rlimit { current: most, maximum: most })
        .expect("our own process");
    let flood: Vec<_> = (0..64).map(|_| Connection::open(gateway.address())).collect();
    eventually("a connection cannot be accepted", || {
        let metrics = operator.get("/metrics").text();
        let failures = metrics.lines().find_map(|line| line.strip_prefix("apigw_accept_failures_total "));
        failures.filter(|count| *count != "0").map(|_| ())
    });
    // Who is connected notices nothing.
    assert_eq!(served.get("/").text(), "served");
    drop(flood);
    // So many that each worker's listener gets some: one that has given up would leave them waiting.
    eventually("new connections are served again", || {
        let is_served =
            |_| client::try_get(gateway.address(), "/").is_ok_and(|answer| answer.status() == 200);
        (0..64).all(is_served).then_some(())
    });
}

#[test]
fn streams_end_at_the_drain_deadline() {
    let origin = endless();
    let (mut gateway, mut connection) = streaming(&origin, "0.5");
    gateway.data_plane.program().signal(Signal::TERM);
    eventually("it says that it is not ready", || {
        client::try_get(gateway.data_plane.admin(), "/readyz").ok().filter(|answer| answer.status() == 503)
    });
    let rest = connection.until_closed();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a stream that is cut off must not look whole");
    assert_eq!(gateway.data_plane.program_mut().ended().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let origin = endless();
    let (mut gateway, mut connection) = streaming(&origin, "3600");
    gateway.data_plane.program().signal(Signal::TERM);
    eventually("nothing new is taken", || Connection::try_open(gateway.address()).err());
    gateway.data_plane.program().signal(Signal::TERM);
    connection.until_closed();
    assert_eq!(gateway.data_plane.program_mut().ended().code(), Some(0));
}
