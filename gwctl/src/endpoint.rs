//! Where a server is, read from a URL. Nothing is resolved or dialled here.

use std::{fmt, str::FromStr, sync::Arc};

use http::Uri;

/// An `http://HOST[:PORT]` URL, with nothing behind it. A clone is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    text: String,
    uri: Uri,
    host: String,
    port: u16,
}

/// A text is not the URL of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use {text:?} as an endpoint: {reason}; write it like http://127.0.0.1:9090")]
pub(crate) struct EndpointError {
    text: String,
    reason: &'static str,
}

impl Endpoint {
    /// The whole, for HTTP.
    pub(crate) fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// A name or an address, without the brackets of IPv6.
    pub(crate) fn host(&self) -> &str {
        &self.0.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let refused = |reason| EndpointError { text: text.into(), reason };
        let uri: Uri = text.parse().map_err(|_| refused("it is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(refused("TLS is not spoken here, only http")),
            _ => return Err(refused("it does not start with http://")),
        }
        let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("it has a user name"));
        }
        if uri.path_and_query().is_some_and(|path| path != "/") {
            return Err(refused("it has more than a host and a port"));
        }
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host).to_owned();
        if host.is_empty() {
            return Err(refused("it names no host"));
        }
        let port = match (authority.port(), authority.port_u16()) {
            (_, Some(0)) | (Some(_), None) => return Err(refused("its port is not one")),
            (_, Some(port)) => port,
            (None, None) if authority.as_str().ends_with(':') => return Err(refused("its port is missing")),
            (None, None) => 80,
        };
        Ok(Self(Arc::new(Parts { text: text.into(), uri, host, port })))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_a_host_and_a_port_is_an_endpoint() {
        let cases = [
            ("http://127.0.0.1:9090", "127.0.0.1", 9090),
            ("http://gateway.internal:1/", "gateway.internal", 1),
            ("http://[::1]:9090", "::1", 9090),
            ("http://gateway", "gateway", 80),
        ];
        for (text, host, port) in cases {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port()), (host, port), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        let cases = [
            ("", "it is not a URL"),
            ("two words", "it is not a URL"),
            ("127.0.0.1:9090", "it does not start with http://"),
            ("/path", "it does not start with http://"),
            ("ftp://h:1", "it does not start with http://"),
            ("https://h:1", "TLS is not spoken here, only http"),
            ("http://u:p@h:1", "it has a user name"),
            ("http://h:1/base", "it has more than a host and a port"),
            ("http://h:1?q", "it has more than a host and a port"),
            ("http://h:0", "its port is not one"),
            ("http://h:", "its port is missing"),
        ];
        for (text, reason) in cases {
            let refused = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(refused, EndpointError { text: text.into(), reason }, "{text}");
        }
    }
}
