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
    task::coop::poll_proceed,
};

use crate::http1::read_buffer::ReadBuffer;

/// Who is at the other end of a socket file: a program of this machine, as good as one that comes to a port of it.
pub(crate) const LOCAL_PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long a peer may be silent before the system asks whether it is there, and between two such questions.
pub(crate) const PEER_CHECK: Duration = Duration::from_secs(30);

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

    /// Tunes a connection that was made from here; one that was accepted is as its listener is.
    pub(crate) fn tune(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => tune(&SockRef::from(stream)),
            // Of a program on this machine the system knows without asking.
            Self::Unix(_) => Ok(()),
        }
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

    /// Reads once, and tells how many bytes came; 0: the peer has ended its side. Now and then, when there has been much to do, it
    /// is the others' turn first; so it is with writing.
    pub(crate) fn poll_fill(
        &self,
        read: &mut ReadBuffer,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let turn = ready!(poll_proceed(context));
            let filled = read.fill(|memory| {
                let room = memory.capacity() - memory.len();
                self.once(Interest::READABLE, room, || {
                    recv(self, spare_capacity(memory), RecvFlags::empty()).map(|(_, count)| count)
                })
            });
            match filled {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    drop(turn);
                    ready!(self.poll_read_ready(context))?;
                }
                filled => {
                    turn.made_progress();
                    return Poll::Ready(filled);
                }
            }
        }
    }

    /// Reads or writes once, if the socket is ready for it; otherwise it would block. With fewer bytes than there was room for, tokio
    /// is told that it would block now, although it has not: the system tells of readiness once (edge-triggered epoll), so what
    /// comes later is told anew, and until then another try would be in vain. Tokio's own reads and writes do the same.
    fn once(
        &self,
        interest: Interest,
        room: usize,
        operation: impl FnOnce() -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        let mut few = None;
        let tried = each!(self, stream => stream.try_io(interest, || match operation()? {
            count if 0 < count && count < room => {
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

/// Has a TCP socket send without delay, and ask a silent peer now and then whether it is still there. What is said of a listener
/// holds for all that it accepts (tcp(7): options are inherited), without a system call for each.
pub(crate) fn tune(socket: &socket2::Socket) -> io::Result<()> {
    // Without it the second write of a message would wait for the peer's acknowledgement of the first.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PEER_CHECK).with_interval(PEER_CHECK))
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
            let turn = ready!(poll_proceed(context));
            let written =
                self.once(Interest::WRITABLE, bytes.len(), || send(&*self, bytes, SendFlags::NOSIGNAL));
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    drop(turn);
                    ready!(each!(&*self, stream => stream.poll_write_ready(context)))?;
                }
                written => {
                    turn.made_progress();
                    return Poll::Ready(written);
                }
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

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io::Write as _, pin::pin};

    use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::yield_now};

    use super::*;

    /// Both ends of a connection of each kind.
    async fn pairs() -> [(Stream, Stream); 2] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let unix = UnixStream::pair().unwrap();
        [(Stream::Tcp(near), Stream::Tcp(far)), (Stream::Unix(unix.0), Stream::Unix(unix.1))]
    }

    async fn fill(stream: &Stream, read: &mut ReadBuffer) -> usize {
        poll_fn(|context| stream.poll_fill(read, context)).await.unwrap()
    }

    #[tokio::test]
    async fn what_comes_is_read_to_its_end_in_whatever_pieces() {
        for (near, mut far) in pairs().await {
            let mut read = ReadBuffer::default();
            let content: Vec<_> = (0..300_000_u32).map(|number| number.to_le_bytes()[0]).collect();
            let sent = content.clone();
            let writer = tokio::spawn(async move {
                // A few bytes, what fills the first room exactly, and all the rest; then the end, by itself.
                for piece in [&sent[..3], &sent[3..8_192], &sent[8_192..16_384], &sent[16_384..]] {
                    far.write_all(piece).await.unwrap();
                    yield_now().await;
                }
                far.shutdown().await.unwrap();
            });
            let mut came = Vec::new();
            while fill(&near, &mut read).await > 0 {
                came.extend_from_slice(&read.take(read.len()));
            }
            assert!(came == content);
            assert_eq!(fill(&near, &mut read).await, 0, "the end is told again");
            writer.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_a_slow_peer_takes_arrives_whole() {
        for (mut near, far) in pairs().await {
            let content: Vec<_> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
            let expected = content.clone();
            let writer = tokio::spawn(async move {
                near.write_all(&content).await.unwrap();
                near.shutdown().await.unwrap();
            });
            let (mut read, mut came) = (ReadBuffer::default(), Vec::new());
            while fill(&far, &mut read).await > 0 {
                came.extend_from_slice(&read.take(read.len()));
                yield_now().await;
            }
            assert!(came == expected);
            writer.await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_always_can_write_gives_way_now_and_then() {
        for (mut near, _far) in pairs().await {
            near.write_all(b"x").await.unwrap();
            let mut near = pin!(near);
            let written = poll_fn(|context| {
                let mut count = 0;
                while count < 1_000 && near.as_mut().poll_write(context, b"x").is_ready() {
                    count += 1;
                }
                Poll::Ready(count)
            });
            let written = written.await;
            assert!((1..=128).contains(&written), "{written} writes in one turn");
            yield_now().await;
            let system = match &*near {
                Stream::Tcp(stream) => stream.as_fd().try_clone_to_owned().map(std::fs::File::from),
                Stream::Unix(stream) => stream.as_fd().try_clone_to_owned().map(std::fs::File::from),
            };
            assert!(system.unwrap().write(b"x").is_ok(), "there was room all the time");
        }
    }
}
