//! The opening of a WebSocket (RFC 6455 section 4): told from everything else that calls itself an upgrade, asked for in the
//! gateway's own words, and believed only when the upstream agrees in full. No other protocol is ever asked for: over
//! `Upgrade: h2c` requests would pass that nobody has judged.

use apigw_engine::rejection::{Rejection, UpstreamFailure};
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
    request::Parts,
};

use super::request_body::ClientBody;
use crate::http1::persistence::lists;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// The protocol that is to follow the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// This one.
    None,
    WebSocket,
}

impl Upgrade {
    /// What a request asks for. What is not the whole opening of a WebSocket is a request like any other.
    pub(super) fn asked(head: &Parts, body: &ClientBody) -> Self {
        if head.method == Method::GET && body.has_ended() { Self::said(head) } else { Self::None }
    }

    fn said(head: &Parts) -> Self {
        let is_opening = head.version == Version::HTTP_11
            && names_websocket(&head.headers)
            && lists(&head.headers, &CONNECTION, b"upgrade")
            // Named in `Connection`, the key would stop here.
            && !lists(&head.headers, &CONNECTION, SEC_WEBSOCKET_KEY.as_str().as_bytes())
            && has_one_key(&head.headers);
        if is_opening { Self::WebSocket } else { Self::None }
    }

    /// Asks the upstream.
    pub(super) fn ask(self, headers: &mut HeaderMap) {
        if self == Self::WebSocket {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, WEBSOCKET);
        }
    }

    /// Whether an answer agrees, where it says so.
    ///
    /// # Errors
    /// When it leaves HTTP for what nobody asked for (RFC 9110 section 7.8), or does not say in full for what.
    pub(super) fn check<B>(self, response: &Response<B>) -> Result<(), Rejection> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        let fields = response.headers();
        let is_agreed = self == Self::WebSocket
            && names_websocket(fields)
            && lists(fields, &CONNECTION, b"upgrade")
            && fields.contains_key(SEC_WEBSOCKET_ACCEPT);
        if is_agreed { Ok(()) } else { Err(UpstreamFailure::Malformed.into()) }
    }
}

/// Whether `Upgrade` names this protocol and no other one.
fn names_websocket(fields: &HeaderMap) -> bool {
    let mut named = fields.get_all(UPGRADE).iter();
    let is_websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes());
    named.next().is_some_and(is_websocket) && named.next().is_none()
}

/// 16 bytes in base64, once.
fn has_one_key(fields: &HeaderMap) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let is_key = |value: &HeaderValue| {
        let digits = value.as_bytes().strip_suffix(b"==");
        digits.is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
    };
    let mut keys = fields.get_all(SEC_WEBSOCKET_KEY).iter();
    keys.next().is_some_and(is_key) && keys.next().is_none()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const OPENING: [(&str, &str); 3] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn said(fields: &[(&str, &str)]) -> Upgrade {
        let mut request = Request::builder();
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Upgrade::said(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn only_a_whole_opening_is_one() {
        assert_eq!(said(&OPENING), Upgrade::WebSocket);
        for missing in 0..OPENING.len() {
            let mut fields = OPENING.to_vec();
            fields.remove(missing);
            assert_eq!(said(&fields), Upgrade::None, "{fields:?}");
        }
        for (index, value) in [(0, "h2c"), (0, "websocket, h2c"), (1, "close"), (2, "short=="), (2, "")] {
            let mut fields = OPENING;
            fields[index].1 = value;
            assert_eq!(said(&fields), Upgrade::None, "{fields:?}");
        }
        for (name, value) in [OPENING[2], ("upgrade", "h2c"), ("connection", "Sec-WebSocket-Key")] {
            assert_eq!(said(&[&OPENING[..], &[(name, value)]].concat()), Upgrade::None, "{name}: {value}");
        }
    }

    #[test]
    fn an_answer_agrees_in_full_or_not_at_all() {
        let agreed = |upgrade: Upgrade, status: u16, fields: &[(&str, &str)]| {
            let mut response = Response::builder().status(status);
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            upgrade.check(&response.body(()).unwrap()).is_ok()
        };
        let whole = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", "x")];
        assert!(agreed(Upgrade::WebSocket, 101, &whole));
        assert!(!agreed(Upgrade::None, 101, &whole));
        for missing in 0..whole.len() {
            let mut fields = whole.to_vec();
            fields.remove(missing);
            assert!(!agreed(Upgrade::WebSocket, 101, &fields), "{fields:?}");
        }
        assert!(agreed(Upgrade::WebSocket, 426, &[]));
    }
}
