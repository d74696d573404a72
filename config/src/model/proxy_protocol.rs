//! `server.proxy_protocol`: proxies in front of the gateway that say of each connection whom it is of.

use std::net::IpAddr;

use crate::names::{AddressRange, ValueError};

/// Who speaks the PROXY protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// At least one.
    trusted: Vec<AddressRange>,
}

impl ProxyProtocol {
    /// Peers in these ranges speak it, and others do not.
    ///
    /// # Errors
    /// When there is no range: the section would be without effect.
    pub fn new(trusted: Vec<AddressRange>) -> Result<Self, ValueError> {
        if trusted.is_empty() { Err(ValueError::Empty) } else { Ok(Self { trusted }) }
    }

    /// At least one.
    #[must_use]
    pub fn trusted(&self) -> &[AddressRange] {
        &self.trusted
    }

    /// Whether a peer speaks it.
    #[must_use]
    pub fn is_spoken_by(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(peer))
    }
}
