//! gRPC-Web (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>), translated for upstreams that speak gRPC: messages
//! are the same in both, but for base64 where browsers want text; trailers, which browsers do not show to pages, are one more
//! message at the end.

use apigw_config::model::Protocol;
use apigw_engine::{
    fields::Fields,
    grpc::{self, Dialect, WebForm},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_TYPE, TE},
};

use super::request_body::RequestBody;

/// Marks a message as the trailers.
const TRAILERS: u8 = 0x80;

/// How a request is to be translated, if it is; gRPC itself needs HTTP/2, so whoever does not speak it gets what was sent.
pub(super) fn asked(dialect: Dialect, protocol: Protocol) -> Option<WebForm> {
    match (dialect, protocol) {
        (Dialect::GrpcWeb(form), Protocol::Http2) => Some(form),
        _ => None,
    }
}

/// Makes a request one of gRPC, where it comes in this form.
pub(super) fn translate_request(
    form: Option<WebForm>,
    fields: &mut Fields,
    body: RequestBody,
) -> RequestBody {
    let Some(form) = form else { return body };
    if let Some(media_type) =
        fields.get(CONTENT_TYPE).and_then(|value| grpc::translated(value, Dialect::Grpc))
    {
        fields.insert(CONTENT_TYPE, media_type);
    }
    fields.insert(TE, HeaderValue::from_static("trailers"));
    match form {
        WebForm::Binary => body,
        WebForm::Text => {
            fields.remove(CONTENT_LENGTH);
            body.decoded()
        }
    }
}

/// Makes the head of an answer in gRPC one of gRPC-Web. None: it is no such answer, or not to be one, and remains what it is.
pub(super) fn translate_answer(form: Option<WebForm>, fields: &mut Fields) -> Option<WebForm> {
    let form = form?;
    let media_type = fields.get(CONTENT_TYPE).filter(|_| Dialect::of(fields) == Dialect::Grpc)?;
    let media_type = grpc::translated(media_type, Dialect::GrpcWeb(form))?;
    fields.insert(CONTENT_TYPE, media_type);
    fields.remove(CONTENT_LENGTH);
    Some(form)
}

/// A piece of messages as it is told in this form. Each piece is a text of its own, so that none waits for the next.
pub(super) fn encode(form: WebForm, piece: Bytes) -> Bytes {
    match form {
        WebForm::Binary => piece,
        WebForm::Text => STANDARD.encode(piece).into(),
    }
}

/// Trailers as a message.
pub(super) fn encode_trailers(form: WebForm, fields: &HeaderMap) -> Bytes {
    let mut lines = BytesMut::new();
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.put_slice(part);
        }
    }
    let mut message = BytesMut::with_capacity(5 + lines.len());
    message.put_u8(TRAILERS);
    message.put_u32(u32::try_from(lines.len()).expect("a head's bound is far below 2^32 bytes"));
    message.put(lines);
    encode(form, message.freeze())
}

/// What has come of a body in base64 that no byte can be made of yet.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    digits: Vec<u8>,
}

/// A body is not base64.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotBase64;

/// So many digits are three bytes, or the last ones before padding.
const QUANTUM: usize = 4;

impl Base64 {
    /// Whether nothing is left over.
    pub(super) fn is_even(&self) -> bool {
        self.digits.is_empty()
    }

    /// Makes bytes of what has come. Texts may follow each other, each with padding of its own.
    ///
    /// # Errors
    /// When it cannot be base64.
    pub(super) fn decode(&mut self, text: &[u8]) -> Result<Bytes, NotBase64> {
        self.digits.extend_from_slice(text);
        let whole = self.digits.len() - self.digits.len() % QUANTUM;
        let mut rest = &self.digits[..whole];
        let mut bytes = Vec::with_capacity(whole / QUANTUM * 3);
        while !rest.is_empty() {
            let padded = memchr::memchr(b'=', rest).map_or(rest.len(), |at| (at / QUANTUM + 1) * QUANTUM);
            STANDARD.decode_vec(&rest[..padded], &mut bytes).map_err(|_invalid| NotBase64)?;
            rest = &rest[padded..];
        }
        self.digits.drain(..whole);
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the pieces are decoded to, one after the other; none: they are not base64.
    fn decoded(pieces: &[&str]) -> Option<Vec<u8>> {
        let mut base64 = Base64::default();
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend_from_slice(&base64.decode(piece.as_bytes()).ok()?);
        }
        base64.is_even().then_some(bytes)
    }

    #[test]
    fn texts_are_decoded_wherever_they_are_cut_and_joined() {
        let text = "AAAAAAVoZWxsbw==";
        for cut in 0..=text.len() {
            let (first, second) = text.split_at(cut);
            assert_eq!(decoded(&[first, second]).as_deref(), Some(&b"\0\0\0\0\x05hello"[..]), "{cut}");
        }
        assert_eq!(decoded(&["aGk=", "aGk=aGk="]).as_deref(), Some(&b"hihihi"[..]));
        assert_eq!(decoded(&[]).as_deref(), Some(&b""[..]));
        for pieces in [&["aGk"][..], &["aGk=", "a"], &["a=Gk"], &["a*Gk"], &["aG k"], &["===="], &["aGl="]] {
            assert_eq!(decoded(pieces), None, "{pieces:?}");
        }
    }

    #[test]
    fn trailers_are_a_marked_message() {
        let fields = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
        assert_eq!(encode_trailers(WebForm::Binary, &fields), b"\x80\0\0\0\x10grpc-status: 0\r\n"[..]);
        assert_eq!(encode_trailers(WebForm::Text, &fields), "gAAAABBncnBjLXN0YXR1czogMA0K");
    }
}
