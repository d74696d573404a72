//! The opening of a WebSocket (RFC 6455 section 4): told from everything else that calls itself an upgrade, asked for in the
//! gateway's own words, and believed only when the upstream agrees in full. No other protocol is ever asked for: over
//! `Upgrade: h2c` requests would pass that nobody has judged.

use apigw_config::model::Protocol;
use apigw_engine::{
    fields::Fields,
    head::RequestHead,
    rejection::{Rejection, UpstreamFailure},
};
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
};

use super::{request_body::ClientBody, response::Response};
use crate::http1::persistence::lists;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// What shows that whoever agrees has understood for what (RFC 6455 section 1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The protocol that is to follow the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// This one.
    None,
    /// With the key that the upstream is asked by.
    WebSocket(HeaderValue),
}

impl Upgrade {
    /// What a request asks for. What is not the whole opening of a WebSocket is a request like any other.
    pub(super) fn asked(head: &RequestHead, body: &ClientBody) -> Self {
        let key = head.headers.get(SEC_WEBSOCKET_KEY);
        let is_asked = match body {
            // The key is the gateway's own.
            ClientBody::Opening => true,
            _ => head.method == Method::GET && body.has_ended() && is_opening(head),
        };
        key.filter(|_| is_asked).map_or(Self::None, |key| Self::WebSocket(key.clone()))
    }

    /// What of it an upstream that speaks this protocol can be asked for: HTTP/2 has no upgrades (RFC 9113 section 8.6), so
    /// there the request is one like any other.
    pub(super) fn through(self, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => self,
            Protocol::Http2 => Self::None,
        }
    }

    /// Asks the upstream.
    pub(super) fn ask(&self, headers: &mut Fields) {
        if let Self::WebSocket(_) = self {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, WEBSOCKET);
        }
    }

    /// Whether an answer agrees, where it says so.
    ///
    /// # Errors
    /// When it leaves HTTP for what nobody asked for (RFC 9110 section 7.8), or does not say in full for what.
    pub(super) fn check<B>(&self, response: &Response<B>) -> Result<(), Rejection> {
        if response.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        let fields = &response.headers;
        let is_agreed = match self {
            Self::None => false,
            Self::WebSocket(key) => {
                names_websocket(fields)
                    && lists(fields, &CONNECTION, b"upgrade")
                    && is_accepted(fields, key.as_bytes())
            }
        };
        if is_agreed { Ok(()) } else { Err(UpstreamFailure::Malformed.into()) }
    }
}

/// A key of the gateway's own, for clients whose protocol has none (RFC 8441 section 5).
pub(crate) fn new_key(random: &mut fastrand::Rng) -> HeaderValue {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    HeaderValue::from_str(&STANDARD.encode(bytes)).expect("base64 is visible ASCII")
}

fn is_opening(head: &RequestHead) -> bool {
    head.version == Version::HTTP_11
        && names_websocket(&head.headers)
        && lists(&head.headers, &CONNECTION, b"upgrade")
        // Named in `Connection`, the key would stop here.
        && !lists(&head.headers, &CONNECTION, SEC_WEBSOCKET_KEY.as_str().as_bytes())
        && has_one_key(&head.headers)
}

/// Whether an upstream has seen the key (RFC 6455 section 4.1).
fn is_accepted(fields: &Fields, key: &[u8]) -> bool {
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key);
    digest.update(ACCEPT_SUFFIX);
    let expected = STANDARD.encode(digest.finish());
    let mut accepted = fields.get_all(SEC_WEBSOCKET_ACCEPT);
    accepted.next().is_some_and(|value| value.as_bytes() == expected.as_bytes()) && accepted.next().is_none()
}

/// Whether `Upgrade` names this protocol and no other one.
fn names_websocket(fields: &Fields) -> bool {
    let named = fields.bytes_of_single(UPGRADE).unwrap_or_default();
    named.is_some_and(|named| named.eq_ignore_ascii_case(WEBSOCKET.as_bytes()))
}

/// 16 bytes in base64, once.
fn has_one_key(fields: &Fields) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let is_key = |value: &HeaderValue| {
        let digits = value.as_bytes().strip_suffix(b"==");
        digits.is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
    };
    let mut keys = fields.get_all(SEC_WEBSOCKET_KEY);
    keys.next().is_some_and(is_key) && keys.next().is_none()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const OPENING: [(&str, &str); 3] =
        [("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade"), ("sec-websocket-key", KEY)];

    fn is_opened_by(fields: &[(&str, &str)]) -> bool {
        let mut request = Request::builder();
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        is_opening(&request.body(()).unwrap().into_parts().0.into())
    }

    #[test]
    fn only_a_whole_opening_is_one() {
        assert!(is_opened_by(&OPENING));
        for missing in 0..OPENING.len() {
            let mut fields = OPENING.to_vec();
            fields.remove(missing);
            assert!(!is_opened_by(&fields), "{fields:?}");
        }
        for (index, value) in [(0, "h2c"), (0, "websocket, h2c"), (1, "close"), (2, "short=="), (2, "")] {
            let mut fields = OPENING;
            fields[index].1 = value;
            assert!(!is_opened_by(&fields), "{fields:?}");
        }
        for (name, value) in [OPENING[2], ("upgrade", "h2c"), ("connection", "Sec-WebSocket-Key")] {
            assert!(!is_opened_by(&[&OPENING[..], &[(name, value)]].concat()), "{name}: {value}");
        }
    }

    #[test]
    fn an_answer_agrees_in_full_or_not_at_all() {
        let agreed = |upgrade: &Upgrade, status: u16, fields: &[(&str, &str)]| {
            let mut response = http::Response::builder().status(status);
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            upgrade.check(&response.body(()).unwrap().into()).is_ok()
        };
        let asked = Upgrade::WebSocket(HeaderValue::from_static(KEY));
        // RFC 6455 section 1.3.
        let accepted = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let whole = [("upgrade", "websocket"), ("connection", "Upgrade"), accepted];
        assert!(agreed(&asked, 101, &whole));
        assert!(!agreed(&Upgrade::None, 101, &whole));
        for missing in 0..whole.len() {
            let mut fields = whole.to_vec();
            fields.remove(missing);
            assert!(!agreed(&asked, 101, &fields), "{fields:?}");
        }
        assert!(!agreed(&asked, 101, &[&whole[..], &[accepted]].concat()), "accepted twice");
        let other = Upgrade::WebSocket(new_key(&mut fastrand::Rng::with_seed(7)));
        assert!(!agreed(&other, 101, &whole), "accepted for another key");
        assert!(agreed(&asked, 426, &[]));
    }

    #[test]
    fn keys_are_what_clients_would_send() {
        let mut fields = Fields::new();
        fields.insert(SEC_WEBSOCKET_KEY, new_key(&mut fastrand::Rng::with_seed(7)));
        assert!(has_one_key(&fields));
    }
}
