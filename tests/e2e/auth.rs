//! Who is let in, and what the upstream is told of him.

use std::sync::LazyLock;

use apigw_tests::{
    client::{self, Response},
    configuration::Document,
    gateway::Gateway,
    issuer::{AUDIENCE, ISSUER, Issuer, bearer, claims, token},
    origin::Origin,
    programs::{Programs, Running},
    tokens::{Claims, SigningKey, hs256, hs256_of, unix_seconds, unsigned},
    waiting::eventually,
};
use serde_json::{Value, json};

/// The issuer's key; making one takes a while.
pub(crate) static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().expect("randomness"));

/// Another one, which the issuer does not publish unless a test has it do so.
pub(crate) static OTHER_KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate().expect("randomness"));

const SECRET: &str = "a secret of thirty-two bytes, or more";

/// A file whose provider is this issuer.
pub(crate) fn with_issuer(issuer: &Issuer) -> Document {
    Document::new().auth("mode: jwks").auth(&format!(
        "jwks: {{ url: \"{}\", issuers: [\"{ISSUER}\"], audiences: [{AUDIENCE}] }}",
        issuer.url()
    ))
}

fn with_secret() -> Document {
    Document::new().auth("mode: hmac").auth(&format!("hmac_secret: \"{SECRET}\""))
}

/// A gateway that has fetched its keys.
pub(crate) fn with_keys(document: &Document) -> Gateway {
    let gateway = Gateway::with_key(document);
    eventually("the keys are fetched", || {
        (gateway.data_plane.metrics().count("apigw_jwks_keys", &[]) > 0).then_some(())
    });
    gateway
}

fn secret_token(subject: &str) -> String {
    let lifetime = std::time::Duration::from_mins(10);
    hs256(SECRET, Claims { subject, issuer: None, audience: None, lifetime })
}

/// The answer is a refusal of this status, and says nothing more than it should.
#[track_caller]
fn is_refused(answer: &Response, status: u16, error: &str, challenge: &str) {
    assert_eq!(answer.status(), status, "{answer:?}");
    assert_eq!(answer.field("www-authenticate"), Some(challenge));
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let id = answer.field("x-request-id").expect("every answer has an id");
    assert_eq!(answer.text(), format!("{{\"error\":\"{error}\",\"request_id\":\"{id}\"}}"));
}

#[test]
fn good_token_passes_by_published_keys_and_by_secret() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let route = |document: Document| document.route("all", "/", origin.url()).with("auth_required: true");
    let gateway = with_keys(&route(with_issuer(&issuer)));
    assert_eq!(client::get_with(gateway.address(), "/", &bearer(&token(&KEY, "alice"))).text(), "in");
    let gateway = Gateway::standalone(route(with_secret()));
    assert_eq!(client::get_with(gateway.address(), "/", &bearer(&secret_token("alice"))).text(), "in");
}

#[test]
fn scheme_is_read_in_any_case() {
    let origin = Origin::saying("in");
    let file = with_secret().route("all", "/", origin.url()).with("auth_required: true");
    let gateway = Gateway::standalone(file);
    for scheme in ["Bearer", "bearer", "BEARER", "bEARER"] {
        let field = format!("authorization: {scheme} {}\r\n", secret_token("alice"));
        assert_eq!(client::get_with(gateway.address(), "/", &field).status(), 200, "{scheme}");
    }
}

#[test]
fn route_that_needs_no_token_asks_for_none() {
    let origin = Origin::saying("in");
    let file = with_secret().route("closed", "/closed", origin.url()).with("auth_required: true").route(
        "open",
        "/open",
        origin.url(),
    );
    let gateway = Gateway::standalone(file);
    assert_eq!(client::get(gateway.address(), "/open").status(), 200);
    assert_eq!(client::get_with(gateway.address(), "/open", "Authorization: Bearer x\r\n").status(), 200);
    assert_eq!(client::get(gateway.address(), "/closed").status(), 401);
}

/// Requests that are not let in: the field lines that present them, and the reason in the log.
fn impostors() -> Vec<(&'static str, String)> {
    let good = token(&KEY, "alice");
    let header = json!({"alg": "RS256", "kid": KEY.id()});
    let with = |name: &str, value: Value| {
        let mut claims = claims("alice");
        claims[name] = value;
        bearer(&KEY.sign_of(&header, &claims).expect("the key signs"))
    };
    let signed = |header: &Value| bearer(&KEY.sign_of(header, &claims("alice")).expect("the key signs"));
    let bobs = token(&KEY, "bob");
    let parts = |token: &'_ str| {
        token.rsplit_once('.').map(|(body, signature)| (body.to_owned(), signature.to_owned()))
    };
    let ((body, _), (_, signature)) =
        (parts(&good).expect("three parts"), parts(&bobs).expect("three parts"));
    let confused = json!({"alg": "HS256", "kid": KEY.id()});
    let mut without_end = claims("alice");
    without_end.as_object_mut().expect("claims are an object").remove("exp");
    let now = unix_seconds();
    vec![
        ("jwt_missing", String::new()),
        ("jwt_scheme", "Authorization: Basic YWxpY2U6c2VjcmV0\r\n".into()),
        ("jwt_several", bearer(&good).repeat(2)),
        ("jwt_too_large", bearer(&"a".repeat(9_000))),
        ("jwt_malformed", bearer("not.a-token")),
        ("jwt_malformed", bearer(&format!("{good} {good}"))),
        ("jwt_critical", signed(&json!({"alg": "RS256", "kid": KEY.id(), "crit": ["exp"]}))),
        ("jwt_algorithm", bearer(&unsigned(&json!({"alg": "none"}), &claims("alice")))),
        ("jwt_algorithm", bearer(&hs256_of(KEY.public_der(), &confused, &claims("alice")))),
        ("jwt_algorithm", bearer(&hs256_of(KEY.jwk().to_string().as_bytes(), &confused, &claims("alice")))),
        ("jwt_issuer", with("iss", json!("https://elsewhere.example"))),
        ("jwt_unknown_key", signed(&json!({"alg": "RS256", "kid": "made-up"}))),
        ("jwt_signature", bearer(&format!("{body}.{signature}"))),
        ("jwt_signature", bearer(&OTHER_KEY.sign_of(&header, &claims("alice")).expect("the key signs"))),
        ("jwt_claims", bearer(&KEY.sign_of(&header, &without_end).expect("the key signs"))),
        ("jwt_claims", with("exp", json!((now + 600).to_string()))),
        ("jwt_expired", with("exp", json!(now - 31))),
        ("jwt_not_yet_valid", with("nbf", json!(now + 300))),
        ("jwt_audience", with("aud", json!(["somebody", "else"]))),
    ]
}

#[test]
fn impostors_are_refused_each_for_its_reason() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let file = with_issuer(&issuer).route("all", "/", origin.url()).with("auth_required: true");
    let gateway = with_keys(&file);
    for (number, (reason, fields)) in (0..).zip(impostors()) {
        let id = format!("impostor-{number}");
        let answer = client::get_with(gateway.address(), "/", &format!("X-Request-Id: {id}\r\n{fields}"));
        let challenge = match reason {
            "jwt_missing" | "jwt_scheme" => "Bearer",
            "jwt_several" => "Bearer error=\"invalid_request\"",
            _ => "Bearer error=\"invalid_token\"",
        };
        is_refused(&answer, 401, "unauthorized", challenge);
        let line = gateway.data_plane.access(&id);
        assert_eq!((&line["why"], &line["route"]), (&reason.into(), &"all".into()), "impostor {number}");
    }
    assert_eq!(origin.requests().len(), 0, "an impostor reached the upstream");
    let metrics = gateway.data_plane.metrics();
    for (reason, _) in impostors() {
        let expected = impostors().iter().filter(|(other, _)| *other == reason).count();
        let counted = metrics.count("apigw_rejections_total", &[("route", "all"), ("reason", reason)]);
        assert_eq!(usize::try_from(counted), Ok(expected), "{reason}");
    }
    assert_eq!(client::get_with(gateway.address(), "/", &bearer(&token(&KEY, "alice"))).status(), 200);
}

#[test]
fn issuer_of_a_token_says_which_provider_judges_it() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let jwks =
        format!("jwks: {{ url: \"{}\", issuers: [\"{ISSUER}\"], audiences: [{AUDIENCE}] }}", issuer.url());
    let file = Document::new()
        .auth("providers:")
        .auth(&format!("  - {{ name: staff, {jwks} }}"))
        .auth(&format!("  - {{ name: machines, hmac_secret: \"{SECRET}\", issuers: [deployer] }}"))
        .route("both", "/both", origin.url())
        .with("auth_required: true")
        .route("staff", "/staff", origin.url())
        .with("auth_required: true")
        .with("auth: { providers: [staff] }");
    let gateway = with_keys(&file);
    let machine = |issuer| {
        let lifetime = std::time::Duration::from_mins(10);
        hs256(SECRET, Claims { subject: "robot", issuer: Some(issuer), audience: None, lifetime })
    };
    let check = |path, token: &str, id: &str, status, why: &str| {
        let fields = format!("X-Request-Id: {id}\r\n{}", bearer(token));
        assert_eq!(client::get_with(gateway.address(), path, &fields).status(), status, "{id}");
        assert_eq!(gateway.data_plane.access(id)["why"], why, "{id}");
    };
    check("/both", &token(&KEY, "alice"), "p1", 200, "ok");
    check("/both", &machine("deployer"), "p2", 200, "ok");
    check("/staff", &token(&KEY, "alice"), "p3", 200, "ok");
    check("/staff", &machine("deployer"), "p4", 401, "jwt_issuer");
    // The secret of one provider signs for no issuer of another.
    check("/both", &machine(ISSUER), "p5", 401, "jwt_algorithm");
    check("/both", &machine("nobody"), "p6", 401, "jwt_issuer");
}

#[test]
fn caller_without_the_scopes_or_claims_is_forbidden() {
    let origin = Origin::saying("in");
    let file = with_secret()
        .route("scopes", "/scopes", origin.url())
        .with("auth_required: true")
        .with("auth: { required_scopes: [\"orders:read\", \"orders:write\"] }")
        .route("claims", "/claims", origin.url())
        .with("auth_required: true")
        .with("auth: { required_claims: { tier: gold, verified: true } }");
    let gateway = Gateway::standalone(file);
    let ask = |path: &str, id: &str, extra: Value| {
        let mut claims = json!({"sub": "alice", "exp": unix_seconds() + 600});
        let members = claims.as_object_mut().expect("claims are an object");
        members.extend(extra.as_object().cloned().unwrap_or_default());
        let token = hs256_of(SECRET.as_bytes(), &json!({"alg": "HS256"}), &claims);
        client::get_with(gateway.address(), path, &format!("X-Request-Id: {id}\r\n{}", bearer(&token)))
    };
    let wanting = "Bearer error=\"insufficient_scope\", scope=\"orders:read orders:write\"";
    is_refused(&ask("/scopes", "s1", json!({"scope": "orders:read"})), 403, "forbidden", wanting);
    assert_eq!(gateway.data_plane.access("s1")["why"], "scope_missing");
    is_refused(
        &ask("/scopes", "s2", json!({"scope": "orders:reader orders:writer"})),
        403,
        "forbidden",
        wanting,
    );
    assert_eq!(ask("/scopes", "s3", json!({"scope": "orders:write other orders:read"})).status(), 200);
    assert_eq!(ask("/scopes", "s4", json!({"scp": ["orders:write", "orders:read"]})).status(), 200);
    let refused = ask("/claims", "c1", json!({"tier": "silver", "verified": true}));
    assert_eq!((refused.status(), &refused.json()["error"]), (403, &json!("forbidden")));
    assert_eq!(gateway.data_plane.access("c1")["why"], "claim_mismatch");
    assert_eq!(ask("/claims", "c2", json!({"tier": "gold"})).status(), 403);
    assert_eq!(ask("/claims", "c3", json!({"tier": ["silver", "gold"], "verified": true})).status(), 200);
}

#[test]
fn upstream_is_told_the_claims_and_nothing_that_a_client_made_up() {
    let origin = Origin::saying("in");
    let file = with_secret()
        .route("all", "/", origin.url())
        .with("auth_required: true")
        .with("auth: { forward_claims: { sub: X-User, tenant: X-Tenant } }");
    let gateway = Gateway::standalone(file);
    let claims = json!({"sub": "alice", "exp": unix_seconds() + 600});
    let token = hs256_of(SECRET.as_bytes(), &json!({"alg": "HS256"}), &claims);
    // Servers behind a gateway read `x_user` and `x-user` as one name.
    let made_up = "X-User: root\r\nx_user: root\r\nX_USER: root\r\nx-uSER: root\r\nX_Tenant: root\r\nx-tenant: root\r\n";
    let answer =
        client::get_with(gateway.address(), "/", &format!("{made_up}X-Other: kept\r\n{}", bearer(&token)));
    assert_eq!(answer.status(), 200, "{answer:?}");
    let head = origin.only_request().head;
    let users: Vec<_> = head.values("x-user").collect();
    assert_eq!(users, ["alice"]);
    assert_eq!(head.field("x-tenant"), None, "the token has no such claim");
    assert_eq!(head.field("x-other"), Some("kept"));
    let is_made_up = |(_, value): &&(String, String)| value == "root";
    assert_eq!(head.fields.iter().find(is_made_up), None);
}

#[test]
fn trailer_tells_the_upstream_no_claim_either() {
    let origin = Origin::saying("in");
    let file = with_secret()
        .route("all", "/", origin.url())
        .with("auth_required: true")
        .with("auth: { forward_claims: { sub: X-User } }");
    let gateway = Gateway::standalone(file);
    let mut connection = client::Connection::open(gateway.address());
    let bearer = bearer(&secret_token("alice"));
    connection.send(format!(
        "POST / HTTP/1.1\r\nHost: h\r\n{bearer}Trailer: X-User, X_User, X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    connection.send("2\r\nhi\r\n0\r\nX-User: root\r\nX_User: root\r\nX-Sum: 7\r\n\r\n");
    assert_eq!(connection.response().status(), 200);
    let request = origin.only_request();
    let trailers: Vec<_> =
        request.trailers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
    assert_eq!(trailers, [("x-sum".to_owned(), "7")]);
    assert_eq!(request.head.field("x-user"), Some("alice"));
}

#[test]
fn each_request_of_a_connection_is_judged_by_its_own_token() {
    let origin = Origin::saying("in");
    let file = with_secret()
        .route("all", "/", origin.url())
        .with("auth_required: true")
        .with("auth: { forward_claims: { sub: X-User } }");
    let gateway = Gateway::standalone(file);
    let mut connection = client::Connection::open(gateway.address());
    let mut ask = |fields: &str| {
        connection.ask("GET", "/", fields);
        connection.response().status()
    };
    let (alice, bob) = (bearer(&secret_token("alice")), bearer(&secret_token("bob")));
    assert_eq!(
        [ask(&alice), ask(""), ask(&bob), ask("X-User: alice\r\n"), ask(&alice)],
        [200, 401, 200, 401, 200]
    );
    let users: Vec<_> = origin
        .requests()
        .iter()
        .filter_map(|request| request.head.field("x-user").map(str::to_owned))
        .collect();
    assert_eq!(users, ["alice", "bob", "alice"]);
}

#[test]
fn shadowed_authentication_lets_pass_and_tells() {
    let origin = Origin::saying("in");
    let file = with_secret()
        .route("all", "/", origin.url())
        .with("auth_required: true")
        .with("auth: { mode: shadow, required_scopes: [admin], forward_claims: { sub: X-User } }");
    let gateway = Gateway::standalone(file);
    let check = |number: usize, fields: &str, shadow: &str, user: Option<&str>| {
        let id = format!("shadow-{number}");
        let fields = format!("X-Request-Id: {id}\r\nX-User: root\r\n{fields}");
        assert_eq!(client::get_with(gateway.address(), "/", &fields).status(), 200);
        let line = gateway.data_plane.access(&id);
        assert_eq!((&line["why"], &line["shadow"]), (&"ok".into(), &shadow.into()), "{line}");
        assert_eq!(origin.request(number).head.field("x-user"), user);
    };
    check(0, "", "jwt_missing", None);
    check(1, &bearer("forged.token.x"), "jwt_malformed", None);
    check(2, &bearer(&secret_token("alice")), "scope_missing", Some("alice"));
    let metrics = gateway.data_plane.metrics();
    for reason in ["jwt_missing", "jwt_malformed", "scope_missing"] {
        let labels = [("route", "all"), ("reason", reason)];
        assert_eq!(metrics.count("apigw_shadow_rejections_total", &labels), 1, "{reason}");
        assert_eq!(metrics.count("apigw_rejections_total", &labels), 0, "{reason}");
    }
}

#[test]
fn tokens_of_the_development_tools_pass() {
    let origin = Origin::saying("in");
    let start = |program: &str, arguments: &[&str]| {
        let mut command = Programs::built().command(program);
        command.args(arguments);
        Running::start(command).expect("it starts")
    };
    let mock = start("jwksmock", &["-addr", "127.0.0.1:0", "-iss", ISSUER, "-aud", AUDIENCE]);
    let address = mock.listening("jwks").expect("it listens");
    let url = format!("http://{address}/.well-known/jwks.json");
    let file = Document::new()
        .auth("mode: jwks")
        .auth(&format!("jwks: {{ url: \"{url}\", issuers: [\"{ISSUER}\"], audiences: [{AUDIENCE}] }}"))
        .route("all", "/", origin.url())
        .with("auth_required: true");
    let gateway = with_keys(&file);
    let issued = client::get(address, "/token?sub=alice").text();
    assert_eq!(client::get_with(gateway.address(), "/", &bearer(issued.trim())).status(), 200);

    let printed = Programs::built().output("token", &["-secret", SECRET, "-sub", "alice"]);
    let gateway =
        Gateway::standalone(with_secret().route("all", "/", origin.url()).with("auth_required: true"));
    assert_eq!(client::get_with(gateway.address(), "/", &bearer(printed.stdout.trim())).status(), 200);
}

#[test]
fn forwarded_claims_cannot_be_made_up_where_the_upstream_goes_by_another_name() {
    let origin = Origin::saying("in");
    let other_name = format!("http://localhost:{}", origin.address().port());
    let document = with_secret().route("private", "/private", origin.url());
    let document = document.with("auth_required: true").with("auth: { forward_claims: { sub: X-User } }");
    let gateway = Gateway::standalone(document.route("public", "/public", other_name));
    let answer = client::get_with(gateway.address(), "/public", "X-User: root\r\nx_user: root\r\n");
    assert_eq!(answer.status(), 200);
    let head = origin.only_request().head;
    assert_eq!((head.field("x-user"), head.field("x_user")), (None, None));
}
