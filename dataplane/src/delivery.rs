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
    admin_key::AdminKey,
    problem::Problem,
    wire::{Content, Revision, features},
};
use apigw_proto::v1;
use tokio::time::Instant;
use tonic::transport::Endpoint;
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

/// What runs before a control plane was asked.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) revision: Revision,
    /// What it is made of: it need not travel again.
    pub(crate) content: Content,
    pub(crate) applied: Applied,
}

/// Who brings configurations into force.
pub(crate) trait Applier {
    /// Brings a configuration into force, whole or not at all.
    ///
    /// # Errors
    /// All that keeps it from running.
    fn apply(&mut self, candidate: Candidate) -> impl Future<Output = Result<Applied, Vec<Problem>>>;

    /// The live state of each route.
    fn limits(&self) -> Vec<v1::RouteLimits>;

    /// The providers of tokens and their keys.
    fn auth(&self) -> Vec<v1::ProviderState>;
}

/// A URL that names no control plane.
#[derive(Debug, thiserror::Error)]
#[error("not the URL of a control plane (such as http://127.0.0.1:9090): {url:?}")]
pub(crate) struct NotAControlPlane {
    url: String,
}

/// A data plane's side of the delivery.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// At least one.
    control_planes: Vec<ControlPlane>,
    identity: Identity,
    key: Option<AdminKey>,
}

#[derive(Debug)]
struct ControlPlane {
    url: String,
    endpoint: Endpoint,
}

impl Delivery {
    /// From control planes that are tried in turn; the key, if any, opens each of them.
    ///
    /// # Errors
    /// When there is no URL, or one is not `http://HOST:PORT`.
    pub(crate) fn new(
        urls: &[String],
        identity: Identity,
        key: Option<AdminKey>,
    ) -> Result<Self, NotAControlPlane> {
        let control_planes = urls.iter().map(|url| ControlPlane::new(url)).collect::<Result<Vec<_>, _>>()?;
        if control_planes.is_empty() {
            return Err(NotAControlPlane { url: String::new() });
        }
        Ok(Self { control_planes, identity, key })
    }

    /// Follows one control plane after the other, for ever, from what is held. May be dropped at any await.
    pub(crate) async fn run(self, mut applier: impl Applier, held: Option<Held>) -> std::convert::Infallible {
        let mut session = held.map_or_else(Session::new, Session::resuming);
        let mut link = Link::Unknown;
        let mut backoff = Backoff::new();
        for control_plane in self.control_planes.iter().cycle() {
            let hello = self.hello(&session);
            let began = Instant::now();
            let lost = match Stream::open(&control_plane.endpoint, self.key.as_ref(), hello).await {
                Ok(mut stream) => {
                    link.up(&control_plane.url);
                    session.restart();
                    stream.carry(&mut session, &mut applier).await
                }
                Err(lost) => lost,
            };
            if began.elapsed() >= LASTING {
                backoff = Backoff::new();
            }
            link.down(&control_plane.url, &lost);
            tokio::time::sleep(backoff.next(fastrand::f64())).await;
        }
        unreachable!("a cycle over at least one control plane has no end")
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

impl ControlPlane {
    fn new(url: &str) -> Result<Self, NotAControlPlane> {
        let wrong = || NotAControlPlane { url: url.into() };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| wrong())?;
        let uri = endpoint.uri();
        let is_bare = uri.path_and_query().is_none_or(|path| path == "/");
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) || !is_bare {
            return Err(wrong());
        }
        Ok(Self { url: url.to_owned(), endpoint: stream::bounded(endpoint) })
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
    fn up(&mut self, control_plane: &str) {
        info!(control_plane, "connected to the control plane");
        *self = Self::Up;
    }

    fn down(&mut self, control_plane: &str, lost: &Lost) {
        let down = Self::Down { reason: lost.to_string() };
        if *self == down {
            debug!(control_plane, reason = %lost, "still no control plane");
        } else {
            warn!(control_plane, reason = %lost, "no control plane; what runs, runs on");
            *self = down;
        }
    }
}

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;
