//! A request's body that comes in a stream of its own. The client's window opens as the upstream takes it.

use std::task::{Context, Poll, ready};

use super::handle::StreamHandle;
use crate::connection::client_io::{BodyBroken, BodyPiece};

/// Whether the client waits to be asked for the body (RFC 9110 section 10.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invitation {
    Awaited,
    Needless,
}

/// The body of a stream.
pub(crate) struct StreamBody {
    stream: StreamHandle,
    /// None: its length was not told.
    remaining: Option<u64>,
    invitation: Invitation,
}

impl StreamBody {
    pub(super) fn new(stream: StreamHandle, length: Option<u64>, invitation: Invitation) -> Self {
        Self { stream, remaining: length, invitation }
    }

    /// Whether all of it has been taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.stream.is_read()
    }

    /// How many bytes follow, where that is known. That none do is known when all has come.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.remaining.filter(|bytes| *bytes > 0 || self.stream.has_come())
    }

    /// What comes next; none: it has ended.
    pub(crate) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyPiece, BodyBroken>>> {
        if std::mem::replace(&mut self.invitation, Invitation::Needless) == Invitation::Awaited {
            // Needless when an answer has begun.
            self.stream.invite();
        }
        let piece = ready!(self.stream.poll_piece(context));
        if let Some(Ok(BodyPiece::Content(bytes))) = &piece {
            self.remaining = self.remaining.map(|rest| rest.saturating_sub(bytes.len() as u64));
        }
        Poll::Ready(piece)
    }
}
