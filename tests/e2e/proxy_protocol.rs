//! The PROXY protocol, byte for byte: whose word is taken, what becomes of it, and what a bad one costs.

use std::net::{IpAddr, SocketAddr};

use apigw_tests::{
    certificates::{Authority, SecureClient},
    client::{Connection, Response},
    configuration::Document,
    gateway::Gateway,
    origin::{Origin, Request, ok},
    waiting::eventually,
};

const GET: &str = "GET /x HTTP/1.1\r\nHost: gateway.example\r\n\r\n";
/// Where the tests' clients are.
const TRUSTED: &str = "proxy_protocol: {trusted: [127.0.0.1]}";

fn line(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { ("TCP6", "::1") } else { ("TCP4", "127.0.0.1") };
    format!("PROXY {} {client} {} 40000 443\r\n", family.0, family.1).into_bytes()
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a length that can be written").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

/// Version 2 with both addresses and ports.
fn binary_of(client: &str) -> Vec<u8> {
    match client.parse().expect("an address") {
        IpAddr::V4(client) => {
            binary(0x21, 0x11, &[&client.octets()[..], &[127, 0, 0, 1, 1, 2, 3, 4]].concat())
        }
        IpAddr::V6(client) => binary(0x21, 0x21, &[&client.octets()[..], &[0; 16], &[1, 2, 3, 4]].concat()),
    }
}

fn gateway(server: &str, origin: &Origin) -> Gateway {
    Gateway::standalone(Document::new().server(TRUSTED).server(server).route("all", "/", origin.url()))
}

fn ask(address: SocketAddr, header: &[u8]) -> Response {
    let mut connection = Connection::open(address);
    connection.send([header, GET.as_bytes()].concat());
    connection.response()
}

/// How many headers ended so.
fn count(gateway: &Gateway, outcome: &str) -> u64 {
    gateway.data_plane.metrics().count("apigw_proxy_protocol_headers_total", &[("outcome", outcome)])
}

fn eventually_counted(gateway: &Gateway, outcome: &str, expected: u64) {
    eventually("the headers are counted", || (count(gateway, outcome) == expected).then_some(()));
}

#[test]
fn the_client_is_whom_a_trusted_proxy_names() {
    let origin = Origin::answering(|request: &Request| {
        ok(request.head.field("x-forwarded-for").expect("the gateway says who asks"))
    });
    let gateway = gateway("deny_cidrs: [203.0.113.66]", &origin);
    let unix = binary(0x21, 0x31, &[b'/'; 216]);
    let with_fields = [&[203, 0, 113, 9, 1, 2, 3, 4, 1, 2, 3, 4][..], b"\x02\0\x03abc\x04\0\0"].concat();
    for (header, client) in [
        (line("203.0.113.9"), "203.0.113.9"),
        (line("2001:db8::9"), "2001:db8::9"),
        (line("::ffff:203.0.113.9"), "203.0.113.9"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (binary_of("203.0.113.9"), "203.0.113.9"),
        (binary_of("2001:db8::9"), "2001:db8::9"),
        (binary_of("::ffff:203.0.113.9"), "203.0.113.9"),
        (binary(0x21, 0x11, &with_fields), "203.0.113.9"),
        (binary(0x20, 0x00, &[]), "127.0.0.1"),
        (binary(0x21, 0x00, &[]), "127.0.0.1"),
        (unix, "127.0.0.1"),
    ] {
        let answer = ask(gateway.address(), &header);
        assert_eq!((answer.status(), answer.text().as_str()), (200, client), "{header:?}");
        let id = answer.field("x-request-id").expect("every answer has an id");
        assert_eq!(gateway.data_plane.access(id)["remote"], client);
    }
    assert_eq!(ask(gateway.address(), &line("203.0.113.66")).status(), 403);
    assert_eq!(count(&gateway, "success"), 12);
}

#[test]
fn each_client_behind_a_proxy_has_a_rate_of_its_own() {
    let origin = Origin::saying("served");
    let limited = Document::new()
        .server(TRUSTED)
        .route("all", "/", origin.url())
        .with("rate_limit: {enabled: true, rps: 0.001, burst: 1, scope: ip}");
    let gateway = Gateway::standalone(limited);
    for (client, status) in [("203.0.113.1", 200), ("203.0.113.2", 200), ("203.0.113.1", 429)] {
        assert_eq!(ask(gateway.address(), &line(client)).status(), status, "{client}");
    }
}

#[test]
fn a_header_may_come_byte_by_byte_and_holds_for_all_requests_of_its_connection() {
    let origin = Origin::answering(|request: &Request| {
        ok(request.head.field("x-forwarded-for").expect("the gateway says who asks"))
    });
    let gateway = gateway("read_header_timeout_seconds: 60", &origin);
    for header in [line("203.0.113.9"), binary_of("203.0.113.9")] {
        let mut connection = Connection::open(gateway.address());
        for byte in [&header[..], GET.as_bytes()].concat() {
            connection.send([byte]);
        }
        assert_eq!(connection.response().text(), "203.0.113.9");
        assert_eq!(connection.get("/y").text(), "203.0.113.9");
    }
}

#[test]
fn a_trusted_proxy_without_a_header_is_cut_off_without_a_word() {
    let origin = Origin::saying("served");
    let gateway = gateway("", &origin);
    let longest = format!("PROXY UNKNOWN {}", "x".repeat(107 - 14));
    let checksum = [&[203, 0, 113, 9, 1, 2, 3, 4, 1, 2, 3, 4][..], b"\x03\0\x04\0\0\0\0"].concat();
    let bad = [
        GET.as_bytes().to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\0".to_vec(),
        b"PROXY TCP4 203.0.113.9 127.0.0.1 1\r\n".to_vec(),
        longest.into_bytes(),
        binary(0x21, 0x77, &[]),
        binary(0x21, 0x11, &[1, 2, 3]),
        // A length beyond the bound, and a checksum that is none.
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(),
        binary(0x21, 0x11, &checksum),
    ];
    for header in &bad {
        let mut connection = Connection::open(gateway.address());
        connection.send(header);
        assert!(connection.until_closed().is_empty(), "{header:?}");
    }
    eventually_counted(&gateway, "malformed", bad.len() as u64);
    // Somebody who looks whether the port is open.
    drop(Connection::open(gateway.address()));
    eventually_counted(&gateway, "closed", 1);
    assert!(origin.requests().is_empty());
}

#[test]
fn a_header_that_stops_or_drips_is_cut_off_in_time() {
    let origin = Origin::saying("served");
    let gateway = gateway("read_header_timeout_seconds: 0.3", &origin);
    let header = binary_of("203.0.113.9");
    for begun in [&b""[..], b"PROXY TCP4 203.", &header[..7], &header[..20]] {
        let mut connection = Connection::open(gateway.address());
        connection.send(begun);
        assert!(connection.until_closed().is_empty(), "{begun:?}");
    }
    eventually_counted(&gateway, "timeout", 4);
}

#[test]
fn what_strangers_say_of_themselves_is_no_request() {
    let origin = Origin::saying("served");
    let strangers = Document::new().server("proxy_protocol: {trusted: [192.0.2.0/24]}");
    let gateway = Gateway::standalone(strangers.route("all", "/", origin.url()));
    for header in [line("203.0.113.9"), binary_of("203.0.113.9"), b"PROXY UNKNOWN\r\n".to_vec()] {
        assert_eq!(ask(gateway.address(), &header).status(), 400, "{header:?}");
    }
    assert!(origin.requests().is_empty());
    assert_eq!(ask(gateway.address(), b"").text(), "served");
}

#[test]
fn tls_is_spoken_behind_the_header() {
    let (authority, origin) = (
        Authority::new(),
        Origin::answering(|request: &Request| {
            ok(request.head.field("x-forwarded-for").expect("the gateway says who asks"))
        }),
    );
    let identity = authority.identity();
    let (certificate, key) = (identity.path("cert.pem"), identity.path("key.pem"));
    let tls = format!(
        "tls: {{certificates: [{{cert_file: \"{}\", key_file: \"{}\"}}]}}",
        certificate.display(),
        key.display()
    );
    let gateway = gateway(&tls, &origin);
    for header in [line("203.0.113.9"), binary_of("203.0.113.9")] {
        let client = SecureClient::open_behind(&header, gateway.address(), &authority);
        let answer = client.and_then(|mut client| client.get("/x")).expect("an answer");
        assert!(answer.ends_with("203.0.113.9"), "{answer}");
    }
    assert!(SecureClient::open(gateway.address(), &authority, None).is_err());
}

#[test]
fn a_flood_of_headers_without_an_end_costs_neither_memory_nor_anybody_his_answer() {
    let origin = Origin::saying("served");
    let gateway = gateway("read_header_timeout_seconds: 60", &origin);
    assert_eq!(ask(gateway.address(), &line("203.0.113.9")).text(), "served");
    let before = gateway.data_plane.resident_bytes();
    let begun = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\0"[..], &[0; 4_000]].concat();
    let flood: Vec<_> = (0..400)
        .map(|_| {
            let mut connection = Connection::open(gateway.address());
            connection.send(&begun);
            connection
        })
        .collect();
    assert_eq!(ask(gateway.address(), &line("203.0.113.9")).text(), "served");
    let grown = gateway.data_plane.resident_bytes().saturating_sub(before);
    assert!(grown < 400 * 32 * 1_024, "{grown} bytes for {} connections", flood.len());
}
