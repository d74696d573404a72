//! The client's socket as hyper sees it: tells the connection's deadlines what moves, and keeps hyper's own words back.
//!
//! hyper answers a request it cannot read by itself, with an empty body. Such an answer is recognised (nothing else is
//! ever written while no request is at work) and swallowed, so that the connection can answer as it answers everything.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpStream;

use super::deadlines::Deadlines;

/// A client's socket, lent to hyper. Borrowed for the length of one call only.
#[derive(Debug, Clone)]
pub(crate) struct Socket(Rc<RefCell<TokioIo<TcpStream>>>);

/// What hyper reads from and writes to.
#[derive(Debug)]
pub(crate) struct ClientIo {
    socket: Socket,
    deadlines: Rc<Deadlines>,
    /// Set when an answer of hyper's own was swallowed; then its end of the connection is not written either.
    swallowed: Option<Swallowed>,
}

/// An answer of hyper's own.
#[derive(Debug, Clone, Copy)]
struct Swallowed {
    status: Option<StatusCode>,
}

impl Socket {
    /// Whether the client is still there, as far as the system knows. hyper sees it go only when it reads, which it does
    /// not while it has bytes of a next request, or while a body is stuck.
    pub(crate) fn has_peer(&self) -> bool {
        let socket = self.0.borrow();
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut polled = [PollFd::new(socket.inner(), gone)];
        match poll(&mut polled, Some(&Timespec::default())) {
            Ok(_) => !polled[0].revents().intersects(gone),
            // Nothing is known; the next look may tell.
            Err(_) => true,
        }
    }

    /// The socket, when hyper's part has ended.
    pub(crate) fn into_stream(self) -> Option<TcpStream> {
        Rc::into_inner(self.0).map(|socket| socket.into_inner().into_inner())
    }
}

impl ClientIo {
    pub(crate) fn new(stream: TcpStream, deadlines: Rc<Deadlines>) -> Self {
        let socket = Socket(Rc::new(RefCell::new(TokioIo::new(stream))));
        Self { socket, deadlines, swallowed: None }
    }

    /// The socket, to look at while hyper has it.
    pub(crate) fn socket(&self) -> Socket {
        self.socket.clone()
    }

    /// The status of the answer that was swallowed, if one was.
    pub(crate) fn swallowed_status(&self) -> Option<StatusCode> {
        self.swallowed?.status
    }

    /// Whether what hyper writes now is an answer of its own.
    fn swallows(&mut self, bytes: &[u8]) -> bool {
        if self.swallowed.is_none() && self.deadlines.is_before_request() {
            let status = bytes.get(b"HTTP/1.1 ".len()..).and_then(|rest| rest.get(..3));
            let status = status.and_then(|status| StatusCode::from_bytes(status).ok());
            self.swallowed = Some(Swallowed { status });
        }
        self.swallowed.is_some()
    }

    fn note_write(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Pending => self.deadlines.write_blocked(),
            Poll::Ready(_) => self.deadlines.write_progressed(),
        }
    }
}

impl Read for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut *self.socket.0.borrow_mut()).poll_read(context, buffer);
        if result.is_ready() {
            // The end of the stream counts as well: the connection ends at once, whatever its phase.
            self.deadlines.bytes_read();
        }
        result
    }
}

impl Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.swallows(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut *self.socket.0.borrow_mut()).poll_write(context, bytes);
        self.note_write(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.swallows(slices.first().map_or(&[], |slice| slice)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let result = Pin::new(&mut *self.socket.0.borrow_mut()).poll_write_vectored(context, slices);
        self.note_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.0.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut *self.socket.0.borrow_mut()).poll_flush(context));
        self.deadlines.flushed();
        Poll::Ready(result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.swallowed.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut *self.socket.0.borrow_mut()).poll_shutdown(context)
    }
}
