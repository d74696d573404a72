//! Where a server is, read from a URL. Nothing is resolved or dialled here.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use http::Uri;

use apigw_config::names::UNIX_SCHEME;

use crate::address::{SocketPath, SocketPathError};

/// `http://HOST[:PORT]`, `https://HOST[:PORT]` with nothing behind it, or `unix:PATH`. A clone is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    text: String,
    uri: Uri,
    place: Place,
}

/// How to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// TCP, in clear.
    Plain(Host),
    /// TCP with mutual TLS.
    Secure(Host),
    /// A socket file of this machine.
    Unix(SocketPath),
}

/// A machine and a port of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A name or an address, without the brackets of IPv6.
    pub name: String,
    /// From 1.
    pub port: u16,
}

/// A text is not the URL of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL, or one of something else.
    #[error(
        "cannot use {text:?} as an endpoint: {reason}; write it like http://127.0.0.1:9090, https://HOST:9090 or unix:/PATH"
    )]
    Url {
        /// As written.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The path of a socket file is none.
    #[error(transparent)]
    Unix(#[from] SocketPathError),
}

impl Endpoint {
    /// How to get there.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The whole, for HTTP; of a socket file, `http://localhost`.
    pub(crate) fn uri(&self) -> &Uri {
        &self.0.uri
    }
}

impl Host {
    /// Whether it is this machine, as far as can be told without asking anybody.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        self.name.eq_ignore_ascii_case("localhost") || self.name.parse().is_ok_and(is_loopback)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix(UNIX_SCHEME) {
            let place = Place::Unix(SocketPath::new(path)?);
            return Ok(Self(Arc::new(Parts {
                text: text.into(),
                uri: Uri::from_static("http://localhost"),
                place,
            })));
        }
        let refused = |reason| EndpointError::Url { text: text.into(), reason };
        let uri: Uri = text.parse().map_err(|_| refused("it is not a URL"))?;
        let (place, default_port): (fn(Host) -> Place, _) = match uri.scheme_str() {
            Some("http") => (Place::Plain, 80),
            Some("https") => (Place::Secure, 443),
            _ => return Err(refused("it does not start with http://, https:// or unix:")),
        };
        let authority = uri.authority().ok_or_else(|| refused("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("it has a user name"));
        }
        if uri.path_and_query().is_some_and(|path| path != "/") {
            return Err(refused("it has more than a host and a port"));
        }
        let name = authority.host();
        let name = name.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(name).to_owned();
        if name.is_empty() {
            return Err(refused("it names no host"));
        }
        let port = match (authority.port(), authority.port_u16()) {
            (_, Some(0)) | (Some(_), None) => return Err(refused("its port is not one")),
            (_, Some(port)) => port,
            (None, None) if authority.as_str().ends_with(':') => return Err(refused("its port is missing")),
            (None, None) => default_port,
        };
        let place = place(Host { name, port });
        Ok(Self(Arc::new(Parts { text: text.into(), uri, place })))
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
            ("http://127.0.0.1:9090", Place::Plain as fn(Host) -> Place, "127.0.0.1", 9090),
            ("http://gateway.internal:1/", Place::Plain, "gateway.internal", 1),
            ("http://[::1]:9090", Place::Plain, "::1", 9090),
            ("http://gateway", Place::Plain, "gateway", 80),
            ("https://gateway", Place::Secure, "gateway", 443),
            ("https://[::1]:9090", Place::Secure, "::1", 9090),
        ];
        for (text, place, name, port) in cases {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(*endpoint.place(), place(Host { name: name.into(), port }), "{text}");
        }
        let endpoint: Endpoint = "unix:/run/apigw.sock".parse().unwrap();
        assert_eq!(*endpoint.place(), Place::Unix(SocketPath::new("/run/apigw.sock").unwrap()));
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        let cases = [
            ("", "it is not a URL"),
            ("two words", "it is not a URL"),
            ("127.0.0.1:9090", "it does not start with http://, https:// or unix:"),
            ("/path", "it does not start with http://, https:// or unix:"),
            ("ftp://h:1", "it does not start with http://, https:// or unix:"),
            ("http://u:p@h:1", "it has a user name"),
            ("http://h:1/base", "it has more than a host and a port"),
            ("https://h:1?q", "it has more than a host and a port"),
            ("http://h:0", "its port is not one"),
            ("http://h:", "its port is missing"),
        ];
        for (text, reason) in cases {
            let refused = text.parse::<Endpoint>().unwrap_err();
            assert_eq!(refused, EndpointError::Url { text: text.into(), reason }, "{text}");
        }
        assert_eq!("unix:".parse::<Endpoint>(), Err(SocketPathError::Empty.into()));
    }

    #[test]
    fn this_machine_is_known_by_its_addresses() {
        let is_local = |name: &str| Host { name: name.into(), port: 1 }.is_local();
        for name in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST"] {
            assert!(is_local(name), "{name}");
        }
        for name in ["10.0.0.1", "0.0.0.0", "::", "gateway", "localhost.example.com"] {
            assert!(!is_local(name), "{name}");
        }
    }
}
