//! A scripted upstream that speaks HTTP/2: each request is given to the script with the stream it came on.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    server::{Builder, SendResponse},
};
use hyper::{HeaderMap, Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// A scripted upstream; its connections end when it is dropped.
#[derive(Debug)]
pub struct Http2Origin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    farewell: watch::Sender<usize>,
    serving: JoinHandle<()>,
}

/// A request and its stream.
#[derive(Debug)]
pub struct Asked {
    /// Its head.
    pub head: Request<()>,
    /// Its body.
    pub body: RecvStream,
    /// Which of the upstream's connections it came on, from 1.
    pub connection: usize,
    respond: SendResponse<Bytes>,
}

impl Http2Origin {
    /// An upstream that allows so many requests on a connection at once.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start<F, Ended>(streams: u32, script: F) -> Self
    where
        F: Fn(Asked) -> Ended + Clone + Send + Sync + 'static,
        Ended: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (farewell, farewells) = watch::channel(0);
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        let serving = tokio::spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                served.spawn(serve(stream, number, streams, script.clone(), farewells.clone()));
            }
        });
        Self { address, connections, farewell, serving }
    }

    /// Its URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it has been given so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Tells all connections so far that no further request is taken on them.
    pub fn say_goodbye(&self) {
        self.farewell.send_replace(self.connections());
    }
}

impl Drop for Http2Origin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve<F, Ended>(
    stream: TcpStream,
    number: usize,
    streams: u32,
    script: F,
    mut farewells: watch::Receiver<usize>,
) where
    F: Fn(Asked) -> Ended,
    Ended: Future<Output = Option<()>> + Send + 'static,
{
    let mut protocol = Builder::new();
    let Ok(mut connection) = protocol.max_concurrent_streams(streams).handshake(stream).await else { return };
    let mut under_way = JoinSet::new();
    let mut is_leaving = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let (head, body) = request.into_parts();
                let head = Request::from_parts(head, ());
                under_way.spawn(script(Asked { head, body, connection: number, respond }));
            }
            told = farewells.wait_for(|last| number <= *last), if !is_leaving => {
                is_leaving = true;
                if told.is_ok() {
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

impl Asked {
    /// All of the request's body, and its trailers.
    pub async fn whole(&mut self) -> Option<(Vec<u8>, HeaderMap)> {
        let mut content = Vec::new();
        while let Some(bytes) = self.body.data().await {
            let bytes = bytes.ok()?;
            self.body.flow_control().release_capacity(bytes.len()).ok()?;
            content.extend_from_slice(&bytes);
        }
        Some((content, self.body.trailers().await.ok()?.unwrap_or_default()))
    }

    /// Begins an answer of 200.
    pub fn begin(&mut self) -> Option<SendStream<Bytes>> {
        self.respond.send_response(Response::new(()), false).ok()
    }

    /// Begins the answer to a call of gRPC.
    pub fn begin_call(&mut self) -> Option<SendStream<Bytes>> {
        let head = Response::builder().header("content-type", "application/grpc").body(()).ok()?;
        self.respond.send_response(head, false).ok()
    }

    /// Answers 200 with this body.
    pub fn say(&mut self, body: impl Into<Bytes>) -> Option<()> {
        self.begin()?.send_data(body.into(), true).ok()
    }

    /// Resets the stream.
    pub fn reset(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Waits until the other side resets the stream, and tells why.
    pub async fn is_reset(&mut self) -> Option<Reason> {
        std::future::poll_fn(|context| self.respond.poll_reset(context)).await.ok()
    }
}
