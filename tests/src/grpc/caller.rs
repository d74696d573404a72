//! A client that calls through a gateway.

use std::{io, net::SocketAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use hyper::{Uri, http::uri::PathAndQuery};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_stream::Stream;
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc,
    codegen::{Context, Poll, Service},
    transport::{Channel, Endpoint},
};

use super::{Socket, raw::Raw};
use crate::{
    certificates::Authority,
    client::{Connection, Response as Answer},
};

/// A client's connection.
#[derive(Debug, Clone)]
pub struct Caller {
    calls: Grpc<Channel>,
    prefix: &'static str,
}

/// A message with what its call needs to say besides.
#[must_use]
pub fn call<M>(message: M, fields: &[(&'static str, &str)]) -> Request<M> {
    let mut request = Request::new(message);
    for (name, value) in fields {
        request.metadata_mut().insert(*name, value.parse().expect("a value"));
    }
    request
}

impl Caller {
    /// Connects in clear.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::by(Dialling { address, tls: None }, "http").await
    }

    /// Connects in TLS, with a server that this authority vouches for.
    pub async fn connect_securely(address: SocketAddr, trusted: &Authority) -> Self {
        let config = trusted.client_config(&[b"h2"]).expect("a configuration");
        Self::by(Dialling { address, tls: Some(TlsConnector::from(Arc::new(config))) }, "https").await
    }

    async fn by(dialling: Dialling, scheme: &str) -> Self {
        let endpoint = Endpoint::from_static("http://gateway.example");
        let origin = format!("{scheme}://gateway.example").parse().expect("a URL");
        let channel = endpoint.origin(origin).connect_with_connector(dialling).await;
        Self { calls: Grpc::new(channel.expect("the gateway speaks HTTP/2")), prefix: "/test.Echo/" }
    }

    /// The same, for a service of another name: `/name.Service/`.
    #[must_use]
    pub fn of_service(&self, prefix: &'static str) -> Self {
        Self { calls: self.calls.clone(), prefix }
    }

    fn path(&self, method: &str) -> PathAndQuery {
        format!("{}{method}", self.prefix).parse().expect("a path")
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.calls.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }

    /// One message, one message back.
    ///
    /// # Errors
    /// The status, when it is not OK.
    pub async fn unary(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        self.ready().await?;
        let path = self.path("Unary");
        self.calls.unary(request, path, Raw).await
    }

    /// Many messages, one back.
    ///
    /// # Errors
    /// The status, when it is not OK.
    pub async fn client_stream(
        &mut self,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Response<Bytes>, Status> {
        self.ready().await?;
        let path = self.path("ClientStream");
        self.calls.client_streaming(Request::new(messages), path, Raw).await
    }

    /// One message, many back.
    ///
    /// # Errors
    /// The status, when it is not OK.
    pub async fn server_stream(
        &mut self,
        request: Request<Bytes>,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        self.ready().await?;
        let path = self.path("ServerStream");
        self.calls.server_streaming(request, path, Raw).await
    }

    /// Many messages, many back, at the same time.
    ///
    /// # Errors
    /// The status, when it is not OK.
    pub async fn bidi(
        &mut self,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        self.ready().await?;
        let path = self.path("Bidi");
        self.calls.streaming(Request::new(messages), path, Raw).await
    }
}

/// Opens connections to a gateway, wherever its name would lead.
#[derive(Clone)]
struct Dialling {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Dialling {
    async fn dial(self) -> io::Result<TokioIo<Box<dyn Socket>>> {
        let stream = TcpStream::connect(self.address).await?;
        let socket: Box<dyn Socket> = match self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.connect(ServerName::from(self.address.ip()), stream).await?),
        };
        Ok(TokioIo::new(socket))
    }
}

impl Service<Uri> for Dialling {
    type Response = TokioIo<Box<dyn Socket>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _name: Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

/// Calls by hand, over HTTP/1.1: unlike a real client, this one does not keep time itself. Gives the answer, which is to come
/// without messages.
pub async fn call_by_hand(address: SocketAddr, message: &'static str, fields: &str) -> Answer {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    let body = [&[0], &length[..], message.as_bytes()].concat();
    let head = format!(
        "POST /test.Echo/Unary HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nContent-Type: application/grpc\r\n\
         Content-Length: {}\r\n{fields}\r\n",
        body.len()
    );
    let called = tokio::task::spawn_blocking(move || {
        let mut connection = Connection::open(address);
        connection.send([head.into_bytes(), body].concat());
        connection.response()
    });
    called.await.expect("no panic")
}
