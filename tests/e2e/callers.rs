//! Other ways to know a caller than by tokens: API keys and passwords, any of several or all.

use apigw_tests::{
    client::{self, Response},
    configuration::{ConfigFile, Document},
    gateway::{Gateway, gwctl, gwctl_json},
    origin::{Origin, Request},
    programs::Programs,
    waiting::eventually,
};

/// The SHA-256 of `key-of-billing`, `key-of-shop` and `key-of-old`.
pub(crate) const KEYS: &str = "\
keys:
- name: billing
  sha256: f7c28d1179e4b9f9b5df3f63b32285089c8f28b69f930e0a4e0e4b43e23d6ca6
  scopes: [orders:read]
- { name: shop, sha256: 625ec9a8bfc54cc62de07d58b187d9e967e1fbcaa61cf9acd03ce7995c261a8d }
- { name: old, sha256: 8275452d274ed490a111b9feef1e542673122ca2f6ea53d5fc733b16dfe360df, expires: 2020-01-01T00:00:00Z }
";

/// The password of alice is `secret`, by bcrypt; that of bob is `password`, by Argon2.
pub(crate) const USERS: &str = "\
# made by htpasswd -B
alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW
bob:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4
";

pub(crate) const ALICE: &str = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
const ALICE_WRONG: &str = "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n";
const BOB: &str = "Authorization: Basic Ym9iOnBhc3N3b3Jk\r\n";
pub(crate) const BILLING: &str = "X-Api-Key: key-of-billing\r\n";
pub(crate) const SHOP: &str = "x-api-key: key-of-shop\r\n";

/// A gateway with files of keys and users.
struct Known {
    keys: ConfigFile,
    users: ConfigFile,
    gateway: Gateway,
}

impl Known {
    /// The routes are added by the caller.
    fn with(routes: impl FnOnce(Document) -> Document) -> Self {
        let (keys, users) = (ConfigFile::new(KEYS), ConfigFile::new(USERS));
        let document = Document::new()
            .auth(&format!("api_keys: {{ file: \"{}\" }}", keys.path().display()))
            .auth(&format!("basic: {{ file: \"{}\", realm: orders }}", users.path().display()));
        let gateway = Gateway::standalone(routes(document));
        Self { keys, users, gateway }
    }

    fn ask(&self, path: &str, fields: &str) -> Response {
        client::get_with(self.gateway.address(), path, fields)
    }

    /// The status, and why it was that one.
    fn answer(&self, path: &str, fields: &str) -> (u16, String) {
        let answer = self.ask(path, fields);
        let id = answer.field("x-request-id").expect("every answer has an id");
        let line = self.gateway.data_plane.access(id);
        (answer.status(), line["why"].as_str().expect("it says why").into())
    }
}

/// The value of a field of a request that an upstream was sent; empty: there is none.
fn field<'r>(request: &'r Request, name: &str) -> &'r str {
    request.head.field(name).unwrap_or_default()
}

#[test]
fn a_caller_is_known_by_his_api_key_and_the_upstream_never_sees_it() {
    let origin = Origin::saying("in");
    let known = Known::with(|document| {
        document
            .route("keyed", "/keyed", origin.url())
            .with("auth_required: true")
            .with("auth: { any: [api_key], forward_claims: { sub: X-User } }")
            .route("open", "/open", origin.url())
    });
    let answer = known.ask("/keyed", BILLING);
    assert_eq!((answer.status(), answer.text().as_str()), (200, "in"));
    known.ask("/open", SHOP);
    let requests = origin.requests();
    assert_eq!([0, 1].map(|index| field(&requests[index], "x-user")), ["billing", ""]);
    assert!(requests.iter().all(|request| field(request, "x-api-key").is_empty()), "{requests:?}");

    for (fields, why) in [
        ("", "api_key_missing"),
        ("X-Api-Key: key-of-nobody\r\n", "api_key_unknown"),
        ("X-Api-Key: key-of-old\r\n", "api_key_expired"),
        ("X-Api-Key: key-of-shop\r\nX-Api-Key: key-of-billing\r\n", "api_key_several"),
        (ALICE, "api_key_missing"),
    ] {
        assert_eq!(known.answer("/keyed", fields), (401, why.into()), "{fields}");
    }
    assert_eq!(known.ask("/keyed", "").field("www-authenticate"), Some("ApiKey"));
}

#[test]
fn a_caller_is_known_by_his_password_and_the_upstream_never_sees_it() {
    let origin = Origin::saying("in");
    let known = Known::with(|document| {
        document
            .route("all", "/", origin.url())
            .with("auth_required: true")
            .with("auth: { any: [basic], forward_claims: { sub: X-User } }")
    });
    for fields in [ALICE, BOB, ALICE] {
        assert_eq!(known.ask("/", fields).status(), 200, "{fields}");
    }
    let requests = origin.requests();
    assert_eq!([0, 1, 2].map(|index| field(&requests[index], "x-user")), ["alice", "bob", "alice"]);
    assert!(requests.iter().all(|request| field(request, "authorization").is_empty()), "{requests:?}");

    for (fields, why) in [
        ("", "basic_missing"),
        ("Authorization: Bearer a.b.c\r\n", "basic_missing"),
        ("Authorization: Basic !\r\n", "basic_malformed"),
        (
            "Authorization: Basic YWxpY2U6c2VjcmV0\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n",
            "basic_several",
        ),
        (ALICE_WRONG, "basic_wrong"),
        ("Authorization: Basic bm9ib2R5OnNlY3JldA==\r\n", "basic_wrong"),
    ] {
        assert_eq!(known.answer("/", fields), (401, why.into()), "{fields}");
    }
    let challenge = "Basic realm=\"orders\", charset=\"UTF-8\"";
    assert_eq!(known.ask("/", ALICE_WRONG).field("www-authenticate"), Some(challenge));
}

#[test]
fn no_upstream_sees_a_password_while_nobody_is_asked_for_one() {
    let origin = Origin::saying("in");
    let known = Known::with(|document| {
        document
            .route("off", "/off", origin.url())
            .with("auth_required: true")
            .with("auth: { any: [basic, api_key], mode: off }")
    });
    let token = "Authorization: Bearer a.b.c\r\n";
    for (index, (path, fields)) in
        [("/off", ALICE_WRONG), ("/off", ALICE), ("/off", token)].into_iter().enumerate()
    {
        assert_eq!(known.ask(path, fields).status(), 200, "{path} {fields}");
        let told = origin.request(index);
        let expected = if fields == token { "Bearer a.b.c" } else { "" };
        assert_eq!(field(&told, "authorization"), expected, "{path} {fields}");
    }
}

#[test]
fn in_shadow_a_password_that_is_not_for_the_gateway_reaches_the_upstream() {
    let origin = Origin::saying("in");
    let known = Known::with(|document| {
        ["any", "all"].into_iter().fold(document, |document, combination| {
            document
                .route(combination, &format!("/{combination}"), origin.url())
                .with("auth_required: true")
                .with(&format!("auth: {{ {combination}: [api_key, basic], mode: shadow }}"))
        })
    });
    // Whom a key makes known may have a password for the upstream.
    let keyed = format!("{BILLING}{ALICE_WRONG}");
    for (index, (path, fields)) in
        [("/any", ALICE_WRONG), ("/any", keyed.as_str()), ("/all", keyed.as_str())].into_iter().enumerate()
    {
        assert_eq!(known.ask(path, fields).status(), 200, "{path} {fields}");
        let told = origin.request(index);
        assert_eq!(field(&told, "authorization"), "Basic YWxpY2U6d3Jvbmc=", "{path} {fields}");
    }
    // Where the machine has no time to judge it at once, it has been judged by the next one.
    let both = format!("{BILLING}{ALICE}");
    for (path, fields) in [("/any", ALICE), ("/all", both.as_str())] {
        eventually("a password that is right is kept back", || {
            assert_eq!(known.ask(path, fields).status(), 200, "{path} {fields}");
            let last = origin.requests().pop().expect("it was asked");
            field(&last, "authorization").is_empty().then_some(())
        });
    }
}

#[test]
fn a_route_takes_any_of_several_or_all() {
    let origin = Origin::saying("in");
    let known = Known::with(|document| {
        document
            .route("any", "/any", origin.url())
            .with("auth_required: true")
            .with("auth: { any: [api_key, basic] }")
            .route("all", "/all", origin.url())
            .with("auth_required: true")
            .with("auth: { all: [api_key, basic] }")
    });
    let both = format!("{BILLING}{ALICE}");
    let half = format!("{BILLING}{ALICE_WRONG}");
    for (path, fields, status, why) in [
        ("/any", BILLING, 200, "ok"),
        ("/any", ALICE, 200, "ok"),
        ("/any", half.as_str(), 200, "ok"),
        ("/any", ALICE_WRONG, 401, "basic_wrong"),
        ("/any", "", 401, "api_key_missing"),
        ("/all", both.as_str(), 200, "ok"),
        ("/all", half.as_str(), 401, "basic_wrong"),
        ("/all", BILLING, 401, "basic_missing"),
        ("/all", ALICE, 401, "api_key_missing"),
    ] {
        assert_eq!(known.answer(path, fields), (status, why.into()), "{path} {fields}");
    }
}

#[test]
fn what_is_taken_out_of_a_file_is_taken_no_more() {
    let origin = Origin::saying("in");
    let known = Known::with(|document| {
        document
            .route("all", "/", origin.url())
            .with("auth_required: true")
            .with("auth: { any: [api_key, basic] }")
    });
    for fields in [BILLING, SHOP, ALICE, BOB] {
        assert_eq!(known.ask("/", fields).status(), 200, "{fields}");
    }
    // A file of no use changes nothing, and is told of.
    known.keys.save("keys: [");
    eventually("the file of no use is counted", || {
        let count = known.gateway.data_plane.metrics();
        (count.count("apigw_credential_file_failures_total", &[("file", "api_keys")]) == 1).then_some(())
    });
    assert_eq!(known.ask("/", BILLING).status(), 200);

    let (first, rest) = KEYS.split_once("- { name: shop").expect("it is there");
    known.keys.save(format!("keys:\n- {{ name: shop{rest}"));
    assert!(first.contains("billing"));
    eventually("the key is taken no more", || (known.ask("/", BILLING).status() == 401).then_some(()));
    assert_eq!(known.ask("/", SHOP).status(), 200);

    // The new password of alice is that of bob.
    let (_, of_bob) = USERS.split_once("bob:").expect("he is there");
    known.users.save(format!("alice:{of_bob}"));
    eventually("the old password is taken no more", || (known.ask("/", ALICE).status() == 401).then_some(()));
    assert_eq!(known.ask("/", "Authorization: Basic YWxpY2U6cGFzc3dvcmQ=\r\n").status(), 200);
    assert_eq!(known.answer("/", BOB), (401, "basic_wrong".into()));
}

#[test]
fn scopes_limits_and_the_log_know_the_caller_by_his_key() {
    let origin = Origin::saying("in");
    let known = Known::with(|document| {
        document
            .route("scoped", "/scoped", origin.url())
            .with("auth_required: true")
            .with("auth: { any: [api_key], required_scopes: [orders:read] }")
            .route("limited", "/limited", origin.url())
            .with("auth_required: true")
            .with("auth: { any: [api_key, basic] }")
            .with("rate_limit: { enabled: true, rps: 0.001, burst: 1, scope: user }")
    });
    assert_eq!(known.answer("/scoped", BILLING), (200, "ok".into()));
    assert_eq!(known.answer("/scoped", SHOP), (403, "scope_missing".into()));
    // There is no issuer to ask for more.
    assert_eq!(known.ask("/scoped", SHOP).field("www-authenticate"), None);
    for (fields, status) in [(BILLING, 200), (SHOP, 200), (ALICE, 200), (BILLING, 429), (ALICE, 429)] {
        assert_eq!(known.answer("/limited", fields).0, status, "{fields}");
    }
    let id = known.ask("/scoped", BILLING).field("x-request-id").expect("it has an id").to_owned();
    assert_eq!(known.gateway.data_plane.access(&id)["user"], "billing");
}

#[test]
fn no_key_and_no_password_is_logged() {
    let origin = Origin::saying("in");
    let known = Known::with(|document| {
        document
            .route("all", "/", origin.url())
            .with("auth_required: true")
            .with("auth: { any: [api_key, basic] }")
    });
    for fields in [BILLING, ALICE, ALICE_WRONG, "X-Api-Key: key-of-nobody\r\n"] {
        known.ask("/", fields);
    }
    known.keys.save("keys:\n- { name: a, sha256: key-of-billing }\n");
    eventually("the file of no use is counted", || {
        let count = known.gateway.data_plane.metrics();
        (count.count("apigw_credential_file_failures_total", &[("file", "api_keys")]) == 1).then_some(())
    });
    let program = known.gateway.data_plane.program();
    // The last of what it has to say.
    let told = program.stderr().first(|line| line.contains("file of credentials not used").then_some(()));
    assert!(told.is_some(), "nobody is told of the file");
    let output = [program.stdout().all(), program.stderr().all()].concat().join("\n");
    for secret in ["key-of-", "YWxpY2U6", "secret", "wrong=", "f7c28d11", "$2y$"] {
        assert!(!output.contains(secret), "{secret}");
    }
}

#[test]
fn a_file_of_credentials_is_checked_before_it_is_used() {
    let (keys, users) =
        (ConfigFile::new("keys:\n- { name: a, sha256: 12 }\n"), ConfigFile::new("alice:secret\n"));
    let text = |keys: &ConfigFile, users: &ConfigFile| {
        Document::new()
            .auth(&format!("api_keys: {{ file: \"{}\" }}", keys.path().display()))
            .auth(&format!("basic: {{ file: \"{}\" }}", users.path().display()))
            .route("all", "/", "http://127.0.0.1:1")
            .with("auth_required: true")
            .with("auth: { any: [api_key, basic] }")
    };
    let validate = |file: &ConfigFile| {
        Programs::built().output("gwctl", &["validate", &file.path().display().to_string()])
    };
    let bad = ConfigFile::new(text(&keys, &users));
    let told = validate(&bad);
    assert_eq!(told.code, Some(1), "{told:?}");
    let expected = [
        format!("{}:2:22 keys[0].sha256: expected a text; a number needs quotes", keys.path().display()),
        format!("{}:1:7: not a bcrypt hash", users.path().display()),
    ];
    assert!(expected.iter().all(|problem| told.stdout.contains(problem)), "{told:?}");
    assert!(!told.stdout.contains("secret"), "{told:?}");
    let refused = Programs::built().output(
        "dataplane",
        &[
            "--config",
            &bad.path().display().to_string(),
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ],
    );
    assert!(expected.iter().all(|problem| refused.stderr.contains(problem)), "{refused:?}");

    keys.save(KEYS);
    users.save(USERS);
    let told = validate(&bad);
    assert_eq!(told.code, Some(0), "{told:?}");
}

#[test]
fn gwctl_shows_and_explains_by_which_credentials_callers_are_known() {
    let origin = Origin::saying("in");
    let known = Known::with(|document| {
        document
            .route("any", "/any", origin.url())
            .with("auth_required: true")
            .with("auth: { any: [api_key, basic] }")
    });
    let admin = known.gateway.data_plane.admin();
    assert_eq!(gwctl_json(admin, &["routes"])[0]["auth"]["any"], serde_json::json!(["api_key", "basic"]));
    let table = gwctl(admin, &["routes"]).stdout;
    assert!(table.contains("any of api_key, basic"), "{table}");
    let explain = |field: &str| {
        let explained = gwctl_json(admin, &["explain", "GET", "/any", "-H", field]);
        let auth =
            explained["policies"].as_array().and_then(|all| all.iter().find(|step| step["policy"] == "auth"));
        let auth = auth.expect("it is judged").clone();
        [&auth["verdict"], &auth["reason"], &auth["detail"]]
            .map(|word| word.as_str().unwrap_or("").to_owned())
    };
    assert_eq!(explain("x-api-key: key-of-billing"), ["allow", "", "\"billing\" by an API key"]);
    assert_eq!(explain("authorization: Basic YWxpY2U6c2VjcmV0"), ["allow", "", "\"alice\" by a password"]);
    assert_eq!(explain("x-api-key: key-of-old")[..2], ["deny", "api_key_expired"]);
    assert_eq!(explain("authorization: Basic YWxpY2U6d3Jvbmc=")[..2], ["deny", "basic_wrong"]);
}
