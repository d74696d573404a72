//! The project's benchmark: `tests/bench --help`. docs/performance.md says how to read what it tells.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
    thread,
};

use apigw_tests::{
    bench::{
        gateway::{Gateway, Kind},
        load::Generators,
        machine::Circumstances,
        measure::{Bench, Effort},
        pages, pictures, report,
        run::{self, Answered, IS_INTERRUPTED},
        scenario::{SCENARIOS, Scenario},
        site::Site,
        tools::Tool,
    },
    flags,
    programs::Programs,
};
use tokio::signal::unix::{SignalKind, signal};

/// Compares what a request costs in apigw and in the gateways that are installed beside it, in turn, on this machine.
///
/// Exit code 1: an answer was no 2xx, a socket failed, or a gateway did not start; its row says INVALID.
#[derive(clap::Parser)]
struct Flags {
    /// What is measured, such as plain,jwt; everything, where it is not given.
    #[arg(long = "scenario", value_delimiter = ',', value_name = "NAME,...", value_parser = scenario_named)]
    scenarios: Vec<&'static Scenario>,
    /// Samples of each row.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Seconds of a load.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Connections that wait, of the scenario idle.
    #[arg(long, default_value_t = 4_000)]
    idle: usize,
    /// Edits, of the scenario reload.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    edits: u32,
    /// A further data plane to compare with, such as the one of another commit; may be given again.
    #[arg(long = "dataplane", value_name = "NAME=PATH", value_parser = data_plane)]
    data_planes: Vec<Gateway>,
    /// Uses nothing but what is built here: no peers, our upstream, our load.
    #[arg(long)]
    only_ours: bool,
    /// Measures no other gateways.
    #[arg(long)]
    no_peers: bool,
    /// Writes every sample to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the tables to this file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Writes the charts into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    charts: Option<PathBuf>,
    /// Writes tables and charts into docs/performance.md, docs/performance/ and README.md.
    #[arg(long)]
    docs: bool,
}

fn main() -> ExitCode {
    let flags: Flags = flags::parse();
    match measure(&flags) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(flags: &Flags) -> Result<ExitCode, Box<dyn Error>> {
    end_when_asked()?;
    let programs = Programs::beside()?;
    let tool = |tool: Tool| if flags.only_ours { None } else { tool.find() };
    let generators = Generators { wrk: tool(Tool::Wrk), h2load: tool(Tool::H2load) };
    let gateways = gateways(&programs, flags);
    if !flags.only_ours {
        for missing in Tool::ALL.into_iter().filter(|tool| tool.find().is_none()) {
            eprintln!("{} is not installed ({}): {}", missing.name(), missing.package(), missing.loss());
        }
    }
    let circumstances = Circumstances::now(&gateways, &generators);
    println!("{}", circumstances.caption());
    let site = Site::new(programs, tool(Tool::Nginx))?;
    let effort =
        Effort { rounds: flags.rounds, seconds: flags.seconds, idle: flags.idle, edits: flags.edits };
    let bench = Bench { site, generators, effort };
    let mut all = Vec::new();
    for scenario in chosen(flags) {
        let answered = run::answer(&bench, scenario, &gateways);
        println!("\n{}: {}\n\n{}", scenario.name, scenario.about, report::table(&answered));
        all.push(answered);
        if let Some(file) = &flags.json {
            fs::write(file, format!("{:#}\n", report::json(&circumstances, &all)))?;
        }
        if IS_INTERRUPTED.load(Ordering::Relaxed) {
            // Half of the rounds are no figures for a page.
            eprintln!("bench: ended early");
            return Ok(ExitCode::from(130));
        }
    }
    write(flags, &circumstances, &all)?;
    let is_valid = !all.iter().any(Answered::is_invalid);
    Ok(if is_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The gateways that are there, ours last.
fn gateways(programs: &Programs, flags: &Flags) -> Vec<Gateway> {
    let has_peers = !flags.only_ours && !flags.no_peers;
    let peers = [Kind::Nginx, Kind::Haproxy, Kind::Envoy].into_iter().filter(|_| has_peers);
    let peers = peers.filter_map(|kind| {
        let tool = kind.tool()?;
        Some(Gateway { label: tool.name().into(), kind, program: tool.find()? })
    });
    let ours = Gateway { label: "apigw".into(), kind: Kind::Apigw, program: programs.path("dataplane") };
    peers.chain([ours]).chain(flags.data_planes.iter().cloned()).collect()
}

/// The scenarios in their own order, whatever the order on the command line.
fn chosen(flags: &Flags) -> impl Iterator<Item = &'static Scenario> {
    let is_chosen = |scenario: &&Scenario| {
        flags.scenarios.is_empty() || flags.scenarios.iter().any(|chosen| chosen.name == scenario.name)
    };
    SCENARIOS.iter().filter(is_chosen)
}

fn write(flags: &Flags, circumstances: &Circumstances, all: &[Answered]) -> Result<(), Box<dyn Error>> {
    if let Some(file) = &flags.markdown {
        fs::write(file, report::markdown(circumstances, all))?;
    }
    let pictures = pictures::pictures(circumstances, all);
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let in_docs = flags.docs.then(|| repository.join("docs/performance"));
    for directory in flags.charts.iter().chain(&in_docs) {
        fs::create_dir_all(directory)?;
        for picture in &pictures {
            fs::write(directory.join(&picture.file), &picture.svg)?;
        }
    }
    if flags.docs {
        for (page, name, text) in pictures::parts(circumstances, all, &pictures) {
            pages::replace_part(&repository.join(page), &name, &text)?;
        }
    }
    Ok(())
}

/// Why an argument is none.
#[derive(Debug, thiserror::Error)]
enum ArgumentError {
    #[error("the scenarios are {}", SCENARIOS.map(|scenario| scenario.name).join(", "))]
    UnknownScenario,
    #[error("wanted: NAME=PATH")]
    NoName,
    #[error("{path}: {source}")]
    NoProgram {
        path: String,
        #[source]
        source: io::Error,
    },
}

fn scenario_named(name: &str) -> Result<&'static Scenario, ArgumentError> {
    SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or(ArgumentError::UnknownScenario)
}

fn data_plane(text: &str) -> Result<Gateway, ArgumentError> {
    let (label, path) = text.split_once('=').ok_or(ArgumentError::NoName)?;
    let no_program = |source| ArgumentError::NoProgram { path: path.into(), source };
    let program = fs::canonicalize(path).map_err(no_program)?;
    Ok(Gateway { label: label.into(), kind: Kind::Apigw, program })
}

/// On SIGINT and SIGTERM ends after the sample that is being taken, so that every program that was started is ended and
/// every file of it goes away.
fn end_when_asked() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            IS_INTERRUPTED.store(true, Ordering::Relaxed);
        });
    });
    Ok(())
}
