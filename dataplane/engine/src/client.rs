//! Who sent a request, as far as the proxies in front of the gateway can be believed.

use std::net::IpAddr;

use apigw_config::names::{AddressRange, Scheme};

/// Where a client is: an IPv4 address, or the network of an IPv6 address, a /64, which is what one customer is given at least,
/// and can take any address of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// Also of an IPv6 socket (`::ffff:192.0.2.1`).
    V4([u8; 4]),
    /// The first half of an address.
    V6([u8; 8]),
}

impl Network {
    /// Of an address.
    ///
    /// # Panics
    /// Never: an address has as many bytes.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let network = address.octets().first_chunk().copied();
                Self::V6(network.expect("sixteen bytes begin with eight"))
            }
        }
    }
}

/// Whether a peer's forwarding headers are believed.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted_proxies: &[AddressRange]) -> bool {
    trusted_proxies.iter().any(|range| range.contains(address))
}

/// The client's address: the rightmost one that is not a trusted proxy.
///
/// `forwarded_for` holds the values of the X-Forwarded-For fields in the order received. Each proxy appends the peer it
/// saw, so from the right every entry is as good as the proxy that wrote it; the first that is not a trusted proxy is the
/// last that can be believed. What cannot be read as an address ends the walk: its writer is the client as far as known.
#[must_use]
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    trusted_proxies: &[AddressRange],
) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted_proxies) {
        return peer;
    }
    let mut client = peer;
    for entry in forwarded_for.rev().flat_map(|value| value.rsplit(',')) {
        let Some(address) = parse_entry(entry.trim()) else { return client };
        client = address;
        if !is_trusted(client, trusted_proxies) {
            return client;
        }
    }
    client
}

/// How the client asks, as far as a trusted proxy in front of the gateway says: what the last of them wrote.
#[must_use]
pub fn client_scheme(
    (peer, spoken): (IpAddr, Scheme),
    forwarded_proto: Option<&str>,
    trusted_proxies: &[AddressRange],
) -> Scheme {
    let told = forwarded_proto.filter(|_| is_trusted(peer.to_canonical(), trusted_proxies));
    let last = told.and_then(|told| told.rsplit(',').next()).map(str::trim);
    last.and_then(|scheme| scheme.to_ascii_lowercase().parse().ok()).unwrap_or(spoken)
}

/// An address, with the port that some proxies add.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let bracketed = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']'));
    let address = bracketed.unwrap_or(entry).parse::<IpAddr>();
    let address = address.or_else(|_| entry.parse::<std::net::SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_say_how_the_client_asks() {
        let trusted = ["192.0.2.1".parse().unwrap()];
        for (peer, told, expected) in [
            ([192, 0, 2, 1], Some("https"), Scheme::Https),
            ([192, 0, 2, 1], Some("http, HTTPS"), Scheme::Https),
            ([192, 0, 2, 1], Some("gopher"), Scheme::Http),
            ([192, 0, 2, 1], None, Scheme::Http),
            ([192, 0, 2, 2], Some("https"), Scheme::Http),
        ] {
            let found = client_scheme((peer.into(), Scheme::Http), told, &trusted);
            assert_eq!(found, expected, "{peer:?} {told:?}");
        }
    }

    fn check(peer: &str, forwarded_for: &[&str], trusted: &[&str], expected: &str) {
        let trusted: Vec<_> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        let client = client_address(peer.parse().unwrap(), forwarded_for.iter().copied(), &trusted);
        assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded_for:?}");
    }

    #[test]
    fn untrusted_peers_are_the_client_whatever_they_claim() {
        check("192.0.2.1", &["10.0.0.1"], &[], "192.0.2.1");
        check("192.0.2.1", &["10.0.0.1"], &["127.0.0.1/32"], "192.0.2.1");
    }

    #[test]
    fn the_rightmost_address_that_is_no_trusted_proxy_is_the_client() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"];
        check("10.0.0.1", &["198.51.100.7"], &trusted, "198.51.100.7");
        check("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"], &trusted, "198.51.100.7");
        check("10.0.0.1", &["1.1.1.1", "198.51.100.7,10.9.9.9"], &trusted, "198.51.100.7");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &trusted, "10.0.0.3");
        check("10.0.0.1", &[], &trusted, "10.0.0.1");
        check("::ffff:10.0.0.1", &["198.51.100.7"], &trusted, "198.51.100.7");
        check("2001:db8::1", &["[2001:db9::5]:443"], &trusted, "2001:db9::5");
        check("10.0.0.1", &["198.51.100.7:1234"], &trusted, "198.51.100.7");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        check("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"], &["10.0.0.0/8"], "10.0.0.2");
        check("10.0.0.1", &["198.51.100.7,"], &["10.0.0.0/8"], "10.0.0.1");
    }
}
