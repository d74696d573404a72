//! Header fields that stop at the gateway, and those it writes, in both directions.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use apigw_config::{
    model::HostRewrite,
    names::{AddressRange, Scheme},
};
use apigw_engine::{
    client,
    fields::{Fields, ReadyFields, X_FORWARDED_FOR, X_FORWARDED_HOST, X_REQUEST_ID},
    hex,
    snapshot::Upstream,
    spelling::{are_alike, folded},
};
use http::{
    HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
};

use crate::{http1::persistence::lists, pieces, tls::client_certificate::ClientCertificate};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const HTTPS: HeaderValue = HeaderValue::from_static("https");

/// The longest request id taken from a client, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The peer at the other end of a client connection, and what is written of it.
#[derive(Clone)]
pub(crate) struct Peer {
    address: IpAddr,
    /// As X-Forwarded-For has it.
    text: HeaderValue,
    /// What is told of a request of its own.
    forwarded: Arc<ReadyFields>,
    scheme: Scheme,
    /// None: it has shown none.
    certificate: Option<Rc<ClientCertificate>>,
}

impl Peer {
    pub(crate) fn new(address: IpAddr, scheme: Scheme) -> Self {
        let address = address.to_canonical();
        let text = HeaderValue::from_str(&address.to_string()).expect("an address is visible ASCII");
        let own = [(X_FORWARDED_FOR, text.clone()), (X_FORWARDED_PROTO, protocol(scheme))];
        let forwarded = Arc::new(ReadyFields::new(own));
        Self { address, text, forwarded, scheme, certificate: None }
    }

    /// The same, having shown this.
    pub(crate) fn with_certificate(self, certificate: Option<ClientCertificate>) -> Self {
        Self { certificate: certificate.map(Rc::new), ..self }
    }

    /// What it has shown of itself.
    pub(crate) fn certificate(&self) -> Option<&Rc<ClientCertificate>> {
        self.certificate.as_ref()
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// How it speaks to us.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// How the client speaks to whoever is nearest to it, as far as a trusted proxy tells.
    pub(crate) fn scheme_of_client(&self, headers: &Fields, trusted_proxies: &[AddressRange]) -> Scheme {
        let told =
            headers.get(X_FORWARDED_PROTO).filter(|_| client::is_trusted(self.address, trusted_proxies));
        match told.map(|told| told.as_bytes().eq_ignore_ascii_case(b"https")) {
            Some(true) => Scheme::Https,
            Some(false) => Scheme::Http,
            None => self.scheme,
        }
    }

    /// The client's address, as far as trusted proxies tell.
    pub(crate) fn client(&self, headers: &Fields, trusted_proxies: &[AddressRange]) -> IpAddr {
        let forwarded_for = headers.get_all(X_FORWARDED_FOR);
        // Only visible ASCII can be an address; other values are no address in any reading.
        let forwarded_for = forwarded_for.map(|value| value.to_str().unwrap_or(""));
        client::client_address(self.address, forwarded_for, trusted_proxies)
    }

    /// How the client speaks, as far as trusted proxies tell.
    pub(super) fn client_scheme(&self, headers: &Fields, trusted_proxies: &[AddressRange]) -> Scheme {
        let told = headers.get(X_FORWARDED_PROTO).and_then(|told| told.to_str().ok());
        client::client_scheme((self.address, self.scheme), told, trusted_proxies)
    }
}

/// As X-Forwarded-Proto has it.
fn protocol(scheme: Scheme) -> HeaderValue {
    match scheme {
        Scheme::Http => HTTP,
        Scheme::Https => HTTPS,
    }
}

/// Turns the header fields an upstream sent into those its client is to see. The body's length is told anew.
pub(crate) fn prepare_response(headers: &mut Fields) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
}

/// Whose word a request's fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// Of a proxy in front of the gateway.
    Trusted,
    /// Of anybody.
    Stranger,
}

/// Removes what upstreams take for a gateway's word. Of a trusted proxy, only what is spelt otherwise (`X_Forwarded_For`):
/// servers behind CGI-like interfaces take `_` for `-` (RFC 3875 section 4.1.18), and could not tell who wrote it.
pub(super) fn remove_foreign_words(headers: &mut Fields, sender: Sender) {
    let is_foreign = |name: &HeaderName| match word_of_a_gateway(name) {
        None => false,
        Some(Spelling::Other) => true,
        Some(Spelling::Usual) => sender == Sender::Stranger,
    };
    headers.retain(|name| !is_foreign(name));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Usual,
    Other,
}

/// Besides what begins with `x-forwarded-`. The last two change the path behind everybody who judged it.
const WORDS_OF_GATEWAYS: [&str; 5] =
    ["forwarded", "x-request-id", "x-real-ip", "x-original-url", "x-rewrite-url"];

/// How a name is spelt that tells of a request what only a gateway knows; none: it does not.
fn word_of_a_gateway(name: &HeaderName) -> Option<Spelling> {
    const FAMILY: &str = "x-forwarded-";
    let text = name.as_str();
    // Most names are told apart by their first letter.
    match text.as_bytes().first() {
        Some(b'f' | b'x') => {}
        // Programs behind CGI-like interfaces take it for the proxy they are to use (https://httpoxy.org).
        Some(b'p') if text == "proxy" => return Some(Spelling::Other),
        Some(b'c' | b't') => {
            return (tells_of_a_certificate(text) || frames_otherwise(name)).then_some(Spelling::Other);
        }
        _ => return None,
    }
    let is_word = folded(text).take(FAMILY.len()).eq(FAMILY.bytes())
        || WORDS_OF_GATEWAYS.iter().any(|word| are_alike(word, text));
    let is_usual = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_word.then_some(if is_usual { Spelling::Usual } else { Spelling::Other })
}

/// Whether a name, in any spelling, is one of RFC 9440. Who shows a certificate is known by the handshake alone (section 3): even
/// a trusted proxy may pass on what its client made up.
fn tells_of_a_certificate(name: &str) -> bool {
    [CLIENT_CERT, CLIENT_CERT_CHAIN].iter().any(|word| are_alike(word.as_str(), name))
}

/// Whether a name is another spelling of those that frame a message (`Content_Length`), which the gateway writes itself: an
/// upstream that takes it for them reads another body.
fn frames_otherwise(name: &HeaderName) -> bool {
    let is_of = |word: HeaderName| *name != word && are_alike(word.as_str(), name.as_str());
    is_of(CONTENT_LENGTH) || is_of(TRANSFER_ENCODING)
}

/// Removes what is for this connection only (RFC 9110 section 7.6.1): what `Connection` names, and what is so by itself.
pub(super) fn remove_hop_by_hop(headers: &mut Fields) {
    // Most messages have none of them: one look at each name is cheaper than a search for each field.
    if !headers.has_any(is_hop_by_hop) {
        return;
    }
    // What most servers say; that field stays here whether it is named or not.
    if matches!(headers.bytes_of_single(CONNECTION), Ok(None | Some(b"keep-alive"))) {
        headers.retain(|name| !is_hop_by_hop(name));
    } else {
        let named = named_by_connection(headers);
        headers.retain(|name| !is_hop_by_hop(name) && !named.contains(name));
    }
}

/// Those of the fields that `Connection` names. It may name a million: each is looked for among the fields, of which there
/// are few, and none is kept that is not one of them.
fn named_by_connection(headers: &Fields) -> Vec<HeaderName> {
    let mut present: Vec<_> = headers.keys().collect();
    present.sort_unstable_by_key(|name| name.as_str());
    let options = headers.bytes_of_all(&CONNECTION).flat_map(|value| value.split(|&byte| byte == b','));
    let mut is_named = vec![false; present.len()];
    for option in options {
        let folded = option.trim_ascii().iter().map(u8::to_ascii_lowercase);
        if let Ok(index) = present.binary_search_by(|name| name.as_str().bytes().cmp(folded.clone())) {
            is_named[index] = true;
        }
    }
    let named = present.into_iter().zip(is_named).filter_map(|(name, is_named)| is_named.then_some(name));
    // What frames and addresses the message is not the client's to remove.
    named.filter(|name| !matches!(**name, HOST | CONTENT_LENGTH)).cloned().collect()
}

/// Whether a field is for one connection only, whatever `Connection` says.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    let is_standard = matches!(
        *name,
        CONNECTION | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION | TE | TRANSFER_ENCODING | UPGRADE
    );
    is_standard || *name == KEEP_ALIVE || *name == PROXY_CONNECTION
}

/// What host an upstream is asked for; none: the one that the client named. Where it named none, the upstream's own.
pub(crate) fn host<'h>(
    rewrite: &'h HostRewrite,
    upstream: &'h Upstream,
    headers: &Fields,
) -> Option<&'h HeaderValue> {
    match rewrite {
        HostRewrite::Upstream => Some(&upstream.authority),
        HostRewrite::AsReceived if headers.contains_key(HOST) => None,
        HostRewrite::AsReceived => Some(&upstream.authority),
        HostRewrite::Name(host) => Some(host.as_http()),
    }
}

/// Turns the header fields a client sent into those its upstream is to see. `host`: in place of the one it named.
pub(crate) fn prepare_request(
    headers: &mut Fields,
    peer: &Peer,
    trusted_proxies: &[AddressRange],
    host: Option<&HeaderValue>,
    request_id: &HeaderValue,
) {
    // Asked for before `TE` is removed: trailers pass through the gateway (RFC 9110 section 10.1.4).
    let takes_trailers = accepts_trailers(headers);
    remove_hop_by_hop(headers);
    let is_trusted = client::is_trusted(peer.address, trusted_proxies);
    let sender = if is_trusted { Sender::Trusted } else { Sender::Stranger };
    remove_foreign_words(headers, sender);
    if takes_trailers {
        headers.insert(TE, TRAILERS);
    }
    // The gateway itself says 100 when it begins to read the body.
    headers.remove(EXPECT);
    write_forwarded(headers, peer, sender);
    if let Some(certificate) = &peer.certificate {
        headers.extend(certificate.certificate().map(|value| (CLIENT_CERT, value.clone())));
        headers.extend(certificate.chain().map(|value| (CLIENT_CERT_CHAIN, value.clone())));
    }
    if let Some(host) = host {
        headers.insert(HOST, copy(host));
    }
    headers.insert(X_REQUEST_ID, request_id.clone());
    if sender == Sender::Stranger {
        // Last: a name that is looked for later is then looked for among these, too.
        headers.append_ready(Arc::clone(&peer.forwarded));
    }
}

/// A value that all workers have in common, for one request alone. Sharing it would have them hand the count of who shares it from
/// processor to processor.
fn copy(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_maybe_shared(pieces::copy(value.as_bytes())).expect("it is a value already")
}

/// Whether a field is written of every request, whatever its client says.
pub(super) fn is_written_for_all(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 5] = [HOST, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID];
    NAMES.contains(name)
}

/// X-Forwarded-*: what a trusted proxy wrote is continued; what anybody else wrote is gone, and what is alike for all requests of
/// a connection is not written yet.
fn write_forwarded(headers: &mut Fields, peer: &Peer, sender: Sender) {
    if sender == Sender::Trusted {
        headers.append(X_FORWARDED_FOR, peer.text.clone());
        join(headers, &X_FORWARDED_FOR);
        headers.insert_if_absent(X_FORWARDED_PROTO, || protocol(peer.scheme));
        if !headers.contains_key(X_FORWARDED_HOST) {
            headers.append_same(X_FORWARDED_HOST, &HOST);
        }
    } else {
        headers.append_same(X_FORWARDED_HOST, &HOST);
    }
}

/// Makes one list of all fields of a name, since readers differ in which of several they take.
fn join(headers: &mut Fields, name: &HeaderName) {
    let values: Vec<_> = headers.get_all(name).map(HeaderValue::as_bytes).collect();
    if values.len() > 1 {
        let joined =
            HeaderValue::from_bytes(&values.join(&b", "[..])).expect("header values make a header value");
        headers.insert(name, joined);
    }
}

/// Whether the sender takes trailers.
pub(crate) fn accepts_trailers(headers: &Fields) -> bool {
    lists(headers, &TE, b"trailers")
}

/// The request's id: the client's, if it can stand in a log and a header as it is; otherwise a new one.
pub(crate) fn request_id(headers: &Fields, random: &mut fastrand::Rng) -> HeaderValue {
    let is_usable = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=MAX_REQUEST_ID_BYTES).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte))
    };
    match headers.get(X_REQUEST_ID).filter(is_usable) {
        Some(id) => seen_once(id.clone()),
        None => new_request_id(random),
    }
}

/// No two messages have the same: in HTTP/2's table of fields seen before (RFC 7541 section 2.3.2) it would push out those that
/// come again. What h2 is told is a secret does not get there.
fn seen_once(mut id: HeaderValue) -> HeaderValue {
    id.set_sensitive(true);
    id
}

/// 24 hexadecimal digits.
pub(crate) fn new_request_id(random: &mut fastrand::Rng) -> HeaderValue {
    let mut digits = [0; 24];
    hex::write(&random.u128(..).to_le_bytes(), &mut digits);
    let id = HeaderValue::from_maybe_shared(pieces::copy(&digits));
    seen_once(id.expect("hexadecimal digits are visible ASCII"))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Fields {
        let parse =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        fields.iter().map(parse).collect()
    }

    /// Checks what an upstream sees of these fields, apart from those the gateway always writes.
    fn check(received: &[(&str, &str)], trusted: &[&str], expected: &[(&str, &str)]) {
        let trusted: Vec<_> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        let mut sent = headers(received);
        let peer = Peer::new([192, 0, 2, 7].into(), Scheme::Http);
        let (authority, id) = (HeaderValue::from_static("up"), HeaderValue::from_static("id"));
        prepare_request(&mut sent, &peer, &trusted, Some(&authority), &id);
        let mut sent = HeaderMap::from(sent);
        assert_eq!(sent.remove(HOST), Some(authority));
        assert_eq!(sent.remove(X_REQUEST_ID), Some(id));
        assert_eq!(sent, HeaderMap::from(headers(expected)), "{received:?}");
    }

    const FORWARDED_BY_US: [(&str, &str); 2] =
        [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "http")];

    #[test]
    fn hop_by_hop_fields_stop_here() {
        let received = [
            ("connection", "close, X-Named , x-other"),
            ("connection", "x-third"),
            ("x-named", "1"),
            ("x-other", "2"),
            ("x-third", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("x-kept", "4"),
        ];
        check(&received, &[], &[&FORWARDED_BY_US[..], &[("x-kept", "4")]].concat());
    }

    #[test]
    fn fields_that_frame_a_message_cannot_be_named_away() {
        let received = [("connection", "content-length, host"), ("content-length", "5")];
        check(&received, &[], &[&FORWARDED_BY_US[..], &[("content-length", "5")]].concat());
    }

    #[test]
    fn trailers_are_asked_for_in_the_gateways_own_name() {
        let received = [("te", "deflate, Trailers"), ("connection", "te")];
        check(&received, &[], &[&FORWARDED_BY_US[..], &[("te", "trailers")]].concat());
    }

    #[test]
    fn forwarding_fields_of_strangers_are_replaced() {
        let received = [
            ("host", "api.example.com"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("forwarded", "for=1.1.1.1"),
        ];
        check(&received, &[], &[&FORWARDED_BY_US[..], &[("x-forwarded-host", "api.example.com")]].concat());
    }

    #[test]
    fn what_only_a_gateway_knows_is_believed_of_trusted_proxies_alone() {
        let fields = [
            ("x-real-ip", "1.1.1.1"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-prefix", "/evil"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("forwarded", "for=1.1.1.1"),
        ];
        check(&fields, &[], &FORWARDED_BY_US);
        check(&fields, &["192.0.2.0/24"], &[&FORWARDED_BY_US[..], &fields].concat());
    }

    #[test]
    fn forwarding_fields_of_trusted_proxies_are_continued() {
        let received = [
            ("host", "inner"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example.com"),
        ];
        let expected = [
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example.com"),
        ];
        check(&received, &["192.0.2.0/24"], &expected);
    }

    #[test]
    fn other_spellings_of_what_the_gateway_writes_are_removed() {
        let names = [
            "x_forwarded_for",
            "X-Forwarded_For",
            "x.forwarded.for",
            "x_forwarded_host",
            "x_forwarded_proto",
            "x.forwarded.port",
            "x_real_ip",
            "x_original_url",
            "proxy",
            "content_length",
            "transfer_encoding",
            "Transfer.Encoding",
        ];
        let received: Vec<_> =
            names.into_iter().chain(["x_request_id"]).map(|name| (name, "1.1.1.1")).collect();
        let kept = [("x_forwarded", "1"), ("x-real", "2"), ("content_type", "3"), ("proxy-x", "4")];
        let expected = [&FORWARDED_BY_US[..], &kept].concat();
        for trusted in [&[][..], &["192.0.2.0/24"]] {
            check(&[&received[..], &kept].concat(), trusted, &expected);
        }
    }

    #[test]
    fn a_length_beside_chunks_goes_no_further() {
        let mut answer = headers(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        prepare_response(&mut answer);
        assert_eq!(answer, headers(&[]));
    }

    #[test]
    fn request_ids_that_could_break_a_log_line_are_replaced() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut id = |value: &str| {
            let headers = headers(&[("x-request-id", value)]);
            request_id(&headers, &mut random).to_str().unwrap().to_owned()
        };
        assert_eq!(id("abc-123"), "abc-123");
        assert_eq!(id(&"x".repeat(128)), "x".repeat(128));
        for unusable in ["", "a b", "a\"b", "a\\b", &"x".repeat(129)] {
            let made = id(unusable);
            assert!(
                made.len() == 24 && made.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{unusable:?}: {made}"
            );
        }
    }
}
