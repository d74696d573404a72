//! What a gateway holds for connections that were answered once and wait.

use super::{Bench, Subject, answered_once, cost::MEBIBYTE};
use crate::{
    bench::{
        Invalid,
        figure::{Figure, Sample},
        statistics::real,
    },
    client::Connection,
};

/// What the first ones make a gateway allocate is not the connections'.
const FIRST: usize = 16;

/// One KiB.
const KIBIBYTE: f64 = 1_024.0;

pub(super) fn measure(bench: &Bench, subject: Subject<'_>) -> Result<Sample, Invalid> {
    let live = bench.start(subject)?;
    let path = subject.shape.path();
    let open = |count: usize| (0..count).map(|_| answered_once(&live, &path)).collect::<Result<Vec<_>, _>>();
    let mut clients = open(FIRST)?;
    live.settle();
    let before = live.family.footprint();
    let count = bench.effort.idle.min(bench.site.most_clients().saturating_sub(FIRST)).max(1);
    clients.extend(open(count)?);
    live.settle();
    let after = live.family.footprint();
    let closed = clients.iter_mut().filter_map(|client| Connection::has_input(client).then_some(())).count();
    if closed > 0 {
        return Err(Invalid::Closed { closed, connections: clients.len() });
    }
    let each = |bytes: f64| bytes / KIBIBYTE / real(count as u64);
    Ok(Sample::from([
        (Figure::Waiting, real(count as u64)),
        (Figure::ResidentEach, each(after.resident - before.resident)),
        (Figure::ProportionalEach, each(after.proportional - before.proportional)),
        (Figure::Resident, after.resident / MEBIBYTE),
        (Figure::Proportional, after.proportional / MEBIBYTE),
    ]))
}
