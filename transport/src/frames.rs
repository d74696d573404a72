//! Frames of HTTP/2 as they come from a client, judged by their heads alone: their sizes, their places behind the end of a
//! stream, and floods of them that carry nothing.
//!
//! Whoever reads frames asks [`Conduct`] about each. For those whose frames h2 reads there is the [`Watch`], which sees the same
//! bytes before h2 does: what it would let pass or call by another name than RFC 9113 does. Whatever is not named here is theirs
//! to judge. It keeps nothing of what it sees, and has no socket: whoever has one shows it what has come.

use std::collections::VecDeque;

use h2::Reason;
use tokio::time::Instant;

use self::{
    flag::{ACK, END_STREAM, PADDED},
    kind::{
        CONTINUATION, DATA, GOAWAY, HEADERS, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
        WINDOW_UPDATE,
    },
};

/// The first words of a client, which are no frame (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long the head of a frame is.
pub const HEAD_BYTES: usize = 9;

/// The most streams that are remembered after a client has ended them. What comes on one before is h2's to judge.
const MOST_ENDED: usize = 64;

/// The most frames without content that a client may send at once.
const MOST_IDLE_FRAMES: u32 = 2_000;
/// How fast it may send further ones.
const IDLE_FRAMES_PER_SECOND: u32 = 100;
/// How many more for each request: what goes with it, such as its priority and its windows.
const IDLE_FRAMES_OF_A_REQUEST: u32 = 20;
/// And for each piece of an answer.
const IDLE_FRAMES_OF_A_PIECE: u32 = 4;

/// How often windows may be opened for each KiB of an answer: who reads little at a time opens that of the stream and that of the
/// connection as often, however large the pieces were.
const WINDOWS_OF_A_KIB: u32 = 2;
/// The most that answers pay for ahead: what was sent at once may be read, and windows opened for it, much later.
const MOST_WINDOWS: u32 = 100_000;

/// The most requests that a client may take back at once. Each has begun work, here and upstream, that is then thrown away
/// (CVE-2023-44487); h2 only counts those that nobody has looked at.
const MOST_TAKEN_BACK: u32 = 1_000;
/// How fast it may take back further ones, besides one for each piece of an answer that it was sent.
const TAKEN_BACK_PER_SECOND: u32 = 100;

/// Where pieces are not seen: for how many bytes of answers there is one more.
const ANSWERED_BYTES_OF_AN_IDLE_FRAME: usize = 1_024;

/// Types of frames (RFC 9113 section 6).
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// The beginning of a head, or of trailers.
    pub const HEADERS: u8 = 1;
    /// What nobody asks for any more.
    pub const PRIORITY: u8 = 2;
    /// The end of a stream, taken back.
    pub const RST_STREAM: u8 = 3;
    /// What the sender wants.
    pub const SETTINGS: u8 = 4;
    /// What a server sends unasked.
    pub const PUSH_PROMISE: u8 = 5;
    /// Whether the other is there.
    pub const PING: u8 = 6;
    /// The end of the connection.
    pub const GOAWAY: u8 = 7;
    /// A window opens further.
    pub const WINDOW_UPDATE: u8 = 8;
    /// A head goes on.
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames (RFC 9113 section 6).
pub mod flag {
    /// Nothing more of this stream.
    pub const END_STREAM: u8 = 0x1;
    /// Of settings and pings: they answer.
    pub const ACK: u8 = 0x1;
    /// Nothing more of this head.
    pub const END_HEADERS: u8 = 0x4;
    /// The payload begins with the length of what it ends with, which nobody reads.
    pub const PADDED: u8 = 0x8;
    /// A head begins with what its stream depends on.
    pub const PRIORITY: u8 = 0x20;
}

const INITIAL_WINDOW_SIZE: u16 = 4;
/// The largest window, and the largest number of a stream.
pub const MAX_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// What a connection has come to.
#[derive(Debug)]
pub struct Watch {
    place: Place,
    conduct: Conduct,
}

/// How a client behaves, as far as the heads of its frames tell.
#[derive(Debug)]
pub struct Conduct {
    is_first: bool,
    ended: Ended,
    /// Of frames without content.
    idle_frames: Allowance,
    /// How many windows answers have paid for, which are no idle frames.
    windows: u32,
    taken_back: Allowance,
    /// What has been answered and not been counted yet.
    answered_bytes: usize,
}

/// Where the next byte stands.
#[derive(Debug)]
enum Place {
    /// In the preface, with so many bytes of it still to come.
    Preface(usize),
    /// In something else than HTTP/2: there are no frames.
    Elsewhere,
    /// In the head of a frame.
    Head(Gathered<HEAD_BYTES>),
    /// In a payload that nobody here reads.
    Payload(usize),
    /// Among settings, each of a name and a value.
    Settings { left: usize, entry: Gathered<6> },
}

/// Bytes of a known number, as far as they have come.
#[derive(Debug, Clone, Copy)]
struct Gathered<const COUNT: usize> {
    bytes: [u8; COUNT],
    count: usize,
}

/// Bytes that do not go on to h2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("frames that end the connection: {reason}")]
pub struct Fault {
    /// What the connection ends with.
    pub reason: Reason,
    /// How many of the bytes come before it.
    pub before: usize,
}

impl Watch {
    /// Of a connection that begins. What begins in another way than HTTP/2 is not watched.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { place: Place::Preface(PREFACE.len()), conduct: Conduct::new(now) }
    }

    /// So many bytes have gone to the client, whatever they were: for servers that do not see the pieces of their answers.
    pub fn answered(&mut self, bytes: usize) {
        self.conduct.answered(bytes);
    }

    /// Looks at what has come.
    ///
    /// # Errors
    /// When the connection is to end.
    pub fn see(&mut self, bytes: &[u8], now: Instant) -> Result<(), Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = bytes.len() - rest.len();
            self.step(&mut rest, now).map_err(|reason| Fault { reason, before })?;
        }
        Ok(())
    }

    /// Goes on to the end of a part, or of what has come.
    fn step(&mut self, rest: &mut &[u8], now: Instant) -> Result<(), Reason> {
        match &mut self.place {
            Place::Elsewhere => *rest = &[],
            Place::Preface(left)
                if !PREFACE[PREFACE.len() - *left..].starts_with(&rest[..(*left).min(rest.len())]) =>
            {
                self.place = Place::Elsewhere;
            }
            Place::Preface(left) | Place::Payload(left) => {
                let count = (*left).min(rest.len());
                *rest = &rest[count..];
                *left -= count;
                if *left == 0 {
                    self.place = Place::Head(Gathered::default());
                }
            }
            Place::Head(gathered) => {
                if let Some(head) = gathered.take(rest) {
                    let head = Head::of(head);
                    self.conduct.judge(head, now)?;
                    self.place = match (head.kind, head.length) {
                        (_, 0) => Place::Head(Gathered::default()),
                        (SETTINGS, left) => Place::Settings { left, entry: Gathered::default() },
                        (_, left) => Place::Payload(left),
                    };
                }
            }
            Place::Settings { left, entry } => {
                if let Some(entry) = entry.take(rest) {
                    check_setting(entry)?;
                    *left -= entry.len();
                    if *left == 0 {
                        self.place = Place::Head(Gathered::default());
                    }
                }
            }
        }
        Ok(())
    }
}

impl Conduct {
    /// Of a connection that begins.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            is_first: true,
            ended: Ended::default(),
            idle_frames: Allowance::new(MOST_IDLE_FRAMES, IDLE_FRAMES_PER_SECOND, now),
            windows: 0,
            taken_back: Allowance::new(MOST_TAKEN_BACK, TAKEN_BACK_PER_SECOND, now),
            answered_bytes: 0,
        }
    }

    /// A piece of an answer's body has gone to the client, who may say something about windows.
    pub fn piece_sent(&mut self, bytes: usize) {
        let windows = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).saturating_mul(WINDOWS_OF_A_KIB);
        self.windows = self.windows.saturating_add(windows).min(MOST_WINDOWS);
        self.idle_frames.grow(IDLE_FRAMES_OF_A_PIECE);
        self.taken_back.grow(1);
    }

    fn answered(&mut self, bytes: usize) {
        self.answered_bytes += bytes;
        let frames = self.answered_bytes / ANSWERED_BYTES_OF_AN_IDLE_FRAME;
        self.answered_bytes %= ANSWERED_BYTES_OF_AN_IDLE_FRAME;
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        self.idle_frames.grow(frames);
        self.taken_back.grow(frames);
    }

    /// Judges a frame, of which no more is known yet.
    ///
    /// # Errors
    /// What the connection is to end with.
    pub fn judge(&mut self, head: Head, now: Instant) -> Result<(), Reason> {
        // RFC 9113 section 3.4.
        if std::mem::take(&mut self.is_first) && (head.kind != SETTINGS || head.has(ACK)) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        head.check_length()?;
        self.ended.check(head)?;
        match head.kind {
            HEADERS => self.idle_frames.grow(IDLE_FRAMES_OF_A_REQUEST),
            DATA if head.length > 0 => self.idle_frames.grow(1),
            RST_STREAM => self.taken_back.spend(now)?,
            WINDOW_UPDATE if self.windows > 0 => self.windows -= 1,
            _ if head.is_idle() => self.idle_frames.spend(now)?,
            _ => {}
        }
        Ok(())
    }
}

impl<const COUNT: usize> Default for Gathered<COUNT> {
    fn default() -> Self {
        Self { bytes: [0; COUNT], count: 0 }
    }
}

impl<const COUNT: usize> Gathered<COUNT> {
    /// Takes what is missing. When nothing is any more, gives all of it and begins anew.
    fn take(&mut self, rest: &mut &[u8]) -> Option<[u8; COUNT]> {
        let count = (COUNT - self.count).min(rest.len());
        let (taken, left) = rest.split_at(count);
        self.bytes[self.count..self.count + count].copy_from_slice(taken);
        *rest = left;
        self.count += count;
        (self.count == COUNT).then(|| std::mem::take(self).bytes)
    }
}

/// The head of a frame (RFC 9113 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many bytes the payload has.
    pub length: usize,
    /// The type; see [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// The stream it is about; 0: the connection.
    pub stream: u32,
}

impl Head {
    /// Reads a head.
    #[must_use]
    pub fn of(bytes: [u8; HEAD_BYTES]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = bytes;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        // The first bit is reserved, and of no meaning.
        Self { length, kind, flags, stream: u32::from_be_bytes(stream) & MAX_WINDOW_BYTES }
    }

    /// Whether it has this flag.
    #[must_use]
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether a frame is of the size that its type wants. One that is too large for any type is h2's to refuse.
    ///
    /// # Errors
    /// When it is not (RFC 9113 section 4.2). Of one stream alone or of all, it is the connection that ends.
    fn check_length(self) -> Result<(), Reason> {
        let padding = usize::from(self.has(PADDED));
        let is_right = match self.kind {
            DATA => self.length >= padding,
            HEADERS => self.length >= padding + if self.has(flag::PRIORITY) { 5 } else { 0 },
            PRIORITY => self.length == 5,
            RST_STREAM | WINDOW_UPDATE => self.length == 4,
            SETTINGS if self.has(ACK) => self.length == 0,
            SETTINGS => self.length.is_multiple_of(6),
            PING => self.length == 8,
            GOAWAY => self.length >= 8,
            _ => true,
        };
        if is_right { Ok(()) } else { Err(Reason::FRAME_SIZE_ERROR) }
    }

    /// Whether it moves no request and no body forward.
    fn is_idle(self) -> bool {
        match self.kind {
            // The last piece of a body may be empty.
            DATA => self.length == 0 && !self.has(END_STREAM),
            // Resets are counted by themselves, the others by h2.
            HEADERS | RST_STREAM | PUSH_PROMISE | CONTINUATION => false,
            _ => true,
        }
    }
}

/// Settings in which h2 sees another error.
fn check_setting(entry: [u8; 6]) -> Result<(), Reason> {
    let [name @ .., a, b, c, d] = entry;
    let is_too_large = u32::from_be_bytes([a, b, c, d]) > MAX_WINDOW_BYTES;
    // RFC 9113 section 6.5.2.
    if u16::from_be_bytes(name) == INITIAL_WINDOW_SIZE && is_too_large {
        return Err(Reason::FLOW_CONTROL_ERROR);
    }
    Ok(())
}

/// How a client has ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// It has said all.
    EndStream,
    /// It has taken it back.
    Reset,
}

/// The streams that the client has ended last.
#[derive(Debug, Default)]
struct Ended {
    streams: VecDeque<(u32, By)>,
    /// The highest number of a stream that has begun: what has not begun has not ended.
    highest: u32,
}

impl Ended {
    /// Notes the end of a stream, and sees to it that nothing comes behind (RFC 9113 section 5.1).
    ///
    /// # Errors
    /// When something does. It may count as an error of the connection (section 5.4.2), and of a client that does not
    /// remember what it has said nothing good will come.
    fn check(&mut self, head: Head) -> Result<(), Reason> {
        let by = match head.kind {
            DATA | HEADERS => {
                match (self.end_of(head.stream), head.kind) {
                    (Some(By::EndStream), _) | (Some(By::Reset), HEADERS) => {
                        return Err(Reason::STREAM_CLOSED);
                    }
                    // Whoever reads the frames tells the client so on the stream.
                    (Some(By::Reset), _) => return Ok(()),
                    (None, _) if head.has(END_STREAM) => By::EndStream,
                    (None, _) => return Ok(()),
                }
            }
            RST_STREAM => By::Reset,
            _ => return Ok(()),
        };
        if self.streams.len() == MOST_ENDED {
            self.streams.pop_back();
        }
        // The newest first: it is the one that is looked for.
        self.streams.push_front((head.stream, by));
        Ok(())
    }

    /// How a stream has ended, if it has.
    fn end_of(&mut self, stream: u32) -> Option<By> {
        if stream > self.highest {
            self.highest = stream;
            return None;
        }
        self.streams.iter().find(|(ended, _)| *ended == stream).map(|(_, by)| *by)
    }
}

/// How many more of something a client may send.
#[derive(Debug)]
struct Allowance {
    left: u32,
    most: u32,
    per_second: u32,
    since: Instant,
}

impl Allowance {
    fn new(most: u32, per_second: u32, now: Instant) -> Self {
        Self { left: most, most, per_second, since: now }
    }

    fn grow(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.most);
    }

    /// # Errors
    /// When nothing is left.
    fn spend(&mut self, now: Instant) -> Result<(), Reason> {
        if self.left == 0 {
            let passed = now.saturating_duration_since(self.since);
            let earned = passed.as_millis() * u128::from(self.per_second) / 1_000;
            if earned > 0 {
                self.grow(u32::try_from(earned).unwrap_or(u32::MAX));
                self.since = now;
            }
        }
        self.left = self.left.checked_sub(1).ok_or(Reason::ENHANCE_YOUR_CALM)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
