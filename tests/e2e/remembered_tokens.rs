//! A token that was believed is not believed for that alone: the gateway remembers verdicts, and each still has to stand.

use apigw_tests::{
    client,
    configuration::Document,
    gateway::Gateway,
    issuer::{ISSUER, Issuer, bearer, token},
    origin::Origin,
    tokens::{hs256_of, unix_seconds},
    waiting::eventually,
};
use serde_json::json;

use crate::auth::{KEY, with_keys};

fn closed(document: Document, origin: &Origin) -> Document {
    document.route("all", "/", origin.url()).with("auth_required: true")
}

fn with_secret(secret: &str) -> Document {
    Document::new().auth("mode: hmac").auth(&format!("hmac_secret: {secret}"))
}

/// What becomes of a request with this token: `ok`, or why it is refused.
fn why(gateway: &Gateway, token: &str, id: &str) -> String {
    let fields = format!("X-Request-Id: {id}\r\n{}", bearer(token));
    let _ = client::get_with(gateway.address(), "/", &fields);
    gateway.data_plane.access(id)["why"].as_str().unwrap_or_default().to_owned()
}

/// Asks until every worker remembers the token, as far as anybody outside can see to it.
fn make_known(gateway: &Gateway, token: &str) {
    for _ in 0..16 {
        assert_eq!(client::get_with(gateway.address(), "/", &bearer(token)).status(), 200);
    }
}

#[test]
fn remembered_token_expires() {
    let origin = Origin::saying("in");
    let gateway = Gateway::standalone(closed(with_secret("secret"), &origin));
    // The leeway is 30 s.
    let claims = json!({"sub": "alice", "exp": unix_seconds() - 28});
    let token = hs256_of(b"secret", &json!({"alg": "HS256"}), &claims);
    assert_eq!(client::get_with(gateway.address(), "/", &bearer(&token)).status(), 200);
    eventually("the token is refused", || {
        (client::get_with(gateway.address(), "/", &bearer(&token)).status() == 401).then_some(())
    });
    assert_eq!(why(&gateway, &token, "expired"), "jwt_expired");
}

#[test]
fn remembered_token_ends_with_its_secret() {
    let origin = Origin::saying("in");
    let gateway = Gateway::standalone(closed(with_secret("first"), &origin));
    let claims = json!({"sub": "alice", "exp": unix_seconds() + 600});
    let [first, second] =
        ["first", "second"].map(|secret| hs256_of(secret.as_bytes(), &json!({"alg": "HS256"}), &claims));
    make_known(&gateway, &first);
    gateway.edit(&closed(with_secret("second"), &origin), &origin);
    assert_eq!(why(&gateway, &first, "old"), "jwt_signature");
    assert_eq!(why(&gateway, &second, "new"), "ok");
}

#[test]
fn remembered_token_is_judged_by_the_file_that_is_in_force() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let provider = |name: &str, settings: &str| {
        let url = issuer.url();
        Document::new()
            .auth("providers:")
            .auth(&format!(
                "  - {{ name: {name}, jwks: {{ url: \"{url}\", issuers: [\"{ISSUER}\"], {settings} }} }}"
            ))
            .auth("  - { name: other, hmac_secret: secret, issuers: [other] }")
    };
    let open = closed(provider("staff", "audiences: [apigw]"), &origin);
    let gateway = with_keys(&open);
    let token = token(&KEY, "alice");
    let check = |number: usize, file: &Document, expected: &str| {
        make_known(&gateway, &token);
        gateway.edit(file, &origin);
        assert_eq!(why(&gateway, &token, &format!("edit-{number}")), expected);
        gateway.edit(&open, &origin);
        eventually("the token is believed again", || {
            (client::get_with(gateway.address(), "/", &bearer(&token)).status() == 200).then_some(())
        });
    };
    check(0, &closed(provider("staff", "audiences: [somebody-else]"), &origin), "jwt_audience");
    check(1, &closed(provider("staff", "audiences: [apigw], algorithms: [ES256]"), &origin), "jwt_algorithm");
    check(2, &open.clone().with("auth: { providers: [other] }"), "jwt_issuer");
    check(3, &open.clone().with("auth: { required_scopes: [admin] }"), "scope_missing");
    check(4, &open.clone().with("auth: { required_claims: { sub: bob } }"), "claim_mismatch");
}
