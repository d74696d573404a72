//! A client's end of a connection: its socket, what has come and what is to go. Shared by the connection and by the body
//! of its present request; borrowed for the length of one call only.

use std::{
    cell::{Cell, RefCell, RefMut},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use apigw_engine::{fields::Fields, head::RequestHead};
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::deadlines::Deadlines;
use crate::http1::{
    decoder::{DecodeError, Decoded, Decoder},
    head::{self, HeadError, HeadSearch},
    length::Length,
    read_buffer::ReadBuffer,
    write_buffer::WriteBuffer,
};
use crate::socket::Socket;

/// The most bytes of later requests that are taken while one is at work.
const MOST_AHEAD_BYTES: usize = 64 << 10;

/// The most bytes of a body nobody wanted that are thrown away so that the connection can go on.
const MOST_SKIPPED_BYTES: u64 = 1 << 20;

const INVITATION: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client's connection.
#[derive(Debug)]
pub(crate) struct ClientIo {
    socket: RefCell<Socket>,
    read: RefCell<ReadBuffer>,
    write: RefCell<WriteBuffer>,
    search: RefCell<HeadSearch>,
    /// Of the present request's body.
    body: RefCell<Decoder>,
    /// Whether the client waits to be asked for the body (RFC 9110 section 10.1.1).
    awaits_invitation: Cell<bool>,
    deadlines: Rc<Deadlines>,
}

/// The head of a request.
pub(super) enum ArrivedHead {
    /// It came whole.
    Read(Box<RequestHead>),
    /// All of it is here, and whether it is one remains to be seen.
    Found(Bytes),
}

/// Why there is no next request.
#[derive(Debug)]
pub(super) enum NoHead {
    /// The client has ended the connection.
    Closed,
    Unreadable(HeadError),
}

/// What comes next of a body.
#[derive(Debug)]
pub(crate) enum BodyPiece {
    Content(Bytes),
    Trailers(Fields),
}

/// Why a body does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyBroken {
    /// Its framing is none.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The client went away, or stopped in the middle.
    #[error("the connection ended in the body")]
    Closed,
}

impl ClientIo {
    pub(super) fn new(socket: Socket, deadlines: Rc<Deadlines>) -> Self {
        Self {
            socket: RefCell::new(socket),
            read: RefCell::default(),
            write: RefCell::default(),
            search: RefCell::default(),
            body: RefCell::new(Decoder::of_request(Length::Known(0))),
            awaits_invitation: Cell::new(false),
            deadlines,
        }
    }

    /// The socket, and what has come on it and was not taken.
    pub(super) fn into_parts(self) -> (Socket, ReadBuffer) {
        (self.socket.into_inner(), self.read.into_inner())
    }

    /// Whether the client is still there, as far as the system knows. Without this its going is only seen by reading, which
    /// nobody does while enough of its next requests, or a body that is stuck, has come.
    pub(super) fn has_peer(&self) -> bool {
        let socket = self.socket.borrow();
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut polled = [PollFd::new(&*socket, gone)];
        match poll(&mut polled, Some(&Timespec::default())) {
            Ok(_) => !polled[0].revents().intersects(gone),
            // Nothing is known; the next look may tell.
            Err(_) => true,
        }
    }

    /// Whether some of the next request has come.
    pub(super) fn has_read_ahead(&self) -> bool {
        !self.read.borrow().is_empty()
    }

    /// The next request's head.
    pub(super) fn poll_head(
        &self,
        max_bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<ArrivedHead, NoHead>> {
        if self.has_read_ahead() {
            self.deadlines.bytes_read();
        }
        loop {
            let mut read = self.read.borrow_mut();
            if !head::can_begin_request(read.as_slice()) {
                return Poll::Ready(Err(NoHead::Unreadable(HeadError::Malformed)));
            }
            let mut search = self.search.borrow_mut();
            if search.is_at_start()
                && let Some(head) = read_whole(&mut read, max_bytes)
            {
                return Poll::Ready(Ok(ArrivedHead::Read(head)));
            }
            let found = search.find(read.as_slice(), max_bytes);
            if let Some(length) = found.map_err(NoHead::Unreadable)? {
                return Poll::Ready(Ok(ArrivedHead::Found(read.take(length))));
            }
            if ready!(self.poll_fill(&mut read, context)).is_err() {
                return Poll::Ready(Err(NoHead::Closed));
            }
        }
    }

    /// A request begins whose body is of this length.
    pub(super) fn begin_body(&self, length: Length, awaits_invitation: bool) {
        *self.body.borrow_mut() = Decoder::of_request(length);
        self.awaits_invitation.set(awaits_invitation);
    }

    /// Whether all of the present request's body has been taken.
    pub(crate) fn has_body_ended(&self) -> bool {
        self.body.borrow().has_ended()
    }

    /// How many bytes of the present request's body follow, where that is known.
    pub(crate) fn remaining_body(&self) -> Option<u64> {
        self.body.borrow().remaining()
    }

    /// What comes next of the present request's body; none: it has ended.
    pub(crate) fn poll_body(&self, context: &mut Context<'_>) -> Poll<Option<Result<BodyPiece, BodyBroken>>> {
        loop {
            let mut read = self.read.borrow_mut();
            match self.body.borrow_mut().decode(&mut read) {
                Ok(Decoded::Content(bytes)) => return Poll::Ready(Some(Ok(BodyPiece::Content(bytes)))),
                Ok(Decoded::Trailers(fields)) => return Poll::Ready(Some(Ok(BodyPiece::Trailers(fields)))),
                Ok(Decoded::End) => return Poll::Ready(None),
                Ok(Decoded::Incomplete) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            if self.awaits_invitation.take() {
                self.write.borrow_mut().text().extend_from_slice(INVITATION);
            }
            // If it cannot go now, the answer's bytes go after it; if it cannot go at all, reading will tell.
            let _ = self.poll_flush(context);
            if ready!(self.poll_fill(&mut read, context)).is_err() {
                return Poll::Ready(Some(Err(BodyBroken::Closed)));
            }
        }
    }

    /// Whether what is left of a body that nobody will read can be thrown away behind the answer, so that the connection goes on.
    /// Not if it is long, or may never come: the client waits to be asked for it, or has taken too long already. Of unknown
    /// length it must be there, and is thrown away at once. Otherwise the answer must be the last, and say so: a next request
    /// that the client sends behind the body would be lost.
    pub(super) fn can_skip_body(&self, context: &mut Context<'_>) -> bool {
        if self.has_body_ended() {
            return true;
        }
        if self.awaits_invitation.get() || self.deadlines.expired().is_some() {
            return false;
        }
        match self.remaining_body() {
            Some(bytes) => bytes <= MOST_SKIPPED_BYTES,
            None => matches!(self.poll_skip_body(&mut 0, context), Poll::Ready(true)),
        }
    }

    /// Whether more of the present request's body follows than is thrown away, as far as is known.
    pub(super) fn is_rest_long(&self) -> bool {
        self.remaining_body().is_some_and(|bytes| bytes > MOST_SKIPPED_BYTES)
    }

    /// Throws away what is left of the present request's body. Ready when that was all, or when it is not to be waited for.
    pub(super) fn poll_skip_body(&self, skipped: &mut u64, context: &mut Context<'_>) -> Poll<bool> {
        while *skipped < MOST_SKIPPED_BYTES {
            match ready!(self.poll_body(context)) {
                Some(Ok(BodyPiece::Content(bytes))) => *skipped += bytes.len() as u64,
                Some(Ok(BodyPiece::Trailers(_))) => {}
                None => return Poll::Ready(true),
                Some(Err(_)) => return Poll::Ready(false),
            }
        }
        Poll::Ready(self.has_body_ended())
    }

    /// Whether nothing has come that was not taken, as far as the runtime has heard.
    pub(super) fn is_silent(&self, context: &mut Context<'_>) -> bool {
        let mut read = self.read.borrow_mut();
        self.has_body_ended() && read.is_empty() && self.poll_fill(&mut read, context).is_pending()
    }

    /// Ready when the client has gone. Takes what it sends ahead, within bounds.
    pub(super) fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        // Whoever reads the body will see it.
        if !self.has_body_ended() {
            return Poll::Pending;
        }
        let mut read = self.read.borrow_mut();
        while read.len() < MOST_AHEAD_BYTES {
            if ready!(self.poll_fill(&mut read, context)).is_err() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// The socket and what has come on it, for whoever takes over from HTTP.
    pub(super) fn tunnel(&self) -> (RefMut<'_, Socket>, RefMut<'_, ReadBuffer>) {
        (self.socket.borrow_mut(), self.read.borrow_mut())
    }

    /// Adds to what is to go.
    pub(super) fn outgoing(&self) -> RefMut<'_, WriteBuffer> {
        // An answer has begun: it is too late to ask for the body.
        self.awaits_invitation.set(false);
        self.write.borrow_mut()
    }

    /// Writes until everything has gone.
    pub(super) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut write = self.write.borrow_mut();
        let before = write.len();
        let flushed = write.poll_flush(Pin::new(&mut *self.socket.borrow_mut()), context);
        // In TLS the last bytes wait below, where they cannot be seen to go.
        if write.len() < before || flushed.is_ready() && self.deadlines.is_write_blocked() {
            self.deadlines.write_progressed();
        }
        if flushed.is_pending() {
            self.deadlines.write_blocked();
        }
        flushed
    }

    fn poll_fill(&self, read: &mut ReadBuffer, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let count = ready!(self.socket.borrow_mut().poll_fill(read, context))?;
        // The end of the stream counts as well: the connection ends at once, whatever its phase.
        self.deadlines.bytes_read();
        if count == 0 { Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())) } else { Poll::Ready(Ok(())) }
    }
}

/// Takes a head that has come whole, as most do: it is read at once, and not searched for its end first. Where that fails, the
/// search tells why.
fn read_whole(read: &mut ReadBuffer, max_bytes: usize) -> Option<Box<RequestHead>> {
    let begins = read.as_slice().first().is_some_and(|&first| first != b'\r');
    if !begins || read.len() > max_bytes {
        return None;
    }
    let (head, length) = head::parse_request(&read.copy()?).ok()?;
    read.discard(length);
    Some(head)
}
