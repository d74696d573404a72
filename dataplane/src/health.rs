//! Asks endpoints whether they are well, in the background, and tells the engine what comes of it. Lets those in again whose
//! time has come.
//!
//! One task per endpoint, in the control runtime, makes a check, waits and makes the next one. So many checks are made at
//! once and no more, and pauses differ by chance, so that a thousand endpoints are no burst. Nothing here decides what
//! follows from a check, and no request waits for one.

/// One check.
mod probe;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use apigw_config::{
    model::{self, ActiveCheck, Backends},
    names::{BackendName, Span},
};
use apigw_engine::{
    Snapshot,
    endpoint::{BackendState, Change, CheckFailure, CheckRound, EndpointState, Watch},
    rejection::UpstreamFailure,
    snapshot::{Backend, Upstream, UpstreamId},
};
use tokio::{
    sync::Semaphore,
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::{resolver::Addresses, running::Running, serving::Serving};

/// The most checks at once, of all backends. Further ones wait for their turn.
const MAX_AT_ONCE: usize = 256;

/// How often it is looked whether an endpoint is to be let in again.
const TICK: Duration = Duration::from_millis(100);

/// The first check of an endpoint comes within this time.
const FIRST_CHECK: Duration = Duration::from_millis(500);

/// The checks of what runs; as many as it has endpoints that are checked.
#[derive(Debug)]
pub(crate) struct HealthChecks {
    shared: Arc<Shared>,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    /// Of what runs.
    backends: Backends,
    checks: HashMap<UpstreamId, Check>,
    /// None: no endpoint is left out for a time.
    _timing: Option<Timing>,
}

/// The task that lets endpoints in again. Dropping it ends the task.
#[derive(Debug)]
struct Timing(AbortHandle);

impl Drop for Timing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What all checks need.
#[derive(Debug)]
struct Shared {
    running: Arc<Running>,
    addresses: Arc<Addresses>,
    permits: Semaphore,
    /// Where the time of limits and breakers begins.
    start: Instant,
}

/// What is checked.
#[derive(Debug)]
struct Target {
    backend: BackendName,
    url: String,
    upstream: Arc<Upstream>,
    state: Arc<EndpointState>,
    check: ActiveCheck,
}

/// The task that checks an endpoint. Dropping it ends the task.
#[derive(Debug)]
struct Check {
    target: Arc<Target>,
    task: AbortHandle,
}

impl Drop for Check {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HealthChecks {
    /// Of nothing. The time of limits and breakers begins at `start`.
    pub(crate) fn new(running: Arc<Running>, addresses: Arc<Addresses>, start: Instant) -> Self {
        let permits = Semaphore::new(MAX_AT_ONCE);
        Self { shared: Arc::new(Shared { running, addresses, permits, start }), current: Mutex::default() }
    }

    /// Checks what runs from now on, in the runtime of the caller. Checks that stay the same go on, and what was found by
    /// others is forgotten.
    pub(crate) fn follow(&self, serving: &Serving) {
        let snapshot = &serving.snapshot;
        let backends = snapshot.config().backends();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.backends.is_shared_with(backends) {
            return;
        }
        let now = self.shared.start.elapsed();
        let mut former = std::mem::take(&mut current.checks);
        let check = |target: Target| {
            let known = former.remove(&target.upstream.id).filter(|known| known.target.is_same(&target));
            let check = known.unwrap_or_else(|| self.start(target));
            (check.target.upstream.id, check)
        };
        let checks: HashMap<_, _> = targets(backends, snapshot.backends()).map(check).collect();
        // An endpoint may be checked under another id now, as one that is spoken to in another way.
        let checked: HashSet<_> = checks.values().map(|check| Arc::as_ptr(&check.target.state)).collect();
        for check in former.values().filter(|check| !checked.contains(&Arc::as_ptr(&check.target.state))) {
            check.target.state.forget_checks(now);
        }
        for (config, backend) in backends.iter().zip(snapshot.backends()) {
            let watch = if has_sessions(config) { Watch::GoesOn } else { Watch::Ends };
            for (endpoint, compiled) in config.endpoints().iter().zip(backend.endpoints()) {
                if let Some(state) = &compiled.state {
                    state.start_slowly(config.slow_start.duration(), now);
                }
                match &compiled.state {
                    Some(state) if endpoint.drains => state.drain(watch, now),
                    Some(state) => state.judge_requests(config.health.outlier.as_ref(), now),
                    None => {}
                }
            }
        }
        let timing = timed(snapshot).next().is_some().then(|| {
            let task = tokio::spawn(keep_time(Arc::clone(&self.shared), Arc::clone(snapshot)));
            Timing(task.abort_handle())
        });
        *current = Current { backends: backends.clone(), checks, _timing: timing };
    }

    fn start(&self, target: Target) -> Check {
        let target = Arc::new(target);
        let round = target.state.begin_checks(self.shared.start.elapsed());
        let task = tokio::spawn(keep_checking(Arc::clone(&self.shared), Arc::clone(&target), round));
        Check { target, task: task.abort_handle() }
    }
}

/// Whether an endpoint that drains is given requests by those whose session it has.
fn has_sessions(backend: &model::Backend) -> bool {
    backend.session_cookie.is_some()
}

/// The endpoints that are checked. One that drains and has no sessions is not: nothing would follow, and what is repaired would
/// alarm people.
fn targets<'a>(
    configured: &'a Backends,
    backends: impl Iterator<Item = &'a Arc<Backend>>,
) -> impl Iterator<Item = Target> {
    let checked = configured.iter().zip(backends).filter_map(|(config, backend)| {
        let check = config.health.active.as_ref()?;
        Some((config, backend, check))
    });
    checked.flat_map(|(config, backend, check)| {
        let given = config.endpoints().iter().zip(backend.endpoints());
        let given = given.filter(|(endpoint, _)| !endpoint.drains || has_sessions(config));
        given.filter_map(|(endpoint, compiled)| {
            Some(Target {
                backend: config.name().clone(),
                url: endpoint.url.as_str().into(),
                upstream: Arc::clone(&compiled.upstream),
                state: Arc::clone(compiled.state.as_ref()?),
                check: check.clone(),
            })
        })
    })
}

impl Target {
    fn is_same(&self, other: &Self) -> bool {
        self.upstream.id == other.upstream.id
            && Arc::ptr_eq(&self.state, &other.state)
            && self.check == other.check
    }
}

/// Checks an endpoint for ever.
async fn keep_checking(shared: Arc<Shared>, target: Arc<Target>, round: CheckRound) {
    let pause = target.check.interval().duration();
    sleep(pause.min(FIRST_CHECK).mul_f64(fastrand::f64())).await;
    let mut turn = fastrand::usize(..);
    loop {
        let outcome = check(&shared, &target, turn).await;
        turn = turn.wrapping_add(1);
        report(&shared, &target, round, outcome);
        // So that those that began together do not stay together.
        sleep(pause.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
    }
}

async fn check(shared: &Shared, target: &Target, turn: usize) -> Result<(), CheckFailure> {
    // It is never closed.
    let _permit = shared.permits.acquire().await;
    // Those of now: files of certificates are renewed.
    let tls = shared.running.serving().map(|serving| serving.upstream_tls().clone()).unwrap_or_default();
    let asked = probe::ask(&target.upstream, target.check.probe(), &shared.addresses, turn, &tls);
    let late = Err(CheckFailure::NoAnswer(UpstreamFailure::ResponseTimeout));
    timeout(target.check.timeout().duration(), asked).await.unwrap_or(late)
}

fn report(shared: &Shared, target: &Target, round: CheckRound, outcome: Result<(), CheckFailure>) {
    let Target { backend, url, state, check, .. } = target;
    let Some(change) = state.checked(round, outcome, check, shared.start.elapsed()) else { return };
    tell(backend.as_str(), url, change);
    let snapshot = shared.running.snapshot();
    let is_named = |known: &&Arc<Backend>| known.name() == Some(backend);
    let found = snapshot.as_ref().and_then(|snapshot| snapshot.backends().find(is_named));
    if found.is_some_and(|found| found.is_unguided()) {
        tracing::error!(%backend, "no endpoint is healthy: requests go to all of them");
    }
}

/// Tells people what became of an endpoint.
pub(crate) fn tell(backend: &str, endpoint: &str, change: Change) {
    match change {
        Change::BecameHealthy => tracing::info!(backend, endpoint, "endpoint is healthy"),
        Change::BecameUnhealthy(reason) => {
            tracing::warn!(backend, endpoint, %reason, "endpoint is unhealthy");
        }
        Change::Ejected(length) => {
            tracing::warn!(backend, endpoint, seconds = length.as_secs_f64(), "endpoint is ejected");
        }
    }
}

/// Does what it is time for with endpoints that are not as they should be, for ever.
async fn keep_time(shared: Arc<Shared>, snapshot: Arc<Snapshot>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (config, backend) in timed(&snapshot) {
            if backend.state().is_none_or(BackendState::is_whole) {
                continue;
            }
            for (endpoint, compiled) in config.endpoints().iter().zip(backend.endpoints()) {
                let change = compiled.state.as_ref().and_then(|state| state.tick(shared.start.elapsed()));
                if let Some(change) = change {
                    tell(config.name().as_str(), endpoint.url.as_str(), change);
                }
            }
        }
    }
}

/// The backends whose endpoints return by themselves.
fn timed(snapshot: &Snapshot) -> impl Iterator<Item = (&model::Backend, &Backend)> {
    let backends = snapshot.config().backends().iter().zip(snapshot.backends());
    let backends = backends.map(|(config, backend)| (config.as_ref(), backend.as_ref()));
    backends.filter(|(config, _)| config.health.outlier.is_some() || config.slow_start > Span::ZERO)
}
