//! Follows a control plane: dials, receives configurations, has them applied, reports.
//!
//! This is the only part of the data plane that speaks with a control plane. It brings nothing into force itself (that
//! is the [`Applier`]'s) and a control plane that is away, slow or confused costs no request anything: what runs, runs on.
//! The protocol is in [`session`], which does no I/O; [`stream`] carries its messages.

/// What an offer lists, put together from what is here and what travels.
mod assembly;
/// When to dial again.
pub(crate) mod backoff;
/// Answers about live state.
mod observing;
/// The protocol, as a state machine.
mod session;
/// The same, over gRPC.
mod stream;

use std::future::Future;

use apigw_config::{
    problem::Problem,
    wire::{Content, Revision, features},
};
use apigw_proto::v1;
use apigw_transport::{
    credentials::{Credentials, Exposure, Unfit},
    endpoint::{Endpoint, EndpointError},
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

pub(crate) use self::{
    assembly::{Candidate, MAX_BYTES, MAX_ENTRIES},
    session::unknown_features,
};
use self::{
    backoff::Backoff,
    session::Session,
    stream::{Lost, Stream},
};

/// A stream that lasted this long was a working one: dialling begins anew with the shortest pause.
const LASTING: std::time::Duration = std::time::Duration::from_secs(5);

/// Who this data plane is, as it says in its Hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Stable across restarts, unique on its machine: 1 to 255 ASCII letters, digits and `-_.:/@`.
    pub(crate) name: String,
    /// Random, new in each process.
    pub(crate) instance: u64,
}

/// What a configuration led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    /// Where traffic is accepted now, as a person would write it.
    pub(crate) listen_address: String,
    /// When it came into force, in milliseconds since 1970.
    pub(crate) applied_at_ms: u64,
}

/// What runs without a control plane's having been asked.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) revision: Revision,
    /// What it is made of: it need not travel again.
    pub(crate) content: Content,
    pub(crate) source: v1::ConfigSource,
    pub(crate) applied: Applied,
}

/// Who brings configurations into force.
pub(crate) trait Applier {
    /// Brings a configuration into force, whole or not at all.
    ///
    /// # Errors
    /// All that keeps it from running.
    fn apply(&mut self, candidate: Candidate) -> impl Future<Output = Result<Applied, Vec<Problem>>>;

    /// Takes note of an offer that is not brought into force, for what it requires or contains.
    fn refused(&mut self, problems: &[Problem]);

    /// Ends when what kept the last configuration from running seems to be gone; never, where nothing waits for that. May
    /// be cancelled, and asked again.
    fn worth_another_try(&mut self) -> impl Future<Output = ()>;

    /// Tries it again. None: it is refused again, or there is none.
    fn try_again(&mut self) -> impl Future<Output = Option<Held>>;

    /// The live state of each route.
    fn limits(&self) -> Vec<v1::RouteLimits>;

    /// The providers of tokens and their keys.
    fn auth(&self) -> Vec<v1::ProviderState>;

    /// The endpoints of the backends and what they are at.
    fn backends(&self) -> Vec<v1::EndpointState>;

    /// Has an endpoint be given no new requests, or some again.
    fn drain(&self, request: &v1::DrainRequest) -> Vec<v1::DrainOutcome>;

    /// The certificates in use.
    fn certificates(&self) -> Vec<v1::CertificateState>;
}

/// A control plane that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAControlPlane {
    /// There is none.
    #[error("there is no control plane to follow")]
    None,
    /// It is nowhere.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// It must not be spoken to like this.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// A data plane's side of the delivery.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// At least one.
    control_planes: Vec<Endpoint>,
    identity: Identity,
    credentials: Credentials,
}

impl Delivery {
    /// From control planes that are tried in turn, each with the same credentials. A key that would travel in clear is
    /// warned of.
    ///
    /// # Errors
    /// When there is none, or one cannot be followed.
    pub(crate) fn new(
        urls: &[String],
        identity: Identity,
        credentials: Credentials,
    ) -> Result<Self, NotAControlPlane> {
        if urls.is_empty() {
            return Err(NotAControlPlane::None);
        }
        let mut control_planes = Vec::with_capacity(urls.len());
        for url in urls {
            let endpoint: Endpoint = url.parse()?;
            if credentials.exposure(&endpoint)? == Exposure::KeyInClear {
                warn!(control_plane = %endpoint, "the admin key and the configuration travel in clear; use https:// and certificates");
            }
            control_planes.push(endpoint);
        }
        Ok(Self { control_planes, identity, credentials })
    }

    /// Follows one control plane after the other, for ever, from what is held. May be dropped at any await.
    pub(crate) async fn run(self, mut applier: impl Applier, held: Option<Held>) -> std::convert::Infallible {
        let mut session = held.map_or_else(Session::default, Session::resuming);
        let mut link = Link::Unknown;
        let mut backoff = Backoff::new();
        for control_plane in self.control_planes.iter().cycle() {
            let began = Instant::now();
            let lost = loop {
                match self.follow(control_plane, &mut session, &mut applier, &mut link).await {
                    // A report is for an offer; what else runs is said in a Hello.
                    Lost::News => {}
                    lost => break lost,
                }
            };
            if began.elapsed() >= LASTING {
                backoff = Backoff::new();
            }
            link.down(control_plane, &lost);
            tokio::time::sleep(backoff.next(fastrand::f64())).await;
        }
        unreachable!("a cycle over at least one control plane has no end")
    }

    /// Follows one control plane until the stream is lost, or something runs that it did not offer on it.
    async fn follow(
        &self,
        control_plane: &Endpoint,
        session: &mut Session,
        applier: &mut impl Applier,
        link: &mut Link,
    ) -> Lost {
        let opened = tokio::select! {
            opened = Stream::open(control_plane, &self.credentials, self.hello(session)) => opened,
            () = applier.worth_another_try() => {
                if let Some(held) = applier.try_again().await {
                    session.hold(held);
                }
                return Lost::News;
            }
        };
        match opened {
            Ok(mut stream) => {
                link.up(control_plane);
                session.restart();
                stream.carry(session, applier).await
            }
            Err(lost) => lost,
        }
    }

    fn hello(&self, session: &Session) -> v1::Hello {
        let Applied { listen_address, applied_at_ms } = session.applied().clone();
        v1::Hello {
            data_plane: self.identity.name.clone(),
            instance: self.identity.instance,
            version: env!("CARGO_PKG_VERSION").into(),
            listen_address,
            running: session.running().map(v1::Revision::from),
            source: session.source().into(),
            applied_at_ms,
            features: features::KNOWN.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What was last said of the connection: a change is told once, however often it is tried.
#[derive(Debug, PartialEq, Eq)]
enum Link {
    Unknown,
    Up,
    Down { reason: String },
}

impl Link {
    fn up(&mut self, control_plane: &Endpoint) {
        info!(%control_plane, "connected to the control plane");
        *self = Self::Up;
    }

    fn down(&mut self, control_plane: &Endpoint, lost: &Lost) {
        let down = Self::Down { reason: lost.to_string() };
        if *self == down {
            debug!(%control_plane, reason = %lost, "still no control plane");
        } else {
            warn!(%control_plane, reason = %lost, "no control plane; what runs, runs on");
            *self = down;
        }
    }
}

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;
