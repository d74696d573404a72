//! HTTP/2 frames written by hand (RFC 9113 section 4.1), for clients that no library would be.

/// A connection of them.
pub mod peer;

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What a client of HTTP/2 says first (RFC 9113 section 3.4), with empty settings.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Types of frames (RFC 9113 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of a body.
    Data = 0,
    /// Begins a call.
    Headers = 1,
    /// What it depends on.
    Priority = 2,
    /// Takes it back.
    Reset = 3,
    /// What this side wants.
    Settings = 4,
    /// What a server answers unasked.
    PushPromise = 5,
    /// Whether the other is there.
    Ping = 6,
    /// No further streams, or a fault of the whole connection.
    GoAway = 7,
    /// The other's window.
    WindowUpdate = 8,
    /// More of a head.
    Continuation = 9,
    /// Of no meaning to anybody.
    Unknown = 22,
}

/// Nothing more of this call.
pub const END_STREAM: u8 = 1;
/// Nothing more of this head.
pub const END_HEADERS: u8 = 4;
/// The payload ends with what nobody reads, and begins with its length.
pub const PADDED: u8 = 8;
/// A head begins with what its stream depends on.
pub const PRIORITY: u8 = 32;
/// Of settings and pings: they answer.
pub const ACK: u8 = 1;

/// A frame.
#[must_use]
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind as u8, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field, spelt out and not remembered (RFC 7541 section 6.2.2).
#[must_use]
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.extend(length(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A field that the other side is to remember as number 62 (RFC 7541 section 6.2.1).
#[must_use]
pub fn remembered_field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = field(name, value);
    bytes[0] = 0x40;
    bytes
}

/// The field that was remembered last: one byte for all of it (RFC 7541 section 6.1).
pub const REMEMBERED: u8 = 0x80 + 62;

/// A length of seven bits and more (RFC 7541 section 5.1).
fn length(number: usize) -> Vec<u8> {
    const FULL: usize = 127;
    if number < FULL {
        return vec![u8::try_from(number).unwrap_or_default()];
    }
    let mut bytes = vec![127];
    let mut rest = number - FULL;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap_or_default() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap_or_default());
    bytes
}

/// The head of a gRPC call.
#[must_use]
pub fn call(path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// Whether a flooding client reads what comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// It does, and throws it away.
    Yes,
    /// It does not: what the server would say piles up.
    No,
}

/// A client that sends for as long as it is taken, in a thread of its own. It ends with this.
#[derive(Debug)]
pub struct Flood {
    progress: Arc<Progress>,
    sending: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Progress {
    sent: AtomicUsize,
    is_closed: AtomicBool,
    is_stuck: AtomicBool,
    is_over: AtomicBool,
}

impl Flood {
    /// How long the server may take no byte before it counts as taking none.
    const PATIENCE: Duration = Duration::from_millis(300);

    /// Sends the preface and then one piece after the other: `piece` is given the piece's number.
    ///
    /// # Panics
    /// When nothing accepts.
    #[must_use]
    pub fn start(
        address: SocketAddr,
        listening: Listening,
        piece: impl Fn(u32) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_write_timeout(Some(Self::PATIENCE)).expect("the option exists");
        let progress = Arc::new(Progress::default());
        if listening == Listening::Yes {
            let (mut stream, progress) = (stream.try_clone().expect("a descriptor"), Arc::clone(&progress));
            thread::spawn(move || {
                while stream.read(&mut [0; 16 * 1_024]).is_ok_and(|length| length > 0) {}
                progress.is_closed.store(true, Ordering::Release);
            });
        }
        let shared = Arc::clone(&progress);
        let sending = thread::spawn(move || shared.send(stream, piece));
        Self { progress, sending: Some(sending) }
    }

    /// Bytes that the server, or the system for it, has taken.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.progress.sent.load(Ordering::Acquire)
    }

    /// Whether the server has closed the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.progress.is_closed.load(Ordering::Acquire)
    }

    /// Whether the server has taken nothing for a while.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.progress.is_stuck.load(Ordering::Acquire)
    }
}

impl Progress {
    fn send(&self, mut stream: TcpStream, piece: impl Fn(u32) -> Vec<u8>) {
        let mut waiting = PREFACE.to_vec();
        let mut number = 0;
        while !self.is_over.load(Ordering::Acquire) {
            match stream.write(&waiting) {
                Ok(length) => {
                    waiting.drain(..length);
                    self.sent.fetch_add(length, Ordering::Release);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    self.is_stuck.store(true, Ordering::Release);
                }
                Err(_) => return self.is_closed.store(true, Ordering::Release),
            }
            if waiting.is_empty() {
                waiting = piece(number);
                number += 1;
            }
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.progress.is_over.store(true, Ordering::Release);
        if let Some(sending) = self.sending.take() {
            let _ = sending.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_rfc() {
        // RFC 7541 appendix C.1, with seven bits.
        assert_eq!(length(10), [10]);
        assert_eq!(length(127), [127, 0]);
        assert_eq!(length(1_337), [127, 0b1011_1010, 0b0000_1001]);
    }

    #[test]
    fn a_frame_has_nine_bytes_before_its_payload() {
        assert_eq!(frame(Kind::Ping, 0, 0, &[7; 8])[..9], [0, 0, 8, 6, 0, 0, 0, 0, 0]);
        assert_eq!(frame(Kind::Headers, END_HEADERS, 3, b"x"), [0, 0, 1, 1, 4, 0, 0, 0, 3, b'x']);
    }
}
