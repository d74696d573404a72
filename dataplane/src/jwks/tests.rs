//! Keys fetched from servers that are well, ill, slow and false.

use std::{
    future::Future,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use apigw_config::names::UpstreamUrl;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// Ed25519 keys (RFC 8037 appendix A.2 and RFC 8032 section 7.1, test 2) under these names.
fn document(kids: &[&str]) -> String {
    let points =
        ["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"];
    let keys: Vec<_> = kids
        .iter()
        .zip(points.iter().cycle())
        .map(|(kid, x)| format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}"#))
        .collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A server that gives each connection, counted from 0, to this.
async fn serve<F: Future<Output = ()> + Send + 'static>(
    converse: impl Fn(usize, TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(converse(number, stream));
        }
    });
    address
}

/// Reads a request's head and writes the answer.
async fn reply(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return String::new(),
        }
    }
    // The client may have seen enough.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    String::from_utf8(head).unwrap()
}

/// A server with the same answer for everybody.
async fn serve_always(answer: String) -> SocketAddr {
    let answer = Arc::new(answer);
    serve(move |_, stream| {
        let answer = Arc::clone(&answer);
        async move {
            reply(stream, &answer).await;
        }
    })
    .await
}

fn source(url: &str) -> Source {
    Source { name: "staff".into(), url: UpstreamUrl::new(url).unwrap(), roots: Roots::Platform }
}

fn schedule() -> Schedule {
    Schedule { lifetime: Duration::from_secs(300), fetch_timeout: Duration::from_secs(5) }
}

async fn check_error(answer: String, expected: &str) {
    let address = serve_always(answer).await;
    let error = source(&format!("http://{address}/keys")).fetch().await.unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn a_key_set_is_fetched_from_the_very_address() {
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(move |_, stream| {
        let sent = sent.clone();
        async move {
            sent.send(reply(stream, &answer("200 OK", &document(&["a"]))).await).unwrap();
        }
    })
    .await;
    for (path, target) in [("/a/keys", "/a/keys"), ("/keys/", "/keys/"), ("", "/")] {
        let keys = source(&format!("http://{address}{path}")).fetch().await.unwrap();
        assert!(keys.names("a"));
        let head = received.recv().await.unwrap();
        assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn answers_without_a_key_set_are_errors() {
    check_error(answer("500 Oops", ""), "the provider answered 500").await;
    check_error(answer("204 No Content", ""), "the provider answered 204").await;
    check_error(answer("200 OK", "<html>sorry"), "the key set is not a JSON object").await;
    check_error(answer("200 OK", "{}"), "the key set has no array").await;
    check_error("nonsense\r\n\r\n".into(), "the provider's answer is not HTTP").await;
    check_error(
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".into(),
        "the provider's answer is not HTTP",
    )
    .await;
    check_error(String::new(), "the provider's answer is not HTTP").await;
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(2 * 64 * 1_024));
    check_error(head, "the provider's answer is not HTTP").await;
}

#[tokio::test]
async fn interim_answers_are_passed_over_but_not_without_end() {
    let behind =
        |count: usize| "HTTP/1.1 103 Early\r\n\r\n".repeat(count) + &answer("200 OK", &document(&["a"]));
    let address = serve_always(behind(10)).await;
    assert!(source(&format!("http://{address}/keys")).fetch().await.unwrap().names("a"));
    check_error(behind(200_000), "the provider's answer is not HTTP").await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = serve(|_, _| async { panic!("followed") }).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
    check_error(redirect, "the provider answered 302").await;
}

#[tokio::test]
async fn documents_are_bounded_with_and_without_announced_length() {
    const MAX: usize = 256 * 1_024;
    let padded = |length: usize| {
        let document = document(&["a"]);
        document.clone() + &" ".repeat(length - document.len())
    };
    let chunked = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    for answer in [answer("200 OK", &padded(MAX)), chunked(&padded(MAX))] {
        let address = serve_always(answer).await;
        assert!(source(&format!("http://{address}/")).fetch().await.unwrap().names("a"));
    }
    for answer in [answer("200 OK", &padded(MAX + 1)), chunked(&padded(MAX + 1))] {
        check_error(answer, "the key set is larger than").await;
    }
}

#[tokio::test]
async fn https_needs_a_certificate_that_somebody_vouches_for() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = serve(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                reply(stream, &answer("200 OK", &document(&["a"]))).await;
            }
        }
    })
    .await;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let roots = Roots::These(Arc::new(roots));
    let fetch = |host: &str, roots: &Roots| {
        let url = format!("https://{host}:{}/keys", address.port());
        let source = Source { roots: roots.clone(), ..source(&url) };
        async move { source.fetch().await.map_err(|error| error.to_string()) }
    };
    assert!(fetch("localhost", &roots).await.unwrap().names("a"));
    for (host, roots) in
        [("127.0.0.1", &roots), ("localhost", &Roots::These(Arc::new(RootCertStore::empty())))]
    {
        let error = fetch(host, roots).await.unwrap_err();
        assert!(
            error.starts_with("no secure connection to the provider: invalid peer certificate"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn first_keys_are_published_and_told() {
    let address = serve_always(answer("200 OK", &document(&["a"]))).await;
    let keys = ProviderKeys::start(source(&format!("http://{address}/keys")), schedule());
    assert!(keys.keys().is_none());
    assert!(keys.first().await);
    assert!(keys.keys().as_ref().is_some_and(|keys| keys.names("a")));
    let (standing, now) = keys.standing();
    assert_eq!((standing.successes, standing.failures, standing.last_error), (1, 0, None));
    assert!(standing.fetched_at.is_some_and(|fetched_at| fetched_at <= now));
}

/// A provider that adds a key `b` after its first answer, and answers further requests only when allowed to.
struct Rotating {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    allowed: Arc<Semaphore>,
}

impl Rotating {
    async fn start() -> Self {
        let (requests, allowed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(1)));
        let (counted, permits) = (Arc::clone(&requests), Arc::clone(&allowed));
        let address = serve(move |number, stream| {
            let (requests, allowed) = (Arc::clone(&counted), Arc::clone(&permits));
            async move {
                requests.fetch_add(1, Ordering::SeqCst);
                allowed.acquire().await.unwrap().forget();
                let kids: &[&str] = if number == 0 { &["a"] } else { &["a", "b"] };
                reply(stream, &answer("200 OK", &document(kids))).await;
            }
        })
        .await;
        Self { address, requests, allowed }
    }

    async fn keys(&self) -> Arc<ProviderKeys> {
        let keys = ProviderKeys::start(source(&format!("http://{}/keys", self.address)), schedule());
        assert!(keys.first().await);
        Arc::new(keys)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn all_who_look_for_a_new_key_share_one_fetch() {
    let provider = Rotating::start().await;
    let keys = provider.keys().await;
    let mut looking = JoinSet::new();
    for _ in 0..50 {
        let keys = Arc::clone(&keys);
        looking.spawn(async move { keys.look_for("b").await && keys.keys().as_ref().unwrap().names("b") });
    }
    provider.allowed.add_permits(100);
    assert!(looking.join_all().await.into_iter().all(|found| found));
    assert_eq!(provider.requests(), 2, "the first fetch, and one for all of them");
    assert!(keys.look_for("b").await, "what is known by now needs no fetch");
    assert!(!keys.look_for("c").await, "so soon, nobody is asked again");
    assert_eq!(provider.requests(), 2);
}

#[tokio::test]
async fn a_hanging_provider_is_not_waited_for_longer_than_a_fetch_may_take() {
    let provider = Rotating::start().await;
    let keys = provider.keys().await;
    tokio::time::pause();
    let before = Instant::now();
    keys.look_for("b").await;
    assert!(
        before.elapsed() <= schedule().fetch_timeout + Duration::from_millis(10),
        "{:?}",
        before.elapsed()
    );
    assert!(!keys.keys().as_ref().unwrap().names("b"));
    assert!(keys.keys().as_ref().unwrap().names("a"), "the keys in use stay");
}

#[tokio::test]
async fn a_vanished_provider_costs_no_key() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let keys = ProviderKeys::start(source(&format!("http://{address}/keys")), schedule());
        let (stream, _) = listener.accept().await.unwrap();
        reply(stream, &answer("200 OK", &document(&["a"]))).await;
        assert!(keys.first().await);
        drop(listener);
        assert!(keys.look_for("b").await, "the fetch ended, if badly");
        assert!(keys.keys().as_ref().unwrap().names("a"));
        let (standing, _) = keys.standing();
        assert!(standing.failing_since.is_some());
        let error = standing.last_error.unwrap();
        assert!(error.starts_with("no connection to the provider"), "{error}");
        address
    };
    let never = ProviderKeys::start(source(&format!("http://{address}/keys")), schedule());
    assert!(!never.first().await);
    assert!(never.keys().is_none());
}

#[tokio::test]
async fn keys_are_read_in_the_order_of_the_providers() {
    let provider = Rotating::start().await;
    let ring =
        KeyRing(vec![Keys::Fixed(KeySet::from_secret(b"secret")), Keys::Fetched(provider.keys().await)]);
    let names_a = |place| ring.read(ProviderIndex(place), |keys| keys.map(|keys| keys.names("a")));
    assert_eq!([names_a(0), names_a(1), names_a(2)], [Some(false), Some(true), None]);
}

#[test]
fn errors_are_shown_in_one_short_line() {
    let long = format!("not valid for \u{1b}[31m\r\n{}", "x".repeat(1_000));
    let shown = shown(&fetch::FetchError::Tls(std::io::Error::other(long)));
    assert!(shown.starts_with("no secure connection to the provider: not valid for [31mxxx"), "{shown}");
    assert_eq!(shown.chars().count(), 200);
}

#[tokio::test]
async fn a_provider_no_longer_needed_is_left_alone() {
    let provider = Rotating::start().await;
    let keys = provider.keys().await;
    let (shared, task) = (Arc::clone(&keys.shared), keys.task.clone());
    drop(keys);
    while !task.is_finished() {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&shared), 1, "nothing fetches any more");
}
