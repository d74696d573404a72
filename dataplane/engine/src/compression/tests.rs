//! Which answers are compressed, and what their heads say.

use super::*;

fn fields(lines: &[(&str, &str)]) -> Fields {
    let field = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
    };
    lines.iter().map(field).collect()
}

fn rules() -> CompressionRules {
    CompressionRules::from(&Compression::default())
}

/// Whether a 200 with these fields is compressed.
fn is_compressed(lines: &[(&str, &str)]) -> bool {
    rules().concern(StatusCode::OK, &fields(lines))
}

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[test]
fn texts_are_compressed_from_a_kibibyte_on() {
    assert!(is_compressed(&[JSON]));
    assert!(is_compressed(&[JSON, ("content-length", "1024")]));
    assert!(!is_compressed(&[JSON, ("content-length", "1023")]));
    for media_type in ["text/html", "Application/Problem+JSON", "image/svg+xml"] {
        assert!(is_compressed(&[("content-type", media_type)]), "{media_type}");
    }
    for media_type in ["image/png", "application/octet-stream", "", ";"] {
        assert!(!is_compressed(&[("content-type", media_type)]), "{media_type}");
    }
    assert!(!is_compressed(&[]));
}

#[test]
fn streams_and_calls_are_never_compressed() {
    let all = "text/* application/* multipart/*".split(' ').map(|text| text.parse().unwrap()).collect();
    let compression = Compression { content_types: MediaRanges::new(all).unwrap(), ..Compression::default() };
    let rules = CompressionRules::from(&compression);
    let concern = |media_type| rules.concern(StatusCode::OK, &fields(&[("content-type", media_type)]));
    for never in [
        "text/event-stream",
        "Text/Event-Stream; charset=utf-8",
        "multipart/x-mixed-replace; boundary=a",
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web+json",
        "application/grpc-web-text",
    ] {
        assert!(!concern(never), "{never}");
    }
    assert!(concern("application/pdf"));
}

#[test]
fn what_holds_of_the_upstreams_bytes_alone_keeps_them() {
    for line in [
        ("content-encoding", "identity"),
        ("content-range", "bytes 0-9/10"),
        ("content-digest", "sha-256=:AA==:"),
        ("repr-digest", "sha-256=:AA==:"),
        ("digest", "sha-256=AA=="),
        ("content-md5", "AA=="),
        ("cache-control", "public, No-Transform"),
    ] {
        assert!(!is_compressed(&[JSON, line]), "{line:?}");
    }
    assert!(is_compressed(&[JSON, ("cache-control", "no-transformers, private")]));
}

#[test]
fn a_status_without_all_of_the_content_is_left_alone() {
    let concern = |status| rules().concern(StatusCode::from_u16(status).unwrap(), &fields(&[JSON]));
    for (status, expected) in
        [(101, false), (200, true), (204, false), (205, false), (206, false), (404, true), (500, true)]
    {
        assert_eq!(concern(status), expected, "{status}");
    }
}

#[test]
fn a_304_stands_for_the_answer_that_the_client_has() {
    let concern = |lines: &[(&str, &str)]| rules().concern(StatusCode::NOT_MODIFIED, &fields(lines));
    assert!(concern(&[]) && concern(&[JSON]));
    assert!(!concern(&[("content-type", "image/png")]));
}

#[test]
fn whoever_asks_for_the_upstreams_bytes_has_them() {
    let preferred = |lines: &[(&str, &str)]| rules().preferred(&fields(lines));
    let accepting = ("accept-encoding", "gzip");
    assert_eq!(preferred(&[accepting]), Some(ContentCoding::Gzip));
    assert_eq!(preferred(&[accepting, ("cache-control", "no-transform")]), None);
}

#[test]
fn caches_are_told_once_that_the_answer_varies() {
    for (said, expected) in [
        (&[][..], &["Accept-Encoding"][..]),
        (&["Origin"], &["Origin", "Accept-Encoding"]),
        (&["origin, accept-encoding"], &["origin, accept-encoding"]),
        (&["*"], &["*"]),
        (&["x-accept-encoding"], &["x-accept-encoding", "Accept-Encoding"]),
    ] {
        let mut answer: Fields = said.iter().map(|value| (VARY, HeaderValue::from_static(value))).collect();
        tell_that_it_varies(&mut answer);
        assert_eq!(answer.get_all(VARY).collect::<Vec<_>>(), expected, "{said:?}");
    }
}

#[test]
fn a_compressed_answer_promises_nothing_of_the_bytes_that_it_was() {
    let lines =
        [JSON, ("content-length", "5000"), ("accept-ranges", "bytes"), ("etag", "\"a\""), ("x-kept", "1")];
    let mut answer = fields(&lines);
    tell_coding(&mut answer, ContentCoding::Brotli);
    let expected = [JSON, ("etag", "W/\"a\""), ("x-kept", "1"), ("content-encoding", "br")];
    assert_eq!(answer, fields(&expected));
    for weak in ["W/\"a\"", "a"] {
        let mut answer = fields(&[("etag", weak)]);
        weaken_tag(&mut answer);
        assert_eq!(answer.get(ETAG).unwrap(), weak);
    }
}
