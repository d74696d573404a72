//! `controlplane`: watches a configuration file, and sees to it that every data plane runs what it says.
//!
//! It carries no traffic and no data plane needs it to keep running: what it knows is the file, what it keeps is the
//! history of what the file said. From the file to a data plane: [`publication`], then for each stream [`delivery`]
//! around a [`session`].

/// The same, over gRPC.
mod delivery;
/// What is known of each data plane.
mod fleet;
/// What an operator asks.
mod gateway;
/// The first message of a data plane.
mod greeting;
/// What was published, kept on disk.
mod history;
#[cfg(test)]
mod loopback;
/// What data planes can be asked for.
mod observation;
/// Content of the file to revision.
mod publication;
/// Both services on one port, behind the key.
mod server;
/// One data plane's stream, as a state machine.
mod session;
/// Where this program keeps what must outlive it.
mod state_directory;
/// What revisions were read from, kept on disk.
mod texts;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Instant, SystemTime},
};

use apigw_config::{
    admin_key::AdminKey,
    problem::Problem,
    watch::{Content, FileWatch},
    wire::Revision,
};
use apigw_engine::jwt::time::UnixTime;
use apigw_transport::{
    address::Address,
    credentials::Credentials,
    tls::{Renewal, TlsFlags},
};
use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::{
    delivery::DeliveryService,
    fleet::Fleet,
    gateway::{GatewayService, MAX_ORDERS, Order, Past},
    history::History,
    publication::{Published, Publisher, Verdict},
    server::Server,
    state_directory::{StateDirectory, StateDirectoryError, usual_place},
    texts::Texts,
};

/// The most problems of one content that are logged.
const MAX_LOGGED_PROBLEMS: usize = 100;

/// Watches a configuration file, checks it and delivers it to data planes.
#[derive(Debug, Parser)]
#[command(version, after_help = "The admin key, where one is needed, is taken from APIGW_ADMIN_KEY.")]
struct Arguments {
    /// The configuration file.
    #[arg(long, env = "APIGW_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Where data planes and gwctl connect: HOST:PORT, with port 0 the system chooses, or unix:PATH.
    #[arg(long, env = "APIGW_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:9090")]
    listen: Address,
    #[command(flatten)]
    tls: TlsFlags,
    /// Where the history is kept, for this program alone [default: the platform's place for state].
    #[arg(long, env = "APIGW_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// How many revisions are kept: 1 to 1000.
    #[arg(long, env = "APIGW_HISTORY", value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    history: u16,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

/// Tells a person what failed, down to the first cause.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    eprintln!("controlplane: {text}");
    ExitCode::FAILURE
}

/// JSON lines on standard error; `APIGW_LOG` takes a filter such as `debug`.
fn start_logging() {
    let filter = EnvFilter::try_from_env("APIGW_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr);
    lines.with_env_filter(filter).init();
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let file = arguments.config.display().to_string();
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let credentials = Credentials { key: AdminKey::from_env()?, tls: arguments.tls.load()? };
    let renewal = credentials.tls.as_ref().map(Renewal::start).transpose()?;
    let server = Server::bind(&arguments.listen, credentials)?;
    let state = state_directory(&arguments)?;
    let history = Arc::new(History::open(state.path(), arguments.history.into())?);
    let texts = Arc::new(Texts::beside(state.path()));
    info!(purpose = "grpc", address = %server.bound(), version = env!("CARGO_PKG_VERSION"), config = file, "listening");
    let mut publisher =
        Publisher::new(file.clone(), Arc::clone(&history), Arc::clone(&texts), unix_milliseconds());
    let fleet = Arc::new(Fleet::default());
    let mut running = fleet.newest_running();
    let desired = publisher.subscribe();
    let (orders, mut ordered) = mpsc::channel(MAX_ORDERS);
    if let Some(renewal) = renewal {
        tokio::spawn(renewal.run());
    }
    let serving = tokio::spawn(server.serve(
        DeliveryService::new(desired.clone(), Arc::clone(&fleet)),
        GatewayService::new(file, started, desired.clone(), fleet, Past::new(history, texts, orders)),
        desired,
    ));
    let mut watch = FileWatch::start(&arguments.config)?;
    loop {
        tokio::select! {
            content = watch.next() => consider(&mut publisher, content),
            Some(order) = ordered.recv() => roll_back(&mut publisher, order),
            Ok(()) = running.changed() => outrank(&mut publisher, *running.borrow_and_update()),
            _ = hangup.recv() => watch.reload(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    info!("stopping");
    // Without a publisher there is nothing to follow: every stream ends, and with the last one the server.
    drop(publisher);
    serving.await?;
    Ok(())
}

fn state_directory(arguments: &Arguments) -> Result<StateDirectory, StateDirectoryError> {
    let named = arguments.state_dir.clone();
    let state = StateDirectory::take(named.map_or_else(|| usual_place(&arguments.config), Ok)?)?;
    info!(directory = %state.path().display(), revisions = arguments.history, "history is kept");
    Ok(state)
}

fn consider(publisher: &mut Publisher, content: Content) {
    // Reading and compiling a large file takes a while; meanwhile other tasks of this thread go on.
    let verdict = tokio::task::block_in_place(|| publisher.consider(content, unix_milliseconds()));
    match verdict {
        Verdict::Published(newest) => log_published(&newest, "file"),
        Verdict::HeldBack => info!("the file means what it meant at the rollback; nothing changes"),
        Verdict::Unchanged => info!("the file means what is published already"),
        Verdict::Rejected(rejected) => log_problems(&rejected.problems),
    }
}

fn roll_back(publisher: &mut Publisher, order: Order) {
    let outcome = tokio::task::block_in_place(|| publisher.roll_back(order.revision, unix_milliseconds()));
    match &outcome {
        Ok(Some(newest)) => log_published(newest, "rollback"),
        Ok(None) => info!(seq = order.revision.seq, "a rollback asked for what runs already"),
        Err(error) => warn!(seq = order.revision.seq, %error, "a rollback was refused"),
    }
    // Whoever asked may have gone; what was done is done.
    let _ = order.answer.send(outcome);
}

fn log_published(newest: &Published, origin: &str) {
    let revision = newest.revision();
    let routes = newest.snapshot().config().route_count();
    info!(epoch = revision.epoch, seq = revision.seq, hash = %revision.root_hash, routes, origin, "published");
}

/// Sees to it that a data plane that runs this takes what is published.
fn outrank(publisher: &mut Publisher, running: Option<Revision>) {
    let Some(running) = running else { return };
    let republished = tokio::task::block_in_place(|| publisher.outrank(running, unix_milliseconds()));
    if let Some(newest) = republished {
        let Revision { epoch, seq, root_hash: hash } = newest.revision();
        let (running_epoch, running_seq) = (running.epoch, running.seq);
        warn!(epoch, seq, %hash, running_epoch, running_seq, "published anew: a data plane runs what was published later; another control plane, or a clock that went back?");
    }
}

fn log_problems(problems: &[Problem]) {
    warn!(problems = problems.len(), "the file was rejected; nothing changes");
    for problem in problems.iter().take(MAX_LOGGED_PROBLEMS) {
        warn!(%problem, "problem of the file");
    }
    if problems.len() > MAX_LOGGED_PROBLEMS {
        warn!(others = problems.len() - MAX_LOGGED_PROBLEMS, "more problems of the file");
    }
}

/// The time, for people and for telling one run of this program from the next.
fn unix_milliseconds() -> u64 {
    UnixTime::of(SystemTime::now()).milliseconds()
}
