//! Of which trace a request is a part, as its sender says in `traceparent` and `tracestate` (W3C Trace Context, level 1:
//! <https://www.w3.org/TR/trace-context-1/>), and what upstreams are told. Ids are drawn elsewhere.

use std::fmt;

use apigw_config::names::SampleRatio;
use http::{HeaderName, HeaderValue};

use crate::{fields::Fields, hex};

/// Which trace, which part of it, and whether that is collected.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What the makers of tracing systems say to themselves.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The most members of a list of `tracestate` (section 3.3.1.1).
const MAX_MEMBERS: usize = 32;
/// The most bytes of a key that names no tenant, and of a value (sections 3.3.1.3.1 and 3.3.1.3.2).
const MAX_BYTES: usize = 256;
/// The most bytes of a tenant, and of its system.
const MAX_TENANT_BYTES: usize = 241;
const MAX_SYSTEM_BYTES: usize = 14;

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// Names a trace everywhere. Not all of it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// Names a span within its trace. Not all of it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

/// What a request says of the trace that it is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// The span of whoever sent the request.
    pub span: SpanId,
    /// Whether it is collected there.
    pub is_sampled: bool,
}

impl TraceId {
    /// Of a number that was drawn; none: it is no id.
    #[must_use]
    pub fn of(number: u128) -> Option<Self> {
        (number != 0).then(|| Self(number.to_be_bytes()))
    }

    /// As messages have it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a trace that begins with this id is collected: by the id alone, so that whoever judges it by the same ratio
    /// comes to the same.
    #[must_use]
    pub fn is_sampled_at(self, ratio: SampleRatio) -> bool {
        let [.., a, b, c, d, _, _, _, _] = self.0;
        let share = f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0);
        share < ratio.get()
    }
}

impl SpanId {
    /// Of a number that was drawn; none: it is no id.
    #[must_use]
    pub fn of(number: u64) -> Option<Self> {
        (number != 0).then(|| Self(number.to_be_bytes()))
    }

    /// As messages have it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    /// 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl Parent {
    /// What a request's fields say of it; none: nothing, or nothing that means one thing to all.
    #[must_use]
    pub fn told_by(fields: &Fields) -> Option<Self> {
        let mut told = fields.get_all(TRACEPARENT);
        match (told.next(), told.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            _ => None,
        }
    }

    /// Section 3.2.2. A later version is read as far as this one goes.
    fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LENGTH)?;
        let version = digits::<1>(&known[..2])?;
        let is_whole = match version {
            [0] => rest.is_empty(),
            [0xff] => false,
            [_] => rest.is_empty() || rest[0] == b'-',
        };
        let is_divided = [2, 35, 52].iter().all(|index| known[*index] == b'-');
        if !is_whole || !is_divided {
            return None;
        }
        let trace = TraceId::of(u128::from_be_bytes(digits(&known[3..35])?))?;
        let span = SpanId::of(u64::from_be_bytes(digits(&known[36..52])?))?;
        let [flags] = digits::<1>(&known[53..])?;
        Some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }

    /// As the next one is told (section 3.2.2): in version 00, with no other flag than the one it has.
    #[must_use]
    pub fn write(&self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex::write(&self.trace.0, &mut text[3..35]);
        hex::write(&self.span.0, &mut text[36..52]);
        hex::write(&[u8::from(self.is_sampled)], &mut text[53..]);
        text
    }
}

/// So many bytes in hexadecimal digits, in small letters.
fn digits<const BYTES: usize>(text: &[u8]) -> Option<[u8; BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Whether all fields of `tracestate` together are a list as section 3.3.1 has it. One that is not is passed on to nobody; its
/// `traceparent` is.
#[must_use]
pub fn is_state<'a>(fields: impl Iterator<Item = &'a HeaderValue>) -> bool {
    let mut members = 0;
    for member in fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b',')) {
        let member = member.trim_ascii();
        // Empty ones are allowed, since some programs leave them behind.
        if member.is_empty() {
            continue;
        }
        members += 1;
        if members > MAX_MEMBERS || !is_member(member) {
            return false;
        }
    }
    true
}

fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|&byte| byte == b'=') else { return false };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    is_key(key) && is_value(value)
}

fn is_key(key: &[u8]) -> bool {
    match key.iter().position(|&byte| byte == b'@') {
        None => is_name(key, MAX_BYTES) && key[0].is_ascii_lowercase(),
        Some(at) => {
            let (tenant, system) = (&key[..at], &key[at + 1..]);
            is_name(tenant, MAX_TENANT_BYTES)
                && is_name(system, MAX_SYSTEM_BYTES)
                && system[0].is_ascii_lowercase()
        }
    }
}

/// A small letter or a digit, and what may follow it.
fn is_name(name: &[u8], limit: usize) -> bool {
    let begins = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= limit
        && name.first().is_some_and(|&first| begins(first))
        && name.iter().all(|&byte| begins(byte) || b"_-*/".contains(&byte))
}

/// Visible characters and spaces, but no space at the end; those at the beginning belong to it.
fn is_value(value: &[u8]) -> bool {
    (1..=MAX_BYTES).contains(&value.len())
        && value.iter().all(|&byte| matches!(byte, 0x20..=0x7e) && byte != b'=')
        && value.last() != Some(&b' ')
}

#[cfg(test)]
mod tests;
