//! Frames as they are written (RFC 9113 section 6).

use apigw_transport::frames::{
    HEAD_BYTES, flag,
    kind::{CONTINUATION, DATA, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE},
};
use h2::Reason;

/// The largest payload, in either direction: what everybody takes without having said so (section 4.2).
pub(crate) const MAX_PAYLOAD_BYTES: usize = 16_384;

/// Whether anything follows on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Nothing does.
    Here,
    Later,
}

impl Ends {
    fn flag(self) -> u8 {
        match self {
            Self::Here => flag::END_STREAM,
            Self::Later => 0,
        }
    }
}

/// Names of settings (section 6.5.2; RFC 8441 section 3).
pub(crate) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

fn head(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEAD_BYTES] {
    let [_, high, middle, low] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let [a, b, c, d] = stream.to_be_bytes();
    [high, middle, low, kind, flags, a, b, c, d]
}

/// Adds settings, each of a name and a value.
pub(crate) fn settings(text: &mut Vec<u8>, settings: &[(u16, u32)]) {
    text.extend_from_slice(&head(6 * settings.len(), SETTINGS, 0, 0));
    for (name, value) in settings {
        text.extend_from_slice(&name.to_be_bytes());
        text.extend_from_slice(&value.to_be_bytes());
    }
}

/// Adds the word that the other's settings hold.
pub(crate) fn settings_taken(text: &mut Vec<u8>) {
    text.extend_from_slice(&head(0, SETTINGS, flag::ACK, 0));
}

/// Adds a question whether the other is there.
pub(crate) fn ping(text: &mut Vec<u8>, opaque: [u8; 8]) {
    text.extend_from_slice(&head(8, PING, 0, 0));
    text.extend_from_slice(&opaque);
}

/// Adds the answer to such a question.
pub(crate) fn pong(text: &mut Vec<u8>, opaque: [u8; 8]) {
    text.extend_from_slice(&head(8, PING, flag::ACK, 0));
    text.extend_from_slice(&opaque);
}

/// Adds a farewell. Nothing is done about what comes behind the last stream.
pub(crate) fn farewell(text: &mut Vec<u8>, last_stream: u32, reason: Reason) {
    text.extend_from_slice(&head(8, GOAWAY, 0, 0));
    text.extend_from_slice(&last_stream.to_be_bytes());
    text.extend_from_slice(&u32::from(reason).to_be_bytes());
}

/// Adds the end of a stream that is taken back.
pub(crate) fn reset(text: &mut Vec<u8>, stream: u32, reason: Reason) {
    text.extend_from_slice(&head(4, RST_STREAM, 0, stream));
    text.extend_from_slice(&u32::from(reason).to_be_bytes());
}

/// Adds that a window opens further, of a stream or (0) of the connection.
pub(crate) fn widen(text: &mut Vec<u8>, stream: u32, bytes: u32) {
    text.extend_from_slice(&head(4, WINDOW_UPDATE, 0, stream));
    text.extend_from_slice(&bytes.to_be_bytes());
}

/// Adds the head of a piece of a body, of at most [`MAX_PAYLOAD_BYTES`], which is to follow.
pub(crate) fn data(text: &mut Vec<u8>, stream: u32, bytes: usize, ends: Ends) {
    debug_assert!(bytes <= MAX_PAYLOAD_BYTES, "it would be too large");
    text.extend_from_slice(&head(bytes, DATA, ends.flag(), stream));
}

/// Adds a head, or trailers, that `encode` writes: in one frame, or in as many as it takes.
pub(crate) fn headers(text: &mut Vec<u8>, stream: u32, ends: Ends, encode: impl FnOnce(&mut Vec<u8>)) {
    let begin = text.len();
    text.extend_from_slice(&[0; HEAD_BYTES]);
    encode(text);
    let length = text.len() - begin - HEAD_BYTES;
    if length <= MAX_PAYLOAD_BYTES {
        let flags = flag::END_HEADERS | ends.flag();
        text[begin..begin + HEAD_BYTES].copy_from_slice(&head(length, HEADERS, flags, stream));
        return;
    }
    let block = text.split_off(begin + HEAD_BYTES);
    text.truncate(begin);
    let last = length.div_ceil(MAX_PAYLOAD_BYTES) - 1;
    for (number, part) in block.chunks(MAX_PAYLOAD_BYTES).enumerate() {
        let (kind, flags) = if number == 0 { (HEADERS, ends.flag()) } else { (CONTINUATION, 0) };
        let flags = if number == last { flags | flag::END_HEADERS } else { flags };
        text.extend_from_slice(&head(part.len(), kind, flags, stream));
        text.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use apigw_transport::frames::Head;

    use super::*;

    /// Heads of frames, and what they carry.
    fn read(mut text: &[u8]) -> Vec<(Head, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some((head, rest)) = text.split_first_chunk() {
            let head = Head::of(*head);
            let (payload, rest) = rest.split_at(head.length);
            frames.push((head, payload.to_vec()));
            text = rest;
        }
        frames
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<(Head, Vec<u8>)> {
        let mut text = b"".to_vec();
        write(&mut text);
        read(&text)
    }

    #[test]
    fn a_frame_says_what_it_is() {
        let one = |kind, flags, stream, payload: &[u8]| {
            vec![(Head { length: payload.len(), kind, flags, stream }, payload.to_vec())]
        };
        assert_eq!(written(|text| settings(text, &[(4, 70_000)])), one(4, 0, 0, &[0, 4, 0, 1, 0x11, 0x70]));
        assert_eq!(written(settings_taken), one(4, 1, 0, &[]));
        assert_eq!(written(|text| ping(text, *b"01234567")), one(6, 0, 0, b"01234567"));
        assert_eq!(written(|text| pong(text, *b"01234567")), one(6, 1, 0, b"01234567"));
        let calm = Reason::ENHANCE_YOUR_CALM;
        assert_eq!(written(|text| farewell(text, 7, calm)), one(7, 0, 0, &[0, 0, 0, 7, 0, 0, 0, 11]));
        assert_eq!(written(|text| reset(text, 5, Reason::CANCEL)), one(3, 0, 5, &[0, 0, 0, 8]));
        assert_eq!(written(|text| widen(text, 0, 256)), one(8, 0, 0, &[0, 0, 1, 0]));
        assert_eq!(written(|text| data(text, 3, 0, Ends::Here)), one(0, 1, 3, b""));
        let mut piece = Vec::new();
        data(&mut piece, 3, MAX_PAYLOAD_BYTES, Ends::Later);
        assert_eq!(piece, [0, 0x40, 0, 0, 0, 0, 0, 0, 3]);
    }

    #[test]
    fn a_head_has_as_many_frames_as_it_needs() {
        for length in [0, 1, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1, 3 * MAX_PAYLOAD_BYTES, 50_000] {
            let block: Vec<u8> = (0..=255).cycle().take(length).collect();
            let frames = written(|text| headers(text, 9, Ends::Here, |text| text.extend_from_slice(&block)));
            assert_eq!(frames.iter().flat_map(|(_, part)| part.clone()).collect::<Vec<_>>(), block);
            assert_eq!(frames.len(), length.div_ceil(MAX_PAYLOAD_BYTES).max(1));
            for (number, (head, _)) in frames.iter().enumerate() {
                assert_eq!((head.kind == HEADERS, head.stream), (number == 0, 9));
                assert_eq!(head.has(flag::END_HEADERS), number + 1 == frames.len());
                assert_eq!(head.has(flag::END_STREAM), number == 0);
            }
        }
    }
}
