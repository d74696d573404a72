//! An upstream's socket as hyper sees it: bounds what comes before the head of an answer, and lets an answer be read that
//! an upstream gave before it closed on the rest of a request.

use std::{
    cell::Cell,
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::TcpStream,
};

/// The most bytes until the head of an answer is complete, interim answers (1xx) included; more than hyper takes for one
/// head. hyper passes over any number of them in one go, and would keep its thread from everybody else's requests.
const MAX_BYTES_BEFORE_ANSWER: usize = 512 * 1_024;

/// Read at once while a head is awaited: as much as hyper asks for at first.
const READ_BYTES: usize = 8_192;

/// What hyper reads from and writes to.
#[derive(Debug)]
pub(super) struct UpstreamIo {
    socket: TokioIo<TcpStream>,
    before_answer: Rc<BeforeAnswer>,
    /// Whether the upstream takes nothing any more. What is written then goes nowhere: the answer may have come before,
    /// and hyper would forget it if writing failed. If it has not come, reading fails.
    is_deaf: bool,
}

/// What came while the head of an answer was awaited.
#[derive(Debug, Default)]
pub(super) struct BeforeAnswer {
    /// None: nothing is awaited.
    bytes: Cell<Option<usize>>,
}

impl BeforeAnswer {
    /// A request is about to be sent.
    pub(super) fn begins(&self) {
        self.bytes.set(Some(0));
    }

    /// The head of its answer is there.
    pub(super) fn ends(&self) {
        self.bytes.set(None);
    }

    /// Whether as much has come as may, and no head.
    pub(super) fn is_too_much(&self) -> bool {
        self.bytes.get().is_some_and(|bytes| bytes >= MAX_BYTES_BEFORE_ANSWER)
    }
}

impl UpstreamIo {
    pub(super) fn new(stream: TcpStream, before_answer: Rc<BeforeAnswer>) -> Self {
        Self { socket: TokioIo::new(stream), before_answer, is_deaf: false }
    }

    /// Takes a write that failed for one that is done.
    fn or_deaf<T>(&mut self, written: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(_)) = written {
            self.is_deaf = true;
            return Poll::Ready(Ok(done));
        }
        written
    }
}

impl Read for UpstreamIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(before) = this.before_answer.bytes.get() else {
            return Pin::new(&mut this.socket).poll_read(context, buffer);
        };
        if this.before_answer.is_too_much() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        // Of hyper's buffer nobody can tell how much was filled.
        let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut bytes[..READ_BYTES.min(buffer.remaining())]);
        ready!(Pin::new(this.socket.inner_mut()).poll_read(context, &mut read))?;
        buffer.put_slice(read.filled());
        this.before_answer.bytes.set(Some(before + read.filled().len()));
        Poll::Ready(Ok(()))
    }
}

impl Write for UpstreamIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut this.socket).poll_write(context, bytes);
        this.or_deaf(written, bytes.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let all = || slices.iter().map(|slice| slice.len()).sum();
        if this.is_deaf {
            return Poll::Ready(Ok(all()));
        }
        let written = Pin::new(&mut this.socket).poll_write_vectored(context, slices);
        this.or_deaf(written, all())
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(context);
        this.or_deaf(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.socket).poll_shutdown(context);
        this.or_deaf(shut, ())
    }
}
