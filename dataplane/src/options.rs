//! What the command line and the environment say.

use std::{num::NonZeroUsize, path::PathBuf};

use apigw_config::names::TrafficAddress;
use apigw_transport::{address::Address, tls::TlsFlags};
use clap::{ArgGroup, Parser};

/// The proxy of apigw.
///
/// Follows a control plane, or runs one configuration file by itself. Each flag can also be given as an environment
/// variable; `APIGW_ADMIN_KEY` is the key of the admin API.
#[derive(Debug, Parser)]
#[command(name = "dataplane", version, group(ArgGroup::new("source").required(true)))]
pub(crate) struct Options {
    /// Run this file, and each change of it, without a control plane.
    #[arg(long, value_name = "FILE", env = "APIGW_CONFIG", group = "source")]
    pub(crate) config: Option<PathBuf>,

    /// Follow a control plane: http://HOST:PORT, https://HOST:PORT or unix:PATH; several are tried in turn.
    #[arg(long, value_name = "URL", env = "APIGW_CONTROL_PLANE", value_delimiter = ',', group = "source")]
    pub(crate) control_plane: Vec<String>,

    /// Threads that serve requests [default: one for each processor].
    #[arg(long, value_name = "N", env = "APIGW_WORKERS")]
    workers: Option<NonZeroUsize>,

    /// Keep what a control plane sent here, for a start without one [default: a place of its own for each data plane,
    /// by name: /var/lib/apigw/dataplane for root, else ~/.local/state/apigw/dataplane].
    #[arg(long, value_name = "DIR", env = "APIGW_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Listen here for traffic, whatever the configuration says; HOST:PORT or unix:PATH.
    #[arg(long, value_name = "ADDR", env = "APIGW_LISTEN")]
    pub(crate) listen: Option<TrafficAddress>,

    /// Listen here for the admin endpoints and the gRPC API, whatever the configuration says; HOST:PORT or unix:PATH.
    #[arg(long, value_name = "ADDR", env = "APIGW_ADMIN_LISTEN")]
    pub(crate) admin_listen: Option<Address>,

    #[command(flatten)]
    pub(crate) tls: TlsFlags,
}

/// The most workers; more than any machine this runs on has processors.
const MOST_WORKERS: usize = 1_024;

impl Options {
    /// How many workers to start.
    pub(crate) fn workers(&self) -> usize {
        let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.workers.unwrap_or_else(processors).get().min(MOST_WORKERS)
    }
}
