//! One check of an endpoint: a connection of its own, and perhaps a request. The caller bounds the time.

use apigw_config::{
    model::{Probe, Protocol},
    names::{ProbePath, Scheme},
};
use apigw_engine::{endpoint::CheckFailure, rejection::UpstreamFailure, snapshot::Upstream};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};

use crate::{
    resolver::Addresses,
    socket::{bounded::Bounded, stream::Stream},
    tls::upstream::{UpstreamTls, agrees_on_http2, has_no_protocol},
    upstream::connector,
};

/// Who asks.
const USER_AGENT: HeaderValue = HeaderValue::from_static("apigw-health-check");

/// The most bytes of an answer's head.
const MAX_HEAD_BYTES: u32 = 64 << 10;

/// The most bytes read for an answer, interim answers included: only its head is waited for.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// Asks an endpoint. Of a name, the addresses take turns.
///
/// # Errors
/// When it is not well.
pub(super) async fn ask(
    upstream: &Upstream,
    probe: &Probe,
    addresses: &Addresses,
    turn: usize,
    tls: &UpstreamTls,
) -> Result<(), CheckFailure> {
    let stream = connector::dial(addresses, upstream, turn).await.map_err(CheckFailure::NoAnswer)?;
    let Probe::Http(path) = probe else { return Ok(()) };
    match upstream.scheme {
        Scheme::Http => request(upstream, path, stream).await,
        Scheme::Https => {
            let secured = secure(upstream, stream, tls).await.map_err(CheckFailure::NoAnswer)?;
            request(upstream, path, secured).await
        }
    }
}

async fn secure(
    upstream: &Upstream,
    stream: Stream,
    tls: &UpstreamTls,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, UpstreamFailure> {
    match tls.connect(upstream, stream).await {
        Ok(stream) if upstream.protocol == Protocol::Http2 && !agrees_on_http2(&stream) => {
            Err(UpstreamFailure::NotHttp2)
        }
        Ok(stream) => Ok(stream),
        Err(error) if has_no_protocol(&error) => Err(UpstreamFailure::NotHttp2),
        Err(error) => {
            tracing::debug!(host = ?upstream.host, %error, "no handshake for a check");
            Err(UpstreamFailure::Tls)
        }
    }
}

async fn request(
    upstream: &Upstream,
    path: &ProbePath,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<(), CheckFailure> {
    let stream = Bounded::new(stream, MAX_ANSWER_BYTES);
    let asked = match upstream.protocol {
        Protocol::Http1 => ask_http1(upstream, path, stream).await.map_err(|error| failure(&error)),
        Protocol::Http2 => ask_http2(upstream, path, stream).await.map_err(|error| {
            if error.is_io() || error.is_go_away() {
                UpstreamFailure::Reset
            } else {
                UpstreamFailure::Malformed
            }
        }),
    };
    let status = asked.map_err(CheckFailure::NoAnswer)?;
    let is_well = status.is_success() || status.is_redirection();
    if is_well { Ok(()) } else { Err(CheckFailure::Status(status)) }
}

fn failure(error: &hyper::Error) -> UpstreamFailure {
    if error.is_parse() { UpstreamFailure::Malformed } else { UpstreamFailure::Reset }
}

async fn ask_http1(
    upstream: &Upstream,
    path: &ProbePath,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<StatusCode, hyper::Error> {
    let mut protocol = http1::Builder::new();
    let (mut sender, connection) =
        protocol.max_buf_size(MAX_HEAD_BYTES as usize).handshake(TokioIo::new(stream)).await?;
    // Ends with this function, also when the caller's patience does.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::get(path.as_str())
        .header(header::HOST, &upstream.authority)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(String::new())
        .expect("a checked path is one that HTTP can carry");
    Ok(sender.send_request(request).await?.status())
}

async fn ask_http2(
    upstream: &Upstream,
    path: &ProbePath,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<StatusCode, h2::Error> {
    let mut protocol = h2::client::Builder::new();
    protocol.enable_push(false).max_header_list_size(MAX_HEAD_BYTES);
    let (sender, connection) = protocol.handshake::<_, Bytes>(stream).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let scheme = match upstream.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let authority = upstream.authority.to_str().unwrap_or_default();
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path.as_str()).build();
    let mut request = Request::new(());
    *request.uri_mut() = uri.expect("an upstream's authority and a checked path make a URL");
    request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
    let (answer, _body) = sender.ready().await?.send_request(request, true)?;
    Ok(answer.await?.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_checked_path_can_be_asked_for() {
        // The constructor's rule and that of HTTP's own types must be one.
        for byte in 0x21..0x7f_u8 {
            let text = format!("/{}?{}", char::from(byte), char::from(byte));
            if let Ok(path) = ProbePath::new(&text) {
                assert!(Request::get(path.as_str()).body(()).is_ok(), "{text}");
                let uri =
                    Uri::builder().scheme("http").authority("h:1").path_and_query(path.as_str()).build();
                assert!(uri.is_ok(), "{text}");
            }
        }
    }
}
