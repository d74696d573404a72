//! `gwctl`: what a person asks of a running gateway, and a check of a file before anything runs.
//!
//! Standard output carries the answer and nothing else; whatever went wrong is one line on standard error. This program
//! changes nothing: not a gateway, not a file.

/// As typed on the command line.
mod arguments;
/// One connection to a control plane or a data plane, and the questions it answers.
mod connection;
/// Where that is, read from a URL.
mod endpoint;
/// Why a question got no answer, in one line that says what to try.
mod failure;
/// An answer as a table, as JSON, as YAML.
mod output;
/// A file checked by the code that would run it.
mod validate;
/// The answers, as scripts see them.
mod view;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use apigw_config::admin_key::AdminKey;
use clap::Parser;
use serde::Serialize;

use crate::{
    arguments::{Arguments, Command},
    connection::Connection,
    failure::Failure,
    output::{Style, Table},
    view::{LimitsView, RoutesView, StatusView},
};

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

fn complain(failure: &Failure) -> ExitCode {
    eprintln!("gwctl: {failure}");
    ExitCode::FAILURE
}

async fn answer(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Status => {
            let status = connect(arguments).await?.status().await?;
            print(arguments, &StatusView::from(status))?;
        }
        Command::Routes => {
            let routes = connect(arguments).await?.routes().await?;
            print(arguments, &RoutesView::from(routes))?;
        }
        Command::Limits => {
            let gathered = connect(arguments).await?.limits().await?;
            print(arguments, &LimitsView::from(gathered.rows))?;
            // What did arrive is worth showing, even when a data plane kept silent.
            return gathered.cut_short.map_or(Ok(ExitCode::SUCCESS), Err);
        }
        Command::Validate { file } => {
            let validation = validate::validate(file)?;
            print(arguments, &validation)?;
            return Ok(if validation.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn connect(arguments: &Arguments) -> Result<Connection, Failure> {
    let endpoint = arguments.endpoint.parse()?;
    let key = AdminKey::from_env().map_err(Failure::Key)?;
    Connection::open(endpoint, key.as_ref()).await
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
