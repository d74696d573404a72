//! Frames as they come from a client (RFC 9113 sections 4 and 6): each whole, and heads put together from the frames that they
//! come in. What a frame means to its stream is not known here.

use apigw_transport::frames::{
    Conduct, HEAD_BYTES, Head, MAX_WINDOW_BYTES, flag,
    kind::{
        CONTINUATION, DATA, GOAWAY, HEADERS, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
        WINDOW_UPDATE,
    },
};
use bytes::{Bytes, BytesMut};
use h2::Reason;
use tokio::time::Instant;

use super::frame::{Ends, MAX_PAYLOAD_BYTES, setting};
use crate::http1::read_buffer::ReadBuffer;

/// The most frames that a head may go on in. All that heads may have fits in five; what comes in crumbs is a flood
/// (CVE-2024-27316 and its kin).
const MAX_CONTINUATIONS: usize = 8;

/// How many bytes say what a stream depends on.
const PRIORITY_BYTES: usize = 5;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A piece of a body. So many bytes of it stand in front of what has come, then so many of padding; they are to be taken
    /// before anything else is read.
    Data {
        stream: u32,
        content: usize,
        padding: Padding,
        ends: Ends,
    },
    /// A head, or trailers.
    Head {
        stream: u32,
        block: Bytes,
        ends: Ends,
    },
    /// A head of a stream, or a priority of one, that is said to depend on itself. The head must be read all the same.
    Circular {
        stream: u32,
        block: Option<Bytes>,
    },
    Reset {
        stream: u32,
    },
    Settings(Settings),
    Ping([u8; 8]),
    /// The answer to a ping of ours.
    Pong([u8; 8]),
    Farewell,
    /// A window opens, of a stream or (0) of the connection.
    Widen {
        stream: u32,
        bytes: u32,
    },
    /// Something that is no concern of ours.
    Nothing,
}

/// What of a frame's length is no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Padding {
    /// Behind the content.
    pub(crate) behind: usize,
    /// With its own length, which stood in front: what a window counts (RFC 9113 section 6.1).
    pub(crate) counted: usize,
}

/// What a client has settled on; none: as before. What is not named here says nothing to a server like this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) table_bytes: Option<TableBytes>,
    pub(crate) window_bytes: Option<u32>,
}

/// How large a table of fields is. Of several values both are heeded (RFC 7541 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableBytes {
    pub(crate) least: u32,
    pub(crate) last: u32,
}

/// Reads frames.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) conduct: Conduct,
    /// A head that goes on in the next frame.
    unfinished: Option<Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    stream: u32,
    ends: Ends,
    is_circular: bool,
    block: BytesMut,
    continuations: usize,
}

/// Where the content of a padded frame lies in its payload.
struct Place {
    begin: usize,
    end: usize,
}

impl Reader {
    /// Of a connection whose preface has come.
    pub(crate) fn new(now: Instant) -> Self {
        Self { conduct: Conduct::new(now), unfinished: None }
    }

    /// Takes the next frame; none: it has not come whole yet.
    ///
    /// # Errors
    /// What the connection is to end with.
    pub(crate) fn next(&mut self, read: &mut ReadBuffer, now: Instant) -> Result<Option<Incoming>, Reason> {
        let Some((head, payload)) = read.as_slice().split_first_chunk() else { return Ok(None) };
        let head = Head::of(*head);
        if head.length > MAX_PAYLOAD_BYTES {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        if payload.len() < head.length {
            return Ok(None);
        }
        self.check_order(head)?;
        self.conduct.judge(head, now)?;
        let payload = &payload[..head.length];
        let incoming = match head.kind {
            DATA => {
                let Place { begin, end } = content(head, payload)?;
                let behind = head.length - end;
                read.discard(HEAD_BYTES + begin);
                let padding = Padding { behind, counted: begin + behind };
                let (content, ends) = (end - begin, ends(head));
                return Ok(Some(Incoming::Data { stream: of_a_stream(head)?, content, padding, ends }));
            }
            HEADERS | CONTINUATION => return self.head(head, read),
            PRIORITY => {
                let stream = of_a_stream(head)?;
                if dependency(payload) == Some(stream) {
                    Incoming::Circular { stream, block: None }
                } else {
                    Incoming::Nothing
                }
            }
            RST_STREAM => Incoming::Reset { stream: of_a_stream(head)? },
            SETTINGS => {
                of_the_connection(head)?;
                if head.has(flag::ACK) { Incoming::Nothing } else { Incoming::Settings(settings(payload)?) }
            }
            PUSH_PROMISE => return Err(Reason::PROTOCOL_ERROR),
            PING => {
                of_the_connection(head)?;
                let opaque = payload.try_into().map_err(|_length| Reason::FRAME_SIZE_ERROR)?;
                if head.has(flag::ACK) { Incoming::Pong(opaque) } else { Incoming::Ping(opaque) }
            }
            GOAWAY => {
                of_the_connection(head)?;
                Incoming::Farewell
            }
            WINDOW_UPDATE => {
                let bytes = number(payload).ok_or(Reason::FRAME_SIZE_ERROR)? & MAX_WINDOW_BYTES;
                Incoming::Widen { stream: head.stream, bytes }
            }
            // RFC 9113 section 5.5.
            _ => Incoming::Nothing,
        };
        read.discard(HEAD_BYTES + head.length);
        Ok(Some(incoming))
    }

    /// Nothing comes between the frames of a head, and a head goes on where one began (RFC 9113 section 6.10).
    fn check_order(&self, head: Head) -> Result<(), Reason> {
        let goes_on = self.unfinished.as_ref().map(|unfinished| unfinished.stream);
        match (goes_on, head.kind) {
            (Some(stream), CONTINUATION) if stream == head.stream => Ok(()),
            (Some(_), _) | (None, CONTINUATION) => Err(Reason::PROTOCOL_ERROR),
            (None, _) => Ok(()),
        }
    }

    /// A frame of a head; nothing to tell until it is the last.
    fn head(&mut self, head: Head, read: &mut ReadBuffer) -> Result<Option<Incoming>, Reason> {
        let stream = of_a_stream(head)?;
        let payload = &read.as_slice()[HEAD_BYTES..HEAD_BYTES + head.length];
        let Place { mut begin, end } = content(head, payload)?;
        let mut is_circular = false;
        if head.kind == HEADERS && head.has(flag::PRIORITY) {
            is_circular = dependency(&payload[begin..end]) == Some(stream);
            begin += PRIORITY_BYTES;
            if begin > end {
                return Err(Reason::PROTOCOL_ERROR);
            }
        }
        let is_last = head.has(flag::END_HEADERS);
        let Some(mut unfinished) = self.unfinished.take() else {
            if is_last {
                read.discard(HEAD_BYTES + begin);
                let block = read.take(end - begin);
                read.discard(head.length - end);
                return Ok(Some(whole(stream, block, ends(head), is_circular)));
            }
            let (ends, block) = (ends(head), BytesMut::from(&payload[begin..end]));
            read.discard(HEAD_BYTES + head.length);
            self.unfinished = Some(Unfinished { stream, ends, is_circular, block, continuations: 0 });
            return Ok(Some(Incoming::Nothing));
        };
        unfinished.block.extend_from_slice(payload);
        unfinished.continuations += 1;
        read.discard(HEAD_BYTES + head.length);
        if is_last {
            let Unfinished { stream, ends, is_circular, block, .. } = unfinished;
            return Ok(Some(whole(stream, block.freeze(), ends, is_circular)));
        }
        if unfinished.continuations == MAX_CONTINUATIONS {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        self.unfinished = Some(unfinished);
        Ok(Some(Incoming::Nothing))
    }
}

fn whole(stream: u32, block: Bytes, ends: Ends, is_circular: bool) -> Incoming {
    if is_circular {
        Incoming::Circular { stream, block: Some(block) }
    } else {
        Incoming::Head { stream, block, ends }
    }
}

fn ends(head: Head) -> Ends {
    if head.has(flag::END_STREAM) { Ends::Here } else { Ends::Later }
}

/// Where the content lies between what says how long the padding is and the padding (RFC 9113 section 6.1).
fn content(head: Head, payload: &[u8]) -> Result<Place, Reason> {
    if !head.has(flag::PADDED) || head.kind == CONTINUATION {
        return Ok(Place { begin: 0, end: payload.len() });
    }
    let (&padding, rest) = payload.split_first().ok_or(Reason::FRAME_SIZE_ERROR)?;
    let content = rest.len().checked_sub(padding.into()).ok_or(Reason::PROTOCOL_ERROR)?;
    Ok(Place { begin: 1, end: 1 + content })
}

/// What a stream is said to depend on, which is looked at only for whether it is the stream itself (RFC 7540 section 5.3.1).
fn dependency(payload: &[u8]) -> Option<u32> {
    number(payload.get(..4)?).map(|stream| stream & MAX_WINDOW_BYTES)
}

fn of_a_stream(head: Head) -> Result<u32, Reason> {
    if head.stream == 0 { Err(Reason::PROTOCOL_ERROR) } else { Ok(head.stream) }
}

fn of_the_connection(head: Head) -> Result<(), Reason> {
    if head.stream == 0 { Ok(()) } else { Err(Reason::PROTOCOL_ERROR) }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// Settings that can be (RFC 9113 section 6.5.2); of several values the last holds.
fn settings(payload: &[u8]) -> Result<Settings, Reason> {
    let mut settings = Settings::default();
    for &[a, b, c, d, e, f] in payload.as_chunks().0 {
        let value = u32::from_be_bytes([c, d, e, f]);
        match u16::from_be_bytes([a, b]) {
            setting::HEADER_TABLE_SIZE => {
                let least = settings.table_bytes.map_or(value, |before| before.least.min(value));
                settings.table_bytes = Some(TableBytes { least, last: value });
            }
            setting::ENABLE_PUSH | setting::ENABLE_CONNECT_PROTOCOL if value > 1 => {
                return Err(Reason::PROTOCOL_ERROR);
            }
            setting::INITIAL_WINDOW_SIZE if value > MAX_WINDOW_BYTES => {
                return Err(Reason::FLOW_CONTROL_ERROR);
            }
            setting::INITIAL_WINDOW_SIZE => settings.window_bytes = Some(value),
            setting::MAX_FRAME_SIZE if !(16_384..1 << 24).contains(&value) => {
                return Err(Reason::PROTOCOL_ERROR);
            }
            _ => {}
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests;
