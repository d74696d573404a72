//! Services that say whether requests may pass: what they are asked, what becomes of what they say, and of what they do not say.

/// What they let pass, remembered.
mod remembered;

use apigw_tests::{
    client::{self, Connection, Response},
    collector::Collector,
    configuration::{ConfigFile, Document},
    gateway::{DataPlane, Gateway, Source, gwctl, gwctl_json},
    origin::{Origin, Request, ok, refusing},
    waiting::eventually,
};

use crate::callers::{BILLING, KEYS};

/// How many questions to one service a worker waits for.
const MOST_QUESTIONS: usize = 256;

fn answer(status: &str, fields: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: 4\r\n\r\nbody")
}

fn field<'r>(request: &'r Request, name: &str) -> &'r str {
    request.head.field(name).unwrap_or_default()
}

/// A service that knows those who have its cookie, and sends others to where they get one.
fn login() -> Origin {
    Origin::answering(|request| match field(request, "cookie") {
        "session=alice" => answer("200 OK", "X-User: alice\r\nX-Group: a\r\nX-Group: b\r\nX-Other: c\r\n"),
        "session=mallory" => answer("403 Forbidden", "X-User: mallory\r\n"),
        "" => answer("401 Unauthorized", "WWW-Authenticate: Cookie\r\nSet-Cookie: csrf=1\r\n"),
        _ => answer(
            "302 Found",
            "Location: https://login.example/?back\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Secret: s\r\n",
        ),
    })
}

/// A service that takes questions and says nothing.
fn silent() -> Origin {
    Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    })
}

/// A route that asks a service, which is all that it asks.
fn asking(document: Document, path: &str, (origin, service): (&Origin, &str), more: &str) -> Document {
    document
        .route(path.trim_matches('/'), path, origin.url())
        .with("auth_required: true")
        .with(&format!("auth: {{ any: [external], external: {{ url: \"{service}\"{more} }} }}"))
}

/// The status, and why it was that one.
fn outcome(gateway: &Gateway, answer: &Response) -> (u16, String) {
    let id = answer.field("x-request-id").expect("every answer has an id");
    let line = gateway.data_plane.access(id);
    (answer.status(), line["why"].as_str().expect("it says why").into())
}

fn questions(data_plane: &DataPlane, route: &str, outcome: &str) -> u64 {
    let labels = [("route", route), ("outcome", outcome)];
    data_plane.metrics().count("apigw_external_auth_requests_total", &labels)
}

#[test]
fn a_service_is_asked_and_the_upstream_is_told_what_it_says() {
    let (origin, service) = (Origin::saying("in"), login());
    let check = format!("{}/check", service.url());
    let more = ", forward_headers: [X-User, X-Group]";
    let document = asking(Document::new(), "/api/", (&origin, &check), more);
    let gateway = Gateway::standalone(document.route("open", "/open", origin.url()));
    let forged = "Cookie: session=alice\r\nX-User: root\r\nx_group: root\r\nX-Request-Id: asked\r\nX-Other: own\r\n\
                  X-Forwarded-Uri: /public\r\nX-Forwarded-For: 192.0.2.9\r\nContent-Length: 2\r\n";
    let mut connection = Connection::open(gateway.address());
    connection.ask("POST", "/api/a/../orders?b=c", forged);
    connection.send("{}");
    assert_eq!(connection.response_to("POST").text(), "in");

    let question = service.only_request();
    assert_eq!((question.line(), question.body.len()), ("GET /check", 0));
    for (name, value) in [
        ("host", service.address().to_string().as_str()),
        ("cookie", "session=alice"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-uri", "/api/orders?b=c"),
        ("x-forwarded-host", "gateway.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-request-id", "asked"),
        ("x-user", ""),
        ("x-other", ""),
        ("content-length", ""),
    ] {
        assert_eq!(field(&question, name), value, "{name}");
    }
    let told = origin.only_request();
    let lines = |name: &str| told.head.values(name).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((lines("x-user"), lines("x-group")), (vec!["alice".to_owned()], vec!["a".into(), "b".into()]));
    assert_eq!((lines("x_group"), field(&told, "x-other")), (vec![], "own"));

    // On other routes, too, nobody but the gateway says who is asked for.
    assert_eq!(client::get_with(gateway.address(), "/open", "X-User: root\r\n").status(), 200);
    assert_eq!(field(&origin.request(1), "x-user"), "");
}

#[test]
fn a_refusal_keeps_the_status_and_what_a_browser_needs() {
    let (origin, service) = (Origin::saying("in"), login());
    let gateway = Gateway::standalone(asking(Document::new(), "/api/", (&origin, &service.url()), ""));
    let ask = |cookie: &str| client::get_with(gateway.address(), "/api/", cookie);
    let unknown = ask("");
    assert_eq!(outcome(&gateway, &unknown), (401, "external_unauthorized".into()));
    assert_eq!(
        (unknown.field("www-authenticate"), unknown.field("set-cookie")),
        (Some("Cookie"), Some("csrf=1"))
    );
    assert_eq!(unknown.json()["error"], "unauthorized");

    let sent_away = ask("Cookie: session=old\r\n");
    assert_eq!(outcome(&gateway, &sent_away), (302, "external_unauthorized".into()));
    assert_eq!(sent_away.field("location"), Some("https://login.example/?back"));
    assert_eq!(sent_away.head.values("set-cookie").collect::<Vec<_>>(), ["a=b", "c=d"]);
    assert_eq!(sent_away.field("x-secret"), None);

    let refused = ask("Cookie: session=mallory\r\n");
    assert_eq!(outcome(&gateway, &refused), (403, "external_forbidden".into()));
    assert_eq!((refused.json()["error"].as_str(), refused.field("x-user")), (Some("forbidden"), None));
    assert!(origin.requests().is_empty());
    assert_eq!(questions(&gateway.data_plane, "api", "refused"), 3);
    let took = gateway.data_plane.metrics();
    assert_eq!(took.count("apigw_external_auth_duration_seconds_count", &[("route", "api")]), 3);
}

#[test]
fn whoever_is_not_decided_upon_is_refused_unless_the_file_lets_him_pass() {
    let (origin, late) = (Origin::saying("in"), silent());
    let broken = Origin::answering(|_| answer("500 Internal Server Error", ""));
    let away = format!("http://{}", refusing());
    let mut document = Document::new();
    for (path, service, time) in
        [("/late", late.url(), "0.1"), ("/broken", broken.url(), "60"), ("/away", away, "60")]
    {
        let time = format!(", timeout_seconds: {time}");
        document = asking(document, path, (&origin, &service), &time);
        let allowing = format!("{time}, on_failure: allow");
        document = asking(document, &format!("/open{path}"), (&origin, &service), &allowing);
    }
    let gateway = Gateway::standalone(document);
    for (path, why) in
        [("/late", "external_timeout"), ("/broken", "external_failed"), ("/away", "external_failed")]
    {
        let refused = client::get(gateway.address(), path);
        assert_eq!(
            (refused.json()["error"].as_str(), refused.field("retry-after")),
            (Some("auth_unavailable"), Some("1"))
        );
        assert_eq!(outcome(&gateway, &refused), (503, why.into()));
        assert_eq!(client::get(gateway.address(), &format!("/open{path}")).text(), "in");
    }
    assert_eq!(questions(&gateway.data_plane, "late", "overdue"), 1);
    assert_eq!(questions(&gateway.data_plane, "away", "failed"), 1);
}

#[test]
fn a_client_that_leaves_takes_its_question_back() {
    let (origin, service) = (Origin::saying("in"), silent());
    let more = ", timeout_seconds: 60";
    let gateway = Gateway::standalone(asking(Document::new(), "/api", (&origin, &service.url()), more));
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/api", "");
    service.await_request(0);
    drop(connection);
    eventually("the question is taken back", || (service.ended() == 1).then_some(()));
    eventually("it is counted", || (questions(&gateway.data_plane, "api", "given_up") == 1).then_some(()));
    assert!(origin.requests().is_empty());
}

#[test]
fn the_time_of_the_exchange_goes_on_while_a_service_is_asked() {
    let (origin, service) = (Origin::saying("in"), silent());
    let more = ", timeout_seconds: 60, on_failure: allow";
    let document = asking(Document::new(), "/api", (&origin, &service.url()), more);
    let gateway = Gateway::standalone(document.with("timeouts: { total_seconds: 0.2 }"));
    let late = client::get(gateway.address(), "/api");
    assert_eq!(outcome(&gateway, &late), (504, "total_timeout".into()));
    eventually("the question is taken back", || (service.ended() == 1).then_some(()));
    assert!(origin.requests().is_empty());
}

#[test]
fn as_many_questions_wait_as_may_and_a_further_one_is_refused() {
    let (origin, service) = (Origin::saying("in"), silent());
    let more = ", timeout_seconds: 60";
    let file = ConfigFile::new(asking(Document::new(), "/api", (&origin, &service.url()), more));
    let flags = ["--listen", "127.0.0.1:0", "--workers", "1"];
    let data_plane = DataPlane::start_with(Source::File(file.path()), &flags);
    let mut waiting: Vec<_> = (0..MOST_QUESTIONS)
        .map(|_| {
            let mut connection = Connection::open(data_plane.traffic());
            connection.ask("GET", "/api", "");
            connection
        })
        .collect();
    service.await_request(MOST_QUESTIONS - 1);
    let refused = client::get(data_plane.traffic(), "/api");
    let id = refused.field("x-request-id").expect("every answer has an id");
    assert_eq!((refused.status(), data_plane.access(id)["why"].as_str()), (503, Some("external_busy")));
    assert_eq!(questions(&data_plane, "api", "no_room"), 1);
    // A place that becomes free is taken again.
    waiting.pop();
    eventually("a question is taken back", || (service.ended() == 1).then_some(()));
    let mut next = Connection::open(data_plane.traffic());
    next.ask("GET", "/api", "");
    service.await_request(MOST_QUESTIONS);
}

#[test]
fn questions_share_a_connection_whatever_their_answers_say() {
    let (origin, service) = (Origin::saying("in"), login());
    let file = ConfigFile::new(asking(Document::new(), "/api", (&origin, &service.url()), ""));
    let flags = ["--listen", "127.0.0.1:0", "--workers", "1"];
    let data_plane = DataPlane::start_with(Source::File(file.path()), &flags);
    let mut connection = Connection::open(data_plane.traffic());
    for cookie in ["session=alice", "session=mallory", "session=alice"] {
        connection.ask("GET", "/api", &format!("Cookie: {cookie}\r\n"));
        connection.response();
    }
    assert_eq!((service.requests().len(), service.connections()), (3, 1));
    // One that the service has closed costs no request.
    service.close_connections();
    connection.ask("GET", "/api", "Cookie: session=alice\r\n");
    assert_eq!(connection.response().status(), 200);
}

#[test]
fn a_service_is_one_way_of_several_or_has_to_agree_with_them() {
    let (origin, service) = (Origin::answering(|request| ok(field(request, "x-user"))), login());
    let keys = ConfigFile::new(KEYS);
    let mut document = Document::new().auth(&format!("api_keys: {{ file: \"{}\" }}", keys.path().display()));
    for (path, ways) in [
        ("/any", "any: [api_key, external], "),
        ("/all", "all: [api_key, external], "),
        ("/then", "any: [api_key], "),
    ] {
        let external =
            format!("external: {{ url: \"{}\" }}, forward_claims: {{ sub: X-User }}", service.url());
        document = document
            .route(&path[1..], path, origin.url())
            .with("auth_required: true")
            .with(&format!("auth: {{ {ways}{external} }}"));
    }
    let gateway = Gateway::standalone(document);
    let alice = "Cookie: session=alice\r\n";
    let both = format!("{BILLING}{alice}");
    let mallory = format!("{BILLING}Cookie: session=mallory\r\n");
    for (path, fields, status, why) in [
        ("/any", alice, 200, "ok"),
        ("/any", BILLING, 200, "ok"),
        ("/any", mallory.as_str(), 200, "ok"),
        ("/any", "", 401, "external_unauthorized"),
        ("/all", both.as_str(), 200, "ok"),
        ("/all", mallory.as_str(), 403, "external_forbidden"),
        ("/all", alice, 401, "api_key_missing"),
        ("/then", both.as_str(), 200, "ok"),
        ("/then", mallory.as_str(), 403, "external_forbidden"),
        ("/then", alice, 401, "api_key_missing"),
    ] {
        let answer = client::get_with(gateway.address(), path, fields);
        assert_eq!(outcome(&gateway, &answer), (status, why.into()), "{path} {fields}");
        if status == 200 && fields != alice {
            assert_eq!(answer.text(), "billing", "whom the first way makes known is the caller");
        }
    }
}

#[test]
fn limits_and_the_log_know_whom_the_service_names() {
    let (origin, service) = (
        Origin::saying("in"),
        Origin::answering(|request| answer("200 OK", &format!("X-Name: {}\r\n", field(request, "cookie")))),
    );
    let document = asking(Document::new(), "/api", (&origin, &service.url()), ", user_header: X-Name");
    let gateway = Gateway::standalone(
        document.with("rate_limit: { enabled: true, rps: 0.001, burst: 1, scope: user }"),
    );
    for (user, status) in [("alice", 200), ("bob", 200), ("alice", 429)] {
        let fields = format!("Cookie: {user}\r\n");
        let answer = client::get_with(gateway.address(), "/api", &fields);
        assert_eq!(answer.status(), status, "{user}");
        let id = answer.field("x-request-id").expect("every answer has an id");
        assert_eq!(gateway.data_plane.access(id)["user"], user);
    }
}

#[test]
fn a_service_in_shadow_is_asked_and_refuses_nobody() {
    let (origin, service) = (Origin::answering(|request| ok(field(request, "x-user"))), login());
    let auth = format!(
        "auth: {{ any: [external], mode: shadow, external: {{ url: \"{}\", forward_headers: [x-user] }} }}",
        service.url()
    );
    let document = Document::new().route("api", "/api", origin.url()).with("auth_required: true").with(&auth);
    let gateway = Gateway::standalone(document);
    let passed = client::get_with(gateway.address(), "/api", "X-User: root\r\nX-Request-Id: shadowed\r\n");
    assert_eq!((passed.status(), passed.text().as_str()), (200, ""));
    assert_eq!(gateway.data_plane.access("shadowed")["shadow"], "external_unauthorized");
    let known = client::get_with(gateway.address(), "/api", "Cookie: session=alice\r\n");
    assert_eq!(known.text(), "alice");
}

#[test]
fn a_service_is_told_of_the_trace_that_the_request_is_a_part_of() {
    let (origin, service, collector) = (Origin::saying("in"), login(), Collector::start());
    let tracing = format!("tracing: {{ otlp_endpoint: \"{}\" }}\n", collector.url());
    let document = asking(Document::new(), "/api", (&origin, &service.url()), "");
    let gateway = Gateway::standalone(format!("{tracing}{document}"));
    let fields = "Cookie: session=alice\r\nTracestate: a=b\r\n\
                  Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Request-Id: traced\r\n";
    assert_eq!(client::get_with(gateway.address(), "/api", fields).status(), 200);
    let (span, _) = collector.exchange("traced");
    let question = service.only_request();
    assert_eq!(field(&question, "traceparent"), format!("00-{}-{}-01", span.trace, span.id));
    assert_eq!(field(&question, "tracestate"), "a=b");
}

#[test]
fn gwctl_shows_the_service_and_asks_it_nothing() {
    let (origin, service) = (Origin::saying("in"), login());
    let gateway = Gateway::standalone(asking(
        Document::new(),
        "/api",
        (&origin, &service.url()),
        ", cache: { ttl_seconds: 2.5, ignore: [query] }",
    ));
    let admin = gateway.data_plane.admin();
    let external = &gwctl_json(admin, &["routes"])[0]["auth"]["external"];
    assert_eq!(
        (external["url"].as_str(), &external["timeout_seconds"]),
        (Some(service.url().as_str()), &1.into())
    );
    assert_eq!(external["cache"], serde_json::json!({"ttl_seconds": 2.5, "ignore": ["query"]}));
    let table = gwctl(admin, &["routes"]).stdout;
    assert!(table.contains(&format!(" external {} (1 s, cache 2.5 s) ", service.url())), "{table}");
    let explained = gwctl(admin, &["explain", "GET", "/api"]).stdout;
    let told = format!("asks {}, which was not asked here; a yes of it holds for 2.5 s", service.url());
    assert!(explained.contains(&told), "{explained}");
    assert!(service.requests().is_empty());
}
