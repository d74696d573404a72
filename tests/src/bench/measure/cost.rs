//! What a request costs at full load, and how long answers take at half of it.

use super::{Bench, Live, Subject};
use crate::bench::{
    Invalid,
    figure::{Figure, Sample},
    load::{Lasting, Outcome, Pace},
    statistics::real,
};

/// One MiB.
pub(super) const MEBIBYTE: f64 = 1_048_576.0;

pub(super) fn measure(bench: &Bench, subject: Subject<'_>) -> Result<Sample, Invalid> {
    let live = bench.start(subject)?;
    cost(bench, &live, subject)
}

pub(super) fn measure_with_latency(bench: &Bench, subject: Subject<'_>) -> Result<Sample, Invalid> {
    let live = bench.start(subject)?;
    let mut sample = cost(bench, &live, subject)?;
    let peak = subject.peak.unwrap_or(sample[&Figure::Rate]);
    let half = load(bench, &live, subject, Pace::PerSecond(peak / 2.0))?;
    sample.insert(Figure::HalfRate, half.rate);
    sample.insert(Figure::HalfP50, half.p50);
    sample.insert(Figure::HalfP99, half.p99);
    Ok(sample)
}

fn cost(bench: &Bench, live: &Live, subject: Subject<'_>) -> Result<Sample, Invalid> {
    bench.warm_up(live, subject.shape)?;
    let before = live.family.processor_time();
    let outcome = load(bench, live, subject, Pace::Full)?;
    let after = live.family.processor_time();
    let memory = live.family.footprint();
    let each = |seconds: f64| 1e6 * seconds / real(outcome.requests);
    let (user, system) = (each(after.user - before.user), each(after.system - before.system));
    Ok(Sample::from([
        (Figure::Cpu, user + system),
        (Figure::User, user),
        (Figure::System, system),
        (Figure::Rate, outcome.rate),
        (Figure::P50, outcome.p50),
        (Figure::P99, outcome.p99),
        (Figure::Resident, memory.resident / MEBIBYTE),
        (Figure::Proportional, memory.proportional / MEBIBYTE),
        (Figure::Ready, 1_000.0 * live.ready.as_secs_f64()),
    ]))
}

/// A load whose every answer is as it should be.
fn load(bench: &Bench, live: &Live, subject: Subject<'_>, pace: Pace) -> Result<Outcome, Invalid> {
    let lasting = Lasting::Seconds(bench.effort.seconds);
    let outcome = bench.generators.run(live.order(subject.shape, lasting, pace))?;
    match outcome.failed {
        0 => Ok(outcome),
        failed => Err(Invalid::Failures { failed, requests: outcome.requests }),
    }
}
