//! Floods of HTTP/2 frames against the control plane, and against the admin and the traffic address of a data plane.

use std::net::SocketAddr;

use apigw_tests::{
    client,
    configuration::Document,
    frames::{END_HEADERS, END_STREAM, Flood, Kind, Listening, REMEMBERED, call, frame, remembered_field},
    gateway::{Fleet, gwctl},
    origin::Origin,
    programs::Running,
    waiting::eventually,
};

/// At a time.
const FLOODERS: usize = 4;
/// Of one flooder, when nothing stops him: enough to show in the memory of a server that keeps what it is sent.
const FLOOD_BYTES: usize = 8 << 20;
/// What a server may use more than before: of all flooders far less than they send.
const GROWTH_BYTES: u64 = 16 << 20;

/// How a flood ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The server closes the connection.
    Closed,
    /// Any way that keeps its memory: it closes, takes no more, or takes everything and keeps nothing.
    Bounded,
}

/// Floods both servers, and sees to it that others are answered meanwhile and that little is kept.
fn flood(listening: Listening, end: End, piece: fn(u32) -> Vec<u8>) {
    let upstream = Origin::saying("served");
    let fleet = Fleet::start(Document::new().route("all", "/", upstream.url()), 1);
    let data_plane = &fleet.data_planes[0];
    let traffic = data_plane.traffic();
    let servers: [(SocketAddr, &Running); 3] = [
        (fleet.control_plane.address(), fleet.control_plane.program()),
        (data_plane.admin(), data_plane.program()),
        (traffic, data_plane.program()),
    ];
    for (address, program) in servers {
        let is_served = || {
            if address == traffic {
                client::get(traffic, "/").text() == "served"
            } else {
                gwctl(address, &["status"]).code == Some(0)
            }
        };
        assert!(is_served());
        let before = program.resident_bytes();
        let floods: Vec<_> = (0..FLOODERS).map(|_| Flood::start(address, listening, piece)).collect();
        let is_over = |flood: &Flood| match end {
            End::Closed => flood.is_closed(),
            End::Bounded => flood.is_closed() || flood.is_stuck() || flood.sent() > FLOOD_BYTES,
        };
        eventually("the flood has ended or was taken", || {
            assert!(is_served(), "{} answers during a flood", program.title());
            floods.iter().all(is_over).then_some(())
        });
        let growth = program.resident_bytes().saturating_sub(before);
        assert!(growth < GROWTH_BYTES, "{} grew by {growth} bytes", program.title());
        assert_eq!(client::get(data_plane.traffic(), "/").text(), "served");
    }
}

/// The number of the stream that is opened with this piece.
fn stream(piece: u32) -> u32 {
    2 * piece + 1
}

const STATUS: &str = "/apigw.v1.Gateway/Status";

#[test]
fn calls_that_are_taken_back_at_once_end_the_connection() {
    // CVE-2023-44487.
    flood(Listening::Yes, End::Closed, |piece| {
        let begun = frame(Kind::Headers, END_HEADERS, stream(piece), &call(STATUS));
        [begun, frame(Kind::Reset, 0, stream(piece), &[0, 0, 0, 8])].concat()
    });
}

#[test]
fn calls_that_break_the_protocol_end_the_connection() {
    // CVE-2025-8671: a window too large makes the server take back its own answers.
    flood(Listening::Yes, End::Closed, |piece| {
        let begun = frame(Kind::Headers, END_HEADERS | END_STREAM, stream(piece), &call(STATUS));
        [begun, frame(Kind::WindowUpdate, 0, stream(piece), &[0x7f, 255, 255, 255])].concat()
    });
}

#[test]
fn a_head_without_end_ends_the_connection() {
    // CVE-2024-27316 and its kin.
    flood(Listening::Yes, End::Closed, |piece| {
        if piece == 0 {
            return frame(Kind::Headers, 0, 1, &call(STATUS));
        }
        frame(Kind::Continuation, 0, 1, &apigw_tests::frames::field("x", &"y".repeat(1_000)))
    });
}

#[test]
fn a_head_of_many_small_bytes_is_not_kept() {
    // One byte stands for a field of 3,000: the bomb of RFC 7541 section 7.1.3.
    flood(Listening::Yes, End::Bounded, |piece| {
        let mut head = call(STATUS);
        head.extend(remembered_field("x", &"y".repeat(3_000)));
        head.extend([REMEMBERED; 10_000]);
        frame(Kind::Headers, END_HEADERS | END_STREAM, stream(piece), &head)
    });
}

#[test]
fn settings_without_end_end_the_connection() {
    // CVE-2019-9515: each wants an answer, and nobody reads it.
    flood(Listening::No, End::Closed, |_| frame(Kind::Settings, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(100));
}

#[test]
fn pings_without_end_end_the_connection() {
    // CVE-2019-9512.
    flood(Listening::No, End::Closed, |_| frame(Kind::Ping, 0, 0, &[7; 8]).repeat(100));
}

#[test]
fn empty_pieces_of_a_body_without_end_end_the_connection() {
    // CVE-2019-9518: no window counts them.
    flood(Listening::Yes, End::Closed, |piece| {
        if piece == 0 {
            return frame(Kind::Headers, END_HEADERS, 1, &call("/apigw.v1.Delivery/Follow"));
        }
        frame(Kind::Data, 0, 1, &[]).repeat(100)
    });
}

#[test]
fn answers_that_nobody_reads_are_not_made() {
    // CVE-2019-9517: many calls, and a window that is never opened.
    flood(Listening::No, End::Bounded, |piece| {
        let message = [0; 5];
        let begun = frame(Kind::Headers, END_HEADERS, stream(piece), &call("/apigw.v1.Gateway/Routes"));
        [begun, frame(Kind::Data, END_STREAM, stream(piece), &message)].concat()
    });
}

#[test]
fn connections_over_the_bound_are_closed_and_others_live_on() {
    let upstream = Origin::saying("served");
    let gateway =
        apigw_tests::gateway::Gateway::standalone(Document::new().route("all", "/", upstream.url()));
    let admin = gateway.data_plane.admin();
    let mut held: Vec<client::Connection> = Vec::new();
    eventually("the address is full", || {
        let mut connection = client::Connection::open(admin);
        match connection
            .try_send("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            .and_then(|()| connection.try_head())
        {
            Ok(answer) => {
                assert_eq!(answer.status(), 200);
                held.push(connection);
                None
            }
            Err(_) => Some(()),
        }
    });
    // More, if the first were silent for too long meanwhile.
    assert!(held.len() >= 512, "docs/architecture.md has another number than {}", held.len());
    let told = |line: &str| line.contains("too many connections; closed at once").then_some(());
    assert!(gateway.data_plane.program().stderr().first(told).is_some());
    assert_eq!(client::get(gateway.address(), "/").text(), "served", "traffic has its own connections");
    held.pop();
    eventually("a place comes free", || client::try_get(admin, "/healthz").ok());
}
