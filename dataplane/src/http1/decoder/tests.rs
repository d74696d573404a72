//! Bodies in pieces of every size.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::*;

/// A whole body out of pieces of so many bytes: its content, its trailers, what was left over.
#[expect(clippy::panic_in_result_fn, reason = "a test's assertions panic")]
fn decode(length: Length, text: &[u8], at_once: usize) -> Result<(Vec<u8>, usize, Vec<u8>), DecodeError> {
    let (mut decoder, mut buffer) = (Decoder::new(length), ReadBuffer::default());
    let (mut content, mut trailers) = (Vec::new(), 0);
    // No more than is read at once.
    let mut pieces = text.chunks(at_once.min(8 << 10));
    loop {
        match decoder.decode(&mut buffer)? {
            Decoded::Content(piece) => {
                assert!(!piece.is_empty());
                content.extend_from_slice(&piece);
            }
            Decoded::Trailers(fields) => trailers = fields.len(),
            Decoded::End => {
                assert!(decoder.has_ended());
                let rest = [buffer.as_slice(), &pieces.collect::<Vec<_>>().concat()].concat();
                return Ok((content, trailers, rest));
            }
            Decoded::Incomplete => match pieces.next() {
                Some(mut piece) => {
                    let mut task = Context::from_waker(Waker::noop());
                    let read: Poll<io::Result<usize>> = buffer.poll_fill(Pin::new(&mut piece), &mut task);
                    assert!(matches!(read, Poll::Ready(Ok(_))));
                }
                None => return Ok((content, usize::MAX, Vec::new())),
            },
        }
    }
}

fn check(length: Length, text: &str, expected: Result<(&str, usize, &str), DecodeError>) {
    for at_once in [1, 2, 3, 7, text.len().max(1)] {
        let decoded = decode(length, text.as_bytes(), at_once);
        let expected = expected.map(|(content, trailers, rest)| (content.into(), trailers, rest.into()));
        assert_eq!(decoded, expected, "{text:?} in pieces of {at_once}");
    }
}

#[test]
fn known_lengths_end_where_they_say() {
    check(Length::Known(0), "next", Ok(("", 0, "next")));
    check(Length::Known(5), "hellonext", Ok(("hello", 0, "next")));
    check(Length::Known(5), "hell", Ok(("hell", usize::MAX, "")));
}

#[test]
fn chunks_end_with_the_empty_one() {
    check(Length::Chunked, "5\r\nhello\r\n0\r\n\r\nnext", Ok(("hello", 0, "next")));
    check(
        Length::Chunked,
        "2\r\nab\r\n00A;x=\"y;z\" \r\n0123456789\r\n0;e\r\n\r\n",
        Ok(("ab0123456789", 0, "")),
    );
    check(Length::Chunked, "1 ;x\r\na\r\n0\r\nX: y\r\nZ: \r\n\r\nnext", Ok(("a", 2, "next")));
    check(Length::Chunked, "5\r\nhello\r\n", Ok(("hello", usize::MAX, "")));
}

#[test]
fn chunks_that_two_readers_could_read_differently_are_refused() {
    for (text, error) in [
        ("\r\n", DecodeError::ChunkSize),
        ("g\r\n", DecodeError::ChunkSize),
        ("-1\r\n", DecodeError::ChunkSize),
        ("+1\r\na\r\n", DecodeError::ChunkSize),
        ("0x1\r\na\r\n", DecodeError::ChunkSize),
        (" 1\r\na\r\n", DecodeError::ChunkSize),
        ("1 \r\na\r\n", DecodeError::ChunkSize),
        ("2 ef\r\naa\r\n", DecodeError::ChunkSize),
        ("1\na\n", DecodeError::ChunkSize),
        ("1;a\rb\r\na\r\n", DecodeError::ChunkSize),
        ("1;a\0b\r\na\r\n", DecodeError::ChunkSize),
        ("FFFFFFFFFFFFFFFF0\r\n", DecodeError::ChunkSize),
        ("1\r\nab\r\n", DecodeError::ChunkEnd),
        ("1\r\na\n0\r\n\r\n", DecodeError::ChunkEnd),
        ("0\r\nX: y\n\r\n", DecodeError::Trailers(HeadError::Malformed)),
        ("0\r\nX : y\r\n\r\n", DecodeError::Trailers(HeadError::Malformed)),
        ("0\r\n folded: y\r\n\r\n", DecodeError::Trailers(HeadError::Malformed)),
    ] {
        check(Length::Chunked, text, Err(error));
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let extension = |bytes: usize| format!("1;{}\r\na\r\n", "x".repeat(bytes));
    let decode =
        |text: String| decode(Length::Chunked, text.as_bytes(), 1 << 20).map(|(content, ..)| content.len());
    let longest = MAX_SIZE_LINE_BYTES - "1;\r".len();
    assert_eq!(decode(extension(longest)), Ok(1));
    assert_eq!(decode(extension(longest + 1)), Err(DecodeError::Extensions));
    assert_eq!(decode(extension(1_000).repeat(16)), Ok(16));
    assert_eq!(decode(extension(1_000).repeat(17)), Err(DecodeError::Extensions));
    // One byte in each chunk is a slow way to say much, but a legal one.
    assert!(decode("1\r\na\r\n".repeat(100_000)).is_ok());
    let trailers = |bytes: usize| format!("0\r\nX:{}\r\n\r\n", "x".repeat(bytes));
    assert!(decode(trailers(MAX_TRAILERS_BYTES - 10)).is_ok());
    assert_eq!(decode(trailers(MAX_TRAILERS_BYTES)), Err(DecodeError::Trailers(HeadError::TooLarge)));
}
