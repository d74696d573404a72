//! The data plane: the proxy of apigw.
//!
//! [`main`] reads the options and starts what lives: the [`gateway`] with its [`worker`]s, the [`admin`] address, and the
//! source of configurations, a file or a control plane. How a request is served begins in [`exchange`].

/// The command line.
mod options;

// What a request meets:
/// Sockets that accept connections.
mod listeners;
/// How many there can be.
mod descriptors;
/// A thread that serves them.
mod worker;
/// Its bytes, in clear or not.
mod socket;
/// What goes from hand to hand.
mod heap;
/// Small copies of bytes.
mod pieces;
/// TLS on both sides.
mod tls;
/// One client connection.
mod connection;
/// HTTP/1.1 as it is written, on both sides.
mod http1;
/// HTTP/2 as it is written, towards clients.
mod http2;
/// One request and its answer.
mod exchange;
/// Connections to upstreams.
mod upstream;
/// Addresses of upstreams' names.
mod resolver;
/// Whether upstreams are well.
mod health;
/// Keys of those who issue tokens.
mod jwks;
/// Keys and passwords of callers.
mod credentials;
/// Rate limits counted by a server that several data planes share.
mod rate_limit_redis;

// What is told of it:
/// A line for each request.
mod access_log;
/// Spans, for whoever collects them.
mod traces;
/// Counters.
mod metrics;

// How a configuration comes into force:
/// From a file.
mod file_source;
/// The file's text, while it runs.
mod file_text;
/// From a control plane.
mod delivery;
/// From the disk, when no control plane answers.
mod last_known_good;
/// On all parts at once.
mod installation;
/// On the workers.
mod gateway;
/// What workers serve by.
mod serving;
/// What runs, for those who look.
mod running;

// What an operator asks:
/// The admin address.
mod admin;
/// The gRPC API.
mod api;
/// What both tell.
mod status;

use std::{
    convert::Infallible,
    error::Error,
    path::Path,
    process::ExitCode,
    sync::{Arc, mpsc},
    time::{Duration, SystemTime},
};

use apigw_config::{admin_key::AdminKey, model::Server, problem::Problem, watch::FileWatch};
use apigw_engine::jwt::time::UnixTime;
use apigw_proto::v1::ConfigSource;
use apigw_transport::{
    address::Address,
    credentials::Credentials,
    tls::{Renewal, TlsError, configured::FileBase},
};
use clap::Parser;
use prometheus::{IntCounter, core::Collector};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use tracing_subscriber::EnvFilter;

use crate::{
    access_log::LogQueue,
    admin::{AdminServer, Owner, endpoints::Endpoints},
    delivery::{Delivery, Held, Identity, NotAControlPlane},
    gateway::{Gateway, Parameters},
    installation::{FromStream, Installation},
    last_known_good::{Booted, DataPlaneName, DirectoryError, Environment, Keeper, Kept},
    metrics::{Metrics, gauges::States, of_traces::TraceSeries},
    options::Options,
    running::Running,
    status::OwnStatus,
    traces::Exporting,
};

/// Smaller and faster than the system's for the short lives of requests; see docs/dependencies.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long workers may take to end what is cut off. They take no time, unless the machine has none for them.
const LAST_EXCHANGES: Duration = Duration::from_secs(5);

/// How long stdout may take for the last lines of the access log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long a collector may take for the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// How long the disk may take for what came into force last.
const LAST_WRITE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let options = Options::parse();
    start_logging();
    descriptors::raise_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let (queue, writer) = access_log::new();
    let writing = match writer.start() {
        Ok(writing) => writing,
        Err(error) => return fail(&error),
    };
    let (keeping, kept) = mpsc::channel();
    let ended = runtime.block_on(run(options, queue, keeping));
    // Nothing of the runtime may outlive the log: what still runs there is of no use to anybody.
    runtime.shutdown_background();
    // A reader that is stuck does not keep the process alive.
    let _ = writing.recv_timeout(LAST_LINES);
    // Nor does a disk that is.
    let _ = kept.recv_timeout(LAST_WRITE);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

/// Tells a person what failed, down to the first cause.
fn fail(error: &dyn Error) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    eprintln!("dataplane: {text}");
    ExitCode::FAILURE
}

/// JSON lines on standard error; `APIGW_LOG` takes a filter such as `debug`.
fn start_logging() {
    let filter = EnvFilter::try_from_env("APIGW_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr);
    lines.with_env_filter(filter).init();
}

/// Why the data plane did not run, or did not go on.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    AdminKey(#[from] apigw_config::admin_key::AdminKeyError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Admin(Problem),
    #[error(transparent)]
    State(#[from] DirectoryError),
    #[error("cannot start the thread that writes to the state directory")]
    Keeper(#[source] std::io::Error),
    #[error(transparent)]
    ControlPlane(#[from] NotAControlPlane),
    #[error(transparent)]
    Watch(#[from] apigw_config::watch::WatchError),
    #[error("{}", lines(.0))]
    FirstConfiguration(Vec<Problem>),
    #[error("waiting for signals")]
    Signals(#[from] std::io::Error),
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    format!("the configuration cannot run\n{}", lines.join("\n"))
}

/// Runs until a signal ends it. What `keeping` is for is written when it is dropped.
async fn run(options: Options, log: LogQueue, keeping: mpsc::Sender<Infallible>) -> Result<(), Failure> {
    let key = AdminKey::from_env()?;
    let credentials = Credentials { key: key.clone(), tls: options.tls.load()? };
    if let Some(tls) = &credentials.tls {
        tokio::spawn(Renewal::start(tls)?.run());
    }
    let metrics = Metrics::default();
    let start = Instant::now();
    let status = OwnStatus::new(metrics.clone(), start);
    let failures = last_known_good::write_failures();
    let (traces, exporter) = traces::new();
    let gauges = States { running: Arc::clone(&status.running), history: Arc::clone(&status.history), start };
    let collectors: Vec<Box<dyn Collector>> = vec![
        Box::new(metrics.clone()),
        Box::new(gauges),
        Box::new(failures.clone()),
        Box::new(log.dropped()),
        Box::new(TraceSeries(traces.tally())),
    ];
    let endpoints = Arc::new(Endpoints::new(status.clone(), collectors, key.clone()));
    let router = admin::router(Arc::clone(&endpoints), api::routes(Arc::new(status.clone()), key));
    // Its socket file, if it has one, goes at the end of this function: when requests are finished.
    let owner = Owner { name: Arc::clone(&status.name), ..Owner::default() };
    let admin = AdminServer::new(router, options.admin_listen.clone(), credentials.clone(), owner.clone());
    let gateway = Arc::new(Gateway::new(Parameters {
        workers: options.workers(),
        listen: options.listen.clone(),
        files: options.config.as_deref().map_or(FileBase::Nowhere, FileBase::of_file),
        running: Arc::clone(&status.running),
        log,
        traces,
        metrics,
        endpoints,
        start,
    }));

    let running = Arc::clone(&status.running);
    let exporting = exporter.start(status.clone());
    let freshening = tokio::spawn(Arc::clone(&gateway).keep_addresses_fresh());
    let installation = Installation::new(Arc::clone(&gateway), admin, Arc::clone(&status.history));
    let follow = async {
        match &options.config {
            Some(path) => follow_file(path, installation, status).await,
            None => {
                follow_control_planes(&options, installation, status, credentials, failures, keeping).await
            }
        }
    };
    let ended = tokio::select! {
        ended = follow => ended,
        ended = wait_for_signal() => ended,
    };
    freshening.abort();
    ended?;
    running.begin_to_drain();
    let drained = drain(gateway, drain_timeout(&running)).await;
    tell_last_spans(exporting).await?;
    drop(owner);
    drained
}

/// Runs what a file says, for ever.
async fn follow_file(path: &Path, installation: Installation, status: OwnStatus) -> Result<(), Failure> {
    let watch = FileWatch::start(path)?;
    let hangups = signal(SignalKind::hangup())?;
    let epoch = UnixTime::of(SystemTime::now()).milliseconds();
    match file_source::follow(path, watch, installation, status, hangups, epoch).await {
        Err(problems) => Err(Failure::FirstConfiguration(problems)),
    }
}

/// Runs what was kept, and then what control planes say, for ever.
async fn follow_control_planes(
    options: &Options,
    mut installation: Installation,
    status: OwnStatus,
    credentials: Credentials,
    failures: IntCounter,
    keeping: mpsc::Sender<Infallible>,
) -> Result<(), Failure> {
    installation.open_admin().map_err(Failure::Admin)?;
    let name = status.name.get().cloned().unwrap_or_default();
    let identity = Identity { name: name.clone(), instance: fastrand::u64(..) };
    let delivery = Delivery::new(&options.control_plane, identity, credentials)?;
    let passes = options.admin_listen.as_ref().is_some_and(Address::is_passing);
    let known_as = if passes { DataPlaneName::Passing } else { DataPlaneName::Lasting(&name) };
    let named = options.state_dir.as_deref();
    let mut directory = last_known_good::open(named, known_as, &Environment::of_process())?;
    let booted = match &mut directory {
        Some(directory) => last_known_good::boot(directory, &mut installation).await,
        None => Booted::default(),
    };
    let keeper = directory.map(|directory| Keeper::start(directory, failures, keeping));
    let keeper = keeper.transpose().map_err(Failure::Keeper)?;
    let applier = FromStream { installation, status, keeper, waiting: booted.waiting };
    let held = booted.kept.map(|Kept { revision, content, .. }| Held {
        revision,
        content,
        source: ConfigSource::Disk,
        applied: applier.applied(),
    });
    let mut hangups = signal(SignalKind::hangup())?;
    let ignore_hangups = async {
        while hangups.recv().await.is_some() {
            tracing::info!("nothing to read again: the configuration comes from a control plane");
        }
    };
    match tokio::join!(delivery.run(applier, held), ignore_hangups).0 {}
}

/// Lets requests under way finish, for a while.
async fn drain(gateway: Arc<Gateway>, timeout: Duration) -> Result<(), Failure> {
    tracing::info!("draining");
    let drained = Arc::clone(&gateway);
    let mut finishing = tokio::task::spawn_blocking(move || drained.drain());
    tokio::select! {
        _ = &mut finishing => {
            tracing::info!("drained");
            return Ok(());
        }
        () = tokio::time::sleep(timeout) => tracing::warn!("requests under way are cut off"),
        ended = wait_for_signal() => {
            ended?;
            tracing::warn!("requests under way are cut off");
        }
    }
    gateway.cut_off();
    // A worker that does not hear of it does not keep the process alive.
    let _ = tokio::time::timeout(LAST_EXCHANGES, finishing).await;
    Ok(())
}

/// How long what is under way may take, as the configuration says that runs.
fn drain_timeout(running: &Running) -> Duration {
    let snapshot = running.snapshot();
    let server = snapshot.as_ref().map(|snapshot| &snapshot.settings().server);
    server.map_or(Server::DEFAULT_DRAIN_TIMEOUT, |server| server.drain_timeout).duration()
}

/// Lets a collector hear what was done last, unless it takes long or a person does not want to wait.
async fn tell_last_spans(exporting: Exporting) -> Result<(), Failure> {
    tokio::select! {
        () = exporting.finish() => Ok(()),
        () = tokio::time::sleep(LAST_SPANS) => Ok(()),
        ended = wait_for_signal() => ended,
    }
}

/// Waits for SIGTERM or SIGINT.
async fn wait_for_signal() -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
