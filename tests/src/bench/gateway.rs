//! The gateways that are compared, and how each is told to do the same.
//!
//! All of them: keep-alive on both sides, `X-Forwarded-For` to the upstream, limits that are checked with every request and
//! never reached. What one cannot do is said in a note below its row, so that the row is a lower bound.

/// Ours.
mod apigw;
/// The reference.
pub mod nginx;
/// A peer.
mod haproxy;
/// A peer.
mod envoy;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

pub use self::apigw::file as apigw_file;
use super::{
    Invalid,
    shape::{Door, Protection, STREAMS, Shape},
    site::Site,
    tools::Tool,
};

/// Requests a second, and at once, that no load reaches.
const ENDLESS: usize = 10_000_000;

/// Requests under way that no load reaches, but for the one that has more connections.
const MOST_IN_FLIGHT: usize = 20_000;

/// A kind of gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Apigw,
    /// The reference.
    Nginx,
    /// A peer.
    Haproxy,
    /// A peer.
    Envoy,
}

/// A gateway that is there.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// What it is called in tables.
    pub label: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub program: PathBuf,
}

/// Where and for whom a gateway is started.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// What stands around it.
    pub site: &'a Site,
    /// What it is to be like.
    pub shape: &'a Shape,
    /// Where it takes traffic.
    pub address: SocketAddr,
    /// Where its requests go.
    pub upstream: SocketAddr,
    /// Where its files are.
    pub directory: &'a Path,
}

impl Start<'_> {
    /// How many unused connections to the upstream it may keep.
    fn kept_connections(&self) -> usize {
        let busy = match self.shape.door {
            Door::Clear | Door::Tls => self.shape.connections,
            Door::Http2 => self.shape.connections * STREAMS,
        };
        (2 * busy).max(256)
    }
}

impl Kind {
    /// The installed program that it is; ours is built here.
    #[must_use]
    pub fn tool(self) -> Option<Tool> {
        match self {
            Self::Apigw => None,
            Self::Nginx => Some(Tool::Nginx),
            Self::Haproxy => Some(Tool::Haproxy),
            Self::Envoy => Some(Tool::Envoy),
        }
    }

    /// Whether a file of this many routes is one that its users would write: the time to read it grows faster than it does.
    #[must_use]
    pub fn can_have(self, routes: usize) -> bool {
        self == Self::Apigw || routes <= 10_000
    }

    /// What it does otherwise than ours, or does not do.
    #[must_use]
    pub fn note(self, shape: &Shape) -> Option<&'static str> {
        match (self, shape.protection) {
            (Self::Nginx, Protection::Limits) => {
                Some("limit_req, limit_conn, a JSON log; no circuit breaker")
            }
            (Self::Nginx, Protection::Tokens) => {
                Some("cannot check tokens: limit_req, limit_conn, a JSON log; no circuit breaker")
            }
            (Self::Haproxy, Protection::Limits) => Some(
                "a stick table for the rate, maxconn, a JSON log with a write for each line; no circuit breaker",
            ),
            (Self::Haproxy, Protection::Tokens) => {
                Some("tokens by a key from a file, which are checked anew each time; no circuit breaker")
            }
            (Self::Envoy, Protection::Limits) => {
                Some("one bucket for all clients, outlier detection, a JSON log")
            }
            (Self::Envoy, Protection::Tokens) => Some(
                "tokens with a cache of 2,000; one bucket for all clients, outlier detection, a JSON log",
            ),
            (Self::Apigw, _) | (_, Protection::Bare) => None,
        }
    }
}

impl Gateway {
    /// Writes its files and gives the command that runs it in the foreground.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn command(&self, start: Start<'_>) -> Result<Command, Invalid> {
        match self.kind {
            Kind::Apigw => apigw::command(&self.program, start),
            Kind::Nginx => nginx::gateway(&self.program, start),
            Kind::Haproxy => haproxy::command(&self.program, start),
            Kind::Envoy => envoy::command(&self.program, start),
        }
    }

    /// What its row is called.
    #[must_use]
    pub fn row(&self, shape: &Shape) -> String {
        let what = match (self.kind, shape.protection) {
            (_, Protection::Bare) => return self.label.clone(),
            (_, Protection::Limits) | (Kind::Nginx, _) => "policies",
            (_, Protection::Tokens) => "jwt",
        };
        format!("{} + {what}", self.label)
    }
}
