//! Load on a gateway, and what came of it.

/// A load of our own, where there is no other.
mod own;
/// What `wrk` is told and says.
mod wrk;
/// What `h2load` is told and says.
mod h2load;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;

use super::shape::{Door, Shape};
use crate::{
    programs::{ProgramError, Running},
    waiting::{DEADLINE, within},
};

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The generator does not run.
    #[error(transparent)]
    NotStarted(#[from] ProgramError),
    /// A file of its own cannot be written or read.
    #[error("a file of the load: {0}")]
    File(#[from] io::Error),
    /// It has not ended in time.
    #[error("{generator} has not ended in time")]
    Endless {
        /// Its name.
        generator: &'static str,
    },
    /// It says something else than it should, or has had no answer.
    #[error("{generator} counted nothing; it said: {said}")]
    Nothing {
        /// Its name.
        generator: &'static str,
        /// The last of it.
        said: String,
    },
    /// No installed generator speaks this.
    #[error("there is no generator of such a load")]
    NoGenerator,
}

/// What is to be asked.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Whom.
    pub address: SocketAddr,
    /// By how many connections, for what, how.
    pub shape: &'a Shape,
    /// What is shown in turn.
    pub tokens: &'a [String],
    /// For how long.
    pub lasting: Lasting,
    /// How fast.
    pub pace: Pace,
    /// Where files of the load may be.
    pub directory: &'a Path,
}

/// For how long a load goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Seconds.
    Seconds(u32),
    /// Until it is stopped.
    UntilStopped,
}

impl Lasting {
    /// Longer than any measurement.
    const LONGEST: u32 = 86_400;

    fn seconds(self) -> u32 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::UntilStopped => Self::LONGEST,
        }
    }
}

/// How fast a load asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection asks again at once.
    Full,
    /// So many requests a second, of all connections together, with pauses of chance.
    PerSecond(f64),
}

impl Pace {
    /// How long a connection waits in the mean before it asks again, in milliseconds.
    fn pause(self, connections: usize) -> Option<f64> {
        match self {
            Self::Full => None,
            Self::PerSecond(rate) => {
                Some(1_000.0 * super::statistics::real(connections as u64) / rate.max(1.0))
            }
        }
    }
}

/// What came of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Requests that were answered.
    pub requests: u64,
    /// Answers that were no 2xx, and sockets that failed.
    pub failed: u64,
    /// Answers in a second.
    pub rate: f64,
    /// Half of the answers took no longer, in milliseconds.
    pub p50: f64,
    /// 99 of 100 took no longer, in milliseconds.
    pub p99: f64,
}

/// The generators that are there.
#[derive(Debug, Clone, Default)]
pub struct Generators {
    /// Where `wrk` is.
    pub wrk: Option<PathBuf>,
    /// Where `h2load` is.
    pub h2load: Option<PathBuf>,
}

/// A load that goes on.
#[derive(Debug)]
pub enum Load {
    /// By `wrk`.
    Wrk(Running, Lasting),
    /// By `h2load`, with its log of single requests.
    H2load(Running, Lasting, PathBuf),
    /// By threads of ours.
    Own(own::OwnLoad),
}

impl Generators {
    /// Whether one of them comes through such a door.
    #[must_use]
    pub fn can(&self, door: Door) -> bool {
        match door {
            Door::Clear => true,
            Door::Tls => self.wrk.is_some(),
            Door::Http2 => self.h2load.is_some(),
        }
    }

    /// Starts a load.
    ///
    /// # Errors
    /// When there is no generator for it, or it does not start.
    pub fn start(&self, order: Order<'_>) -> Result<Load, LoadError> {
        match (order.shape.door, &self.wrk, &self.h2load) {
            (Door::Clear | Door::Tls, Some(program), _) => {
                let load = Running::start(wrk::command(program, order)?)?;
                Ok(Load::Wrk(load, order.lasting))
            }
            (Door::Clear, None, _) => Ok(Load::Own(own::OwnLoad::start(order))),
            (Door::Http2, _, Some(program)) => {
                let log = order.directory.join("h2load.log");
                let load = Running::start(h2load::command(program, order, &log))?;
                Ok(Load::H2load(load, order.lasting, log))
            }
            (Door::Tls, None, _) | (Door::Http2, _, None) => Err(LoadError::NoGenerator),
        }
    }

    /// Puts a load on a gateway and waits for its end.
    ///
    /// # Errors
    /// When there is no generator for it, or it fails.
    pub fn run(&self, order: Order<'_>) -> Result<Outcome, LoadError> {
        self.start(order)?.finish()
    }
}

impl Load {
    /// Ends the load now.
    ///
    /// # Errors
    /// When it has counted nothing.
    pub fn stop(self) -> Result<Outcome, LoadError> {
        match &self {
            // It then reports what it has.
            Self::Wrk(program, _) | Self::H2load(program, _, _) => program.signal(Signal::INT),
            Self::Own(load) => load.stop(),
        }
        self.finish()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has counted nothing.
    pub fn finish(self) -> Result<Outcome, LoadError> {
        match self {
            Self::Wrk(program, lasting) => {
                let said = report_of(program, lasting, wrk::NAME)?;
                wrk::outcome(&said)
                    .ok_or_else(|| LoadError::Nothing { generator: wrk::NAME, said: tail(&said) })
            }
            Self::H2load(program, lasting, log) => {
                let said = report_of(program, lasting, h2load::NAME)?;
                let times = fs::read_to_string(log)?;
                let outcome = h2load::outcome(&said, &times);
                outcome.ok_or_else(|| LoadError::Nothing { generator: h2load::NAME, said: tail(&said) })
            }
            Self::Own(load) => load.finish().ok_or_else(|| LoadError::Nothing {
                generator: own::NAME,
                said: "there was no answer".into(),
            }),
        }
    }
}

/// What a generator has said when it has ended.
fn report_of(mut program: Running, lasting: Lasting, generator: &'static str) -> Result<String, LoadError> {
    let limit = Duration::from_secs(lasting.seconds().into()) + DEADLINE;
    within(limit, || program.status()).ok_or(LoadError::Endless { generator })?;
    let mut said = String::new();
    for lines in [program.stdout(), program.stderr()] {
        lines.follow(|line| {
            said.push_str(line);
            said.push('\n');
            true
        });
    }
    Ok(said)
}

/// The end of a text, on one line.
fn tail(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words[words.len().saturating_sub(30)..].join(" ")
}
