//! Upstreams that speak HTTP/2, with scripted streams: what they are sent by clients of both protocols, how requests share
//! connections, and what becomes of streams and connections that end.

// Those that speak something else, speak it wrongly or do not speak.
mod faults;
// Those whose frames are written by hand.
mod by_hand;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use apigw_tests::{
    client::Connection,
    configuration::ConfigFile,
    gateway::{A_WHILE, DataPlane, Gateway, Source},
    http2_origin::{Asked, Http2Origin},
    waiting::eventually,
};
use bytes::Bytes;
use h2::Reason;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;

/// A file whose one route leads to an upstream that speaks HTTP/2.
fn document(url: &str) -> String {
    document_with(url, "")
}

fn document_with(url: &str, settings: &str) -> String {
    format!(
        "{settings}backends:\n  - {{name: up, http2: true, endpoints: [{{url: \"{url}\"}}]}}\n\
         routes:\n  - {{name: all, match: {{path_prefix: /}}, backend: up}}\n"
    )
}

type Client = SendRequest<Empty<Bytes>>;

/// A client of HTTP/2: all its requests are on one connection, and so with one worker.
async fn connect(address: SocketAddr) -> Client {
    let socket = TcpStream::connect(address).await.expect("the gateway accepts");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (requests, connection) = handshake.await.expect("the gateway speaks HTTP/2");
    tokio::spawn(connection);
    requests
}

fn get(path: &str, id: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(format!("http://gateway.example{path}")).header("x-request-id", id);
    request.body(Empty::new()).expect("a request")
}

async fn ask(client: &Client, path: &str, id: &str) -> Response<Incoming> {
    client.clone().send_request(get(path, id)).await.expect("an answer")
}

async fn text(response: Response<Incoming>) -> String {
    let whole = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(whole.to_vec()).expect("text")
}

/// An upstream that tells of each request what it was sent.
async fn mirror() -> (Http2Origin, Arc<Mutex<Vec<Request<()>>>>) {
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let shared = Arc::clone(&seen);
    let origin = Http2Origin::start(100, move |mut asked: Asked| {
        let seen = Arc::clone(&shared);
        async move {
            let (content, trailers) = asked.whole().await?;
            let sum = trailers.get("sum").cloned();
            let mut answer = asked.begin()?;
            seen.lock().ok()?.push(asked.head);
            answer.send_data(content.into(), false).ok()?;
            answer
                .send_trailers(sum.map(|sum| ("sum".parse().expect("a name"), sum)).into_iter().collect())
                .ok()
        }
    })
    .await;
    (origin, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_http11_reach_an_http2_upstream_with_bodies_and_trailers() {
    let (origin, seen) = mirror().await;
    let gateway = Gateway::standalone(document(&origin.url()));
    let address = gateway.address();
    let answered = tokio::task::spawn_blocking(move || {
        let mut connection = Connection::open(address);
        connection.send(
            "POST /a//b?q=1 HTTP/1.1\r\nHost: gateway.example\r\nTE: trailers\r\nConnection: te, x-named\r\nX-Named: 1\r\n\
             Upgrade: h2c\r\nX-Kept: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nsum: 7\r\n\r\n",
        );
        let head = connection.head();
        let mut body = Vec::new();
        let trailers = connection.read_body(&head, "POST", &mut body).expect("a whole body");
        (body, trailers)
    });
    let (body, trailers) = answered.await.expect("no panic");
    assert_eq!((body.as_slice(), trailers), (&b"hello"[..], vec![("sum".to_owned(), "7".to_owned())]));
    let seen = seen.lock().expect("no panic");
    let head = seen.first().expect("a request");
    assert_eq!(head.uri().to_string(), format!("{}/a/b?q=1", origin.url()));
    assert_eq!(head.headers()["te"], "trailers");
    assert_eq!(head.headers()["x-kept"], "2");
    assert_eq!(head.headers()["x-forwarded-host"], "gateway.example");
    for stopped in ["x-named", "upgrade", "connection", "transfer-encoding", "host"] {
        assert!(!head.headers().contains_key(stopped), "{stopped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_http2_share_a_connection_to_the_upstream() {
    let (origin, _seen) = mirror().await;
    let gateway = Gateway::standalone(document(&origin.url()));
    let client = connect(gateway.address()).await;
    for number in 0..20 {
        assert_eq!(ask(&client, "/", &format!("shared-{number}")).await.status(), 200);
    }
    assert_eq!(origin.connections(), 1);
    let line = gateway.data_plane.access("shared-0");
    assert_eq!((&line["status"], &line["why"]), (&json!(200), &json!("ok")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_share_a_connection_than_the_upstream_allows() {
    let (waiting, gate) = (Arc::<AtomicUsize>::default(), Arc::new(tokio::sync::Semaphore::new(0)));
    let (arrived, passed) = (Arc::clone(&waiting), Arc::clone(&gate));
    let origin = Http2Origin::start(2, move |mut asked: Asked| {
        let (waiting, gate) = (Arc::clone(&arrived), Arc::clone(&passed));
        async move {
            waiting.fetch_add(1, Ordering::Relaxed);
            gate.acquire().await.ok()?.forget();
            asked.say("served")
        }
    })
    .await;
    let gateway = Gateway::standalone(document(&origin.url()));
    let client = connect(gateway.address()).await;
    let asking: Vec<_> = (0..6)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { text(ask(&client, "/", &format!("many-{number}")).await).await })
        })
        .collect();
    eventually("all are with the upstream", || (waiting.load(Ordering::Relaxed) == 6).then_some(()));
    assert_eq!(origin.connections(), 3);
    gate.add_permits(6);
    for answer in asking {
        assert_eq!(answer.await.expect("no panic"), "served");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_an_upstream_are_bounded_and_nobody_waits_for_one() {
    let (arrived, gate) = (Arc::<AtomicUsize>::default(), Arc::new(tokio::sync::Semaphore::new(0)));
    let (arriving, passed) = (Arc::clone(&arrived), Arc::clone(&gate));
    let origin = Http2Origin::start(1, move |mut asked: Asked| {
        let (arrived, gate) = (Arc::clone(&arriving), Arc::clone(&passed));
        async move {
            arrived.fetch_add(1, Ordering::Relaxed);
            gate.acquire().await.ok()?.forget();
            asked.say("served")
        }
    })
    .await;
    let settings = "upstream: {response_header_timeout_seconds: 3600}\n";
    let file = ConfigFile::new(document_with(&origin.url(), settings));
    let flags = ["--listen", "127.0.0.1:0", "--workers", "1"];
    let data_plane = DataPlane::start_with(Source::File(file.path()), &flags);
    let _ = eventually("it serves", || std::net::TcpStream::connect(data_plane.traffic()).ok());
    let (many, one) = (connect(data_plane.traffic()).await, connect(data_plane.traffic()).await);
    let asking: Vec<_> = (0..100)
        .map(|number| {
            let client = many.clone();
            tokio::spawn(async move { text(ask(&client, "/", &format!("held-{number}")).await).await })
        })
        .collect();
    eventually("all are with the upstream", || (arrived.load(Ordering::Relaxed) == 100).then_some(()));
    assert_eq!(ask(&one, "/", "beyond").await.status(), 503);
    assert_eq!(data_plane.access("beyond")["why"], "upstream_busy");
    assert_eq!(origin.connections(), 100);
    gate.add_permits(100);
    for answer in asking {
        assert_eq!(answer.await.expect("no panic"), "served");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_stream_with_it_and_nobody_elses() {
    let (reasons, arrived) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicUsize>::default());
    let (shared, arriving) = (Arc::clone(&reasons), Arc::clone(&arrived));
    let origin = Http2Origin::start(100, move |mut asked: Asked| {
        let reasons = Arc::clone(&shared);
        arriving.fetch_add(1, Ordering::Relaxed);
        async move {
            if asked.head.uri().path() == "/left" {
                let reason = asked.is_reset().await?;
                reasons.lock().ok()?.push(reason);
                return Some(());
            }
            asked.say("served")
        }
    })
    .await;
    let gateway = Gateway::standalone(document_with(
        &origin.url(),
        "upstream: {response_header_timeout_seconds: 3600}\n",
    ));
    let client = connect(gateway.address()).await;
    assert_eq!(text(ask(&client, "/", "first").await).await, "served");
    let other = client.clone();
    let left = tokio::spawn(async move { ask(&other, "/left", "left").await });
    eventually("it is with the upstream", || (arrived.load(Ordering::Relaxed) == 2).then_some(()));
    left.abort();
    eventually("the stream is reset", || {
        let reasons = reasons.lock().expect("no panic");
        reasons.first().copied().map(|reason| assert_eq!(reason, Reason::CANCEL))
    });
    assert_eq!(text(ask(&client, "/", "second").await).await, "served");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farewell_ends_no_request_and_the_next_one_gets_a_new_connection() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let passed = Arc::clone(&gate);
    let origin = Http2Origin::start(100, move |mut asked: Asked| {
        let gate = Arc::clone(&passed);
        async move {
            let mut answer = asked.begin()?;
            if asked.head.uri().path() == "/slow" {
                gate.acquire().await.ok()?.forget();
            }
            answer.send_data(format!("on {}", asked.connection).into(), true).ok()
        }
    })
    .await;
    let gateway = Gateway::standalone(document(&origin.url()));
    let client = connect(gateway.address()).await;
    let slow = ask(&client, "/slow", "slow").await;
    origin.say_goodbye();
    let mut number = 0;
    loop {
        number += 1;
        // It takes a moment until the farewell has been heard.
        let answer = ask(&client, "/", &format!("next-{number}")).await;
        assert_eq!(answer.status(), 200, "the farewell ended it");
        if text(answer).await == "on 2" {
            break;
        }
    }
    gate.add_permits(1);
    assert_eq!(text(slow).await, "on 1");
}

/// An upstream that refuses the first requests, so many of them, and counts all.
async fn refusing(refused: usize) -> (Http2Origin, Arc<AtomicUsize>) {
    let count = Arc::<AtomicUsize>::default();
    let shared = Arc::clone(&count);
    let origin = Http2Origin::start(100, move |mut asked: Asked| {
        let count = Arc::clone(&shared);
        async move {
            if count.fetch_add(1, Ordering::Relaxed) < refused {
                asked.reset(Reason::REFUSED_STREAM);
                return None;
            }
            let (content, _) = asked.whole().await?;
            asked.say(content)
        }
    })
    .await;
    (origin, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_refused_unseen_is_sent_once_more_with_its_body() {
    for (refused, status, answer) in [(1, 200, Some("hello")), (2, 502, None)] {
        let (origin, count) = refusing(refused).await;
        let gateway = Gateway::standalone(document(&origin.url()));
        let address = gateway.address();
        let answered = tokio::task::spawn_blocking(move || {
            let mut connection = Connection::open(address);
            connection
                .send("POST / HTTP/1.1\r\nHost: h\r\nX-Request-Id: once\r\nContent-Length: 5\r\n\r\nhello");
            connection.response()
        });
        let answered = answered.await.expect("no panic");
        assert_eq!(answered.status(), status);
        assert!(answer.is_none_or(|answer| answered.text() == answer), "{answered:?}");
        assert_eq!(count.load(Ordering::Relaxed), 2, "it is sent twice, never more");
        let why = if status == 200 { "ok" } else { "upstream_reset" };
        assert_eq!(gateway.data_plane.access("once")["why"], why);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_reset_is_the_upstreams_failure_and_is_not_repeated() {
    let count = Arc::<AtomicUsize>::default();
    let shared = Arc::clone(&count);
    let origin = Http2Origin::start(100, move |mut asked: Asked| {
        let count = Arc::clone(&shared);
        async move {
            count.fetch_add(1, Ordering::Relaxed);
            if asked.head.uri().path() == "/half" {
                let mut answer = asked.begin()?;
                answer.send_data("half".into(), false).ok()?;
                tokio::task::yield_now().await;
            }
            asked.reset(Reason::INTERNAL_ERROR);
            Some(())
        }
    })
    .await;
    let gateway = Gateway::standalone(document(&origin.url()));
    let client = connect(gateway.address()).await;
    assert_eq!(ask(&client, "/", "reset").await.status(), 502);
    assert_eq!(gateway.data_plane.access("reset")["why"], "upstream_reset");
    // A reset may overtake what was to be sent before it.
    if let Ok(answer) = client.clone().send_request(get("/half", "half")).await
        && answer.status() == 200
    {
        assert!(answer.into_body().collect().await.is_err(), "it is visibly cut off");
    }
    let why = gateway.data_plane.access("half")["why"].clone();
    assert!(why == "upstream_truncated" || why == "upstream_reset", "{why}");
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_taken_stops_the_upstream_and_nobody_else() {
    let sent = Arc::<AtomicUsize>::default();
    let shared = Arc::clone(&sent);
    let origin = Http2Origin::start(100, move |mut asked: Asked| {
        let sent = Arc::clone(&shared);
        async move {
            if asked.head.uri().path() != "/endless" {
                return asked.say("served");
            }
            let mut answer = asked.begin()?;
            loop {
                answer.reserve_capacity(16 << 10);
                let room = std::future::poll_fn(|context| answer.poll_capacity(context)).await?.ok()?;
                sent.fetch_add(room, Ordering::Relaxed);
                answer.send_data(vec![b'x'; room].into(), false).ok()?;
            }
        }
    })
    .await;
    let text_of_file = document_with(&origin.url(), "server: {write_timeout_seconds: 3600}\n");
    let gateway = Gateway::standalone(text_of_file);
    let before = gateway.data_plane.resident_bytes();
    let client = connect(gateway.address()).await;
    let mut unread = Vec::new();
    for number in 0..20 {
        // A connection each: on a shared one the client would be the one that is stopped.
        let slow = connect(gateway.address()).await;
        unread.push((ask(&slow, "/endless", &format!("unread-{number}")).await, slow));
    }
    assert_eq!(text(ask(&client, "/", "other").await).await, "served");
    let grown = gateway.data_plane.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for 20 answers that nobody takes");
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 20 * (8 << 20), "{sent} bytes were taken from the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_says_nothing_is_given_up_in_time() {
    let origin =
        Http2Origin::start(100, |mut asked: Asked| async move { asked.is_reset().await.map(drop) }).await;
    let file = document_with(&origin.url(), "upstream: {response_header_timeout_seconds: 0.3}\n");
    let gateway = Gateway::standalone(file);
    let client = connect(gateway.address()).await;
    assert_eq!(ask(&client, "/", "silent").await.status(), 504);
    assert_eq!(gateway.data_plane.access("silent")["why"], "upstream_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_travel_at_the_speed_of_the_upstream() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let passed = Arc::clone(&gate);
    let origin = Http2Origin::start(100, move |mut asked: Asked| {
        let gate = Arc::clone(&passed);
        async move {
            gate.acquire().await.ok()?.forget();
            let (content, _) = asked.whole().await?;
            asked.say(content.len().to_string())
        }
    })
    .await;
    let file = document_with(&origin.url(), "server: {max_body_bytes: 1073741824}\n");
    let gateway = Gateway::standalone(file);
    let before = gateway.data_plane.resident_bytes();
    let address = gateway.address();
    let written = Arc::<AtomicUsize>::default();
    let shared = Arc::clone(&written);
    let answered = tokio::task::spawn_blocking(move || {
        let mut connection = Connection::open(address);
        connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 67108864\r\n\r\n");
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..1_024 {
            connection.send(&piece);
            shared.fetch_add(1, Ordering::Relaxed);
        }
        connection.response().text()
    });
    eventually("the body is on its way", || (written.load(Ordering::Relaxed) > 0).then_some(()));
    thread::sleep(A_WHILE);
    assert!(written.load(Ordering::Relaxed) < 1_024, "64 MB went somewhere");
    gate.add_permits(1);
    assert_eq!(answered.await.expect("no panic"), "67108864");
    let grown = gateway.data_plane.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
}
