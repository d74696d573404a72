//! A request's body that is copied while it passes, up to a bound. Nothing waits for the copy, and past the bound there is none.

use std::task::{Context, Poll};

use super::ClientBody;
use crate::{
    connection::client_io::{BodyBroken, BodyPiece},
    exchange::mirroring::{Outcome, WaitingCopy},
};

/// What is copied of a body.
const MAX_COPIED_BYTES: u64 = 64 << 10;

/// A body, and what has been taken of it.
pub(crate) struct CopiedBody {
    incoming: ClientBody,
    taken: Vec<u8>,
    max_bytes: u64,
    /// None: it is on its way, or there is none.
    copy: Option<WaitingCopy>,
}

impl CopiedBody {
    /// Copies a body that must not be larger than `max_bytes`.
    pub(super) fn begin(incoming: ClientBody, max_bytes: u64, copy: WaitingCopy) -> ClientBody {
        let max_bytes = max_bytes.min(MAX_COPIED_BYTES);
        if incoming.remaining().is_some_and(|bytes| bytes > max_bytes) {
            copy.give_up(Outcome::BodyTooLarge);
            return incoming;
        }
        ClientBody::Copied(Box::new(Self { incoming, taken: Vec::new(), max_bytes, copy: Some(copy) }))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.incoming.has_ended()
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        self.incoming.remaining()
    }

    pub(super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyPiece, BodyBroken>>> {
        let polled = self.incoming.poll_piece(context);
        match &polled {
            Poll::Ready(Some(Ok(BodyPiece::Content(bytes)))) => {
                self.take(bytes);
                self.send_if_whole();
            }
            // What trailers say is for whoever answers.
            Poll::Ready(None | Some(Ok(BodyPiece::Trailers(_)))) => self.send_if_whole(),
            Poll::Ready(Some(Err(_))) => drop(self.copy.take()),
            Poll::Pending => {}
        }
        polled
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.copy.is_none() {
            return;
        }
        if (self.taken.len() + bytes.len()) as u64 > self.max_bytes {
            self.taken = Vec::new();
            self.copy.take().into_iter().for_each(|copy| copy.give_up(Outcome::BodyTooLarge));
            return;
        }
        self.taken.extend_from_slice(bytes);
    }

    fn send_if_whole(&mut self) {
        if self.incoming.has_ended()
            && let Some(copy) = self.copy.take()
        {
            copy.begin(std::mem::take(&mut self.taken).into());
        }
    }
}

impl Drop for CopiedBody {
    /// Its end may have come without anybody asking for more.
    fn drop(&mut self) {
        self.send_if_whole();
    }
}
