//! The example files and the demo, as they are.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use apigw_tests::{
    certificates::{Authority, ClientName, Identity, SecureClient},
    client,
    collector::Collector,
    configuration::ConfigFile,
    gateway::{DataPlane, Gateway, Source, gwctl_json},
    origin::{Origin, ok, refusing},
    programs::Programs,
    waiting::eventually,
};

use crate::callers::{ALICE, BILLING, KEYS, SHOP, USERS};

fn examples() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples"))
}

#[test]
fn example_of_the_model_runs_unchanged() {
    let data_plane = DataPlane::start(Source::File(&examples().join("config.example.yaml")));
    let address = data_plane.traffic();
    eventually("it serves", || {
        client::try_get(address, "/healthz").ok().filter(|answer| answer.status() == 200)
    });
    assert_eq!(client::get(address, "/nowhere").json()["error"], "no_route");
    // Its upstream is on a fixed port, where nothing of this test may listen.
    let is_up = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 9999))).is_err();
    let public = client::get(address, "/public/hello");
    assert!(is_up || public.status() == 502, "{public:?}");
    let routes = gwctl_json(data_plane.admin(), &["routes"]);
    assert_eq!(routes[0]["rate_limit"]["scope"], "user");
    assert_eq!(routes[0]["circuit_breaker"]["half_open_max_in_flight"], 1);
    assert_eq!(routes[1]["upstream"], "http://127.0.0.1:9999");
}

#[test]
fn example_of_the_model_forwards() {
    let origin = Origin::answering(|request| ok(request.line()));
    let text = fs::read_to_string(examples().join("config.example.yaml")).expect("the example is there");
    let moved = text.replace("http://127.0.0.1:9999", &origin.url());
    assert_ne!(moved, text);
    let file = ConfigFile::new(moved);
    let data_plane = DataPlane::start(Source::File(file.path()));
    assert_eq!(data_plane.serves("/public/hello?a=1").text(), "GET /public/hello?a=1");
}

#[test]
fn example_of_hosts_forwards() {
    let origins = [9001, 9002, 9003].map(|port| (port, Origin::answering(|request| ok(request.line()))));
    let text = fs::read_to_string(examples().join("hosts.yaml")).expect("the example is there");
    let moved = origins.iter().fold(text, |text, (port, origin)| {
        text.replace(&format!("http://127.0.0.1:{port}"), &format!("{}/{port}", origin.url()))
    });
    let gateway = Gateway::standalone(moved);
    let served_by = |method: &str, host: &str, target: &str, fields: &str| {
        let mut connection = client::Connection::open(gateway.address());
        connection.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
        connection.response().text()
    };
    assert_eq!(served_by("GET", "api.example.com", "/orders/7", ""), "GET /9001/orders/7");
    assert_eq!(served_by("DELETE", "api.example.com", "/orders/7", ""), "DELETE /9002/orders/7");
    let beta = served_by("GET", "api.example.com", "/orders/7?beta=1", "X-Tier: gold\r\n");
    assert_eq!(beta, "GET /9003/orders/7?beta=1");
    assert_eq!(served_by("GET", "www.example.com", "/status", ""), "GET /9001/status");
}

#[test]
fn example_of_headers_forwards() {
    let origin = Origin::answering(|_| "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n".into());
    let text = fs::read_to_string(examples().join("headers.yaml")).expect("the example is there");
    let gateway = Gateway::standalone(text.replace("http://127.0.0.1:9001", &origin.url()));
    let answer = client::get_with(gateway.address(), "/", "X-Debug: 1\r\nCookie: a=b\r\n");
    assert_eq!((answer.field("server"), answer.field("x-content-type-options")), (None, Some("nosniff")));
    let seen = origin.only_request().head;
    assert_eq!((seen.field("x-client"), seen.field("cookie")), (Some("127.0.0.1"), None));
    assert_eq!(seen.field("x-via"), Some("apigw, route shop"));
}

#[test]
fn example_of_security_headers_says_them_and_changes_two() {
    let origin = Origin::saying("ok");
    let text = fs::read_to_string(examples().join("security-headers.yaml")).expect("the example is there");
    let gateway = Gateway::standalone(text.replace("http://127.0.0.1:9001", &origin.url()));
    let said = |path| {
        let answer = client::get(gateway.address(), path);
        let names = ["cross-origin-resource-policy", "x-permitted-cross-domain-policies", "x-frame-options"];
        names.map(|name| answer.field(name).map(str::to_owned))
    };
    let words = |words: [Option<&str>; 3]| words.map(|word| word.map(str::to_owned));
    assert_eq!(said("/api"), words([Some("same-origin"), Some("none"), Some("DENY")]));
    assert_eq!(said("/pictures"), words([Some("cross-origin"), None, Some("DENY")]));
}

#[test]
fn example_of_compression_sends_fewer_bytes() {
    let origin = Origin::answering(|request| {
        let (kind, text) = match request.line() {
            "GET /reports" => ("text/csv", "a,b,c\n".repeat(100)),
            _ => ("application/json", "[1, 2, 3]\n".repeat(200)),
        };
        let length = text.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{text}")
    });
    let text = fs::read_to_string(examples().join("compression.yaml")).expect("the example is there");
    let gateway = Gateway::standalone(text.replace("http://127.0.0.1:9001", &origin.url()));
    for (path, coding, most) in [("/catalogue", "br", 200), ("/reports", "gzip", 100)] {
        let answer = client::get_with(gateway.address(), path, "Accept-Encoding: gzip, br\r\n");
        assert_eq!(answer.field("content-encoding"), Some(coding), "{path}");
        assert!(answer.body.len() < most, "{path}: {} bytes", answer.body.len());
    }
}

#[test]
fn example_of_tracing_tells_a_collector_of_a_trace_that_others_began() {
    let (origin, collector) = (Origin::saying("ok"), Collector::start());
    let text = fs::read_to_string(examples().join("tracing.yaml")).expect("the example is there");
    let moved = text.replace("http://127.0.0.1:9001", &origin.url());
    let gateway = Gateway::standalone(moved.replace("http://127.0.0.1:4317", &collector.url()));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let fields = format!("X-Request-Id: asked\r\nTraceparent: 00-{trace}-00f067aa0ba902b7-01\r\n");
    assert_eq!(client::get_with(gateway.address(), "/orders/7", &fields).text(), "ok");
    let (span, attempts) = collector.exchange("asked");
    assert_eq!((span.trace.as_str(), span.attribute("apigw.route"), attempts.len()), (trace, "orders", 1));
}

#[test]
fn example_of_timeouts_waits_no_longer_than_it_says() {
    let silent = Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    });
    let events = Origin::saying("an event");
    let text = fs::read_to_string(examples().join("timeouts.yaml")).expect("the example is there");
    let moved = text.replace("http://127.0.0.1:9001", &silent.url());
    let gateway = Gateway::standalone(moved.replace("http://127.0.0.1:9002", &events.url()));
    assert_eq!(client::get(gateway.address(), "/events").text(), "an event");
    assert_eq!(client::get_with(gateway.address(), "/api", "X-Request-Id: late\r\n").status(), 504);
    assert_eq!(gateway.data_plane.access("late")["why"], "upstream_timeout");
}

#[test]
fn example_of_adaptive_limits_serves_and_shows_its_numbers() {
    let origin = Origin::saying("a report");
    let text = fs::read_to_string(examples().join("adaptive.yaml")).expect("the example is there");
    let gateway = Gateway::standalone(text.replace("http://127.0.0.1:9001", &origin.url()));
    for _ in 0..10 {
        assert_eq!(client::get(gateway.address(), "/reports").text(), "a report");
    }
    let limits = gwctl_json(gateway.data_plane.admin(), &["limits"]);
    let adaptive = &limits[0]["concurrency"]["adaptive"];
    assert_eq!((&adaptive["min"], &adaptive["max"]), (&2.into(), &200.into()));
    assert!(adaptive["latency_seconds"].as_f64() > Some(0.0), "{adaptive}");
}

#[test]
fn example_of_retries_finds_the_endpoint_that_is_well() {
    let origin = Origin::saying("well");
    let text = fs::read_to_string(examples().join("retries.yaml")).expect("the example is there");
    let moved = text.replace("http://127.0.0.1:9001", &format!("http://{}", refusing()));
    let gateway = Gateway::standalone(moved.replace("http://127.0.0.1:9002", &origin.url()));
    for _ in 0..10 {
        assert_eq!(client::get(gateway.address(), "/catalogue").text(), "well");
    }
}

#[test]
fn example_of_hedging_asks_another_endpoint() {
    let silent = Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    });
    let well = Origin::saying("well");
    let text = fs::read_to_string(examples().join("hedging.yaml")).expect("the example is there");
    let text = text.replace("http://127.0.0.1:9001", &silent.url());
    let gateway = Gateway::standalone(text.replace("http://127.0.0.1:9002", &well.url()));
    for _ in 0..4 {
        assert_eq!(client::get(gateway.address(), "/catalogue").text(), "well");
    }
    assert!(!silent.requests().is_empty());
}

#[test]
fn example_of_names_has_an_endpoint_for_each_address() {
    let origin = Origin::saying("an order");
    let text = fs::read_to_string(examples().join("names.yaml")).expect("the example is there");
    let port = origin.address().port();
    let gateway = Gateway::standalone(text.replace("orders.internal:9001", &format!("localhost:{port}")));
    let rows = gwctl_json(gateway.data_plane.admin(), &["backends"]);
    let rows = rows.as_array().expect("there are rows");
    let row = rows.iter().find(|row| row["url"] == format!("http://127.0.0.1:{port}"));
    assert_eq!(row.expect("it is an address of localhost")["name"], "localhost");
    // The others, if this machine has more, are found to be closed.
    eventually("the address that is open is asked", || {
        let answers = (0..4).map(|_| client::get(gateway.address(), "/orders/7").text());
        answers.into_iter().all(|answer| answer == "an order").then_some(())
    });
}

#[test]
fn example_of_sessions_keeps_a_client_with_its_endpoint() {
    let origins = [Origin::saying("first"), Origin::saying("second")];
    let text = fs::read_to_string(examples().join("sessions.yaml")).expect("the example is there");
    let moved = text.replace("http://127.0.0.1:9001", &origins[0].url());
    let gateway = Gateway::standalone(moved.replace("http://127.0.0.1:9002", &origins[1].url()));
    let first = client::get(gateway.address(), "/shop/");
    let told = first.field("set-cookie").expect("there is a cookie");
    assert!(told.contains("; Max-Age=3600;"), "{told}");
    let cookie = format!("Cookie: {}\r\n", told.split(';').next().unwrap_or_default());
    for _ in 0..10 {
        assert_eq!(client::get_with(gateway.address(), "/shop/", &cookie).text(), first.text());
    }
}

#[test]
fn example_of_health_leaves_out_who_is_not_well() {
    let well = Origin::answering(|request| ok(request.line()));
    let ill = Origin::answering(|_| "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".into());
    let text = fs::read_to_string(examples().join("health.yaml")).expect("the example is there");
    let text =
        text.replace("http://127.0.0.1:9001", &well.url()).replace("http://127.0.0.1:9002", &ill.url());
    let gateway = Gateway::standalone(text);
    eventually("it is left out", || {
        let rows = gwctl_json(gateway.data_plane.admin(), &["backends"]);
        (rows[1]["health"] == "unhealthy").then_some(())
    });
    let mut connection = client::Connection::open(gateway.address());
    for _ in 0..10 {
        assert_eq!(connection.get("/orders/7").text(), "GET /orders/7");
    }
}

#[test]
fn example_of_draining_sends_to_who_stays() {
    let (staying, leaving) = (Origin::saying("stays"), Origin::saying("leaves"));
    let text = fs::read_to_string(examples().join("draining.yaml")).expect("the example is there");
    let text = text
        .replace("http://127.0.0.1:9001", &staying.url())
        .replace("http://127.0.0.1:9002", &leaving.url());
    let gateway = Gateway::standalone(text);
    for _ in 0..10 {
        assert_eq!(client::get(gateway.address(), "/orders/7").text(), "stays");
    }
}

#[test]
fn example_of_a_canary_shares_requests_and_keeps_callers() {
    let (old, new) = (Origin::saying("old"), Origin::saying("new"));
    let text = fs::read_to_string(examples().join("canary.yaml")).expect("the example is there");
    let text = text.replace("http://127.0.0.1:9001", &old.url()).replace("http://127.0.0.1:9002", &new.url());
    let gateway = Gateway::standalone(text);
    let mut connection = client::Connection::open(gateway.address());
    let taken = (0..100).filter(|_| connection.get("/orders").text() == "new");
    assert_eq!(taken.count(), 10);
    for user in 0..20 {
        let cookie = format!("Cookie: session=s{user}\r\n");
        let answers = [(); 3].map(|()| client::get_with(gateway.address(), "/account", &cookie).text());
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
}

#[test]
fn example_of_callers_knows_machines_and_people() {
    let origin = Origin::answering(|request| ok(request.head.field("x-user").unwrap_or("nobody")));
    // The keys and users of tests/e2e/callers.rs.
    let (keys, users) = (ConfigFile::new(KEYS), ConfigFile::new(USERS));
    let text = fs::read_to_string(examples().join("callers.yaml")).expect("the example is there");
    let text = text
        .replace("/etc/apigw/api-keys.yaml", &keys.path().display().to_string())
        .replace("/etc/apigw/users.htpasswd", &users.path().display().to_string());
    let moved = ["9001", "9002", "9003"]
        .iter()
        .fold(text, |text, port| text.replace(&format!("http://127.0.0.1:{port}"), &origin.url()));
    let gateway = Gateway::standalone(moved);
    let ask = |path: &str, fields: &str| client::get_with(gateway.address(), path, fields);
    assert_eq!(ask("/orders/7", BILLING).text(), "billing");
    assert_eq!([SHOP, ALICE].map(|fields| ask("/orders/7", fields).status()), [403, 401]);
    assert_eq!([SHOP, ALICE].map(|fields| ask("/reports/7", fields).status()), [200, 200]);
    let both = format!("{SHOP}{ALICE}");
    assert_eq!([SHOP, ALICE, &both].map(|fields| ask("/payroll/7", fields).status()), [401, 401, 200]);
}

#[test]
fn example_of_external_auth_lets_pass_whom_the_service_knows() {
    let origin = Origin::answering(|request| ok(request.head.field("x-user").unwrap_or("nobody")));
    let service = Origin::answering(|request| match request.head.field("cookie") {
        Some("session=alice") => "HTTP/1.1 204 No Content\r\nX-User: alice\r\n\r\n".into(),
        _ => "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n".into(),
    });
    let text = fs::read_to_string(examples().join("external-auth.yaml")).expect("the example is there");
    let text =
        text.replace("http://127.0.0.1:9001", &origin.url()).replace("http://127.0.0.1:9100", &service.url());
    let gateway = Gateway::standalone(text);
    let ask = |path: &str, fields: &str| client::get_with(gateway.address(), path, fields);
    assert_eq!(ask("/orders", "Cookie: session=alice\r\n").text(), "alice");
    assert_eq!(ask("/orders", "X-User: root\r\n").field("location"), Some("/login"));
    assert_eq!(ask("/assets/logo.svg", "X-User: root\r\n").text(), "nobody");
}

#[test]
fn example_of_a_remembered_yes_asks_the_service_once() {
    let origin = Origin::answering(|request| ok(request.head.field("x-user").unwrap_or("nobody")));
    let service = Origin::answering(|_| "HTTP/1.1 204 No Content\r\nX-User: alice\r\n\r\n".into());
    let text = fs::read_to_string(examples().join("external-auth-cache.yaml")).expect("the example is there");
    let text = text
        .replace("http://127.0.0.1:9001", &origin.url())
        .replace("http://127.0.0.1:9100", &service.url())
        .replace("ttl_seconds: 5", "ttl_seconds: 3600");
    let file = ConfigFile::new(text);
    let flags = ["--listen", "127.0.0.1:0", "--workers", "1"];
    let data_plane = DataPlane::start_with(Source::File(file.path()), &flags);
    for path in ["/orders", "/users?a=b"] {
        let answer = client::get_with(data_plane.traffic(), path, "Cookie: session=alice\r\n");
        assert_eq!(answer.text(), "alice");
    }
    assert_eq!(service.requests().len(), 1);
    for path in ["/admin/a", "/admin/b"] {
        assert_eq!(client::get(data_plane.traffic(), path).status(), 200);
    }
    assert_eq!(service.requests().len(), 3);
}

#[test]
fn example_of_mtls_knows_machines_by_their_certificates() {
    let origin = Origin::answering(|request| ok(request.head.field("x-client").unwrap_or("nobody")));
    let (authority, clients) = (Authority::new(), Authority::new());
    let own = authority.identity();
    let shop = clients.client(&[ClientName::Uri("spiffe://prod.example/ns/shop/till")]);
    let other = clients.client(&[ClientName::Uri("spiffe://prod.example/ns/other/till")]);
    let text = fs::read_to_string(examples().join("mtls.yaml")).expect("the example is there");
    let text = text
        .replace("http://127.0.0.1:9001", &origin.url())
        .replace("/etc/apigw/gateway.pem", &own.path("cert.pem").display().to_string())
        .replace("/etc/apigw/gateway.key", &own.path("key.pem").display().to_string())
        .replace("/etc/apigw/clients.pem", &shop.path("ca.pem").display().to_string());
    let gateway = Gateway::standalone(text);
    let ask = |path: &str, shown: Option<&Identity>| {
        let mut client = SecureClient::open(gateway.address(), &authority, shown).expect("a handshake");
        client.get(path).expect("an answer")
    };
    assert!(ask("/orders/7", Some(&shop)).ends_with("spiffe://prod.example/ns/shop/till"));
    assert!(ask("/orders/7", Some(&other)).starts_with("HTTP/1.1 403"));
    assert!(ask("/orders/7", None).starts_with("HTTP/1.1 401"));
    assert!(ask("/catalogue/7", None).ends_with("nobody"));
}

#[test]
fn example_of_slow_start_gives_a_new_endpoint_little() {
    let (old, new) = (Origin::saying("old"), Origin::saying("new"));
    let text = fs::read_to_string(examples().join("slow-start.yaml")).expect("the example is there");
    let text = text.replace("http://127.0.0.1:9001", &old.url());
    let gateway = Gateway::standalone(text.replace(", { url: \"http://127.0.0.1:9002\" }", ""));
    assert_eq!(client::get(gateway.address(), "/orders").text(), "old");
    let text = text.replace("http://127.0.0.1:9002", &new.url());
    gateway.file.save(text.replace("slow_start_seconds: 30", "slow_start_seconds: 86400"));
    eventually("it is given requests", || {
        (client::get(gateway.address(), "/orders").text() == "new").then_some(())
    });
    let mut connection = client::Connection::open(gateway.address());
    let given = (0..110).filter(|_| connection.get("/orders").text() == "new").count();
    assert!((8..=25).contains(&given), "{given}");
}

#[test]
fn example_of_a_mirror_sends_copies_and_answers_from_one() {
    let (old, new) = (Origin::saying("old"), Origin::saying("new"));
    let text = fs::read_to_string(examples().join("mirror.yaml")).expect("the example is there");
    let text = text.replace("http://127.0.0.1:9001", &old.url()).replace("http://127.0.0.1:9002", &new.url());
    let gateway = Gateway::standalone(text.replace("percent: 10", "percent: 100"));
    for _ in 0..5 {
        assert_eq!(client::get(gateway.address(), "/orders/7").text(), "old");
    }
    new.await_request(4);
    assert_eq!(new.request(4).line(), "GET /orders/7");
}

#[test]
fn example_of_redirects_answers_and_forwards() {
    let origin = Origin::answering(|request| {
        ok(&format!("{} {}", request.line(), request.head.field("host").unwrap_or_default()))
    });
    let text = fs::read_to_string(examples().join("redirects.yaml")).expect("the example is there");
    let gateway = Gateway::standalone(text.replace("http://127.0.0.1:9001", &origin.url()));
    let ask = |host: &str, target: &str| {
        let mut connection = client::Connection::open(gateway.address());
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        connection.response()
    };
    let moved = ask("old.example.com", "/shop/7?a=b");
    assert_eq!(moved.field("location"), Some("https://www.example.com/store/7?a=b"));
    assert_eq!(ask("h", "/contact.html").field("location"), Some("http://h/contact"));
    assert_eq!(ask("h", "/robots.txt").text(), "User-agent: *\nDisallow: /\n");
    assert_eq!((ask("h", "/v0/x").status(), ask("h", "/v0/x").json()["error"].as_str()), (410, Some("gone")));
    assert_eq!(ask("h", "/orders/7").text(), "GET /v2/orders/7 h");
    assert_eq!(ask("h", "/users/7/x").text(), "GET /accounts/7/x users.internal");
}

#[test]
fn every_example_is_valid() {
    let files = fs::read_dir(examples()).expect("there are examples").map_while(Result::ok);
    let files: Vec<_> = files.map(|entry| entry.path().display().to_string()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let validated = Programs::built().output("gwctl", &["validate", &file]);
        assert_eq!(validated.code, Some(0), "{file}: {validated:?}");
    }
}

#[test]
fn first_configuration_of_the_readme_is_valid() {
    let readme = fs::read_to_string(examples().join("../../README.md")).expect("there is a README");
    let text = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let file = ConfigFile::new(text.expect("the README has a configuration"));
    let validated = Programs::built().output("gwctl", &["validate", &file.path().display().to_string()]);
    assert_eq!(validated.code, Some(0), "{validated:?}");
}

#[test]
fn demo_keeps_its_promises() {
    let checked = Programs::built().output("demo", &["--check"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    for step in &apigw_tests::tour::STEPS {
        assert!(checked.stdout.contains(step.title), "{} was left out:\n{}", step.title, checked.stdout);
    }
}
