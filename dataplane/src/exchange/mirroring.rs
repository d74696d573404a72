//! A copy of a request for another backend. Whatever becomes of it is counted, and nobody else hears of it.
//!
//! The request waits for nothing of it: a copy is a task of its own, which begins when all of the request's body has passed; it
//! holds no more than is bounded here, and what is over the bound is not copied.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use apigw_config::model::Mirror;
use apigw_engine::{
    head::RequestHead,
    path::NormalPath,
    snapshot::{Endpoint, Route, RouteId, Slot},
    target,
};
use bytes::Bytes;
use http::{Method, header::UPGRADE};
use rustc_hash::FxHashMap;
use tokio::{
    task::spawn_local,
    time::{Instant, timeout_at},
};

use super::{
    attempts::readdress,
    record::Record,
    request_body::{ClientBody, RequestBody},
};
use crate::{
    connection::deadlines::Deadlines,
    metrics::RouteCounters,
    worker::{View, Worker},
};

/// How many copies a worker is at: of one route, lest one slow backend takes the places of all, and altogether.
const MAX_OF_ROUTE: usize = 64;
const MAX_OF_ALL: usize = 256;

/// How many more wait for bodies, each of which may hold what is copied of one. Apart, since they wait for their clients: who sends
/// slowly keeps nobody else's copies back.
const MAX_WAITING: usize = 256;

/// How long a copy may take, from its beginning to the end of its answer.
const MAX_TIME: Duration = Duration::from_secs(15);

/// What is read of an answer, so that its connection can be used again. One that is longer costs the connection.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Whatever the answer was.
    Answered,
    /// The upstream could not be asked, or gave no answer.
    Failed,
    Overdue,
    /// As many are under way as may be.
    NoRoom,
    BodyTooLarge,
    /// The request was not sent to its end.
    BodyIncomplete,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Overdue => "overdue",
            Self::NoRoom => "no_room",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyIncomplete => "body_incomplete",
        }
    }
}

/// The copies that one worker is at.
#[derive(Debug, Default)]
pub(crate) struct Copies(RefCell<Counts>);

#[derive(Debug, Default)]
struct Counts {
    waiting: usize,
    all: usize,
    /// A route without copies has no entry.
    of_routes: FxHashMap<RouteId, usize>,
}

/// One that waits for a body.
struct WaitingPlace(Rc<Worker>);

/// One that is under way.
struct Place {
    worker: Rc<Worker>,
    route: RouteId,
}

impl Copies {
    fn admit(&self, route: RouteId) -> bool {
        let Counts { all, of_routes, .. } = &mut *self.0.borrow_mut();
        let of_route = of_routes.get(&route).copied().unwrap_or(0);
        let is_free = *all < MAX_OF_ALL && of_route < MAX_OF_ROUTE;
        if is_free {
            *all += 1;
            of_routes.insert(route, of_route + 1);
        }
        is_free
    }

    fn release(&self, route: RouteId) {
        let Counts { all, of_routes, .. } = &mut *self.0.borrow_mut();
        *all -= 1;
        if let Some(of_route) = of_routes.get_mut(&route) {
            *of_route -= 1;
            if *of_route == 0 {
                of_routes.remove(&route);
            }
        }
    }
}

impl WaitingPlace {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let Counts { waiting, .. } = &mut *worker.copies.0.borrow_mut();
        (*waiting < MAX_WAITING).then(|| {
            *waiting += 1;
            Self(Rc::clone(worker))
        })
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        let Self(worker) = self;
        worker.copies.0.borrow_mut().waiting -= 1;
    }
}

impl Place {
    fn take(worker: &Rc<Worker>, route: RouteId) -> Option<Self> {
        worker.copies.admit(route).then(|| Self { worker: Rc::clone(worker), route })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.worker.copies.release(self.route);
    }
}

/// A copy that waits until all of the request's body has come.
pub(crate) struct WaitingCopy {
    /// None: it waits no more.
    copy: Option<Box<Copy>>,
    counters: Arc<RouteCounters>,
}

/// All that a copy needs but its body.
struct Copy {
    place: WaitingPlace,
    view: Rc<View>,
    route: (RouteId, Slot),
    endpoint: Endpoint,
    head: RequestHead,
    coding: Coding,
}

/// How the body comes that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    AsSent,
    Base64,
}

/// Has a request sent to another backend as well, where its route says so of this one. Gives the body to be sent.
pub(super) fn copy(
    worker: &Rc<Worker>,
    view: &Rc<View>,
    route: &Route<'_>,
    record: &Record,
    head: &RequestHead,
    body: RequestBody,
) -> RequestBody {
    let Some(mirror) = &route.config.mirror else { return body };
    // A WebSocket is no request that two could answer.
    let is_copied = head.method != Method::CONNECT && head.headers.get(UPGRADE).is_none();
    if !is_copied || worker.random.borrow_mut().f64() * 100.0 >= mirror.percent.get() {
        return body;
    }
    let counters = worker.counters_of(route);
    let Some(place) = WaitingPlace::take(worker) else {
        counters.count_copy(Outcome::NoRoom.as_str());
        return body;
    };
    let Some(copy) = Copy::new(place, view, (mirror, route), record, head) else {
        counters.count_copy(Outcome::Failed.as_str());
        return body;
    };
    body.copied(WaitingCopy { copy: Some(Box::new(copy)), counters })
}

impl Copy {
    /// None: the backend cannot be asked for this path.
    fn new(
        place: WaitingPlace,
        view: &Rc<View>,
        (mirror, route): (&Mirror, &Route<'_>),
        record: &Record,
        head: &RequestHead,
    ) -> Option<Self> {
        let snapshot = view.snapshot();
        let backend = snapshot.backend(&mirror.backend)?;
        let (asked, former) = record.asked()?;
        let path = NormalPath::new(asked.path(), snapshot.settings().server.paths).ok()?;
        let uri = target::upstream_target(asked, &path, route, backend, snapshot).ok()?;
        let mut head = RequestHead { uri, ..head.clone() };
        let affinity = backend.take_affinity(&mut head.headers, record.client());
        let endpoint = place.0.endpoint(backend, affinity).clone();
        readdress(&mut head, former, &endpoint.upstream);
        Some(Self {
            view: Rc::clone(view),
            route: (route.id, route.slot),
            endpoint,
            head,
            coding: Coding::AsSent,
            place,
        })
    }

    async fn send(self, place: Place, body: Bytes) -> Outcome {
        let Self { place: waited, view, route: (_, route), endpoint, head, coding } = self;
        drop(waited);
        // How it fares has no consequences for the endpoint, which may have requests that somebody waits for; only that it is busy.
        let endpoint_use = endpoint.begin();
        let (snapshot, now) = (view.snapshot(), Instant::now());
        let settings = snapshot.settings();
        let deadlines = Rc::new(Deadlines::new(&settings.server, &settings.upstream, now));
        let body = ClientBody::Whole(Box::new(body));
        let Ok(body) = RequestBody::new(body, u64::MAX, (&view, route), &deadlines) else {
            return Outcome::BodyTooLarge;
        };
        let body = if coding == Coding::Base64 { body.decoded() } else { body };
        let sent = place.worker.upstreams.send((snapshot, None), &endpoint.upstream, &head, body, &deadlines);
        let outcome = match timeout_at(now + MAX_TIME, sent).await {
            Ok(Ok(response)) => {
                // It was answered; what else it says is of no use to anybody.
                let _ = timeout_at(now + MAX_TIME, response.body.discard(MAX_ANSWER_BYTES)).await;
                Outcome::Answered
            }
            Ok(Err(_)) => Outcome::Failed,
            Err(_elapsed) => Outcome::Overdue,
        };
        drop(endpoint_use);
        outcome
    }
}

impl WaitingCopy {
    /// The body comes in base64, and is sent as what it means.
    pub(super) fn decode(&mut self) {
        self.copy.iter_mut().for_each(|copy| copy.coding = Coding::Base64);
    }

    /// All of the body has come.
    pub(super) fn begin(mut self, body: Bytes) {
        if let Some(copy) = self.copy.take() {
            let counters = Arc::clone(&self.counters);
            let (id, _) = copy.route;
            let Some(place) = Place::take(&copy.place.0, id) else {
                return counters.count_copy(Outcome::NoRoom.as_str());
            };
            spawn_local(async move { counters.count_copy(copy.send(place, body).await.as_str()) });
        }
    }

    /// It will not be sent.
    pub(super) fn give_up(mut self, outcome: Outcome) {
        self.copy = None;
        self.counters.count_copy(outcome.as_str());
    }
}

impl Drop for WaitingCopy {
    fn drop(&mut self) {
        if self.copy.is_some() {
            self.counters.count_copy(Outcome::BodyIncomplete.as_str());
        }
    }
}
