//! The client's socket as hyper sees it: tells the connection's deadlines what moves, and keeps hyper's own words back.
//!
//! hyper answers a request it cannot read by itself, with an empty body. Such an answer is recognised (nothing else is
//! ever written while no request is at work) and swallowed, so that the connection can answer as it answers everything.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::deadlines::Deadlines;

/// A client's socket.
#[derive(Debug)]
pub(crate) struct ClientIo {
    stream: TokioIo<TcpStream>,
    deadlines: Rc<Deadlines>,
    /// Whether an answer of hyper's own was swallowed; then its end of the connection is not written either.
    swallows: bool,
}

impl ClientIo {
    pub(crate) fn new(stream: TcpStream, deadlines: Rc<Deadlines>) -> Self {
        Self { stream: TokioIo::new(stream), deadlines, swallows: false }
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }

    /// Whether what hyper writes now is an answer of its own.
    fn swallows(&mut self) -> bool {
        self.swallows |= self.deadlines.is_before_request();
        self.swallows
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
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
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
        if self.swallows() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.swallows() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.deadlines.flushed();
        Poll::Ready(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.swallows {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
