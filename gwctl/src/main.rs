//! `gwctl`: what a person asks of a running gateway, and a check of a file before anything runs.
//!
//! Standard output carries the answer and nothing else; whatever went wrong is one line on standard error. Nothing but
//! `rollback`, `drain` and `undrain` changes anything, and no command changes a file.

/// As typed on the command line.
mod arguments;
/// One connection to a control plane or a data plane, and the questions it answers.
mod connection;
/// Two revisions or files, side by side.
mod comparison;
/// Why a question got no answer, in one line that says what to try.
mod failure;
/// An answer as a table, as JSON, as YAML.
mod output;
/// What a person types to name a revision.
mod reference;
/// A file that may become a configuration.
mod candidate;
/// A file checked by the code that would run it.
mod validate;
/// What would become of a request.
mod explain;
/// The answers, as scripts see them.
mod view;
/// What a person will want to know next.
mod hints;
/// Waiting until what was published runs everywhere.
mod wait;
/// An answer that is asked for again and again.
mod watch;

use std::{
    fmt::Display,
    future::Future,
    io::{self, Write},
    process::ExitCode,
};

use apigw_config::admin_key::AdminKey;
use apigw_proto::v1::{self, DrainOrder};
use apigw_transport::{
    credentials::{Credentials, Exposure},
    endpoint::Endpoint,
};
use clap::Parser;
use jiff::Timestamp;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    arguments::{Arguments, Command, DrainArguments, ExplainArguments},
    connection::{Connection, Gathered},
    failure::{Failure, OneLine},
    output::{Format, Style, Table},
    reference::Reference,
    view::{
        AuthView, BackendsView, DrainView, ExplainView, HistoryView, LimitsView, ReasonsView, RollbackView,
        RoutesView, StatusView,
    },
    wait::Sight,
    watch::{Answer, Interval, Pipe, Screen, Size},
};

/// The exit code of a comparison of two that are not the same, as `diff` has it, but that 1 is for what failed.
const DIFFERS: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&Failure::Runtime(error)),
    };
    match runtime.block_on(answer(&arguments)) {
        Ok(code) => code,
        Err(failure) => complain(&failure),
    }
}

fn hint(lines: impl IntoIterator<Item = impl Display>) {
    lines.into_iter().for_each(|line| eprintln!("gwctl: {line}"));
}

fn complain(failure: &Failure) -> ExitCode {
    eprintln!("gwctl: {failure}");
    ExitCode::FAILURE
}

async fn answer(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Status => {
            let status = connect(arguments).await?.status().await?;
            let certificates = match connect(arguments).await?.certificates().await {
                Ok(gathered) => gathered,
                Err(failure) => Gathered { rows: Vec::new(), cut_short: Some(failure) },
            };
            if let Some(failure) = &certificates.cut_short {
                hint([format!("not all certificates are known: {failure}")]);
            }
            print(arguments, &StatusView::new(status, certificates, Timestamp::now()))?;
        }
        Command::Routes => {
            let routes = connect(arguments).await?.routes().await?;
            print(arguments, &RoutesView::from(routes))?;
        }
        Command::Limits { watch: None } => {
            let gathered = connect(arguments).await?.limits().await?;
            return print_gathered(arguments, gathered, LimitsView::from);
        }
        Command::Limits { watch: Some(interval) } => watch_limits(arguments, *interval).await?,
        Command::Auth => {
            let gathered = connect(arguments).await?.auth().await?;
            return print_gathered(arguments, gathered, AuthView::from);
        }
        Command::Backends => {
            let gathered = connect(arguments).await?.backends().await?;
            return print_gathered(arguments, gathered, BackendsView::from);
        }
        Command::Drain(endpoint) => return drain(arguments, endpoint, DrainOrder::Begin).await,
        Command::Undrain(endpoint) => return drain(arguments, endpoint, DrainOrder::End).await,
        Command::Explain(request) => explain_request(arguments, request).await?,
        Command::Reasons => print(arguments, &ReasonsView::of_this_build())?,
        Command::History => {
            let history = connect(arguments).await?.history().await?;
            print(arguments, &HistoryView::from(history))?;
        }
        Command::Diff { before, after } => {
            let sides = comparison::sides(before.as_ref(), after.as_ref());
            let diff = comparison::compare(sides, async || connect(arguments).await).await?;
            print(arguments, &diff)?;
            return Ok(if diff.same { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) });
        }
        Command::Rollback { revision } => roll_back(arguments, revision).await?,
        Command::Wait { revision, timeout } => {
            let sight = async || sight(arguments, revision.as_ref()).await;
            let view = wait::wait(revision.as_ref(), *timeout, sight).await?;
            print(arguments, &view)?;
            return Ok(if view.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Validate { file } => {
            let validation = validate::validate(file)?;
            print(arguments, &validation)?;
            return Ok(if validation.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Has an endpoint be given no new requests, or some again.
async fn drain(
    arguments: &Arguments,
    endpoint: &DrainArguments,
    order: DrainOrder,
) -> Result<ExitCode, Failure> {
    let DrainArguments { url, backend } = endpoint;
    let order = v1::DrainRequest {
        order: order.into(),
        url: url.clone(),
        backend: backend.clone().unwrap_or_default(),
    };
    let gathered = connect(arguments).await?.drain(order).await?;
    let refused = DrainView::refusal_of(&gathered.rows);
    let code = print_gathered(arguments, gathered, DrainView::from)?;
    refused.map_or(Ok(code), Err)
}

/// Tells what would become of a request; of what runs, also whom else to ask.
async fn explain_request(arguments: &Arguments, request: &ExplainArguments) -> Result<(), Failure> {
    let answer = match (&request.config, &request.revision) {
        (Some(file), _) => explain::by_file(request, file)?,
        (None, Some(revision)) => {
            explain::by_revision(request, revision, async || connect(arguments).await).await?
        }
        (None, None) => connect(arguments).await?.explain(request.question()).await?,
    };
    if !answer.no_places.is_empty() {
        eprintln!("gwctl: no lines of the file: {}", OneLine::new(&answer.no_places));
    }
    let view = ExplainView::from(answer);
    print(arguments, &view)?;
    let is_of_what_runs = request.config.is_none() && request.revision.is_none();
    if is_of_what_runs && arguments.output == Format::Table {
        let status = connect(arguments).await?.status().await?;
        hint(hints::of_explanation(&status, view.is_refused()));
    }
    Ok(())
}

async fn roll_back(arguments: &Arguments, reference: &Reference) -> Result<(), Failure> {
    let kept = connect(arguments).await?.history().await?;
    let asked = reference.resolve(&kept)?;
    let revision = asked.revision.clone().unwrap_or_default();
    if *reference == Reference::Previous && arguments.output == Format::Table {
        hint(hints::of_rollback(&kept));
    }
    let response = connect(arguments).await?.rollback(revision).await?;
    print(arguments, &RollbackView::new(asked, response))
}

/// What there is to see for somebody who waits; the history only where it is needed to know for what.
async fn sight(arguments: &Arguments, reference: Option<&Reference>) -> Result<Sight, Failure> {
    let kept = match reference {
        Some(_) => connect(arguments).await?.history().await?,
        None => Vec::new(),
    };
    Ok(Sight { status: connect(arguments).await?.status().await?, kept })
}

/// What did arrive is worth showing, even when a data plane kept silent.
fn print_gathered<T, V: Serialize + Table>(
    arguments: &Arguments,
    gathered: Gathered<T>,
    view: impl Fn(Vec<T>) -> V,
) -> Result<ExitCode, Failure> {
    print(arguments, &view(gathered.rows))?;
    gathered.cut_short.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Asks for limits until the end: on a terminal until Ctrl-C, on a pipe until its reader is gone.
async fn watch_limits(arguments: &Arguments, interval: Interval) -> Result<(), Failure> {
    let (endpoint, _) = destination(arguments)?;
    let format = arguments.output;
    // Certificates are read for each question, for they may be renewed while somebody watches.
    let gather = async || {
        let credentials = credentials(arguments)?;
        Connection::open(endpoint.clone(), &credentials).await?.limits().await
    };
    if output::is_on_screen() {
        let style = Style::of_stdout();
        let ask = async || answer_of(gather().await, |view| output::render(view, format, style));
        let title = format!("limits of {endpoint}, every {} s", interval.seconds());
        let end = ended().map_err(Failure::Runtime)?;
        let mut screen =
            Screen::take(io::stdout(), title, style, Size::of_stdout).map_err(Failure::Output)?;
        watch::watch(interval, &mut screen, ask, end).await
    } else {
        let ask =
            async || answer_of(gather().await, |view| output::render_in_sequence(view, format, Style::Plain));
        let mut pipe = Pipe::new(io::stdout(), io::stderr(), format);
        // Signals end the program as they end any other.
        watch::watch(interval, &mut pipe, ask, std::future::pending()).await
    }
}

/// A failure to get an answer is an answer, too; a failure to write one is not.
fn answer_of(
    gathered: Result<Gathered<v1::RouteLimits>, Failure>,
    render: impl Fn(&LimitsView) -> Result<String, Failure>,
) -> Result<Answer, Failure> {
    Ok(match gathered {
        Ok(Gathered { rows, cut_short }) => Answer {
            text: render(&LimitsView::from(rows))?,
            failure: cut_short.map(|failure| failure.to_string()),
        },
        Err(failure) => Answer { text: String::new(), failure: Some(failure.to_string()) },
    })
}

/// The signals that would end the program with the terminal still taken.
fn ended() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

async fn connect(arguments: &Arguments) -> Result<Connection, Failure> {
    let (endpoint, credentials) = destination(arguments)?;
    Connection::open(endpoint, &credentials).await
}

/// Whom to ask, and what to show there. A key that would travel in clear is warned of.
fn destination(arguments: &Arguments) -> Result<(Endpoint, Credentials), Failure> {
    let endpoint = arguments.endpoint.parse()?;
    let credentials = credentials(arguments)?;
    if credentials.exposure(&endpoint)? == Exposure::KeyInClear {
        eprintln!(
            "gwctl: warning: the admin key travels in clear to {endpoint}; use https:// and certificates"
        );
    }
    Ok((endpoint, credentials))
}

fn credentials(arguments: &Arguments) -> Result<Credentials, Failure> {
    let key = AdminKey::from_env().map_err(Failure::Key)?;
    Ok(Credentials { key, tls: arguments.tls.load()? })
}

/// Writes an answer. A reader that has seen enough and is gone (`gwctl routes | head -1`) is nobody's failure.
fn print<V: Serialize + Table>(arguments: &Arguments, view: &V) -> Result<(), Failure> {
    let text = output::render(view, arguments.output, Style::of_stdout())?;
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}
