//! What the gateway refuses or cuts short, told to callers of gRPC as gRPC tells it; the caller's deadline. The log has the
//! gateway's own refusal.

use apigw_tests::{
    client::get_with,
    configuration::Document,
    gateway::Gateway,
    grpc::{
        Caller,
        caller::{call, call_by_hand},
    },
    metrics::Metrics,
    origin::{Origin, Peer, refusing},
    waiting::eventually,
};
use bytes::Bytes;
use serde_json::json;
use tonic::{Code, Status};

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n";
/// A message of five bytes.
const MESSAGE: &str = "a\r\n\0\0\0\0\u{5}hello\r\n";

fn hello(id: &str) -> tonic::Request<Bytes> {
    call(Bytes::from_static(b"hello"), &[("x-request-id", id)])
}

/// Calls once; gives the status that the call ended with.
async fn status(gateway: &Gateway, request: tonic::Request<Bytes>) -> Status {
    let mut caller = Caller::connect(gateway.address()).await;
    caller.unary(request).await.expect_err("no success")
}

/// Asserts what is told to the caller and what to the operator.
fn check(gateway: &Gateway, id: &str, status: &Status, code: Code, logged: (u16, &str)) {
    assert_eq!(status.code(), code, "{status:?}");
    let line = gateway.data_plane.access(id);
    assert_eq!((&line["status"], &line["why"]), (&json!(logged.0), &json!(logged.1)));
    assert_eq!(line["grpc_status"], json!(code as i32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_status_of_grpc() {
    let reading = Origin::saying("the whole body was read");
    let file = Document::new()
        .auth("mode: hmac")
        .auth("hmac_secret: a-secret-of-32-bytes-for-tests-xx")
        .route("gone", "/test.Echo", format!("http://{}", refusing()))
        .route("closed", "/closed.Echo", format!("http://{}", refusing()))
        .with("deny_cidrs: [127.0.0.0/8]")
        .route("known", "/known.Echo", format!("http://{}", refusing()))
        .with("auth_required: true")
        .route("limited", "/limited.Echo", format!("http://{}", refusing()))
        .with("rate_limit: { enabled: true, rps: 0.001, burst: 1, scope: route }")
        .route("small", "/small.Echo", reading.url())
        .with("max_body_bytes: 4");
    let gateway = Gateway::standalone(file);
    let caller = Caller::connect(gateway.address()).await;
    let refusal = async |id: &'static str, prefix: &'static str| {
        caller.of_service(prefix).unary(hello(id)).await.expect_err("no success")
    };
    let check = |id, status: &Status, code, logged| check(&gateway, id, status, code, logged);
    let unreachable = refusal("gone", "/test.Echo/").await;
    check("gone", &unreachable, Code::Unavailable, (502, "upstream_unreachable"));
    assert_eq!(unreachable.message(), r#"{"error":"bad_gateway","request_id":"gone"}"#);
    let id = unreachable.metadata().get("x-request-id").and_then(|id| id.to_str().ok());
    assert_eq!(id, Some("gone"));
    check(
        "closed",
        &refusal("closed", "/closed.Echo/").await,
        Code::PermissionDenied,
        (403, "address_denied"),
    );
    check("nowhere", &refusal("nowhere", "/no.Echo/").await, Code::Unimplemented, (404, "no_route"));
    let unknown = refusal("unknown", "/known.Echo/").await;
    check("unknown", &unknown, Code::Unauthenticated, (401, "jwt_missing"));
    assert!(unknown.metadata().contains_key("www-authenticate"));
    refusal("first", "/limited.Echo/").await;
    check("second", &refusal("second", "/limited.Echo/").await, Code::Unavailable, (429, "rate_limited"));
    check("large", &refusal("large", "/small.Echo/").await, Code::ResourceExhausted, (413, "body_too_large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_ends_with_a_status() {
    let origin = Origin::scripted(|peer: &mut Peer| {
        peer.request()?;
        peer.send(ANSWER)?;
        peer.send(MESSAGE)
    });
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut caller = Caller::connect(gateway.address()).await;
    let mut messages = caller.server_stream(hello("broken")).await.expect("an answer begins").into_inner();
    assert_eq!(messages.message().await.expect("a message").as_deref(), Some(&b"hello"[..]));
    let status = messages.message().await.expect_err("no more");
    check(&gateway, "broken", &status, Code::Unavailable, (200, "upstream_truncated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_call_that_is_not_answered_and_blames_nobody() {
    let origin = Origin::scripted(|peer: &mut Peer| {
        peer.request()?;
        peer.until_closed()
    });
    let file = Document::new()
        .route("all", "/", origin.url())
        .with("circuit_breaker: { enabled: true, failure_threshold: 1, open_seconds: 60, half_open_max_in_flight: 1 }");
    let gateway = Gateway::standalone(file);
    for id in ["late-1", "late-2"] {
        let fields = format!("grpc-timeout: 300m\r\nx-request-id: {id}\r\n");
        let answered = call_by_hand(gateway.address(), "hello", &fields).await;
        assert_eq!((answered.status(), answered.field("grpc-status")), (200, Some("4")));
        let line = gateway.data_plane.access(id);
        assert_eq!((&line["status"], &line["why"]), (&json!(504), &json!("deadline_exceeded")));
    }
    eventually("the upstream's connections are closed", || (origin.ended() == 2).then_some(()));
    let told = origin.request(0).head.field("grpc-timeout").map(str::to_owned).expect("it is told");
    let left = told.strip_suffix('u').and_then(|left| left.parse::<u64>().ok());
    assert!(left.is_some_and(|left| left <= 300_000), "what is left is told: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_an_answer_that_has_begun() {
    let origin = Origin::scripted(|peer: &mut Peer| {
        peer.request()?;
        peer.send(ANSWER)?;
        peer.send(MESSAGE)?;
        peer.until_closed()
    });
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut caller = Caller::connect(gateway.address()).await;
    let request = call(Bytes::from_static(b"hello"), &[("x-request-id", "late"), ("grpc-timeout", "2S")]);
    let mut messages = caller.server_stream(request).await.expect("an answer begins").into_inner();
    assert_eq!(messages.message().await.expect("a message").as_deref(), Some(&b"hello"[..]));
    let status = messages.message().await.expect_err("no more");
    check(&gateway, "late", &status, Code::DeadlineExceeded, (200, "deadline_exceeded"));
    eventually("the upstream's connection is closed", || (origin.ended() == 1).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_none_is_refused() {
    let origin = Origin::saying("never asked");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    for (id, value) in [("soon", "soon"), ("nine", "123456789S"), ("bare", "5")] {
        let request = call(Bytes::from_static(b"x"), &[("x-request-id", id), ("grpc-timeout", value)]);
        let status = status(&gateway, request).await;
        check(&gateway, id, &status, Code::Internal, (400, "grpc_timeout_malformed"));
    }
    assert_eq!(origin.requests().len(), 0);
    // To a request that is no call the field says nothing.
    let answer = get_with(gateway.address(), "/", "grpc-timeout: soon\r\n");
    assert_eq!((answer.status(), origin.requests().len()), (200, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_hears_of_statuses_that_say_the_upstream_is_not_well() {
    let origin = Origin::answering(|request| {
        let code = request.head.field("x-answer").unwrap_or("0").to_owned();
        format!("{ANSWER}0\r\ngrpc-status: {code}\r\n\r\n")
    });
    let file = Document::new()
        .route("all", "/", origin.url())
        .with("circuit_breaker: { enabled: true, failure_threshold: 2, open_seconds: 600, half_open_max_in_flight: 1 }");
    let gateway = Gateway::standalone(file);
    let answered =
        async |code: &str| status(&gateway, call(Bytes::new(), &[("x-answer", code)])).await.code();
    for code in ["5", "12", "4", "3", "5"] {
        assert_ne!(answered(code).await, Code::Unavailable);
    }
    assert_eq!(answered("13").await, Code::Internal);
    assert_eq!(answered("14").await, Code::Unavailable);
    assert_eq!(answered("0").await, Code::Unavailable, "it is open now");
    assert_eq!(origin.requests().len(), 7);
    let metrics = Metrics::of(gateway.data_plane.admin());
    assert_eq!(metrics.count("apigw_rejections_total", &[("reason", "breaker_open")]), 1);
}
