//! What `gwctl diff` says that a change would set back to its beginning, and what a running data plane then does set back.

use std::{collections::BTreeSet, net::SocketAddr};

use apigw_tests::{
    client::{self, Connection},
    configuration::ConfigFile,
    gate::Gate,
    gateway::{DataPlane, Source, gwctl_json},
    issuer::Issuer,
    origin::Origin,
    programs::Programs,
    waiting::eventually,
};
use serde_json::{Value, json};

use crate::auth::{KEY, with_issuer};

/// What a data plane remembers from one configuration to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Memory {
    /// A caller's bucket on the route `limited`.
    Bucket,
    /// That the breaker of the route `failing` is open.
    Breaker,
    /// That a request is under way on the route `streaming`.
    Permit,
    /// An unused connection to the upstream of the route `plain`.
    Pool,
    /// The keys of the provider.
    Keys,
}

/// A data plane that remembers something of each kind.
struct Scene {
    upstream: Origin,
    other: Origin,
    failing: Origin,
    _streaming: Origin,
    issuer: Issuer,
    gate: Gate,
    text: String,
    file: ConfigFile,
    data_plane: DataPlane,
    stream: Connection,
}

impl Scene {
    fn set() -> Self {
        let (upstream, other) = (Origin::saying("ok"), Origin::saying("other"));
        let failing = Origin::answering(|_| "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n".into());
        let gate = Gate::new();
        let passed = gate.clone();
        let streaming = Origin::scripted(move |peer| {
            peer.request()?;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
            passed.pass()?;
            peer.send("done")
        });
        let issuer = Issuer::serving(&[&KEY]);
        let breaker = "failure_threshold: 1, open_seconds: 600, half_open_max_in_flight: 1";
        let text = with_issuer(&issuer)
            .rate_limit("memory: { max_keys: 1000 }")
            .upstream("dial_timeout_seconds: 2")
            .route("limited", "/limited", upstream.url())
            .with("rate_limit: { enabled: true, rps: 0.001, burst: 100, scope: ip }")
            .route("failing", "/failing", failing.url())
            .with(&format!("circuit_breaker: {{ enabled: true, {breaker} }}"))
            .route("streaming", "/streaming", streaming.url())
            .with("concurrency: { max_in_flight: 5 }")
            .route("plain", "/plain", upstream.url())
            .to_string();
        let file = ConfigFile::new(&text);
        // Unused connections are each worker's own.
        let flags = ["--listen", "127.0.0.1:0", "--workers", "1"];
        let data_plane = DataPlane::start_with(Source::File(file.path()), &flags);
        let _ = data_plane.serves("/plain");
        eventually("the keys are fetched", || (issuer.asked() == 1).then_some(()));
        let traffic = data_plane.traffic();
        for left in ["99", "98", "97"] {
            assert_eq!(remaining(traffic).as_deref(), Some(left));
        }
        assert_eq!(client::get(traffic, "/failing").status(), 500);
        let mut stream = Connection::open(traffic);
        stream.ask("GET", "/streaming", "");
        streaming.await_request(0);
        Self { upstream, other, failing, _streaming: streaming, issuer, gate, text, file, data_plane, stream }
    }

    /// What `gwctl diff` says of an edit.
    fn told(&self, edited: &str) -> BTreeSet<Memory> {
        let after = ConfigFile::new(edited);
        let sides = [self.file.path(), after.path()].map(|path| path.display().to_string());
        let told = Programs::built().output("gwctl", &["-o", "json", "diff", &sides[0], &sides[1]]);
        let told: Value =
            serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"));
        let lines = told["resets"].as_array().expect("a list").iter().filter_map(Value::as_str);
        lines.map(memory).collect()
    }

    /// What is remembered no more when an edit is in force.
    fn seen(&self, edited: &str, told: &BTreeSet<Memory>) -> BTreeSet<Memory> {
        let (connections, asked) = (self.upstream.connections(), self.issuer.asked());
        self.file.save(edited);
        let _ = self.data_plane.serves("/edited");
        let traffic = self.data_plane.traffic();
        assert_eq!(client::get(traffic, "/plain").text(), "ok");
        let is_new_connection = self.upstream.connections() > connections;
        let left = remaining(traffic);
        // Keys are fetched beside everything else: whoever expects it waits.
        if told.contains(&Memory::Keys) {
            eventually("keys are fetched anew", || (self.issuer.asked() > asked).then_some(()));
        }
        let found = [
            (Memory::Pool, is_new_connection),
            (Memory::Bucket, left.as_deref() != Some("96")),
            (Memory::Breaker, self.row("/failing")["circuit_breaker"]["state"] != "open"),
            (Memory::Permit, self.row("/streaming")["concurrency"]["in_flight"] != json!(1)),
            (Memory::Keys, self.issuer.asked() > asked),
        ];
        found.into_iter().filter(|(_, is_gone)| *is_gone).map(|(memory, _)| memory).collect()
    }

    /// The live state of the route that serves a path now.
    fn row(&self, path: &str) -> Value {
        let admin = self.data_plane.admin();
        let route = gwctl_json(admin, &["explain", "GET", path])["route"].clone();
        let rows = gwctl_json(admin, &["limits"]);
        let row = rows.as_array().into_iter().flatten().find(|row| row["route"] == route).cloned();
        row.unwrap_or_else(|| panic!("no row is about {route}: {rows}"))
    }
}

/// What a line of the resets is about.
fn memory(line: &str) -> Memory {
    let is_about = |words: &str| line.contains(words);
    match line {
        _ if is_about("route limited is now") || is_about("all rate limits") => Memory::Bucket,
        _ if is_about("route limited: rate limit") => Memory::Bucket,
        _ if is_about("route failing is now") || is_about("route failing: circuit breaker") => {
            Memory::Breaker
        }
        _ if is_about("route streaming is now") => Memory::Permit,
        _ if is_about("provider default: its keys") => Memory::Keys,
        _ => panic!("what is reset by this: {line}"),
    }
}

/// What the caller has left after one more request.
fn remaining(traffic: SocketAddr) -> Option<String> {
    client::get(traffic, "/limited").field("x-ratelimit-remaining").map(str::to_owned)
}

/// Applies a change of the text: what is told beforehand is what is seen, and is this.
#[track_caller]
fn check(from: &str, to: &str, expected: &[Memory]) {
    let mut scene = Scene::set();
    let with_addresses = |text: &str| {
        let named = [("UPSTREAM", &scene.upstream), ("FAILING", &scene.failing), ("OTHER", &scene.other)];
        named.iter().fold(text.to_owned(), |text, (name, origin)| text.replace(name, &origin.url()))
    };
    let (from, to) = (with_addresses(from), with_addresses(to));
    assert!(scene.text.contains(&from), "{from:?} is not in the file");
    let edit = format!(
        "  - name: edited\n    match: {{ path_prefix: /edited }}\n    upstream: {}\n",
        scene.other.url()
    );
    let edited = scene.text.replace(&from, &to) + &edit;
    let told = scene.told(&edited);
    let seen = scene.seen(&edited, &told);
    let expected: BTreeSet<_> = expected.iter().copied().collect();
    assert_eq!((&told, &seen), (&expected, &expected), "told and seen of {from:?} -> {to:?}");
    scene.gate.open();
    assert_eq!(scene.stream.response().text(), "halfdone", "what has begun is finished, whatever changes");
}

#[test]
fn an_unrelated_edit_resets_nothing() {
    check("dial_timeout_seconds: 2", "dial_timeout_seconds: 2", &[]);
    check("max_in_flight: 5", "max_in_flight: 6", &[]);
}

#[test]
fn a_changed_quota_or_scope_fills_buckets_and_nothing_else() {
    check("rps: 0.001", "rps: 0.002", &[Memory::Bucket]);
    check("scope: ip", "scope: route", &[Memory::Bucket]);
    check("max_keys: 1000", "max_keys: 2000", &[Memory::Bucket]);
}

#[test]
fn a_changed_breaker_starts_closed_and_nothing_else_does() {
    check("failure_threshold: 1", "failure_threshold: 2", &[Memory::Breaker]);
    check("open_seconds: 600", "open_seconds: 700", &[Memory::Breaker]);
}

#[test]
fn a_renamed_route_begins_anew() {
    check("name: limited", "name: bounded", &[Memory::Bucket]);
    check("name: failing", "name: shaky", &[Memory::Breaker]);
    check("name: streaming", "name: flowing", &[Memory::Permit]);
}

#[test]
fn keys_of_a_changed_provider_are_fetched_anew() {
    check("/keys\"", "/jwks\"", &[Memory::Keys]);
    check("audiences: [apigw]", "audiences: [apigw, more]", &[]);
}

#[test]
fn another_upstream_resets_neither_bucket_nor_breaker() {
    check("/limited\n    upstream: UPSTREAM", "/limited\n    upstream: OTHER", &[]);
    check("/failing\n    upstream: FAILING", "/failing\n    upstream: OTHER", &[]);
    check("dial_timeout_seconds: 2", "dial_timeout_seconds: 3", &[]);
}
