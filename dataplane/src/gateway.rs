//! The running gateway: its workers, its listeners, and the one way a configuration comes into force.
//!
//! Architecture invariant: [`Gateway::prepare`] does all that can fail and changes nothing that a request meets;
//! [`Gateway::commit`] changes everything and cannot fail. A configuration is in force whole or not at all. (One thing is
//! left to a worker: telling its event queue of a new socket. A system that refuses that is out of memory.)

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use apigw_config::{
    model::{GatewayConfig, RateLimitBackend, Server},
    names::TrafficAddress,
    problem::Problem,
    wire::Revision,
};
use apigw_engine::Snapshot;
use apigw_transport::tls::configured::FileBase;
use arc_swap::ArcSwap;
use tokio::{
    sync::{OwnedMutexGuard, watch},
    time::Instant,
};

use crate::{
    access_log::LogQueue,
    admin::endpoints::Endpoints,
    credentials::{AwaitedFiles, Credentials},
    health::HealthChecks,
    listeners::{self, Bound, Listeners, Purpose},
    metrics::Metrics,
    rate_limit_redis::RedisLimiter,
    resolver::{self, Addresses, Ahead, News},
    running::Running,
    serving::{ReadyTls, Serving},
    tls::{ServerTls, upstream::UpstreamTls},
    traces::TraceQueue,
    worker::{Command, Cut, ListenerId, Shared, WorkerHandle, places::Places, retirement::Retirement},
};

/// What a gateway is started with.
pub(crate) struct Parameters {
    pub(crate) workers: usize,
    /// Listen here, whatever the configuration says.
    pub(crate) listen: Option<TrafficAddress>,
    /// Where relative paths of the configuration begin.
    pub(crate) files: FileBase,
    pub(crate) running: Arc<Running>,
    pub(crate) log: LogQueue,
    pub(crate) traces: TraceQueue,
    pub(crate) metrics: Metrics,
    /// What answers at the admin places of the traffic addresses.
    pub(crate) endpoints: Arc<Endpoints>,
    /// Where the time of limits and breakers begins.
    pub(crate) start: Instant,
}

/// The gateway. Before its first configuration it has neither workers nor listeners.
pub(crate) struct Gateway {
    parameters: Parameters,
    addresses: Arc<Addresses>,
    health: HealthChecks,
    active: Mutex<Active>,
    /// Held by whoever brings something into force: what comes next begins with what that leaves.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// What runs, before names in it became addresses.
    unresolved: Mutex<Option<(GatewayConfig, Revision)>>,
    cut: watch::Sender<Cut>,
}

/// Where the gateway listens, and what for.
type Place = (TrafficAddress, Purpose);

#[derive(Default)]
struct Active {
    workers: Vec<WorkerHandle>,
    listening: HashMap<Place, Listening>,
    last_listener: u64,
}

#[derive(Debug)]
struct Listening {
    id: ListenerId,
    bound: Bound,
}

/// A configuration that can come into force. Dropped instead, it leaves no trace.
pub(crate) struct Prepared {
    serving: Arc<Serving>,
    unresolved: (GatewayConfig, Revision),
    /// With the first configuration.
    started: Option<Started>,
    names: resolver::Prepared,
    changes: ListenerChanges,
    _turn: OwnedMutexGuard<()>,
}

/// Why a configuration does not come into force.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) problems: Vec<Problem>,
    /// Files that may be all that it lacks; none: it lacks something else.
    pub(crate) files: Option<AwaitedFiles>,
}

impl From<Vec<Problem>> for Refusal {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems, files: None }
    }
}

/// The difference between where the gateway listens and where it is to.
struct ListenerChanges {
    opened: Vec<(Place, Listeners)>,
    closed: Vec<Place>,
}

/// Workers that have begun to live, and what they read their snapshot from.
struct Started {
    running: Arc<ArcSwap<Serving>>,
    workers: Vec<WorkerHandle>,
}

impl Gateway {
    pub(crate) fn new(parameters: Parameters) -> Self {
        let addresses = Arc::<Addresses>::default();
        let running = Arc::clone(&parameters.running);
        Self {
            health: HealthChecks::new(running, Arc::clone(&addresses), parameters.start),
            parameters,
            addresses,
            active: Mutex::default(),
            turn: Arc::default(),
            unresolved: Mutex::default(),
            cut: watch::Sender::new(Cut::NotYet),
        }
    }

    /// What runs; none before the first configuration.
    pub(crate) fn running(&self) -> Option<Arc<Snapshot>> {
        self.parameters.running.snapshot()
    }

    /// Makes a configuration ready: compiled, its listeners bound, its upstreams' names looked up.
    ///
    /// # Errors
    /// All that keeps it from running.
    pub(crate) async fn prepare(
        &self,
        config: GatewayConfig,
        revision: Revision,
    ) -> Result<Prepared, Refusal> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let ahead = self.addresses.look_ahead(&config).await;
        let resolved = config.resolved(|name| ahead.of(name));
        self.prepare_resolved((config, resolved, revision), ahead, turn).await
    }

    async fn prepare_resolved(
        &self,
        (unresolved, config, revision): (GatewayConfig, GatewayConfig, Revision),
        ahead: Ahead,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Prepared, Refusal> {
        let previous = self.parameters.running.serving();
        let before = self.parameters.running.snapshot();
        let compiled =
            tokio::task::spawn_blocking(move || Snapshot::compile(config, revision, before.as_deref()));
        let snapshot = match compiled.await {
            Ok(compiled) => compiled?,
            Err(panicked) => return Err(vec![problem("", format!("compiling failed: {panicked}"))].into()),
        };
        if let RateLimitBackend::Redis(backend) = &snapshot.settings().rate_limit {
            RedisLimiter::check(backend)
                .map_err(|error| vec![problem("rate_limit.redis", format!("{error}: {}", error.cause()))])?;
        }
        let previous_tls = previous.as_deref();
        let server = self.read_certificates(&snapshot.settings().server, previous_tls)?;
        let known = previous_tls.map(|previous| (&*previous.snapshot, previous.upstream_tls()));
        let load = || UpstreamTls::load(&snapshot, &self.parameters.files, known);
        let tls = ReadyTls { server, upstream: tokio::task::block_in_place(load)? };
        let changes = self.open_listeners(&snapshot.settings().server)?;
        let names = self.addresses.prepare(&snapshot, ahead).await;
        let known = previous_tls.map(|previous| &previous.credentials);
        let credentials = Credentials::load(snapshot.settings(), &self.parameters.files, known).await?;
        let serving = Arc::new(Serving::new(snapshot, tls, credentials, previous.as_deref()));
        let started = if previous.is_none() { Some(self.start_workers(&serving)?) } else { None };
        Ok(Prepared { serving, unresolved: (unresolved, revision), started, names, changes, _turn: turn })
    }

    /// Brings a configuration into force. To be called in the control runtime.
    pub(crate) fn commit(&self, prepared: Prepared) {
        let Prepared { serving, unresolved, started, names, changes, _turn } = prepared;
        *self.unresolved() = Some(unresolved);
        // First the names: a worker that takes the snapshot finds them.
        self.addresses.commit(names);
        let mut active = self.active();
        let first = started.map(|Started { running, workers }| {
            active.workers = workers;
            running
        });
        self.parameters.running.set_serving(&serving, first);
        for (place, listeners) in changes.opened {
            let (address, purpose) = &place;
            let bound = listeners.bound;
            active.last_listener += 1;
            let id = ListenerId(active.last_listener);
            for (worker, socket) in active.workers.iter().zip(listeners.sockets) {
                worker.send(Command::Listen(id, socket, *purpose));
            }
            tracing::info!(purpose = purpose.name(), address = bound.written(address), "listening");
            active.listening.insert(place, Listening { id, bound });
        }
        for place in changes.closed {
            active.close(&place);
        }
        self.parameters.running.set_listen_address(active.listen_address());
        drop(active);
        self.health.follow(&serving);
        self.parameters.metrics.forget_departed(&serving.snapshot);
    }

    /// Tells of files of credentials that are of no use any more, although what runs names them.
    pub(crate) fn tell_of_credentials(&self) {
        if let Some(serving) = self.parameters.running.serving() {
            serving.credentials.tell_of_problems();
        }
    }

    /// Keeps the addresses of upstreams' names fresh, and endpoints with them, for ever.
    pub(crate) async fn keep_addresses_fresh(self: Arc<Self>) {
        loop {
            self.addresses.wait().await;
            self.refresh_addresses().await;
        }
    }

    async fn refresh_addresses(&self) {
        if self.addresses.refresh().await == News::Some {
            self.follow_addresses().await;
        }
    }

    /// Brings into force what names mean by now whose addresses are endpoints, in the configuration that runs.
    async fn follow_addresses(&self) {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let unresolved = self.unresolved().clone();
        let (Some((config, revision)), Some(snapshot)) = (unresolved, self.running()) else { return };
        let ahead = self.addresses.look_ahead(&config).await;
        let resolved = config.resolved(|name| ahead.of(name));
        if resolved.backends() == snapshot.config().backends() {
            return;
        }
        match self.prepare_resolved((config, resolved, revision), ahead, turn).await {
            Ok(prepared) => self.commit(prepared),
            Err(refusal) => {
                for problem in refusal.problems {
                    tracing::error!(%problem, "endpoints do not follow their names");
                }
            }
        }
    }

    fn unresolved(&self) -> MutexGuard<'_, Option<(GatewayConfig, Revision)>> {
        self.unresolved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops listening and lets the workers finish what they are at. Blocks until they have.
    pub(crate) fn drain(&self) {
        let mut active = std::mem::take(&mut *self.active());
        let places: Vec<_> = active.listening.keys().cloned().collect();
        for place in places {
            active.close(&place);
        }
        for worker in &active.workers {
            worker.send(Command::Finish);
        }
        active.workers.into_iter().for_each(WorkerHandle::join);
    }

    /// Ends what is still under way where it stands.
    pub(crate) fn cut_off(&self) {
        self.cut.send_replace(Cut::Now);
    }

    /// Binds what is new of the wanted addresses. Until this is committed or dropped, clients of those addresses wait.
    fn open_listeners(&self, server: &Server) -> Result<ListenerChanges, Vec<Problem>> {
        let traffic = self.parameters.listen.as_ref().map_or(server.addresses(), std::slice::from_ref);
        let secure = server.tls.as_ref().map_or(&[][..], |tls| tls.listening.addresses());
        let traffic = traffic.iter().map(|address| (address.clone(), Purpose::Traffic));
        let secure = secure.iter().map(|address| (address.clone(), Purpose::Tls));
        let wanted: Vec<Place> = traffic.chain(secure).collect();
        let active = self.active();
        let own: Vec<_> = active.listening.values().map(|listening| &listening.bound).collect();
        let (mut opened, mut problems) = (Vec::new(), Vec::new());
        for place in wanted.iter().filter(|place| !active.listening.contains_key(place)) {
            let (address, purpose) = place;
            match listeners::bind(address, self.parameters.workers, &own) {
                Ok(listeners) => opened.push((place.clone(), listeners)),
                Err(error) => problems.push(problem(purpose.key(), error.to_string())),
            }
        }
        let unwanted = active.listening.keys().filter(|place| !wanted.contains(place)).cloned();
        let closed = unwanted.collect();
        if problems.is_empty() { Ok(ListenerChanges { opened, closed }) } else { Err(problems) }
    }

    /// Reads the files that clients are shown.
    fn read_certificates(
        &self,
        server: &Server,
        previous: Option<&Serving>,
    ) -> Result<Option<Arc<ServerTls>>, Vec<Problem>> {
        let before = previous.and_then(Serving::tls);
        let load = |tls| {
            // They are small, and nothing that a request needs waits for this thread.
            tokio::task::block_in_place(|| ServerTls::load(tls, &self.parameters.files, before))
        };
        server.tls.as_ref().map(load).transpose()
    }

    fn start_workers(&self, serving: &Arc<Serving>) -> Result<Started, Vec<Problem>> {
        let running = Arc::new(ArcSwap::new(Arc::clone(serving)));
        let shared = Shared {
            running: Arc::clone(&running),
            addresses: Arc::clone(&self.addresses),
            log: self.parameters.log.clone(),
            traces: self.parameters.traces.clone(),
            metrics: self.parameters.metrics.clone(),
            endpoints: Arc::clone(&self.parameters.endpoints),
            retirement: Retirement::start(),
            places: Places::default(),
            workers: self.parameters.workers,
            start: self.parameters.start,
            cut: self.cut.subscribe(),
        };
        let workers = (0..self.parameters.workers).map(|index| WorkerHandle::start(index, shared.clone()));
        match workers.collect() {
            Ok(workers) => Ok(Started { running, workers }),
            Err(error) => Err(vec![problem("", format!("cannot start a worker: {error}"))]),
        }
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        // Nothing that can panic runs while it is held.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn listen_address(&self) -> String {
        let listening =
            self.listening.iter().map(|((address, _), listening)| listening.bound.written(address));
        let mut addresses: Vec<_> = listening.collect();
        addresses.sort_unstable();
        addresses.join(",")
    }

    fn close(&mut self, place: &Place) {
        if let Some(Listening { id, bound }) = self.listening.remove(place) {
            let (address, purpose) = place;
            let address = bound.written(address);
            // A socket file goes first, so that nobody comes whom no worker would accept any more.
            drop(bound);
            for worker in &self.workers {
                worker.send(Command::Close(id));
            }
            tracing::info!(purpose = purpose.name(), address, "listener closing");
        }
    }
}

/// A problem of no file: of the machine, seen when a configuration was to come into force.
pub(crate) fn problem(path: &str, message: String) -> Problem {
    Problem { file: String::new(), position: None, path: path.into(), message }
}

#[cfg(test)]
mod tests;
