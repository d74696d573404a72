//! A server at its bounds, over real sockets.

use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

use super::*;
use crate::{
    certificates::Authority,
    client::{ConnectError, connect},
    credentials::Credentials,
    listener::Bound,
};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server that says who asks; it ends with the sender.
fn start(max_connections: u32, tls: Option<Tls>) -> (std::net::SocketAddr, oneshot::Sender<()>) {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &Credentials::default()).unwrap();
    let Bound::Tcp(address) = *listener.bound() else { panic!("a port was asked for") };
    let (stop, stopped) = oneshot::channel();
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let peer = request.extensions().get::<Peer>().map(ToString::to_string).unwrap_or_default();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(peer)))
    });
    let serving = Serving { max_connections, protocols: Protocols::Both, tls };
    tokio::spawn(serving.serve(listener, service, async {
        let _ = stopped.await;
    }));
    (address, stop)
}

/// What comes back on a connection that is kept open.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut bytes = [0; 1_024];
        match timeout(DEADLINE, stream.read(&mut bytes)).await.expect("an answer or an end") {
            Ok(0) | Err(_) => break,
            Ok(length) => answer.extend_from_slice(&bytes[..length]),
        }
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_connection_over_the_bound_is_closed_at_once_and_a_place_comes_free() {
    let (address, _stop) = start(2, None);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    let mut refused = TcpStream::connect(address).await.unwrap();
    let ended = timeout(DEADLINE, refused.read(&mut [0; 1])).await.expect("it ends by itself");
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert!(ask(&mut held[0]).await.starts_with("HTTP/1.1 200"), "the others are served");
    held.clear();
    let served = async {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.is_ok()
                && stream.read(&mut [0; 1]).await.is_ok_and(|length| length == 1)
            {
                return;
            }
        }
    };
    timeout(DEADLINE, served).await.expect("a place comes free");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let (address, _stop) = start(2, Some(Authority::new().issue("localhost").tls(directory.path())));
    let mut silent = TcpStream::connect(address).await.unwrap();
    let ended = timeout(DEADLINE, silent.read(&mut [0; 1])).await.expect("it ends by itself");
    assert!(matches!(ended, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_stopped_server_ends_what_asks_nothing() {
    let (address, stop) = start(2, None);
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut stream).await.contains("200"));
    stop.send(()).unwrap();
    // The rest of the answer, and then the end.
    let mut rest = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("it ends").unwrap();
}

/// What a client with the one is told by a server with the other.
async fn told(
    server: &crate::certificates::Issued,
    client: &crate::certificates::Issued,
    host: &str,
) -> String {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (address, _stop) = start(2, Some(server.tls(ours.path())));
    let endpoint = format!("https://{host}:{}", address.port()).parse().unwrap();
    match connect(&endpoint, Some(&client.tls(theirs.path()))).await {
        Ok(_) => "connected".into(),
        Err(ConnectError::Tls(failure)) => failure.to_string(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn two_that_do_not_trust_each_other_are_told_why() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expire = |mut params: rcgen::CertificateParams| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        params
    };
    let (server, client) = (authority.issue("localhost"), authority.issue("localhost"));
    let expired = authority.issue_with("localhost", expire);
    // It trusts our authority, and ours does not know it.
    let foreign =
        crate::certificates::Issued { authority: client.authority.clone(), ..stranger.issue("localhost") };
    assert_eq!(told(&server, &client, "localhost").await, "connected");
    assert_eq!(
        told(&server, &client, "127.0.0.1").await,
        "its certificate is for another name than 127.0.0.1"
    );
    assert_eq!(told(&expired, &client, "localhost").await, "its certificate has expired");
    assert_eq!(told(&foreign, &client, "localhost").await, "its certificate is of no authority in --tls-ca");
    assert_eq!(
        told(&server, &expired, "localhost").await,
        "it refused our certificate: it has expired, or is not valid yet by its clock"
    );
    assert_eq!(
        told(&server, &foreign, "localhost").await,
        "it refused our certificate: it is of no authority in its --tls-ca"
    );
}
