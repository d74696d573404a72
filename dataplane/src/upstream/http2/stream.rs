//! One request and its answer on a stream. Dropped before the end, the stream is reset, and the upstream knows that nobody
//! waits any more (RFC 9113 section 8.7).

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use apigw_config::names::Scheme;
use apigw_engine::{fields::Fields, head::RequestHead, rejection::UpstreamFailure};
use bytes::Bytes;
use h2::{Reason, RecvStream, client::ResponseFuture};
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version, header::HOST};
use http_body::Frame;

use super::{link::Place, upload::Upload};
use crate::{
    exchange::{request_body::RequestBody, response::Response},
    http1::{
        head::MAX_FIELDS,
        length::{self, Length},
    },
    upstream::answer::{Repetition, SendError, UpstreamBroken},
};

/// The most interim answers (1xx) before the answer.
const MAX_INTERIM_ANSWERS: usize = 100;

/// The body of an answer on a stream.
pub(crate) struct Http2Body {
    incoming: RecvStream,
    upload: Upload,
    /// None: its length was not told.
    remaining: Option<u64>,
    has_ended: bool,
    _place: Place,
}

/// Why there is no head of an answer.
enum NoAnswer {
    /// The stream, or its connection, ended.
    Ended(h2::Error),
    /// What came could not have come in HTTP/1.1.
    Malformed,
    /// The request's body broke first.
    RequestBody,
}

/// Sends a request and waits for the head of its answer.
///
/// # Errors
/// When the stream ends first, or what comes is no answer.
pub(in crate::upstream) async fn send(
    place: Place,
    scheme: Scheme,
    request: &RequestHead,
    body: RequestBody,
) -> Result<Response<Http2Body>, Box<SendError>> {
    use http_body::Body as _;
    let Some(head) = head(scheme, request) else {
        return Err(unsent(UpstreamFailure::Malformed, body, Repetition::Unwise).into());
    };
    let (mut answer, stream) = match place.sender().send_request(head, body.is_end_stream()) {
        Ok(sent) => sent,
        // It was never begun, since the connection has ended meanwhile.
        Err(_ended) => return Err(unsent(UpstreamFailure::Reset, body, Repetition::Safe).into()),
    };
    let mut upload = Upload::new(stream, body);
    let mut interim_answers = 0;
    let received = poll_fn(|context| {
        if let Poll::Ready(Err(_broken)) = upload.poll(context) {
            return Poll::Ready(Err(NoAnswer::RequestBody));
        }
        poll_answer(&mut answer, &mut interim_answers, context)
    })
    .await;
    let received = received.and_then(|response| {
        let Response { status, headers, body: incoming } = Response::from(response);
        let remaining = length(&request.method, status, &headers, &incoming).ok_or(NoAnswer::Malformed)?;
        Ok(((status, headers), incoming, remaining))
    });
    match received {
        Ok(((status, headers), incoming, remaining)) => {
            upload.forget();
            place.prove();
            let has_ended = incoming.is_end_stream() || is_bodiless(&request.method, status);
            let body = Http2Body { incoming, upload, remaining, has_ended, _place: place };
            Ok(Response { status, headers, body })
        }
        Err(error) => {
            let (failure, repetition) = judge(&error, &place);
            Err(Box::new(SendError { failure, untouched: upload.into_untouched(), repetition }))
        }
    }
}

fn unsent(failure: UpstreamFailure, body: RequestBody, repetition: Repetition) -> SendError {
    SendError { failure, untouched: Some(body), repetition }
}

/// The head as HTTP/2 has it: `Host` is `:authority` (RFC 9113 section 8.3.1), and nothing is said of the connection.
fn head(scheme: Scheme, request: &RequestHead) -> Option<Request<()>> {
    let authority = request.headers.get(HOST)?;
    let target = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let scheme = match scheme {
        Scheme::Http => http::uri::Scheme::HTTP,
        Scheme::Https => http::uri::Scheme::HTTPS,
    };
    let uri = Uri::builder().scheme(scheme).authority(authority.as_bytes()).path_and_query(target);
    let mut head = Request::new(());
    *head.method_mut() = request.method.clone();
    *head.uri_mut() = uri.build().ok()?;
    *head.version_mut() = Version::HTTP_2;
    *head.headers_mut() = request.headers.clone().into();
    head.headers_mut().remove(HOST);
    Some(head)
}

fn poll_answer(
    answer: &mut ResponseFuture,
    interim_answers: &mut usize,
    context: &mut Context<'_>,
) -> Poll<Result<http::Response<RecvStream>, NoAnswer>> {
    while let Some(interim) = ready!(answer.poll_informational(context)) {
        interim.map_err(NoAnswer::Ended)?;
        *interim_answers += 1;
        if *interim_answers > MAX_INTERIM_ANSWERS {
            return Poll::Ready(Err(NoAnswer::Malformed));
        }
    }
    Pin::new(answer).poll(context).map_err(NoAnswer::Ended)
}

/// The length of an answer's body, where it is known. None: HTTP/1.1 would not let it pass.
#[expect(clippy::option_option, reason = "no answer, and one of a length that is not known")]
fn length(
    method: &Method,
    status: StatusCode,
    headers: &Fields,
    incoming: &RecvStream,
) -> Option<Option<u64>> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_trimmed =
        |value: &HeaderValue| !is_space(value.as_bytes().first()) && !is_space(value.as_bytes().last());
    let is_legal = status.as_u16() < 600
        && status != StatusCode::SWITCHING_PROTOCOLS
        && headers.len() <= MAX_FIELDS
        && headers.iter().all(|(_, value)| is_trimmed(value));
    if !is_legal {
        return None;
    }
    match length::of_response(method, status, Version::HTTP_11, headers).ok()? {
        Length::Known(bytes) if incoming.is_end_stream() && bytes > 0 => None,
        Length::Known(bytes) => Some(Some(bytes)),
        Length::UntilClose if incoming.is_end_stream() => Some(Some(0)),
        Length::UntilClose | Length::Chunked => Some(None),
    }
}

/// Whether an answer has no body, whatever follows its head.
fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// What there is to say of a request without an answer.
fn judge(error: &NoAnswer, place: &Place) -> (UpstreamFailure, Repetition) {
    let error = match error {
        NoAnswer::RequestBody => return (UpstreamFailure::Reset, Repetition::Unwise),
        NoAnswer::Malformed => return (UpstreamFailure::Malformed, Repetition::Unwise),
        NoAnswer::Ended(error) => error,
    };
    // A farewell that does not count this stream, or a stream that was refused (RFC 9113 section 8.7).
    let is_unseen =
        error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM));
    if error.is_library() {
        (UpstreamFailure::Malformed, Repetition::Unwise)
    } else if is_unseen {
        (UpstreamFailure::Reset, Repetition::Safe)
    } else if place.is_proven() && !error.is_reset() {
        (UpstreamFailure::Reset, Repetition::OfIdempotent)
    } else {
        (UpstreamFailure::Reset, Repetition::Unwise)
    }
}

impl Http2Body {
    /// Lets what the client still sends go on. What fails is found when the answer is asked for next.
    pub(in crate::upstream) fn poll_upload(&mut self, context: &mut Context<'_>) {
        let _ = self.upload.poll(context);
    }

    /// Whether nothing follows.
    pub(in crate::upstream) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// How many bytes follow, where that is known.
    pub(in crate::upstream) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBroken>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Err(_broken)) = self.upload.poll(context) {
            return Poll::Ready(Some(Err(UpstreamBroken::RequestBody)));
        }
        let frame = match ready!(self.incoming.poll_data(context)) {
            Some(Ok(bytes)) => {
                // Whoever asks has room for it, so as much again may come. It fails only where the stream is gone.
                let _ = self.incoming.flow_control().release_capacity(bytes.len());
                self.remaining = self.remaining.map(|rest| rest.saturating_sub(bytes.len() as u64));
                self.has_ended = self.incoming.is_end_stream();
                Some(Ok(Frame::data(bytes)))
            }
            Some(Err(_broken)) => Some(Err(UpstreamBroken::Truncated)),
            None => match ready!(self.incoming.poll_trailers(context)) {
                Ok(fields) => {
                    self.has_ended = true;
                    fields.map(|fields| Ok(Frame::trailers(fields)))
                }
                Err(_broken) => Some(Err(UpstreamBroken::Truncated)),
            },
        };
        Poll::Ready(frame)
    }
}
