//! The connections of a worker, each in a task of its own: a panic ends its own connection, or its own stream of one, and
//! leaves nothing behind.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use rustc_hash::FxHashMap;
use tokio::task::spawn_local;

use super::{ListenerId, places::Place};
use crate::{
    connection::Control,
    metrics::{OpenConnection, WorkerCounters},
};

/// The most connections that are being told that there is no place for them. Further ones are closed at once.
const MOST_BEING_TURNED_AWAY: u32 = 256;

/// The connections that are open.
pub(super) struct Connections {
    served: RefCell<FxHashMap<u64, (ListenerId, Rc<Control>)>>,
    last: Cell<u64>,
    being_turned_away: Cell<u32>,
    counted: Arc<WorkerCounters>,
}

impl Connections {
    pub(super) fn new(counted: Arc<WorkerCounters>) -> Self {
        let (served, last, being_turned_away) = (RefCell::default(), Cell::default(), Cell::default());
        Self { served, last, being_turned_away, counted }
    }

    /// Starts to serve a connection that has a place.
    pub(super) fn serve<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        listener: ListenerId,
        place: Place,
        serve: impl FnOnce(Rc<Control>) -> F,
    ) {
        let number = self.last.get() + 1;
        self.last.set(number);
        let control = Rc::new(Control::default());
        self.served.borrow_mut().insert(number, (listener, Rc::clone(&control)));
        let counted = self.counted.client_connected();
        let registration =
            Registration { _counted: counted, _place: place, connections: Rc::clone(self), number };
        let served = serve(control);
        spawn_local(async move {
            let _registration = registration;
            served.await;
        });
    }

    /// Starts to tell a client that there is no place for it, unless there is no place for that either.
    pub(super) fn turn_away(self: &Rc<Self>, told: impl Future<Output = ()> + 'static) {
        self.counted.turned_away.add(1);
        let under_way = self.being_turned_away.get();
        if under_way == MOST_BEING_TURNED_AWAY {
            return;
        }
        self.being_turned_away.set(under_way + 1);
        let farewell = Farewell(Rc::clone(self));
        spawn_local(async move {
            let _farewell = farewell;
            told.await;
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.served.borrow().is_empty()
    }

    /// Lets the connections of a listener end when they are idle.
    pub(super) fn drain(&self, listener: ListenerId) {
        for (_, control) in self.served.borrow().values().filter(|(of, _)| *of == listener) {
            control.drain();
        }
    }
}

/// A connection's entry among the others; gone with the connection, also by a panic.
struct Registration {
    _counted: OpenConnection,
    _place: Place,
    connections: Rc<Connections>,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.served.borrow_mut().remove(&self.number);
    }
}

/// A client that is being told that there is no place.
struct Farewell(Rc<Connections>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.being_turned_away.set(self.0.being_turned_away.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        sync::oneshot,
        task::{LocalSet, yield_now},
    };

    use super::*;
    use crate::worker::places::Places;

    const LISTENER: ListenerId = ListenerId(1);

    #[tokio::test]
    async fn a_panic_ends_its_own_connection_and_gives_its_place_back() {
        let (places, counted) = (Places::default(), Arc::<WorkerCounters>::default());
        let connections = Rc::new(Connections::new(Arc::clone(&counted)));
        LocalSet::new()
            .run_until(async {
                let (go_on, told) = oneshot::channel::<()>();
                let place = places.take(2).expect("there are two");
                connections.serve(LISTENER, place, |_control| async {
                    assert!(told.await.is_ok());
                });
                let place = places.take(2).expect("there are two");
                connections.serve(LISTENER, place, |_control| async {
                    panic!("as a fault of the gateway would");
                });
                assert_eq!(counted.open.read(), 2);
                while counted.open.read() > 1 {
                    yield_now().await;
                }
                // The other one goes on, and its place alone is taken.
                assert!(!connections.is_empty());
                assert!(places.take(1).is_none() && places.take(2).is_some());
                go_on.send(()).expect("it waits");
                while !connections.is_empty() {
                    yield_now().await;
                }
            })
            .await;
        assert!(places.take(1).is_some());
    }

    #[tokio::test]
    async fn a_panic_while_turning_away_leaves_room_for_the_next_one() {
        let connections = Rc::new(Connections::new(Arc::default()));
        LocalSet::new()
            .run_until(async {
                for _ in 0..=MOST_BEING_TURNED_AWAY {
                    connections.turn_away(async { panic!("as a fault of the gateway would") });
                }
                assert_eq!(connections.being_turned_away.get(), MOST_BEING_TURNED_AWAY);
                while connections.being_turned_away.get() > 0 {
                    yield_now().await;
                }
            })
            .await;
    }
}
