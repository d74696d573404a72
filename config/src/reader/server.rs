//! Reads `server`, `upstream` and `admin`.

use super::{Mapping, Place, Read, Reader, route::address_lists, tls::server_tls, values::OneOrMore};
use crate::model::{Admin, EncodedSlash, PathRules, ProxyProtocol, Server, Upstream};

impl Read for Server {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let defaults = Self::default();
        let mut keys = Mapping::open(place, reader)?;
        let addresses = keys.or("addr", OneOrMore(defaults.addresses().to_vec()));
        let proxy_protocol = keys.or("proxy_protocol", None);
        let tls = server_tls(&mut keys);
        let trusted_proxies = keys.or("trusted_proxies", defaults.trusted_proxies.clone());
        let address_lists = address_lists(&mut keys);
        let paths = keys.or("paths", PathRules::default());
        let max_header_bytes = keys.or("max_header_bytes", defaults.max_header_bytes);
        let max_body_bytes = keys.or("max_body_bytes", defaults.max_body_bytes);
        let read_header_timeout = keys.or("read_header_timeout_seconds", defaults.read_header_timeout);
        let read_timeout = keys.or("read_timeout_seconds", defaults.read_timeout);
        let write_timeout = keys.or("write_timeout_seconds", defaults.write_timeout);
        let idle_timeout = keys.or("idle_timeout_seconds", defaults.idle_timeout);
        let drain_timeout = keys.or("drain_timeout_seconds", defaults.drain_timeout);
        let max_connections = keys.or("max_connections", defaults.max_connections);
        let websocket_idle_timeout =
            keys.or("websocket_idle_timeout_seconds", defaults.websocket_idle_timeout);
        let server = addresses.and_then(|OneOrMore(addresses)| {
            defaults.with_addresses(addresses).map_err(|error| keys.report("addr", error)).ok()
        });
        keys.finish();

        let mut server = server?;
        server.proxy_protocol = proxy_protocol?;
        server.tls = tls?.0;
        server.trusted_proxies = trusted_proxies?;
        server.address_lists = address_lists?;
        server.paths = paths?;
        server.max_header_bytes = max_header_bytes?;
        server.max_body_bytes = max_body_bytes?;
        server.read_header_timeout = read_header_timeout?;
        server.read_timeout = read_timeout?;
        server.write_timeout = write_timeout?;
        server.idle_timeout = idle_timeout?;
        server.drain_timeout = drain_timeout?;
        server.max_connections = max_connections?;
        server.websocket_idle_timeout = websocket_idle_timeout?;
        Some(server)
    }
}

impl Read for ProxyProtocol {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let trusted = keys.required("trusted");
        let proxy_protocol = trusted
            .and_then(|trusted| Self::new(trusted).map_err(|error| keys.report("trusted", error)).ok());
        keys.finish();
        proxy_protocol
    }
}

impl Read for PathRules {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let defaults = Self::default();
        let mut keys = Mapping::open(place, reader)?;
        let encoded_slash = keys.or("encoded_slash", EncodedSlash::default());
        let merge_slashes = keys.or("merge_slashes", defaults.merge_slashes);
        keys.finish();

        Some(Self { encoded_slash: encoded_slash?, merge_slashes: merge_slashes? })
    }
}

impl Read for Upstream {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let defaults = Self::default();
        let mut keys = Mapping::open(place, reader)?;
        let dial_timeout = keys.or("dial_timeout_seconds", defaults.dial_timeout);
        let tls_handshake_timeout = keys.or("tls_handshake_timeout_seconds", defaults.tls_handshake_timeout);
        let response_header_timeout =
            keys.or("response_header_timeout_seconds", defaults.response_header_timeout);
        let idle_connection_timeout = keys.or("idle_conn_timeout_seconds", defaults.idle_connection_timeout);
        let max_idle_connections = keys.or("max_idle_conns", defaults.max_idle_connections);
        let per_host = keys.or("max_idle_conns_per_host", defaults.max_idle_connections_per_host);
        keys.finish();

        Some(Self {
            dial_timeout: dial_timeout?,
            tls_handshake_timeout: tls_handshake_timeout?,
            response_header_timeout: response_header_timeout?,
            idle_connection_timeout: idle_connection_timeout?,
            max_idle_connections: max_idle_connections?,
            max_idle_connections_per_host: per_host?,
        })
    }
}

impl Read for Admin {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let defaults = Self::default();
        let mut keys = Mapping::open(place, reader)?;
        let address = keys.or("addr", defaults.address);
        keys.finish();

        Some(Self { address: address? })
    }
}
