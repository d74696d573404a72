//! A worker: one thread, one single-threaded runtime, and everything a request needs, shared with nobody.
//!
//! Architecture invariant: what a request touches on its way is this worker's own. The exceptions are read without a
//! lock (the snapshot, providers' keys), locked for some nanoseconds (a shard of the buckets, a breaker that is not well),
//! one atomic number (places of a route), or asked only when a connection is opened (the addresses of names).

/// How many clients may be connected.
pub(crate) mod places;
/// Where they come in.
mod accepting;
/// Those that are served.
mod connections;
/// What a request is served by.
mod view;
/// Where that is taken apart.
pub(crate) mod retirement;

use std::{
    cell::{Cell, Ref, RefCell},
    hash::RandomState,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, mpsc::sync_channel},
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use apigw_config::model::{RateLimitBackend, RedisBackend};
use apigw_engine::{
    Snapshot,
    balance::Turns,
    callers::external::answers::ServiceAnswers,
    fields::Fields,
    jwt::cache::{CacheLimits, TokenCache},
    snapshot::{Affinity, Backend, Endpoint, Route, RouteId, SplitBackends, UpstreamId},
};
use arc_swap::{ArcSwap, Cache};
use aws_lc_rs::{hmac, rand::SystemRandom};
use http::HeaderValue;
use rustc_hash::FxHashMap;
use tokio::{
    runtime::LocalOptions,
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    time::{Instant, MissedTickBehavior, interval},
};

pub(crate) use self::view::View;
use self::{accepting::listen, connections::Connections, places::Places, retirement::Retirement};
use crate::{
    access_log::{LogBuffer, LogQueue},
    admin::endpoints::Endpoints,
    exchange::{caller::service::Questions, compression::Compressions, mirroring::Copies},
    listeners::{ListeningSocket, Purpose},
    metrics::{Metrics, RouteCounters, WorkerCounters},
    rate_limit_redis::{RedisLimiter, Roots},
    resolver::Addresses,
    serving::Serving,
    traces::{TraceBuffer, TraceQueue},
    upstream::{Upstreams, connector::Connector},
};

/// How often a worker writes out its log and looks after its pool.
const TICK: Duration = Duration::from_millis(100);

/// The most that a worker remembers of verified tokens.
const REMEMBERED_TOKENS: CacheLimits = CacheLimits { entries: 10_000, bytes: 32 << 20 };

/// The most that a worker remembers of what services have let pass.
const REMEMBERED_ANSWERS: CacheLimits = CacheLimits { entries: 10_000, bytes: 16 << 20 };

/// What all workers are given.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) running: Arc<ArcSwap<Serving>>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) log: LogQueue,
    pub(crate) traces: TraceQueue,
    pub(crate) metrics: Metrics,
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) retirement: Retirement<Serving>,
    /// Of clients that are connected to any worker.
    pub(crate) places: Places,
    /// How many workers there are.
    pub(crate) workers: usize,
    /// Where the time of limits and breakers begins.
    pub(crate) start: Instant,
    /// Told when what is under way is to end where it stands.
    pub(crate) cut: watch::Receiver<Cut>,
}

/// Whether what is under way may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    NotYet,
    Now,
}

/// Names one listener of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ListenerId(pub(crate) u64);

/// What the gateway tells a worker. Few, and sent by the gateway alone, so their queue needs no bound.
pub(crate) enum Command {
    /// Accept connections here as well.
    Listen(ListenerId, ListeningSocket, Purpose),
    /// Accept what has been established here, then close; its connections end when they are idle.
    Close(ListenerId),
    /// End when the last connection has; the listeners are closed before.
    Finish,
}

/// The gateway's handle on a worker. Dropping it ends the worker at once, unless it has been told to finish.
pub(crate) struct WorkerHandle {
    commands: UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

impl WorkerHandle {
    /// Starts a worker.
    ///
    /// # Errors
    /// When the system gives no thread or no runtime.
    pub(crate) fn start(index: usize, shared: Shared) -> std::io::Result<Self> {
        let (commands, received) = unbounded_channel();
        let (started, starting) = sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            // The only blocking calls are those of the admin places, which may wait for each other.
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().max_blocking_threads(1);
            let runtime = match builder.build_local(LocalOptions::default()) {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            let _ = started.send(Ok(()));
            let work = async move { run(Rc::new(Worker::new(index, &shared)), received).await };
            runtime.block_on(work);
        })?;
        starting.recv().unwrap_or_else(|_| Err(std::io::Error::other("the worker ended while starting")))?;
        Ok(Self { commands, thread })
    }

    /// Tells the worker something; one that has ended does not mind.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Waits for the worker's end.
    pub(crate) fn join(self) {
        drop(self.commands);
        let _ = self.thread.join();
    }
}

/// Everything a request needs.
pub(crate) struct Worker {
    shared: Shared,
    running: RefCell<Cache<Arc<ArcSwap<Serving>>, Arc<Serving>>>,
    view: RefCell<Rc<View>>,
    pub(crate) upstreams: Upstreams,
    /// Of the endpoints of backends, and of the backends that share a route.
    turns: RefCell<Turns>,
    /// Requests that other backends are shown.
    pub(crate) copies: Copies,
    /// Requests that services are asked about.
    pub(crate) questions: Questions,
    /// What these have let pass lately.
    pub(crate) answers: RefCell<ServiceAnswers>,
    /// Answers that are compressed.
    pub(crate) compressions: Rc<Compressions>,
    pub(crate) log: LogBuffer,
    pub(crate) traces: TraceBuffer,
    pub(crate) random: RefCell<fastrand::Rng>,
    /// Tokens that were believed before.
    pub(crate) tokens: RefCell<TokenCache>,
    /// None: rate limits are counted in this process.
    shared_limiter: RefCell<Option<Rc<SharedLimiter>>>,
    connections: Rc<Connections>,
    /// Listeners that have not closed yet.
    listeners: Cell<usize>,
    /// Of the routes that this worker has met in the present snapshot.
    counters: RefCell<FxHashMap<RouteId, Arc<RouteCounters>>>,
    /// Of requests that met no route.
    without_route: Arc<RouteCounters>,
    counted: Arc<WorkerCounters>,
    /// As answers tell it; follows the clock with the worker's ticks.
    date: RefCell<HeaderValue>,
    /// This worker among all.
    index: usize,
    is_cut: Cell<bool>,
}

/// What counts rate limits for several data planes, and the settings it was started with.
pub(crate) struct SharedLimiter {
    pub(crate) limiter: RedisLimiter,
    pub(crate) backend: RedisBackend,
}

impl Worker {
    fn new(index: usize, shared: &Shared) -> Self {
        let running = Cache::new(Arc::clone(&shared.running));
        let serving = shared.running.load_full();
        let counted = shared.metrics.of_worker();
        let connector = Connector::new(Arc::clone(&shared.addresses), Arc::clone(&counted));
        Self {
            upstreams: Upstreams::new(&serving, connector, Arc::clone(&counted), shared.workers),
            shared_limiter: RefCell::new(start_shared_limiter(&serving.snapshot)),
            turns: RefCell::new(Turns::new(fastrand::u64(..))),
            tokens: RefCell::new(TokenCache::new(REMEMBERED_TOKENS, RandomState::new())),
            view: RefCell::new(Rc::new(View::new(serving, &shared.retirement))),
            running: RefCell::new(running),
            copies: Copies::default(),
            questions: Questions::default(),
            answers: RefCell::new(ServiceAnswers::new(REMEMBERED_ANSWERS, random_key())),
            compressions: Rc::default(),
            log: shared.log.buffer(),
            traces: shared.traces.buffer(),
            random: RefCell::new(fastrand::Rng::new()),
            connections: Rc::new(Connections::new(Arc::clone(&counted))),
            listeners: Cell::new(0),
            counters: RefCell::default(),
            without_route: shared.metrics.without_route(index),
            counted,
            date: RefCell::new(date(SystemTime::now())),
            index,
            is_cut: Cell::new(false),
            shared: shared.clone(),
        }
    }

    /// The newest snapshot. A request asks once and keeps what it got.
    pub(crate) fn view(&self) -> Rc<View> {
        let mut running = self.running.borrow_mut();
        let newest = running.load();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(newest, &view.serving) {
            self.upstreams.reconfigure(newest);
            self.turns.borrow_mut().retain(|choice| newest.snapshot.has_turns(choice));
            self.counters.borrow_mut().clear();
            self.follow_rate_limit_backend(&newest.snapshot);
            *view = Rc::new(View::new(Arc::clone(newest), &self.shared.retirement));
        }
        Rc::clone(&view)
    }

    /// The backend of several that takes the next request of this worker.
    pub(crate) fn backend<'b>(
        &self,
        backends: SplitBackends<'b>,
        headers: &Fields,
        client: IpAddr,
    ) -> &'b Arc<Backend> {
        backends.choose(&mut self.turns.borrow_mut(), headers, client)
    }

    /// The endpoint of a backend that takes the next request of this worker.
    pub(crate) fn endpoint<'b>(&self, backend: &'b Backend, affinity: Affinity) -> &'b Endpoint {
        backend.choose(&mut self.turns.borrow_mut(), affinity)
    }

    /// An endpoint of a backend for a request that these have not served well; none: there is no other.
    pub(crate) fn other_endpoint<'b>(
        &self,
        backend: &'b Backend,
        affinity: Affinity,
        tried: &[UpstreamId],
    ) -> Option<&'b Endpoint> {
        backend.choose_other(&mut self.turns.borrow_mut(), affinity, tried)
    }

    /// An endpoint of a backend for a request that this one may still answer; none: there is no other that takes it.
    pub(crate) fn endpoint_beside<'b>(
        &self,
        backend: &'b Backend,
        affinity: Affinity,
        asked: UpstreamId,
    ) -> Option<&'b Endpoint> {
        backend.choose_beside(&mut self.turns.borrow_mut(), affinity, asked)
    }

    /// The time of limits and breakers at this moment.
    pub(crate) fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.shared.start)
    }

    /// What counts rate limits for several data planes; none: they are counted in this process.
    pub(crate) fn shared_limiter(&self) -> Option<Rc<SharedLimiter>> {
        self.shared_limiter.borrow().clone()
    }

    /// Tells operators whether this worker has a connection to the server that counts.
    fn note_shared_limiter(&self) {
        let is_connected = |shared: &Rc<SharedLimiter>| shared.limiter.is_connected();
        let is_connected = self.shared_limiter.borrow().as_ref().is_some_and(is_connected);
        self.counted.rate_limit_connections.set(u64::from(is_connected));
    }

    /// Keeps the connection to the server that counts, unless the settings have changed.
    fn follow_rate_limit_backend(&self, snapshot: &Snapshot) {
        let mut limiter = self.shared_limiter.borrow_mut();
        let is_same = match (&*limiter, &snapshot.settings().rate_limit) {
            (Some(limiter), RateLimitBackend::Redis(backend)) => limiter.backend == *backend,
            (limiter, RateLimitBackend::Memory(_)) => limiter.is_none(),
            (None, RateLimitBackend::Redis(_)) => false,
        };
        if !is_same {
            *limiter = start_shared_limiter(snapshot);
        }
    }

    /// The counters of a route of the newest snapshot; a request asks when it meets its route, and keeps what it got.
    pub(crate) fn counters_of(&self, route: &Route<'_>) -> Arc<RouteCounters> {
        let mut counters = self.counters.borrow_mut();
        let known =
            counters.entry(route.id).or_insert_with(|| self.shared.metrics.of_route(route, self.index));
        Arc::clone(known)
    }

    /// The counters of requests that met no route.
    pub(crate) fn counters_without_route(&self) -> &Arc<RouteCounters> {
        &self.without_route
    }

    /// What this worker counts beside requests.
    pub(crate) fn counted(&self) -> &Arc<WorkerCounters> {
        &self.counted
    }

    /// The present time as the `Date` of an answer (RFC 9110 section 6.6.1), at most some ticks old.
    pub(crate) fn date(&self) -> Ref<'_, HeaderValue> {
        self.date.borrow()
    }

    /// Whether what was under way has been ended where it stood.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// What answers at the admin places.
    pub(crate) fn endpoints(&self) -> &Arc<Endpoints> {
        &self.shared.endpoints
    }

    /// Whether nothing is left to finish.
    fn is_idle(&self) -> bool {
        self.listeners.get() == 0 && self.connections.is_empty()
    }
}

fn date(now: SystemTime) -> HeaderValue {
    HeaderValue::from_str(&httpdate::fmt_http_date(now)).expect("a date is visible ASCII")
}

/// None: the system gives no random numbers now, and what they are for is done without.
fn random_key() -> Option<hmac::Key> {
    hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()
}

/// Begins to connect to the server that counts rate limits, if there is one.
fn start_shared_limiter(snapshot: &Snapshot) -> Option<Rc<SharedLimiter>> {
    let RateLimitBackend::Redis(backend) = &snapshot.settings().rate_limit else { return None };
    let limiter = RedisLimiter::start(backend, &Roots::Platform);
    let limiter = limiter.expect("a configuration with such settings is not brought into force");
    Some(Rc::new(SharedLimiter { limiter, backend: backend.clone() }))
}

/// Follows the gateway's commands until there are no more.
async fn run(worker: Rc<Worker>, mut commands: UnboundedReceiver<Command>) {
    let mut listeners = FxHashMap::default();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_finishing = false;
    let mut cut = worker.shared.cut.clone();
    loop {
        tokio::select! {
            command = commands.recv(), if !is_finishing => match command {
                Some(Command::Listen(id, socket, purpose)) => match listen(&worker, (id, purpose), socket) {
                    Ok(accepting) => drop(listeners.insert(id, accepting)),
                    Err(error) => tracing::error!(%error, "listener not started"),
                },
                // Its task does the rest.
                Some(Command::Close(id)) => drop(listeners.remove(&id)),
                Some(Command::Finish) => is_finishing = true,
                None => break,
            },
            // Its exchanges end when their tasks are dropped, and are logged then.
            Ok(_) = cut.wait_for(|cut| *cut == Cut::Now) => {
                worker.is_cut.set(true);
                break;
            }
            _ = ticks.tick() => {
                *worker.date.borrow_mut() = date(SystemTime::now());
                worker.log.flush();
                worker.traces.flush();
                worker.upstreams.sweep(Instant::now());
                worker.note_shared_limiter();
                if is_finishing && worker.is_idle() {
                    break;
                }
            }
        }
    }
}
