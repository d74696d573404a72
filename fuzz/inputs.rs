//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Included by the targets and by `dataplane/engine/tests/corpora.rs`; `messages.rs` is the same for HTTP/1. So the kept corpora are replayed by every test
//! run, without a fuzzer and its nightly compiler.

use std::{net::IpAddr, time::Duration};

use apigw_config::{
    model::{EncodedSlash, PathRules},
    wire::{self, Resource, Revision},
};
use apigw_engine::{
    Snapshot,
    client::client_address,
    jwt::{
        algorithm::{Algorithm, AlgorithmSet},
        authorization::bearer_token,
        keys::KeySet,
        time::UnixTime,
        token::Token,
        verify::{Demands, Verifier},
    },
    path::NormalPath,
    proxy_protocol::{MAX_HEADER_BYTES, ProxyHeader, parse},
};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;

/// A path in one form is in that form, by whatever rules.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(received) = std::str::from_utf8(bytes) else { return };
    for encoded_slash in [EncodedSlash::Reject, EncodedSlash::Keep, EncodedSlash::Decode] {
        for merge_slashes in [true, false] {
            let rules = PathRules { encoded_slash, merge_slashes };
            let Ok(normal) = NormalPath::new(received, rules) else { continue };
            let path = normal.as_str();
            assert!(path.starts_with('/'), "{received:?}: {path}");
            assert!(
                path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'),
                "{received:?}: {path}"
            );
            // Kept slashes are decoded by some upstreams.
            let segments = || path.split('/').flat_map(|segment| segment.split("%2F"));
            assert!(!segments().any(|segment| matches!(segment, "." | "..")), "{received:?}: {path}");
            assert!(!merge_slashes || !path.contains("//"), "{received:?}: {path}");
            let again = NormalPath::new(path, rules);
            assert_eq!(again.as_ref().map(NormalPath::as_str), Ok(path), "{received:?}");
        }
    }
}

/// Lines are values of X-Forwarded-For. A stranger's word changes nothing.
pub(crate) fn forwarded(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let peer = IpAddr::from([192, 0, 2, 7]);
    assert_eq!(client_address(peer, text.lines(), &[]), peer);
    let trusted: Vec<_> =
        ["192.0.2.0/24", "10.0.0.0/8"].iter().map(|range| range.parse().expect("a range")).collect();
    let client = client_address(peer, text.lines(), &trusted);
    // Whoever it is was told of as the last one that is no proxy, or nobody was told of.
    let is_proxy = trusted.iter().any(|range| range.contains(client));
    assert!(is_proxy || !text.trim().is_empty(), "{text:?}: {client}");
}

/// An `Authorization` field, with a token inside or not.
pub(crate) fn token(bytes: &[u8]) {
    let Ok(text) = bearer_token([bytes]) else { return };
    let Ok(token) = Token::parse(text) else { return };
    assert_eq!(token.text(), text);
    assert!(token.kid().is_none_or(|kid| kid.len() <= text.len()));
    let _ = token.claimed_issuer();
}

/// The claims of a token whose signature is good. Who is believed is believed for a while yet, and only by what he says.
pub(crate) fn claims(bytes: &[u8]) {
    const SECRET: &[u8] = b"a secret that nobody else knows.";
    let signed = format!("eyJhbGciOiJIUzI1NiJ9.{}", URL_SAFE_NO_PAD.encode(bytes));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
    let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let Ok(token) = Token::parse(&text) else { return };
    let demands = Demands {
        issuers: vec!["issuer".into()],
        audiences: vec!["gateway".into()],
        algorithms: AlgorithmSet::from_iter([Algorithm::Hs256]),
        leeway: Duration::from_secs(30),
    };
    let (keys, now) = (KeySet::from_secret(SECRET), UnixTime::new(Duration::from_secs(1_700_000_000)));
    let Ok(verified) = Verifier::new("provider", demands).verify(&token, &keys, now) else { return };
    assert!(verified.expires() > now, "{text}");
    let claims = verified.claims();
    assert_eq!(claims.text("iss").as_deref(), Some("issuer"), "{text}");
    assert!(claims.holds("aud", "gateway"), "{text}");
    assert!(claims.scopes().all(|scope| claims.missing_scopes([scope]).next().is_none()), "{text}");
    for name in ["sub", "scope", "tier"] {
        let value = claims.header_value(name);
        assert!(value.is_none_or(|value| value.to_str().is_ok_and(|text| text.trim() == text)), "{text}");
    }
}

/// The beginning of a connection. What is known of it does not change with what follows, and none of it waits for ever.
pub(crate) fn proxy(bytes: &[u8]) {
    match parse(bytes) {
        Ok(ProxyHeader::Incomplete) => assert!(bytes.len() < MAX_HEADER_BYTES, "{bytes:?}"),
        Ok(ProxyHeader::Complete { length, .. }) => {
            assert!((1..=bytes.len().min(MAX_HEADER_BYTES)).contains(&length), "{bytes:?}");
            assert_eq!(parse(&bytes[..length]), parse(bytes));
            assert!((0..length).all(|cut| parse(&bytes[..cut]) == Ok(ProxyHeader::Incomplete)), "{bytes:?}");
        }
        Err(error) => assert_eq!(parse(&[bytes, b"\r\n"].concat()), Err(error), "{bytes:?}"),
    }
}

/// A file that is a configuration means the same after it has travelled.
pub(crate) fn file(bytes: &[u8]) {
    let Ok(config) = apigw_config::read("gateway.yaml", bytes) else { return };
    let Ok(resources) = wire::encode(&config) else { return };
    assert_eq!(wire::decode(&resources), Ok(config));
}

/// What a data plane is sent or has kept: how many resources are backends, then resources, each behind its length in two
/// bytes. What can be run means the same when it is told again.
pub(crate) fn snapshot(bytes: &[u8]) {
    let Some((&backends, mut rest)) = bytes.split_first() else { return };
    let mut contents = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk() {
        let (resource, tail) = tail.split_at(tail.len().min(u16::from_be_bytes(*length).into()));
        contents.push(Bytes::copy_from_slice(resource));
        rest = tail;
    }
    let Ok(resources) = wire::resources(contents, backends.into()) else { return };
    let Ok(config) = wire::decode(&resources) else { return };
    let again = wire::encode(&config).expect("what has come is not too large to be told");
    assert_eq!(wire::decode(&again).as_ref(), Ok(&config), "{bytes:?}");
    let root_hash = wire::root_hash(again.iter().map(Resource::entry));
    let _ = Snapshot::compile(config, Revision { epoch: 1, seq: 1, root_hash }, None);
}
