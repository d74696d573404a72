//! gRPC-Web, by frames made by hand as the protocol has them, before a real server of gRPC.

use std::{io::Read as _, sync::Arc};

use apigw_tests::{
    client::{Connection, Response},
    gateway::Gateway,
    grpc::Callee,
    http2_origin::{Asked, Http2Origin},
    origin::refusing,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request, header::CONTENT_TYPE};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::Semaphore};

fn document(address: impl std::fmt::Display) -> String {
    format!(
        "backends:\n  - {{name: echo, http2: true, endpoints: [{{url: \"http://{address}\"}}]}}\n\
         routes:\n  - {{name: echo, match: {{path_prefix: /}}, backend: echo}}\n"
    )
}

/// A message: no compression, its length, itself.
fn message(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a short message");
    [&[0], &length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// The messages of an answer, and the text of its trailers, which come last.
fn read(mut answer: &[u8]) -> (Vec<String>, String) {
    let mut messages = Vec::new();
    while let [flags, a, b, c, d, rest @ ..] = answer {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (text, rest) = rest.split_at(length);
        let text = String::from_utf8(text.to_vec()).expect("text");
        if *flags == 0x80 {
            assert!(rest.is_empty(), "nothing follows the trailers");
            return (messages, text);
        }
        messages.push(text);
        answer = rest;
    }
    panic!("no trailers: {messages:?}");
}

/// Decodes texts that follow each other, each padded.
fn decode(text: &str) -> Vec<u8> {
    let quanta = text.as_bytes().chunks(4);
    quanta.flat_map(|quantum| STANDARD.decode(quantum).expect("base64")).collect()
}

/// Sends a body over HTTP/1.1, cut into chunks of this size.
async fn post(gateway: &Gateway, method: &str, media_type: &str, body: Vec<u8>, cut: usize) -> Response {
    let address = gateway.address();
    let head = format!(
        "POST /test.Echo/{method} HTTP/1.1\r\nHost: h\r\nX-Request-Id: web\r\nX-Grpc-Web: 1\r\n\
         Content-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let sent = tokio::task::spawn_blocking(move || {
        let mut connection = Connection::open(address);
        connection.send(head);
        for chunk in body.chunks(cut) {
            connection.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        connection.send("0\r\n\r\n");
        connection.response()
    });
    sent.await.expect("no panic")
}

/// Sends a body over HTTP/2.
async fn post_http2(gateway: &Gateway, media_type: &str, body: Vec<u8>) -> (HeaderMap, Bytes) {
    let socket = TcpStream::connect(gateway.address()).await.expect("the gateway accepts");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (mut requests, connection) = handshake.await.expect("the gateway speaks HTTP/2");
    tokio::spawn(connection);
    let request =
        Request::post("http://gateway.example/test.Echo/ServerStream").header(CONTENT_TYPE, media_type);
    let request = request.body(Full::new(Bytes::from(body))).expect("a request");
    let (head, body) = requests.send_request(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a whole body");
    assert!(body.trailers().is_none(), "a page would not see them");
    (head.headers, body.to_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_calls_are_translated_for_both_versions() {
    let server = Callee::start().await;
    let gateway = Gateway::standalone(document(server.address()));
    let answer = post(&gateway, "Unary", "application/grpc-web+proto", message("hello"), 100).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.field("content-type"), Some("application/grpc-web"));
    let (messages, trailers) = read(&answer.body);
    assert_eq!((messages, trailers.contains("grpc-status: 0\r\n")), (vec!["hello".to_owned()], true));
    let (_, fields) = server.calls().first().cloned().expect("a call");
    assert_eq!(
        (&fields["content-type"], &fields["te"]),
        (&"application/grpc+proto".parse().expect("a value"), &"trailers".parse().expect("a value"))
    );
    let (fields, body) = post_http2(&gateway, "application/grpc-web", message("2,status:5:gone")).await;
    assert_eq!(fields["content-type"], "application/grpc-web");
    let (messages, trailers) = read(&body);
    assert_eq!(messages, ["message 0", "message 1"]);
    assert!(
        trailers.contains("grpc-status: 5\r\n") && trailers.contains("grpc-message: gone\r\n"),
        "{trailers}"
    );
    assert_eq!(gateway.data_plane.access("web")["grpc_status"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_calls_are_translated_as_they_come() {
    let server = Callee::start().await;
    let gateway = Gateway::standalone(document(server.address()));
    let texts: Vec<_> =
        ["one", "three", "five!"].into_iter().map(|text| STANDARD.encode(message(text))).collect();
    for cut in [1, 3, 5, 1_000] {
        let body = texts.concat().into_bytes();
        let answer = post(&gateway, "Bidi", "application/grpc-web-text+proto", body, cut).await;
        assert_eq!(answer.field("content-type"), Some("application/grpc-web-text"));
        let (messages, trailers) = read(&decode(&answer.text()));
        assert_eq!(messages, ["one", "three", "five!"], "cut after {cut}");
        assert!(trailers.contains("grpc-status: 0\r\n"), "{trailers}");
    }
    let body = STANDARD.encode(message("1")).into_bytes();
    let (fields, body) = post_http2(&gateway, "application/grpc-web-text", body).await;
    assert_eq!(fields["content-type"], "application/grpc-web-text");
    let (messages, _) = read(&decode(&String::from_utf8_lossy(&body)));
    assert_eq!(messages, ["message 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_no_base64_is_refused() {
    let server = Callee::start().await;
    let gateway = Gateway::standalone(document(server.address()));
    for body in ["AAAA*AAA", "AAAAAAVoZWxsbw="] {
        let answer = post(&gateway, "Unary", "application/grpc-web-text", body.into(), 100).await;
        assert_eq!((answer.status(), answer.field("grpc-status")), (200, Some("13")), "{body}: {answer:?}");
        let line = gateway.data_plane.access("web");
        assert_eq!((&line["status"], &line["why"]), (&400.into(), &"body_malformed".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_without_messages_is_in_the_head() {
    let server = Callee::start().await;
    let gateway = Gateway::standalone(document(server.address()));
    let answer = post(&gateway, "Unary", "application/grpc-web", message("status:7:no"), 100).await;
    assert_eq!((answer.field("grpc-status"), answer.field("grpc-message")), (Some("7"), Some("no")));
    assert_eq!((answer.field("content-type"), answer.body.len()), (Some("application/grpc-web"), 0));
    let gateway = Gateway::standalone(document(refusing()));
    let answer = post(&gateway, "Unary", "application/grpc-web-text", Vec::new(), 100).await;
    assert_eq!((answer.field("grpc-status"), answer.body.len()), (Some("14"), 0));
    assert_eq!(answer.field("content-type"), Some("application/grpc-web-text"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_ends_with_a_message_of_trailers() {
    let gate = Arc::new(Semaphore::new(0));
    let passed = Arc::clone(&gate);
    let origin = Http2Origin::start(100, move |mut asked: Asked| {
        let gate = Arc::clone(&passed);
        async move {
            asked.whole().await?;
            let mut answer = asked.begin_call()?;
            answer.send_data(message("hello").into(), false).ok()?;
            // A reset may overtake what was to be sent before it.
            gate.acquire().await.ok()?.forget();
            asked.reset(h2::Reason::INTERNAL_ERROR);
            Some(())
        }
    })
    .await;
    let gateway = Gateway::standalone(document(origin.url().trim_start_matches("http://")));
    let address = gateway.address();
    let read_to_end = tokio::task::spawn_blocking(move || {
        let mut connection = Connection::open(address);
        connection.send(
            "POST /test.Echo/Unary HTTP/1.1\r\nHost: h\r\nX-Request-Id: web\r\nContent-Length: 0\r\n\
             Content-Type: application/grpc-web\r\n\r\n",
        );
        let head = connection.head();
        let mut first = [0; 15];
        connection.stream().read_exact(&mut first).expect("the first message");
        assert_eq!(&first[..], [b"a\r\n", &message("hello")[..], b"\r\n"].concat());
        gate.add_permits(1);
        let mut rest = Vec::new();
        connection.read_body(&head, "POST", &mut rest).expect("a whole body");
        rest
    });
    let rest = read_to_end.await.expect("no panic");
    let (messages, trailers) = read(&rest);
    assert!(messages.is_empty() && trailers.contains("grpc-status: 14\r\n"), "{messages:?} {trailers}");
    assert_eq!(gateway.data_plane.access("web")["why"], "upstream_truncated");
}
