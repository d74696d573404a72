//! The command line as typed. It is read once, here; nothing else looks at flags or their variables.

use std::{net::IpAddr, path::PathBuf, str::FromStr};

use apigw_transport::tls::TlsFlags;
use clap::{Args, Parser, Subcommand};

use crate::{
    output::Format,
    reference::{Reference, Side},
    wait::Patience,
    watch::Interval,
};

/// Asks a running gateway what it does, checks configuration files, and undoes changes.
#[derive(Debug, Parser)]
#[command(version, after_help = "The admin key, where one is needed, is taken from APIGW_ADMIN_KEY.")]
pub(crate) struct Arguments {
    /// The control plane, or the admin address of one data plane: http://HOST:PORT, https://HOST:PORT or unix:PATH.
    #[arg(
        long,
        global = true,
        env = "APIGW_ENDPOINT",
        default_value = "http://127.0.0.1:9090",
        value_name = "URL"
    )]
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) tls: TlsFlags,
    /// The form of the answer.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORM")]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What runs where: revisions, data planes, and what was refused and why.
    Status,
    /// The routes, in the order of the file.
    Routes,
    /// The live state of each route on each data plane.
    Limits {
        /// Asks again every so many seconds (2 unless said), until Ctrl-C.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
        watch: Option<Interval>,
    },
    /// The providers of tokens on each data plane, and how their keys are.
    Auth,
    /// The endpoints of the backends on each data plane: their weights, and how many requests they are at.
    Backends,
    /// Has an endpoint be given no new requests, on each data plane, until `undrain` or its restart. Exit code: 1 where one did not.
    Drain(DrainArguments),
    /// Has an endpoint be given requests again.
    Undrain(DrainArguments),
    /// What would become of a request, and why: its route, each policy's verdict, where it would go. Sends nothing.
    Explain(ExplainArguments),
    /// Every reason code of logs and metrics, and what it means. Asks nobody.
    Reasons,
    /// The revisions that are kept, newest first.
    History,
    /// What differs between two revisions or files, by meaning, and what would come of it. Exit code: 0 the same, 2 not.
    ///
    /// A revision is SEQ, EPOCH.SEQ, the first digits of its hash, "current" or "previous"; a file is a path with "/", or
    /// one with "." that is there; "-" reads standard input.
    Diff {
        /// What was [default: previous; of one file: current].
        #[arg(value_name = "REV|FILE")]
        before: Option<Side>,
        /// What is [default: current].
        #[arg(value_name = "REV|FILE")]
        after: Option<Side>,
    },
    /// Publishes the content of a kept revision again. What the file says is held back until it changes.
    Rollback {
        /// Whose content; see diff.
        #[arg(value_name = "REV", default_value = "previous")]
        revision: Reference,
    },
    /// Waits until every connected data plane runs a revision or a newer one. Exit code: 0 it does, 1 one refuses it or
    /// the time is up.
    Wait {
        /// Which; see diff [default: the newest].
        #[arg(long, value_name = "REV")]
        revision: Option<Reference>,
        /// How long at most.
        #[arg(long, value_name = "SECONDS", default_value = "60")]
        timeout: Patience,
    },
    /// Checks a file by the code that would run it, without a server.
    Validate {
        /// The configuration file; "-" reads standard input.
        file: PathBuf,
    },
}

/// An endpoint of backends.
#[derive(Debug, Args)]
pub(crate) struct DrainArguments {
    /// Its URL, as `backends` shows it; a path does not matter.
    #[arg(value_name = "ENDPOINT")]
    pub(crate) url: String,
    /// Of this backend alone [default: of each that has it].
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,
}

/// A request that is only thought of.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Such as GET.
    pub(crate) method: String,
    /// A path with its query, or a whole URL, whose host becomes the request's.
    pub(crate) url: String,
    /// A header field; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<HeaderArgument>,
    /// A token to present.
    #[arg(long, value_name = "TOKEN", conflicts_with = "claims")]
    pub(crate) jwt: Option<String>,
    /// What a token would say that is taken to be true: a JSON object.
    #[arg(long, value_name = "JSON")]
    pub(crate) claims: Option<String>,
    /// The client's address (127.0.0.1 unless said).
    #[arg(long, value_name = "IP")]
    pub(crate) from: Option<IpAddr>,
    /// Judges by this file, without a server; "-" reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Judges by this revision, where no request has been yet; see diff [default: what runs].
    #[arg(long, value_name = "REV", conflicts_with = "config")]
    pub(crate) revision: Option<Reference>,
}

/// A header field as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderArgument {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for HeaderArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(':').ok_or("a header field is written as 'name: value'")?;
        Ok(Self { name: name.trim().into(), value: value.trim().into() })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_may_stand_behind_the_command() {
        let arguments =
            Arguments::try_parse_from(["gwctl", "routes", "-o", "json", "--endpoint", "http://h:1"]).unwrap();
        assert_eq!((arguments.endpoint.as_str(), arguments.output), ("http://h:1", Format::Json));
    }

    #[test]
    fn watching_may_name_its_interval() {
        let watched = |arguments: &[&str]| {
            let arguments = Arguments::try_parse_from([&["gwctl", "limits"], arguments].concat());
            match arguments.map(|arguments| arguments.command) {
                Ok(Command::Limits { watch }) => Ok(watch.map(Interval::seconds)),
                Ok(other) => panic!("it is limits: {other:?}"),
                Err(error) => Err(error.to_string()),
            }
        };
        assert_eq!(watched(&[]), Ok(None));
        assert_eq!(watched(&["--watch"]), Ok(Some(2.0)));
        assert_eq!(watched(&["--watch", "-o", "json"]), Ok(Some(2.0)));
        assert_eq!(watched(&["--watch", "0.5"]), Ok(Some(0.5)));
        assert!(watched(&["--watch", "0"]).is_err_and(|error| error.contains("from 0.1 to 3600")));
    }
}
