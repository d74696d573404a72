//! What is fed with what clients of HTTP/2 send, and what must hold whatever it is. Included where `crate::http1` and
//! `crate::http2` are.

use bytes::Bytes;
use h2::Reason;
use http::{HeaderName, Method, header::HOST};
use tokio::time::Instant;

use crate::{
    http1::read_buffer::ReadBuffer,
    http2::{
        frame::Ends,
        head::{Gathering, Head},
        hpack::decoder::Decoder,
        reader::{Incoming, Reader},
    },
};

/// As much as a file may allow at least.
const MAX_HEAD_BYTES: usize = 4 << 10;

/// What stops at a gateway.
const OF_A_CONNECTION: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// What was made of a client's words.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    frames: Vec<Incoming>,
    bodies: Vec<u8>,
    /// Of requests, as HTTP/1.1 would have them.
    heads: Vec<String>,
    fault: Option<Reason>,
}

/// Frames of one connection, behind its preface. They are the same however they come.
pub(crate) fn frames(bytes: &[u8]) {
    let whole = said(bytes, bytes.len().max(1));
    for piece in [1, 7] {
        assert_eq!(said(bytes, piece), whole, "{bytes:?} in pieces of {piece}");
    }
    assert!(whole.bodies.len() <= bytes.len());
}

/// What is made of it when so many bytes come at a time.
fn said(bytes: &[u8], piece: usize) -> Heard {
    let now = Instant::now();
    let (mut client, mut decoder) = (Reader::new(now), Decoder::new(4_096));
    let (mut made, mut buffer) = (Heard::default(), ReadBuffer::default());
    for part in bytes.chunks(piece) {
        buffer.extend(part);
        loop {
            match client.next(&mut buffer, now) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    match &frame {
                        Incoming::Data { content, padding, .. } => {
                            assert!(content + padding.behind <= buffer.len(), "{bytes:?}");
                            made.bodies.extend_from_slice(&buffer.take(*content));
                            buffer.discard(padding.behind);
                        }
                        Incoming::Head { block, ends, .. } => match head(&mut decoder, block, *ends) {
                            Ok(head) => made.heads.extend(head),
                            Err(reason) => return Heard { fault: Some(reason), ..made },
                        },
                        _ => {}
                    }
                    made.frames.push(frame);
                }
                Err(reason) => return Heard { fault: Some(reason), ..made },
            }
        }
    }
    made
}

fn head(decoder: &mut Decoder, block: &Bytes, ends: Ends) -> Result<Option<String>, Reason> {
    let mut gathering = Gathering::new(MAX_HEAD_BYTES);
    decoder.decode(block, |field| gathering.take(field)).map_err(|_broken| Reason::COMPRESSION_ERROR)?;
    Ok(gathering.into_head(ends).ok().map(|head| as_http11(&head, ends)))
}

/// What a head says, all of which HTTP/1.1 could say.
fn as_http11(Head { request, length, protocol }: &Head, ends: Ends) -> String {
    let target = request.uri.to_string();
    let is_tunnel = request.method == Method::CONNECT && protocol.is_none();
    assert!(is_tunnel || target.starts_with('/') || target == "*", "{target}");
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
    let names = || request.headers.keys().map(HeaderName::as_str);
    assert!(names().all(|name| !OF_A_CONNECTION.contains(&name)), "{request:?}");
    assert!(names().filter(|name| *name == "cookie").count() <= 1, "{request:?}");
    assert!(ends == Ends::Later || length.unwrap_or(0) == 0, "{request:?}");
    let bytes: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert!(bytes <= MAX_HEAD_BYTES, "{bytes}");
    format!("{} {target} {:?} {length:?}", request.method, request.headers.get(HOST))
}
