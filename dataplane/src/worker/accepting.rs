//! How connections come to a worker: accepted while a listener is open, counted, given a place or told that there is none.

use std::{io, net::IpAddr, rc::Rc, time::Duration};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::oneshot,
};

use super::{ListenerId, Worker};
use crate::{
    connection,
    listeners::{ListeningSocket, Purpose},
    socket::stream::{LOCAL_PEER, Stream},
};

/// How long accepting pauses after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come in.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(socket: ListeningSocket) -> io::Result<Self> {
        match socket {
            ListeningSocket::Tcp(socket) => TcpListener::from_std(socket).map(Self::Tcp),
            ListeningSocket::Unix(socket) => UnixListener::from_std(socket).map(Self::Unix),
        }
    }

    async fn accept(&self) -> io::Result<(Stream, IpAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Tcp(stream), peer.ip()))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), LOCAL_PEER))
            }
        }
    }

    /// A connection that has been established already, from the system itself: the runtime may not have heard of the newest
    /// yet.
    fn accept_established(&self) -> io::Result<(Stream, IpAddr)> {
        let accepted = match self {
            Self::Tcp(listener) => SockRef::from(listener).accept(),
            Self::Unix(listener) => SockRef::from(listener).accept(),
        };
        let (socket, peer) = accepted?;
        socket.set_nonblocking(true)?;
        match peer.as_socket() {
            Some(peer) => Ok((Stream::Tcp(TcpStream::from_std(socket.into())?), peer.ip())),
            None => Ok((Stream::Unix(UnixStream::from_std(socket.into())?), LOCAL_PEER)),
        }
    }
}

/// Keeps a listener open: dropped, it lets the task that accepts close it.
pub(super) struct Accepting {
    _open: oneshot::Sender<()>,
}

pub(super) fn listen(
    worker: &Rc<Worker>,
    listening: (ListenerId, Purpose),
    socket: ListeningSocket,
) -> io::Result<Accepting> {
    let listener = Listener::new(socket)?;
    let (open, closed) = oneshot::channel();
    worker.listeners.set(worker.listeners.get() + 1);
    tokio::task::spawn_local(accept_all(Rc::clone(worker), listening, listener, closed));
    Ok(Accepting { _open: open })
}

async fn accept_all(
    worker: Rc<Worker>,
    listening: (ListenerId, Purpose),
    listener: Listener,
    mut closed: oneshot::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut closed => break,
        };
        match accepted {
            Ok((stream, peer)) => start_connection(&worker, listening, stream, peer),
            Err(error) => {
                // A connection that ended before it was accepted is nobody's loss; anything else will take a while.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    worker.counted.failed_accepts.add(1);
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    // Closing resets what waits to be accepted, which clients believe established. So it is taken first, right before the
    // listener goes.
    while let Ok((stream, peer)) = listener.accept_established() {
        start_connection(&worker, listening, stream, peer);
    }
    drop(listener);
    worker.listeners.set(worker.listeners.get() - 1);
    worker.connections.drain(listening.0);
}

fn start_connection(
    worker: &Rc<Worker>,
    (listener, purpose): (ListenerId, Purpose),
    stream: Stream,
    peer: IpAddr,
) {
    let max_connections = worker.view().snapshot().settings().server.max_connections.get();
    let Some(place) = worker.shared.places.take(max_connections) else {
        return turn_away(worker, stream, peer);
    };
    let served = Rc::clone(worker);
    worker
        .connections
        .serve(listener, place, |control| connection::serve(served, stream, peer, purpose, control));
}

/// Tells a client that there is no place for it. Left in the system's queue it would wait without a word, and whoever looks
/// whether the gateway is well would take it for dead; and the queue would be full of those who have given up.
fn turn_away(worker: &Rc<Worker>, stream: Stream, peer: IpAddr) {
    let told = Rc::clone(worker);
    worker.connections.turn_away(async move { connection::turn_away(&told, stream, peer).await });
}
