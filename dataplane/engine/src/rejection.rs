//! Why the gateway itself answers a request, and what the client is told.
//!
//! Only a [`Rejection`] reaches a client, through the one match of [`Rejection::answer`]. What it tells is separate from
//! what the log is told: bodies name no address and no cause inside the gateway.

/// All the codes.
pub mod reasons;

use std::fmt::Write;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::{
    access::Forbidden, address_list::AddressRefusal, callers::Unidentified, circuit_breaker::Open,
    concurrency::Full, cors::CorsRefusal, jwt::error::JwtError, path::PathError,
};

/// The gateway's decision not to pass on an upstream's answer. In the order a request can meet them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// As many clients are connected as may be.
    #[error("too many connections")]
    TooManyConnections,
    /// The client speaks in clear where TLS is spoken.
    #[error("the connection is in clear where TLS is spoken")]
    TlsExpected,
    /// The head did not arrive in time.
    #[error("the request's head did not arrive in time")]
    HeadTimeout,
    /// The head is not HTTP as the gateway reads it.
    #[error("the request's head is malformed")]
    HeadMalformed,
    /// The head is of a version that the gateway does not speak on this connection.
    #[error("the request's version of HTTP is not spoken here")]
    HttpVersion,
    /// The head is larger than allowed.
    #[error("the request's head is larger than {max_bytes} bytes")]
    HeadTooLarge {
        /// The most that is allowed.
        max_bytes: u64,
    },
    /// The request's target is longer than any that can be passed on.
    #[error("the request's target is too long")]
    TargetTooLong,
    /// The method is not one a gateway may forward.
    #[error("the method is not allowed")]
    MethodNotAllowed,
    /// The client wants to speak a protocol in a stream of HTTP/2 that the gateway does not know.
    #[error("the protocol that is to be spoken in the stream is not known here")]
    StreamProtocol,
    /// `Host` is missing, or there are several.
    #[error("the request does not name one host")]
    Host,
    /// The path has no single meaning.
    #[error("{0}")]
    Path(#[from] PathError),
    /// What the route's rewriting makes of the path has no single meaning, or would leave the place that it names.
    #[error("what the route makes of the path is none that could be asked for")]
    RewrittenPath,
    /// The client's address may not.
    #[error("{0}")]
    Address(#[from] AddressRefusal),
    /// No route serves the path.
    #[error("no route matches")]
    NoRoute,
    /// A page of another origin asks for more than it may.
    #[error("{0}")]
    Cors(#[from] CorsRefusal),
    /// The route wants a known caller.
    #[error("{0}")]
    Unauthorized(#[from] JwtError),
    /// The route wants a known caller, who may make himself known in several ways.
    #[error("{0}")]
    Unidentified(#[from] Unidentified),
    /// The caller is known, and not served here.
    #[error("{0}")]
    Forbidden(#[from] Forbidden),
    /// The caller comes too soon.
    #[error("the rate limit is exceeded")]
    RateLimited {
        /// The word for what the caller is counted by.
        scope: Box<str>,
        /// Until he may come again.
        retry_after_seconds: u64,
    },
    /// Nobody can tell whether the caller comes too soon, and the file says to refuse then.
    #[error("the rate limit cannot be counted")]
    RateLimitUnavailable,
    /// The body is, or turned out to be, larger than allowed.
    #[error("the request's body is larger than {max_bytes} bytes")]
    BodyTooLarge {
        /// The most that is allowed.
        max_bytes: u64,
    },
    /// The body did not arrive in time.
    #[error("the request's body did not arrive in time")]
    BodyTimeout,
    /// The body is in a transfer coding that the gateway does not know.
    #[error("the request's transfer coding is not known")]
    TransferCoding,
    /// The body is not one: its framing broke midway.
    #[error("the request's body is malformed")]
    BodyMalformed,
    /// The client stopped sending midway.
    #[error("the request's body is incomplete")]
    BodyIncomplete,
    /// A call's time is none.
    #[error("the call's timeout is malformed")]
    CallTimeoutMalformed,
    /// The time is over that the caller gave the exchange. It says nothing about the upstream.
    #[error("the caller's deadline has passed")]
    DeadlineExceeded,
    /// The time is over that the route gives an exchange.
    #[error("the route's time for the whole exchange is over")]
    TotalTimeout {
        /// Who kept it waiting.
        awaited: Awaited,
    },
    /// As many requests of the route are under way as may be.
    #[error("{0}")]
    TooBusy(#[from] Full),
    /// The route's circuit breaker is open.
    #[error("{0}")]
    CircuitOpen(#[from] Open),
    /// No usable answer came from the upstream.
    #[error("{0}")]
    Upstream(#[from] UpstreamFailure),
    /// What would have been a WebSocket in a stream of HTTP/2 was answered with a success that is none: the client would
    /// take it for one.
    #[error("the opening of a WebSocket in a stream was answered with another success")]
    WebSocketDeclined,
    /// A fault of the gateway.
    #[error("internal error")]
    Internal,
}

/// For whom an exchange was waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// It had all of the request, or did not take it.
    Upstream,
    /// He sent his request, or the gateway was at work for him: that says nothing about the upstream.
    Client,
}

/// How an upstream failed. All of these, and nothing a client does, are the upstream's failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamFailure {
    /// Its name has no address.
    #[error("the upstream's name does not resolve")]
    Unresolved,
    /// No connection could be made.
    #[error("no connection to the upstream")]
    Connect,
    /// No connection was made in time.
    #[error("no connection to the upstream in time")]
    ConnectTimeout,
    /// No TLS, or nobody vouches for who answered there.
    #[error("no secure connection to the upstream")]
    Tls,
    /// What answers there does not speak HTTP/2, which is configured.
    #[error("the upstream does not speak HTTP/2")]
    NotHttp2,
    /// As many requests are under way, on as many connections, as may be.
    #[error("the upstream takes no further request")]
    Busy,
    /// The connection ended, or broke, before an answer.
    #[error("the upstream's connection broke")]
    Reset,
    /// What came was not HTTP.
    #[error("the upstream's answer is malformed")]
    Malformed,
    /// No answer began in time.
    #[error("the upstream did not answer in time")]
    ResponseTimeout,
}

/// What a client is told, and under which code it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status of the response.
    pub status: StatusCode,
    /// Stable code for logs and metrics.
    pub reason: &'static str,
    /// The body's `error`.
    error: &'static str,
    detail: Detail,
    /// The value of Retry-After, where nobody else writes it.
    pub retry_after_seconds: Option<u64>,
    /// The values of `WWW-Authenticate`.
    pub challenges: Vec<HeaderValue>,
    /// Further header fields, by the word of a service.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// Whether the client's connection must end with this answer, because what follows on it is unknown.
    pub closes: bool,
}

/// Further members of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Detail {
    None,
    MaxBytes(u64),
    RateLimited { scope: Box<str>, retry_after_seconds: u64 },
    TooBusy { max_in_flight: u32 },
    CircuitOpen,
}

impl Rejection {
    /// What the client is told.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let (status, reason, error) = self.summary();
        Answer {
            status,
            reason,
            error,
            detail: self.detail(),
            retry_after_seconds: self.retry_after_seconds(),
            challenges: self.challenges(),
            fields: self.fields(),
            closes: self.closes(),
        }
    }

    /// Status, reason code, and the body's `error`.
    fn summary(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as Status;
        match self {
            Self::TooManyConnections => (Status::SERVICE_UNAVAILABLE, "too_many_connections", "too_busy"),
            Self::TlsExpected => (Status::BAD_REQUEST, "tls_expected", "tls_required"),
            Self::HeadTimeout => (Status::REQUEST_TIMEOUT, "head_timeout", "request_timeout"),
            Self::HeadMalformed => (Status::BAD_REQUEST, "head_malformed", "bad_request"),
            Self::HttpVersion => {
                (Status::HTTP_VERSION_NOT_SUPPORTED, "http_version", "http_version_not_supported")
            }
            Self::HeadTooLarge { .. } => {
                (Status::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "request_headers_too_large")
            }
            Self::TargetTooLong => (Status::URI_TOO_LONG, "target_too_long", "uri_too_long"),
            Self::MethodNotAllowed => {
                (Status::METHOD_NOT_ALLOWED, "method_not_allowed", "method_not_allowed")
            }
            Self::StreamProtocol => (Status::NOT_IMPLEMENTED, "protocol_unknown", "not_implemented"),
            Self::Host => (Status::BAD_REQUEST, "bad_host", "bad_host"),
            Self::Path(error) => (Status::BAD_REQUEST, error.reason(), "bad_path"),
            Self::RewrittenPath => (Status::BAD_REQUEST, "path_rewritten", "bad_path"),
            Self::Address(refusal) => (Status::FORBIDDEN, refusal.reason(), "forbidden"),
            Self::NoRoute => (Status::NOT_FOUND, "no_route", "no_route"),
            Self::Cors(refusal) => (Status::FORBIDDEN, refusal.reason(), "forbidden"),
            Self::Unauthorized(error) => (Status::UNAUTHORIZED, error.reason(), "unauthorized"),
            Self::Unidentified(Unidentified { error, .. }) => error.summary(),
            Self::Forbidden(forbidden) => (Status::FORBIDDEN, forbidden.reason(), "forbidden"),
            Self::RateLimited { .. } => (Status::TOO_MANY_REQUESTS, "rate_limited", "rate_limited"),
            Self::RateLimitUnavailable => {
                (Status::SERVICE_UNAVAILABLE, "rate_limit_unavailable", "rate_limit_unavailable")
            }
            Self::BodyTooLarge { .. } => (Status::PAYLOAD_TOO_LARGE, "body_too_large", "request_too_large"),
            Self::BodyTimeout => (Status::REQUEST_TIMEOUT, "body_timeout", "request_timeout"),
            Self::TransferCoding => (Status::NOT_IMPLEMENTED, "transfer_coding_unknown", "not_implemented"),
            Self::BodyIncomplete => (Status::BAD_REQUEST, "body_incomplete", "bad_request"),
            Self::BodyMalformed => (Status::BAD_REQUEST, "body_malformed", "bad_request"),
            Self::CallTimeoutMalformed => (Status::BAD_REQUEST, "grpc_timeout_malformed", "bad_request"),
            Self::DeadlineExceeded => (Status::GATEWAY_TIMEOUT, "deadline_exceeded", "gateway_timeout"),
            Self::TotalTimeout { .. } => (Status::GATEWAY_TIMEOUT, "total_timeout", "gateway_timeout"),
            Self::TooBusy(_) => (Status::SERVICE_UNAVAILABLE, "too_busy", "too_busy"),
            Self::CircuitOpen(_) => (Status::SERVICE_UNAVAILABLE, "breaker_open", "circuit_open"),
            Self::Upstream(failure) => failure.summary(),
            Self::WebSocketDeclined => (Status::BAD_GATEWAY, "websocket_declined", "bad_gateway"),
            Self::Internal => (Status::INTERNAL_SERVER_ERROR, "internal_error", "internal_error"),
        }
    }

    /// Further members of the body.
    fn detail(&self) -> Detail {
        match self {
            Self::HeadTooLarge { max_bytes } | Self::BodyTooLarge { max_bytes } => {
                Detail::MaxBytes(*max_bytes)
            }
            Self::RateLimited { scope, retry_after_seconds } => {
                Detail::RateLimited { scope: scope.clone(), retry_after_seconds: *retry_after_seconds }
            }
            Self::TooBusy(Full { max_in_flight }) => Detail::TooBusy { max_in_flight: *max_in_flight },
            Self::CircuitOpen(_) => Detail::CircuitOpen,
            _ => Detail::None,
        }
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimitUnavailable => Some(1),
            Self::Unidentified(Unidentified { error, .. }) if error.is_unjudged() => Some(1),
            Self::CircuitOpen(open) => Some(open.retry_after_seconds()),
            _ => None,
        }
    }

    fn challenges(&self) -> Vec<HeaderValue> {
        match self {
            Self::Unauthorized(error) => vec![error.challenge()],
            Self::Unidentified(unidentified) => unidentified.challenges.clone(),
            Self::Forbidden(forbidden) => forbidden.challenge().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::Unidentified(Unidentified { error, .. }) => {
                error.refusal().map(|refusal| refusal.fields.clone()).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Whether it is unknown what follows on the client's connection, or the gateway no longer knows itself.
    fn closes(&self) -> bool {
        matches!(
            self,
            Self::TooManyConnections
                | Self::TlsExpected
                | Self::HeadTimeout
                | Self::HeadMalformed
                | Self::HttpVersion
                | Self::HeadTooLarge { .. }
                | Self::TargetTooLong
                | Self::MethodNotAllowed
                | Self::Host
                | Self::BodyTooLarge { .. }
                | Self::BodyTimeout
                | Self::TransferCoding
                | Self::BodyIncomplete
                | Self::BodyMalformed
                | Self::Internal
        )
    }
}

impl Rejection {
    /// Whether it says that the upstream is not well.
    #[must_use]
    pub fn is_upstream_failure(&self) -> bool {
        matches!(self, Self::Upstream(_) | Self::TotalTimeout { awaited: Awaited::Upstream })
    }

    /// Whether it says that the upstream took too long to answer.
    #[must_use]
    pub fn says_that_upstream_is_late(&self) -> bool {
        let is_overdue = matches!(self, Self::TotalTimeout { awaited: Awaited::Upstream });
        is_overdue || matches!(self, Self::Upstream(UpstreamFailure::ResponseTimeout))
    }
}

impl UpstreamFailure {
    /// Status, reason code, and the body's `error`.
    fn summary(self) -> (StatusCode, &'static str, &'static str) {
        let (bad, late) = (StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT);
        match self {
            Self::Unresolved => (bad, "upstream_unresolved", "bad_gateway"),
            Self::Connect => (bad, "upstream_unreachable", "bad_gateway"),
            Self::ConnectTimeout => (late, "upstream_connect_timeout", "gateway_timeout"),
            Self::Tls => (bad, "upstream_tls", "bad_gateway"),
            Self::NotHttp2 => (bad, "upstream_not_http2", "bad_gateway"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "upstream_busy", "too_busy"),
            Self::Reset => (bad, "upstream_reset", "bad_gateway"),
            Self::Malformed => (bad, "upstream_malformed", "bad_gateway"),
            Self::ResponseTimeout => (late, "upstream_timeout", "gateway_timeout"),
        }
    }
}

impl Answer {
    /// The body: JSON with `error` first. `route`, empty for none, and `request_id` hold only visible ASCII without `"`
    /// and `\`.
    #[must_use]
    pub fn body(&self, route: &str, request_id: &str) -> String {
        let mut body = format!("{{\"error\":\"{}\"", self.error);
        // Writing to a String cannot fail.
        let _ = match &self.detail {
            Detail::None => Ok(()),
            Detail::MaxBytes(max_bytes) => write!(body, ",\"max_bytes\":{max_bytes}"),
            Detail::RateLimited { scope, retry_after_seconds } => {
                // The name of a claim may be anything.
                let scope = serde_json::Value::from(&**scope);
                let rest = format_args!("\"scope\":{scope},\"retry_after_seconds\":{retry_after_seconds}");
                write!(body, ",\"route\":\"{route}\",{rest}")
            }
            Detail::TooBusy { max_in_flight } => {
                let message = "route is at max concurrency";
                let rest = format_args!("\"route\":\"{route}\",\"max_in_flight\":{max_in_flight}");
                write!(body, ",\"message\":\"{message}\",{rest}")
            }
            Detail::CircuitOpen => {
                let message = "upstream temporarily unavailable";
                write!(body, ",\"message\":\"{message}\",\"route\":\"{route}\"")
            }
        };
        body + ",\"request_id\":\"" + request_id + "\"}"
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(rejection: impl Into<Rejection>, status: u16, body: &str) {
        let answer = rejection.into().answer();
        assert_eq!((answer.status.as_u16(), answer.body("orders", "r1").as_str()), (status, body));
    }

    #[test]
    fn bodies_are_those_of_the_contract_with_the_request_id() {
        check(JwtError::Expired, 401, r#"{"error":"unauthorized","request_id":"r1"}"#);
        check(Forbidden::Claim { challenge: None }, 403, r#"{"error":"forbidden","request_id":"r1"}"#);
        check(
            Rejection::RateLimited { scope: "claim:a\"b".into(), retry_after_seconds: 7 },
            429,
            r#"{"error":"rate_limited","route":"orders","scope":"claim:a\"b","retry_after_seconds":7,"request_id":"r1"}"#,
        );
        check(
            Full { max_in_flight: 2 },
            503,
            r#"{"error":"too_busy","message":"route is at max concurrency","route":"orders","max_in_flight":2,"request_id":"r1"}"#,
        );
        check(
            Open { retry_after: Duration::from_secs(9) },
            503,
            r#"{"error":"circuit_open","message":"upstream temporarily unavailable","route":"orders","request_id":"r1"}"#,
        );
        check(Rejection::NoRoute, 404, r#"{"error":"no_route","request_id":"r1"}"#);
        check(
            Rejection::BodyTooLarge { max_bytes: 1_048_576 },
            413,
            r#"{"error":"request_too_large","max_bytes":1048576,"request_id":"r1"}"#,
        );
        check(UpstreamFailure::Connect, 502, r#"{"error":"bad_gateway","request_id":"r1"}"#);
        check(UpstreamFailure::ResponseTimeout, 504, r#"{"error":"gateway_timeout","request_id":"r1"}"#);
        check(PathError::Backslash, 400, r#"{"error":"bad_path","request_id":"r1"}"#);
    }
}
