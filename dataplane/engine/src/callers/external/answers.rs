//! What services have let pass lately, where the file says that a yes holds for a while.
//!
//! Only a yes is remembered. A no is not: whoever is let in from now on need not wait, what a refusal says to a browser (its
//! cookies, its way to where people log in) is meant for one, and strangers cannot push out those who are known. What is
//! no decision is remembered still less.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use apigw_config::model::{QuestionPart, ServiceCache};
use aws_lc_rs::hmac;
use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, HOST},
};

use super::{Approval, Service, X_FORWARDED_METHOD, X_FORWARDED_URI};
use crate::{
    fields::{Fields, X_FORWARDED_FOR, X_FORWARDED_HOST, X_REQUEST_ID},
    jwt::cache::CacheLimits,
    trace_context::{TRACEPARENT, TRACESTATE},
};

/// What is another in every question, or the same in all of a service.
const OF_NO_MEANING: [HeaderName; 4] = [HOST, X_REQUEST_ID, TRACEPARENT, TRACESTATE];

/// What a field of a question tells by itself.
const WHOLE_FIELDS: [(HeaderName, QuestionPart); 3] = [
    (X_FORWARDED_METHOD, QuestionPart::Method),
    (X_FORWARDED_HOST, QuestionPart::Host),
    (X_FORWARDED_FOR, QuestionPart::ClientIp),
];

/// Whose answers: those that a route's service gives while nothing about it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswersId(pub(crate) u64);

/// What tells questions apart that a service may answer differently: all that it is told, but for what the file says it
/// ignores. Hashed under a key that nobody outside the process knows: credentials are among it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct QuestionKey([u8; 32]);

impl fmt::Debug for QuestionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[question]")
    }
}

/// The answers that one worker remembers, for all services. Bounded in entries and bytes; the oldest goes first.
#[derive(Debug)]
pub struct ServiceAnswers {
    /// None: nothing is remembered.
    key: Option<hmac::Key>,
    limits: CacheLimits,
    known: HashMap<QuestionKey, Known>,
    /// By when they were given: the lowest number first.
    in_order: BTreeMap<u64, QuestionKey>,
    /// Of the next one.
    number: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    approval: Approval,
    until: Duration,
    number: u64,
    bytes: usize,
}

impl ServiceAnswers {
    /// None yet. Where there is no key, there will be none.
    #[must_use]
    pub fn new(limits: CacheLimits, key: Option<hmac::Key>) -> Self {
        let (known, in_order) = (HashMap::new(), BTreeMap::new());
        Self { key, limits, known, in_order, number: 0, bytes: 0 }
    }

    /// What a question with these fields is remembered by; none: it is not.
    #[must_use]
    pub fn key_of(&self, service: &Service, fields: &Fields) -> Option<QuestionKey> {
        let ServiceCache { ttl: _, ignore } = service.config.cache.as_ref()?;
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        context.update(&service.answers.0.to_be_bytes());
        let mut fields: Vec<_> = fields.iter().filter(|(name, _)| !OF_NO_MEANING.contains(name)).collect();
        // In whatever order a client sends them. Of one name the order matters, and stays.
        fields.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in fields {
            let (first, second) = parts_that_count(name, value.as_bytes(), ignore);
            for part in [name.as_str().as_bytes(), first, second] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        let tag = context.sign();
        tag.as_ref().try_into().ok().map(QuestionKey)
    }

    /// What the service has said, while it holds.
    #[must_use]
    pub fn recall(&self, question: QuestionKey, now: Duration) -> Option<Approval> {
        self.known.get(&question).filter(|known| now < known.until).map(|known| known.approval.clone())
    }

    /// Remembers a yes until then, in place of a former one.
    pub fn remember(&mut self, question: QuestionKey, approval: &Approval, until: Duration) {
        let approval = approval.apart();
        let bytes = approval.bytes() + size_of::<(QuestionKey, Known)>() + size_of::<(u64, QuestionKey)>();
        if bytes > self.limits.bytes {
            return;
        }
        self.forget(question);
        while self.known.len() >= self.limits.entries || self.bytes + bytes > self.limits.bytes {
            let Some((_, oldest)) = self.in_order.pop_first() else { return };
            self.forget(oldest);
        }
        let number = self.number;
        self.number += 1;
        self.bytes += bytes;
        self.in_order.insert(number, question);
        self.known.insert(question, Known { approval, until, number, bytes });
    }

    fn forget(&mut self, question: QuestionKey) {
        if let Some(Known { number, bytes, .. }) = self.known.remove(&question) {
            self.bytes -= bytes;
            self.in_order.remove(&number);
        }
    }
}

/// What counts of a field's value; of the address that is asked for, the path and the query apart.
fn parts_that_count<'v>(name: &HeaderName, value: &'v [u8], ignore: &[QuestionPart]) -> (&'v [u8], &'v [u8]) {
    let unless = |part, value: &'v [u8]| if ignore.contains(&part) { &value[..0] } else { value };
    if *name == X_FORWARDED_URI {
        let end = value.iter().position(|byte| *byte == b'?').unwrap_or(value.len());
        let (path, query) = value.split_at(end);
        return (unless(QuestionPart::Path, path), unless(QuestionPart::Query, query));
    }
    match WHOLE_FIELDS.iter().find(|(field, _)| field == name) {
        Some((_, part)) => (unless(*part, value), &[]),
        None => (value, &[]),
    }
}

impl Service {
    /// For how long a yes that comes with these fields holds, from the question on; none: for this request. The service can
    /// make it shorter ([RFC 9111 section 5.2.2](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2)), not longer.
    #[must_use]
    pub fn lifetime(&self, headers: &Fields) -> Option<Duration> {
        let mut lifetime = self.config.cache.as_ref()?.ttl.duration();
        let values = headers.get_all(CACHE_CONTROL).map(HeaderValue::as_bytes);
        for directive in values.flat_map(|value| value.split(|byte| *byte == b',')) {
            let directive = directive.trim_ascii();
            let end = directive.iter().position(|byte| *byte == b'=').unwrap_or(directive.len());
            let (name, argument) = directive.split_at(end);
            let name = name.trim_ascii();
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            if is("no-store") || is("no-cache") {
                return None;
            }
            if is("max-age") || is("s-maxage") {
                lifetime = lifetime.min(Duration::from_secs(seconds(argument)?));
            }
        }
        (!lifetime.is_zero()).then_some(lifetime)
    }

    /// Whose answers it gives, and for how long each of them holds; none: for one request.
    #[must_use]
    pub fn cache(&self) -> Option<&ServiceCache> {
        self.config.cache.as_ref()
    }
}

/// The number in `=5` or `="5"`; none: it is none, so that nothing is known of the time.
fn seconds(argument: &[u8]) -> Option<u64> {
    let digits = argument.strip_prefix(b"=")?.trim_ascii();
    let quoted = digits.strip_prefix(b"\"").and_then(|digits| digits.strip_suffix(b"\""));
    let digits = quoted.unwrap_or(digits);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // What is too large to be read is longer than any file allows.
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok().or(Some(u64::MAX)))?
}

#[cfg(test)]
mod tests;
