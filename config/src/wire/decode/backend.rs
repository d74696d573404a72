//! Reads one backend of a peer.

use apigw_proto::v1;

use super::{Fields, health::health};
use crate::{
    model::{
        Backend, BackendTls, Balance, CertificateFiles, ClientAddress, Endpoint, Health, Protocol,
        Resolution, SessionCookie,
    },
    names::{
        BackendName, CookieLifetime, CookieName, CookieSecret, FilePath, HeaderName, Span, UpstreamHost,
        UpstreamUrl, Weight,
    },
    problem::{KeyPath, Problem, Problems},
};

impl TryFrom<v1::Backend> for Backend {
    type Error = Vec<Problem>;

    /// Reads a backend by itself; paths of problems start at the backend.
    fn try_from(message: v1::Backend) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::of("");
        let backend = backend(&message, &KeyPath::Top, &mut problems);
        problems.or(backend)
    }
}

pub(super) fn backend(message: &v1::Backend, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Backend> {
    let mut fields = Fields { at: *at, problems };
    let name = fields.take("name", BackendName::new(&message.name));
    let list = at.key("endpoints");
    let endpoints: Vec<_> = message
        .endpoints
        .iter()
        .enumerate()
        .filter_map(|(index, message)| endpoint(message, list.index(index), fields.problems))
        .collect();
    let is_whole = endpoints.len() == message.endpoints.len();
    let balance = match &message.balance {
        None => Some(Balance::default()),
        Some(message) => balance(message, at.key("balance"), fields.problems),
    };
    let tls = match &message.tls {
        None => Some(None),
        Some(message) => tls(message, at.key("tls"), fields.problems).map(Some),
    };
    let health = match &message.health {
        None => Some(Health::default()),
        Some(message) => health(message, at.key("health"), fields.problems),
    };
    let slow_start = fields.take("slow_start_seconds", Span::from_micros(message.slow_start_us));
    let session_cookie = match &message.session_cookie {
        None => Some(None),
        Some(message) => session_cookie(message, at.key("session_cookie"), fields.problems).map(Some),
    };
    if !is_whole {
        return None;
    }
    let backend = Backend::new(name?, endpoints, tls?).map_err(|errors| {
        for error in errors {
            let at = error.endpoint().map_or(list, |endpoint| list.index(endpoint));
            fields.problems.report(None, &at, error);
        }
    });
    let mut backend = backend.ok()?;
    backend.balance = balance?;
    backend.protocol = if message.http2 { Protocol::Http2 } else { Protocol::Http1 };
    backend.health = health?;
    backend.slow_start = slow_start?;
    backend.session_cookie = session_cookie?;
    Some(backend)
}

fn balance(message: &v1::Balance, at: KeyPath<'_>, problems: &mut Problems) -> Option<Balance> {
    let v1::Balance { policy, header, cookie, ip } = message;
    let mut fields = Fields { at, problems };
    let policy = fields.take("policy", policy.parse());
    let header = match header.as_str() {
        "" => Some(None),
        name => fields.take("header", HeaderName::new(name)).map(Some),
    };
    let cookie = match cookie.as_str() {
        "" => Some(None),
        name => fields.take("cookie", CookieName::new(name)).map(Some),
    };
    let address = if *ip { ClientAddress::Hashed } else { ClientAddress::Ignored };
    fields.take("policy", Balance::new(policy?, header?, cookie?, address))
}

fn session_cookie(
    message: &v1::SessionCookie,
    at: KeyPath<'_>,
    problems: &mut Problems,
) -> Option<SessionCookie> {
    let v1::SessionCookie { name, secret, ttl_seconds } = message;
    let mut fields = Fields { at, problems };
    let name = fields.take("name", CookieName::new(name));
    let secret = fields.take("secret", CookieSecret::new(secret));
    let lifetime = match ttl_seconds {
        0 => Some(None),
        seconds => fields.take("ttl_seconds", CookieLifetime::new(*seconds)).map(Some),
    };
    Some(SessionCookie { name: name?, secret: secret?, lifetime: lifetime? })
}

fn endpoint(message: &v1::Endpoint, at: KeyPath<'_>, problems: &mut Problems) -> Option<Endpoint> {
    let mut fields = Fields { at, problems };
    let url = fields.take("url", UpstreamUrl::new(&message.url));
    let weight = fields.take("weight", Weight::new(message.weight));
    let resolution = if message.each_address { Resolution::Each } else { Resolution::Together };
    Some(Endpoint { url: url?, weight: weight?, drains: message.drain, resolution })
}

fn tls(message: &v1::BackendTls, at: KeyPath<'_>, problems: &mut Problems) -> Option<BackendTls> {
    let mut fields = Fields { at, problems };
    let ca_file = match message.ca_file.as_str() {
        "" => Some(None),
        path => fields.take("ca_file", path.parse::<FilePath>()).map(Some),
    };
    let certificate = match &message.certificate {
        None => Some(None),
        Some(files) => {
            let cert_file = fields.take("cert_file", files.cert_file.parse());
            let key_file = fields.take("key_file", files.key_file.parse());
            cert_file
                .zip(key_file)
                .map(|(cert_file, key_file)| Some(CertificateFiles { cert_file, key_file }))
        }
    };
    let server_name = match message.server_name.as_str() {
        "" => Some(None),
        name => fields.take("server_name", UpstreamHost::new(name)).map(Some),
    };
    Some(BackendTls { ca_file: ca_file?, certificate: certificate?, server_name: server_name? })
}
