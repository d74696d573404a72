//! What a request may say, and what becomes of it.

use http::header::ACCEPT;

use super::*;
use crate::http2::hpack::decoder::Name;

const MAX_BYTES: usize = 4 << 10;

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

/// As the decoder gives it.
fn field(name: &str, text: &str) -> Field {
    match name {
        ":method" => Field::Method(text.parse().unwrap()),
        ":scheme" => Field::Scheme(value(text)),
        ":authority" => Field::Authority(value(text)),
        ":path" => Field::Path(text.parse().unwrap()),
        ":protocol" => Field::Protocol(value(text)),
        name => Field::Regular(name.parse().unwrap(), value(text)),
    }
}

fn gathered(fields: &[(&str, &str)]) -> Gathering {
    let mut gathering = Gathering::new(MAX_BYTES);
    fields.iter().for_each(|(name, text)| gathering.take(field(name, text)));
    gathering
}

type Said = [(&'static str, &'static str)];

const GET: &Said =
    &[(":method", "GET"), (":scheme", "https"), (":path", "/x?y"), (":authority", "a.example")];
const CONNECT: &Said = &[(":method", "CONNECT"), (":authority", "a.example:443")];

fn get(fields: &Said) -> Result<Head, NoHead> {
    gathered(&[GET, fields].concat()).into_head(Ends::Here)
}

fn error(head: Result<Head, NoHead>) -> Option<HeadError> {
    match head {
        Err(NoHead::Refused(refused)) => Some(refused.error),
        _ => None,
    }
}

fn is_malformed(head: &Result<Head, NoHead>) -> bool {
    matches!(head, Err(NoHead::Malformed))
}

#[test]
fn a_head_is_as_http11_would_have_it() {
    let head = get(&[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("cookie", "")]).unwrap();
    assert_eq!((head.request.method, head.request.uri.to_string()), (Method::GET, "/x?y".to_owned()));
    assert_eq!((head.request.version, head.length, head.protocol), (Version::HTTP_2, None, None));
    let fields: Vec<_> = head.request.headers.iter().collect();
    assert_eq!(
        fields,
        [(&HOST, &value("a.example")), (&COOKIE, &value("a=1; b=2")), (&ACCEPT, &value("*/*"))]
    );
}

#[test]
fn a_host_is_said_once() {
    let hosts = |fields: &Said| {
        let head = get(fields).unwrap();
        head.request.headers.get_all(HOST).map(|host| host.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hosts(&[("host", "A.example")]), ["a.example"]);
    // Which is no host; see `apigw_engine::head::check`.
    assert_eq!(hosts(&[("host", "b.example")]), ["a.example", "b.example"]);
    assert_eq!(hosts(&[("host", "a.example"), ("host", "a.example")]).len(), 2);
}

#[test]
fn what_http2_forbids_is_malformed() {
    for left_out in [":method", ":scheme", ":path"] {
        let fields: Vec<_> = GET.iter().copied().filter(|(name, _)| *name != left_out).collect();
        assert!(is_malformed(&gathered(&fields).into_head(Ends::Here)), "no {left_out}");
    }
    for (name, text) in GET {
        assert!(
            is_malformed(&gathered(&[GET, &[(*name, *text)]].concat()).into_head(Ends::Here)),
            "{name} twice"
        );
        let behind = gathered(&[&[("x", "y")], GET].concat());
        assert!(is_malformed(&behind.into_head(Ends::Here)));
    }
    for fields in [
        [("connection", "close")],
        [("keep-alive", "1")],
        [("proxy-connection", "close")],
        [("transfer-encoding", "chunked")],
        [("upgrade", "h2c")],
        [("te", "gzip")],
        [("te", "trailers, gzip")],
        [(":protocol", "websocket")],
        [("content-length", "1")],
    ] {
        assert!(is_malformed(&gathered(&[GET, &fields].concat()).into_head(Ends::Here)), "{fields:?}");
    }
    let mut gathering = gathered(GET);
    gathering.take(Field::Malformed(Name::Unknown { bytes: 1 }));
    assert!(is_malformed(&gathering.into_head(Ends::Here)));
    assert!(get(&[("te", "trailers")]).is_ok());
}

#[test]
fn what_http11_could_not_say_is_refused() {
    let twice: &Said = &[("content-length", "5"), ("content-length", "5")];
    for fields in [&[("content-length", "5, 5")][..], twice] {
        let head = gathered(&[GET, fields].concat()).into_head(Ends::Later);
        assert!(matches!(error(head), Some(HeadError::Length(_))), "{fields:?}");
    }
    let with_body = gathered(&[GET, &[("content-length", "5")]].concat()).into_head(Ends::Later);
    assert_eq!(with_body.unwrap().length, Some(5));
    let ftp = [&[(":scheme", "ftp")], &GET[..1], &GET[2..]].concat();
    assert_eq!(error(gathered(&ftp).into_head(Ends::Here)), Some(HeadError::Malformed));
    let many: Vec<_> = (0..=MAX_FIELDS).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(error(gathered(&[GET, &many].concat()).into_head(Ends::Here)), Some(HeadError::TooLarge));
}

#[test]
fn a_head_is_bounded_in_bytes() {
    // RFC 9113 section 6.5.2: 32 more for each field.
    let used: usize = GET.iter().map(|(name, text)| name.len() + text.len() + 32).sum();
    let rest = MAX_BYTES - used - "x".len() - 32;
    let head =
        |length: usize| gathered(&[GET, &[("x", &*"y".repeat(length))]].concat()).into_head(Ends::Here);
    assert!(head(rest).is_ok());
    assert_eq!(error(head(rest + 1)), Some(HeadError::TooLarge));
    assert_eq!(error(head(MOST_UNPACKED * MAX_BYTES - used - 33)), Some(HeadError::TooLarge));
    assert!(matches!(head((MOST_UNPACKED + 1) * MAX_BYTES), Err(NoHead::Flood)));
}

#[test]
fn a_tunnel_names_its_end_and_nothing_else() {
    let head = gathered(CONNECT).into_head(Ends::Later).unwrap();
    assert_eq!((head.request.uri.to_string(), head.protocol), ("a.example:443".to_owned(), None));
    for fields in [[(":path", "/")], [(":scheme", "http")]] {
        assert!(is_malformed(&gathered(&[CONNECT, &fields].concat()).into_head(Ends::Later)), "{fields:?}");
    }
    assert!(is_malformed(&gathered(&CONNECT[..1]).into_head(Ends::Later)));
    let websocket = [(":scheme", "http"), (":path", "/s"), (":protocol", "websocket")];
    let head = gathered(&[CONNECT, &websocket].concat()).into_head(Ends::Later).unwrap();
    assert_eq!((head.request.uri.to_string(), head.protocol), ("/s".to_owned(), Some(value("websocket"))));
    let with_length = [CONNECT, &websocket, &[("content-length", "5")]].concat();
    assert_eq!(gathered(&with_length).into_head(Ends::Later).unwrap().length, None, "that is no body's");
    assert!(is_malformed(&gathered(&[CONNECT, &websocket[1..]].concat()).into_head(Ends::Later)));
}

#[test]
fn trailers_are_fields_and_nothing_else() {
    assert_eq!(gathered(&[("sum", "1")]).into_trailers().unwrap().len(), 1);
    for (name, text) in [&GET[0], &GET[1], &GET[2], &GET[3], &("connection", "close")] {
        let trailers = gathered(&[(name, text)]).into_trailers();
        assert!(matches!(trailers, Err(NoHead::Malformed)), "{name}");
    }
    let large = "y".repeat(MAX_BYTES);
    assert!(gathered(&[("x", &large)]).into_trailers().is_err());
}

#[test]
fn whoever_answers_a_head_that_is_none_knows_its_dialect() {
    let large = "y".repeat(MAX_BYTES);
    let call = [(":method", "POST"), ("content-type", "application/grpc"), ("x", &large)];
    let Err(NoHead::Refused(refused)) = gathered(&call).into_head(Ends::Later) else {
        panic!("it is too large")
    };
    assert_eq!((refused.method, refused.content_type), (Method::POST, Some(value("application/grpc"))));
}
