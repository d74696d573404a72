//! Header fields on both ways.

use apigw_tests::{
    client::{self, Connection, Response},
    configuration::Document,
    gateway::Gateway,
    origin::Origin,
};

const UNTRUSTED: &str = "trusted_proxies: []";
const TRUSTED: &str = "trusted_proxies: [\"127.0.0.1/32\", \"10.0.0.0/8\"]";

fn gateway(origin: &Origin, trusted_proxies: &str) -> Gateway {
    Gateway::standalone(Document::new().server(trusted_proxies).route("all", "/", origin.url()))
}

/// Sends a GET with these field lines and gives the fields that reached the upstream.
fn forwarded(trusted_proxies: &str, fields: &str) -> apigw_tests::message::Head {
    let origin = Origin::saying("");
    let gateway = gateway(&origin, trusted_proxies);
    assert_eq!(client::get_with(gateway.address(), "/", fields).status(), 200);
    origin.only_request().head
}

/// What the client gets when the upstream answers these bytes.
fn returned(answer: &'static str) -> Response {
    let origin = Origin::answering(move |_| answer.into());
    let gateway = gateway(&origin, UNTRUSTED);
    client::get(gateway.address(), "/")
}

#[test]
fn upstream_sees_its_own_host() {
    let origin = Origin::saying("");
    let gateway = gateway(&origin, UNTRUSTED);
    assert_eq!(client::get(gateway.address(), "/").status(), 200);
    let head = origin.only_request().head;
    assert_eq!(head.field("host"), Some(origin.address().to_string().as_str()));
    assert_eq!(head.field("x-forwarded-host"), Some("gateway.example"));
    assert_eq!(head.field("x-forwarded-proto"), Some("http"));
}

#[test]
fn forwarding_fields_of_strangers_are_replaced() {
    let head = forwarded(
        UNTRUSTED,
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: bank.example\r\n",
    );
    assert_eq!(head.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(head.field("x-forwarded-proto"), Some("http"));
    assert_eq!(head.field("x-forwarded-host"), Some("gateway.example"));
}

#[test]
fn forwarding_fields_of_trusted_proxies_are_continued() {
    let head = forwarded(
        TRUSTED,
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n",
    );
    let chain: Vec<_> =
        head.values("x-forwarded-for").flat_map(|value| value.split(',')).map(str::trim).collect();
    assert_eq!(chain, ["1.2.3.4", "127.0.0.1"]);
    assert_eq!(head.field("x-forwarded-proto"), Some("https"));
    assert_eq!(head.field("x-forwarded-host"), Some("shop.example"));
}

#[test]
fn client_is_the_rightmost_address_that_is_no_trusted_proxy() {
    let origin = Origin::saying("");
    let check = |trusted_proxies, forwarded_for: &str, client: &str| {
        let gateway = gateway(&origin, trusted_proxies);
        let fields = format!("X-Request-Id: who\r\nX-Forwarded-For: {forwarded_for}\r\n");
        let _ = client::get_with(gateway.address(), "/", &fields);
        let line = gateway.data_plane.access("who");
        let remote = line["remote"].as_str().unwrap_or_default();
        assert_eq!(remote, client, "{forwarded_for} with {trusted_proxies}");
    };
    check(TRUSTED, "6.6.6.6, 1.2.3.4", "1.2.3.4");
    check(TRUSTED, "6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4");
    check(UNTRUSTED, "1.2.3.4", "127.0.0.1");
}

#[test]
fn request_id_is_taken_from_the_client() {
    let origin = Origin::saying("");
    let gateway = gateway(&origin, UNTRUSTED);
    let answer = client::get_with(gateway.address(), "/", "X-Request-Id: mine-42\r\n");
    assert_eq!(answer.field("x-request-id"), Some("mine-42"));
    assert_eq!(origin.only_request().head.field("x-request-id"), Some("mine-42"));
    assert_eq!(gateway.data_plane.access("mine-42")["status"], 200);
}

/// Whether an id is one of the gateway's own.
fn is_made(id: Option<&str>) -> &str {
    let id = id.unwrap_or_default();
    assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?} is not 24 hex digits");
    id
}

#[test]
fn request_id_is_made_where_the_client_has_none() {
    let origin = Origin::saying("");
    let gateway = gateway(&origin, UNTRUSTED);
    let (first, second) = (client::get(gateway.address(), "/"), client::get(gateway.address(), "/"));
    let id = is_made(first.field("x-request-id"));
    assert_ne!(first.field("x-request-id"), second.field("x-request-id"));
    assert_eq!(origin.request(0).head.field("x-request-id"), Some(id));
}

#[test]
fn request_id_that_could_forge_a_log_line_is_not_taken() {
    let origin = Origin::saying("");
    let gateway = gateway(&origin, UNTRUSTED);
    let oversized = "x".repeat(5_000);
    for id in ["", "\u{e9}", "a b\"c", &oversized] {
        let answer = client::get_with(gateway.address(), "/", &format!("X-Request-Id: {id}\r\n"));
        assert_eq!(answer.status(), 200);
        is_made(answer.field("x-request-id"));
    }
}

#[test]
fn hop_by_hop_fields_of_a_request_stop_here() {
    let head = forwarded(
        UNTRUSTED,
        "Connection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
         Proxy-Authorization: Basic c2VjcmV0\r\nTE: gzip\r\nUpgrade: h2c\r\nX-Public: 1\r\n",
    );
    for name in
        ["x-private", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade", "trailer"]
    {
        assert_eq!(head.field(name), None, "{name} was forwarded");
    }
    assert!(!head.lists("connection", "x-private"));
    assert_eq!(head.field("x-public"), Some("1"));
}

#[test]
fn connection_cannot_name_what_the_gateway_relies_on() {
    let head =
        forwarded(UNTRUSTED, "Connection: close, Host, X-Forwarded-For, X-Request-Id, Content-Length\r\n");
    assert!(head.field("host").is_some());
    assert_eq!(head.field("x-forwarded-for"), Some("127.0.0.1"));
    assert!(head.field("x-request-id").is_some());
}

#[test]
fn other_spellings_of_what_frames_a_message_stop_here() {
    let fields =
        "Content_Length: 7\r\nTransfer_Encoding: chunked\r\nContent.Length: 7\r\nContent_Type: kept\r\n";
    let head = forwarded(UNTRUSTED, fields);
    let seen = ["content_length", "content.length", "transfer_encoding", "content_type"];
    assert_eq!(seen.map(|name| head.field(name)), [None, None, None, Some("kept")]);
}

#[test]
fn hop_by_hop_fields_of_a_response_stop_here() {
    let answer = returned(
        "HTTP/1.1 200 OK\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Public: 1\r\nContent-Length: 2\r\n\r\nok",
    );
    for name in ["x-private", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(answer.field(name), None, "{name} was forwarded");
    }
    assert!(!answer.head.lists("connection", "x-private"));
    assert_eq!(answer.field("x-public"), Some("1"));
    assert_eq!(answer.text(), "ok");
}

#[test]
fn repeated_fields_keep_their_number_and_order() {
    let head = forwarded(UNTRUSTED, "Accept: a\r\nX-Between: 1\r\nAccept: b\r\n");
    assert_eq!(head.values("accept").collect::<Vec<_>>(), ["a", "b"]);
    let answer = returned(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(answer.head.values("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2; Path=/"]);
}

#[test]
fn bytes_beyond_ascii_in_values_pass() {
    let origin = Origin::saying("");
    let gateway = gateway(&origin, UNTRUSTED);
    let mut connection = Connection::open(gateway.address());
    connection.send(b"GET / HTTP/1.1\r\nHost: gateway.example\r\nX-Name: Ren\xe9\r\n\r\n");
    assert_eq!(connection.response().status(), 200);
    assert_eq!(origin.only_request().head.field("x-name"), Some("Ren\u{e9}"));
}

#[test]
fn head_over_the_limit_is_refused() {
    let origin = Origin::saying("");
    let gateway =
        Gateway::standalone(Document::new().server("max_header_bytes: 4096").route("all", "/", origin.url()));
    let fits = client::get_with(gateway.address(), "/", &format!("X-Long: {}\r\n", "a".repeat(3_000)));
    assert_eq!(fits.status(), 200);
    let answer = client::get_with(gateway.address(), "/", &format!("X-Long: {}\r\n", "a".repeat(5_000)));
    assert_eq!(answer.status(), 431);
    assert_eq!(origin.requests().len(), 1);
}
