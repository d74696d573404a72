//! A collector: where it is, how it is reached, and one call to it.

use std::{io, sync::Arc, time::Duration};

use apigw_config::names::{CollectorUrl, Scheme, UpstreamUrl};
use bytes::{BufMut as _, Bytes};
use http::{Uri, uri::PathAndQuery};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use super::otlp::{EXPORT, ExportResponse};
use crate::{
    socket::stream::Stream,
    tls::upstream::{client_trusting, platform_roots, server_name},
};

/// For a name, a connection and a handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of the fields of an answer.
const MAX_HEADER_LIST_BYTES: u32 = 16 << 10;
/// The most bytes of an answer, which says a number and a text.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// A collector. It is connected to when it is first told something, and again when a connection has ended.
pub(super) struct Collector {
    url: CollectorUrl,
    client: Grpc<Channel>,
}

/// A connection, in clear or in TLS.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

impl Collector {
    pub(super) fn new(url: CollectorUrl) -> Self {
        let place = url.as_url().clone();
        let uri =
            Uri::builder().scheme(place.scheme().as_str()).authority(place.authority()).path_and_query("/");
        let uri = uri.build().expect("a checked URL has an authority that HTTP can carry");
        let endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .http2_max_header_list_size(MAX_HEADER_LIST_BYTES);
        let connector = tower::service_fn(move |_: Uri| {
            let place = place.clone();
            async move { connect(&place).await.map(TokioIo::new) }
        });
        let channel = endpoint.connect_with_connector_lazy(connector);
        let client = Grpc::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Self { url, client }
    }

    /// Where it is.
    pub(super) fn url(&self) -> &CollectorUrl {
        &self.url
    }

    /// Sends it an encoded request, once.
    ///
    /// # Errors
    /// What it says instead of having taken it, or why it said nothing.
    pub(super) async fn export(&mut self, request: Bytes) -> Result<ExportResponse, Status> {
        self.client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(EXPORT);
        self.client.unary(Request::new(request), path, ExportCodec).await.map(tonic::Response::into_inner)
    }
}

/// Requests as they were encoded, since one may be sent more than once; answers as messages.
struct ExportCodec;

impl Codec for ExportCodec {
    type Encode = Bytes;
    type Decode = ExportResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for ExportCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, request: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(request);
        Ok(())
    }
}

impl Decoder for ExportCodec {
    type Item = ExportResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<ExportResponse>, Status> {
        let answer = ExportResponse::decode(buffer).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(answer))
    }
}

async fn connect(place: &UpstreamUrl) -> io::Result<Box<dyn Socket>> {
    let stream = Stream::connect(place).await?;
    stream.tune()?;
    match place.scheme() {
        Scheme::Http => Ok(Box::new(stream)),
        Scheme::Https => {
            let connector = TlsConnector::from(Arc::new(tls().await?));
            let stream = connector.connect(server_name(place.host())?, stream).await?;
            Ok(Box::new(stream))
        }
    }
}

/// The machine's authorities vouch for it. They are read anew for each connection, so that a change is seen.
async fn tls() -> io::Result<ClientConfig> {
    // It reads files.
    let roots = tokio::task::spawn_blocking(platform_roots).await.map_err(io::Error::other)?;
    let roots = roots.map_err(io::Error::other)?;
    let mut config = client_trusting(roots).map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
