//! What many data planes cost one control plane: `cargo run -p apigw-tests --bin fleet -- --data-planes 1000 --routes 1000`.
//!
//! A real control plane on loopback, simulated data planes in this process, each with a connection of its own. It tells how
//! long it took until all were connected and had the first content, then for each of some edits the time from the save to
//! the reports, and what the control plane has used.

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use apigw_tests::{
    configuration::{ConfigFile, Document},
    flags,
    gateway::{ControlPlane, gwctl, gwctl_json},
    process::{Memory, processor_time},
    simulated::{Applied, SimulatedFleet},
    waiting::eventually,
};

/// Measures one control plane with many data planes.
#[derive(clap::Parser)]
struct Flags {
    /// How many data planes.
    #[arg(long, default_value_t = 1_000)]
    data_planes: usize,
    /// How many routes the file has.
    #[arg(long, default_value_t = 1_000)]
    routes: usize,
    /// How many times one route is edited.
    #[arg(long, default_value_t = 5)]
    edits: usize,
}

fn main() -> ExitCode {
    match measure(&flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let file = ConfigFile::new(routes(flags.routes, 0));
    let control_plane = ControlPlane::start(file.path());
    let pid = control_plane.program().pid();
    eventually("the first content is published", || {
        let asked = gwctl(control_plane.address(), &["routes"]);
        (asked.code == Some(0) && asked.stdout.lines().count() > flags.routes).then_some(())
    });
    let (memory, time) = (Memory::of(pid), processor_time(pid));
    println!("{} data planes, {} routes", flags.data_planes, flags.routes);
    println!("control plane alone: {} resident, {time:.2?} of processor time", mebibytes(memory.resident));

    let began = Instant::now();
    let mut fleet = SimulatedFleet::start(control_plane.address(), flags.data_planes)?;
    let connected = fleet.all_apply()?;
    tell("connected, and the first content applied", began, &connected);
    let used = processor_time(pid).saturating_sub(time);
    println!(
        "  control plane: {used:.2?} of processor time, {} resident",
        mebibytes(Memory::of(pid).resident)
    );

    for edit in 1..=flags.edits {
        let before = processor_time(pid);
        let saved = Instant::now();
        file.save(routes(flags.routes, edit));
        let applied = fleet.all_apply()?;
        tell(&format!("edit {edit}: one route"), saved, &applied);
        println!("  control plane: {:.2?} of processor time", processor_time(pid).saturating_sub(before));
    }

    let asked = Instant::now();
    let status = gwctl_json(control_plane.address(), &["status"]);
    let rows = status["data_planes"].as_array().map_or(&[][..], Vec::as_slice);
    let in_sync = rows.iter().filter(|row| row["state"] == "in_sync").count();
    println!("gwctl status: {in_sync} of {} in sync, in {:.2?}", rows.len(), asked.elapsed());
    println!("{} streams were lost and dialled again", fleet.redials());
    let peak = Memory::of(pid).peak;
    let each = peak.saturating_sub(memory.resident) / u64::try_from(flags.data_planes.max(1))?;
    println!("control plane: {} at most, {} KiB more for each data plane", mebibytes(peak), each / 1024);
    Ok(())
}

/// A file with so many routes, of which one says the number of the edit.
fn routes(count: usize, edit: usize) -> Document {
    (0..count).fold(Document::new(), |document, number| {
        let name = format!("route-{number}");
        let upstream = if number == count / 2 { edit } else { 0 };
        document
            .route(&name, &format!("/{name}/"), format!("http://127.0.0.1:9/{upstream}"))
            .with("rate_limit: { enabled: true, rps: 5, burst: 10, scope: ip }")
            .with("concurrency: { max_in_flight: 100 }")
    })
}

fn tell(what: &str, since: Instant, applied: &[Applied]) {
    let mut times: Vec<_> =
        applied.iter().map(|applied| applied.at.saturating_duration_since(since)).collect();
    times.sort_unstable();
    let percentile = |percent: usize| times.get((times.len() * percent / 100).min(times.len() - 1));
    let shown = |time: Option<&Duration>| time.map_or_else(String::new, |time| format!("{time:.0?}"));
    println!(
        "{what}: first {}, p50 {}, p99 {}, last {}",
        shown(times.first()),
        shown(percentile(50)),
        shown(percentile(99)),
        shown(times.last())
    );
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
