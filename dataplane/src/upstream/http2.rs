//! One worker's HTTP/2 connections to upstreams (RFC 9113): h2 knows the frames. Requests share a connection, as many as both
//! sides allow; a further one opens the next connection. Nobody waits for a place, but all wait for a connection that is
//! being opened.

/// One connection.
mod link;
/// A connection that is being opened, for all that wait for it.
mod dialling;
/// What is heard on a connection.
mod watched;
/// Whether anybody is there.
mod keepalive;
/// A request on its way.
mod upload;
/// One request and its answer.
pub(super) mod stream;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use apigw_engine::{rejection::UpstreamFailure, snapshot::UpstreamId};
use tokio::time::{Instant, timeout};

use self::dialling::{Dialling, Turn};
pub(super) use self::link::{Link, Place};
use super::{
    by_upstream::ByUpstream,
    pool::{IN_USE, Limits},
};

/// The most connections of a worker to one upstream.
const MAX_LINKS: usize = 100;

/// All connections of a worker that speak HTTP/2.
pub(super) struct Links {
    limits: Cell<Limits>,
    ways: RefCell<ByUpstream<Rc<Way>>>,
    idle: Cell<usize>,
}

/// The connections to one upstream.
#[derive(Default)]
struct Way {
    links: RefCell<Vec<Rc<Link>>>,
    dialling: RefCell<Option<Rc<Dialling>>>,
}

impl Links {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits: Cell::new(limits), ways: RefCell::default(), idle: Cell::new(0) }
    }

    /// Takes other limits, and lets go of what leads to upstreams that are neither used nor among the `former`; requests under way
    /// end there.
    pub(super) fn reconfigure(
        &self,
        limits: Limits,
        is_used: impl Fn(UpstreamId) -> bool,
        former: impl Iterator<Item = UpstreamId>,
    ) {
        self.limits.set(limits);
        self.ways.borrow_mut().reconfigure(is_used, former);
    }

    /// A place for a request on a connection that there is.
    pub(super) fn free_place(&self, upstream: UpstreamId) -> Option<Place> {
        self.ways.borrow().get(upstream)?.free_place()
    }

    /// A place for a request, on a connection that has one or on a new one. `open` may take as long as `limit`.
    ///
    /// # Errors
    /// When no connection could be opened, in time, or none may.
    pub(super) async fn place(
        &self,
        upstream: UpstreamId,
        limit: Duration,
        open: impl AsyncFn() -> Result<Link, UpstreamFailure>,
    ) -> Result<Place, UpstreamFailure> {
        let way = Rc::clone(self.ways.borrow_mut().entry(upstream));
        // Others may give up what this request waits for, one after the other.
        let found = timeout(limit, way.place_on_new(&open)).await;
        found.unwrap_or(Err(UpstreamFailure::ConnectTimeout))
    }

    /// Closes what has waited too long, and what is over the limits; counts what waits.
    pub(super) fn sweep(&self, now: Instant) {
        let limits = self.limits.get();
        let mut idle = 0;
        self.ways.borrow_mut().retain(|way| {
            let mut links = way.links.borrow_mut();
            let mut waiting = 0;
            links.retain(|link| {
                let Some(unused) = link.unused_for(now) else { return link.is_open() };
                let is_over = waiting >= limits.per_upstream() || idle + waiting >= limits.total();
                let is_kept = link.is_open() && unused < limits.idle() && (unused < IN_USE || !is_over);
                waiting += usize::from(is_kept);
                is_kept
            });
            idle += waiting;
            !links.is_empty() || way.dialling.borrow().is_some()
        });
        self.idle.set(idle);
    }

    /// How many wait, as of the last sweep.
    pub(super) fn idle(&self) -> usize {
        self.idle.get()
    }
}

impl Way {
    /// A place on a connection that has one, if there is any.
    fn free_place(&self) -> Option<Place> {
        let mut links = self.links.borrow_mut();
        links.retain(|link| link.is_open());
        links.iter().find_map(Link::take_place)
    }

    /// Opens a connection, or waits for the one that somebody else is opening; what that one fails by, all fail by.
    async fn place_on_new(
        &self,
        open: &impl AsyncFn() -> Result<Link, UpstreamFailure>,
    ) -> Result<Place, UpstreamFailure> {
        loop {
            if let Some(place) = self.free_place() {
                return Ok(place);
            }
            match dialling::turn(&self.dialling) {
                Turn::Wait(dialling) => dialling.ended().await?,
                Turn::Dial(dial) => {
                    if self.links.borrow().len() >= MAX_LINKS {
                        return Err(UpstreamFailure::Busy);
                    }
                    let opened = open().await.map(Rc::new);
                    // Whoever opens it has the first place, if it has any.
                    let place = opened.as_ref().map(Link::take_place);
                    self.links.borrow_mut().extend(opened.as_ref().ok().map(Rc::clone));
                    dial.end(opened.as_ref().map_or_else(|failure| Err(*failure), |_| Ok(())));
                    return place.map_err(|failure| *failure)?.ok_or(UpstreamFailure::Busy);
                }
            }
        }
    }
}
