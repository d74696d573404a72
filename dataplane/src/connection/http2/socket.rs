//! A client's socket as h2 uses it: what has come before is read first, and a client that accepts no bytes is timed, whatever
//! of the connection they belong to. What the [`Watch`] refuses does not reach h2.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use apigw_transport::frames::{Fault, Watch};
use bytes::{Buf as _, Bytes};
use h2::Reason;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::connection::deadlines::Deadlines;

/// A client's frames on their way to h2. Shared by the connection, which ends with what is wrong with them, and its streams.
#[derive(Debug)]
pub(super) struct Incoming {
    watch: RefCell<Watch>,
    /// Set once, and then nothing more is read.
    fault: Cell<Option<Reason>>,
}

impl Incoming {
    pub(super) fn new(now: Instant) -> Self {
        Self { watch: RefCell::new(Watch::new(now)), fault: Cell::new(None) }
    }

    /// What the connection is to end with.
    pub(super) fn fault(&self) -> Option<Reason> {
        self.fault.get()
    }

    /// A piece of an answer's body has gone to the client.
    pub(super) fn piece_sent(&self) {
        self.watch.borrow_mut().piece_sent();
    }
}

/// A socket whose frames are watched and whose writes are timed.
pub(super) struct ClientSocket<S> {
    socket: S,
    /// What has come and is still to be read.
    ahead: Bytes,
    incoming: Rc<Incoming>,
    deadlines: Rc<Deadlines>,
}

impl<S> ClientSocket<S> {
    pub(super) fn new(socket: S, ahead: Bytes, incoming: Rc<Incoming>, deadlines: Rc<Deadlines>) -> Self {
        Self { socket, ahead, incoming, deadlines }
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() {
            self.deadlines.write_blocked();
        } else {
            self.deadlines.write_progressed();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.incoming.fault().is_some() {
            // The connection sees it when it has read what came before, and ends.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        } else {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..count]);
            self.ahead.advance(count);
        }
        let seen = self.incoming.watch.borrow_mut().see(&buffer.filled()[before..], self.deadlines.now());
        if let Err(Fault { reason, before: count }) = seen {
            self.incoming.fault.set(Some(reason));
            buffer.set_filled(before + count);
            if count == 0 {
                // Nothing read would be the end of the stream.
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
