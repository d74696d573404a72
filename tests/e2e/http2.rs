//! HTTP/2 from clients, with prior knowledge: judged, passed on and answered as HTTP/1.1 is; what only it has (streams,
//! windows, resets, farewells) and what it must not smuggle.

use std::net::SocketAddr;

use apigw_tests::{
    configuration::Document,
    gate::Gate,
    gateway::{Gateway, gwctl_json},
    origin::{Origin, ok},
    waiting::eventually,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Frame, Incoming},
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use serde_json::json;
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

type Content = BoxBody<Bytes, std::convert::Infallible>;

/// A client's connection, and how it ends.
struct Client {
    requests: SendRequest<Content>,
    connection: JoinHandle<Result<(), hyper::Error>>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("the gateway accepts");
        let (requests, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(64 << 10)
            .handshake(TokioIo::new(socket))
            .await
            .expect("the gateway speaks HTTP/2");
        Self { requests, connection: tokio::spawn(connection) }
    }

    async fn try_send(&mut self, request: Request<Content>) -> Result<Response<Incoming>, hyper::Error> {
        self.requests.ready().await?;
        self.requests.send_request(request).await
    }

    async fn send(&mut self, request: Request<Content>) -> Response<Incoming> {
        self.try_send(request).await.expect("an answer")
    }
}

fn get(path: &str, fields: &[(&str, &str)]) -> Request<Content> {
    let mut request = Request::builder().uri(format!("http://gateway.example{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new().boxed()).expect("a request")
}

fn post(body: Content) -> Request<Content> {
    Request::builder().method("POST").uri("http://gateway.example/").body(body).expect("a request")
}

/// A body of these frames, whose length is not told.
fn frames(frames: Vec<Frame<Bytes>>) -> Content {
    let frames = tokio_stream::iter(frames).map(Ok::<_, std::convert::Infallible>);
    StreamBody::new(frames).boxed()
}

async fn text(response: Response<Incoming>) -> String {
    let whole = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(whole.to_vec()).expect("text")
}

fn before(origin: &Origin) -> Gateway {
    Gateway::standalone(Document::new().route("all", "/", origin.url()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_the_upstream_as_http11_would_bring_it() {
    let origin = Origin::saying("served");
    let gateway = before(&origin);
    let mut client = Client::connect(gateway.address()).await;
    let fields = [("cookie", "a=1"), ("cookie", "b=2"), ("x-kept", "1"), ("x-request-id", "one")];
    let answer = client.send(get("/a//b?q=1", &fields)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["x-request-id"], "one");
    assert!(answer.headers().contains_key("date"));
    assert_eq!(text(answer).await, "served");
    let request = origin.only_request();
    assert_eq!(request.line(), "GET /a/b?q=1");
    let seen = |name| request.head.field(name);
    assert_eq!(seen("host"), Some(origin.address().to_string().as_str()));
    assert_eq!(seen("x-forwarded-host"), Some("gateway.example"));
    assert_eq!((seen("cookie"), seen("x-kept")), (Some("a=1; b=2"), Some("1")));
    let line = gateway.data_plane.access("one");
    assert_eq!((&line["path"], &line["status"], &line["bytes"]), (&json!("/a/b"), &json!(200), &json!(6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_trailers_pass_both_ways() {
    let origin = Origin::answering(|request| {
        let sum = request.trailers.iter().find(|(name, _)| name == "sum").map_or("", |(_, sum)| sum);
        let length = request.body.len();
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nsum: {sum}{length}\r\n\r\n"
        )
    });
    let gateway = before(&origin);
    let mut client = Client::connect(gateway.address()).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("sum", "7".parse().expect("a value"));
    trailers.insert("x-forwarded-for", "1.1.1.1".parse().expect("a value"));
    let piece = || Frame::data(Bytes::from_static(&[b'x'; 10_000]));
    let mut pieces: Vec<_> = (0..50).map(|_| piece()).collect();
    pieces.push(Frame::trailers(trailers));
    let answer = client.send(post(frames(pieces))).await;
    let whole = answer.into_body().collect().await.expect("a whole body");
    assert_eq!(whole.trailers().map(|fields| fields["sum"].as_bytes()), Some(&b"7500000"[..]));
    assert_eq!(whole.to_bytes(), "abc");
    assert_eq!(origin.only_request().trailers, [("sum".to_owned(), "7".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_connection_do_not_wait_for_each_other() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        while let Ok(request) = peer.request() {
            if request.line() == "GET /slow" {
                passed.pass()?;
            }
            peer.send(ok("served"))?;
        }
        Ok(())
    });
    let gateway = before(&origin);
    let mut client = Client::connect(gateway.address()).await;
    let mut other = client.requests.clone();
    let slow = tokio::spawn(async move { other.send_request(get("/slow", &[])).await });
    origin.await_request(0);
    assert_eq!(text(client.send(get("/fast", &[])).await).await, "served");
    gate.open();
    let slow = slow.await.expect("no panic").expect("an answer");
    assert_eq!(text(slow).await, "served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_gives_back_what_the_request_held() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    });
    // Nothing but the client ends it before the test does.
    let limited = Document::new()
        .upstream("response_header_timeout_seconds: 3600")
        .route("all", "/", origin.url())
        .with("concurrency: { max_in_flight: 1 }");
    let gateway = Gateway::standalone(limited);
    let mut client = Client::connect(gateway.address()).await;
    let mut other = client.requests.clone();
    let waiting = tokio::spawn(async move {
        let _ = other.send_request(get("/", &[("x-request-id", "left")])).await;
    });
    origin.await_request(0);
    assert_eq!(client.send(get("/", &[])).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    waiting.abort();
    assert_eq!(gateway.data_plane.access("left")["why"], "client_disconnected");
    let admin = gateway.data_plane.admin();
    eventually("the place is given back", || {
        let rows = gwctl_json(admin, &["limits"]);
        (rows[0]["concurrency"]["in_flight"] == json!(0)).then_some(())
    });
    eventually("the upstream's connection is closed", || (origin.ended() == 1).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_http11_would_refuse_is_refused() {
    let origin = Origin::saying("served");
    let gateway = before(&origin);
    let mut client = Client::connect(gateway.address()).await;
    for fields in [
        &[("host", "other.example")][..],
        &[("host", "gateway.example"), ("host", "gateway.example")],
        &[("content-length", "0"), ("content-length", "0")],
        &[("content-length", "5")],
    ] {
        let answer = client.try_send(get("/", fields)).await;
        // What is against HTTP/2 itself is reset.
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 400), "{fields:?}");
    }
    for (path, status) in [("/a%2fb", 400), ("/%00", 400)] {
        assert_eq!(client.send(get(path, &[])).await.status(), status, "{path}");
    }
    let large = "x".repeat(70_000);
    assert_eq!(client.send(get("/", &[("x", &large)])).await.status(), 431);
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(text(client.send(get("/", &[])).await).await, "served", "the connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_seen_as_broken() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    });
    let gateway = before(&origin);
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..20 {
        // The reset does not overtake the head.
        let answer = client.try_send(get("/", &[("x-request-id", "half")])).await.expect("a head");
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_err());
    }
    assert_eq!(gateway.data_plane.access("half")["why"], "upstream_truncated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_stays_shut_ends_the_answer_and_gathers_nothing() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            peer.send([b'x'; 16 << 10])?;
        }
    });
    let text = Document::new().server("write_timeout_seconds: 0.5").route("all", "/", origin.url());
    let gateway = Gateway::standalone(text);
    let before = gateway.data_plane.resident_bytes();
    let mut client = Client::connect(gateway.address()).await;
    let mut unread = Vec::new();
    for number in 0..20 {
        unread.push(client.send(get("/", &[("x-request-id", &format!("shut-{number}"))])).await);
    }
    for number in 0..20 {
        assert_eq!(gateway.data_plane.access(&format!("shut-{number}"))["why"], "write_timeout");
    }
    let grown = gateway.data_plane.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for 20 answers that nobody takes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_the_upstream_does_not_take_is_not_taken_from_the_client() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        let head = peer.head()?;
        if peer.number() == 0 {
            passed.pass()?;
        }
        peer.body(&head, &mut std::io::sink())?;
        peer.send(ok("taken"))
    });
    let text_of_file = Document::new().server("max_body_bytes: 1073741824").route("all", "/", origin.url());
    let gateway = Gateway::standalone(text_of_file);
    let before = gateway.data_plane.resident_bytes();
    let mut client = Client::connect(gateway.address()).await;
    let (pieces, body) = mpsc::channel::<Result<_, std::convert::Infallible>>(1);
    let body = StreamBody::new(ReceiverStream::new(body)).boxed();
    let feeding = tokio::spawn(async move {
        for _ in 0..4_000 {
            pieces.send(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 << 10])))).await.expect("it is wanted");
        }
    });
    let mut requests = client.requests.clone();
    let answer = tokio::spawn(async move { requests.send_request(post(body)).await });
    origin.await_request(0);
    assert_eq!(client.send(post(Full::from("x").boxed())).await.status(), 200, "others are not held up");
    assert!(!feeding.is_finished(), "64 MB went somewhere");
    gate.open();
    let answer = answer.await.expect("no panic").expect("an answer");
    assert_eq!(text(answer).await, "taken");
    let grown = gateway.data_plane.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_ends_says_goodbye_and_finishes_what_is_under_way() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        peer.request()?;
        passed.pass()?;
        peer.send(ok("finished"))
    });
    let mut gateway = before(&origin);
    let client = Client::connect(gateway.address()).await;
    let mut requests = client.requests.clone();
    let answer = tokio::spawn(async move { requests.send_request(get("/", &[])).await });
    origin.await_request(0);
    gateway.data_plane.program().signal(Signal::TERM);
    let is_draining = |line: &str| line.contains("listener closing").then_some(());
    assert!(gateway.data_plane.program().stderr().first(is_draining).is_some());
    gate.open();
    assert_eq!(text(answer.await.expect("no panic").expect("an answer")).await, "finished");
    assert!(client.connection.await.expect("no panic").is_ok());
    assert!(gateway.data_plane.program_mut().ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_ended_with_a_farewell() {
    let origin = Origin::saying("served");
    let text_of_file = Document::new().server("idle_timeout_seconds: 0.3").route("all", "/", origin.url());
    let gateway = Gateway::standalone(text_of_file);
    let mut client = Client::connect(gateway.address()).await;
    assert_eq!(text(client.send(get("/", &[])).await).await, "served");
    assert!(client.connection.await.expect("no panic").is_ok());
}
