//! The tour of apigw for somebody new: `cargo demo`, or `cargo demo -- --check` to have it walked.
//!
//! It runs the real programs on loopback with the model's example file and ends them all when it ends.

use std::{error::Error, io::Write as _, process::ExitCode, sync::Arc, thread, time::Duration};

use apigw_tests::{
    flags,
    programs::{Programs, Progress},
    stage::{Ports, Stage},
    story,
    tour::{STEPS, shown},
};
use tokio::signal::unix::{SignalKind, signal};

/// Starts a whole gateway on this machine and shows what to try.
#[derive(clap::Parser)]
struct Flags {
    /// Try everything, say how it went, and end: exit code 0 when all is as promised.
    #[arg(long)]
    check: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags: Flags = flags::parse();
    let outcome = if flags.check { check() } else { show().await };
    outcome.unwrap_or_else(|error| {
        eprintln!("demo: {error}");
        ExitCode::FAILURE
    })
}

/// Walks the tour on ports and with a file of its own.
fn check() -> Result<ExitCode, Box<dyn Error>> {
    let programs = build()?;
    let directory = tempfile::tempdir()?;
    let stage = Stage::set(&programs, directory.path(), Ports::Any)?;
    let mut broken = 0;
    for (number, step) in (1..).zip(&STEPS) {
        println!("{number}. {}", step.title);
        for action in step.actions {
            match action.check(&stage) {
                Ok(()) => println!("   ok      {}", action.command(&stage)),
                Err(seen) => {
                    broken += 1;
                    println!("   BROKEN  {}", action.command(&stage));
                    println!("           promised: {}", action.expectation().unwrap_or_default());
                    println!("           seen: {}", seen.trim_end().replace('\n', "\n           "));
                }
            }
        }
    }
    stage.end();
    if broken == 0 {
        println!("All is as promised.");
        Ok(ExitCode::SUCCESS)
    } else {
        println!("{broken} promises were not kept.");
        Ok(ExitCode::FAILURE)
    }
}

/// Shows the tour and then the traffic, until somebody ends it.
async fn show() -> Result<ExitCode, Box<dyn Error>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let programs = build()?;
    let mut stage = Stage::set(&programs, &programs.path("demo-files"), Ports::Usual)?;
    introduce(&stage);
    follow(&stage);
    loop {
        tokio::select! {
            // In a terminal Ctrl-C reaches the programs too: their end must not be taken for a fall.
            biased;
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hang_up.recv() => break,
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                if let Some(fallen) = stage.fallen() {
                    eprintln!("{fallen}");
                    stage.end();
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    }
    println!("\nEnding all of it.");
    stage.end();
    Ok(ExitCode::SUCCESS)
}

fn build() -> Result<Programs, Box<dyn Error>> {
    eprintln!("Building the programs; the first time takes a few minutes.");
    Ok(Programs::build(Progress::Shown)?)
}

fn introduce(stage: &Stage) {
    let Stage { traffic, admin, control_plane, issuer, users, public, file, .. } = stage;
    println!("\nA gateway is running on this machine:\n");
    println!("  traffic        http://{traffic}");
    println!("  admin          http://{admin}  (/healthz /readyz /metrics, and gwctl)");
    println!("  control plane  http://{control_plane}  (gwctl)");
    println!("  configuration  {}", shown(file));
    println!("  upstreams      users http://{users}, public http://{public}");
    println!("  token issuer   http://{issuer}/token?sub=alice");
    println!("  processes      {}", stage.titles().collect::<Vec<_>>().join(", "));
    println!("\nFive things to try from another terminal, in this order:");
    for (number, step) in (1..).zip(&STEPS) {
        println!("\n{number}. {}", step.title);
        for action in step.actions {
            println!("     {}", action.command(stage));
            if let Some(expectation) = action.expectation() {
                println!("       {expectation}");
            }
        }
    }
    println!("\nCtrl-C ends all of it. Requests as they come:\n");
}

/// Tells of each request, from a thread of its own, until the data plane ends or nobody reads.
fn follow(stage: &Stage) {
    let log = Arc::clone(stage.data_plane().stdout());
    thread::spawn(move || {
        log.follow(|line| story::told(line).is_none_or(|told| writeln!(std::io::stdout(), "{told}").is_ok()));
    });
}
