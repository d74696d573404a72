//! Bodies: any size passes, none is held.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use apigw_tests::{
    client::Connection,
    configuration::Document,
    gateway::{DataPlane, Gateway},
    origin::{Origin, ok},
    waiting::eventually,
};
use serde_json::json;

const MEBIBYTE: usize = 1 << 20;
const LARGE: usize = 256 * MEBIBYTE;
/// What a gateway may need for a body of any size: its buffers and those of its allocator, far below [`LARGE`].
const FLAT: u64 = 32 * MEBIBYTE as u64;

/// Bytes that tell where they stand, so that a lost, doubled or swapped piece shows.
fn block(number: usize) -> Vec<u8> {
    let mut block = vec![0; 64 * 1024];
    for (index, word) in block.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&((number as u64) << 32 | index as u64).to_be_bytes());
    }
    block
}

const BLOCKS: usize = LARGE / (64 * 1024);

/// A sink that compares what it is given with the sequence of blocks.
#[derive(Default)]
struct Sequence {
    received: usize,
    expected: Vec<u8>,
}

impl io::Write for Sequence {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = 64 * 1024;
        let within = self.received % size;
        if within == 0 {
            self.expected = block(self.received / size);
        }
        let count = bytes.len().min(size - within);
        if bytes[..count] != self.expected[within..within + count] {
            return Err(io::Error::other(format!("other bytes than sent, near {}", self.received)));
        }
        self.received += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gateway(origin: &Origin, max_body_bytes: usize) -> Gateway {
    let limit = format!("max_body_bytes: {max_body_bytes}");
    Gateway::standalone(Document::new().server(&limit).route("all", "/", origin.url()))
}

/// Looks at the memory in use while something runs, and gives the most seen.
fn most_memory_during(data_plane: &DataPlane, run: impl FnOnce() + Send) -> u64 {
    thread::scope(|scope| {
        let running = scope.spawn(run);
        let mut most = 0;
        while !running.is_finished() {
            most = most.max(data_plane.resident_bytes());
            thread::yield_now();
        }
        if let Err(panic) = running.join() {
            std::panic::resume_unwind(panic);
        }
        most
    })
}

#[test]
fn large_upload_passes_whole_in_flat_memory() {
    let origin = Origin::scripted(|peer| {
        let head = peer.head()?;
        let mut sequence = Sequence::default();
        peer.body(&head, &mut sequence)?;
        peer.send(ok(&sequence.received.to_string()))
    });
    let gateway = gateway(&origin, LARGE);
    let before = gateway.data_plane.resident_bytes();
    let most = most_memory_during(&gateway.data_plane, || {
        let mut connection = Connection::open(gateway.address());
        connection.send(format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {LARGE}\r\n\r\n"));
        (0..BLOCKS).for_each(|number| connection.send(block(number)));
        assert_eq!(connection.response().text(), LARGE.to_string());
    });
    assert!(most - before < FLAT, "memory grew from {before} to {most} bytes");
}

#[test]
fn large_download_passes_whole_in_flat_memory() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for number in 0..BLOCKS {
            let block = block(number);
            peer.send(format!("{:x}\r\n", block.len()))?;
            peer.send(&block)?;
            peer.send("\r\n")?;
        }
        peer.send("0\r\n\r\n")
    });
    let gateway = gateway(&origin, MEBIBYTE);
    let before = gateway.data_plane.resident_bytes();
    let most = most_memory_during(&gateway.data_plane, || {
        let mut connection = Connection::open(gateway.address());
        connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = connection.head();
        let mut sequence = Sequence::default();
        connection.read_body(&head, "GET", &mut sequence).expect("the body is whole");
        assert_eq!(sequence.received, LARGE);
    });
    assert!(most - before < FLAT, "memory grew from {before} to {most} bytes");
}

#[test]
fn client_that_does_not_read_makes_the_gateway_stop_reading() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let origin = Origin::scripted(move |peer| {
        peer.request()?;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"))?;
        for number in 0..BLOCKS {
            let block = block(number);
            peer.send(&block)?;
            counter.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    });
    let gateway = gateway(&origin, MEBIBYTE);
    let mut connection = Connection::open(gateway.address());
    connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = connection.head();
    // The upstream stands still once the buffers between it and the client are full.
    let taken = eventually("the upstream is held back", || {
        let before = sent.load(Ordering::Relaxed);
        thread::sleep(apigw_tests::gateway::A_WHILE);
        (before > 0 && sent.load(Ordering::Relaxed) == before).then_some(before)
    });
    assert!(taken < FLAT, "{taken} bytes were taken from the upstream for a client that reads none");
    // And it goes on when the client reads.
    let mut sequence = Sequence::default();
    connection.read_body(&head, "GET", &mut sequence).expect("the body is whole");
    assert_eq!(sequence.received, LARGE);
}

#[test]
fn bytes_pass_as_they_come() {
    let origin = Origin::scripted(|peer| {
        let head = peer.head()?;
        // Answers before the request's body is there, as a service does that talks while it listens.
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")?;
        let mut body = Vec::new();
        peer.body(&head, &mut body)?;
        peer.send(format!("{:x}\r\n", body.len()))?;
        peer.send(body)?;
        peer.send("\r\n0\r\n\r\n")
    });
    let gateway = gateway(&origin, MEBIBYTE);
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n");
    let head = connection.head();
    let mut first = FirstBytes::default();
    let _ = connection.read_body(&head, "POST", &mut first);
    assert_eq!(first.bytes, b"first", "the answer's beginning came before the request's end");
}

/// A sink that is satisfied with what comes first.
#[derive(Default)]
struct FirstBytes {
    bytes: Vec<u8>,
}

impl io::Write for FirstBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Err(io::Error::other("enough"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn body_of_known_length_over_the_limit_is_refused_at_once() {
    let origin = Origin::saying("");
    let gateway = gateway(&origin, 1_000);
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nX-Request-Id: big-1\r\nContent-Length: 1001\r\n\r\n");
    let answer = connection.response();
    assert_eq!(answer.status(), 413);
    assert_eq!(
        answer.json(),
        json!({"error": "request_too_large", "max_bytes": 1_000, "request_id": "big-1"})
    );
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(gateway.data_plane.access("big-1")["status"], 413);
}

#[test]
fn body_of_the_limit_passes() {
    let origin = Origin::answering(|request| ok(&request.body.len().to_string()));
    let gateway = gateway(&origin, 1_000);
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    connection.send([b'a'; 1_000]);
    assert_eq!(connection.response().text(), "1000");
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n");
    connection.send([b'a'; 1_000]);
    connection.send("\r\n0\r\n\r\n");
    assert_eq!(connection.response().text(), "1000");
}

#[test]
fn chunked_body_over_the_limit_is_refused_and_never_whole_upstream() {
    let origin = Origin::saying("");
    let gateway = gateway(&origin, 1_000);
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..4 {
        connection.send("100\r\n");
        connection.send([b'a'; 256]);
        connection.send("\r\n");
    }
    let answer = connection.response();
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.json()["max_bytes"], 1_000);
    assert_eq!(origin.requests().len(), 0, "the upstream saw the request end");
}

#[test]
fn client_that_leaves_within_its_body_is_not_said_to_have_sent_nonsense() {
    let origin = Origin::scripted(|peer| {
        peer.head()?;
        peer.until_closed()
    });
    let gateway = gateway(&origin, MEBIBYTE);
    let framings = ["Content-Length: 9\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"];
    for (index, framing) in framings.into_iter().enumerate() {
        let mut connection = Connection::open(gateway.address());
        connection.send(format!("POST / HTTP/1.1\r\nHost: h\r\nX-Request-Id: left-{index}\r\n{framing}"));
        origin.await_request(index);
        connection.finish_sending();
        assert_eq!(connection.response_to("POST").status(), 400, "{framing}");
        assert_eq!(
            gateway.data_plane.access(&format!("left-{index}"))["why"],
            "body_incomplete",
            "{framing}"
        );
    }
}
