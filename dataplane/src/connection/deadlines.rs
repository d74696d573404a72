//! What a connection is waiting for, and until when.
//!
//! One timer serves a connection for its whole life: noting a phase writes a few cells, and only the timer's owner, when
//! it fires, looks which deadline really holds. So a request that is on time costs no timer operation at all.

use std::{cell::Cell, time::Duration};

use apigw_config::{
    model::{self, Server, Upstream},
    names::Period,
};
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
    /// The gateway itself is at work, under deadlines of the work's own.
    Working,
    /// The upstream is to take the request and to begin its answer.
    Upstream,
    /// The answer is on its way.
    Responding,
    /// The client and the upstream speak with each other.
    Tunnel,
    /// The answer is complete but not yet with the client, or the client still sends its request.
    Flushing,
}

/// A deadline that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The deadline of this phase.
    Phase(Phase),
    /// No byte of the request's body came for too long.
    Body,
    /// The client accepted no byte for too long.
    Write,
    /// The time for the whole exchange is over.
    Exchange(Limit),
    /// Nothing has: it is time to look whether the client is still there.
    Look,
}

/// Who says how long an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The client, of its own request.
    Caller,
    /// The route.
    Route,
}

/// The configured limits, as durations.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    read_header: Duration,
    read: Duration,
    write: Duration,
    idle: Duration,
    websocket_idle: Duration,
    response_header: Duration,
}

/// Deadlines of one client connection. Shared by the parts of one task, hence the cells.
#[derive(Debug)]
pub(crate) struct Deadlines {
    timeouts: Cell<Timeouts>,
    /// When the connection's task was last woken: for all that follows until it sleeps again, that is the time. One look at
    /// the clock serves a whole judgement.
    now: Cell<Instant>,
    phase: Cell<Phase>,
    /// Of the phase.
    deadline: Cell<Option<Instant>>,
    /// Set while the request's body is awaited from the client, whatever the phase.
    body_deadline: Cell<Option<Instant>>,
    /// Set while the client accepts no bytes, whatever the phase.
    write_deadline: Cell<Option<Instant>>,
    /// Set while the client waits for an answer: what it sends ahead hides its end, or a body that the upstream does not take.
    look: Cell<Option<Instant>>,
    /// Set while an exchange is under way that may take only so long, whatever the phase.
    exchange_deadline: Cell<Option<Instant>>,
    /// Who set it.
    exchange_limit: Cell<Limit>,
    /// Since when the client accepts no bytes, and for how long it accepted none before, of the present answer.
    blocked_since: Cell<Option<Instant>>,
    blocked_before: Cell<Duration>,
    /// How many upstreams are asked at once.
    asked: Cell<Asked>,
    /// Of the present request.
    expired: Cell<Option<Expired>>,
    /// When the connection, or the present body, began.
    since: Cell<Instant>,
    body: Cell<Body>,
    /// When the last of the present request's body came; none: it has none.
    body_ended: Cell<Option<Instant>>,
}

/// Whether an upstream is asked beside another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    One,
    Two,
}

/// How far the present request's body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// There is none, or it has ended.
    Ended,
    /// Nobody has asked for it yet.
    Unread,
    /// This many bytes have come.
    Read(u64),
}

/// A body slower than this, over more than the read timeout, counts as not arriving.
const MINIMUM_BODY_BYTES_PER_SECOND: u64 = 1_024;

/// How often it is looked whether a client still waits for its answer.
const LOOK: Duration = Duration::from_secs(5);

/// A client that accepts no bytes for this long, altogether, has held up its answer, and with it the upstream.
const HELD_UP: Duration = Duration::from_secs(1);

/// How long a new connection may take to speak when its listener has closed.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Deadlines {
    /// Creates the deadlines of a connection just accepted.
    pub(crate) fn new(server: &Server, upstream: &Upstream, now: Instant) -> Self {
        let timeouts = Timeouts::new(server, upstream);
        Self {
            timeouts: Cell::new(timeouts),
            now: Cell::new(now),
            phase: Cell::new(Phase::New),
            deadline: Cell::new(Some(now + timeouts.read_header.min(timeouts.idle))),
            body_deadline: Cell::new(None),
            write_deadline: Cell::new(None),
            look: Cell::new(None),
            exchange_deadline: Cell::new(None),
            exchange_limit: Cell::new(Limit::Caller),
            blocked_since: Cell::new(None),
            blocked_before: Cell::new(Duration::ZERO),
            asked: Cell::new(Asked::One),
            expired: Cell::new(None),
            since: Cell::new(now),
            body: Cell::new(Body::Ended),
            body_ended: Cell::new(None),
        }
    }

    /// Takes the limits of the snapshot that judges the present request.
    pub(crate) fn set_timeouts(&self, server: &Server, upstream: &Upstream) {
        self.timeouts.set(Timeouts::new(server, upstream));
    }

    /// The connection's task has been woken, at this time.
    pub(crate) fn wake(&self, now: Instant) {
        self.now.set(now);
    }

    /// The time, as of the last waking.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Whether a request is at work and no answer has begun.
    pub(crate) fn is_awaiting_answer(&self) -> bool {
        matches!(self.phase.get(), Phase::Working | Phase::Upstream)
    }

    /// Whether no byte has come yet.
    pub(crate) fn is_new(&self) -> bool {
        self.phase.get() == Phase::New
    }

    /// The deadline of the present request that was found to have passed, if any.
    pub(crate) fn expired(&self) -> Option<Expired> {
        self.expired.get()
    }

    /// The connection's listener has closed: a connection that has said nothing must do so soon.
    pub(crate) fn hurry(&self) {
        if self.is_new() {
            let soon = self.now() + LAST_WORD;
            self.deadline.set(self.deadline.get().map(|deadline| deadline.min(soon)));
        }
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
        self.expired.set(None);
        self.asked.set(Asked::One);
        self.body_ended.set(None);
        self.exchange_deadline.set(None);
        self.blocked_before.set(Duration::ZERO);
        self.enter(Phase::Working, None);
    }

    /// Takes what the route says in place of the settings. Its time for an exchange runs from now on.
    pub(crate) fn follow_route(&self, route: &model::Timeouts) {
        let mut timeouts = self.timeouts.get();
        let replace = |timeout: &mut Duration, own: Option<Period>| {
            *timeout = own.map_or(*timeout, Period::duration);
        };
        replace(&mut timeouts.response_header, route.first_byte);
        replace(&mut timeouts.websocket_idle, route.idle);
        self.timeouts.set(timeouts);
        if let Some(total) = route.total {
            self.limit_exchange(total.duration(), Limit::Route);
        }
    }

    /// The exchange may take this long, from now; of several limits the nearest holds.
    pub(crate) fn limit_exchange(&self, time: Duration, limit: Limit) {
        // One that is too far away to be named never comes.
        let Some(deadline) = self.now().checked_add(time) else { return };
        if self.exchange_deadline.get().is_none_or(|nearest| deadline < nearest) {
            self.exchange_deadline.set(Some(deadline));
            self.exchange_limit.set(limit);
        }
    }

    /// How long the exchange may still take, if there is a limit.
    pub(crate) fn exchange_time_left(&self) -> Option<Duration> {
        self.exchange_deadline.get().map(|deadline| deadline.saturating_duration_since(self.now()))
    }

    /// Whose time for the exchange is over, if it is.
    pub(crate) fn overdue(&self) -> Option<Limit> {
        match self.expired.get() {
            Some(Expired::Exchange(limit)) => Some(limit),
            _ => None,
        }
    }

    /// Whether the upstream is waited for, and neither the client's body nor a connection.
    pub(crate) fn is_upstream_awaited(&self) -> bool {
        self.phase.get() == Phase::Upstream && self.deadline.get().is_some()
    }

    /// How many bytes of the request's body have come.
    pub(crate) fn body_bytes(&self) -> u64 {
        match self.body.get() {
            Body::Read(bytes) => bytes,
            Body::Ended | Body::Unread => 0,
        }
    }

    /// Since when all of the request has come; none: some of it is still awaited. `since` is when its head had come.
    pub(crate) fn whole_since(&self, since: Instant) -> Option<Instant> {
        match (self.body.get(), self.body_ended.get()) {
            (Body::Ended, ended) => Some(ended.map_or(since, |ended| ended.max(since))),
            (Body::Unread | Body::Read(_), _) => None,
        }
    }

    /// The request has a body, which is still to be read.
    pub(crate) fn body_begins(&self) {
        self.body.set(Body::Unread);
    }

    /// A connection to the upstream is being made, under a limit of its own.
    pub(crate) fn connecting(&self) {
        // Another one may be waited for, and for no longer than before.
        if self.asked.get() == Asked::One {
            self.enter(Phase::Working, None);
        }
    }

    /// A second upstream is asked while the first may still answer.
    pub(crate) fn hedge_begins(&self) {
        self.asked.set(Asked::Two);
    }

    /// The request goes to an upstream that is to answer.
    pub(crate) fn upstream_awaited(&self) {
        self.enter(Phase::Upstream, Some(self.timeouts.get().response_header));
    }

    /// An attempt to send the request has ended, and nothing is awaited of what it waited for.
    pub(crate) fn attempt_ends(&self) {
        self.asked.set(Asked::One);
        self.body_deadline.set(None);
        if let Some(Expired::Phase(_)) = self.expired.get() {
            self.expired.set(None);
        }
        self.enter(Phase::Working, None);
    }

    /// More of the body is awaited from the client, and meanwhile nothing from the upstream.
    pub(crate) fn body_awaited(&self) {
        let now = self.now();
        let bytes = match self.body.get() {
            Body::Read(bytes) => bytes,
            Body::Unread | Body::Ended => {
                self.since.set(now);
                self.body.set(Body::Read(0));
                0
            }
        };
        let read = self.timeouts.get().read;
        let allowance = Duration::from_secs(bytes / MINIMUM_BODY_BYTES_PER_SECOND);
        self.body_deadline.set(Some((now + read).min(self.since.get() + read + allowance)));
        if self.phase.get() == Phase::Upstream {
            self.deadline.set(None);
        }
    }

    /// Some of the body came; it is the upstream's turn to take it.
    pub(crate) fn body_bytes_read(&self, bytes: u64) {
        let before = match self.body.get() {
            Body::Read(before) => before,
            Body::Unread | Body::Ended => {
                self.since.set(self.now());
                0
            }
        };
        self.body.set(Body::Read(before + bytes));
        self.body_moved();
    }

    /// The body has ended, or nobody wants the rest of it.
    pub(crate) fn body_ends(&self) {
        if self.body.replace(Body::Ended) != Body::Ended {
            self.body_ended.set(Some(self.now()));
            self.body_moved();
        }
    }

    /// An answer begins.
    pub(crate) fn response_begins(&self) {
        self.enter(Phase::Responding, None);
    }

    /// A tunnel begins. What limits an exchange was for the request that opened it.
    pub(crate) fn tunnel_begins(&self) {
        self.exchange_deadline.set(None);
        self.tunnel_moved();
    }

    /// Bytes have passed through a tunnel.
    pub(crate) fn tunnel_moved(&self) {
        self.enter(Phase::Tunnel, Some(self.timeouts.get().websocket_idle));
    }

    /// The answer's last byte was handed over.
    pub(crate) fn response_complete(&self) {
        self.exchange_deadline.set(None);
        self.enter(Phase::Flushing, None);
    }

    /// The client has its answer, and nobody wants what it still sends of its request: all of that is to come within the time
    /// for a body.
    pub(crate) fn rest_awaited(&self) {
        self.enter(Phase::Flushing, Some(self.timeouts.get().read));
    }

    /// Everything written so far is with the system.
    pub(crate) fn flushed(&self) {
        if self.phase.get() == Phase::Flushing && self.body.get() == Body::Ended {
            self.enter(Phase::Idle, Some(self.timeouts.get().idle));
        }
    }

    /// Whether the client accepts no bytes.
    pub(crate) fn is_write_blocked(&self) -> bool {
        self.write_deadline.get().is_some()
    }

    /// The client accepts no bytes now.
    pub(crate) fn write_blocked(&self) {
        if self.write_deadline.get().is_none() {
            let now = self.now();
            self.write_deadline.set(Some(now + self.timeouts.get().write));
            self.blocked_since.set(Some(now));
        }
    }

    /// The client accepted bytes.
    pub(crate) fn write_progressed(&self) {
        self.write_deadline.set(None);
        if let Some(since) = self.blocked_since.take() {
            self.blocked_before.set(self.blocked_before.get() + (self.now() - since));
        }
    }

    /// Whether the client has held up the present answer: an upstream that gave up sending it may have run out of patience
    /// with the client.
    pub(crate) fn was_held_up(&self) -> bool {
        let blocked = self.blocked_since.get().map_or(Duration::ZERO, |since| self.now() - since);
        self.blocked_before.get() + blocked >= HELD_UP
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        let deadlines =
            [&self.deadline, &self.body_deadline, &self.write_deadline, &self.exchange_deadline, &self.look];
        deadlines.into_iter().filter_map(Cell::get).min()
    }

    /// Notes and gives a deadline that has passed by `now`, if any.
    pub(crate) fn check(&self, now: Instant) -> Option<Expired> {
        let passed = |deadline: &Cell<Option<Instant>>| {
            let passed = deadline.get().is_some_and(|deadline| deadline <= now);
            if passed {
                deadline.set(None);
            }
            passed
        };
        let expired = if passed(&self.write_deadline) {
            Expired::Write
        } else if passed(&self.exchange_deadline) {
            Expired::Exchange(self.exchange_limit.get())
        } else if passed(&self.body_deadline) {
            Expired::Body
        } else if passed(&self.deadline) {
            Expired::Phase(self.phase.get())
        } else {
            let looks = passed(&self.look);
            if looks {
                self.look.set(Some(now + LOOK));
            }
            return looks.then_some(Expired::Look);
        };
        self.expired.set(Some(expired));
        Some(expired)
    }

    fn body_moved(&self) {
        self.body_deadline.set(None);
        if self.phase.get() == Phase::Upstream {
            self.upstream_awaited();
        }
    }

    fn enter(&self, phase: Phase, limit: Option<Duration>) {
        self.phase.set(phase);
        self.deadline.set(limit.map(|limit| self.now() + limit));
        let is_waited_for = matches!(phase, Phase::Upstream | Phase::Responding);
        self.look.set(is_waited_for.then(|| self.now() + LOOK));
    }
}

impl Timeouts {
    fn new(server: &Server, upstream: &Upstream) -> Self {
        Self {
            read_header: server.read_header_timeout.duration(),
            read: server.read_timeout.duration(),
            write: server.write_timeout.duration(),
            idle: server.idle_timeout.duration(),
            websocket_idle: server.websocket_idle_timeout.duration(),
            response_header: upstream.response_header_timeout.duration(),
        }
    }
}

#[cfg(test)]
mod tests;
