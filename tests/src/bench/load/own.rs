//! A load of our own, for machines without `wrk`: a thread for each connection. It costs more processor time than `wrk` does,
//! which then is missing for the others; for figures, install that.

use std::{
    fmt::Write as _,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Order, Outcome};
use crate::{
    bench::statistics::{percentile, real},
    client::Connection,
    issuer::bearer,
};

pub(super) const NAME: &str = "our own load";

/// The most threads, whatever is asked for.
const MOST_CONNECTIONS: usize = 512;

/// A load that goes on.
#[derive(Debug)]
pub struct OwnLoad {
    is_over: Arc<AtomicBool>,
    began: Instant,
    clients: Vec<JoinHandle<Counted>>,
}

/// What a client has counted.
#[derive(Debug, Default)]
struct Counted {
    /// Of each good answer.
    times: Vec<Duration>,
    failed: u64,
}

/// What a client does.
struct Client {
    address: std::net::SocketAddr,
    /// Sent in turn.
    requests: Arc<[String]>,
    pause: Option<Duration>,
    end: Instant,
    is_over: Arc<AtomicBool>,
}

impl OwnLoad {
    pub(super) fn start(order: Order<'_>) -> Self {
        let Order { address, shape, tokens, lasting, pace, .. } = order;
        let connections = shape.connections.min(MOST_CONNECTIONS);
        let request = |field: &str| {
            let mut text =
                format!("{} {} HTTP/1.1\r\nHost: gateway.example\r\n", shape.method(), shape.path());
            if shape.request_bytes > 0 {
                let _ = write!(text, "Content-Length: {}\r\n", shape.request_bytes);
            }
            let _ = write!(text, "{field}\r\n");
            text + &"a".repeat(shape.request_bytes)
        };
        let requests: Arc<[String]> = match tokens {
            [] => [request("")].into(),
            tokens => tokens.iter().map(|token| request(&bearer(token))).collect(),
        };
        let pause = pace.pause(connections).map(|pause| Duration::from_secs_f64(pause / 1_000.0));
        let is_over = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let end = began + Duration::from_secs(lasting.seconds().into());
        let client = |number: usize| {
            let (requests, is_over) = (Arc::clone(&requests), Arc::clone(&is_over));
            let client = Client { address, requests, pause, end, is_over };
            thread::spawn(move || client.ask_until_over(number))
        };
        let clients = (0..connections).map(client).collect();
        Self { is_over, began, clients }
    }

    pub(super) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Waits for the end; nothing if there was no answer.
    pub(super) fn finish(self) -> Option<Outcome> {
        // A client that panicked has said why; what it counted is missing.
        let counted: Vec<_> = self.clients.into_iter().filter_map(|client| client.join().ok()).collect();
        let took = self.began.elapsed().as_secs_f64();
        let failed = counted.iter().map(|counted| counted.failed).sum();
        let mut times: Vec<_> = counted.into_iter().flat_map(|counted| counted.times).collect();
        times.sort_unstable();
        let milliseconds = |percent| percentile(&times, percent).map(|time| 1_000.0 * time.as_secs_f64());
        let requests = times.len() as u64;
        Some(Outcome {
            requests,
            failed,
            rate: real(requests) / took,
            p50: milliseconds(50)?,
            p99: milliseconds(99)?,
        })
    }
}

impl Client {
    fn ask_until_over(&self, number: usize) -> Counted {
        let mut counted = Counted::default();
        let mut kept = None;
        for request in self.requests.iter().cycle().skip(number % self.requests.len()) {
            if let Some(pause) = self.pause {
                // The pace is what was ordered; nobody waits for it to know something.
                thread::sleep(pause);
            }
            let asked = Instant::now();
            if asked >= self.end || self.is_over.load(Ordering::Relaxed) {
                break;
            }
            match self.exchange(&mut kept, request) {
                Ok(200) => counted.times.push(asked.elapsed()),
                Ok(_) | Err(_) => counted.failed += 1,
            }
        }
        counted
    }

    /// Sends a request and reads its answer whole; gives its status.
    fn exchange(&self, kept: &mut Option<Connection>, request: &str) -> io::Result<u16> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::try_open(self.address)?,
        };
        connection.try_send(request)?;
        let response = connection.try_response_to("GET")?;
        if !response.head.lists("connection", "close") {
            *kept = Some(connection);
        }
        Ok(response.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bench::{
            load::{Lasting, Pace},
            shape::{PLAIN, Shape},
        },
        origin::{Origin, ok},
    };

    fn outcome(origin: &Origin, tokens: &[String]) -> Option<Outcome> {
        let shape = Shape { connections: 2, ..PLAIN };
        let directory = tempfile::tempdir().unwrap();
        let order = Order {
            address: origin.address(),
            shape: &shape,
            tokens,
            lasting: Lasting::UntilStopped,
            pace: Pace::Full,
            directory: directory.path(),
        };
        let load = OwnLoad::start(order);
        let enough = || (origin.requests().len() > 10).then_some(());
        crate::waiting::eventually("some requests have come", enough);
        load.stop();
        load.finish()
    }

    #[test]
    fn answers_are_counted_and_timed() {
        let outcome = outcome(&Origin::answering(|_| ok("fine")), &[]).unwrap();
        assert!(outcome.requests > 8, "{outcome:?}");
        assert_eq!(outcome.failed, 0);
        assert!(outcome.p50 > 0.0 && outcome.p50 <= outcome.p99, "{outcome:?}");
    }

    #[test]
    fn what_is_no_200_is_a_failure() {
        let origin = Origin::answering(|request| {
            let is_first = request.head.field("authorization") == Some("Bearer first");
            if is_first { ok("fine") } else { "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".into() }
        });
        let outcome = outcome(&origin, &["first".into(), "second".into()]).unwrap();
        assert!(outcome.failed > 2 && outcome.requests > 2, "{outcome:?}");
    }

    #[test]
    fn no_good_answer_is_no_outcome() {
        let origin = Origin::answering(|_| "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".into());
        assert_eq!(outcome(&origin, &[]), None);
    }
}
