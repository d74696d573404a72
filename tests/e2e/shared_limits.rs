//! Rate limits that several data planes count in one Redis server.

use apigw_tests::{
    client::{self, Connection, Response},
    configuration::{ConfigFile, Document},
    gateway::{DataPlane, Gateway, Source},
    load::at_once,
    origin::Origin,
    redis_server::{PASSWORD, RedisServer},
    waiting::eventually,
};

/// A file whose limits a server counts, with a deadline that no busy machine misses unless a test wants it to.
fn document(redis: &RedisServer, timeout_seconds: f64, on_failure: &str) -> Document {
    let address = redis.address();
    Document::new().rate_limit("backend: redis").rate_limit(&format!(
        "redis: {{ addr: \"{address}\", password: {PASSWORD}, timeout_seconds: {timeout_seconds}, on_failure: {on_failure} }}"
    ))
}

fn limited(document: Document, origin: &Origin, burst: u32) -> Document {
    let limit = format!("rate_limit: {{ enabled: true, rps: 0.01, burst: {burst}, scope: ip }}");
    document.route("all", "/", origin.url()).with(&limit)
}

fn failures(data_plane: &DataPlane) -> u64 {
    data_plane.metrics().count("apigw_rate_limit_backend_failures_total", &[])
}

/// Waits until each worker is connected: until several requests in a row, each on a connection of its own and so by any
/// worker, met no failure. They are of a route of their own.
fn await_connection(data_plane: &DataPlane) {
    eventually("the server counts", || {
        let before = failures(data_plane);
        // Where the file says `deny`, who asks too early is refused.
        let are_served = [(); 16].map(|()| client::get(data_plane.traffic(), "/warm").status()) == [200; 16];
        (are_served && failures(data_plane) == before).then_some(())
    });
}

fn with_warm_route(document: Document, origin: &Origin) -> Document {
    let limit = "rate_limit: { enabled: true, rps: 1000000, burst: 1000000, scope: route }";
    document.route("warm", "/warm", origin.url()).with(limit)
}

fn connected(document: Document, origin: &Origin) -> Gateway {
    let gateway = Gateway::with_key(with_warm_route(document, origin));
    await_connection(&gateway.data_plane);
    gateway
}

#[test]
fn two_data_planes_admit_together_what_one_may() {
    let (origin, redis) = (Origin::saying("in"), RedisServer::start());
    let file = with_warm_route(limited(document(&redis, 5.0, "deny"), &origin, 50), &origin);
    let file = ConfigFile::new(file);
    let planes = [(); 2].map(|()| DataPlane::start(Source::File(file.path())));
    planes.iter().for_each(await_connection);
    let statuses = at_once(10, |number| {
        let mut connection = Connection::open(planes[number % 2].traffic());
        [(); 20].map(|()| connection.get("/").status())
    });
    let statuses = statuses.concat();
    let count = |status| statuses.iter().filter(|&&other| other == status).count();
    assert_eq!((count(200), count(429)), (50, 150), "{statuses:?}");
    let refused = client::get(planes[0].traffic(), "/");
    assert_eq!((refused.status(), refused.field("x-ratelimit-route")), (429, Some("all")));
    assert!(refused.field("retry-after").is_some(), "{refused:?}");
}

/// Many clients at once while the server does not answer: each gets one of these statuses, and each failure is counted.
fn under_load(gateway: &Gateway, expected: &[(u16, usize)]) {
    let before = failures(&gateway.data_plane);
    let answers = at_once(8, |_| {
        let mut connection = Connection::open(gateway.address());
        [(); 10].map(|()| connection.get("/"))
    });
    let answers = answers.concat();
    for (status, count) in expected {
        let seen = answers.iter().filter(|answer| answer.status() == *status).count();
        assert_eq!(
            seen,
            *count,
            "answers of {status} among {:?}",
            answers.iter().map(Response::status).collect::<Vec<_>>()
        );
    }
    assert_eq!(failures(&gateway.data_plane) - before, 80, "a failure was not counted");
    for answer in answers.iter().filter(|answer| answer.status() == 503) {
        assert_eq!(answer.json()["error"], "rate_limit_unavailable");
        assert_eq!(answer.field("retry-after"), Some("1"));
    }
}

/// What becomes of requests when the server dies, and when it only stands still.
fn check(on_failure: &str, expected: &[(u16, usize)]) {
    let (origin, mut redis) = (Origin::saying("in"), RedisServer::start());
    let gateway = connected(limited(document(&redis, 0.5, on_failure), &origin, 20), &origin);
    redis.kill();
    under_load(&gateway, expected);

    let redis = RedisServer::start();
    let gateway = connected(limited(document(&redis, 0.5, on_failure), &origin, 20), &origin);
    redis.stop();
    under_load(&gateway, expected);
    redis.go_on();
    // Another route has met no local count: when it is judged without a failure, the server counts again.
    await_connection(&gateway.data_plane);
}

#[test]
fn without_the_server_all_pass_where_the_file_says_allow() {
    check("allow", &[(200, 80)]);
}

#[test]
fn without_the_server_all_are_refused_where_the_file_says_deny() {
    check("deny", &[(503, 80)]);
}

#[test]
fn without_the_server_the_data_plane_counts_where_the_file_says_local() {
    check("local", &[(200, 20), (429, 60)]);
}

#[test]
fn refusal_without_the_server_has_its_own_reason() {
    let (origin, mut redis) = (Origin::saying("in"), RedisServer::start());
    redis.kill();
    let gateway = Gateway::standalone(limited(document(&redis, 5.0, "deny"), &origin, 20));
    let answer = client::get_with(gateway.address(), "/", "X-Request-Id: denied\r\n");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.text(), "{\"error\":\"rate_limit_unavailable\",\"request_id\":\"denied\"}");
    assert_eq!(gateway.data_plane.access("denied")["why"], "rate_limit_unavailable");
}

#[test]
fn shadowed_limit_refuses_nobody_when_the_server_is_gone() {
    let (origin, mut redis) = (Origin::saying("in"), RedisServer::start());
    redis.kill();
    let limit = "rate_limit: { enabled: true, rps: 1, burst: 1, scope: ip, mode: shadow }";
    let file = document(&redis, 5.0, "deny").route("all", "/", origin.url()).with(limit);
    let gateway = Gateway::standalone(file);
    assert_eq!([(); 5].map(|()| client::get(gateway.address(), "/").status()), [200; 5]);
}
