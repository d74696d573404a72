//! What a route's `cors` answers.

use apigw_config::names::{AllowedOrigins, PolicyMode, Span};

use super::*;

const APP: &str = "https://app.example.com";

fn cors(origins: &[&str], methods: &[&str], headers: &[&str]) -> Cors {
    let origins = origins.iter().map(|text| text.parse().unwrap()).collect();
    Cors::new(&model::Cors {
        allow_origins: AllowedOrigins::new(origins).unwrap(),
        allow_methods: methods.iter().map(|text| text.parse().unwrap()).collect(),
        allow_headers: headers.iter().map(|text| text.parse().unwrap()).collect(),
        max_age: Span::seconds(600),
        mode: PolicyMode::Enforce,
    })
}

/// The example of the configuration's reference.
fn example() -> Cors {
    cors(&[APP], &["GET"], &["authorization"])
}

fn fields(fields: &[(&'static str, &str)]) -> Fields {
    let field = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    fields.iter().map(field).collect()
}

/// What becomes of a preflight, and the fields of the answer to it.
fn preflight(cors: &Cors, origin: &str, method: &str, headers: &str) -> (CorsVerdict, Fields) {
    let request = fields(&[
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ]);
    let (verdict, grant) = cors.judge(&Method::OPTIONS, &request);
    let mut answer = Fields::new();
    grant.put_on(&mut answer);
    (verdict, answer)
}

fn verdict(cors: &Cors, origin: &str, method: &str, headers: &str) -> CorsVerdict {
    preflight(cors, origin, method, headers).0
}

const ALLOWED: CorsVerdict = CorsVerdict::Preflight;
const NOT_THAT_ORIGIN: CorsVerdict = CorsVerdict::Refused(CorsRefusal::Origin);
const NOT_THAT_METHOD: CorsVerdict = CorsVerdict::Refused(CorsRefusal::Method);
const NOT_THAT_FIELD: CorsVerdict = CorsVerdict::Refused(CorsRefusal::Header);

/// The grant's fields on an answer that has these.
fn granted(cors: &Cors, request: &[(&'static str, &str)], answer: &[(&'static str, &str)]) -> Fields {
    let (verdict, grant) = cors.judge(&Method::GET, &fields(request));
    assert_eq!(verdict, CorsVerdict::NoPreflight);
    let mut answer = fields(answer);
    grant.put_on(&mut answer);
    answer
}

#[test]
fn a_preflight_is_options_with_an_origin_and_a_method() {
    let origin = ("origin", APP);
    let method = ("access-control-request-method", "GET");
    let is_preflight =
        |by: Method, request: &[_]| example().judge(&by, &fields(request)).0 != CorsVerdict::NoPreflight;
    assert!(is_preflight(Method::OPTIONS, &[origin, method]));
    assert!(!is_preflight(Method::OPTIONS, &[origin]));
    assert!(!is_preflight(Method::OPTIONS, &[method]));
    assert!(!is_preflight(Method::GET, &[origin, method]));
}

#[test]
fn an_allowed_preflight_is_told_what_may_be_sent() {
    let expected = fields(&[
        ("access-control-allow-origin", APP),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "authorization, x-tenant"),
        ("access-control-max-age", "600"),
        ("vary", "Origin"),
    ]);
    let cors = cors(&[APP], &["GET", "PUT"], &["authorization", "x-tenant"]);
    assert_eq!(preflight(&cors, APP, "PUT", "x-tenant"), (ALLOWED, expected));
}

#[test]
fn what_is_not_configured_is_not_told() {
    let expected = fields(&[
        ("access-control-allow-origin", APP),
        ("access-control-max-age", "600"),
        ("vary", "Origin"),
    ]);
    assert_eq!(preflight(&cors(&[APP], &[], &[]), APP, "GET", ""), (ALLOWED, expected));
}

#[test]
fn a_refused_preflight_is_not_told_what_would_be_allowed() {
    let answer = |origin, method| preflight(&example(), origin, method, "").1;
    assert_eq!(answer("https://evil.example", "GET"), fields(&[("vary", "Origin")]));
    assert_eq!(answer(APP, "PUT"), fields(&[("access-control-allow-origin", APP), ("vary", "Origin")]));
}

#[test]
fn other_origins_are_refused() {
    let origins = [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://app.example.co",
        "https://APP.example.com",
        "https://app.example.com/",
        "null",
        "*",
        "",
        "\u{e9}",
    ];
    for origin in origins {
        assert_eq!(verdict(&example(), origin, "GET", ""), NOT_THAT_ORIGIN, "{origin:?}");
        let answer = granted(&example(), &[("origin", origin)], &[]);
        assert_eq!(answer, fields(&[("vary", "Origin")]), "{origin:?}");
    }
}

#[test]
fn several_origins_are_nobodys() {
    for origins in [&["*"], &[APP]] {
        let request = fields(&[("origin", APP), ("origin", APP), ("access-control-request-method", "GET")]);
        let (verdict, _) = cors(origins, &["GET"], &[]).judge(&Method::OPTIONS, &request);
        assert_eq!(verdict, NOT_THAT_ORIGIN);
    }
    let answer = granted(&example(), &[("origin", APP), ("origin", "https://evil.example")], &[]);
    assert_eq!(answer, fields(&[("vary", "Origin")]));
}

#[test]
fn each_of_many_origins_is_found() {
    let origins: Vec<_> = (0..100).map(|number| format!("https://app-{number}.example.com")).collect();
    let texts: Vec<_> = origins.iter().map(String::as_str).collect();
    let cors = cors(&texts, &["GET"], &[]);
    for origin in texts {
        assert_eq!(verdict(&cors, origin, "GET", ""), ALLOWED, "{origin}");
    }
    assert_eq!(verdict(&cors, "https://app-100.example.com", "GET", ""), NOT_THAT_ORIGIN);
}

#[test]
fn other_methods_are_refused() {
    for method in ["DELETE", "get", "GET ,", "*", ""] {
        assert_eq!(verdict(&example(), APP, method, ""), NOT_THAT_METHOD, "{method:?}");
    }
    let twice = fields(&[
        ("origin", APP),
        ("access-control-request-method", "GET"),
        ("access-control-request-method", "GET"),
    ]);
    let (verdict, _) = example().judge(&Method::OPTIONS, &twice);
    assert_eq!(verdict, NOT_THAT_METHOD);
}

#[test]
fn other_fields_are_refused() {
    for headers in ["x-other", "authorization,x-other", "authorization x-other", "*", "\u{e9}"] {
        assert_eq!(verdict(&example(), APP, "GET", headers), NOT_THAT_FIELD, "{headers:?}");
    }
    let second_line = fields(&[
        ("origin", APP),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
        ("access-control-request-headers", "x-other"),
    ]);
    let (verdict, _) = example().judge(&Method::OPTIONS, &second_line);
    assert_eq!(verdict, NOT_THAT_FIELD);
}

#[test]
fn names_of_fields_are_read_as_a_list_in_any_case() {
    let cors = cors(&[APP], &["GET"], &["authorization", "X-Tenant"]);
    for headers in ["", ",", "Authorization", "x-tenant,authorization", " AUTHORIZATION ,, X-TENANT "] {
        assert_eq!(verdict(&cors, APP, "GET", headers), ALLOWED, "{headers:?}");
    }
}

#[test]
fn get_head_and_post_need_no_permission() {
    for method in ["GET", "HEAD", "POST"] {
        assert_eq!(verdict(&cors(&[APP], &["PUT"], &[]), APP, method, ""), ALLOWED, "{method}");
    }
}

#[test]
fn a_star_is_any_origin() {
    for origin in [APP, "https://any.example", "null"] {
        assert_eq!(verdict(&cors(&["*"], &[], &[]), origin, "GET", ""), ALLOWED, "{origin}");
    }
}

#[test]
fn an_allowed_origin_is_named_and_the_answer_varies() {
    let expected = fields(&[("access-control-allow-origin", APP), ("vary", "Origin")]);
    assert_eq!(granted(&example(), &[("origin", APP)], &[]), expected);
}

#[test]
fn an_answer_varies_by_origin_even_when_none_was_sent() {
    assert_eq!(granted(&example(), &[], &[]), fields(&[("vary", "Origin")]));
}

#[test]
fn any_origin_needs_no_variants() {
    for request in [&[][..], &[("origin", APP)], &[("origin", "null")]] {
        let answer = granted(&cors(&["*"], &[], &[]), request, &[]);
        assert_eq!(answer, fields(&[("access-control-allow-origin", "*")]));
    }
}

#[test]
fn what_the_upstream_says_of_it_is_replaced() {
    let upstream = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-origin", "https://evil.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-secret"),
        ("access-control-of-tomorrow", "yes"),
        ("content-type", "text/plain"),
    ];
    let granted = |request| granted(&example(), request, &upstream);
    let others = [("content-type", "text/plain"), ("vary", "Origin")];
    assert_eq!(granted(&[]), fields(&others));
    assert_eq!(
        granted(&[("origin", APP)]),
        fields(&[others[0], ("access-control-allow-origin", APP), others[1]])
    );
}

#[test]
fn the_upstreams_own_variants_stay() {
    let check = |upstream: &[_], expected: &[_]| {
        assert_eq!(granted(&example(), &[], upstream), fields(expected), "{upstream:?}");
    };
    check(&[("vary", "accept-encoding")], &[("vary", "accept-encoding"), ("vary", "Origin")]);
    check(&[("vary", "x-origin")], &[("vary", "x-origin"), ("vary", "Origin")]);
    for sufficient in ["Origin", "accept-encoding, ORIGIN", "*"] {
        check(&[("vary", sufficient)], &[("vary", sufficient)]);
    }
}

#[test]
fn every_refusal_has_a_reason_of_its_own() {
    let refusals = [CorsRefusal::Origin, CorsRefusal::Method, CorsRefusal::Header];
    assert_eq!(refusals.map(CorsRefusal::reason), ["cors_origin", "cors_method", "cors_header"]);
}
