//! Traffic of many clients: steady while something else happens, with every answer judged, or all at once.

use std::{
    fmt::Write as _,
    io,
    net::SocketAddr,
    panic::resume_unwind,
    sync::{
        Arc, Barrier, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle, ScopedJoinHandle},
};

use crate::{
    client::{Connection, Response},
    message::Head,
    origin::Origin,
    waiting::{DEADLINE, eventually, within},
};

/// Waits until traffic that is under way is spread over these upstreams by these shares, give or take a fifth of all.
pub fn await_spread(origins: &[&Origin], shares: &[usize]) {
    const WINDOW: usize = 1_200;
    let seen = || origins.iter().map(|origin| origin.requests().len()).collect::<Vec<_>>();
    let total: usize = shares.iter().sum();
    eventually(&format!("requests are spread as {shares:?}"), || {
        let before = seen();
        eventually("there is traffic", || {
            (seen().iter().sum::<usize>() >= before.iter().sum::<usize>() + WINDOW).then_some(())
        });
        let is_near = |((after, before), share): ((&usize, usize), &usize)| {
            ((after - before) * total).abs_diff(share * WINDOW) < WINDOW * total / 5
        };
        seen().iter().zip(before).zip(shares).all(is_near).then_some(())
    });
}

/// Does something so many times at once, each in a thread of its own, all let loose together. Gives what came of each, in
/// the order of their numbers.
pub fn at_once<T: Send>(times: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(times);
    let (start, act) = (&start, &act);
    thread::scope(|scope| {
        let begin = |number| {
            scope.spawn(move || {
                start.wait();
                act(number)
            })
        };
        let running: Vec<_> = (0..times).map(begin).collect();
        let join = |running: ScopedJoinHandle<'_, T>| {
            // The thread's own words were printed already; they are the test's.
            running.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        running.into_iter().map(join).collect()
    })
}

/// Whether a client may send a request again whose connection ended before the first byte of an answer, as RFC 9112
/// section 9.3.1 allows; an answer that has begun must be whole in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// No: the gateway has no reason to close a connection in this test.
    MustSucceed,
    /// Yes: the gateway leaves the address in this test.
    MayBeClosed,
    /// There is no such connection: each request has one of its own, and must succeed.
    NeverKept,
}

/// Clients that send GETs one after the other, each on a kept-alive connection if it may, until stopped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    address: Mutex<SocketAddr>,
    path: String,
    reuse: Reuse,
    is_over: AtomicBool,
    answered: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// What came of a load.
#[derive(Debug)]
pub struct Report {
    /// Requests that were answered as they should.
    pub answered: u64,
    /// What went wrong, in words.
    pub failures: Vec<String>,
}

impl Report {
    /// # Panics
    /// When there was a failure, or no traffic.
    pub fn is_flawless(&self) {
        let mut text = String::new();
        for failure in self.failures.iter().take(10) {
            let _ = writeln!(text, "  {failure}");
        }
        let count = self.failures.len();
        assert!(self.failures.is_empty(), "{count} failures beside {} answers:\n{text}", self.answered);
        assert!(self.answered > 0, "there was no traffic");
    }
}

impl Load {
    /// Starts so many clients; each answer must be a 200 that satisfies the judge, who names what is wrong.
    #[must_use]
    pub fn start(
        address: SocketAddr,
        path: &str,
        clients: usize,
        reuse: Reuse,
        judge: impl Fn(&Response) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            address: Mutex::new(address),
            path: path.into(),
            reuse,
            is_over: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            failures: Mutex::new(Vec::new()),
        });
        let judge = Arc::new(judge);
        let client = |_| {
            let (shared, judge) = (Arc::clone(&shared), Arc::clone(&judge));
            thread::spawn(move || shared.send_until_over(&*judge))
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    /// How many requests were answered so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Sends new connections to another address from now on.
    pub fn move_to(&self, address: SocketAddr) {
        *self.shared.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Ends the load.
    #[must_use]
    pub fn stop(self) -> Report {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            // A client that panicked has said why; its failure shows in what is missing.
            let _ = client.join();
        }
        let failures =
            std::mem::take(&mut *self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner));
        Report { answered: self.shared.answered.load(Ordering::Relaxed), failures }
    }
}

impl Shared {
    fn send_until_over(&self, judge: &dyn Fn(&Response) -> Result<(), String>) {
        let mut kept: Option<Connection> = None;
        while !self.is_over.load(Ordering::Relaxed) {
            let outcome = self.exchange(&mut kept).map_err(|error| format!("no answer: {error}"));
            let judged = outcome.and_then(|answer| match answer.status() {
                200 => judge(&answer),
                status => Err(format!("{status}: {}", answer.text())),
            });
            match judged {
                Ok(()) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(failure) => {
                    kept = None;
                    self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
                }
            }
        }
    }

    /// One request and its whole answer.
    fn exchange(&self, kept: &mut Option<Connection>) -> io::Result<Response> {
        let (mut connection, head) = match (self.begin(kept.take()), self.reuse) {
            (Err(error), Reuse::MustSucceed | Reuse::NeverKept) => return Err(error),
            // As if the address were looked up again, until somebody answers there.
            (Err(error), Reuse::MayBeClosed) => within(DEADLINE, || self.begin(None).ok()).ok_or(error)?,
            (Ok(begun), _) => begun,
        };
        let mut body = Vec::new();
        let trailers = connection.read_body(&head, "GET", &mut body)?;
        if self.reuse != Reuse::NeverKept && !head.lists("connection", "close") {
            *kept = Some(connection);
        }
        Ok(Response { head, body, trailers })
    }

    /// Sends a request, on a kept connection or a new one, and waits for the head of its answer.
    fn begin(&self, kept: Option<Connection>) -> io::Result<(Connection, Head)> {
        let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = kept.map_or_else(|| Connection::try_open(address), Ok)?;
        connection.try_send(format!("GET {} HTTP/1.1\r\nHost: gateway.example\r\n\r\n", self.path))?;
        let head = connection.try_head()?;
        Ok((connection, head))
    }
}
