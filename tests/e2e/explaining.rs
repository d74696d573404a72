//! What `gwctl explain` says of a request, and what becomes of it when it is sent.

use apigw_tests::{
    client,
    configuration::Document,
    gateway::{Fleet, Gateway, gwctl, gwctl_json},
    origin::Origin,
    tokens::{Claims, hs256},
    waiting::eventually,
};
use serde_json::{Value, json};

const SECRET: &str = "a secret of thirty-two bytes, or more";

fn file(upstream: &Origin) -> Document {
    Document::new()
        .auth("mode: hmac")
        .auth(&format!("hmac_secret: \"{SECRET}\""))
        .route("all", "/", upstream.url())
        .route("users", "/api/users/", format!("{}/base", upstream.url()))
        .with("strip_prefix: /api")
        .with("auth_required: true")
        .with("auth: { required_scopes: [read] }")
        .route("limited", "/limited", upstream.url())
        .with("rate_limit: { enabled: true, rps: 0.001, burst: 2, scope: ip }")
        .route("denied", "/denied", upstream.url())
        .with("deny_cidrs: [\"127.0.0.0/8\"]")
        .route("watched", "/watched", upstream.url())
        .with("deny_cidrs: [\"127.0.0.0/8\"]")
        .with("cidrs_mode: shadow")
        .route("narrow", "/narrow", upstream.url())
        .with("max_header_bytes: 200")
}

fn token(lifetime: std::time::Duration) -> String {
    hs256(SECRET, Claims { subject: "alice", issuer: None, audience: None, lifetime })
}

fn explained(gateway: &Gateway, target: &str, fields: &[(String, String)]) -> Value {
    let mut arguments = vec!["explain".to_owned(), "GET".into(), target.into()];
    for (name, value) in fields {
        arguments.extend(["-H".to_owned(), format!("{name}: {value}")]);
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    gwctl_json(gateway.data_plane.admin(), &arguments)
}

#[test]
fn what_is_explained_is_what_happens() {
    let upstream = Origin::saying("ok");
    let gateway = Gateway::standalone(file(&upstream));
    let bearer = |token: String| vec![("authorization".to_owned(), format!("Bearer {token}"))];
    let long = vec![("x-long".to_owned(), "x".repeat(300))];
    let valid = token(std::time::Duration::from_mins(10));
    let cases = [
        ("/", vec![]),
        ("/other?x=1", vec![]),
        ("/api/users/7", vec![]),
        ("/api/users/7", bearer("a.b.c".into())),
        ("/api/users/7", bearer(valid)),
        ("/denied/x", vec![]),
        ("/watched/x", vec![]),
        ("/narrow", long),
        ("/a/../b//c", vec![]),
        ("/a%2fb", vec![]),
        ("/limited", vec![]),
        ("/limited", vec![]),
        ("/limited", vec![]),
    ];
    for (target, fields) in cases {
        let told = explained(&gateway, target, &fields);
        let sent =
            fields.iter().fold(String::new(), |sent, (name, value)| sent + name + ": " + value + "\r\n");
        let answer = client::get_with(gateway.address(), target, &sent);
        let status = told["outcome"]["status"].as_u64().unwrap_or(200);
        assert_eq!(u64::from(answer.status()), status, "{target} {fields:?}: {told}");
        let line = gateway.data_plane.access(answer.field("x-request-id").expect("an id"));
        assert_eq!(line["route"].as_str(), Some(told["route"].as_str().unwrap_or_default()), "{told}");
        assert_eq!(line["why"].as_str(), Some(told["outcome"]["reason"].as_str().unwrap_or("ok")), "{told}");
        if answer.status() == 200 {
            let path = told["upstream"]["path"].as_str().expect("it goes upstream");
            let seen = upstream.requests().last().expect("it was sent").line().to_owned();
            assert_eq!(seen, format!("GET {path}"), "{target}: {told}");
        }
    }
}

#[test]
fn asking_changes_nothing() {
    let upstream = Origin::saying("ok");
    let gateway = Gateway::standalone(file(&upstream));
    for _ in 0..5 {
        assert_eq!(explained(&gateway, "/limited", &[])["outcome"]["status"], json!(null));
    }
    assert!(upstream.requests().is_empty());
    assert_eq!(client::get(gateway.address(), "/limited").field("x-ratelimit-remaining"), Some("1"));
}

#[test]
fn a_file_is_asked_without_a_server_and_names_its_lines() {
    let upstream = Origin::saying("ok");
    let gateway = Gateway::standalone(file(&upstream));
    let path = gateway.file.path().display().to_string();
    let nowhere = "127.0.0.1:1".parse().expect("an address");
    let arguments = ["explain", "GET", "/api/users/7", "--claims", "{\"sub\":\"a\"}", "--config", &path];
    let told = gwctl_json(nowhere, &arguments);
    assert_eq!(told["outcome"], json!({"status": 403, "reason": "scope_missing"}));
    let policies = told["policies"].as_array().expect("a list");
    let auth = policies.iter().find(|policy| policy["policy"] == "auth").expect("auth is judged");
    let line = auth["source"]["line"].as_u64().expect("the file says so somewhere");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    let line = usize::try_from(line).expect("a small number");
    assert!(text.lines().nth(line - 1).is_some_and(|text| text.contains("required_scopes")), "{auth}");
}

#[test]
fn a_person_is_told_whom_else_to_ask_and_how_to_take_a_change_back() {
    let upstream = Origin::saying("ok");
    let open = Document::new().route("all", "/", upstream.url());
    let fleet = Fleet::start(&open, 1);
    let closed =
        open.auth("mode: hmac").auth(&format!("hmac_secret: \"{SECRET}\"")).with("auth_required: true");
    fleet.file.save(closed);
    let address = fleet.data_planes[0].traffic();
    eventually("the edit refuses requests", || (client::get(address, "/x").status() == 401).then_some(()));

    let told = gwctl(fleet.control_plane.address(), &["explain", "GET", "/x"]);
    assert!(told.stdout.starts_with("refused with 401, reason jwt_missing"), "{told:?}");
    let id = fleet.synchronised()["data_planes"][0]["id"].as_str().unwrap_or_default().to_owned();
    for hint in ["only data planes know", &id, "\"gwctl rollback\" takes it back"] {
        assert!(told.stderr.contains(hint), "{hint}: {told:?}");
    }
    let told = gwctl(fleet.data_planes[0].admin(), &["explain", "GET", "/x"]);
    assert!(told.stderr.contains("of its control plane") && !told.stderr.contains("at rest"), "{told:?}");
    let told = gwctl(fleet.control_plane.address(), &["-o", "json", "explain", "GET", "/x"]);
    assert_eq!(told.stderr, "", "scripts are told nothing else");

    let told = gwctl(fleet.control_plane.address(), &["rollback"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    eventually("the edit is taken back", || (client::get(address, "/x").status() == 200).then_some(()));
    let told = gwctl(fleet.control_plane.address(), &["rollback"]);
    assert!(told.stderr.contains("the last change was a rollback, and this takes it back"), "{told:?}");
}
