//! One stream over gRPC: dials, says Hello, carries messages between the control plane and the session until it breaks.

use std::time::Duration;

use apigw_proto::{
    MAX_MESSAGE_BYTES,
    v1::{self, delivery_client::DeliveryClient, follow_request},
};
use apigw_transport::{
    client::{ConnectError, connect},
    credentials::Credentials,
    endpoint::Endpoint,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
};
use tracing::warn;

use super::{
    Applier,
    observing::{self, Row, Subject},
    session::{self, Breach, Reaction, Session},
};

/// For the control plane to accept the stream.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages on their way to the control plane; each is at most 1 MiB.
const OUTGOING_MESSAGES: usize = 4;

/// Why there is no stream (any more). The text is what an operator reads.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// Nobody answers there, or nobody who is trusted and trusts us.
    #[error(transparent)]
    Unreachable(#[from] ConnectError),
    /// Somebody answers, but not in the protocol's time.
    #[error("connected, but the stream was not accepted within {} s", ACCEPT_TIMEOUT.as_secs())]
    Unaccepted,
    /// The key is missing or wrong.
    #[error("the control plane refused the key; is APIGW_ADMIN_KEY the same on both sides?")]
    Unauthenticated,
    /// The control plane ended the stream and says why, or the connection broke.
    #[error("the stream ended: {}", status_text(.0))]
    Ended(#[source] Box<Status>),
    /// The control plane ended the stream without a reason.
    #[error("the control plane ended the stream")]
    Closed,
    /// It was ended here: something runs by now that was not offered on it.
    #[error("what runs is to be told anew")]
    News,
    /// The control plane broke the protocol.
    #[error(transparent)]
    Breach(#[from] Breach),
}

impl From<Status> for Lost {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::Unauthenticated => Self::Unauthenticated,
            _ => Self::Ended(Box::new(status)),
        }
    }
}

/// The innermost reason: "connection refused" says more than "transport error".
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn status_text(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => cause(source),
        None => format!("{} ({:?})", status.message(), status.code()),
    }
}

/// A stream after its Hello.
#[derive(Debug)]
pub(super) struct Stream {
    outgoing: mpsc::Sender<v1::FollowRequest>,
    incoming: Streaming<v1::FollowResponse>,
}

impl Stream {
    /// Dials and says Hello.
    pub(super) async fn open(
        endpoint: &Endpoint,
        credentials: &Credentials,
        hello: v1::Hello,
    ) -> Result<Self, Lost> {
        let channel = connect(endpoint, credentials.tls.as_ref()).await?;
        let mut client = DeliveryClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let (outgoing, requests) = mpsc::channel(OUTGOING_MESSAGES);
        let hello = v1::FollowRequest { message: Some(follow_request::Message::Hello(hello)) };
        outgoing.send(hello).await.map_err(|_| Lost::Closed)?;
        let mut request = Request::new(ReceiverStream::new(requests));
        if let Some(key) = &credentials.key {
            let mut bearer: MetadataValue<Ascii> =
                key.to_bearer().parse().expect("an admin key is visible ASCII, which a header may hold");
            bearer.set_sensitive(true);
            request.metadata_mut().insert("authorization", bearer);
        }
        let accepted = tokio::time::timeout(ACCEPT_TIMEOUT, client.follow(request));
        let incoming = accepted.await.map_err(|_| Lost::Unaccepted)??.into_inner();
        Ok(Self { outgoing, incoming })
    }

    /// Carries messages until the stream breaks. A configuration is applied before the next message is read, so that
    /// one is in force, or refused, before another can supersede it.
    pub(super) async fn carry(&mut self, session: &mut Session, applier: &mut impl Applier) -> Lost {
        loop {
            let message = tokio::select! {
                message = self.incoming.message() => message,
                () = applier.worth_another_try() => match applier.try_again().await {
                    Some(held) => {
                        session.hold(held);
                        return Lost::News;
                    }
                    None => continue,
                },
            };
            let reactions = match message {
                Ok(Some(message)) => session.receive(message),
                Ok(None) => return Lost::Closed,
                Err(status) => return status.into(),
            };
            match reactions {
                Ok(reactions) => {
                    for reaction in reactions {
                        if self.react(reaction, session, applier).await.is_err() {
                            return self.reason().await;
                        }
                    }
                }
                Err(breach) => return breach.into(),
            }
        }
    }

    async fn react(
        &self,
        reaction: Reaction,
        session: &mut Session,
        applier: &mut impl Applier,
    ) -> Result<(), Unsent> {
        match reaction {
            Reaction::Send(request) => self.send(request).await,
            Reaction::Refuse(revision, problems) => {
                let (epoch, seq, hash) = (revision.epoch, revision.seq, revision.root_hash);
                warn!(epoch, seq, %hash, problems = problems.len(), "revision rejected; what runs, runs on");
                // The applier tells the log, and whoever asks this data plane, why.
                applier.refused(&problems);
                self.send(session::rejected(revision, &problems)).await
            }
            Reaction::Observe { query, subject: Subject::Limits } => self.tell(query, applier.limits()).await,
            Reaction::Observe { query, subject: Subject::Auth } => self.tell(query, applier.auth()).await,
            Reaction::Observe { query, subject: Subject::Backends } => {
                self.tell(query, applier.backends()).await
            }
            Reaction::Observe { query, subject: Subject::Certificates } => {
                self.tell(query, applier.certificates()).await
            }
            Reaction::Observe { query, subject: Subject::Drain(request) } => {
                self.tell(query, applier.drain(&request)).await
            }
            Reaction::Apply(candidate) => {
                let (revision, content) = (candidate.revision, candidate.content.clone());
                // The applier tells the log what came of it.
                let outcome = applier.apply(*candidate).await;
                self.send(session.conclude(revision, content, outcome)).await
            }
        }
    }

    async fn tell<R: Row>(&self, query: u64, rows: Vec<R>) -> Result<(), Unsent> {
        for observation in observing::observations(query, rows) {
            self.send(observation).await?;
        }
        Ok(())
    }

    async fn send(&self, request: v1::FollowRequest) -> Result<(), Unsent> {
        self.outgoing.send(request).await.map_err(|_| Unsent)
    }

    /// Why nothing can be sent any more: what the control plane says last.
    async fn reason(&mut self) -> Lost {
        loop {
            match self.incoming.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Lost::Closed,
                Err(status) => return status.into(),
            }
        }
    }
}

/// A message that the stream did not take, because it has ended.
#[derive(Debug)]
struct Unsent;
