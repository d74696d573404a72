//! HTTP/2 as RFC 9113 and RFC 7541 say it, frame by frame, over both ways to speak it: the cases are those of public suites
//! (h2spec: its sections are the names here), in rows. Where the RFC leaves a choice of codes, a row has what we do.

// RFC 9113 sections 3 to 5: beginnings, frames, streams.
mod streams;
// Its section 6 and 7: each type of frame, and codes.
mod frames;
// Its section 8: requests and answers.
mod messages;
// RFC 7541.
mod compression;
// What every server takes.
mod accepted;

use apigw_tests::{
    certificates::{Authority, Identity},
    configuration::Document,
    frames::{
        ACK, END_STREAM, Kind, frame,
        peer::{FramePeer, Received, Silent},
    },
    gateway::Gateway,
    origin::Origin,
};

const PONG: [u8; 8] = *b"conforms";

/// The head of a request without a body.
const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "gateway.example")];
/// And of one with one.
const POST: &[(&str, &str)] =
    &[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "gateway.example")];

/// A case: what is sent, and what must come of it.
struct Row {
    name: &'static str,
    sends: fn(&mut FramePeer),
    expects: Expected,
}

/// What must come.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// A farewell with this code, and the end of the connection.
    ConnectionError(u32),
    /// The end of a stream with this code; the connection goes on.
    StreamError(u32, u32),
    /// The end of the connection, however it is said.
    Closed,
    /// An answer on this stream with this status; the connection goes on.
    Answer(u32, u16),
    /// Nothing but that the connection goes on.
    Pong,
    /// As much of an answer's body in one frame, and no more.
    Piece(u32, usize),
}

/// Checks each row on a connection of its own, in clear and in TLS.
fn check(rows: &[Row]) {
    let (authority, origin) = (Authority::new(), Origin::saying("served"));
    let identity = authority.identity();
    let clear = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let secure =
        Gateway::standalone(Document::new().server(&certificate(&identity)).route("all", "/", origin.url()));
    let mut broken = Vec::new();
    for row in rows {
        for (over, mut peer) in [
            ("in clear", FramePeer::open(clear.address()).greet()),
            ("in TLS", FramePeer::open_tls(secure.address(), &authority).greet()),
        ] {
            (row.sends)(&mut peer);
            if let Err(instead) = row.expects.met_by(&mut peer) {
                broken.push(format!("{}, {over}: not {:?} but {instead}", row.name, row.expects));
            }
        }
    }
    assert!(broken.is_empty(), "{} rows do not hold:\n{}", broken.len(), broken.join("\n"));
    assert_eq!(
        apigw_tests::client::get(clear.address(), "/").text(),
        "served",
        "others are served as before"
    );
}

fn certificate(identity: &Identity) -> String {
    let (certificate, key) = (identity.path("cert.pem"), identity.path("key.pem"));
    let files = format!("cert_file: \"{}\", key_file: \"{}\"", certificate.display(), key.display());
    format!("tls: {{certificates: [{{{files}}}]}}")
}

impl Expected {
    fn met_by(self, peer: &mut FramePeer) -> Result<(), String> {
        match self {
            Self::ConnectionError(code) => {
                let farewell = first(peer, |received| received.is(Kind::GoAway))?;
                peer.until_closed();
                met(farewell.error() == Some(code), peer)
            }
            Self::Closed => {
                peer.until_closed();
                Ok(())
            }
            Self::StreamError(stream, code) => {
                let is_end = |received: &Received| received.is(Kind::Reset) && received.stream == stream;
                let end = first(peer, is_end)?;
                met(end.error() == Some(code), peer)?;
                goes_on(peer)
            }
            Self::Answer(stream, status) => {
                let is_answer = |received: &Received| received.is(Kind::Headers) && received.stream == stream;
                let head = first(peer, is_answer)?;
                met(head.status() == Some(status), peer)?;
                goes_on(peer)
            }
            Self::Pong => goes_on(peer),
            Self::Piece(stream, length) => {
                let is_piece = |received: &Received| received.is(Kind::Data) && received.stream == stream;
                let piece = first(peer, is_piece)?;
                met(piece.payload.len() == length && !piece.has(END_STREAM), peer)
            }
        }
    }
}

fn met(is_met: bool, peer: &FramePeer) -> Result<(), String> {
    if is_met { Ok(()) } else { Err(format!("{:?}", peer.seen())) }
}

fn first(peer: &mut FramePeer, is_such: impl Fn(&Received) -> bool) -> Result<Received, String> {
    loop {
        match peer.try_next() {
            Ok(Some(received)) if is_such(&received) => return Ok(received),
            Ok(Some(_)) => {}
            Ok(None) => return Err(format!("{:?} and the end", peer.seen())),
            Err(Silent) => return Err(format!("{:?} and silence", peer.seen())),
        }
    }
}

fn goes_on(peer: &mut FramePeer) -> Result<(), String> {
    peer.send(frame(Kind::Ping, 0, 0, &PONG));
    let is_pong =
        |received: &Received| received.is(Kind::Ping) && received.has(ACK) && received.payload == PONG;
    first(peer, is_pong).map(drop)
}
