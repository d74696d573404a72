//! What each type takes and refuses, as data. The places and keys of problems are tested where files are read.

mod matching;
mod policies;

use std::net::IpAddr;

use super::*;

fn outcome<T>(result: Result<T, ValueError>) -> String {
    result.err().map_or_else(|| "legal".to_owned(), |error| error.to_string())
}

#[track_caller]
fn check<T>(constructor: impl Fn(&str) -> Result<T, ValueError>, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(outcome(constructor(text)), *expected, "{text:.80}");
    }
}

#[test]
fn route_names_stand_in_headers_and_labels_as_they_are() {
    let letters = "letters, digits and -_.:/@ are allowed";
    check(
        RouteName::new,
        &[
            ("users-v2_A.b:c/d@e", "legal"),
            (&"x".repeat(200), "legal"),
            (&"x".repeat(201), "longer than 200 bytes"),
            ("", "must not be empty"),
            ("a b", &format!("contains ' '; {letters}")),
            ("a\nb", &format!("contains '\\n'; {letters}")),
            ("ä", &format!("contains 'ä'; {letters}")),
        ],
    );
}

#[test]
fn prefixes_are_what_a_normalised_path_can_begin_with() {
    let never = |text: &str, reason: &str| format!("{text:?} can match no request: {reason}");
    let merged = "\"//\" is merged into \"/\" before matching";
    let dots = "dot segments are resolved before matching";
    let cut = "a path ends before \"?\" and \"#\"";
    let escaped = "only characters that a path holds unescaped, and percent escapes, can match";
    check(
        PathPrefix::new,
        &[
            ("/", "legal"),
            ("/a", "legal"),
            ("/a/b/", "legal"),
            ("/%C3%A4", "legal"),
            ("/a.b/...", "legal"),
            (&format!("/{}", "x".repeat(8_191)), "legal"),
            (&format!("/{}", "x".repeat(8_192)), "longer than 8192 bytes"),
            ("", "must start with \"/\": \"\""),
            ("a", "must start with \"/\": \"a\""),
            ("//", &never("//", merged)),
            ("/a//b", &never("/a//b", merged)),
            ("/a//", &never("/a//", merged)),
            ("/./a", &never("/./a", dots)),
            ("/a/..", &never("/a/..", dots)),
            ("/a?b", &never("/a?b", cut)),
            ("/a#b", &never("/a#b", cut)),
            ("/a b", &never("/a b", escaped)),
            ("/ä", &never("/ä", escaped)),
            ("/a\\b", &never("/a\\b", "backslashes are refused")),
        ],
    );
}

#[test]
fn upstreams_are_absolute_urls_without_what_is_never_sent() {
    let no_url = |text: &str| format!("not an absolute http or https URL: {text:?}");
    check(
        UpstreamUrl::new,
        &[
            ("http://h", "legal"),
            ("HTTPS://Orders.internal:8443/base/", "legal"),
            ("http://[::1]:9001/x", "legal"),
            ("http://my_service.", "legal"),
            ("unix:/run/app.sock", "legal"),
            ("unix:app.sock", "the path of a socket file must start with \"/\": \"unix:app.sock\""),
            ("UNIX:/run/app.sock", &no_url("UNIX:/run/app.sock")),
            ("", "must not be empty"),
            ("localhost:9001", &no_url("localhost:9001")),
            ("ftp://h", &no_url("ftp://h")),
            ("http://", &no_url("http://")),
            ("http://h:", &no_url("http://h:")),
            ("http://h:0", &no_url("http://h:0")),
            ("http://h:65536", &no_url("http://h:65536")),
            ("http://10.0.0.256", &no_url("http://10.0.0.256")),
            ("http://h..i", &no_url("http://h..i")),
            ("http://h/a b", &no_url("http://h/a b")),
            ("http://h/../a", &no_url("http://h/../a")),
            ("http://h?a=b", "must not have a query: \"http://h?a=b\""),
            ("http://h/#a", "must not have a fragment: \"http://h/#a\""),
            ("http://u:secret@h", "must not have a user name: \"http://...@h\""),
            ("htp://u:secret@h", &no_url("htp://...@h")),
            (&format!("http://h/{}", "x".repeat(8_184)), "longer than 8192 bytes"),
        ],
    );
}

#[test]
fn an_upstream_knows_its_parts() {
    let parts = |text: &str| {
        let url = UpstreamUrl::new(text).unwrap();
        (url.authority(), url.port(), url.base_path().to_owned())
    };
    assert_eq!(parts("http://H.Example/"), ("h.example".into(), 80, String::new()));
    assert_eq!(parts("https://h:443/a/"), ("h".into(), 443, "/a".into()));
    assert_eq!(parts("https://h:80/a/b"), ("h:80".into(), 80, "/a/b".into()));
    assert_eq!(parts("http://[::1]:81"), ("[::1]:81".into(), 81, String::new()));
    assert_eq!(parts("unix:/run/app.sock"), ("localhost".into(), 0, String::new()));
    let address = UpstreamUrl::new("http://127.0.0.1").unwrap();
    assert_eq!(address.host(), &UpstreamHost::Address(IpAddr::from([127, 0, 0, 1])));
}

#[test]
fn listen_addresses_are_addresses_and_ports() {
    let refused = |text: &str| {
        format!("not an address to listen on (\"HOST:PORT\", \"[IPV6]:PORT\" or \":PORT\"): {text:?}")
    };
    check(
        str::parse::<ListenAddress>,
        &[
            (":8080", "legal"),
            ("127.0.0.1:0", "legal"),
            ("[::1]:80", "legal"),
            ("localhost:80", "legal"),
            ("", &refused("")),
            ("8080", &refused("8080")),
            ("::1:80", &refused("::1:80")),
            ("h:80", &refused("h:80")),
            (":", &refused(":")),
            (":+80", &refused(":+80")),
            (":65536", &refused(":65536")),
        ],
    );
    let is_loopback = |text: &str| text.parse::<ListenAddress>().unwrap().is_loopback();
    assert!(is_loopback("127.0.0.1:1") && is_loopback("[::1]:1") && is_loopback("localhost:1"));
    assert!(!is_loopback(":1") && !is_loopback("10.0.0.1:1"));
}

#[test]
fn traffic_comes_to_ports_and_to_socket_files_with_a_whole_path() {
    let refused = |text: &str| {
        format!(
            "not an address to listen on (\"HOST:PORT\", \"[IPV6]:PORT\", \":PORT\" or \"unix:/PATH\"): {text:?}"
        )
    };
    let relative = |text: &str| format!("the path of a socket file must start with \"/\": {text:?}");
    let long = format!("unix:/{}", "x".repeat(107));
    check(
        str::parse::<TrafficAddress>,
        &[
            (":8080", "legal"),
            ("[::]:80", "legal"),
            ("unix:/run/apigw.sock", "legal"),
            ("unix:", &relative("unix:")),
            ("unix:run/apigw.sock", &relative("unix:run/apigw.sock")),
            ("unix://run/apigw.sock", "legal"),
            ("/run/apigw.sock", &refused("/run/apigw.sock")),
            (
                &long,
                &format!(
                    "the path of a socket cannot have 108 bytes, the system takes about 100: {}",
                    &long[5..]
                ),
            ),
        ],
    );
    for text in [":8080", "[::1]:80", "unix:/run/apigw.sock"] {
        assert_eq!(text.parse::<TrafficAddress>().unwrap().to_string(), text);
    }
}

#[test]
fn servers_have_a_host_and_a_port() {
    let refused =
        |text: &str| format!("not an address to connect to (\"HOST:PORT\" or \"[IPV6]:PORT\"): {text:?}");
    check(
        ServerAddress::new,
        &[
            ("redis.internal:6379", "legal"),
            ("10.0.0.1:1", "legal"),
            ("[::1]:65535", "legal"),
            ("", "must not be empty"),
            ("redis", &refused("redis")),
            (":6379", &refused(":6379")),
            ("redis:0", &refused("redis:0")),
            ("redis:65536", &refused("redis:65536")),
            ("redis:", &refused("redis:")),
            ("::1:80", &refused("::1:80")),
            ("a b:80", &refused("a b:80")),
        ],
    );
}

#[test]
fn ranges_hold_their_addresses_in_either_notation() {
    let contains = |range: &str, address: &str| {
        range.parse::<AddressRange>().unwrap().contains(address.parse().unwrap())
    };
    assert!(contains("10.0.0.0/8", "10.1.2.3") && contains("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert!(!contains("10.0.0.0/8", "11.0.0.1") && !contains("192.0.2.7", "192.0.2.8"));
    assert!(contains("192.0.2.7", "192.0.2.7") && contains("2001:db8::/32", "2001:db8::1"));
    assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3") && !contains("::ffff:10.0.0.0/104", "11.0.0.1"));
    assert!(contains("::ffff:192.0.2.7", "192.0.2.7") && !contains("::/0", "192.0.2.7"));
    let refused = "not an address range such as \"10.0.0.0/8\": \"10.0.0.0/33\"";
    check(str::parse::<AddressRange>, &[("10.0.0.0/33", refused)]);
}

#[test]
fn ranges_have_their_ends_whatever_host_bits_are_written() {
    let ends = |range: &str| {
        let range: AddressRange = range.parse().unwrap();
        [range.first(), range.last()].map(|address| address.to_string())
    };
    assert_eq!(ends("10.1.2.3/16"), ["10.1.0.0", "10.1.255.255"]);
    assert_eq!(ends("2001:db8::5/127"), ["2001:db8::4", "2001:db8::5"]);
    assert_eq!(ends("::ffff:10.0.0.1"), ["10.0.0.1", "10.0.0.1"]);
}

#[test]
fn times_have_their_range_in_whole_microseconds() {
    let period = |seconds| Period::from_seconds(seconds).map(Period::micros).ok();
    let span = |seconds| Span::from_seconds(seconds).map(Span::micros).ok();
    for (seconds, as_period, as_span) in [
        (0.3, Some(300_000), Some(300_000)),
        (0.000_001, Some(1), Some(1)),
        (0.000_000_9, None, Some(0)),
        (0.0, None, Some(0)),
        (86_400.0, Some(86_400_000_000), Some(86_400_000_000)),
        (86_400.1, None, None),
        (-0.1, None, None),
        (f64::NAN, None, None),
        (f64::INFINITY, None, None),
    ] {
        assert_eq!((period(seconds), span(seconds)), (as_period, as_span), "{seconds}");
    }
}

#[test]
fn algorithms_are_known_by_their_registered_names() {
    for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        assert_eq!(name.parse::<Algorithm>().unwrap().name(), name);
    }
    for name in ["HS256", "none", "rs256", ""] {
        assert!(name.parse::<Algorithm>().is_err(), "{name}");
    }
    assert_eq!(outcome(Algorithms::new(Vec::new())), "must not be empty");
}
