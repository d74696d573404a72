//! Many changes under load: no request pays for one, no answer is of two, and nothing of them is left behind.
//!
//! `RELOADS` makes it more of them than in CI, as `docs/DEVELOPMENT.md` says.

use std::{
    env, fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use apigw_tests::{
    client::{self, Response},
    configuration::Document,
    gateway::{DataPlane, Fleet},
    load::{Load, Reuse},
    origin::{Origin, Request, ok},
    waiting::eventually,
};

/// How many, unless the environment says so. The first and the last fifth are compared.
const RELOADS: u64 = 100;

/// How many long answers are open all the while.
const STREAMS: usize = 4;

/// Contents share what their number modulo this says, so that routes, limits and upstreams come, go and come back.
const KINDS: u64 = 7;

fn reloads() -> u64 {
    let Ok(text) = env::var("RELOADS") else { return RELOADS };
    text.parse().unwrap_or_else(|error| panic!("RELOADS={text}: {error}"))
}

/// A file whose number shows at three places of an answer: the path upstream, and two limits that the client is told.
fn numbered(number: u64, upstream: &Origin, streaming: &Origin) -> Document {
    let limit = |number| {
        let (rps, burst) = (1_000_000 + number, 2_000_000 + number);
        format!("rate_limit: {{ enabled: true, rps: {rps}, burst: {burst}, scope: ip }}")
    };
    // A table of many keys takes its memory page by page, as callers come; that is no growth by reloads.
    let document = Document::new()
        .rate_limit("memory: { max_keys: 1000 }")
        .route("stream", "/stream", streaming.url())
        .route("all", "/", format!("{}/{number}", upstream.url()))
        .with(&limit(number));
    let passing = |document: Document, other| {
        document
            .route(&format!("passing-{other}"), &format!("/passing/{other}"), upstream.url())
            .with(&limit(number))
            .with("circuit_breaker: { enabled: true, failure_threshold: 5, open_seconds: 1, half_open_max_in_flight: 1 }")
    };
    (0..number % KINDS).fold(document, passing)
}

/// The number of the content that gave an answer.
fn number(answer: &Response) -> Result<u64, String> {
    let of = |name: &str, first: u64| answer.field(name)?.parse::<u64>().ok()?.checked_sub(first);
    let text = answer.text();
    let path = text.strip_prefix("GET /").and_then(|rest| rest.split('/').next()?.parse().ok());
    let told = [path, of("x-ratelimit-limit-rps", 1_000_000), of("x-ratelimit-burst", 2_000_000)];
    match told {
        [Some(number), rps, burst] if rps == Some(number) && burst == Some(number) => Ok(number),
        _ => Err(format!("not of one content: {told:?}")),
    }
}

/// An upstream whose answer lasts until its client has seen enough: a piece at a time, each with its number.
fn streaming(is_over: &Arc<AtomicBool>) -> Origin {
    let is_over = Arc::clone(is_over);
    Origin::scripted(move |peer| {
        let _ = peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let mut sent = 0_u64;
        while !is_over.load(Ordering::Relaxed) {
            peer.send(format!("8\r\n{sent:08}\r\n"))?;
            sent += 1;
            // An answer that trickles; nobody waits for it.
            thread::sleep(Duration::from_millis(10));
        }
        peer.send("0\r\n\r\n")
    })
}

/// Reads such an answer to its end: how many pieces came, which were all of them.
fn read_stream(address: SocketAddr) -> usize {
    let answer = client::get(address, "/stream");
    assert_eq!(answer.status(), 200, "{answer:?}");
    let pieces = answer.body.chunks(8);
    for (number, piece) in pieces.clone().enumerate() {
        assert_eq!(piece, format!("{number:08}").as_bytes(), "a piece is lost");
    }
    pieces.len()
}

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy)]
struct Held {
    bytes: u64,
    descriptors: usize,
}

impl Held {
    fn by(data_plane: &DataPlane) -> Self {
        let directory = format!("/proc/{}/fd", data_plane.program().pid());
        let descriptors = fs::read_dir(directory).map_or(0, Iterator::count);
        Self { bytes: data_plane.resident_bytes(), descriptors }
    }

    /// In the middle of several moments.
    fn median(moments: &[Self]) -> Self {
        let middle = moments.len() / 2;
        let (mut bytes, mut descriptors): (Vec<_>, Vec<_>) =
            moments.iter().map(|held| (held.bytes, held.descriptors)).unzip();
        Self {
            bytes: *bytes.select_nth_unstable(middle).1,
            descriptors: *descriptors.select_nth_unstable(middle).1,
        }
    }
}

#[test]
fn reloads_under_load_cost_no_request_and_leave_nothing_behind() {
    let upstream = Origin::answering_after(Duration::from_millis(2), |request: &Request| ok(request.line()));
    let is_over = Arc::new(AtomicBool::new(false));
    let slow = streaming(&is_over);
    let fleet = Fleet::start(numbered(0, &upstream, &slow), 1);
    let data_plane = &fleet.data_planes[0];
    let address = data_plane.traffic();
    let judge = |answer: &Response| number(answer).map(|_| ());
    let loads =
        [Reuse::MustSucceed, Reuse::NeverKept].map(|reuse| Load::start(address, "/", 2, reuse, judge));
    let streams: Vec<_> = (0..STREAMS).map(|_| thread::spawn(move || read_stream(address))).collect();
    eventually("the streams are open", || (slow.requests().len() == STREAMS).then_some(()));

    let count = reloads();
    let mut moments = Vec::new();
    for reload in 1..=count {
        fleet.file.save(numbered(reload, &upstream, &slow));
        eventually(&format!("content {reload} runs"), || {
            (number(&client::get(address, "/")) == Ok(reload)).then_some(())
        });
        // Each of a kind is as large as every other one.
        if reload % KINDS == 0 {
            moments.push(Held::by(data_plane));
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for stream in streams {
        let pieces = stream.join().expect("a stream came whole");
        assert!(pieces > 0, "a stream was empty");
    }
    let answered: u64 = loads.iter().map(Load::answered).sum();
    loads.into_iter().for_each(|load| load.stop().is_flawless());
    let status = fleet.synchronised();
    assert_eq!(status["control_plane"]["revision"]["seq"], count + 1, "{status}");

    let window = (moments.len() / 5).max(1);
    // The first moments are left out: what a process takes once, it takes then.
    let (early, late) =
        (Held::median(&moments[window..2 * window]), Held::median(&moments[moments.len() - window..]));
    eprintln!("{count} reloads, {answered} answers, early {early:?}, late {late:?}");
    assert!(late.bytes < early.bytes + (4 << 20), "memory grows: {moments:?}");
    assert!(late.descriptors <= early.descriptors + 16, "descriptors grow: {moments:?}");
}
