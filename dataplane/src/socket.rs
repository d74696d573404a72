//! A connection's bytes, in clear or in TLS, with clients and upstreams. What is said on it is not known here.

/// As the system carries them.
pub(crate) mod stream;
/// Of which only so many are read.
pub(crate) mod bounded;

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{client, server};

use self::stream::Stream;
use crate::http1::read_buffer::ReadBuffer;

/// A connection. One in clear costs nothing beside what its socket costs; what TLS needs is on the heap.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(Stream),
    /// Of a client.
    Accepted(Box<server::TlsStream<Stream>>),
    /// Of an upstream.
    Dialled(Box<client::TlsStream<Stream>>),
}

/// Does the same with each kind.
macro_rules! each {
    ($socket:expr, $inner:ident => $does:expr) => {
        match $socket {
            Self::Plain($inner) => $does,
            Self::Accepted($inner) => $does,
            Self::Dialled($inner) => $does,
        }
    };
}

impl Socket {
    /// Reads once, and tells how many bytes came; 0: the peer has ended its side. Most of the time there is nothing yet: no
    /// memory is held until there is.
    pub(crate) fn poll_fill(
        &mut self,
        read: &mut ReadBuffer,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if read.is_empty() {
            read.release();
            ready!(self.poll_read_ready(context))?;
        }
        let filled = match self {
            Self::Plain(stream) => stream.poll_fill(read, context),
            Self::Accepted(stream) => read.poll_fill(Pin::new(stream), context),
            Self::Dialled(stream) => read.poll_fill(Pin::new(stream), context),
        };
        // What came was not for us: half a record, or a ticket.
        if filled.is_pending() && read.is_empty() {
            read.release();
        }
        filled
    }

    /// Ends the connection so that its peer sees that it was cut off. In TLS the missing last word tells (RFC 8446 section 6.1).
    pub(crate) fn reset(self) {
        if let Self::Plain(stream) = self {
            stream.reset();
        }
    }

    fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(context),
            Self::Accepted(stream) => {
                let (stream, session) = stream.get_ref();
                poll_record(stream, session.wants_read(), context)
            }
            Self::Dialled(stream) => {
                let (stream, session) = stream.get_ref();
                poll_record(stream, session.wants_read(), context)
            }
        }
    }
}

/// Of a session that wants nothing, something was deciphered already, or the peer has said its last word.
fn poll_record(stream: &Stream, wants_read: bool, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    if wants_read { stream.poll_read_ready(context) } else { Poll::Ready(Ok(())) }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(stream) => stream.as_fd(),
            Self::Accepted(stream) => stream.get_ref().0.as_fd(),
            Self::Dialled(stream) => stream.get_ref().0.as_fd(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }
}
