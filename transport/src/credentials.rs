//! What a program has to show to others, and demands that they show: the admin key, a certificate, both or neither.
//!
//! Here it is decided where that is enough. The rules are the same for all programs and stand in `docs/SECURITY.md`.

use apigw_config::admin_key::{self, AdminKey};

use crate::{
    address::Address,
    endpoint::{Endpoint, Place},
    tls::Tls,
};

/// A key, certificates, both or neither.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The admin key.
    pub key: Option<AdminKey>,
    /// Certificates, ours and those that vouch for others'.
    pub tls: Option<Tls>,
}

/// An address that strangers could use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} can be reached from other machines: set {}, give --tls-cert, --tls-key and --tls-ca, or listen on 127.0.0.1",
    admin_key::VARIABLE
)]
pub struct Unguarded {
    /// As written.
    pub address: Address,
}

/// An endpoint that must not be spoken to like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// TLS without anything to show or to judge by.
    #[error("{endpoint} needs certificates: give --tls-cert, --tls-key and --tls-ca")]
    NoCertificates {
        /// As written.
        endpoint: Endpoint,
    },
    /// Whoever set up certificates did not mean to go without them.
    #[error("{endpoint} would be spoken to in clear although there are certificates: write https://")]
    CertificatesUnused {
        /// As written.
        endpoint: Endpoint,
    },
}

/// What others on the way can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Nothing.
    Private,
    /// All of it, the admin key included.
    KeyInClear,
}

impl Credentials {
    /// Whether an address may be opened.
    ///
    /// # Errors
    /// When other machines can reach it and nothing is demanded of them.
    pub fn guard(&self, address: &Address) -> Result<(), Unguarded> {
        if address.is_local() || self.key.is_some() || self.tls.is_some() {
            return Ok(());
        }
        Err(Unguarded { address: address.clone() })
    }

    /// What speaking to an endpoint shows to others.
    ///
    /// # Errors
    /// When it must not be spoken to.
    pub fn exposure(&self, endpoint: &Endpoint) -> Result<Exposure, Unfit> {
        match (endpoint.place(), &self.tls, &self.key) {
            (Place::Secure(_), None, _) => Err(Unfit::NoCertificates { endpoint: endpoint.clone() }),
            (Place::Plain(host), Some(_), _) if !host.is_local() => {
                Err(Unfit::CertificatesUnused { endpoint: endpoint.clone() })
            }
            (Place::Plain(host), None, Some(_)) if !host.is_local() => Ok(Exposure::KeyInClear),
            _ => Ok(Exposure::Private),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Authority;

    fn key() -> AdminKey {
        AdminKey::new("secret".into()).unwrap()
    }

    #[test]
    fn an_address_others_can_reach_needs_a_key_or_certificates() {
        let directory = tempfile::tempdir().unwrap();
        let tls = Some(Authority::new().issue("localhost").tls(directory.path()));
        let guarded =
            |credentials: &Credentials, address: &str| credentials.guard(&address.parse().unwrap()).is_ok();
        let with_key = Credentials { key: Some(key()), tls: None };
        let with_tls = Credentials { key: None, tls };
        for open in [":0", "0.0.0.0:0", "[::]:0", "10.0.0.1:1"] {
            assert!(!guarded(&Credentials::default(), open), "{open}");
            assert!(guarded(&with_key, open) && guarded(&with_tls, open), "{open}");
        }
        for local in ["127.0.0.1:0", "[::1]:0", "unix:/run/a.sock"] {
            assert!(guarded(&Credentials::default(), local), "{local}");
        }
    }

    #[test]
    fn a_key_in_clear_is_noticed_and_certificates_are_used() {
        let directory = tempfile::tempdir().unwrap();
        let tls = || Some(Authority::new().issue("localhost").tls(directory.path()));
        let exposure = |key: Option<AdminKey>, tls: Option<Tls>, endpoint: &str| {
            Credentials { key, tls }.exposure(&endpoint.parse().unwrap()).map_err(|unfit| match unfit {
                Unfit::NoCertificates { .. } => "no certificates",
                Unfit::CertificatesUnused { .. } => "unused",
            })
        };
        assert_eq!(exposure(Some(key()), None, "http://cp:9090"), Ok(Exposure::KeyInClear));
        assert_eq!(exposure(None, None, "http://cp:9090"), Ok(Exposure::Private));
        assert_eq!(exposure(Some(key()), None, "http://127.0.0.1:9090"), Ok(Exposure::Private));
        assert_eq!(exposure(Some(key()), None, "unix:/run/a.sock"), Ok(Exposure::Private));
        assert_eq!(exposure(Some(key()), None, "https://cp:9090"), Err("no certificates"));
        assert_eq!(exposure(Some(key()), tls(), "https://cp:9090"), Ok(Exposure::Private));
        assert_eq!(exposure(Some(key()), tls(), "http://cp:9090"), Err("unused"));
        assert_eq!(exposure(Some(key()), tls(), "http://[::1]:9090"), Ok(Exposure::Private));
    }
}
