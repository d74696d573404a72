//! What is fed with messages of HTTP/1, and what must hold whatever they are. Included where `crate::http1` is.

use apigw_engine::fields::Fields;
use bytes::Bytes;
use http::Method;
use std::{
    pin::Pin,
    task::{Context, Waker},
};

use crate::http1::{
    decoder::{Decoded, Decoder},
    head::{self, HeadSearch},
    length,
    read_buffer::ReadBuffer,
};

/// As much as a file may allow at least.
const MAX_HEAD_BYTES: usize = 4 << 10;

/// A request, and perhaps the beginning of the next one.
pub(crate) fn request(bytes: &[u8]) {
    let Some(end) = found(bytes) else { return };
    let Ok((head, length)) = head::parse_request(&Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(length, end, "{bytes:?}");
    if let Ok(length) = length::of_request(head.version, &head.headers) {
        is_read_alike(&bytes[end..], || Decoder::of_request(length));
    }
}

/// An answer to a GET.
pub(crate) fn response(bytes: &[u8]) {
    let Some(end) = found(bytes) else { return };
    let Ok((head, length)) = head::parse_response(&Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(length, end, "{bytes:?}");
    if let Ok(length) = length::of_response(&Method::GET, head.status, head.version, &head.headers) {
        is_read_alike(&bytes[end..], || Decoder::of_response(length));
    }
}

/// Where a head ends: in the same place however it comes.
fn found(bytes: &[u8]) -> Option<usize> {
    let whole = HeadSearch::default().find(bytes, MAX_HEAD_BYTES);
    let mut search = HeadSearch::default();
    let mut pieces = (0..=bytes.len()).map(|cut| search.find(&bytes[..cut], MAX_HEAD_BYTES));
    let in_pieces = pieces.find(|found| !matches!(found, Ok(None))).unwrap_or(Ok(None));
    match (whole, in_pieces) {
        // Which fault is told may depend on how much has come, not whether there is one.
        (Err(_), Err(_)) => None,
        (whole, in_pieces) => {
            assert_eq!(whole, in_pieces, "{bytes:?}");
            whole.unwrap_or(None)
        }
    }
}

/// What was made of a body.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    content: Vec<u8>,
    trailers: Option<Fields>,
    has_ended: bool,
    is_malformed: bool,
}

fn is_read_alike(bytes: &[u8], decoder: impl Fn() -> Decoder) {
    let whole = read(decoder(), bytes, bytes.len().max(1));
    for piece in [1, 7] {
        assert_eq!(read(decoder(), bytes, piece), whole, "{bytes:?} in pieces of {piece}");
    }
    assert!(whole.content.len() <= bytes.len());
}

fn read(mut decoder: Decoder, bytes: &[u8], piece: usize) -> Read {
    let (mut read, mut buffer) = (Read::default(), ReadBuffer::default());
    let mut pieces = bytes.chunks(piece);
    loop {
        match decoder.decode(&mut buffer) {
            Ok(Decoded::Content(content)) => read.content.extend_from_slice(&content),
            Ok(Decoded::Trailers(trailers)) => read.trailers = Some(trailers),
            Ok(Decoded::Incomplete) => match pieces.next() {
                Some(piece) => fill(&mut buffer, piece),
                None => break,
            },
            Ok(Decoded::End) => break,
            Err(_malformed) => {
                read.is_malformed = true;
                break;
            }
        }
        if decoder.has_ended() {
            break;
        }
    }
    read.has_ended = decoder.has_ended();
    read
}

fn fill(buffer: &mut ReadBuffer, mut bytes: &[u8]) {
    let mut context = Context::from_waker(Waker::noop());
    while !bytes.is_empty() {
        let filled = buffer.poll_fill(Pin::new(&mut bytes), &mut context);
        assert!(filled.is_ready(), "bytes in memory are there at once");
    }
}
