//! Keys of issuers: fetched in the background, replaced at once, kept when the issuer fails.

use std::time::{Duration, Instant};

use apigw_tests::{
    client::{self, Connection},
    configuration::Document,
    gateway::Gateway,
    issuer::{AUDIENCE, Conduct, ISSUER, Issuer, bearer, token},
    load::at_once,
    origin::{Origin, ok},
    tokens::SigningKey,
    waiting::eventually,
};
use serde_json::json;

use crate::auth::{KEY, OTHER_KEY, with_issuer, with_keys};

/// A file whose issuer is asked again every so many seconds, and given up after half a second.
fn asking_every(seconds: f64, issuer: &Issuer, origin: &Origin) -> Document {
    let times = format!("cache_ttl_seconds: {seconds}, http_timeout_seconds: 0.5");
    Document::new()
        .auth("mode: jwks")
        .auth(&format!(
            "jwks: {{ url: \"{}\", issuers: [\"{ISSUER}\"], audiences: [{AUDIENCE}], {times} }}",
            issuer.url()
        ))
        .route("all", "/", origin.url())
        .with("auth_required: true")
}

fn closed(issuer: &Issuer, origin: &Origin) -> Document {
    with_issuer(issuer).route("all", "/", origin.url()).with("auth_required: true")
}

/// The status of a request with a new token by this key.
fn status(gateway: &Gateway, key: &SigningKey) -> u16 {
    client::get_with(gateway.address(), "/", &bearer(&token(key, "alice"))).status()
}

fn fetches(gateway: &Gateway, outcome: &str) -> u64 {
    let labels = [("provider", "default"), ("outcome", outcome)];
    gateway.data_plane.metrics().count("apigw_jwks_fetches_total", &labels)
}

/// Waits until one more fetch than now has ended so.
fn await_fetch(gateway: &Gateway, outcome: &str) {
    let before = fetches(gateway, outcome);
    eventually(&format!("a fetch ends as {outcome}"), || (fetches(gateway, outcome) > before).then_some(()));
}

#[test]
fn new_key_is_accepted_with_its_first_token_by_one_fetch_for_all() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let gateway = with_keys(&closed(&issuer, &origin));
    assert_eq!((status(&gateway, &KEY), issuer.asked()), (200, 1));
    issuer.turns(Conduct::keys(&[&OTHER_KEY, &KEY]));
    let statuses = at_once(20, |_| status(&gateway, &OTHER_KEY));
    assert_eq!(statuses, [200; 20]);
    assert_eq!(issuer.asked(), 2, "one fetch for all who waited");
    assert_eq!(status(&gateway, &KEY), 200);
}

#[test]
fn made_up_key_names_do_not_make_the_gateway_ask_again_and_again() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let gateway = with_keys(&closed(&issuer, &origin));
    let statuses = at_once(40, |number| {
        let header = json!({"alg": "RS256", "kid": format!("made-up-{number}")});
        let token =
            OTHER_KEY.sign_of(&header, &apigw_tests::issuer::claims("mallory")).expect("the key signs");
        client::get_with(gateway.address(), "/", &bearer(&token)).status()
    });
    assert_eq!(statuses, [401; 40]);
    assert!(issuer.asked() <= 2, "asked {} times", issuer.asked());
    assert_eq!(status(&gateway, &KEY), 200);
}

#[test]
fn key_that_its_issuer_withdraws_opens_nothing_any_more() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let gateway = with_keys(&asking_every(0.2, &issuer, &origin));
    let remembered = bearer(&token(&KEY, "alice"));
    assert_eq!(client::get_with(gateway.address(), "/", &remembered).status(), 200);
    issuer.turns(Conduct::keys(&[&OTHER_KEY]));
    eventually("the withdrawn key is refused", || {
        (client::get_with(gateway.address(), "/", &remembered).status() == 401).then_some(())
    });
    assert_eq!(status(&gateway, &OTHER_KEY), 200);
}

#[test]
fn keys_of_an_issuer_that_is_gone_go_on() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let gateway = with_keys(&asking_every(0.2, &issuer, &origin));
    drop(issuer);
    await_fetch(&gateway, "failure");
    assert_eq!(status(&gateway, &KEY), 200);
    assert_eq!(gateway.data_plane.says("/-/auth")["jwks"]["key_count"], 1);
    let age = gateway.data_plane.metrics().value("apigw_jwks_age_seconds", &[("provider", "default")]);
    assert!(age.is_some_and(|age| age > 0.0), "{age:?}");
}

#[test]
fn keys_outlive_an_issuer_that_hangs_or_lies() {
    let origin = Origin::saying("in");
    // What a liar would have the gateway believe.
    let liar = Issuer::serving(&[&OTHER_KEY]);
    let forged = json!({"keys": [OTHER_KEY.jwk()]}).to_string();
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", liar.url());
    let answer = |status, length: usize, body: &str| {
        Conduct::Says(format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    let mut huge = json!({"keys": [OTHER_KEY.jwk()]});
    huge["padding"] = "x".repeat(300 * 1_024).into();
    let lies = [
        Conduct::Hangs,
        Conduct::Says("garbage\r\n\r\n".into()),
        Conduct::Says(ok("<html>Please log in.</html>")),
        Conduct::Says(ok("{\"keys\": {}}")),
        Conduct::Says(ok(&huge.to_string())),
        Conduct::Says(redirect),
        answer(500, forged.len(), &forged),
        // The forged keys, said to be longer than they are: the connection ends before the document does.
        answer(200, forged.len() + 1, &forged),
    ];
    for lie in lies {
        let issuer = Issuer::serving(&[&KEY]);
        let gateway = with_keys(&asking_every(0.2, &issuer, &origin));
        issuer.turns(lie.clone());
        await_fetch(&gateway, "failure");
        assert_eq!(status(&gateway, &KEY), 200, "{lie:?}");
        assert_eq!(status(&gateway, &OTHER_KEY), 401, "{lie:?}");
    }
    assert_eq!(liar.asked(), 0, "a redirect was followed");
}

#[test]
fn whoever_waits_for_an_issuer_that_hangs_keeps_nobody_else_waiting() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let file = Document::new()
        .auth("mode: jwks")
        .auth(&format!("jwks: {{ url: \"{}\", http_timeout_seconds: 600 }}", issuer.url()))
        .route("all", "/", origin.url())
        .with("auth_required: true");
    let gateway = with_keys(&file);
    issuer.turns(Conduct::Hangs);
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let mut connection = Connection::open(gateway.address());
            connection.ask("GET", "/", &bearer(&token(&OTHER_KEY, "alice")));
            connection
        })
        .collect();
    eventually("the issuer is asked", || (issuer.asked() == 2).then_some(()));
    assert_eq!(at_once(8, |_| status(&gateway, &KEY)), [200; 8]);
    assert!(waiting.into_iter().all(|mut connection| !connection.has_input()), "somebody did not wait");
    assert_eq!(issuer.asked(), 2, "one fetch for all");
}

#[test]
fn gateway_without_keys_refuses_until_its_issuer_comes() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    issuer.turns(Conduct::Says("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".into()));
    let gateway = Gateway::standalone(closed(&issuer, &origin));
    eventually("a fetch fails", || (fetches(&gateway, "failure") > 0).then_some(()));
    let fields = format!("X-Request-Id: early\r\n{}", bearer(&token(&KEY, "alice")));
    let answer = client::get_with(gateway.address(), "/", &fields);
    assert_eq!(
        (answer.status(), answer.field("www-authenticate")),
        (401, Some("Bearer")),
        "a good token is kept"
    );
    assert_eq!(gateway.data_plane.access("early")["why"], "jwt_keys_unavailable");
    issuer.turns(Conduct::keys(&[&KEY]));
    eventually("the token is believed", || (status(&gateway, &KEY) == 200).then_some(()));
}

#[test]
fn edit_of_a_route_fetches_no_keys() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let file = closed(&issuer, &origin);
    let gateway = with_keys(&file);
    for _ in 0..3 {
        gateway.edit(&file, &origin);
        assert_eq!(status(&gateway, &KEY), 200);
    }
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn provider_that_hangs_does_not_keep_another_ones_tokens_waiting() {
    let origin = Origin::saying("in");
    let (hanging, turning) = (Issuer::serving(&[&KEY]), Issuer::serving(&[&KEY]));
    // Neither is told by its tokens' issuer, so a token with an unknown key may be of either.
    let provider = |name: &str, issuer: &Issuer| {
        format!("- {{ name: {name}, jwks: {{ url: \"{}\", http_timeout_seconds: 20 }} }}", issuer.url())
    };
    let document = Document::new()
        .auth("providers:")
        .auth(&provider("hanging", &hanging))
        .auth(&provider("turning", &turning))
        .route("all", "/", origin.url())
        .with("auth_required: true");
    let gateway = Gateway::with_key(document);
    for provider in ["hanging", "turning"] {
        let labels = [("provider", provider), ("outcome", "success")];
        eventually("keys are fetched", || {
            (gateway.data_plane.metrics().count("apigw_jwks_fetches_total", &labels) > 0).then_some(())
        });
    }
    hanging.turns(Conduct::Hangs);
    turning.turns(Conduct::keys(&[&OTHER_KEY]));
    let asked = Instant::now();
    assert_eq!(status(&gateway, &OTHER_KEY), 200);
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
}
