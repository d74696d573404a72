//! What a request's head must be like, whatever route it is for.

use std::net::Ipv6Addr;

use apigw_config::{model::Route, names::ByteCount};
use http::{HeaderName, HeaderValue, Method, Uri, Version, header::HOST, request};

use crate::{fields::Fields, rejection::Rejection};

/// What a request says before its body.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// What is to be done.
    pub method: Method,
    /// With what.
    pub uri: Uri,
    /// As which the client spoke.
    pub version: Version,
    /// The fields.
    pub headers: Fields,
}

impl From<request::Parts> for RequestHead {
    fn from(parts: request::Parts) -> Self {
        let request::Parts { method, uri, version, headers, .. } = parts;
        Self { method, uri, version, headers: headers.into() }
    }
}

impl RequestHead {
    /// Says in `Host` what the target says, where no field does.
    pub fn name_host(&mut self) {
        // What cannot be said there is no host, and will be missed.
        if let Some(authority) = self.uri.authority()
            && !self.headers.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            self.headers.insert(HOST, host);
        }
    }
}

/// Checks what can be said of a head before its path is looked at: a method that a gateway may forward, and one host.
///
/// # Errors
/// When it is not like that.
pub fn check(head: &RequestHead) -> Result<(), Rejection> {
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return Err(Rejection::MethodNotAllowed);
    }
    check_host(head)
}

/// Whether a request asks about the server as a whole (RFC 9112 section 3.2.4): the gateway, since no route could be chosen.
/// Over HTTP/2 it names the host as well (RFC 9113 section 8.3.1).
#[must_use]
pub fn is_about_server(head: &RequestHead) -> bool {
    head.method == Method::OPTIONS && head.uri.path() == "*"
}

/// A route may want smaller heads than the server takes.
///
/// # Errors
/// When it is larger.
pub fn check_size(head: &RequestHead, route: &Route) -> Result<(), Rejection> {
    let Some(max_bytes) = route.max_header_bytes.map(ByteCount::get) else { return Ok(()) };
    // As sent: `METHOD SP target SP HTTP/1.1 CRLF`, `name: value CRLF` for each field, and the empty line.
    let line =
        head.method.as_str().len() + head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let field = |(name, value): (&HeaderName, &[u8])| name.as_str().len() + value.len() + ": \r\n".len();
    let fields: usize = head.headers.bytes().map(field).sum();
    let bytes = line + "  HTTP/1.1\r\n".len() + fields + "\r\n".len();
    if bytes as u64 > max_bytes { Err(Rejection::HeadTooLarge { max_bytes }) } else { Ok(()) }
}

/// A request says once for whom it is (RFC 9112 section 3.2), and its target does not say otherwise; before HTTP/1.1 it
/// may leave that out.
fn check_host(head: &RequestHead) -> Result<(), Rejection> {
    let host = match head.headers.bytes_of_single(HOST) {
        Ok(Some(host)) if is_host(host) => host,
        Ok(None) if head.version == Version::HTTP_10 => return Ok(()),
        _ => return Err(Rejection::Host),
    };
    match head.uri.authority() {
        Some(authority) if !authority.as_str().as_bytes().eq_ignore_ascii_case(host) => Err(Rejection::Host),
        _ => Ok(()),
    }
}

/// Whether this is `uri-host [ ":" port ]` (RFC 9110 section 7.2) that means the same to all who read it.
fn is_host(host: &[u8]) -> bool {
    let is_literal = host.first() == Some(&b'[');
    let name = if is_literal {
        host.iter().position(|&byte| byte == b']').map_or(0, |end| end + 1)
    } else {
        host.iter().position(|&byte| byte == b':').unwrap_or(host.len())
    };
    let (name, port) = host.split_at(name);
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_port && if is_literal { is_address(name) } else { is_name(name) }
}

/// An address of IPv6 in brackets, without a zone: that is nobody's business but the sender's (RFC 9844 section 6).
fn is_address(literal: &[u8]) -> bool {
    let address = literal.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let address = address.and_then(|address| str::from_utf8(address).ok());
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Labels with a dot between them, and perhaps one at the end. What escapes stand for, some would look for and some would not.
fn is_name(name: &[u8]) -> bool {
    let mut previous = b'.';
    !name.is_empty()
        && name.iter().all(|&byte| {
            let follows = std::mem::replace(&mut previous, byte);
            byte.is_ascii_alphanumeric()
                || (byte == b'.' && follows != b'.')
                || matches!(
                    byte,
                    b'-' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
                )
        })
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};

    use super::*;

    fn head(method: &str, target: &str, hosts: &[&str]) -> RequestHead {
        let mut request = Request::builder().method(method).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0.into()
    }

    fn status(method: &str, target: &str, hosts: &[&str]) -> Option<StatusCode> {
        check(&head(method, target, hosts)).err().map(|rejection| rejection.answer().status)
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(status("GET", "/", &["a.example"]), None);
        assert_eq!(status("GET", "http://A.example/", &["a.example"]), None);
        for hosts in [&[][..], &["a", "b"], &["a b"], &[""]] {
            assert_eq!(status("GET", "/", hosts), Some(StatusCode::BAD_REQUEST), "{hosts:?}");
        }
        assert_eq!(status("GET", "http://b.example/", &["a.example"]), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn a_host_means_the_same_to_all_who_read_it() {
        for host in [
            "a",
            "a.example",
            "a.example.",
            "A.Example:80",
            "a:",
            "192.0.2.1:8080",
            "[::1]",
            "[2001:db8::7]:443",
            "x_y",
            "a;b",
        ] {
            assert_eq!(status("GET", "/", &[host]), None, "{host}");
        }
        for host in [
            "a:80:90",
            "a:b.example",
            "a:-1",
            ":80",
            ".",
            ".a",
            "a..b",
            "a..",
            "::1",
            "[::1",
            "[::1]x",
            "[a]",
            "[]",
            "[fe80::1%25eth0]",
            "u@a",
            "a/b",
            "a,b",
            "%61.example",
            "a]",
        ] {
            assert_eq!(status("GET", "/", &[host]), Some(StatusCode::BAD_REQUEST), "{host}");
        }
    }

    #[test]
    fn only_options_may_be_about_the_server() {
        let is_about_server = |method, target| is_about_server(&head(method, target, &["a"]));
        assert!(is_about_server("OPTIONS", "*"));
        assert!(!is_about_server("GET", "*"));
        assert!(!is_about_server("OPTIONS", "/*"));
    }

    #[test]
    fn tunnels_and_traces_are_not_forwarded() {
        for method in ["TRACE", "CONNECT"] {
            assert_eq!(status(method, "/", &["a"]), Some(StatusCode::METHOD_NOT_ALLOWED), "{method}");
        }
    }
}
