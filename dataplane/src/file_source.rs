//! A data plane by itself: its configurations come from a file, through the same steps as a control plane's.

use std::{mem, path::Path, time::SystemTime};

use apigw_config::{
    ConfigReader,
    model::GatewayConfig,
    problem::Problem,
    watch::{Content, FileWatch},
    wire::{Revision, Roots},
};
use apigw_engine::{
    Snapshot,
    checks::{self, Source},
    jwt::time::UnixTime,
};
use apigw_proto::v1::ConfigSource;
use tokio::signal::unix::Signal;

use crate::{
    credentials::AwaitedFiles,
    file_text::Text,
    gateway::{Refusal, problem},
    installation::{History, Installation, Provenance},
    status::OwnStatus,
};

/// Reads one content of the file after the other, of which each is nearly the one before.
struct Reader {
    configs: ConfigReader,
    roots: Roots,
}

impl Reader {
    fn new(file: &str) -> Self {
        Self { configs: ConfigReader::new(file), roots: Roots::default() }
    }
}

/// A good content of the file.
struct Reading {
    text: Text,
    /// What it is to be; none when it means what runs already.
    next: Option<Next>,
}

/// A configuration and the revision it is to have.
struct Next {
    config: GatewayConfig,
    revision: Revision,
}

/// Reads a content of the file, and judges it by what it demands of itself.
fn read(
    (file, reader): (&str, &mut Reader),
    content: Content,
    running: Option<&Snapshot>,
    epoch: u64,
) -> Result<Reading, Vec<Problem>> {
    let text = content.into_text().map_err(|error| vec![of_the_file(file, error.to_string())])?;
    let (config, checks) = reader.configs.read(&text)?;
    let root_hash = reader.roots.root_of(&config);
    let root_hash = root_hash.map_err(|error| vec![of_the_file(file, error.to_string())])?;
    let running_revision = running.map(Snapshot::revision);
    let revision = Revision { epoch, seq: running_revision.map_or(0, |running| running.seq) + 1, root_hash };
    // Compiled for this alone: what runs is compiled from what runs, when all else is ready.
    if !checks.is_empty() {
        let candidate = Snapshot::compile(config.clone(), revision, None)?;
        let source = Source { file, content: &text };
        for warning in checks::check(&candidate, &checks, running, UnixTime::of(SystemTime::now()), source)? {
            tracing::warn!(%warning, "a test of the file was not judged");
        }
    }
    let is_running = running_revision.is_some_and(|running| running.root_hash == root_hash);
    // So that only what was edited is compiled anew.
    let next =
        (!is_running).then(|| Next { config: config.sharing_with(running.map(Snapshot::config)), revision });
    Ok(Reading { text: Text { file: file.into(), content: text, root_hash }, next })
}

fn of_the_file(file: &str, message: String) -> Problem {
    Problem { file: file.into(), ..problem("", message) }
}

/// Applies the file's content, and each further one, for ever. A content that cannot run changes nothing.
///
/// # Errors
/// When the first content cannot run: then there is nothing to fall back on, and somebody is there to read why.
pub(crate) async fn follow(
    path: &Path,
    mut watch: FileWatch,
    mut installation: Installation,
    status: OwnStatus,
    mut hangups: Signal,
    epoch: u64,
) -> Result<std::convert::Infallible, Vec<Problem>> {
    let file = path.display().to_string();
    let OwnStatus { history, text, .. } = status;
    let mut reader = Reader::new(&file);
    let mut awaited = None;
    loop {
        let content = tokio::select! {
            content = watch.next() => content,
            _ = hangups.recv() => {
                watch.reload();
                continue;
            }
            () = AwaitedFiles::of_use(awaited.as_mut()) => {
                awaited = None;
                watch.reload();
                continue;
            }
        };
        let (name, running) = (file.clone(), installation.running());
        // One that a panic leaves behind is not to be trusted with what it knows.
        let mut used = mem::replace(&mut reader, Reader::new(&file));
        let reading = tokio::task::spawn_blocking(move || {
            let reading = read((&name, &mut used), content, running.as_deref(), epoch);
            (reading, used)
        });
        let reading = reading.await.map(|(reading, used)| {
            reader = used;
            reading
        });
        let outcome = match reading {
            Ok(Ok(Reading { text: read, next: Some(Next { config, revision }) })) => {
                let provenance = Provenance::now(ConfigSource::File);
                let installed = installation.install_from(&read, config, revision, provenance).await;
                if installed.is_ok() {
                    text.set(read);
                }
                installed
            }
            // Lines may have moved although nothing else has.
            Ok(Ok(Reading { text: read, next: None })) => {
                text.set(read);
                history.unchanged();
                Ok(())
            }
            Ok(Err(problems)) => refuse(&history, problems),
            Err(panicked) => {
                refuse(&history, vec![problem("", format!("reading the file failed: {panicked}"))])
            }
        };
        awaited = match outcome {
            Ok(()) => None,
            Err(refusal) if installation.running().is_none() => return Err(refusal.problems),
            Err(refusal) => refusal.files,
        };
    }
}

fn refuse(history: &History, problems: Vec<Problem>) -> Result<(), Refusal> {
    history.refused(&problems);
    Err(problems.into())
}
