//! The beginning of a connection where TLS is spoken. What is agreed on in it (ALPN, RFC 7301) decides nothing here: a connection
//! is served in the protocol that it begins with, as one in clear is.

use std::rc::Rc;

use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::{
    metrics::HandshakeOutcome,
    socket::{Socket, stream::Stream},
    tls::{ServerTls, client_certificate::ClientCertificate},
    worker::Worker,
};

/// What a connection has come to.
pub(super) enum Begun {
    /// Requests can be read, of whoever has shown this.
    Ready(Socket, Option<ClientCertificate>),
    /// The client does not speak TLS.
    InClear(Socket),
    /// There is nobody to speak to.
    Failed,
}

/// The first byte of TLS: a handshake record (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Waits for the client's first byte and then for the handshake's end, both within the time for it.
pub(super) async fn begin(worker: &Rc<Worker>, stream: Stream, tls: &ServerTls) -> Begun {
    let begun = timeout(tls.handshake_timeout(), accept(stream, tls)).await;
    let (begun, outcome) = begun.unwrap_or((Begun::Failed, HandshakeOutcome::Timeout));
    worker.counted().handshake_ended(outcome);
    begun
}

async fn accept(stream: Stream, tls: &ServerTls) -> (Begun, HandshakeOutcome) {
    let mut first = [0; 1];
    match stream.peek(&mut first).await {
        // Somebody looked whether the port is open.
        Ok(0) | Err(_) => return (Begun::Failed, HandshakeOutcome::Failure),
        Ok(_) if first[0] != HANDSHAKE_RECORD => {
            return (Begun::InClear(Socket::Plain(stream)), HandshakeOutcome::InClear);
        }
        Ok(_) => {}
    }
    match TlsAcceptor::from(tls.server()).accept(stream).await {
        Ok(stream) => {
            let certificate = tls.client_certificate(stream.get_ref().1);
            (Begun::Ready(Socket::Accepted(Box::new(stream)), certificate), HandshakeOutcome::Success)
        }
        Err(error) => {
            tracing::debug!(%error, "no handshake with a client");
            (Begun::Failed, HandshakeOutcome::Failure)
        }
    }
}
