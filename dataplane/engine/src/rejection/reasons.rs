//! Every reason code there is: why a request did not end with the upstream's whole answer.

use super::{Awaited, Rejection, UpstreamFailure};
use crate::{
    access::Forbidden,
    address_list::AddressRefusal,
    callers::{
        CallerError, Unidentified, api_key::ApiKeyError, basic::BasicError, external::ExternalError,
        mtls::MtlsError,
    },
    circuit_breaker::Open,
    concurrency::Full,
    cors::CorsRefusal,
    jwt::error::JwtError,
    path::PathError,
};

/// A reason code and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// As logs and metrics have it.
    pub code: &'static str,
    /// Of the gateway's own answer; none: the answer had begun, or nobody was there for one.
    pub answer: Option<(u16, &'static str)>,
    /// In words.
    pub meaning: String,
}

/// How an exchange can end after the upstream's answer began, or without anybody to answer.
const ENDINGS: [(&str, &str); 6] = [
    ("upstream_truncated", "the upstream's answer broke off; the client sees it cut off"),
    ("upstream_idle", "nothing came of the upstream's answer for too long; the client sees it cut off"),
    ("write_timeout", "the client accepted nothing for too long"),
    ("websocket_idle", "nothing passed on a WebSocket for too long"),
    ("drain_timeout", "the gateway ended before the answer did"),
    ("client_disconnected", "the client went away; status 499 if there was no answer yet"),
];

/// All of them, in the order a request can meet them.
pub fn all() -> impl Iterator<Item = Reason> {
    let of_rejections = rejections().into_iter().map(|rejection| {
        let (status, code, error) = rejection.summary();
        Reason { code, answer: Some((status.as_u16(), error)), meaning: rejection.to_string() }
    });
    let of_endings =
        ENDINGS.into_iter().map(|(code, meaning)| Reason { code, answer: None, meaning: meaning.into() });
    of_rejections.chain(of_endings)
}

/// One of each, with numbers as they may be.
fn rejections() -> Vec<Rejection> {
    use PathError::{
        Backslash, ControlCharacter, DotSegmentParameter, EscapedSeparator, InvalidEscape, NotAPath, Overlong,
    };
    use UpstreamFailure::{
        Busy, Connect, ConnectTimeout, Malformed, NotHttp2, Reset, ResponseTimeout, Tls, Unresolved,
    };
    const MAX_BYTES: u64 = 1_048_576;
    let head = [
        Rejection::TooManyConnections,
        Rejection::TlsExpected,
        Rejection::HeadTimeout,
        Rejection::HeadMalformed,
        Rejection::HttpVersion,
        Rejection::HeadTooLarge { max_bytes: MAX_BYTES },
        Rejection::TargetTooLong,
        Rejection::MethodNotAllowed,
        Rejection::StreamProtocol,
        Rejection::Host,
    ];
    let paths = [
        NotAPath,
        InvalidEscape,
        EscapedSeparator,
        Backslash,
        ControlCharacter,
        Overlong,
        DotSegmentParameter,
    ];
    let judged = [
        Rejection::Forbidden(Forbidden::Scope { challenge: None }),
        Rejection::Forbidden(Forbidden::Claim { challenge: None }),
        Rejection::RateLimited { scope: "ip".into(), retry_after_seconds: 1 },
        Rejection::RateLimitUnavailable,
        Rejection::BodyTooLarge { max_bytes: MAX_BYTES },
        Rejection::BodyTimeout,
        Rejection::TransferCoding,
        Rejection::BodyMalformed,
        Rejection::BodyIncomplete,
        Rejection::CallTimeoutMalformed,
        Rejection::RewrittenPath,
        Rejection::DeadlineExceeded,
        Rejection::TotalTimeout { awaited: Awaited::Upstream },
        Rejection::TooBusy(Full { max_in_flight: 1 }),
        Rejection::CircuitOpen(Open { retry_after: std::time::Duration::ZERO }),
    ];
    let upstreams =
        [Unresolved, Connect, ConnectTimeout, Tls, NotHttp2, Busy, Reset, Malformed, ResponseTimeout];
    let mut all = Vec::from(head);
    all.extend(paths.map(Rejection::Path));
    all.extend([AddressRefusal::Denied, AddressRefusal::NotAllowed].map(Rejection::Address));
    all.push(Rejection::NoRoute);
    all.extend([CorsRefusal::Origin, CorsRefusal::Method, CorsRefusal::Header].map(Rejection::Cors));
    all.extend(of_unknown_callers());
    all.extend(judged);
    all.extend(upstreams.map(Rejection::Upstream));
    all.extend([Rejection::WebSocketDeclined, Rejection::Internal]);
    all
}

/// For each way in which nobody is known.
fn of_unknown_callers() -> impl Iterator<Item = Rejection> {
    let of_keys = ApiKeyError::ALL.into_iter().map(CallerError::ApiKey);
    let others = of_keys.chain(BasicError::ALL.into_iter().map(CallerError::Basic));
    let others = others.chain(ExternalError::all().into_iter().map(CallerError::External));
    let others = others.chain(MtlsError::ALL.into_iter().map(CallerError::Mtls));
    let others = others.map(|error| Unidentified { error, challenges: Vec::new() }.into());
    JwtError::ALL.into_iter().map(Rejection::Unauthorized).chain(others)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_row_in_the_documentation() {
        let documented = include_str!("../../../../docs/request-path.md");
        for Reason { code, answer, .. } in all() {
            let row = match answer {
                Some((status, error)) => format!("| `{code}` | {status} | `{error}` |"),
                None => format!("| `{code}` | as sent"),
            };
            assert!(documented.contains(&row), "docs/request-path.md has no row {row}");
        }
    }

    #[test]
    fn every_reason_is_one_of_its_own() {
        let codes: HashSet<_> = all().map(|reason| reason.code).collect();
        assert_eq!(codes.len(), all().count());
    }

    #[test]
    fn meanings_are_words_about_the_request() {
        assert!(all().all(|reason| reason.meaning.len() > 10), "{:?}", all().collect::<Vec<_>>());
    }
}
