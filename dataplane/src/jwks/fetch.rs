//! One fetch of a key set: a GET over HTTP/1.1, in clear or over TLS.
//!
//! Redirects are not followed: where keys come from is the configuration's word alone. The type the answer claims is not
//! looked at; whether it is a key set is seen from the document. The caller bounds the time.

use std::{future::poll_fn, io, pin::Pin, sync::Arc};

use apigw_config::names::{Scheme, UpstreamUrl};
use apigw_engine::jwt::keys::{self, KeySet, KeySetError};
use http::{Request, StatusCode, header};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};
use tokio_rustls::TlsConnector;

use crate::{
    socket::{bounded::Bounded, stream::Stream},
    tls::upstream::{RootsError, client_trusting, platform_roots, server_name},
};

/// The most bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 64 * 1_024;

/// The most bytes read for one answer: room for a key set in small chunks. hyper passes over any number of interim answers
/// (1xx) in one go, and would keep its thread from everything else that is not a request.
const MAX_ANSWER_BYTES: usize = 1_024 * 1_024;

/// Where a provider's keys are.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The provider's name, for logs.
    pub(crate) name: Arc<str>,
    /// The address of the document.
    pub(crate) url: UpstreamUrl,
    /// Who vouches for the server of an https address.
    pub(crate) roots: Roots,
}

/// Certificate authorities.
#[derive(Debug, Clone)]
pub(crate) enum Roots {
    /// Those of the machine, read anew for each fetch, so that a change is seen.
    Platform,
    /// These.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests bring an authority of their own"))]
    These(Arc<RootCertStore>),
}

/// Why a fetch brought no keys. Its text is shown to operators; it holds nothing of a body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// No connection.
    #[error("no connection to the provider: {0}")]
    Connect(io::Error),
    /// The machine's certificate authorities cannot be read.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// Reading them was given up.
    #[error("the machine's certificate authorities could not be read")]
    RootsUnread,
    /// No TLS, or a server that nobody vouches for.
    #[error("no secure connection to the provider: {0}")]
    Tls(io::Error),
    /// No proper HTTP.
    #[error("the provider's answer is not HTTP, or broke off: {0}")]
    Http(#[from] hyper::Error),
    /// Another status than 200; redirects, too.
    #[error("the provider answered {0}")]
    Status(StatusCode),
    /// An answer without a key set.
    #[error("{0}")]
    KeySet(#[from] KeySetError),
    /// Not all of it in time.
    #[error("the provider did not answer in time")]
    Timeout,
}

impl Source {
    /// Fetches the keys.
    pub(super) async fn fetch(&self) -> Result<KeySet, FetchError> {
        let stream = Stream::connect(&self.url).await.map_err(FetchError::Connect)?;
        let document = match self.url.scheme() {
            Scheme::Http => self.request(stream).await?,
            Scheme::Https => {
                let connector = TlsConnector::from(Arc::new(self.tls().await?));
                let stream =
                    connector.connect(server_name(self.url.host()).map_err(FetchError::Tls)?, stream).await;
                self.request(stream.map_err(FetchError::Tls)?).await?
            }
        };
        Ok(KeySet::parse(&document)?)
    }

    async fn tls(&self) -> Result<ClientConfig, FetchError> {
        let roots = match &self.roots {
            Roots::These(roots) => Arc::clone(roots),
            // It reads files.
            Roots::Platform => match tokio::task::spawn_blocking(platform_roots).await {
                Ok(roots) => Arc::new(roots?),
                Err(_) => return Err(FetchError::RootsUnread),
            },
        };
        client_trusting(roots).map_err(|error| FetchError::Tls(io::Error::other(error)))
    }

    async fn request(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Vec<u8>, FetchError> {
        let io = TokioIo::new(Bounded::new(stream, MAX_ANSWER_BYTES));
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(io).await?;
        // Ends with this function, also when the caller's patience does.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = Request::get(path_of(&self.url))
            .header(header::HOST, self.url.authority())
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(String::new())
            .expect("a checked URL has a path and an authority that HTTP can carry");
        let response = sender.send_request(request).await?;
        match response.status() {
            StatusCode::OK => read(response.into_body()).await,
            status => Err(FetchError::Status(status)),
        }
    }
}

/// The path as the file has it; the final slash matters to some servers.
fn path_of(url: &UpstreamUrl) -> &str {
    let after_scheme = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
    after_scheme.find('/').map_or("/", |start| &after_scheme[start..])
}

/// All of a body, within the bound of a key set.
async fn read(mut body: Incoming) -> Result<Vec<u8>, FetchError> {
    if body.size_hint().lower() > keys::MAX_BYTES as u64 {
        return Err(KeySetError::TooLarge.into());
    }
    let mut document = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(bytes) = frame?.into_data() {
            if document.len() + bytes.len() > keys::MAX_BYTES {
                return Err(KeySetError::TooLarge.into());
            }
            document.extend_from_slice(&bytes);
        }
    }
    Ok(document)
}
