//! The fields that tell a client of a route's limit: `X-RateLimit-*` and Retry-After as the Go model has them, and
//! `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-11
//! (<https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-11>).
//!
//! What is the same in every answer of a route is made once; what is not is a few digits.

use std::{sync::Arc, time::Duration};

use apigw_config::{model::RateLimitScope, names::RouteName};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header::RETRY_AFTER};

use super::{Decision, Quota, ScopeValue};
use crate::{
    fields::{Fields, ReadyFields},
    jwt::time::UnixTime,
};

const ROUTE: HeaderName = HeaderName::from_static("x-ratelimit-route");
const SCOPE: HeaderName = HeaderName::from_static("x-ratelimit-scope");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-rps");
const BURST: HeaderName = HeaderName::from_static("x-ratelimit-burst");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const SERVICE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The largest Integer of a structured field (RFC 9651 section 3.3.1).
const MAX_INTEGER: u64 = 999_999_999_999_999;

/// What is told of a caller who is told from others by his address.
const BY_ADDRESS: &str = "ip";

/// What a caller was counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedBy {
    /// What the scope asks for.
    Scope,
    /// His address, for want of that, or because the scope asks for it.
    Address,
}

impl From<&ScopeValue<'_>> for CountedBy {
    fn from(value: &ScopeValue<'_>) -> Self {
        if value.is_address() { Self::Address } else { Self::Scope }
    }
}

/// What answers of one route have in common.
#[derive(Debug, Clone)]
pub struct LimitHeaders {
    scope_word: Box<str>,
    /// To callers who are counted by what the scope asks for.
    by_scope: Arc<ReadyFields>,
    /// To those who are counted by their addresses.
    by_address: Arc<ReadyFields>,
    /// `"name";r=`: the beginning of `RateLimit`.
    service_limit: Box<str>,
}

impl LimitHeaders {
    /// Makes what answers of a route have in common. Rate and burst are told as they were written, without trailing
    /// zeros.
    ///
    /// The policy's quota is the whole burst and its window the time to earn it, rounded up: a client that keeps to it
    /// is never refused.
    #[must_use]
    pub fn new(
        route: &RouteName,
        requests_per_second: f64,
        burst: f64,
        quota: &Quota,
        scope: &RateLimitScope,
    ) -> Self {
        // A route's name has no character that a String (RFC 9651 section 3.3.3) would have to escape.
        let window = whole_seconds(quota.refill_time()).clamp(1, MAX_INTEGER);
        let policy = format!("\"{route}\";q={};w={window}", quota.whole_burst().min(MAX_INTEGER));
        let ready = |scope: &str| {
            Arc::new(ReadyFields::new([
                (ROUTE, value(route.as_str())),
                (SCOPE, value(scope)),
                (LIMIT, value(&requests_per_second.to_string())),
                (BURST, value(&burst.to_string())),
                (POLICY, value(&policy)),
            ]))
        };
        let scope_word = scope.to_string();
        let by_scope = ready(&scope_word);
        let by_address = if scope_word == BY_ADDRESS { Arc::clone(&by_scope) } else { ready(BY_ADDRESS) };
        let service_limit = format!("\"{route}\";r=").into();
        Self { scope_word: scope_word.into(), by_scope, by_address, service_limit }
    }

    /// The word for what a caller was really counted by.
    #[must_use]
    pub fn scope_word(&self, by: CountedBy) -> &str {
        match by {
            CountedBy::Scope => &self.scope_word,
            CountedBy::Address => BY_ADDRESS,
        }
    }

    /// Writes the fields that do not depend on the caller into the head of an answer, over what an upstream may have put
    /// there, and removes those that do.
    pub fn write_policy(&self, headers: &mut Fields) {
        write_ready(headers, &self.by_scope);
    }

    /// Writes all fields into the head of an answer. `now` is asked for only where a moment is told; `keep` puts
    /// small texts together and keeps them.
    pub fn write(
        &self,
        headers: &mut Fields,
        by: CountedBy,
        decision: &Decision,
        now: impl FnOnce() -> UnixTime,
        keep: impl FnOnce(&[&[u8]]) -> Bytes,
    ) {
        let ready = match by {
            CountedBy::Scope => &self.by_scope,
            CountedBy::Address => &self.by_address,
        };
        write_ready(headers, ready);
        let (service_limit, remaining) = self.service_limit(decision, keep);
        if decision.remaining > 0 {
            headers.append(REMAINING, remaining);
        }
        headers.append(SERVICE_LIMIT, service_limit);
        if !decision.allowed {
            let seconds = retry_after_seconds(decision);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            let reset = whole_seconds(now().plus(decision.retry_after).since_epoch());
            headers.append(RESET, HeaderValue::from(reset));
        }
    }

    /// `RateLimit`, and the number of remaining requests in it. `t` is the time until there is more than `r`: of a refused
    /// request the same as Retry-After, which must not be earlier (section 6 of the draft).
    fn service_limit(
        &self,
        decision: &Decision,
        keep: impl FnOnce(&[&[u8]]) -> Bytes,
    ) -> (HeaderValue, HeaderValue) {
        let (mut digits, mut of_window) = (itoa::Buffer::new(), itoa::Buffer::new());
        let remaining = digits.format(decision.remaining.min(MAX_INTEGER)).as_bytes();
        let window = of_window.format(whole_seconds(decision.next_after).min(MAX_INTEGER)).as_bytes();
        let begin = self.service_limit.as_bytes();
        let text = keep(&[begin, remaining, b";t=", window]);
        (visible(text.clone()), visible(text.slice(begin.len()..begin.len() + remaining.len())))
    }
}

fn write_ready(headers: &mut Fields, ready: &Arc<ReadyFields>) {
    if headers.has_any(is_about_limits) {
        headers.retain(|name| !is_about_limits(name));
    }
    headers.append_ready(Arc::clone(ready));
}

/// Whether the gateway alone says what such a field says.
fn is_about_limits(name: &HeaderName) -> bool {
    let begins_like_one = matches!(name.as_str().as_bytes(), [b'r' | b'x', ..]);
    begins_like_one && [ROUTE, SCOPE, LIMIT, BURST, REMAINING, RESET, POLICY, SERVICE_LIMIT].contains(name)
}

/// The whole seconds after which a refused request is allowed: rounded up, at least 1.
#[must_use]
pub fn retry_after_seconds(decision: &Decision) -> u64 {
    whole_seconds(decision.retry_after).max(1)
}

fn visible(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).expect("configured names and numbers are visible ASCII")
}

fn value(text: &str) -> HeaderValue {
    visible(Bytes::copy_from_slice(text.as_bytes()))
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::{Tat, scope::default_user};

    const NOW: UnixTime = UnixTime::new(Duration::from_millis(1_700_000_000_900));
    const ADDRESS: ScopeValue<'_> = ScopeValue::V4([192, 0, 2, 1]);

    fn limit(requests_per_second: f64, burst: f64, scope: &str) -> (Quota, LimitHeaders) {
        let quota = Quota::new(requests_per_second, burst).unwrap();
        let route = RouteName::new("orders").unwrap();
        let scope: RateLimitScope = scope.parse().unwrap();
        (quota, LimitHeaders::new(&route, requests_per_second, burst, &quota, &scope))
    }

    fn lines(headers: &Fields) -> Vec<String> {
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort_unstable();
        lines
    }

    fn joined(parts: &[&[u8]]) -> Bytes {
        parts.concat().into()
    }

    /// What does not depend on the caller.
    fn of_all(headers: &LimitHeaders) -> Fields {
        let mut told = Fields::new();
        headers.write_policy(&mut told);
        told
    }

    fn written(headers: &LimitHeaders, value: &ScopeValue<'_>, decision: &Decision) -> Fields {
        let mut written = Fields::new();
        headers.write(&mut written, value.into(), decision, || NOW, joined);
        written
    }

    /// Told after this many requests at once to a full bucket.
    fn after(quota: &Quota, requests: u32) -> Decision {
        let decide = |tat: Tat| quota.decide(tat, Duration::ZERO);
        (1..requests).fold(decide(Tat::default()), |last, _| decide(last.new_tat))
    }

    #[test]
    fn an_allowed_request_is_told_limit_and_remaining() {
        let (quota, headers) = limit(5.0, 10.0, "user");
        let written = written(&headers, &ScopeValue::User(default_user("alice")), &after(&quota, 1));
        let expected = [
            "ratelimit-policy: \"orders\";q=10;w=2",
            "ratelimit: \"orders\";r=9;t=1",
            "x-ratelimit-burst: 10",
            "x-ratelimit-limit-rps: 5",
            "x-ratelimit-remaining: 9",
            "x-ratelimit-route: orders",
            "x-ratelimit-scope: user",
        ];
        assert_eq!(lines(&written), expected);
    }

    #[test]
    fn a_refused_request_is_told_when_to_come_again() {
        let (quota, headers) = limit(0.4, 2.5, "user");
        let written = written(&headers, &ADDRESS, &after(&quota, 3));
        let expected = [
            "ratelimit-policy: \"orders\";q=2;w=7",
            "ratelimit: \"orders\";r=0;t=2",
            "retry-after: 2",
            "x-ratelimit-burst: 2.5",
            "x-ratelimit-limit-rps: 0.4",
            "x-ratelimit-reset: 1700000003",
            "x-ratelimit-route: orders",
            "x-ratelimit-scope: ip",
        ];
        assert_eq!(lines(&written), expected);
    }

    #[test]
    fn a_body_names_the_scope_that_the_fields_name() {
        let (_, headers) = limit(1.0, 1.0, "header:X-Tenant");
        let tenant = apigw_config::names::HeaderName::new("X-Tenant").unwrap();
        assert_eq!(headers.scope_word((&ScopeValue::Header(&tenant, b"t1")).into()), "header:x-tenant");
        assert_eq!(headers.scope_word((&ADDRESS).into()), "ip");
    }

    #[test]
    fn nothing_remaining_is_not_told_and_an_upstreams_fields_are_replaced() {
        let (quota, headers) = limit(5.0, 1.0, "ip");
        let mut written = Fields::from_iter([
            (REMAINING, HeaderValue::from_static("77")),
            (SERVICE_LIMIT, HeaderValue::from_static("\"theirs\";r=77")),
            (SCOPE, HeaderValue::from_static("theirs")),
        ]);
        headers.write(&mut written, CountedBy::Address, &after(&quota, 1), || NOW, joined);
        assert!(!written.contains_key(REMAINING));
        assert_eq!(written.get(SCOPE).unwrap(), "ip");
        assert_eq!(written.get(SERVICE_LIMIT).unwrap(), "\"orders\";r=0;t=1");
    }

    #[test]
    fn whole_seconds_are_rounded_up_and_retry_after_is_at_least_one() {
        let (quota, _) = limit(1.0, 1.0, "ip");
        for (nanos, seconds) in [(0, 1), (1, 1), (1_000_000_000, 1), (1_000_000_001, 2), (2_500_000_000, 3)] {
            let retry_after = Duration::from_nanos(nanos);
            let decision = Decision { allowed: false, retry_after, ..after(&quota, 1) };
            assert_eq!(retry_after_seconds(&decision), seconds, "{nanos}");
        }
    }

    #[test]
    fn numbers_are_written_without_trailing_zeros_and_without_exponents() {
        for (number, text) in
            [(5.0, "5"), (0.5, "0.5"), (1e9, "1000000000"), (0.0001, "0.0001"), (2.50, "2.5")]
        {
            let (_, headers) = limit(number, number, "route");
            let told = of_all(&headers);
            assert_eq!([LIMIT, BURST].map(|name| told.get(name).cloned().unwrap()), [text, text]);
        }
    }

    #[test]
    fn extreme_limits_stay_integers_of_structured_fields() {
        for (rate, burst) in [(1e9, 1e9), (1e-300, 1e9), (f64::MAX, f64::MAX), (5e-324, 1.0)] {
            let (quota, headers) = limit(rate, burst, "route");
            let told = of_all(&headers);
            let policy = told.get(POLICY).unwrap().to_str().unwrap();
            let numbers = policy.split(['=', ';']).filter_map(|part| part.parse::<u64>().ok());
            assert!(numbers.clone().all(|number| (1..=MAX_INTEGER).contains(&number)), "{policy}");
            assert_eq!(numbers.count(), 2, "{policy}");
            let _ = written(&headers, &ScopeValue::Route, &after(&quota, 2));
        }
    }
}
