//! Whether an answer is compressed and what its head says of that (RFC 9110 sections 8.4 and 12.5). Compressing it is not done
//! here.

/// What clients say they take.
mod accepted;

use apigw_config::{
    model::Compression,
    names::{ContentCoding, ContentCodings, MediaRanges},
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
        VARY,
    },
};

use self::accepted::Accepted;
use crate::fields::Fields;

/// Of one route.
#[derive(Debug)]
pub struct CompressionRules {
    codings: ContentCodings,
    min_bytes: u64,
    content_types: MediaRanges,
}

impl From<&Compression> for CompressionRules {
    fn from(Compression { algorithms, min_bytes, content_types }: &Compression) -> Self {
        Self { codings: algorithms.clone(), min_bytes: min_bytes.get(), content_types: content_types.clone() }
    }
}

/// What only holds of the bytes that an upstream has sent: the content's coding, its range, and digests of it (RFC 9530).
const OF_THE_BYTES: [HeaderName; 6] = [
    CONTENT_ENCODING,
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Streams, whose readers wait for each piece, and calls, which have a compression of their own.
const NEVER: [&str; 5] = [
    "text/event-stream",
    "multipart/x-mixed-replace",
    "application/grpc",
    "application/grpc-web",
    "application/grpc-web-text",
];

impl CompressionRules {
    /// The coding that a client is given an answer in; none: it is given none of the route's.
    #[must_use]
    pub fn preferred(&self, request: &Fields) -> Option<ContentCoding> {
        // Whoever asks for it wants what the upstream has (RFC 9111 section 5.2.1.6).
        if forbids_transforming(request) {
            return None;
        }
        Accepted::of(request).best(self.codings.as_slice())
    }

    /// Whether an answer with this head is compressed for clients that take it. A 304 stands for such an answer, as far as
    /// it tells.
    #[must_use]
    pub fn concern(&self, status: StatusCode, answer: &Fields) -> bool {
        if OF_THE_BYTES.iter().any(|name| answer.contains_key(name)) || forbids_transforming(answer) {
            return false;
        }
        match status {
            // It need not say of what type the content is that it does not have (RFC 9110 section 15.4.5).
            StatusCode::NOT_MODIFIED => {
                answer.get(CONTENT_TYPE).is_none_or(|media_type| self.is_of_type(media_type))
            }
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT => false,
            _ if status.is_informational() => false,
            _ => {
                !self.is_short(answer)
                    && answer.get(CONTENT_TYPE).is_some_and(|media_type| self.is_of_type(media_type))
            }
        }
    }

    fn is_short(&self, answer: &Fields) -> bool {
        let length = answer.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        length.is_some_and(|length| length < self.min_bytes)
    }

    fn is_of_type(&self, media_type: &HeaderValue) -> bool {
        let Ok(text) = media_type.to_str() else { return false };
        let essence = text.split(';').next().unwrap_or_default().trim();
        let kind = essence.split('+').next().unwrap_or_default();
        !NEVER.iter().any(|never| never.eq_ignore_ascii_case(kind)) && self.content_types.contains(essence)
    }
}

/// Whether nobody on the way may change the content.
fn forbids_transforming(message: &Fields) -> bool {
    let directives =
        message.get_all(CACHE_CONTROL).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    directives.into_iter().any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// Has caches keep the answer for those alone who take the same codings (RFC 9110 section 12.5.5).
pub fn tell_that_it_varies(answer: &mut Fields) {
    let is_told = answer
        .get_all(VARY)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"));
    if !is_told {
        answer.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// Makes the tag of an answer one that says no more than that the meaning is the same: its bytes are not those that the
/// upstream has given it to (RFC 9110 section 8.8.3).
pub fn weaken_tag(answer: &mut Fields) {
    let Some(tag) = answer.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else { return };
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => answer.insert(ETAG, weak),
        // It would no longer be one.
        Err(_) => answer.remove(ETAG),
    }
}

/// Has the head say that the content is in this coding. Of its length nothing is known, and of its ranges neither: those
/// that an upstream gives are of its own bytes.
pub fn tell_coding(answer: &mut Fields, coding: ContentCoding) {
    answer.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    answer.remove(CONTENT_LENGTH);
    answer.remove(ACCEPT_RANGES);
    weaken_tag(answer);
}

#[cfg(test)]
mod tests;
