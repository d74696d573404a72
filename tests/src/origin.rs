//! A scripted upstream: it records what it is sent and answers exactly the bytes it is told to.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, BufReader, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::{
    message::{Fields, Head, read_body, read_head},
    waiting::{DEADLINE, eventually, within},
};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its request line and fields.
    pub head: Head,
    /// Its body, without its framing.
    pub body: Vec<u8>,
    /// The fields behind a chunked body.
    pub trailers: Fields,
    /// Which of the upstream's connections it came on, from 0.
    pub connection: usize,
}

impl Request {
    /// Its method and target, such as `GET /path?query`.
    #[must_use]
    pub fn line(&self) -> &str {
        self.head.start.strip_suffix(" HTTP/1.1").unwrap_or(&self.head.start)
    }
}

/// A scripted upstream; its connections end when it is dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    is_over: AtomicBool,
    ended: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    accepted: AtomicUsize,
    /// Those that are open, by number.
    connections: Mutex<HashMap<usize, TcpStream>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Origin {
    /// An upstream that reads each request whole and answers these bytes.
    #[must_use]
    pub fn answering(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self::scripted(move |peer| {
            loop {
                let request = peer.request()?;
                peer.send(answer(&request))?;
            }
        })
    }

    /// The same, each answer so much later: clients that ask without a pause leave the processors to others meanwhile.
    #[must_use]
    pub fn answering_after(
        delay: Duration,
        answer: impl Fn(&Request) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::answering(move |request| {
            thread::sleep(delay);
            answer(request)
        })
    }

    /// An upstream that answers 200 with this body.
    #[must_use]
    pub fn saying(body: &'static str) -> Self {
        Self::answering(move |_| ok(body))
    }

    /// An upstream that does with each connection what the script says; the connection ends with the script.
    #[must_use]
    pub fn scripted(script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let seen = Arc::new(Seen::default());
        let (script, shared) = (Arc::new(script), Arc::clone(&seen));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Ok(other_half) = stream.try_clone() else { return };
                let number = {
                    let mut connections = lock(&shared.connections);
                    // Looked at under the lock, so that no connection slips in behind the end.
                    if shared.is_over.load(Ordering::Acquire) {
                        return;
                    }
                    let number = shared.accepted.fetch_add(1, Ordering::AcqRel);
                    connections.insert(number, other_half);
                    number
                };
                let _ = stream.set_nodelay(true);
                let mut peer = Peer { number, reader: BufReader::new(stream), seen: Arc::clone(&shared) };
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    // A peer that leaves ends its own connection, which its test then sees.
                    let _ = script(&mut peer);
                    let _ = peer.reader.get_ref().shutdown(Shutdown::Both);
                    lock(&peer.seen.connections).remove(&number);
                    peer.seen.ended.fetch_add(1, Ordering::Release);
                });
            }
        });
        Self { address, seen }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has been sent so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.seen.requests).clone()
    }

    /// The only request it has been sent.
    ///
    /// # Panics
    /// When there were more, or fewer.
    #[must_use]
    pub fn only_request(&self) -> Request {
        let requests = self.requests();
        let [request] = requests.as_slice() else { panic!("not one request: {requests:#?}") };
        request.clone()
    }

    /// The request of that index; waits for it.
    #[must_use]
    pub fn request(&self, index: usize) -> Request {
        eventually("a request reaches the upstream", || lock(&self.seen.requests).get(index).cloned())
    }

    /// Waits until there is a request of that index.
    pub fn await_request(&self, index: usize) {
        let _ = self.request(index);
    }

    /// How many connections it has been given so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.accepted.load(Ordering::Acquire)
    }

    /// On how many connections the script has come to its end, or the peer has left.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.seen.ended.load(Ordering::Acquire)
    }

    /// Closes all connections, as an upstream does that is tired of idle ones.
    pub fn close_connections(&self) {
        for connection in lock(&self.seen.connections).values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.seen.is_over.store(true, Ordering::Release);
        self.close_connections();
        // Wakes the listening thread, which then sees that it is over.
        let _ = TcpStream::connect_timeout(&self.address, DEADLINE);
    }
}

/// One connection of a scripted upstream.
#[derive(Debug)]
pub struct Peer {
    number: usize,
    reader: BufReader<TcpStream>,
    seen: Arc<Seen>,
}

impl Peer {
    /// Which of the upstream's connections this is, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Reads a request whole and records it.
    ///
    /// # Errors
    /// When the connection ends first, or what comes is not well formed.
    pub fn request(&mut self) -> io::Result<Request> {
        let head = read_head(&mut self.reader)?;
        let mut body = Vec::new();
        let trailers = read_body(&mut self.reader, head.request_framing()?, &mut body)?;
        let request = Request { head, body, trailers, connection: self.number };
        lock(&self.seen.requests).push(request.clone());
        Ok(request)
    }

    /// Reads a request's head and records it without a body.
    ///
    /// # Errors
    /// When the connection ends first, or what comes is not well formed.
    pub fn head(&mut self) -> io::Result<Head> {
        let head = read_head(&mut self.reader)?;
        let (body, trailers) = Default::default();
        let request = Request { head: head.clone(), body, trailers, connection: self.number };
        lock(&self.seen.requests).push(request);
        Ok(head)
    }

    /// Reads the body behind a head into a sink; gives the trailers.
    ///
    /// # Errors
    /// When the connection ends first, or what comes is not well formed.
    pub fn body(&mut self, head: &Head, sink: &mut impl Write) -> io::Result<Fields> {
        read_body(&mut self.reader, head.request_framing()?, sink)
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the other side has closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    /// The bytes that have come, at least one unless the other side has ended.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn some_bytes(&mut self) -> io::Result<Vec<u8>> {
        let bytes = self.reader.fill_buf()?.to_vec();
        self.reader.consume(bytes.len());
        Ok(bytes)
    }

    /// Whether there is something to read, the end of the stream included; does not wait.
    pub fn has_input(&mut self) -> bool {
        let _ = self.reader.get_ref().set_nonblocking(true);
        let seen = self.reader.fill_buf().map(|_| ());
        let _ = self.reader.get_ref().set_nonblocking(false);
        !seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits until the other side closes, reading nothing into account.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn until_closed(&mut self) -> io::Result<()> {
        io::copy(&mut self.reader, &mut io::sink()).map(|_| ())
    }
}

/// A 200 with this body.
#[must_use]
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An address on which nothing listens.
#[must_use]
pub fn refusing() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a listener has an address")
}

/// An address where connecting neither succeeds nor fails: its queue of new connections is full.
#[derive(Debug)]
pub struct Unreachable {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl Unreachable {
    /// Fills the queue.
    ///
    /// # Panics
    /// When connecting still succeeds after many tries.
    #[must_use]
    pub fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback has a free port");
        listener.listen(0).expect("a bound socket listens");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
        let mut waiting = Vec::new();
        let is_full = within(DEADLINE, || {
            let limit = Duration::from_millis(200);
            match TcpStream::connect_timeout(&address, limit) {
                Ok(stream) => {
                    waiting.push(stream);
                    None
                }
                Err(_) => Some(()),
            }
        });
        assert!(is_full.is_some(), "the queue of {address} does not fill");
        Self { address, _listener: listener, _waiting: waiting }
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Default for Unreachable {
    fn default() -> Self {
        Self::new()
    }
}
