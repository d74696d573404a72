//! Calls of gRPC from end to end, by a real client and a real server, in clear and in TLS.

use apigw_tests::{
    certificates::Authority,
    client,
    gateway::Gateway,
    grpc::{
        Callee, Caller,
        caller::{call, call_by_hand},
    },
    waiting::eventually,
};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Streaming};

/// A file whose one route leads to a server of gRPC.
fn document(server: &Callee) -> String {
    format!(
        "server: {{max_body_bytes: 10000000}}\nbackends:\n  - {{name: echo, http2: true, endpoints: [{{url: \"http://{}\"}}]}}\n\
         routes:\n  - {{name: echo, match: {{path_prefix: /test.Echo}}, backend: echo}}\n",
        server.address()
    )
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn all(mut messages: Streaming<Bytes>) -> Vec<Bytes> {
    let mut all = Vec::new();
    while let Some(message) = messages.message().await.expect("no failure") {
        all.push(message);
    }
    all
}

/// Makes a call of each kind.
async fn make_calls(mut caller: Caller) {
    let answered = caller.unary(call(text("hello"), &[])).await.expect("an answer");
    assert_eq!(answered.into_inner(), "hello");
    let large = Bytes::from(vec![b'x'; 3 << 20]);
    let answered = caller.unary(call(large.clone(), &[])).await.expect("an answer");
    assert!(answered.into_inner() == large, "a large message comes back as it was");
    let many = tokio_stream::iter((0..100).map(|_| text("0123456789")));
    let answered = caller.client_stream(many).await.expect("an answer");
    assert_eq!(answered.into_inner(), "100 messages of 1000 bytes");
    let messages = caller.server_stream(call(text("100"), &[])).await.expect("an answer");
    assert_eq!(all(messages.into_inner()).await.last().map(Bytes::as_ref), Some(&b"message 99"[..]));
    let (say, said) = mpsc::channel(1);
    let mut heard = caller.bidi(ReceiverStream::new(said)).await.expect("an answer").into_inner();
    // Each message is answered before the next one is sent.
    for message in ["one", "two", "three"] {
        say.send(text(message)).await.expect("the call goes on");
        assert_eq!(heard.next().await.expect("the call goes on").expect("no failure"), message);
    }
    drop(say);
    assert!(heard.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_all_kinds_pass_in_clear() {
    let server = Callee::start().await;
    let gateway = Gateway::standalone(document(&server));
    make_calls(Caller::connect(gateway.address()).await).await;
    assert_eq!(server.connections(), 1);
    let (path, fields) = server.calls().first().cloned().expect("a call");
    assert_eq!((path.as_str(), &fields["te"]), ("/test.Echo/Unary", &"trailers".parse().expect("a value")));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_all_kinds_pass_in_tls() {
    let authority = Authority::new();
    let identity = authority.identity();
    let server = Callee::start_securely(&identity).await;
    let file = |name: &str| identity.path(name).display().to_string();
    let tls = format!("http2: true, tls: {{ca_file: \"{}\", server_name: localhost}}", file("ca.pem"));
    let section = format!(
        "server: {{tls: {{certificates: [{{cert_file: \"{}\", key_file: \"{}\"}}]}}, ",
        file("cert.pem"),
        file("key.pem")
    );
    let routes = document(&server).replace("http2: true", &tls).replace("http://", "https://");
    let gateway = Gateway::standalone(routes.replace("server: {", &section));
    make_calls(Caller::connect_securely(gateway.address(), &authority).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_pass_before_and_behind_messages() {
    let server = Callee::start().await;
    let gateway = Gateway::standalone(document(&server));
    let mut caller = Caller::connect(gateway.address()).await;
    let fields = [("x-request-id", "missing")];
    let status = caller.unary(call(text("status:5:it is \"gone\""), &fields)).await.expect_err("a failure");
    assert_eq!((status.code(), status.message()), (Code::NotFound, "it is \"gone\""));
    let line = gateway.data_plane.access("missing");
    assert_eq!((&line["status"], &line["why"], &line["grpc_status"]), (&200.into(), &"ok".into(), &5.into()));
    let messages = caller.server_stream(call(text("2,status:9:enough"), &[])).await.expect("an answer");
    let mut messages = messages.into_inner();
    for _ in 0..2 {
        assert!(messages.message().await.expect("a message").is_some());
    }
    let status = messages.message().await.expect_err("a failure");
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "enough"));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_leave_or_are_out_of_time_are_not_waited_for() {
    let server = Callee::start().await;
    let gateway = Gateway::standalone(document(&server));
    let answered = call_by_hand(gateway.address(), "hang", "grpc-timeout: 4S\r\n").await;
    assert_eq!((answered.status(), answered.field("grpc-status")), (200, Some("4")));
    eventually("the server hears of it", || (server.abandoned() == 1).then_some(()));
    let (_, fields) = server.calls().first().cloned().expect("a call");
    let told = fields["grpc-timeout"].to_str().expect("text").to_owned();
    assert!(told.ends_with('u') || told.ends_with('n'), "what is left is told: {told}");
    let mut caller = Caller::connect(gateway.address()).await;
    let mut other = caller.clone();
    let left = tokio::spawn(async move { other.unary(call(text("hang"), &[])).await });
    // Not before its message has come there: a call without one is not begun, and nobody hears that it was given up.
    eventually("it is with the server", || (server.hanging() == 2).then_some(()));
    left.abort();
    eventually("the server hears of it", || (server.abandoned() == 2).then_some(()));
    assert_eq!(caller.unary(call(text("hello"), &[])).await.expect("an answer").into_inner(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_with_grpc_serves_clients_and_pages() {
    let server = Callee::start().await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/grpc.yaml");
    let example = std::fs::read_to_string(path).expect("the example is there");
    let moved = example.replace("127.0.0.1:50051", &server.address().to_string());
    assert_ne!(moved, example);
    let gateway = Gateway::standalone(moved);
    make_calls(Caller::connect(gateway.address()).await).await;
    let address = gateway.address();
    let question = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: POST\r\n\
                    Access-Control-Request-Headers: content-type,x-grpc-web\r\n";
    let ask = move || client::request(address, "OPTIONS", "/test.Echo/Unary", question);
    let answered = tokio::task::spawn_blocking(ask).await.expect("no panic");
    assert_eq!(answered.field("access-control-allow-origin"), Some("https://app.example.com"));
}
