//! Which part of a trace a request is: what upstreams are told, what a collector is told, and that a collector which is slow,
//! away or unwilling costs no request anything.

use std::fmt::Write as _;

use apigw_tests::{
    certificates::Authority,
    client::{self, Connection},
    collector::{Answering, Collector, Span},
    configuration::ConfigFile,
    gateway::{DataPlane, Gateway, Source},
    origin::{Origin, refusing},
    waiting::eventually,
};
use rustix::process::Signal;
use tonic::Code;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A file with one route to an upstream, whose traces go to a collector.
fn document(collector: &str, ratio: &str, upstream: &str) -> String {
    let tracing = format!("tracing: {{otlp_endpoint: \"{collector}\", sample_ratio: {ratio}}}\n");
    tracing + &route(upstream)
}

fn route(upstream: &str) -> String {
    format!("routes:\n  - {{name: users, match: {{path_prefix: /api/}}, upstream: \"{upstream}\"}}\n")
}

/// A gateway, its upstream and a collector that is told of all requests.
fn traced() -> (Gateway, Origin, Collector) {
    let (origin, collector) = (Origin::saying("ok"), Collector::start());
    let gateway = Gateway::standalone(document(&collector.url(), "1", &origin.url()));
    (gateway, origin, collector)
}

/// A request that is a part of the trace above, with these flags.
fn part_of_a_trace(id: &str, flags: &str) -> String {
    format!("X-Request-Id: {id}\r\nTraceparent: 00-{TRACE}-{PARENT}-{flags}\r\n")
}

/// The parts of a `traceparent` that an upstream was sent.
fn told(origin: &Origin, request: usize) -> [String; 4] {
    let head = origin.request(request).head;
    let parts: Vec<_> =
        head.field("traceparent").expect("it is told").split('-').map(str::to_owned).collect();
    parts.try_into().expect("four parts")
}

fn spans_lost(data_plane: &DataPlane, reason: &str) -> u64 {
    data_plane.metrics().count("apigw_trace_spans_dropped_total", &[("reason", reason)])
}

#[test]
fn a_request_is_a_span_and_its_upstream_is_told_of_another_one_beneath_it() {
    let (gateway, origin, collector) = traced();
    let fields = part_of_a_trace("traced", "01") + "Tracestate: congo=t61rcWkgMzE\r\nUser-Agent: test/1\r\n";
    assert_eq!(client::get_with(gateway.address(), "/api/users/7?token=secret", &fields).status(), 200);
    let (span, attempts) = collector.exchange("traced");
    let [attempt] = attempts.as_slice() else { panic!("{attempts:?}") };
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT));
    assert_eq!((span.kind, attempt.kind, span.status, attempt.status), (2, 3, 0, 0));
    assert_eq!((span.name.as_str(), attempt.name.as_str()), ("GET /api/", "GET"));
    assert_eq!((span.flags, attempt.flags), (0x301, 0x101));
    assert!(span.began <= attempt.began && attempt.began <= attempt.ended && attempt.ended <= span.ended);
    assert_eq!(told(&origin, 0), ["00", TRACE, attempt.id.as_str(), "01"]);
    assert_eq!(origin.request(0).head.field("tracestate"), Some("congo=t61rcWkgMzE"));
    assert_eq!((span.state.as_str(), attempt.state.as_str()), ("congo=t61rcWkgMzE", "congo=t61rcWkgMzE"));
    for (key, expected) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/api/"),
        ("url.path", "/api/users/7"),
        ("url.scheme", "http"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "test/1"),
        ("network.protocol.version", "1.1"),
        ("apigw.route", "users"),
        ("apigw.why", "ok"),
        ("error.type", ""),
    ] {
        assert_eq!(span.attribute(key), expected, "{key}");
    }
    assert_eq!(attempt.attribute("server.address"), "127.0.0.1");
    assert_eq!(attempt.attribute("server.port"), origin.address().port().to_string());
    assert_eq!(attempt.attribute("url.full"), format!("{}/api/users/7", origin.url()));
    assert_eq!(attempt.attribute("http.response.status_code"), "200");
    assert_eq!(span.resource["service.name"], "apigw");
    assert!(
        span.resource.contains_key("service.instance.id") && span.resource.contains_key("service.version")
    );
    assert_eq!(gateway.data_plane.access("traced")["trace_id"], TRACE);
}

#[test]
fn a_host_that_is_refused_is_not_told() {
    let (gateway, _origin, collector) = traced();
    let mut connection = Connection::open(gateway.address());
    connection.send("GET /api/ HTTP/1.1\r\nHost: user:SECRET12@h\r\nX-Request-Id: refused\r\n\r\n");
    assert_eq!(connection.response().status(), 400);
    let (span, _) = collector.exchange("refused");
    assert_eq!((span.attribute("apigw.why"), span.attribute("server.address")), ("bad_host", ""));
}

#[test]
fn a_request_without_a_trace_begins_one() {
    let (gateway, origin, collector) = traced();
    for fields in ["X-Request-Id: 0\r\n".into(), part_of_a_trace("1", "01") + "Traceparent: 00-x\r\n"] {
        let fields = fields + "Tracestate: a=1\r\n";
        assert_eq!(client::get_with(gateway.address(), "/api/", &fields).status(), 200);
    }
    for request in [0, 1] {
        let (span, attempts) = collector.exchange(&request.to_string());
        assert_ne!(span.trace, TRACE);
        assert_eq!((span.parent.as_str(), span.state.as_str()), ("", ""));
        assert_eq!(told(&origin, request), ["00", &span.trace, &attempts[0].id, "01"]);
        assert_eq!(origin.request(request).head.field("tracestate"), None);
    }
}

#[test]
fn what_is_not_sampled_is_a_part_of_its_trace_all_the_same() {
    let (origin, collector) = (Origin::saying("ok"), Collector::start());
    let gateway = Gateway::standalone(document(&collector.url(), "0", &origin.url()));
    let requests =
        ["X-Request-Id: root\r\n".into(), part_of_a_trace("other", "00"), part_of_a_trace("asked", "01")];
    for fields in &requests {
        assert_eq!(client::get_with(gateway.address(), "/api/", fields).status(), 200);
    }
    let (asked, _) = collector.exchange("asked");
    assert!(collector.spans().iter().all(|span| span.trace == asked.trace), "only one was sampled");
    let [root, other] = [told(&origin, 0), told(&origin, 1)];
    assert_eq!((root[3].as_str(), other[1].as_str(), other[3].as_str()), ("00", TRACE, "00"));
    assert_ne!(other[2], PARENT, "the gateway is in between");
    assert_eq!(gateway.data_plane.access("root")["trace_id"], *root[1]);
}

#[test]
fn where_no_traces_are_collected_what_clients_say_of_them_passes() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::standalone(route(&origin.url()));
    for (request, fields) in [part_of_a_trace("0", "01"), "Traceparent: 00-x\r\n".into()].iter().enumerate() {
        let fields = format!("{fields}Tracestate: a=1\r\n");
        assert_eq!(client::get_with(gateway.address(), "/api/", &fields).status(), 200);
        let sent = fields.lines().find_map(|line| line.strip_prefix("Traceparent: "));
        let head = origin.request(request).head;
        assert_eq!((head.field("traceparent"), head.field("tracestate")), (sent, Some("a=1")));
    }
    assert_eq!(gateway.data_plane.access("0").get("trace_id"), None);
}

#[test]
fn trailers_say_nothing_of_traces() {
    let (gateway, origin, _collector) = traced();
    let mut connection = Connection::open(gateway.address());
    let head = "POST /api/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let trailers = format!("Traceparent: 00-{TRACE}-{PARENT}-01\r\nTracestate: a=1\r\nX-Kept: 1\r\n");
    connection.send(format!("{head}0\r\n{trailers}\r\n"));
    assert_eq!(connection.response().status(), 200);
    let trailers = origin.request(0).trailers;
    assert_eq!(trailers.iter().map(|(name, _)| name.to_lowercase()).collect::<Vec<_>>(), ["x-kept"]);
}

#[test]
fn each_attempt_is_a_span_of_its_own() {
    let (collector, well, down) = (Collector::start(), Origin::saying("well"), refusing());
    let unwell = Origin::answering(|_| "HTTP/1.1 503 Unwell\r\nContent-Length: 0\r\n\r\n".into());
    let mut text = format!(
        "tracing: {{otlp_endpoint: \"{}\"}}\nbackends:\n  - name: pool\n    endpoints:\n",
        collector.url()
    );
    for (url, weight) in [(format!("http://{down}"), 5), (unwell.url(), 5), (well.url(), 1)] {
        let _ = writeln!(text, "      - {{url: \"{url}\", weight: {weight}}}");
    }
    let retry = "retry: {attempts: 2, on: [connect_failure, 503], budget_percent: 100}";
    let gateway = Gateway::standalone(format!(
        "{text}routes:\n  - {{name: all, match: {{path_prefix: /}}, backend: pool, {retry}}}\n"
    ));
    // Most of these begin with one of the heavy endpoints and go on to the other, in whatever order one worker takes them.
    let mut connection = Connection::open(gateway.address());
    for id in 0..9 {
        connection.send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: r{id}\r\n\r\n"));
        assert_eq!(connection.response().status(), 200);
    }
    let mut exchanges = (0..9).map(|id| collector.exchange(&format!("r{id}")));
    let (span, attempts) = exchanges.find(|(_, attempts)| attempts.len() == 3).expect("one met all of them");
    assert_eq!((span.status, span.attribute("error.type")), (0, ""));
    let last = &attempts[2];
    assert_eq!((last.status, last.attribute("http.request.resend_count")), (0, "2"));
    let mut errors: Vec<_> = attempts[..2].iter().map(|attempt| attempt.attribute("error.type")).collect();
    errors.sort_unstable();
    assert_eq!(errors, ["503", "upstream_unreachable"]);
    assert!(attempts[..2].iter().all(|attempt| attempt.status == 2));
    let is_told = |origin: &Origin, attempt: &Span| {
        let is_of_it = |request: &apigw_tests::origin::Request| {
            request.head.field("traceparent").is_some_and(|text| text.contains(&attempt.id))
        };
        origin.requests().iter().any(is_of_it)
    };
    assert!(is_told(&well, last) && attempts[..2].iter().any(|attempt| is_told(&unwell, attempt)));
}

#[test]
fn refusals_and_failures_say_what_they_are() {
    let (collector, down) = (Collector::start(), format!("http://{}", refusing()));
    let gateway = Gateway::standalone(document(&collector.url(), "1", &down));
    let answer = client::get_with(gateway.address(), "/nowhere", "X-Request-Id: nowhere\r\n");
    assert_eq!(answer.status(), 404);
    let (span, attempts) = collector.exchange("nowhere");
    assert_eq!((span.name.as_str(), span.status, span.attribute("apigw.why")), ("GET", 0, "no_route"));
    assert_eq!((span.attribute("http.route"), attempts.len()), ("", 0));
    let answer = client::get_with(gateway.address(), "/api/", "X-Request-Id: down\r\n");
    assert_eq!(answer.status(), 502);
    let (span, attempts) = collector.exchange("down");
    assert_eq!((span.status, span.attribute("error.type")), (2, "upstream_unreachable"));
    assert_eq!((attempts[0].status, attempts[0].attribute("error.type")), (2, "upstream_unreachable"));
}

#[test]
fn methods_and_texts_without_end_are_cut_short() {
    let (gateway, _origin, collector) = traced();
    // So long a method is the longest that is taken.
    let (method, agent, path) = ("M".repeat(64), "a".repeat(30_000), "p".repeat(30_000));
    let mut connection = Connection::open(gateway.address());
    let fields = format!("Host: h\r\nX-Request-Id: long\r\nUser-Agent: {agent}\r\n");
    connection.send(format!("{method} /api/{path} HTTP/1.1\r\n{fields}\r\n"));
    assert_eq!(connection.response().status(), 200);
    let (span, attempts) = collector.exchange("long");
    assert_eq!((span.name.as_str(), attempts[0].name.as_str()), ("HTTP /api/", "HTTP"));
    let longest =
        [&span, &attempts[0]].into_iter().flat_map(|span| span.attributes.values()).map(String::len).max();
    assert!(longest <= Some(1_100), "{longest:?}");
    assert_eq!(span.attribute("http.request.method"), "_OTHER");
}

#[test]
fn a_collector_that_hangs_costs_spans_and_no_request() {
    let (gateway, _origin, collector) = traced();
    collector.answer(Answering::Hanging);
    let mut connection = Connection::open(gateway.address());
    // More than the queue, all workers' buffers and the call that hangs can hold.
    eventually("what the queue cannot hold is dropped", || {
        for _ in 0..500 {
            assert_eq!(connection.get("/api/").status(), 200);
        }
        (spans_lost(&gateway.data_plane, "queue_full") > 0).then_some(())
    });
    assert!(gateway.data_plane.resident_bytes() < 100 << 20);
    collector.answer(Answering::Taking);
    eventually("those that come afterwards are told", || {
        assert_eq!(connection.get("/api/").status(), 200);
        (!collector.spans().is_empty()).then_some(())
    });
}

#[test]
fn a_collector_that_is_away_costs_no_request_and_is_found_when_it_is_there() {
    let origin = Origin::saying("ok");
    let away = document(&format!("http://{}", refusing()), "1", &origin.url());
    let gateway = Gateway::standalone(&away);
    assert_eq!(client::get(gateway.address(), "/api/").status(), 200);
    eventually("nobody could be told", || {
        (spans_lost(&gateway.data_plane, "export_failed") == 2).then_some(())
    });
    let is_told = |line: &str| line.contains("traces are not collected").then_some(());
    assert!(gateway.data_plane.program().stderr().first(is_told).is_some());
    // The next one is elsewhere.
    let collector = Collector::start();
    gateway.file.save(document(&collector.url(), "1", &origin.url()));
    eventually("the other collector is told", || {
        assert_eq!(client::get(gateway.address(), "/api/").status(), 200);
        (!collector.spans().is_empty()).then_some(())
    });
    assert!(gateway.data_plane.metrics().count("apigw_trace_spans_exported_total", &[]) >= 2);
}

#[test]
fn what_a_collector_does_not_want_is_counted_and_not_sent_again() {
    let (gateway, _origin, collector) = traced();
    collector.answer(Answering::TakingWithout(1));
    assert_eq!(client::get(gateway.address(), "/api/").status(), 200);
    eventually("one of two is refused", || (spans_lost(&gateway.data_plane, "refused") == 1).then_some(()));
    assert_eq!(gateway.data_plane.metrics().count("apigw_trace_spans_exported_total", &[]), 1);
    collector.answer(Answering::Refusing(Code::InvalidArgument));
    assert_eq!(client::get(gateway.address(), "/api/").status(), 200);
    eventually("both are refused", || (spans_lost(&gateway.data_plane, "refused") == 3).then_some(()));
    assert_eq!(collector.calls(), 2);
}

#[test]
fn what_may_succeed_later_is_sent_again() {
    let (gateway, _origin, collector) = traced();
    collector.answer(Answering::Refusing(Code::Unavailable));
    assert_eq!(client::get_with(gateway.address(), "/api/", "X-Request-Id: patient\r\n").status(), 200);
    eventually("it is refused", || (collector.calls() > 0).then_some(()));
    collector.answer(Answering::Taking);
    assert_eq!(collector.exchange("patient").1.len(), 1);
    assert_eq!(spans_lost(&gateway.data_plane, "export_failed"), 0);
}

#[test]
fn the_last_spans_are_told_before_the_end() {
    let (mut gateway, _origin, collector) = traced();
    assert_eq!(client::get_with(gateway.address(), "/api/", "X-Request-Id: last\r\n").status(), 200);
    gateway.data_plane.program().signal(Signal::TERM);
    assert!(gateway.data_plane.program_mut().ended().success());
    assert_eq!(collector.spans().len(), 2, "nothing can come any more");
}

#[test]
fn a_collector_that_hangs_does_not_keep_the_process_alive() {
    let (mut gateway, _origin, collector) = traced();
    collector.answer(Answering::Hanging);
    assert_eq!(client::get(gateway.address(), "/api/").status(), 200);
    eventually("the call hangs", || (collector.calls() > 0).then_some(()));
    gateway.data_plane.program().signal(Signal::TERM);
    assert!(gateway.data_plane.program_mut().ended().success());
}

#[test]
fn a_collector_is_spoken_to_in_tls_if_it_is_who_it_should_be() {
    let (authority, origin) = (Authority::new(), Origin::saying("ok"));
    let identity = authority.identity();
    let collector = Collector::start_securely(&identity);
    let stranger = Collector::start_securely(&Authority::new().identity());
    let url = |collector: &Collector| format!("https://127.0.0.1:{}", collector.port());
    let file = ConfigFile::new(document(&url(&stranger), "1", &origin.url()));
    let data_plane = DataPlane::start_as(Source::File(file.path()), |command| {
        command.args(["--listen", "127.0.0.1:0"]).env("SSL_CERT_FILE", identity.path("ca.pem"))
    });
    assert_eq!(data_plane.serves("/api/").text(), "ok");
    eventually("the stranger is not told", || (spans_lost(&data_plane, "export_failed") > 0).then_some(()));
    file.save(document(&url(&collector), "1", &origin.url()));
    eventually("the other one is", || {
        assert_eq!(client::get(data_plane.traffic(), "/api/").status(), 200);
        (!collector.spans().is_empty()).then_some(())
    });
    assert_eq!(stranger.calls(), 0);
}
