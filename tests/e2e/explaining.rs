//! What `gwctl explain` says of a request, and what becomes of it when it is sent.

use std::{fs, net::SocketAddr};

use apigw_tests::{
    client,
    configuration::Document,
    gateway::{Fleet, Gateway, gwctl, gwctl_json, state_directory},
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
    let (file, line) = source(&told, "auth").expect("the file says so somewhere");
    let text = fs::read_to_string(&file).expect("the file is there");
    assert!(line_of(&text, line).contains("required_scopes"), "{told}");
}

/// The file and line behind the verdict of a policy, if they are told.
fn source(told: &Value, policy: &str) -> Option<(String, u64)> {
    let policies = told["policies"].as_array().expect("a list");
    let source =
        &policies.iter().find(|verdict| verdict["policy"] == policy).expect("it is judged")["source"];
    Some((source["file"].as_str()?.into(), source["line"].as_u64()?))
}

fn line_of(text: &str, line: u64) -> &str {
    let line = usize::try_from(line).expect("a small number");
    text.lines().nth(line - 1).expect("the line is there")
}

/// A file whose route has a limit so high, below so many lines of comment.
fn limited(upstream: &Origin, comments: usize, rps: u32) -> String {
    let limit = format!("rate_limit: {{ enabled: true, rps: {rps}, burst: {rps}, scope: ip }}");
    let document = Document::new().route("all", "/", upstream.url()).with(&limit).to_string();
    "# a comment\n".repeat(comments) + &document
}

/// What a program at this address says of the limit, with these further arguments.
fn of_limit(address: SocketAddr, further: &[&str]) -> (Value, Option<(String, u64)>) {
    let told = gwctl_json(address, &[&["explain", "GET", "/"], further].concat());
    let place = source(&told, "rate_limit");
    (told, place)
}

fn line_with_limit(text: &str) -> u64 {
    let before = text.lines().take_while(|line| !line.contains("rate_limit")).count();
    u64::try_from(before).expect("a small number") + 1
}

#[test]
fn what_runs_names_its_lines_and_follows_them_when_they_move() {
    let upstream = Origin::saying("ok");
    let gateway = Gateway::standalone(limited(&upstream, 0, 5));
    let path = gateway.file.path().display().to_string();
    let admin = gateway.data_plane.admin();
    for comments in [0, 3] {
        let text = limited(&upstream, comments, 5);
        gateway.file.save(&text);
        let expected = Some((path.clone(), line_with_limit(&text)));
        eventually("the line is told", || (of_limit(admin, &[]).1 == expected).then_some(()));
    }
    let lines = line_with_limit(&limited(&upstream, 3, 5));
    gateway.file.save("routes: [");
    eventually("the file is another than what runs", || {
        let (file, line) = of_limit(admin, &[]).1.expect("what ran before still runs");
        assert_eq!(line, lines);
        file.starts_with(&format!("{path}@1-")).then_some(())
    });
}

#[test]
fn every_revision_that_is_kept_is_asked_and_names_its_lines() {
    let upstream = Origin::saying("ok");
    let texts = [limited(&upstream, 0, 5), limited(&upstream, 4, 50), limited(&upstream, 2, 500)];
    let fleet = Fleet::start(&texts[0], 1);
    let address = fleet.control_plane.address();
    let path = fleet.file.path().display().to_string();
    for (seq, text) in (2..).zip(&texts[1..]) {
        fleet.file.save(text);
        eventually("it is published", || {
            (fleet.status()["control_plane"]["revision"]["seq"] == seq).then_some(())
        });
    }
    let name = |told: &Value| {
        let hash = told["revision"]["hash"].as_str().expect("a revision has a hash");
        format!("{path}@{}-{}", told["revision"]["seq"], &hash[..8])
    };
    for (seq, left) in [("1", 4), ("2", 49), ("previous", 49)] {
        let (told, place) = of_limit(address, &["--revision", seq]);
        let text = &texts[usize::from(seq != "1")];
        assert_eq!(place, Some((name(&told), line_with_limit(text))), "{told}");
        assert!(told.to_string().contains(&format!("{left} left after it")), "{told}");
    }
    for further in [&[][..], &["--revision", "current"], &["--revision", "3"]] {
        let (told, place) = of_limit(address, further);
        assert_eq!(
            (&told["revision"]["seq"], place),
            (&json!(3), Some((path.clone(), line_with_limit(&texts[2]))))
        );
    }
    let rolled_back = gwctl(address, &["rollback", "1"]);
    assert_eq!(rolled_back.code, Some(0), "{rolled_back:?}");
    let (told, place) = of_limit(address, &[]);
    assert_eq!(told["revision"]["seq"], 4, "{told}");
    assert_eq!(
        place,
        Some((name(&told), line_with_limit(&texts[0]))),
        "the file says something else: {told}"
    );
    let table = gwctl(address, &["explain", "GET", "/"]);
    assert!(table.stdout.contains(&format!("{}:{}", name(&told), line_with_limit(&texts[0]))), "{table:?}");
    let unknown = gwctl(address, &["explain", "GET", "/", "--revision", "99"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("99 is not kept"), "{unknown:?}");
}

#[test]
fn a_text_that_is_not_there_costs_the_lines_and_is_told() {
    let upstream = Origin::saying("ok");
    let fleet = Fleet::start(limited(&upstream, 0, 5), 1);
    let address = fleet.control_plane.address();
    let texts = state_directory(fleet.file.path()).join("texts");
    for entry in fs::read_dir(&texts).expect("texts are kept") {
        fs::write(entry.expect("an entry").path(), "damaged").expect("it is written");
    }
    let (told, place) = of_limit(address, &[]);
    assert_eq!((&told["outcome"]["status"], place), (&json!(null), None), "{told}");
    let said = gwctl(address, &["explain", "GET", "/"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let reason = "gwctl: no lines of the file: of revision 1, its text is damaged on the disk";
    assert_eq!(said.stderr.lines().next(), Some(reason));
}

#[test]
fn a_data_plane_that_follows_has_no_lines_and_keeps_no_revisions() {
    let upstream = Origin::saying("ok");
    let fleet = Fleet::start(limited(&upstream, 0, 5), 1);
    let admin = fleet.data_planes[0].admin();
    assert_eq!(of_limit(admin, &[]).1, None);
    let said = gwctl(admin, &["explain", "GET", "/"]);
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    assert!(said.stderr.contains("ask the control plane"), "{said:?}");
    let refused = gwctl(admin, &["explain", "GET", "/", "--revision", "1"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("keeps no history"), "{refused:?}");
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
