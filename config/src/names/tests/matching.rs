//! The same of what requests are chosen by.

use super::*;

#[test]
fn hosts_are_names_addresses_or_all_beneath_a_name() {
    let never = |text: &str| {
        format!("not a host such as \"api.example.com\" or \"*.example.com\", without a port: {text:?}")
    };
    let long = "x.".repeat(126) + "x";
    let mut cases: Vec<(String, String)> =
        ["a", "Api.Example.com", "a.example.", "*.example.com", "127.0.0.1", "[::1]"]
            .map(|text| (text.to_owned(), "legal".to_owned()))
            .into();
    cases.push((long.clone(), "legal".into()));
    cases.push((String::new(), "must not be empty".into()));
    for text in [
        "*",
        "*.",
        "a.*.b",
        "a:80",
        "::1",
        "[x]",
        "a..b",
        "-_ ",
        "1.2.3",
        "127.0.0.1.",
        "*.[::1]",
        ".",
        "a..",
    ] {
        cases.push((text.into(), never(text)));
    }
    cases.push((format!("x{long}"), never(&format!("x{long}"))));
    for (text, expected) in &cases {
        check(HostPattern::from_str, &[(text, expected)]);
    }
    let written = |text: &str| text.parse::<HostPattern>().unwrap().to_string();
    assert_eq!(written("Api.Example.com."), "api.example.com");
    assert_eq!(written("*.EXAMPLE.com"), "*.example.com");
    assert_eq!(written("[0:0::1]"), "[::1]");
}

#[test]
fn expressions_are_bounded_as_written_and_as_compiled() {
    check(
        Pattern::from_str,
        &[
            ("/v[0-9]+/.*", "legal"),
            (&"x".repeat(1_024), "legal"),
            (&"x".repeat(1_025), "longer than 1024 bytes"),
            ("", "must not be empty"),
            ("a)|(b", "not a regular expression: unopened group: \"a)|(b\""),
            (
                "(?=a)",
                "not a regular expression: look-around, including look-ahead and look-behind, is not supported: \"(?=a)\"",
            ),
            ("[a-z]{40}{40}", "needs more than 65536 bytes when it is compiled: \"[a-z]{40}{40}\""),
        ],
    );
}

#[test]
fn expressions_match_whole_values() {
    let is_match =
        |pattern: &str, value: &str| pattern.parse::<Pattern>().unwrap().is_match(value.as_bytes());
    for pattern in ["/a|/ab", "^/ab?$", "(?x) /a b? # comment", "(?m)^/ab?$"] {
        assert!(is_match(pattern, "/a") && is_match(pattern, "/ab"), "{pattern}");
        for value in ["", "/abc", "x/a", "/a\n", "\n/a", "/a\n/a"] {
            assert!(!is_match(pattern, value), "{pattern} {value:?}");
        }
    }
    assert!(is_match("(?i)GOLD", "gold"));
    assert!("gold.".parse::<Pattern>().unwrap().is_match(b"gold\xff"));
}

#[test]
fn expressions_tell_what_their_values_begin_with() {
    let beginning = |pattern: &str| pattern.parse::<Pattern>().unwrap().beginning().to_owned();
    assert_eq!(beginning("^/v1/[a-z]+/x"), "/v1/");
    assert_eq!(beginning("/v1/orders"), "/v1/orders");
    assert_eq!(beginning("/v1?/"), "/v");
    for pattern in ["(x|y)", "x|y", "(?i)a", ".*", "[ab]c", "a*"] {
        assert_eq!(beginning(pattern), "", "{pattern}");
    }
}

#[test]
fn texts_and_parameters_have_no_control_characters() {
    let control = "contains the control character '\\n'";
    check(MatchText::new, &[("", "legal"), ("gold plated", "legal"), ("a\nb", control)]);
    check(QueryName::new, &[("", "must not be empty"), ("filter[name]", "legal"), ("a\nb", control)]);
    check(MatchText::new, &[(&"x".repeat(1_000), "legal"), (&"x".repeat(1_001), "longer than 1000 bytes")]);
    check(QueryName::new, &[(&"x".repeat(200), "legal"), (&"x".repeat(201), "longer than 200 bytes")]);
}

#[test]
fn exact_paths_follow_the_rules_of_prefixes() {
    check(ExactPath::new, &[("/", "legal"), ("/a/", "legal"), ("a", "must start with \"/\": \"a\"")]);
    assert!(outcome(ExactPath::new("/a//b")).contains("can match no request"));
}

#[test]
fn values_have_variables_that_are_known() {
    let choices =
        "${client_ip}, ${host}, ${route}, ${request_id}, ${path}, ${method}, ${scheme}, ${claim:NAME}";
    let control = "contains '\\r'; only visible ASCII characters are allowed";
    check(
        ValueTemplate::from_str,
        &[
            ("a b", "legal"),
            ("${claim:https://a.example/tenant} at $5 {x} $", "legal"),
            ("$${never}", "legal"),
            ("", "must not be empty"),
            ("a\r\nb", control),
            (" a", "contains ' '; only visible ASCII characters are allowed"),
            ("${claim:}", "must not be empty"),
            ("${user}", &format!("must be one of {choices}: \"${{user}}\"")),
            ("${host", "\"${\" begins a variable that does not end; \"$${\" stands for itself: \"${host\""),
            (&"x".repeat(1_000), "legal"),
            (&"x".repeat(1_001), "longer than 1000 bytes"),
        ],
    );
}

#[test]
fn what_is_the_gateways_own_is_not_writable() {
    for name in ["Host", "content_length", "Connection", "X-Forwarded-Whatever", "x-request-id", "upgrade"] {
        assert!(outcome(WritableHeader::new(name)).contains("is not free to be written"), "{name}");
    }
    let cases = [
        ("Authorization", "legal"),
        ("Cookie", "legal"),
        ("X-A", "legal"),
        ("a b", "not the name of a header: \"a b\""),
    ];
    check(WritableHeader::new, &cases);
}
