//! The same of what policies are made of.

use super::*;

#[test]
fn names_of_providers_and_prefixes_of_keys_are_names() {
    let letters = "contains ' '; letters, digits and -_.:/@ are allowed";
    let cases = [("staff-2_A.b:c/d@e", "legal"), ("", "must not be empty"), ("a b", letters)];
    check(ProviderName::new, &cases);
    check(KeyPrefix::new, &cases);
    let bounds = |limit: usize| {
        [
            ("x".repeat(limit), "legal".to_owned()),
            ("x".repeat(limit + 1), format!("longer than {limit} bytes")),
        ]
    };
    for (text, expected) in bounds(200) {
        check(ProviderName::new, &[(&text, &expected)]);
    }
    for (text, expected) in bounds(64) {
        check(KeyPrefix::new, &[(&text, &expected)]);
    }
    assert_eq!(ProviderName::new(ProviderName::default().as_str()), Ok(ProviderName::default()));
    assert_eq!(KeyPrefix::new(KeyPrefix::default().as_str()), Ok(KeyPrefix::default()));
}

#[test]
fn modes_are_three_words() {
    for mode in [PolicyMode::Enforce, PolicyMode::Shadow, PolicyMode::Off] {
        assert_eq!(mode.as_str().parse(), Ok(mode));
    }
    let refused = |text: &str| format!("must be one of enforce, shadow, off: {text:?}");
    check(str::parse::<PolicyMode>, &[("Shadow", &refused("Shadow")), ("", &refused(""))]);
}

#[test]
fn header_names_are_field_names_in_lower_case() {
    let refused = |text: &str| format!("not the name of a header: {text:?}");
    check(
        HeaderName::new,
        &[
            ("X-Api-Key", "legal"),
            (&"x".repeat(200), "legal"),
            (&"x".repeat(201), "longer than 200 bytes"),
            ("", "must not be empty"),
            ("x y", &refused("x y")),
            ("x:", &refused("x:")),
            ("\u{e4}", &refused("\u{e4}")),
            ("x\r\ny", &refused("x\r\ny")),
            ("*", &refused("*")),
        ],
    );
    assert_eq!(HeaderName::new("X-Api-Key").unwrap().as_str(), "x-api-key");
}

#[test]
fn claims_are_not_forwarded_in_headers_that_mean_something_to_the_gateway() {
    let reserved = |name: &str| format!("must not be {name:?}, which is not free to be written");
    for name in [
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-admin-key",
        "x-forwarded-for",
        "x-forwarded-anything",
        "x-request-id",
        "content_length",
        "x_forwarded_for",
    ] {
        check(ForwardedHeader::new, &[(name, &reserved(name)), (&name.to_uppercase(), &reserved(name))]);
    }
    check(
        ForwardedHeader::new,
        &[("X-User", "legal"), ("x-forwarded", "legal"), ("x y", "not the name of a header: \"x y\"")],
    );
}

#[test]
fn claims_have_names_that_can_stand_in_a_header() {
    let refused = |c: char| format!("contains {c:?}; only visible ASCII characters are allowed");
    check(
        ClaimName::new,
        &[
            ("https://a.example/tenant", "legal"),
            (&"x".repeat(200), "legal"),
            (&"x".repeat(201), "longer than 200 bytes"),
            ("", "must not be empty"),
            ("a b", &refused(' ')),
            ("\u{e4}", &refused('\u{e4}')),
            ("a\n", &refused('\n')),
        ],
    );
}

#[test]
fn values_of_claims_are_lines() {
    check(
        ClaimValue::new,
        &[
            ("gold and \u{e4}", "legal"),
            (&"x".repeat(1_000), "legal"),
            (&"x".repeat(1_001), "longer than 1000 bytes"),
            ("", "must not be empty"),
            ("a\0", "contains the control character '\\0'"),
        ],
    );
}

#[test]
fn scopes_are_the_tokens_of_oauth() {
    let refused =
        |text: &str| format!("not a scope (visible ASCII without spaces, quotes and backslashes): {text:?}");
    check(
        str::parse::<TokenScope>,
        &[
            ("orders:read", "legal"),
            ("!#[]~", "legal"),
            (&"x".repeat(200), "legal"),
            (&"x".repeat(201), "longer than 200 bytes"),
            ("", "must not be empty"),
            ("a b", &refused("a b")),
            ("a\"", &refused("a\"")),
            ("a\\", &refused("a\\")),
            ("\u{e4}", &refused("\u{e4}")),
        ],
    );
}

#[test]
fn origins_are_written_as_browsers_send_them() {
    let refused = |text: &str| {
        format!("not an origin as browsers send it, such as \"https://app.example.com\": {text:?}")
    };
    for text in [
        "https://app.example.com",
        "http://localhost:3000",
        "https://a.example:80",
        "http://127.0.0.1",
        "http://[::1]:8080",
        "http://[::1]",
        "capacitor://localhost",
        "*",
    ] {
        check(str::parse::<OriginPattern>, &[(text, "legal")]);
    }
    for text in [
        "null",
        "app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/x",
        "https://App.example.com",
        "HTTPS://app.example.com",
        "https://*.example.com",
        "https://app.example.com:443",
        "http://app.example.com:80",
        "https://app.example.com:",
        "https://app.example.com:0",
        "https://app.example.com:080",
        "https://app.example.com:+80",
        "https://u@app.example.com",
        "https://app.example.com?a",
        "https://a b",
        "https://[::0001]",
        "https://[127.0.0.1]",
        "https://::1",
        "1https://a",
        "https://10.0.0.256",
    ] {
        check(str::parse::<OriginPattern>, &[(text, &refused(text))]);
    }
    check(str::parse::<OriginPattern>, &[("", "must not be empty")]);
    let long = |length: usize| format!("{}://h", "x".repeat(length - "://h".len()));
    check(Origin::new, &[(&long(300), "legal"), (&long(301), "longer than 300 bytes")]);
}

#[test]
fn all_origins_stand_alone() {
    let check = |patterns: &[&str], expected| {
        let patterns = patterns.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(outcome(AllowedOrigins::new(patterns)), expected);
    };
    check(&["*"], "legal");
    check(&["https://a", "https://b"], "legal");
    check(&[], "must not be empty");
    check(&["https://a", "*"], "\"*\" allows every origin and stands alone");
    check(&["*", "*"], "\"*\" allows every origin and stands alone");
}

#[test]
fn methods_are_words_in_capital_letters() {
    let refused = |text: &str| format!("not a method in capital letters: {text:?}");
    check(
        str::parse::<MethodName>,
        &[
            ("PATCH", "legal"),
            ("M-SEARCH", "legal"),
            (&"X".repeat(32), "legal"),
            (&"X".repeat(33), &refused(&"X".repeat(33))),
            ("patch", &refused("patch")),
            ("*", &refused("*")),
            ("", &refused("")),
            ("A B", &refused("A B")),
        ],
    );
}

#[test]
fn percentages_are_above_zero_and_at_most_a_hundred() {
    for (number, is_legal) in
        [(0.0, false), (0.001, true), (100.0, true), (100.001, false), (-1.0, false), (f64::NAN, false)]
    {
        assert_eq!(Percent::new(number).is_ok(), is_legal, "{number}");
    }
}
