//! The project's benchmark: what a request costs in apigw and in other gateways, in turn, on one machine.
//!
//! `scenario` has the questions, `shape` what is asked of whom, `gateway` how each is told to do the same, `measure` how the
//! answer is found, `run` the rounds. It judges nothing but whether a figure may be used; docs/performance.md says how to
//! read them.

// What is asked.
pub mod scenario;
pub mod shape;

// Who is asked, and what stands around them.
pub mod family;
pub mod gateway;
pub mod site;
pub mod tools;
pub mod upstream;

// How the answer is found.
pub mod figure;
pub mod load;
pub mod measure;
pub mod run;
pub mod statistics;

// How it is told.
pub mod chart;
pub mod machine;
pub mod pages;
pub mod pictures;
pub mod report;

use std::io;

use crate::programs::ProgramError;

/// Why a figure may not be used.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// A program does not run.
    #[error(transparent)]
    NotStarted(#[from] ProgramError),
    /// The gateway did not come to answer.
    #[error("never answered 200: {}; it said: {said}", last_answer(*.last))]
    NotReady {
        /// The last answer, or what came instead.
        last: Result<u16, io::ErrorKind>,
        /// The last of its stderr.
        said: String,
    },
    /// The service behind the gateways did not come to answer.
    #[error("the upstream does not answer; it said: {said}")]
    NoUpstream {
        /// The last of its stderr.
        said: String,
    },
    /// The gateway does not answer as it did.
    #[error("does not answer 200 any more, but {status}")]
    Unwell {
        /// The status; 0: there was no answer.
        status: u16,
    },
    /// A connection was not kept.
    #[error("a connection ends with its first answer, of status {status}")]
    NotKept {
        /// The status.
        status: u16,
    },
    /// Connections that should wait were closed.
    #[error("{closed} of {connections} connections that waited were closed")]
    Closed {
        /// How many.
        closed: usize,
        /// Of how many.
        connections: usize,
    },
    /// An edit did not come into force.
    #[error("an edit was not in force after 10 s")]
    NotEnforced,
    /// Requests failed.
    #[error("{failed} answers were no 2xx or sockets failed, beside {requests} requests")]
    Failures {
        /// How many.
        failed: u64,
        /// Beside how many answers.
        requests: u64,
    },
    /// The load has no result.
    #[error(transparent)]
    Load(#[from] load::LoadError),
    /// No key could be made, or none is served.
    #[error("there is no key to sign tokens with")]
    NoKey,
    /// A file or a socket of the benchmark's own.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn last_answer(last: Result<u16, io::ErrorKind>) -> String {
    match last {
        Ok(status) => format!("the last status was {status}"),
        Err(kind) => format!("the last attempt ended with: {kind}"),
    }
}
