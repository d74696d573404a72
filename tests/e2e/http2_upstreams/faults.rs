//! Upstreams that are to speak HTTP/2 and speak something else, speak it wrongly, or do not speak.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use apigw_tests::{
    certificates::Authority,
    client,
    frames::{END_HEADERS, END_STREAM, Kind, field, frame},
    gateway::Gateway,
    grpc::{Callee, Caller, caller::call},
    origin::Origin,
};
use bytes::Bytes;

use super::{ask, connect, document, document_with};

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_another_protocol_has_a_reason_of_its_own() {
    let plain = Origin::saying("HTTP/1.1");
    let gateway = Gateway::standalone(document(&plain.url()));
    let client = connect(gateway.address()).await;
    assert_eq!(ask(&client, "/", "plain").await.status(), 502);
    assert_eq!(gateway.data_plane.access("plain")["why"], "upstream_not_http2");
}

/// An upstream that answers each request on a connection of its own with these frames, on stream 1.
fn saying_frames(frames: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let frames = frames.clone();
            thread::spawn(move || {
                let settings = [frame(Kind::Settings, 0, 0, &[]), frame(Kind::Settings, 1, 0, &[])].concat();
                stream.write_all(&settings)?;
                let mut came = Vec::new();
                // A HEADERS frame on stream 1.
                while !came.windows(6).any(|bytes| bytes[0] == 1 && bytes[2..] == [0, 0, 0, 1]) {
                    let mut bytes = [0; 1_024];
                    let length = stream.read(&mut bytes)?;
                    if length == 0 {
                        return Ok(());
                    }
                    came.extend_from_slice(&bytes[..length]);
                }
                stream.write_all(&frames)?;
                std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
            });
        }
    });
    address
}

fn answer(fields: &[(&str, &str)]) -> Vec<u8> {
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    frame(Kind::Headers, END_HEADERS | END_STREAM, 1, &block)
}

#[test]
fn answers_that_http11_could_not_have_given_are_refused() {
    let many: Vec<_> = (0..101).map(|number| (format!("x-{number}"), "1".to_owned())).collect();
    let mut many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    many.insert(0, (":status", "200"));
    let large = "x".repeat(70_000);
    for (name, fields) in [
        ("a field of the connection", &[(":status", "200"), ("connection", "close")][..]),
        ("a transfer coding", &[(":status", "200"), ("transfer-encoding", "chunked")]),
        ("a switch of protocols", &[(":status", "101")]),
        ("a status beyond all", &[(":status", "600")]),
        ("a name with capitals", &[(":status", "200"), ("X-Capital", "1")]),
        ("two lengths", &[(":status", "200"), ("content-length", "0"), ("content-length", "0")]),
        ("a length without a body", &[(":status", "200"), ("content-length", "5")]),
        ("a value with space around it", &[(":status", "200"), ("x-padded", " 1")]),
        ("a line end in a value", &[(":status", "200"), ("x-split", "a\r\nb: c")]),
        ("no status", &[("x-field", "1")]),
        ("too many fields", &many),
        ("too large a head", &[(":status", "200"), ("x-large", &large)]),
    ] {
        let frames = if name == "too large a head" { oversized(&large) } else { answer(fields) };
        let gateway = Gateway::standalone(document(&format!("http://{}", saying_frames(frames))));
        let answered = client::get_with(gateway.address(), "/", "X-Request-Id: bad\r\n");
        assert_eq!(answered.status(), 502, "{name}: {answered:?}");
        assert_eq!(gateway.data_plane.access("bad")["why"], "upstream_malformed", "{name}");
    }
}

/// A head that does not fit in one frame.
fn oversized(value: &str) -> Vec<u8> {
    let block = [field(":status", "200"), field("x-large", value)].concat();
    let mut pieces = block.chunks(16 << 10).peekable();
    let mut frames = frame(Kind::Headers, END_STREAM, 1, pieces.next().unwrap_or_default());
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        frames.extend(frame(Kind::Continuation, flags, 1, piece));
    }
    frames
}

#[test]
fn a_connection_on_which_nobody_answers_is_given_up() {
    let silent = saying_frames(Vec::new());
    let file =
        document_with(&format!("http://{silent}"), "upstream: {response_header_timeout_seconds: 3600}\n");
    let gateway = Gateway::standalone(file);
    let answered = client::get_with(gateway.address(), "/", "X-Request-Id: dead\r\n");
    assert_eq!(answered.status(), 502);
    assert_eq!(gateway.data_plane.access("dead")["why"], "upstream_reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_upstreams_must_agree_on_http2() {
    let authority = Authority::new();
    let identity = authority.identity();
    let server = Callee::start_securely(&identity).await;
    let text_of_file = |address: SocketAddr| {
        let ca = identity.path("ca.pem").display().to_string();
        document(&format!("https://{address}")).replace(
            "http2: true,",
            &format!("http2: true, tls: {{ca_file: \"{ca}\", server_name: localhost}},"),
        )
    };
    let gateway = Gateway::standalone(text_of_file(server.address()));
    let mut caller = Caller::connect(gateway.address()).await;
    let answered = caller.unary(call(Bytes::from_static(b"hello"), &[])).await.expect("an answer");
    assert_eq!(answered.into_inner(), "hello");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let config = identity.server_config(&[b"http/1.1"]).expect("a configuration");
    let silent = identity.server_config(&[]).expect("a configuration");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        for config in [config, silent].into_iter().cycle() {
            let Ok((stream, _)) = listener.accept().await else { return };
            let _ = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        }
    });
    let gateway = Gateway::standalone(text_of_file(address));
    let client = connect(gateway.address()).await;
    for id in ["other", "none"] {
        assert_eq!(ask(&client, "/", id).await.status(), 502);
        assert_eq!(gateway.data_plane.access(id)["why"], "upstream_not_http2", "{id}");
    }
}
