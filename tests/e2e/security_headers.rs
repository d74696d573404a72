//! The fields that keep browsers from harm, as clients see them, whoever answers.

use std::io::{BufReader, Write as _};

use apigw_tests::{
    certificates::{Authority, SecureClient},
    client::{self, Connection, Response},
    gateway::Gateway,
    message::read_head,
    origin::Origin,
};

/// What the preset says to whoever comes in clear.
const FIELDS: [(&str, &str); 7] = [
    ("content-security-policy", "frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-permitted-cross-domain-policies", "none"),
];

const HSTS: &str = "strict-transport-security";

fn secured(answer: &Response) -> Vec<(&'static str, String)> {
    FIELDS.iter().filter_map(|(name, _)| Some((*name, answer.field(name)?.to_owned()))).collect()
}

fn all() -> Vec<(&'static str, String)> {
    FIELDS.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// A file with one route for an upstream, and these keys.
fn document(origin: &Origin, keys: &str) -> String {
    let address = origin.url();
    format!("routes:\n- name: a\n  match: {{path_prefix: /}}\n  upstream: \"{address}\"\n{keys}")
}

#[test]
fn every_answer_of_a_route_has_them_and_no_other() {
    let origin = Origin::saying("ok");
    let preset = "response_headers: {preset: security}";
    let document = format!(
        "{}  {preset}\n\
         - {{name: denied, match: {{path_prefix: /denied}}, upstream: 'http://h', deny_cidrs: [127.0.0.1], {preset}}}\n\
         - {{name: moved, match: {{path_prefix: /moved}}, redirect: {{path: /x}}, {preset}}}\n\
         - {{name: told, match: {{path_prefix: /told}}, respond: {{status: 418}}, {preset}}}\n\
         - {{name: bare, match: {{path_prefix: /bare}}, respond: {{status: 200}}}}\n",
        document(&origin, "")
    );
    let gateway = Gateway::standalone(document);
    for (path, status) in [("/", 200), ("/denied", 403), ("/moved", 302), ("/told", 418)] {
        let answer = client::get(gateway.address(), path);
        assert_eq!((answer.status(), secured(&answer)), (status, all()), "{path}");
        assert_eq!(answer.field(HSTS), None, "in clear it must not be said");
    }
    assert!(secured(&client::get(gateway.address(), "/bare")).is_empty());
}

#[test]
fn what_an_upstream_says_stays_and_the_file_has_the_last_word() {
    let origin = Origin::answering(|_| {
        "HTTP/1.1 200 OK\r\nReferrer-Policy: origin\r\nX-Frame-Options: SAMEORIGIN\r\nContent-Length: 0\r\n\r\n".into()
    });
    let keys = "  response_headers:\n    preset: security\n    remove: [x-permitted-cross-domain-policies]\n    \
                set: {cross-origin-resource-policy: cross-origin}\n    add: {referrer-policy: same-origin}\n";
    let gateway = Gateway::standalone(document(&origin, keys));
    let head = client::get(gateway.address(), "/").head;
    let values = |name| head.values(name).collect::<Vec<_>>();
    assert_eq!(values("referrer-policy"), ["origin", "same-origin"]);
    assert_eq!(values("x-frame-options"), ["SAMEORIGIN"]);
    // It would overrule what the upstream says of frames.
    assert!(values("content-security-policy").is_empty());
    assert_eq!(values("cross-origin-resource-policy"), ["cross-origin"]);
    assert!(values("x-permitted-cross-domain-policies").is_empty());
    assert_eq!(values("x-content-type-options"), ["nosniff"]);
}

#[test]
fn tls_is_asked_for_of_clients_that_have_come_by_it() {
    let (authority, origin) = (Authority::new(), Origin::saying("ok"));
    let identity = authority.identity();
    let files = format!(
        "{{cert_file: \"{}\", key_file: \"{}\"}}",
        identity.path("cert.pem").display(),
        identity.path("key.pem").display()
    );
    let preset = document(&origin, "  response_headers: {preset: security}\n");
    let gateway = Gateway::standalone(format!("server: {{tls: {{certificates: [{files}]}}}}\n{preset}"));
    let client = SecureClient::open(gateway.address(), &authority, None).expect("a handshake");
    let mut stream = BufReader::new(client.into_stream());
    stream.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("it is sent");
    let head = read_head(&mut stream).expect("an answer");
    assert_eq!((head.status(), head.field(HSTS)), (200, Some("max-age=31536000")));
}

#[test]
fn a_trusted_proxy_says_that_its_client_has_come_by_tls() {
    let origin = Origin::saying("ok");
    let preset = document(&origin, "  response_headers: {preset: security}\n");
    for (trusted, told) in [("127.0.0.1", Some("max-age=31536000")), ("192.0.2.1", None)] {
        let gateway = Gateway::standalone(format!("server: {{trusted_proxies: [{trusted}]}}\n{preset}"));
        let mut connection = Connection::open(gateway.address());
        connection.ask("GET", "/", "X-Forwarded-Proto: https\r\n");
        assert_eq!(connection.response().field(HSTS), told, "{trusted}");
    }
}
