//! A call of gRPC: how long its caller waits, and how he is told that it failed: in gRPC's own fields, with 200 as the status
//! of HTTP. Log and metrics have the gateway's refusal as it is for everybody.

use apigw_engine::{
    fields::Fields,
    grpc::{
        Dialect,
        status::{self, GRPC_STATUS, GrpcStatus},
        timeout::{self, GRPC_TIMEOUT},
    },
    rejection::{Answer, Rejection},
};
use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};

use super::{record::Record, response::Response, response_body::Source};
use crate::connection::deadlines::{Deadlines, Limit};

/// The dialect of a request with this content type.
pub(crate) fn dialect(method: &Method, media_type: Option<&HeaderValue>) -> Dialect {
    if *method == Method::POST { Dialect::of_media_type(media_type) } else { Dialect::Http }
}

/// Begins to wait for as long as the caller does.
///
/// # Errors
/// When he does not say how long that is.
pub(super) fn wait(dialect: Dialect, fields: &Fields, deadlines: &Deadlines) -> Result<(), Rejection> {
    if dialect.is_call()
        && let Some(time) = timeout::told_in(fields)?
    {
        deadlines.limit_exchange(time, Limit::Caller);
    }
    Ok(())
}

/// Tells an upstream how long a call may still take.
pub(super) fn tell_time_left(dialect: Dialect, fields: &mut Fields, deadlines: &Deadlines) {
    if dialect.is_call()
        && let Some(left) = deadlines.exchange_time_left()
    {
        fields.insert(GRPC_TIMEOUT, timeout::write(left));
    }
}

/// The answer to a call that is refused. It has no messages, and all is said in its head.
pub(super) fn refusal(rejection: &Rejection, answer: &Answer, record: &mut Record) -> Response<Source> {
    let mut response = Response::new(StatusCode::OK, Source::Own(Bytes::new()));
    response.headers = failure(rejection, answer, record);
    response.headers.insert(CONTENT_TYPE, record.dialect().media_type());
    response
}

/// The fields that tell a caller of a failure, in a head or in trailers. He is told what others are told in a body.
pub(super) fn failure(rejection: &Rejection, answer: &Answer, record: &mut Record) -> Fields {
    let status = GrpcStatus::from(rejection);
    record.set_call_status(status);
    let message = answer.body(record.route_name(), record.request_id().to_str().unwrap_or(""));
    status::fields(status, &message)
}

/// How a client learns that an answer breaks off which has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// By that.
    Breaking,
    /// By the status in trailers, where those of a call are awaited.
    Trailers,
}

impl Telling {
    /// For the answer to a request of this version.
    pub(super) fn of(record: &Record, version: Version, response: &Response<Source>) -> Self {
        let fields = &response.headers;
        let has_trailers = version == Version::HTTP_2
            && record.dialect() == Dialect::Grpc
            && Dialect::of(fields) == Dialect::Grpc
            // Told a length, the client would take trailers before it for a breach of the protocol.
            && !fields.contains_key(CONTENT_LENGTH);
        let has_said_all = fields.contains_key(GRPC_STATUS);
        let awaits_trailers = !has_said_all && (has_trailers || record.web_form().is_some());
        if awaits_trailers { Self::Trailers } else { Self::Breaking }
    }
}
