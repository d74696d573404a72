//! Reads `server.tls`.

use super::{Mapping, Place, Read, Reader, values::OneOrMore};
use crate::model::{
    CertificateFiles, CertificateForwarding, ClientAuth, ClientAuthMode, PlainRequests, ServerTls,
    TlsListening, TlsVersion,
};
use crate::names::TrafficAddress;

/// The section, before it is known what becomes of requests in clear: that is said outside of it.
pub(super) struct TlsInFile {
    tls: ServerTls,
    addresses: Vec<TrafficAddress>,
}

impl Read for TlsInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let addresses = keys.or("addr", OneOrMore(Vec::new()));
        let certificates = keys.required::<Vec<CertificateFiles>>("certificates");
        let min_version = keys.or("min_version", TlsVersion::default());
        let client_auth = keys.or("client_auth", ClientAuthInFile::default());
        let handshake_timeout = keys.or("handshake_timeout_seconds", ServerTls::DEFAULT_HANDSHAKE_TIMEOUT);
        let tls = certificates.and_then(|certificates| {
            ServerTls::new(certificates).map_err(|error| keys.report("certificates", error)).ok()
        });
        keys.finish();

        let mut tls = tls?;
        tls.min_version = min_version?;
        ClientAuthInFile { client_auth: tls.client_auth, forwarding: tls.forwarding } = client_auth?;
        tls.handshake_timeout = handshake_timeout?;
        Some(Self { tls, addresses: addresses?.0 })
    }
}

/// TLS; none: everything is in clear.
pub(super) struct TlsOrClear(pub(super) Option<ServerTls>);

/// Reads `tls` and `redirect_to_https` of the server.
pub(super) fn server_tls(keys: &mut Mapping<'_, '_>) -> Option<TlsOrClear> {
    let tls = keys.or::<Option<TlsInFile>>("tls", None);
    let redirects = keys.or("redirect_to_https", false);
    let (tls, redirects) = (tls?, redirects?);
    let plain = if redirects { PlainRequests::Redirect } else { PlainRequests::Serve };
    let (tls, addresses) = match tls {
        Some(TlsInFile { tls, addresses }) => (Some(tls), addresses),
        None => (None, Vec::new()),
    };
    let listening =
        TlsListening::new(addresses, plain).map_err(|error| keys.report("redirect_to_https", error)).ok()?;
    Some(TlsOrClear(tls.map(|tls| tls.with_listening(listening))))
}

impl Read for CertificateFiles {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let cert_file = keys.required("cert_file");
        let key_file = keys.required("key_file");
        keys.finish();

        Some(Self { cert_file: cert_file?, key_file: key_file? })
    }
}

/// What is asked of clients, and what upstreams are told of it.
#[derive(Default)]
struct ClientAuthInFile {
    client_auth: ClientAuth,
    forwarding: CertificateForwarding,
}

impl Read for ClientAuthInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let mode = keys.or("mode", ClientAuthMode::default());
        let ca_file = keys.or("ca_file", None);
        let client_auth = mode.zip(ca_file).and_then(|(mode, ca_file)| {
            ClientAuth::new(mode, ca_file).map_err(|error| keys.report("ca_file", error)).ok()
        });
        let forwarding = keys.or("forward", CertificateForwarding::default());
        keys.finish();

        Some(Self { client_auth: client_auth?, forwarding: forwarding? })
    }
}
