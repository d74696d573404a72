//! Reads `backends`.

use super::{Mapping, Place, Read, Reader, values::Located};
use crate::{
    model::{
        Backend, BackendTls, Balance, BalancePolicy, CertificateFiles, ClientAddress, Endpoint, Health,
        Protocol, Resolution,
    },
    names::{BackendName, Span, Weight},
    problem::Position,
};

/// A backend and what the rules across backends and routes need of it, even where the rest cannot be read.
pub(super) struct BackendInFile {
    backend: Option<Backend>,
    name: Option<BackendName>,
    /// Where the name is, or the backend that has none.
    pub(super) position: Position,
}

impl BackendInFile {
    pub(super) fn name(&self) -> Option<&BackendName> {
        self.name.as_ref()
    }

    /// The backend, if all of it could be read.
    pub(super) fn into_backend(self) -> Option<Backend> {
        self.backend
    }
}

impl Read for BackendInFile {
    /// Never none: a backend that cannot be read is one of the list all the same.
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let Some(mut keys) = Mapping::open(place, reader) else {
            return Some(Self { backend: None, name: None, position: place.node.position });
        };
        let name: Option<BackendName> = keys.required("name");
        let endpoints = keys.required::<Vec<Located<Endpoint>>>("endpoints");
        let balance = keys.or("balance", Balance::default());
        let speaks_http2 = keys.or("http2", false);
        let tls = keys.or("tls", None);
        let health = keys.or("health", Health::default());
        let slow_start = keys.or("slow_start_seconds", Span::ZERO);
        let session_cookie = keys.or("session_cookie", None);
        let position = keys.position_of("name");
        let backend = || {
            let (positions, endpoints): (Vec<_>, Vec<_>) =
                endpoints?.into_iter().map(|Located { position, value }| (position, value)).unzip();
            let backend = Backend::new(name.clone()?, endpoints, tls?).map_err(|errors| {
                for error in errors {
                    match error.endpoint() {
                        Some(index) => keys.report_item("endpoints", (index, positions[index]), error),
                        None => keys.report("endpoints", error),
                    }
                }
            });
            let mut backend = backend.ok()?;
            backend.balance = balance?;
            backend.protocol = if speaks_http2? { Protocol::Http2 } else { Protocol::Http1 };
            backend.health = health?;
            backend.slow_start = slow_start?;
            backend.session_cookie = session_cookie?;
            Some(backend)
        };
        let backend = backend();
        keys.finish();

        Some(Self { backend, name, position })
    }
}

impl Read for Endpoint {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let url = keys.required("url");
        let weight = keys.or("weight", Weight::default());
        let drains = keys.or("drain", false);
        let each_address = keys.or("each_address", false);
        keys.finish();

        let resolution = if each_address? { Resolution::Each } else { Resolution::Together };
        Some(Self { url: url?, weight: weight?, drains: drains?, resolution })
    }
}

impl Read for Balance {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let policy = keys.or("policy", BalancePolicy::default());
        let header = keys.or("header", None);
        let cookie = keys.or("cookie", None);
        let by_address = keys.or("ip", false);
        let balance = || {
            let address = if by_address? { ClientAddress::Hashed } else { ClientAddress::Ignored };
            let balance = Self::new(policy?, header?, cookie?, address);
            balance.map_err(|error| keys.report("policy", error)).ok()
        };
        let balance = balance();
        keys.finish();

        balance
    }
}

impl Read for BackendTls {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let ca_file = keys.or("ca_file", None);
        let cert_file = keys.or("cert_file", None);
        let key_file = keys.or("key_file", None);
        let server_name = keys.or("server_name", None);
        let certificate = match (cert_file, key_file) {
            (Some(None), Some(None)) => Some(None),
            (Some(Some(cert_file)), Some(Some(key_file))) => {
                Some(Some(CertificateFiles { cert_file, key_file }))
            }
            (Some(None), Some(Some(_))) => {
                keys.report("cert_file", "missing, as there is a key_file");
                None
            }
            (Some(Some(_)), Some(None)) => {
                keys.report("key_file", "missing, as there is a cert_file");
                None
            }
            _ => None,
        };
        keys.finish();

        Some(Self { ca_file: ca_file?, certificate: certificate?, server_name: server_name? })
    }
}
