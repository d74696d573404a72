//! `server.tls`.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{CertificateFiles, CertificateForwarding, ClientAuth, PlainRequests, ServerTls, TlsListening},
    problem::{KeyPath, Problems},
};

pub(super) fn server_tls(message: &v1::ServerTls, problems: &mut Problems) -> Option<ServerTls> {
    let server = KeyPath::Top.key("server");
    let at = server.key("tls");
    let list = at.key("certificates");
    let certificates = message.certificates.iter().enumerate();
    let certificates: Vec<_> = certificates
        .filter_map(|(index, files)| {
            let mut fields = Fields { at: list.index(index), problems };
            let cert_file = fields.take("cert_file", files.cert_file.parse());
            let key_file = fields.take("key_file", files.key_file.parse());
            Some(CertificateFiles { cert_file: cert_file?, key_file: key_file? })
        })
        .collect();
    let is_whole = certificates.len() == message.certificates.len();

    let mut fields = Fields { at, problems };
    let tls = if is_whole { fields.take("certificates", ServerTls::new(certificates)) } else { None };
    let addresses = fields.parse_all("addr", &message.addresses);
    let min_version = fields.take("min_version", message.min_version.parse());
    let handshake_timeout = fields.period("handshake_timeout_seconds", message.handshake_timeout_us);
    let mode = fields.take("client_auth", message.client_auth.parse());
    let ca_file = match message.client_ca_file.as_str() {
        "" => Some(None),
        path => fields.take("client_auth", path.parse()).map(Some),
    };
    let client_auth = mode
        .zip(ca_file)
        .and_then(|(mode, ca_file)| fields.take("client_auth", ClientAuth::new(mode, ca_file)));
    let forwarding = match message.forward_client_certificate.as_str() {
        "" => Some(CertificateForwarding::None),
        text => fields.take("client_auth.forward", text.parse()),
    };
    let plain = if message.redirect_to_https { PlainRequests::Redirect } else { PlainRequests::Serve };
    let listening = addresses.and_then(|addresses| fields.take("addr", TlsListening::new(addresses, plain)));

    let mut tls = tls?;
    tls.min_version = min_version?;
    tls.client_auth = client_auth?;
    tls.forwarding = forwarding?;
    tls.handshake_timeout = handshake_timeout?;
    tls.listening = listening?;
    Some(tls)
}
