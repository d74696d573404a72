//! What a connection is waiting for, and until when.
//!
//! One timer serves a connection for its whole life: noting a phase writes a few cells, and only the timer's owner, when
//! it fires, looks which deadline really holds. So a request that is on time costs no timer operation at all.

use std::{cell::Cell, time::Duration};

use apigw_config::model::{Server, Upstream};
use tokio::time::Instant;

/// What a client connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has just been accepted and is silent, for as long as an idle one may be; its first head must come within the
    /// time for a head from now on, silence included.
    New,
    /// No byte of the next request has come yet.
    Idle,
    /// A request's head is arriving.
    Head,
    /// A request's body is awaited from the client.
    Body,
    /// The upstream is to take the request and to begin its answer.
    Upstream,
    /// The gateway itself is at work, under deadlines of the work's own.
    Working,
    /// The answer is on its way; the client must keep accepting it.
    Responding,
    /// The answer is complete but not yet with the client.
    Flushing,
}

/// A deadline that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The deadline of this phase.
    Phase(Phase),
    /// The client accepted no byte for too long.
    Write,
}

/// The configured limits, as durations.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    read_header: Duration,
    read: Duration,
    write: Duration,
    idle: Duration,
    response_header: Duration,
}

/// Deadlines of one client connection. Shared by the parts of one task, hence the cells.
#[derive(Debug)]
pub(crate) struct Deadlines {
    timeouts: Cell<Timeouts>,
    phase: Cell<Phase>,
    /// Of the phase.
    deadline: Cell<Option<Instant>>,
    /// Set while the client accepts no bytes.
    write_deadline: Cell<Option<Instant>>,
    expired: Cell<Option<Expired>>,
    /// When the connection, or the present body, began.
    since: Cell<Instant>,
    /// How much of the body has come.
    body_bytes: Cell<u64>,
}

/// A body slower than this, over more than the read timeout, counts as not arriving.
const MINIMUM_BODY_BYTES_PER_SECOND: u64 = 1_024;

impl Deadlines {
    /// Creates the deadlines of a connection just accepted.
    pub(crate) fn new(server: &Server, upstream: &Upstream, now: Instant) -> Self {
        let timeouts = Timeouts::new(server, upstream);
        Self {
            timeouts: Cell::new(timeouts),
            phase: Cell::new(Phase::New),
            deadline: Cell::new(Some(now + timeouts.read_header.min(timeouts.idle))),
            write_deadline: Cell::new(None),
            expired: Cell::new(None),
            since: Cell::new(now),
            body_bytes: Cell::new(0),
        }
    }

    /// Takes the limits of the snapshot that judges the present request.
    pub(crate) fn set_timeouts(&self, server: &Server, upstream: &Upstream) {
        self.timeouts.set(Timeouts::new(server, upstream));
    }

    /// Whether no request is at work: its head is still to come, or could not be read.
    pub(crate) fn is_before_request(&self) -> bool {
        matches!(self.phase.get(), Phase::New | Phase::Idle | Phase::Head)
    }

    /// The deadline that was found to have passed, if any.
    pub(crate) fn expired(&self) -> Option<Expired> {
        self.expired.get()
    }

    /// Bytes came from the client.
    pub(crate) fn bytes_read(&self) {
        match self.phase.get() {
            Phase::New => {
                self.phase.set(Phase::Head);
                self.deadline.set(Some(self.since.get() + self.timeouts.get().read_header));
            }
            Phase::Idle => self.enter(Phase::Head, Some(self.timeouts.get().read_header)),
            _ => {}
        }
    }

    /// A request's head is complete.
    pub(crate) fn head_complete(&self) {
        self.enter(Phase::Working, None);
    }

    /// A connection to the upstream is being made, under a limit of its own.
    pub(crate) fn connecting(&self) {
        self.enter(Phase::Working, None);
    }

    /// The request goes to an upstream that is to answer.
    pub(crate) fn upstream_awaited(&self) {
        self.enter(Phase::Upstream, Some(self.timeouts.get().response_header));
    }

    /// A request's body is about to be read.
    pub(crate) fn body_begins(&self) {
        self.since.set(Instant::now());
        self.body_bytes.set(0);
    }

    /// More of the body is awaited from the client.
    pub(crate) fn body_awaited(&self) {
        if matches!(self.phase.get(), Phase::Upstream | Phase::Body) {
            let read = self.timeouts.get().read;
            let allowance = Duration::from_secs(self.body_bytes.get() / MINIMUM_BODY_BYTES_PER_SECOND);
            self.enter(Phase::Body, Some(read));
            let overall = self.since.get() + read + allowance;
            self.deadline.set(self.deadline.get().map(|deadline| deadline.min(overall)));
        }
    }

    /// Some of the body came; it is the upstream's turn to take it, or to answer.
    pub(crate) fn body_bytes_read(&self, bytes: u64) {
        self.body_bytes.set(self.body_bytes.get() + bytes);
        if matches!(self.phase.get(), Phase::Upstream | Phase::Body) {
            self.upstream_awaited();
        }
    }

    /// An answer begins.
    pub(crate) fn response_begins(&self) {
        self.enter(Phase::Responding, None);
    }

    /// The answer's last byte was handed over.
    pub(crate) fn response_complete(&self) {
        self.enter(Phase::Flushing, None);
    }

    /// Everything written so far is with the system.
    pub(crate) fn flushed(&self) {
        if self.phase.get() == Phase::Flushing {
            self.enter(Phase::Idle, Some(self.timeouts.get().idle));
        }
    }

    /// The client accepts no bytes now.
    pub(crate) fn write_blocked(&self) {
        if self.write_deadline.get().is_none() {
            self.write_deadline.set(Some(Instant::now() + self.timeouts.get().write));
        }
    }

    /// The client accepted bytes.
    pub(crate) fn write_progressed(&self) {
        self.write_deadline.set(None);
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        [self.deadline.get(), self.write_deadline.get()].into_iter().flatten().min()
    }

    /// Notes and gives the deadline that has passed by `now`, if any.
    pub(crate) fn check(&self, now: Instant) -> Option<Expired> {
        let passed =
            |deadline: &Cell<Option<Instant>>| deadline.get().is_some_and(|deadline| deadline <= now);
        let expired = if passed(&self.write_deadline) {
            self.write_deadline.set(None);
            Expired::Write
        } else if passed(&self.deadline) {
            self.deadline.set(None);
            Expired::Phase(self.phase.get())
        } else {
            return None;
        };
        self.expired.set(Some(expired));
        Some(expired)
    }

    fn enter(&self, phase: Phase, limit: Option<Duration>) {
        self.phase.set(phase);
        self.deadline.set(limit.map(|limit| Instant::now() + limit));
    }
}

impl Timeouts {
    fn new(server: &Server, upstream: &Upstream) -> Self {
        Self {
            read_header: server.read_header_timeout.duration(),
            read: server.read_timeout.duration(),
            write: server.write_timeout.duration(),
            idle: server.idle_timeout.duration(),
            response_header: upstream.response_header_timeout.duration(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn deadlines() -> Deadlines {
        Deadlines::new(&Server::default(), &Upstream::default(), Instant::now())
    }

    async fn expires_after(deadlines: &Deadlines, seconds: u64) -> Option<Expired> {
        advance(Duration::from_secs(seconds)).await;
        deadlines.check(Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_the_time_of_a_head() {
        let deadlines = deadlines();
        assert_eq!(expires_after(&deadlines, 4).await, None);
        assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::New)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_first_byte_does_not_extend_the_time_of_a_head() {
        let deadlines = deadlines();
        advance(Duration::from_secs(4)).await;
        deadlines.bytes_read();
        assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::Head)));
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_heads_do_not_extend_their_time() {
        let deadlines = deadlines();
        deadlines.bytes_read();
        advance(Duration::from_secs(4)).await;
        deadlines.bytes_read();
        assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::Head)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_connection_has_the_idle_time() {
        let deadlines = deadlines();
        deadlines.head_complete();
        deadlines.response_begins();
        deadlines.response_complete();
        deadlines.flushed();
        assert_eq!(expires_after(&deadlines, 59).await, None);
        assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::Idle)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_expires_and_a_moving_one_does_not() {
        let deadlines = deadlines();
        deadlines.head_complete();
        deadlines.upstream_awaited();
        deadlines.body_begins();
        for _ in 0..10 {
            deadlines.body_awaited();
            assert_eq!(expires_after(&deadlines, 14).await, None);
            deadlines.body_bytes_read(1 << 20);
        }
        deadlines.body_awaited();
        assert_eq!(expires_after(&deadlines, 15).await, Some(Expired::Phase(Phase::Body)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dripping_body_expires() {
        let deadlines = deadlines();
        deadlines.head_complete();
        deadlines.upstream_awaited();
        deadlines.body_begins();
        for _ in 0..14 {
            deadlines.body_awaited();
            assert_eq!(expires_after(&deadlines, 1).await, None);
            deadlines.body_bytes_read(1);
        }
        deadlines.body_awaited();
        assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::Body)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_has_its_own_time_after_the_body() {
        let deadlines = deadlines();
        deadlines.head_complete();
        deadlines.upstream_awaited();
        deadlines.body_begins();
        deadlines.body_awaited();
        advance(Duration::from_secs(10)).await;
        deadlines.body_bytes_read(5);
        assert_eq!(expires_after(&deadlines, 14).await, None);
        assert_eq!(expires_after(&deadlines, 1).await, Some(Expired::Phase(Phase::Upstream)));
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_accept_nothing_expire_and_streams_that_pause_do_not() {
        let deadlines = deadlines();
        deadlines.head_complete();
        deadlines.response_begins();
        assert_eq!(expires_after(&deadlines, 3_600).await, None);
        deadlines.write_blocked();
        advance(Duration::from_secs(59)).await;
        deadlines.write_progressed();
        assert_eq!(expires_after(&deadlines, 3_600).await, None);
        deadlines.write_blocked();
        assert_eq!(expires_after(&deadlines, 60).await, Some(Expired::Write));
    }
}
