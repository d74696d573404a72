//! Connections to upstreams that wait for their next request: one pool for each worker, never locked.
//!
//! Bounds: what the file allows, divided among the workers, is what may wait for longer than a second; besides, as many
//! wait as were in use at once within that second. So a steady load with more connections than may wait does not close and open them with
//! each request. Those of upstreams that an edit has left behind have what room the others leave, for as long as the upstream may
//! come back. Whoever takes a connection finds out whether it still lives; those that nobody takes are looked after
//! by [`Pool::sweep`].

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    task::{Context, Waker},
    time::Duration,
};

use apigw_config::model::Upstream;
use apigw_engine::snapshot::UpstreamId;
use tokio::time::Instant;

use super::{by_upstream::ByUpstream, connection::Connection};

/// A connection that was used this lately counts as in use: another request may want it at once.
pub(super) const IN_USE: Duration = Duration::from_secs(1);

/// How many connections may wait, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    total: usize,
    per_upstream: usize,
    idle: Duration,
}

impl Limits {
    /// One worker's part of what the file allows: at least one connection where the file allows any.
    pub(crate) fn new(upstream: &Upstream, workers: usize) -> Self {
        let part = |all: u32| (all as usize).div_ceil(workers);
        Self {
            total: part(upstream.max_idle_connections),
            per_upstream: part(upstream.max_idle_connections_per_host),
            idle: upstream.idle_connection_timeout.duration(),
        }
    }

    /// How many may wait.
    pub(super) fn total(self) -> usize {
        self.total
    }

    /// How many may wait of one upstream.
    pub(super) fn per_upstream(self) -> usize {
        self.per_upstream
    }

    /// How long one may wait.
    pub(super) fn idle(self) -> Duration {
        self.idle
    }
}

/// The unused connections of one worker.
pub(crate) struct Pool {
    limits: Cell<Limits>,
    /// Oldest first.
    waiting: RefCell<ByUpstream<VecDeque<Connection>>>,
    count: Cell<usize>,
    /// When it was last swept: as exact as who waits for how long need be known, and no look at the clock for each request.
    now: Cell<Instant>,
}

impl Pool {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits: Cell::new(limits),
            waiting: RefCell::default(),
            count: Cell::new(0),
            now: Cell::new(Instant::now()),
        }
    }

    /// Takes other limits, and closes what leads to upstreams that are neither used nor among the `former`. What is over the limits
    /// goes with the next sweep.
    pub(crate) fn reconfigure(
        &self,
        limits: Limits,
        is_used: impl Fn(UpstreamId) -> bool,
        former: impl Iterator<Item = UpstreamId>,
    ) {
        self.limits.set(limits);
        let mut waiting = self.waiting.borrow_mut();
        waiting.reconfigure(is_used, former);
        self.count.set(waiting.values().map(VecDeque::len).sum());
    }

    /// The connection used last, if one is left that can send a request now.
    pub(crate) fn take(&self, upstream: UpstreamId, context: &mut Context<'_>) -> Option<Connection> {
        loop {
            let mut connection = self.pop(upstream)?;
            if connection.is_usable(context) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for a second at least, where any may wait at all.
    pub(crate) fn put(&self, mut connection: Connection) {
        let limits = self.limits.get();
        if limits.total == 0 || limits.per_upstream == 0 {
            return;
        }
        connection.set_last_used(self.now.get());
        self.waiting.borrow_mut().entry(connection.upstream()).push_back(connection);
        self.count.set(self.count.get() + 1);
    }

    /// Closes what has waited too long, what the upstream closed, and what is over the limits.
    pub(crate) fn sweep(&self, now: Instant) {
        self.now.set(now);
        let limits = self.limits.get();
        // Nobody waits for these connections: what comes on them is looked at in the next sweep.
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = self.waiting.borrow_mut();
        let mut count = 0;
        waiting.retain(|connections| {
            connections.retain_mut(|connection| {
                let is_fresh = now.duration_since(connection.last_used()) < limits.idle;
                is_fresh && connection.is_usable(&mut context)
            });
            let is_over = |waiting: usize| waiting > limits.per_upstream || count + waiting > limits.total;
            let is_unneeded = |oldest: &Connection| now.duration_since(oldest.last_used()) >= IN_USE;
            while is_over(connections.len()) && connections.front().is_some_and(is_unneeded) {
                connections.pop_front();
            }
            count += connections.len();
            !connections.is_empty()
        });
        self.count.set(count);
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    fn pop(&self, upstream: UpstreamId) -> Option<Connection> {
        let connection = self.waiting.borrow_mut().get_mut(upstream)?.pop_back()?;
        self.count.set(self.count.get() - 1);
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use apigw_config::{
        model::{self, GatewayConfig, Settings},
        names::{PathPrefix, RouteName, UpstreamUrl},
        wire::{Hash, Revision},
    };
    use apigw_engine::snapshot::Snapshot;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::socket::{Socket, stream::Stream};

    /// Connections of one upstream, with the far ends that keep them open.
    async fn connections(count: usize) -> (Vec<Connection>, Vec<TcpStream>) {
        connections_to(UpstreamId::default(), count).await
    }

    async fn connections_to(upstream: UpstreamId, count: usize) -> (Vec<Connection>, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            near.push(Connection::new(Socket::Plain(Stream::Tcp(stream)), upstream));
            far.push(listener.accept().await.unwrap().0);
        }
        (near, far)
    }

    fn pool(total: u32, per_upstream: u32) -> Pool {
        let upstream = Upstream {
            max_idle_connections: total,
            max_idle_connections_per_host: per_upstream,
            ..Upstream::default()
        };
        Pool::new(Limits::new(&upstream, 1))
    }

    fn take(pool: &Pool) -> Option<Connection> {
        pool.take(UpstreamId::default(), &mut Context::from_waker(Waker::noop()))
    }

    async fn kept(total: u32, per_upstream: u32, put: usize) -> usize {
        let pool = pool(total, per_upstream);
        let (near, _far) = connections(put).await;
        near.into_iter().for_each(|connection| pool.put(connection));
        pool.sweep(Instant::now() + IN_USE);
        iter::from_fn(|| take(&pool)).count()
    }

    #[tokio::test]
    async fn no_more_wait_than_the_limits_say() {
        assert_eq!(kept(100, 3, 3).await, 3);
        assert_eq!(kept(100, 3, 4).await, 3);
        assert_eq!(kept(2, 3, 4).await, 2);
        assert_eq!(kept(0, 3, 1).await, 0);
        assert_eq!(kept(100, 0, 1).await, 0);
    }

    #[tokio::test]
    async fn as_many_wait_as_were_just_in_use() {
        let pool = pool(2, 2);
        let (near, _far) = connections(5).await;
        near.into_iter().for_each(|connection| pool.put(connection));
        pool.sweep(Instant::now());
        assert_eq!(pool.count.get(), 5);
        pool.sweep(Instant::now() + IN_USE);
        assert_eq!(pool.count.get(), 2);
    }

    #[tokio::test]
    async fn upstreams_that_are_gone_leave_their_room() {
        let pool = pool(2, 2);
        let (near, _far) = connections(2).await;
        near.into_iter().for_each(|connection| pool.put(connection));
        pool.reconfigure(pool.limits.get(), |_| true, iter::empty());
        assert_eq!(pool.count.get(), 2);
        pool.reconfigure(pool.limits.get(), |_| false, iter::once(UpstreamId::default()));
        assert_eq!(pool.count.get(), 2);
        pool.reconfigure(pool.limits.get(), |_| false, iter::empty());
        assert_eq!(pool.count.get(), 0);
        assert!(take(&pool).is_none());
    }

    /// The ids of two upstreams.
    fn two_upstreams() -> [UpstreamId; 2] {
        let route = |number: u16| {
            let url = UpstreamUrl::new(&format!("http://127.0.0.1:{number}")).unwrap();
            let (name, prefix) = (format!("r{number}"), format!("/{number}"));
            model::Route::new(RouteName::new(&name).unwrap(), PathPrefix::new(&prefix).unwrap(), url)
        };
        let config = GatewayConfig::new(Settings::default(), vec![route(1), route(2)]).unwrap();
        let revision = Revision { epoch: 1, seq: 1, root_hash: Hash::of(b"x") };
        let snapshot = Snapshot::compile(config, revision, None).unwrap();
        let ids: Vec<_> = snapshot.upstreams().map(|upstream| upstream.id).collect();
        ids.try_into().unwrap()
    }

    #[tokio::test]
    async fn upstreams_that_may_come_back_have_what_room_is_left() {
        let ids = two_upstreams();
        for (former, comes_late) in ids.into_iter().flat_map(|id| [(id, false), (id, true)]) {
            let pool = pool(3, 3);
            let mut open = Vec::new();
            let edit = || pool.reconfigure(pool.limits.get(), |id| id != former, iter::once(former));
            if comes_late {
                edit();
            }
            for upstream in ids {
                let (near, far) = connections_to(upstream, 2).await;
                near.into_iter().for_each(|connection| pool.put(connection));
                open.extend(far);
            }
            if !comes_late {
                edit();
            }
            pool.sweep(Instant::now());
            assert_eq!(pool.count.get(), 4, "all were in use just now");
            pool.sweep(Instant::now() + IN_USE);
            let mut context = Context::from_waker(Waker::noop());
            for upstream in ids {
                let left = iter::from_fn(|| pool.take(upstream, &mut context)).count();
                assert_eq!(left, if upstream == former { 1 } else { 2 }, "{comes_late}");
            }
        }
    }

    #[tokio::test]
    async fn closed_connections_are_not_given_out() {
        let pool = pool(10, 10);
        let (near, mut far) = connections(2).await;
        near.into_iter().for_each(|connection| pool.put(connection));
        drop(far.pop());
        // The end of the newest reaches the pool with the runtime's next events.
        while pool.count.get() == 2 {
            tokio::task::yield_now().await;
            pool.sweep(Instant::now());
        }
        assert!(take(&pool).is_some());
        assert!(take(&pool).is_none());
    }

    #[tokio::test]
    async fn however_many_are_closed_none_is_given_out() {
        let pool = pool(300, 300);
        let (near, mut far) = connections(300).await;
        near.into_iter().for_each(|connection| pool.put(connection));
        far.truncate(1);
        for _ in 0..10 {
            // Their ends reach the pool with the runtime's next events.
            tokio::task::yield_now().await;
        }
        let mut taken = take(&pool).expect("the oldest is open");
        assert_eq!(pool.count.get(), 0, "the others are gone");
        assert!(taken.is_usable(&mut Context::from_waker(Waker::noop())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_closes_what_waited_too_long() {
        let pool = pool(10, 10);
        let (near, _far) = connections(2).await;
        let now = Instant::now();
        near.into_iter().for_each(|connection| pool.put(connection));
        pool.sweep(now + Duration::from_secs(89));
        assert_eq!(pool.count.get(), 2);
        pool.sweep(now + Duration::from_secs(91));
        assert_eq!(pool.count.get(), 0);
        assert!(take(&pool).is_none());
    }
}
