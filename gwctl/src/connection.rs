//! One connection to a control plane or a data plane, and the questions it answers.
//!
//! Every wait ends: 3 s to connect, 10 s for an answer. Every answer is bounded in rows and bytes. Nothing is retried; a
//! person who sees the failure decides.

use std::{cell::Cell, future::Future, time::Duration};

use apigw_config::admin_key::AdminKey;
use apigw_proto::{
    MAX_MESSAGE_BYTES,
    v1::{self, gateway_client::GatewayClient},
};
use apigw_transport::{client::connect, credentials::Credentials, endpoint::Endpoint};
use bytes::Bytes;
use prost::Message;
use tonic::{
    Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::failure::{Failure, Presented, Progress};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The most rows of one answer.
const MAX_ROWS: usize = 1_000_000;
/// The most bytes of one answer, as encoded.
const MAX_ANSWER_BYTES: usize = 512 << 20;

/// An open connection. It is used for one question.
pub(crate) struct Connection {
    endpoint: Endpoint,
    presented: Presented,
    client: GatewayClient<InterceptedService<Channel, Bearer>>,
}

/// The rows of an answer, and why there are no more, when the other side did not finish.
pub(crate) struct Gathered<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) cut_short: Option<Failure>,
}

impl Connection {
    /// Connects; nothing is asked yet.
    pub(crate) async fn open(endpoint: Endpoint, credentials: &Credentials) -> Result<Self, Failure> {
        let channel = connect(&endpoint, credentials.tls.as_ref())
            .await
            .map_err(|error| Failure::of_connection(&endpoint, error))?;
        let key = credentials.key.as_ref();
        let client = GatewayClient::with_interceptor(channel, Bearer::of(key))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let presented = key.map_or(Presented::NoKey, |_| Presented::Key);
        Ok(Self { endpoint, presented, client })
    }

    /// What runs where.
    pub(crate) async fn status(mut self) -> Result<v1::StatusResponse, Failure> {
        let call = self.client.status(v1::StatusRequest {});
        match in_time(&self.endpoint, call).await? {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(self.failure(Progress::Asked, &status)),
        }
    }

    /// What would become of a request.
    pub(crate) async fn explain(
        mut self,
        question: v1::ExplainRequest,
    ) -> Result<v1::ExplainResponse, Failure> {
        let call = self.client.explain(question);
        match in_time(&self.endpoint, call).await? {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(self.failure(Progress::Asked, &status)),
        }
    }

    /// The routes, in their order.
    pub(crate) async fn routes(self) -> Result<Vec<v1::Route>, Failure> {
        let mut client = self.client.clone();
        let gathered = self.gathered(client.routes(v1::RoutesRequest {}), |page| page.routes).await?;
        gathered.cut_short.map_or(Ok(gathered.rows), Err)
    }

    /// The live state of each route on each data plane.
    pub(crate) async fn limits(self) -> Result<Gathered<v1::RouteLimits>, Failure> {
        let mut client = self.client.clone();
        self.gathered(client.limits(v1::LimitsRequest {}), |page| page.rows).await
    }

    /// The providers of tokens on each data plane.
    pub(crate) async fn auth(self) -> Result<Gathered<v1::ProviderState>, Failure> {
        let mut client = self.client.clone();
        self.gathered(client.auth(v1::AuthRequest {}), |page| page.providers).await
    }

    /// The endpoints of the backends on each data plane.
    pub(crate) async fn backends(self) -> Result<Gathered<v1::EndpointState>, Failure> {
        let mut client = self.client.clone();
        self.gathered(client.backends(v1::BackendsRequest {}), |page| page.endpoints).await
    }

    /// What came of an order about an endpoint on each data plane.
    pub(crate) async fn drain(self, order: v1::DrainRequest) -> Result<Gathered<v1::DrainOutcome>, Failure> {
        let mut client = self.client.clone();
        self.gathered(client.drain(order), |page| page.outcomes).await
    }

    /// The certificates that each data plane shows.
    pub(crate) async fn certificates(self) -> Result<Gathered<v1::CertificateState>, Failure> {
        let mut client = self.client.clone();
        self.gathered(client.certificates(v1::CertificatesRequest {}), |page| page.certificates).await
    }

    /// The revisions that are kept, newest first.
    pub(crate) async fn history(self) -> Result<Vec<v1::HistoryEntry>, Failure> {
        let mut client = self.client.clone();
        let gathered = self.gathered(client.history(v1::HistoryRequest {}), |page| page.entries).await?;
        gathered.cut_short.map_or(Ok(gathered.rows), Err)
    }

    /// The resources of a kept revision, in their order, and how many of them are backends.
    pub(crate) async fn resources(self, revision: v1::Revision) -> Result<(Vec<Bytes>, usize), Failure> {
        let mut client = self.client.clone();
        let request = v1::ResourcesRequest { revision: Some(revision) };
        let backends = Cell::new(0);
        let rows = |page: v1::ResourcesResponse| {
            backends.set(backends.get() + page.backends as usize);
            page.resources
        };
        let gathered = self.gathered(client.resources(request), rows).await?;
        gathered.cut_short.map_or(Ok((gathered.rows, backends.get())), Err)
    }

    /// Has the content of a kept revision published again.
    pub(crate) async fn rollback(mut self, revision: v1::Revision) -> Result<v1::RollbackResponse, Failure> {
        let call = self.client.rollback(v1::RollbackRequest { revision: Some(revision) });
        match in_time(&self.endpoint, call).await? {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(self.failure(Progress::Asked, &status)),
        }
    }

    /// Asks for rows and waits for them.
    async fn gathered<P: Message, T>(
        &self,
        call: impl Future<Output = Result<Response<Streaming<P>>, Status>>,
        rows_of: impl Fn(P) -> Vec<T>,
    ) -> Result<Gathered<T>, Failure> {
        let answer = async {
            match call.await {
                Ok(pages) => self.gather(pages.into_inner(), rows_of).await,
                Err(status) => Err(self.failure(Progress::Asked, &status)),
            }
        };
        in_time(&self.endpoint, answer).await?
    }

    /// Puts pages together. What had come before the other side gave up is kept.
    async fn gather<P: Message, T>(
        &self,
        mut pages: Streaming<P>,
        rows_of: impl Fn(P) -> Vec<T>,
    ) -> Result<Gathered<T>, Failure> {
        let mut rows = Vec::new();
        let mut budget = Budget::new(MAX_ROWS, MAX_ANSWER_BYTES);
        let mut progress = Progress::Asked;
        loop {
            match pages.message().await {
                Ok(Some(page)) => {
                    progress = Progress::Answering;
                    let bytes = page.encoded_len();
                    let page = rows_of(page);
                    budget.spend(page.len(), bytes).map_err(|over| over.failure(&self.endpoint))?;
                    rows.extend(page);
                }
                Ok(None) => return Ok(Gathered { rows, cut_short: None }),
                Err(status) => {
                    let failure = self.failure(progress, &status);
                    return match progress {
                        Progress::Asked => Err(failure),
                        Progress::Answering => Ok(Gathered { rows, cut_short: Some(failure) }),
                    };
                }
            }
        }
    }

    fn failure(&self, progress: Progress, status: &Status) -> Failure {
        Failure::of_call(&self.endpoint, self.presented, progress, status)
    }
}

async fn in_time<F: Future>(endpoint: &Endpoint, call: F) -> Result<F::Output, Failure> {
    tokio::time::timeout(CALL_TIMEOUT, call)
        .await
        .map_err(|_| Failure::TimedOut { endpoint: endpoint.clone(), seconds: CALL_TIMEOUT.as_secs() })
}

/// Presents the key with every call.
#[derive(Clone)]
struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    fn of(key: Option<&AdminKey>) -> Self {
        Self(key.map(|key| {
            let mut value: MetadataValue<Ascii> =
                key.to_bearer().parse().expect("an admin key is visible ASCII, which a header may hold");
            value.set_sensitive(true);
            value
        }))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// What an answer may still hold.
struct Budget {
    rows: usize,
    bytes: usize,
}

/// Which bound was passed.
#[derive(Debug, PartialEq, Eq)]
enum Over {
    Rows,
    Bytes,
}

impl Budget {
    fn new(rows: usize, bytes: usize) -> Self {
        Self { rows, bytes }
    }

    fn spend(&mut self, rows: usize, bytes: usize) -> Result<(), Over> {
        self.rows = self.rows.checked_sub(rows).ok_or(Over::Rows)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Over::Bytes)?;
        Ok(())
    }
}

impl Over {
    fn failure(&self, endpoint: &Endpoint) -> Failure {
        let (limit, what) = match self {
            Self::Rows => (MAX_ROWS, "rows"),
            Self::Bytes => (MAX_ANSWER_BYTES, "bytes"),
        };
        Failure::TooMuch { endpoint: endpoint.clone(), limit, what }
    }
}

#[cfg(test)]
mod tests;
