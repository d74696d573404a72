//! Statuses of gRPC (<https://grpc.io/docs/guides/status-codes>): those that the gateway gives, and those that it is given.

use std::fmt::Write;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::{fields::Fields, rejection::Rejection};

/// The field with a call's status.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The field with what is to be said about it.
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcStatus(u8);

impl GrpcStatus {
    /// Something went wrong of which gRPC has no word.
    pub const UNKNOWN: Self = Self(2);
    /// The time that the caller gave it is over.
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    /// The caller may not.
    pub const PERMISSION_DENIED: Self = Self(7);
    /// There is no room for it.
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    /// Nobody serves it.
    pub const UNIMPLEMENTED: Self = Self(12);
    /// Something is broken.
    pub const INTERNAL: Self = Self(13);
    /// It may work another time.
    pub const UNAVAILABLE: Self = Self(14);
    /// Messages are lost.
    pub const DATA_LOSS: Self = Self(15);
    /// It is not known who calls.
    pub const UNAUTHENTICATED: Self = Self(16);

    /// The one that head or trailers of an answer tell; none: they tell no status, or one that does not exist.
    #[must_use]
    pub fn told_by(value: &HeaderValue) -> Option<Self> {
        let digits = value.as_bytes();
        if !(1..=2).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let code = digits.iter().fold(0, |sum, digit| sum * 10 + (digit - b'0'));
        (code <= Self::UNAUTHENTICATED.0).then_some(Self(code))
    }

    /// Its number.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }

    /// Whether it says that the upstream is not well, as a 5xx does. What callers bring about says nothing about it: calls
    /// of methods that do not exist, and times of their own that were too short.
    #[must_use]
    pub fn is_upstream_failure(self) -> bool {
        matches!(self, Self::UNKNOWN | Self::INTERNAL | Self::UNAVAILABLE | Self::DATA_LOSS)
    }
}

impl From<&Rejection> for GrpcStatus {
    /// The status that clients make of a rejection's status in HTTP themselves
    /// (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>), so that a caller is told the same with
    /// and without a gateway that speaks gRPC. A rate limit is UNAVAILABLE by it, as it is in Envoy unless configured
    /// otherwise. Where that mapping knows only UNKNOWN and gRPC has a word, it is that word.
    fn from(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::DeadlineExceeded | Rejection::TotalTimeout { .. } => return Self::DEADLINE_EXCEEDED,
            Rejection::BodyTooLarge { .. } | Rejection::HeadTooLarge { .. } => {
                return Self::RESOURCE_EXHAUSTED;
            }
            Rejection::Internal => return Self::INTERNAL,
            _ => {}
        }
        match rejection.answer().status {
            StatusCode::BAD_REQUEST => Self::INTERNAL,
            StatusCode::UNAUTHORIZED => Self::UNAUTHENTICATED,
            StatusCode::FORBIDDEN => Self::PERMISSION_DENIED,
            StatusCode::NOT_FOUND => Self::UNIMPLEMENTED,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }
}

/// The fields that tell a status, with what is said about it.
#[must_use]
pub fn fields(status: GrpcStatus, message: &str) -> Fields {
    let mut fields = Fields::from_iter([(GRPC_STATUS, HeaderValue::from(u16::from(status.0)))]);
    // Percent-encoded, it is always a value.
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(message)) {
        fields.insert(GRPC_MESSAGE, message);
    }
    fields
}

/// As `Status-Message` has it: space to `~` as they are, but for `%`.
fn percent_encoded(message: &str) -> String {
    message.bytes().fold(String::with_capacity(message.len()), |mut encoded, byte| {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address_list::AddressRefusal,
        jwt::error::JwtError,
        rejection::{Awaited, UpstreamFailure},
    };

    #[test]
    fn rejections_have_the_status_that_clients_make_of_them() {
        for (rejection, code) in [
            (Rejection::HeadMalformed, 13),
            (JwtError::Expired.into(), 16),
            (AddressRefusal::Denied.into(), 7),
            (Rejection::NoRoute, 12),
            (Rejection::RateLimited { scope: "ip".into(), retry_after_seconds: 1 }, 14),
            (UpstreamFailure::Reset.into(), 14),
            (UpstreamFailure::ResponseTimeout.into(), 14),
            (Rejection::RateLimitUnavailable, 14),
            (Rejection::DeadlineExceeded, 4),
            (Rejection::TotalTimeout { awaited: Awaited::Upstream }, 4),
            (Rejection::BodyTooLarge { max_bytes: 1 }, 8),
            (Rejection::BodyTimeout, 2),
            (Rejection::Internal, 13),
        ] {
            assert_eq!(GrpcStatus::from(&rejection).code(), code, "{rejection:?}");
        }
    }

    #[test]
    fn messages_are_escaped() {
        let fields = fields(GrpcStatus::UNAVAILABLE, "50% of\ném");
        assert_eq!(fields.get(GRPC_STATUS).unwrap(), "14");
        assert_eq!(fields.get(GRPC_MESSAGE).unwrap(), "50%25 of%0A%C3%A9m");
    }

    #[test]
    fn a_status_is_one_that_exists() {
        let told =
            |value: &'static str| GrpcStatus::told_by(&HeaderValue::from_static(value)).map(GrpcStatus::code);
        assert_eq!((told("0"), told("14"), told("16")), (Some(0), Some(14), Some(16)));
        for value in ["", "17", "99", "256", "-1", "1x", " 1"] {
            assert_eq!(told(value), None, "{value:?}");
        }
    }

    #[test]
    fn what_callers_bring_about_is_no_failure_of_the_upstream() {
        let failures: Vec<_> = (0..=16).filter(|code| GrpcStatus(*code).is_upstream_failure()).collect();
        assert_eq!(failures, [2, 13, 14, 15]);
    }
}
