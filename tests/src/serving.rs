//! The little HTTP server inside `upstream` and `jwksmock`.
//!
//! For development on one machine: it trusts its clients and bounds nothing.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Listens on `HOST:PORT`, or on every interface for `:PORT`.
///
/// # Errors
/// When the address is none, or is taken.
pub async fn listen(address: &str) -> io::Result<TcpListener> {
    if address.starts_with(':') {
        // Both families where the machine has both.
        match TcpListener::bind(format!("[::]{address}")).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind(format!("0.0.0.0{address}")).await
            }
            outcome => outcome,
        }
    } else {
        TcpListener::bind(address).await
    }
}

/// Says on stderr where a server listens, in the form that `dataplane` and `controlplane` log it.
///
/// # Errors
/// When the listener has no address any more.
pub fn announce(listener: &TcpListener, purpose: &str, name: &str) -> io::Result<SocketAddr> {
    let address = listener.local_addr()?;
    let line = serde_json::json!({
        "message": "listening", "purpose": purpose, "address": address.to_string(), "name": name,
    });
    eprintln!("{line}");
    Ok(address)
}

/// Answers every request until the program ends.
pub async fn serve<Answer, Answered>(listener: TcpListener, answer: Answer)
where
    Answer: Fn(Request<Incoming>) -> Answered + Send + Sync + 'static,
    Answered: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let answer = Arc::new(answer);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, or the client left already: the next one may fare better.
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            // A client that leaves in the middle ends its own connection, nothing else.
            let _ = http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
