//! What an edit of one route costs those who are served meanwhile, and how long it takes until everybody is served by it.
//!
//! Each edit moves the loaded route from one upstream to the other, whose answers differ.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use super::{Bench, Live, Subject, answered_once, cost::MEBIBYTE};
use crate::{
    bench::{
        Invalid,
        figure::{Figure, Sample},
        gateway::{Start, apigw_file},
        load::{Lasting, Outcome, Pace},
        shape::Shape,
        statistics::{percentile, real},
        upstream::Answer,
    },
    client::Connection,
};

/// Connections of the load.
const CONNECTIONS: usize = 8;

/// Far below what a gateway can carry, so that what an edit costs shows in the latency and not in a queue.
const REQUESTS_PER_SECOND: f64 = 3_000.0;

/// Connections that look for the edit: enough to reach every worker of a few.
const LOOKING: usize = 4;

/// The longest that an edit may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn measure(bench: &Bench, subject: Subject<'_>) -> Result<Sample, Invalid> {
    let shape = Shape { connections: CONNECTIONS, ..*subject.shape };
    let live = bench.start(Subject { shape: &shape, ..subject })?;
    let texts = texts(bench, &live, &shape)?;
    bench.warm_up(&live, &shape)?;
    let pace = Pace::PerSecond(REQUESTS_PER_SECOND);
    let calm = bench.generators.run(live.order(&shape, Lasting::Seconds(bench.effort.seconds), pace))?;
    let load = bench.generators.start(live.order(&shape, Lasting::UntilStopped, pace))?;
    let times = edits(bench, &live, &shape, &texts);
    let changing = load.stop()?;
    let times = times?;
    for Outcome { failed, requests, .. } in [calm, changing] {
        if failed > 0 {
            return Err(Invalid::Failures { failed, requests });
        }
    }
    let milliseconds =
        |percent| percentile(&times, percent).map_or(f64::NAN, |time| 1e3 * time.as_secs_f64());
    Ok(Sample::from([
        (Figure::Changes, real(times.len() as u64)),
        (Figure::Failed, 0.0),
        (Figure::EnforcedP50, milliseconds(50)),
        (Figure::EnforcedP99, milliseconds(99)),
        (Figure::EnforcedMost, milliseconds(100)),
        (Figure::CalmP99, calm.p99),
        (Figure::ChangingP99, changing.p99),
        (Figure::Slowdown, changing.p99 / calm.p99),
        (Figure::Resident, live.family.footprint().resident / MEBIBYTE),
    ]))
}

/// Files, each with the letter that it leads to.
type Texts = [(char, String); 2];

/// The file as it is, whose last route leads to A, and as it is to be, where it leads to B.
fn texts(bench: &Bench, live: &Live, shape: &Shape) -> Result<Texts, Invalid> {
    let to = |letter| {
        let answer = Answer::of(shape, letter);
        Ok::<_, Invalid>(bench.site.upstream(answer)?.address())
    };
    let upstream = to('A')?;
    let directory = live.directory.path();
    let start = Start { site: &bench.site, shape, address: live.address, upstream, directory };
    Ok([('A', apigw_file(start, upstream)?), ('B', apigw_file(start, to('B')?)?)])
}

/// Saves the file again and again; gives how long each took to be in force, sorted.
fn edits(bench: &Bench, live: &Live, shape: &Shape, texts: &Texts) -> Result<Vec<Duration>, Invalid> {
    let (file, path) = (live.directory.path().join("gateway.yaml"), shape.path());
    let staged = live.directory.path().join("gateway.yaml.new");
    let looking = (0..LOOKING).map(|_| answered_once(live, &path)).collect::<Result<Vec<_>, _>>();
    let mut looking = looking?;
    let mut times = Vec::new();
    let in_turn = texts.iter().cycle().skip(1);
    for (number, (letter, text)) in (1..=bench.effort.edits).zip(in_turn) {
        // At no fixed distance, so that no timer of the gateway runs in step with the edits.
        thread::sleep(Duration::from_millis(50 + u64::from(number) * 37 % 100));
        fs::write(&staged, text)?;
        let saved = Instant::now();
        fs::rename(&staged, &file)?;
        for connection in &mut looking {
            until_answered(live, connection, &path, *letter)?;
        }
        times.push(saved.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// Asks on a connection until the answer is of this letter.
fn until_answered(live: &Live, connection: &mut Connection, path: &str, letter: char) -> Result<(), Invalid> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if answer(live, connection, path)?.first().copied().map(char::from) == Some(letter) {
            return Ok(());
        }
        // What looks must leave the processors to those who are looked at; a millisecond is the figure's precision.
        thread::sleep(Duration::from_millis(1));
    }
    Err(Invalid::NotEnforced)
}

fn answer(live: &Live, connection: &mut Connection, path: &str) -> Result<Vec<u8>, Invalid> {
    connection.try_send(live.request(path))?;
    let response = connection.try_response_to("GET")?;
    match response.status() {
        200 => Ok(response.body),
        status => Err(Invalid::Unwell { status }),
    }
}
