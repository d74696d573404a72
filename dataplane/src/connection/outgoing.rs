//! An answer on its way to the client: its head, then its body as it comes, each written as soon as the client takes it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, DATE},
};
use http_body::Body as _;

use super::client_io::ClientIo;
use crate::{
    exchange::{response::Response, response_body::ResponseBody},
    http1::{
        encoder::{self, Encoder},
        length::Length,
        persistence::lists,
    },
};

/// What a request says of its answer's form.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// What the client understands.
    pub(super) version: Version,
    /// Whether the client wants no further answer on this connection.
    pub(super) is_last: bool,
    pub(super) takes_trailers: bool,
}

/// An answer that has begun.
pub(super) struct Outgoing {
    /// None: nothing more will come of it.
    body: Option<ResponseBody>,
    encoder: Encoder,
    is_last: bool,
    takes_trailers: bool,
    /// Whether the upstream has broken off: what has come of the answer goes out, and the end does not.
    is_broken: bool,
}

/// The answer cannot be brought to its end; the connection's end tells the client.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client is gone.
    Client,
    /// The upstream has broken off, and the client has all that came before.
    Upstream,
}

/// The upstream has broken off.
#[derive(Debug)]
struct BrokenOff;

impl Outgoing {
    /// Puts the head where it waits to be written.
    pub(super) fn begin(
        response: Response<ResponseBody>,
        asked: &Asked,
        io: &ClientIo,
        date: &HeaderValue,
    ) -> Self {
        let Response { status, headers, body } = response;
        let length = length(asked, status, &body);
        let encoder = Encoder::new(length.unwrap_or(Length::Known(0)));
        let is_last =
            asked.is_last || encoder.ends_with_connection() || lists(&headers, &CONNECTION, b"close");
        let mut outgoing = io.outgoing();
        let text = outgoing.text();
        encoder::status_line(text, status);
        // Without a body, the length is that of the body there would be, and of a 204 there is none (RFC 9110 section 8.6).
        let keeps_length = asked.method == Method::HEAD && status != StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        encoder::fields(text, &headers, |name| {
            *name == CONNECTION || (*name == CONTENT_LENGTH && !keeps_length)
        });
        if !headers.contains_key(DATE) {
            encoder::field(text, &DATE, date.as_bytes());
        }
        if is_last {
            text.extend_from_slice(b"connection: close\r\n");
        } else if asked.version != Version::HTTP_11 {
            text.extend_from_slice(b"connection: keep-alive\r\n");
        }
        encoder::end_of_head(text, length);
        let body = (length.is_some() && !body.is_end_stream()).then_some(body);
        Self { body, encoder, is_last, takes_trailers: asked.takes_trailers, is_broken: false }
    }

    /// Whether the connection is to end with this answer.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Whether the connection's end is the answer's.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.encoder.ends_with_connection()
    }

    /// Writes until all of it has gone.
    pub(super) fn poll(&mut self, io: &ClientIo, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let gathered = if self.is_broken { Err(BrokenOff) } else { self.gather(io, context) };
            let flushed = io.poll_flush(context);
            match (gathered, flushed) {
                (_, Poll::Ready(Err(_))) => return Poll::Ready(Err(Broken::Client)),
                (Err(BrokenOff), Poll::Ready(Ok(()))) => return Poll::Ready(Err(Broken::Upstream)),
                (Err(BrokenOff), Poll::Pending) => {
                    (self.is_broken, self.body) = (true, None);
                    return io.poll_gone(context).map(|()| Err(Broken::Client));
                }
                (Ok(Gathered::End), Poll::Ready(Ok(()))) => return Poll::Ready(Ok(())),
                (Ok(Gathered::Full), Poll::Ready(Ok(()))) => {}
                (Ok(gathered), flushed) => {
                    if let (Some(body), Gathered::Full) = (&mut self.body, gathered)
                        && flushed.is_pending()
                    {
                        body.poll_upload(context);
                    }
                    return io.poll_gone(context).map(|()| Err(Broken::Client));
                }
            }
        }
    }

    /// Puts as much of the body as there is and as there is room for where it waits to be written.
    fn gather(&mut self, io: &ClientIo, context: &mut Context<'_>) -> Result<Gathered, BrokenOff> {
        while let Some(body) = &mut self.body {
            let mut outgoing = io.outgoing();
            // What is overdue ends, although the client takes nothing.
            if !outgoing.has_room() && !body.is_overdue() {
                return Ok(Gathered::Full);
            }
            drop(outgoing);
            let polled = Pin::new(&mut *body).poll_frame(context);
            outgoing = io.outgoing();
            let frame = match polled {
                Poll::Pending => return Ok(Gathered::Awaited),
                Poll::Ready(frame) => frame.transpose().map_err(|_broken| BrokenOff)?,
            };
            let trailers = match frame.map(http_body::Frame::into_data) {
                Some(Ok(bytes)) => {
                    self.encoder.content(bytes, &mut outgoing).map_err(|_mismatch| BrokenOff)?;
                    if !body.is_end_stream() {
                        continue;
                    }
                    None
                }
                Some(Err(frame)) => frame.into_trailers().ok().filter(|_| self.takes_trailers),
                None => None,
            };
            self.encoder.end(trailers.as_ref(), &mut outgoing).map_err(|_mismatch| BrokenOff)?;
            // Its exchange ends here, before the client can see the last byte: whoever asks next finds it counted.
            self.body = None;
        }
        Ok(Gathered::End)
    }
}

/// How far the body could be gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gathered {
    End,
    /// There was no more room.
    Full,
    /// More is to come.
    Awaited,
}

/// How the length of the answer's body is told; none: it has no body, whatever its fields say.
fn length(asked: &Asked, status: StatusCode, body: &ResponseBody) -> Option<Length> {
    if asked.method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return None;
    }
    Some(match body.size_hint().exact() {
        Some(bytes) => Length::Known(bytes),
        None if asked.version == Version::HTTP_11 => Length::Chunked,
        None => Length::UntilClose,
    })
}
