//! Requests of HTTP/2 that would be others, or several, if they were written down as HTTP/1.1 ("HTTP/2: The Sequel is Always
//! Worse" and its kin): each is refused, or reaches the upstream in exactly one shape.

use apigw_tests::{
    configuration::Document,
    frames::{
        END_STREAM, Kind,
        peer::{FramePeer, Received, code},
    },
    gateway::Gateway,
    origin::Origin,
};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The upstream hears nothing of it.
    Refused,
    /// It is answered by the gateway itself.
    Answered(u16),
    /// The upstream is asked for this.
    Forwarded(&'static str),
}

type Fields = &'static [(&'static str, &'static str)];

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/x");
const AUTHORITY: (&str, &str) = (":authority", "gateway.example");

/// Further fields.
const ADDED: &[(Fields, Fate)] = &[
    // Line breaks in values and names begin lines of their own (H2.X through header injection).
    (&[("x", "a\r\nTransfer-Encoding: chunked")], Fate::Refused),
    (&[("x", "a\nHost: evil.example")], Fate::Refused),
    (&[("x", "a\rb")], Fate::Refused),
    (&[("x", "a\0b")], Fate::Refused),
    (&[("x", "a\x0bb")], Fate::Refused),
    (&[("x", "a\x7fb")], Fate::Refused),
    (&[("x", " a")], Fate::Refused),
    (&[("x", "a ")], Fate::Refused),
    (&[("x", "\ta")], Fate::Refused),
    (&[("x\r\ny", "a")], Fate::Refused),
    (&[("x: y\r\nz", "a")], Fate::Refused),
    (&[("x y", "a")], Fate::Refused),
    (&[("x:", "a")], Fate::Refused),
    (&[("x:y", "a")], Fate::Refused),
    (&[("x\0", "a")], Fate::Refused),
    (&[("", "a")], Fate::Refused),
    (&[("X-Capital", "a")], Fate::Refused),
    (&[("x\u{e9}", "a")], Fate::Refused),
    (&[("foo: bar\r\ntransfer-encoding: chunked\r\nx", "y")], Fate::Refused),
    (&[("cookie", "a=1"), ("cookie", "b=2\r\nx: y")], Fate::Refused),
    // H2.TE and H2.CL: HTTP/1.1 would count a body by these.
    (&[("transfer-encoding", "chunked")], Fate::Refused),
    (&[("transfer-encoding", "identity")], Fate::Refused),
    (&[("transfer-encoding ", "chunked")], Fate::Refused),
    (&[("te", "trailers, chunked")], Fate::Refused),
    (&[("connection", "close")], Fate::Refused),
    (&[("connection", "transfer-encoding")], Fate::Refused),
    (&[("upgrade", "h2c")], Fate::Refused),
    (&[("upgrade", "websocket"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")], Fate::Refused),
    (&[("proxy-connection", "keep-alive")], Fate::Refused),
    (&[("content-length", "5")], Fate::Refused),
    (&[("content-length", "0"), ("content-length", "0")], Fate::Refused),
    (&[("content-length", "0, 0")], Fate::Refused),
    (&[("content-length", "+0")], Fate::Refused),
    (&[("content-length", "0x0")], Fate::Refused),
    (&[("content-length", "")], Fate::Refused),
    (&[("content-length", "-1")], Fate::Refused),
    (&[("content-length", "18446744073709551616")], Fate::Refused),
    (&[("content-length", "0")], Fate::Forwarded("GET /x")),
    // For whom it is, said twice.
    (&[("host", "evil.example")], Fate::Refused),
    (&[("host", "gateway.example"), ("host", "gateway.example")], Fate::Refused),
    (&[("host", "gateway.example, evil.example")], Fate::Refused),
    (&[("host", "GATEWAY.example")], Fate::Forwarded("GET /x")),
    (&[(":authority", "evil.example")], Fate::Refused),
    (&[(":path", "/admin")], Fate::Refused),
    (&[("x", "y"), (":path", "/admin")], Fate::Refused),
    (&[(":x", "y")], Fate::Refused),
    (&[("x", "bytes \u{fc}ber ASCII")], Fate::Forwarded("GET /x")),
    (&[("te", "trailers")], Fate::Forwarded("GET /x")),
];

/// In place of the request's own.
const REPLACED: &[(&str, &str, Fate)] = &[
    (":method", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\nGET", Fate::Refused),
    (":method", "GET /admin", Fate::Refused),
    (":method", "G\0T", Fate::Refused),
    (":method", "", Fate::Refused),
    (":method", "TRACE", Fate::Answered(405)),
    (":method", "get", Fate::Forwarded("get /x")),
    (":scheme", "http://evil.example/?", Fate::Refused),
    (":scheme", "http\r\nx: y", Fate::Refused),
    (":scheme", "", Fate::Refused),
    (":scheme", "ftp", Fate::Answered(400)),
    (":scheme", "https", Fate::Forwarded("GET /x")),
    (":path", "/x HTTP/1.1\r\nX: y\r\n\r\nGET /admin", Fate::Refused),
    (":path", "/x\r\nX: y", Fate::Refused),
    (":path", "/x y", Fate::Refused),
    (":path", "/x\ty", Fate::Refused),
    (":path", "/x\0", Fate::Refused),
    (":path", "/x\u{7f}", Fate::Refused),
    (":path", "/\u{e9}", Fate::Refused),
    (":path", "", Fate::Refused),
    (":path", "x", Fate::Refused),
    (":path", "?x", Fate::Refused),
    (":path", "/x#/../y", Fate::Refused),
    (":path", "*", Fate::Refused),
    (":path", "http://evil.example/x", Fate::Refused),
    (":path", "@evil.example/x", Fate::Refused),
    (":path", "/%0d%0aX:%20y", Fate::Refused),
    (":path", "/..%2fadmin", Fate::Refused),
    (":path", "/a\\..\\admin", Fate::Refused),
    (":path", "/public/../admin", Fate::Forwarded("GET /admin")),
    (":path", "//evil.example/x", Fate::Forwarded("GET /evil.example/x")),
    (":path", "/x?a=b&c", Fate::Forwarded("GET /x?a=b&c")),
    (":authority", "gateway.example\r\nx: y", Fate::Refused),
    (":authority", "gateway.example/admin", Fate::Refused),
    (":authority", "gateway.example, evil.example", Fate::Refused),
    (":authority", "user@gateway.example", Fate::Refused),
    (":authority", "gateway.example?x", Fate::Refused),
    (":authority", "", Fate::Refused),
    (":authority", "gateway.example:80", Fate::Forwarded("GET /x")),
];

fn request(client: &mut FramePeer, fields: &[(&str, &str)]) {
    client.head(1, END_STREAM, fields);
}

/// What became of stream 1, and what the upstream has seen of it since it was last looked at.
fn fate(client: &mut FramePeer, origin: &Origin, seen: &mut usize) -> Result<Fate, String> {
    let answer = loop {
        match client.try_next() {
            Ok(Some(received)) if ends(&received) => break Some(received),
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(silent) => return Err(format!("{silent:?}: {:?}", client.seen())),
        }
    };
    let requests = origin.requests();
    let new: Vec<_> = requests.iter().skip(*seen).map(|request| request.line().to_owned()).collect();
    *seen = requests.len();
    match (answer.and_then(|answer| answer.status()), new.as_slice()) {
        (Some(200), [line]) => {
            let expected = REPLACED.iter().map(|(.., fate)| *fate).chain(ADDED.iter().map(|(_, fate)| *fate));
            let known = expected.into_iter().find(|fate| matches!(fate, Fate::Forwarded(to) if to == line));
            known.ok_or_else(|| format!("forwarded as {line:?}"))
        }
        (Some(status), []) if status >= 400 => Ok(Fate::Answered(status)),
        (None, []) => Ok(Fate::Refused),
        (status, lines) => Err(format!("status {status:?}, forwarded: {lines:?}")),
    }
}

fn ends(received: &Received) -> bool {
    received.is(Kind::GoAway)
        || received.stream == 1 && (received.is(Kind::Reset) || received.is(Kind::Headers))
}

fn is_as_expected(expected: Fate, actual: Fate) -> bool {
    expected == actual || expected == Fate::Refused && matches!(actual, Fate::Answered(400..=499))
}

#[test]
fn what_would_be_another_request_in_http11_is_refused() {
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let whole = [METHOD, SCHEME, PATH, AUTHORITY];
    let added = ADDED.iter().map(|(fields, fate)| ([&whole[..], fields].concat(), *fate));
    let replaced = REPLACED.iter().map(|(name, value, fate)| {
        let fields = whole.iter().map(|field| if field.0 == *name { (*name, *value) } else { *field });
        (fields.collect::<Vec<_>>(), *fate)
    });
    let (mut seen, mut broken) = (0, Vec::new());
    for (fields, expected) in added.chain(replaced) {
        let mut client = FramePeer::open(gateway.address()).greet();
        request(&mut client, &fields);
        match fate(&mut client, &origin, &mut seen) {
            Ok(actual) if is_as_expected(expected, actual) => {}
            actual => broken.push(format!("{fields:?}: not {expected:?} but {actual:?}")),
        }
    }
    assert!(broken.is_empty(), "{} rows do not hold:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn a_request_without_authority_needs_a_host() {
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut seen = 0;
    for (host, expected) in [
        (&[("host", "gateway.example")][..], Fate::Forwarded("GET /x")),
        (&[], Fate::Answered(400)),
        (&[("host", "")], Fate::Answered(400)),
        (&[("host", "a b")], Fate::Answered(400)),
    ] {
        let mut client = FramePeer::open(gateway.address()).greet();
        request(&mut client, &[&[METHOD, SCHEME, PATH], host].concat());
        assert_eq!(fate(&mut client, &origin, &mut seen), Ok(expected), "{host:?}");
    }
}

#[test]
fn the_server_as_a_whole_is_asked_by_options_alone() {
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut client = FramePeer::open(gateway.address()).greet();
    request(&mut client, &[(":method", "OPTIONS"), SCHEME, (":path", "*"), AUTHORITY]);
    assert_eq!(client.until(ends).status(), Some(204));
    assert_eq!(origin.requests().len(), 0);
}

/// Sends a request piece by piece. The gateway has seen each before the next is sent.
fn post(client: &mut FramePeer, length: &str, pieces: &[&[u8]]) {
    client.head(1, 0, &[(":method", "POST"), SCHEME, PATH, AUTHORITY, ("content-length", length)]);
    for (number, piece) in pieces.iter().enumerate() {
        client.settle_surely(&[]);
        let flags = if number + 1 == pieces.len() { END_STREAM } else { 0 };
        client.frame(Kind::Data, flags, 1, piece);
    }
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_is_no_whole_request_upstream() {
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let smuggled = b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n";
    for (length, pieces) in [
        ("0", &[&smuggled[..]][..]),
        ("5", &[smuggled]),
        ("1000", &[smuggled]),
        ("6", &[b"abc", b"def", b"ghi"]),
        ("9", &[b"abc", b"def", b"gh"]),
    ] {
        let mut client = FramePeer::open(gateway.address()).greet();
        post(&mut client, length, pieces);
        let end = client.until(ends);
        assert!(end.status().is_none_or(|status| status >= 400), "{length}: {end:?}");
    }
    assert_eq!(origin.requests().len(), 0, "the upstream has seen no whole request: {:?}", origin.requests());
}

#[test]
fn a_body_as_long_as_it_says_is_whole_when_its_end_is_said() {
    for (length, pieces) in [("0", &[&b""[..]][..]), ("6", &[b"abcdef", b""]), ("6", &[b"abc", b"def", b""])]
    {
        let origin = Origin::saying("served");
        let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
        let mut client = FramePeer::open(gateway.address()).greet();
        post(&mut client, length, pieces);
        assert_eq!(client.until(ends).status(), Some(200), "{pieces:?}");
        assert_eq!(origin.only_request().body, pieces.concat(), "{pieces:?}");
    }
}

#[test]
fn a_body_whose_length_is_not_told_is_one_request_whatever_is_in_it() {
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let body = b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = FramePeer::open(gateway.address()).greet();
    client.head(1, 0, &[(":method", "POST"), SCHEME, PATH, AUTHORITY]);
    client.frame(Kind::Data, END_STREAM, 1, body);
    assert_eq!(client.until(ends).status(), Some(200));
    let request = origin.only_request();
    assert_eq!((request.line(), request.body.as_slice()), ("POST /x", &body[..]));
    let framing = (request.head.field("transfer-encoding"), request.head.field("content-length"));
    assert_eq!(framing, (Some("chunked"), None));
}

#[test]
fn trailers_of_a_stream_forge_nothing() {
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut client = FramePeer::open(gateway.address()).greet();
    client.head(1, 0, &[(":method", "POST"), SCHEME, PATH, AUTHORITY]);
    client.frame(Kind::Data, 0, 1, b"body");
    let forged = [("x-forwarded-for", "1.1.1.1"), ("content-length", "7"), ("host", "x")];
    client.head(1, END_STREAM, &[&forged[..], &[("sum", "1")]].concat());
    assert_eq!(client.until(ends).status(), Some(200));
    let request = origin.only_request();
    assert_eq!((request.line(), request.body.as_slice()), ("POST /x", &b"body"[..]));
    assert_eq!(request.trailers, [("sum".to_owned(), "1".to_owned())]);
    // RFC 9113 section 8.1.
    for (stream, pseudo) in [(3, (":path", "/admin")), (5, AUTHORITY), (7, (":x", "y"))] {
        client.head(stream, 0, &[(":method", "POST"), SCHEME, PATH, AUTHORITY]);
        client.frame(Kind::Data, 0, stream, b"body");
        client.head(stream, END_STREAM, &[("sum", "1"), pseudo]);
        let end = client.until(|received| received.stream == stream);
        assert_eq!((end.is(Kind::Reset), end.error()), (true, Some(code::PROTOCOL)), "{pseudo:?}");
    }
    assert_eq!(origin.requests().len(), 1, "the upstream sees no whole request of them");
}
