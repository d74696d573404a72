//! A connection's bytes as the system carries them: over TCP, or between two programs of one machine.

use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use apigw_config::names::{UpstreamHost, UpstreamUrl};
use rustix::{
    buffer::spare_capacity,
    net::{RecvFlags, SendFlags, recv, send},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

use crate::http1::read_buffer::ReadBuffer;

/// Who is at the other end of a socket file: a program of this machine, as good as one that comes to a port of it.
pub(crate) const LOCAL_PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long a peer may be silent before the system asks whether it is there, and between two such questions.
const PEER_CHECK: Duration = Duration::from_secs(30);

/// A connection in clear.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Does the same with each kind.
macro_rules! each {
    ($stream:expr, $inner:ident => $does:expr) => {
        match $stream {
            Self::Tcp($inner) => $does,
            Self::Unix($inner) => $does,
        }
    };
}

impl Stream {
    /// Connects to where a URL leads; a name is the system's to find. The caller bounds the time.
    pub(crate) async fn connect(url: &UpstreamUrl) -> io::Result<Self> {
        let port = url.port();
        match url.host() {
            UpstreamHost::Address(address) => TcpStream::connect((*address, port)).await.map(Self::Tcp),
            UpstreamHost::Name(name) => TcpStream::connect((&**name, port)).await.map(Self::Tcp),
            UpstreamHost::Unix(path) => UnixStream::connect(path.as_path()).await.map(Self::Unix),
        }
    }

    /// Sends without delay, and asks a silent peer now and then whether it is still there.
    pub(crate) fn tune(&self) -> io::Result<()> {
        // Of a program on this machine the system knows without asking.
        let Self::Tcp(stream) = self else { return Ok(()) };
        // Without it the second write of a message would wait for the peer's acknowledgement of the first.
        stream.set_nodelay(true)?;
        SockRef::from(stream)
            .set_tcp_keepalive(&TcpKeepalive::new().with_time(PEER_CHECK).with_interval(PEER_CHECK))
    }

    /// Ends the connection so that its peer sees that it was cut off; between programs of one machine there is no such end.
    pub(crate) fn reset(self) {
        if let Self::Tcp(stream) = self {
            // Where it is not possible the connection has ended already.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Waits until bytes have come, and copies them without taking them; 0: the peer has ended its side.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.peek(buffer).await,
            Self::Unix(stream) => {
                let look = || Ok(recv(stream, &mut *buffer, RecvFlags::PEEK)?.0);
                stream.async_io(Interest::READABLE, look).await
            }
        }
    }

    /// Reads once, and tells how many bytes came; 0: the peer has ended its side.
    pub(crate) fn poll_fill(
        &self,
        read: &mut ReadBuffer,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let filled = read.fill(|memory| {
                let room = memory.capacity() - memory.len();
                self.once(Interest::READABLE, room, || {
                    recv(self, spare_capacity(memory), RecvFlags::empty()).map(|(_, count)| count)
                })
            });
            match filled {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_read_ready(context))?;
                }
                filled => return Poll::Ready(filled),
            }
        }
    }

    /// Does something once, if the socket is ready for it, and tells with how many bytes; otherwise it would block. With fewer
    /// than there could have been, the socket is not ready any more: to try again would be a call of the system in vain.
    fn once(
        &self,
        interest: Interest,
        most: usize,
        does: impl FnOnce() -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        let mut few = None;
        let tried = each!(self, stream => stream.try_io(interest, || match does()? {
            count if 0 < count && count < most => {
                few = Some(count);
                Err(io::ErrorKind::WouldBlock.into())
            }
            count => Ok(count),
        }));
        few.map_or(tried, Ok)
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read_ready(context))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(self, stream => stream.as_fd())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let written =
                self.once(Interest::WRITABLE, bytes.len(), || send(&*self, bytes, SendFlags::NOSIGNAL));
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(each!(&*self, stream => stream.poll_write_ready(context)))?;
                }
                written => return Poll::Ready(written),
            }
        }
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
