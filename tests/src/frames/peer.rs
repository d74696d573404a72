//! A client that sends exactly the frames it is told to, in clear or in TLS, and reads one frame after the other.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use super::{ACK, Kind, PREFACE, field, frame};
use crate::{
    certificates::{Authority, SecureClient},
    waiting::DEADLINE,
};

/// Codes of errors (RFC 9113 section 7).
pub mod code {
    /// All is well.
    pub const NO_ERROR: u32 = 0;
    /// Against the protocol.
    pub const PROTOCOL: u32 = 1;
    /// A window was overstepped.
    pub const FLOW_CONTROL: u32 = 3;
    /// Of a stream that has ended.
    pub const STREAM_CLOSED: u32 = 5;
    /// Of another size than it must have.
    pub const FRAME_SIZE: u32 = 6;
    /// It was not looked at.
    pub const REFUSED_STREAM: u32 = 7;
    /// Nobody wants it any more.
    pub const CANCEL: u32 = 8;
    /// A head that cannot be read.
    pub const COMPRESSION: u32 = 9;
    /// Too much of something.
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// Names of settings (RFC 9113 section 6.5.2, RFC 8441 section 3).
pub mod setting {
    /// What one side may remember of the other's fields.
    pub const HEADER_TABLE_SIZE: u16 = 1;
    /// Whether the server may answer unasked.
    pub const ENABLE_PUSH: u16 = 2;
    /// How many streams at once.
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    /// Of a stream that begins.
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    /// Of one frame.
    pub const MAX_FRAME_SIZE: u16 = 5;
    /// Whether CONNECT may name a protocol.
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// The commonest statuses have numbers of their own, from 8 (RFC 7541 appendix A); others spell their value.
const NUMBERED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// A frame that has come.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// Its type, as a number.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The stream it is about; 0: the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Received {
    /// Whether it is of this type.
    #[must_use]
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind as u8
    }

    /// Whether it has this flag.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Of a frame that takes back a stream or a connection: why.
    #[must_use]
    pub fn error(&self) -> Option<u32> {
        let code = if self.is(Kind::Reset) {
            self.payload.get(..4)
        } else if self.is(Kind::GoAway) {
            self.payload.get(4..8)
        } else {
            None
        };
        code.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
    }

    /// Of the first frame of an answer: its status. It stands in front (RFC 9113 section 8.3).
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        if !self.is(Kind::Headers) {
            return None;
        }
        // The table's size, where it has just become 0 (RFC 7541 section 6.3).
        let block = self.payload.strip_prefix(&[0x20]).unwrap_or(&self.payload);
        let (&first, rest) = block.split_first()?;
        match first {
            0x88..=0x8e => NUMBERED.get(usize::from(first) - 0x88).copied(),
            0x48 | 0x08 | 0x18 => digits(rest),
            _ => None,
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, flags, stream, payload } = self;
        let error = self.error().map_or(String::new(), |error| format!(" error {error}"));
        let status = self.status().map_or(String::new(), |status| format!(" status {status}"));
        write!(f, "[type {kind} flags {flags:#x} stream {stream}, {} bytes{error}{status}]", payload.len())
    }
}

/// A number of three digits, spelt out or by its Huffman code (RFC 7541 section 5.2).
fn digits(text: &[u8]) -> Option<u16> {
    let (&length, text) = text.split_first()?;
    let text = text.get(..usize::from(length & 0x7f))?;
    if length & 0x80 == 0 {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let bits: Vec<u8> = text.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |number, bit| number << 1 | u16::from(*bit));
    let mut rest = bits.as_slice();
    let mut value = 0;
    for _ in 0..3 {
        // RFC 7541 appendix B: 0 to 2 have five bits and are 0 to 2, 3 to 9 have six and are 0x19 to 0x1f.
        let short = number(rest.get(..5)?);
        let (digit, length) = if short <= 2 { (short, 5) } else { (number(rest.get(..6)?) - 0x19 + 3, 6) };
        value = value * 10 + digit;
        rest = &rest[length..];
    }
    Some(value)
}

/// Nothing came before the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Filled,
    Ended,
}

trait Socket: Read + Write + fmt::Debug + Send {}
impl<S: Read + Write + fmt::Debug + Send> Socket for S {}

/// A connection.
#[derive(Debug)]
pub struct FramePeer {
    socket: Box<dyn Socket>,
    /// What has come and is still to be looked at.
    seen: Vec<Received>,
    /// What the other side has settled on, in the order of its words.
    settings: Vec<(u16, u32)>,
}

impl FramePeer {
    /// Connects in clear.
    ///
    /// # Panics
    /// When nothing accepts.
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&address, DEADLINE).expect("the server accepts");
        socket.set_nodelay(true).expect("the option exists");
        socket.set_read_timeout(Some(DEADLINE)).expect("the option exists");
        socket.set_write_timeout(Some(DEADLINE)).expect("the option exists");
        Self { socket: Box::new(socket), seen: Vec::new(), settings: Vec::new() }
    }

    /// Takes the next connection of a client, and its greeting, and says that all defaults hold. None: it greets otherwise.
    ///
    /// # Panics
    /// When the listener is gone.
    #[must_use]
    pub fn accept(listener: &TcpListener) -> Option<Self> {
        let (mut socket, _) = listener.accept().expect("it listens");
        socket.set_nodelay(true).expect("the option exists");
        socket.set_read_timeout(Some(DEADLINE)).expect("the option exists");
        let mut greeting = [0; 24];
        socket.read_exact(&mut greeting).ok().filter(|()| PREFACE.starts_with(&greeting))?;
        let mut peer = Self { socket: Box::new(socket), seen: Vec::new(), settings: Vec::new() };
        peer.settle(&[]);
        peer.frame(Kind::Settings, ACK, 0, &[]);
        Some(peer)
    }

    /// Connects in TLS.
    ///
    /// # Panics
    /// When there is no handshake.
    #[must_use]
    pub fn open_tls(address: SocketAddr, trusted: &Authority) -> Self {
        let client = SecureClient::open_for(address, trusted, None, &[b"h2"]).expect("a handshake");
        Self { socket: Box::new(client.into_stream()), seen: Vec::new(), settings: Vec::new() }
    }

    /// Greets, and waits until both sides have agreed on the other's settings.
    ///
    /// # Panics
    /// When the other side does not.
    #[must_use]
    pub fn greet(mut self) -> Self {
        self.send(PREFACE);
        // Answers in which nothing stands for what was in others.
        self.settle(&[(setting::HEADER_TABLE_SIZE, 0)]);
        let first = self.frame_or_end().expect("the server's preface");
        assert!(first.is(Kind::Settings) && !first.has(ACK), "the first frame is {first:?}");
        for entry in first.payload.chunks_exact(6) {
            let name = u16::from_be_bytes([entry[0], entry[1]]);
            self.settings.push((name, u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]])));
        }
        self.send(frame(Kind::Settings, ACK, 0, &[]));
        for _ in 0..2 {
            self.until(|received| received.is(Kind::Settings) && received.has(ACK));
        }
        self.seen.clear();
        self
    }

    /// What the other side has said of a setting.
    #[must_use]
    pub fn setting(&self, name: u16) -> Option<u32> {
        self.settings.iter().rev().find(|(of, _)| *of == name).map(|(_, value)| *value)
    }

    /// Sends bytes. That the other side has closed is seen by reading.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref()).and_then(|()| self.socket.flush());
    }

    /// Sends a frame.
    pub fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        self.send(frame(kind, flags, stream, payload));
    }

    /// Sends a head in one frame.
    pub fn head(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) {
        self.frame(Kind::Headers, flags | super::END_HEADERS, stream, &block(fields));
    }

    /// Sends settings.
    pub fn settle(&mut self, settings: &[(u16, u32)]) {
        let entry =
            |(name, value): &(u16, u32)| [name.to_be_bytes().as_slice(), &value.to_be_bytes()].concat();
        self.frame(Kind::Settings, 0, 0, &settings.iter().flat_map(entry).collect::<Vec<_>>());
    }

    /// Sends settings and waits until they hold.
    ///
    /// # Panics
    /// When they are not acknowledged.
    pub fn settle_surely(&mut self, settings: &[(u16, u32)]) {
        self.settle(settings);
        self.until(|received| received.is(Kind::Settings) && received.has(ACK));
    }

    /// Opens a window further.
    pub fn widen(&mut self, stream: u32, bytes: u32) {
        self.frame(Kind::WindowUpdate, 0, stream, &bytes.to_be_bytes());
    }

    /// Takes a stream back.
    pub fn reset(&mut self, stream: u32, code: u32) {
        self.frame(Kind::Reset, 0, stream, &code.to_be_bytes());
    }

    /// The next frame; none: the connection has ended.
    ///
    /// # Panics
    /// When neither comes before the deadline.
    pub fn frame_or_end(&mut self) -> Option<Received> {
        match self.try_next() {
            Ok(received) => received,
            Err(Silent) => panic!("nothing came any more, after {:?}", self.seen),
        }
    }

    /// The next frame, where silence is an answer too; none: the connection has ended.
    ///
    /// # Errors
    /// When neither comes before the deadline.
    pub fn try_next(&mut self) -> Result<Option<Received>, Silent> {
        let mut head = [0; 9];
        if self.read(&mut head)? == Reading::Ended {
            return Ok(None);
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        if self.read(&mut payload)? == Reading::Ended {
            return Ok(None);
        }
        let received = Received { kind: head[3], flags: head[4], stream, payload };
        self.seen.push(received.clone());
        Ok(Some(received))
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<Reading, Silent> {
        match self.socket.read_exact(bytes) {
            Ok(()) => Ok(Reading::Filled),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(Silent)
            }
            Err(_ended) => Ok(Reading::Ended),
        }
    }

    /// Reads until a frame is such.
    ///
    /// # Panics
    /// When none is before the connection ends.
    pub fn until(&mut self, is_such: impl Fn(&Received) -> bool) -> Received {
        loop {
            match self.frame_or_end() {
                Some(received) if is_such(&received) => return received,
                Some(_) => {}
                None => panic!("the connection ended after {:?}", self.seen),
            }
        }
    }

    /// Reads until nothing more will come of a stream.
    ///
    /// # Panics
    /// When the connection ends before.
    pub fn until_ended(&mut self, stream: u32) -> Received {
        self.until(|received| {
            let may_end = received.is(Kind::Headers) || received.is(Kind::Data);
            received.stream == stream && may_end && received.has(super::END_STREAM)
        })
    }

    /// Reads until the connection ends.
    pub fn until_closed(&mut self) {
        while self.frame_or_end().is_some() {}
    }

    /// Throws away what comes until the connection ends, frames or not.
    ///
    /// # Panics
    /// When it does not end before the deadline.
    pub fn drain_closed(&mut self) {
        match self.socket.read_to_end(&mut Vec::new()) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the connection does not end")
            }
            _ => {}
        }
    }

    /// All frames that have come since the greeting.
    #[must_use]
    pub fn seen(&self) -> &[Received] {
        &self.seen
    }
}

/// Fields, each spelt out and not remembered.
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_however_they_are_written() {
        let status = |payload: &[u8]| {
            let payload = payload.to_vec();
            Received { kind: Kind::Headers as u8, flags: 4, stream: 1, payload }.status()
        };
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x48, 3, b'4', b'2', b'6']), Some(426));
        // RFC 7541 appendix C.6.1.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
    }
}
