//! A service to put behind a gateway: it answers every request with what it saw of it, as the Go model's `upstream` does.
//!
//! For development; it can be slow and it can fail, on request.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apigw_tests::{flags, serving};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue},
    http::request::Parts,
};
use serde_json::json;

/// Answers every request with JSON of what it saw: method, path, query, headers, host and the size of the body.
#[derive(clap::Parser)]
struct Flags {
    /// Where to listen.
    #[arg(long, default_value = ":9001")]
    addr: String,
    /// What it calls itself.
    #[arg(long, default_value = "upstream")]
    name: String,
    /// How long each answer takes.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// The answers' status.
    #[arg(long, default_value = "200")]
    status: StatusCode,
    /// Answers are so many times the first letter of its name, instead of what it saw.
    #[arg(long)]
    answer_bytes: Option<usize>,
    /// How many of a hundred answers are a 500 instead, evenly spread.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    fail_percent: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags: Flags = flags::parse();
    let listener = serving::listen(&flags.addr).await?;
    serving::announce(&listener, "upstream", &flags.name)?;
    let service = Arc::new(Service::new(flags));
    serving::serve(listener, move |request| {
        let service = Arc::clone(&service);
        async move { service.answer(request).await }
    })
    .await;
    Ok(())
}

struct Service {
    /// The answer that does not depend on what is asked, where there is one.
    fixed: Option<Bytes>,
    flags: Flags,
    answered: AtomicU64,
}

impl Service {
    fn new(flags: Flags) -> Self {
        let letter = flags.name.chars().next().unwrap_or('.').to_string();
        let fixed = flags.answer_bytes.map(|bytes| Bytes::from(letter.repeat(bytes)));
        Self { fixed, flags, answered: AtomicU64::new(0) }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        let mut body_bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            body_bytes += frame.data_ref().map_or(0, Bytes::len);
        }
        if self.flags.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.flags.delay_ms)).await;
        }
        let (content_type, answer) = match &self.fixed {
            Some(answer) => ("text/plain", answer.clone()),
            None => ("application/json", self.seen(&head, body_bytes)),
        };
        let mut response = Response::new(Full::new(answer));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// What it saw of a request, as JSON.
    fn seen(&self, head: &Parts, body_bytes: usize) -> Bytes {
        let seen = json!({
            "service": self.flags.name,
            "method": head.method.as_str(),
            "path": head.uri.path(),
            "query": head.uri.query().unwrap_or_default(),
            "headers": fields_of(&head.headers),
            "host": head.headers.get(HOST).map(text_of),
            "body_bytes": body_bytes,
        });
        format!("{seen}\n").into()
    }

    fn status(&self) -> StatusCode {
        let failures_until = |count: u64| count * self.flags.fail_percent / 100;
        let count = self.answered.fetch_add(1, Ordering::Relaxed);
        if failures_until(count + 1) > failures_until(count) {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            self.flags.status
        }
    }
}

/// Name to values, in the spelling and without the `Host` that the Go model has.
fn fields_of(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| *name != HOST) {
        fields.entry(canonical(name)).or_default().push(text_of(value));
    }
    fields
}

/// `x-request-id` is `X-Request-Id`.
fn canonical(name: &HeaderName) -> String {
    let capitalised = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    name.as_str().split('-').map(capitalised).collect::<Vec<_>>().join("-")
}

fn text_of(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_spelt_as_in_the_model() {
        let check = |name: &'static str, spelt: &str| {
            assert_eq!(canonical(&HeaderName::from_static(name)), spelt);
        };
        check("accept", "Accept");
        check("x-request-id", "X-Request-Id");
        check("x--odd", "X--Odd");
    }

    #[test]
    fn a_fixed_answer_is_the_name_s_first_letter() {
        let check = |arguments: &[&str], expected: Option<&str>| {
            let flags: Flags = clap::Parser::parse_from(["upstream"].iter().chain(arguments));
            assert_eq!(Service::new(flags).fixed.as_deref(), expected.map(str::as_bytes));
        };
        check(&[], None);
        check(&["--answer-bytes", "0"], Some(""));
        check(&["--name", "A", "--answer-bytes", "3"], Some("AAA"));
    }

    #[test]
    fn failures_are_spread_evenly() {
        let flags: Flags = clap::Parser::parse_from(["upstream", "--fail-percent", "30"]);
        let service = Service::new(flags);
        let failed = (0..100).filter(|_| service.status().is_server_error()).count();
        assert_eq!(failed, 30);
    }
}
