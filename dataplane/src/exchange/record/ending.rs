//! How exchanges end.

use http::StatusCode;

use crate::connection::deadlines::Limit;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client was given all of the answer.
    Complete,
    /// The upstream broke off in the middle of its answer.
    UpstreamTruncated,
    /// Nothing came of the upstream's answer for too long.
    UpstreamIdle,
    /// The time that it might take ended before the answer did.
    Overdue(Limit),
    /// The client went away, or accepted nothing for too long.
    ClientDisconnected,
}

/// The status logged for a client that went before there was an answer; nginx's number for it.
pub(super) const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => unreachable!(),
};
