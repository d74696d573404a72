//! Contents of the file: each has a number, which shows in every answer that it gives, at two places.

use std::fmt::Write as _;

use apigw_tests::{client::Response, configuration::Document, origin::Origin};

/// What the burst of content 0 is; each further content's is one higher.
const FIRST_BURST: u32 = 1_000_000;

/// A content that is good.
///
/// The number is in the path that the upstream is sent, and in the burst that the client is told. So an answer that is
/// judged by two contents shows. Some are large enough to be on their way for a while.
pub(crate) fn good(number: u32, upstream: &Origin) -> Document {
    let limit =
        format!("rate_limit: {{ enabled: true, rps: 1000000, burst: {}, scope: ip }}", FIRST_BURST + number);
    let all = Document::new().route("all", "/", format!("{}/{number}", upstream.url())).with(&limit);
    let others = if number.is_multiple_of(4) { 400 } else { 20 };
    (0..others).fold(all, |document, other| {
        let prefix = format!("/other/{other}");
        document.route(&format!("other-{other}"), &prefix, format!("{}/{number}/{other}", upstream.url()))
    })
}

/// The same, written otherwise.
pub(crate) fn commented(number: u32, upstream: &Origin, comment: u64) -> String {
    format!("# {comment}\n{}", good(number, upstream))
}

/// A content that no gateway runs, in one of several ways.
pub(crate) fn broken(kind: u8, upstream: &Origin) -> String {
    let mut text = good(1, upstream).to_string();
    let tail = match kind % 5 {
        0 => "routes:\n",
        1 => "\trate_limit: {",
        2 => "    upstraem: http://127.0.0.1:1\n",
        3 => "tests:\n  - { name: never, request: { path: /x }, expect: { status: 401 } }\n",
        _ => return String::new(),
    };
    let _ = write!(text, "{tail}");
    text
}

/// The number of the content that has given an answer.
///
/// # Errors
/// When it says two, or none.
pub(crate) fn number(answer: &Response) -> Result<u32, String> {
    let told = || -> Option<(u32, u32)> {
        let path = answer.text().strip_prefix("GET /")?.split('/').next()?.parse().ok()?;
        let burst: u32 = answer.field("x-ratelimit-burst")?.parse().ok()?;
        Some((path, burst.checked_sub(FIRST_BURST)?))
    };
    match told() {
        Some((path, burst)) if path == burst => Ok(path),
        Some((path, burst)) => Err(format!("an answer of two contents, {path} and {burst}")),
        None => Err(format!("{}: {}", answer.status(), answer.text())),
    }
}
