//! A request's body that comes in a stream of its own. The client's window opens as the upstream takes it.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{Response, StatusCode};

use crate::connection::client_io::{BodyBroken, BodyPiece};

/// Whether the client waits to be asked for the body (RFC 9110 section 10.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invitation {
    Awaited,
    Needless,
}

/// The body of a stream.
pub(crate) struct StreamBody {
    incoming: RecvStream,
    /// None: its length was not told.
    remaining: Option<u64>,
    invitation: Invitation,
    responder: Rc<RefCell<SendResponse<Bytes>>>,
}

impl StreamBody {
    pub(super) fn new(
        incoming: RecvStream,
        length: Option<u64>,
        invitation: Invitation,
        responder: Rc<RefCell<SendResponse<Bytes>>>,
    ) -> Self {
        Self { incoming, remaining: length, invitation, responder }
    }

    /// Whether all of it has been taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// How many bytes follow, where that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// What comes next; none: it has ended.
    pub(crate) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyPiece, BodyBroken>>> {
        if std::mem::replace(&mut self.invitation, Invitation::Needless) == Invitation::Awaited {
            let mut invitation = Response::new(());
            *invitation.status_mut() = StatusCode::CONTINUE;
            // Too late when an answer has begun, and needless then.
            let _ = self.responder.borrow_mut().send_informational(invitation);
        }
        match ready!(self.incoming.poll_data(context)) {
            Some(Ok(bytes)) => {
                // Whoever asks has room for it, so as much again may come. It fails only where the stream is gone.
                let _ = self.incoming.flow_control().release_capacity(bytes.len());
                self.remaining = self.remaining.map(|rest| rest.saturating_sub(bytes.len() as u64));
                Poll::Ready(Some(Ok(BodyPiece::Content(bytes))))
            }
            Some(Err(_reset)) => Poll::Ready(Some(Err(BodyBroken::Closed))),
            None => match ready!(self.incoming.poll_trailers(context)) {
                Ok(Some(fields)) => Poll::Ready(Some(Ok(BodyPiece::Trailers(fields.into())))),
                Ok(None) => Poll::Ready(None),
                Err(_reset) => Poll::Ready(Some(Err(BodyBroken::Closed))),
            },
        }
    }
}
