//! A connection that is being opened by one request and waited for by others. Whoever opens it may go away; then the next one
//! begins anew.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use apigw_engine::rejection::UpstreamFailure;
use tokio::sync::Notify;

/// How an attempt ended; none: it has not, or whoever made it has gone.
type Outcome = Option<Result<(), UpstreamFailure>>;

/// An attempt to open a connection.
#[derive(Default)]
pub(super) struct Dialling {
    outcome: Cell<Outcome>,
    ended: Notify,
}

/// What a request that needs a new connection is to do.
pub(super) enum Turn<'a> {
    /// Open one, and tell the others.
    Dial(Dial<'a>),
    /// Wait for the one that is being opened.
    Wait(Rc<Dialling>),
}

/// The duty to open a connection. Dropped without an outcome, it falls to the next one.
pub(super) struct Dial<'a> {
    dialling: Rc<Dialling>,
    place: &'a RefCell<Option<Rc<Dialling>>>,
}

/// Whose turn it is.
pub(super) fn turn(place: &RefCell<Option<Rc<Dialling>>>) -> Turn<'_> {
    let mut present = place.borrow_mut();
    match &*present {
        Some(dialling) => Turn::Wait(Rc::clone(dialling)),
        None => {
            let dialling = Rc::clone(present.insert(Rc::default()));
            Turn::Dial(Dial { dialling, place })
        }
    }
}

impl Dialling {
    /// Waits for its end. Without an outcome there is nothing to be told: somebody has to begin anew.
    ///
    /// # Errors
    /// What it failed by.
    pub(super) async fn ended(&self) -> Result<(), UpstreamFailure> {
        // Made first: from now on no end is missed.
        let ended = self.ended.notified();
        if let Some(outcome) = self.outcome.get() {
            return outcome;
        }
        ended.await;
        self.outcome.get().unwrap_or(Ok(()))
    }
}

impl Dial<'_> {
    /// Tells all that wait.
    pub(super) fn end(self, outcome: Result<(), UpstreamFailure>) {
        self.dialling.outcome.set(Some(outcome));
    }
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        *self.place.borrow_mut() = None;
        self.dialling.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What somebody hears who waits for an attempt, and whose turn it is then.
    async fn heard(end: impl FnOnce(Dial<'_>)) -> (Result<(), UpstreamFailure>, bool) {
        let place = RefCell::default();
        let Turn::Dial(dial) = turn(&place) else { panic!("the first one opens") };
        let Turn::Wait(waited) = turn(&place) else { panic!("the second one waits") };
        let (heard, ()) = tokio::join!(waited.ended(), async { end(dial) });
        (heard, matches!(turn(&place), Turn::Dial(_)))
    }

    #[tokio::test]
    async fn an_attempt_that_is_given_up_falls_to_the_next_one() {
        let given_up = heard(|dial| {
            let _gone = dial;
        });
        assert_eq!(given_up.await, (Ok(()), true));
    }

    #[tokio::test]
    async fn what_an_attempt_fails_by_all_fail_by() {
        let failed = heard(|dial| dial.end(Err(UpstreamFailure::Connect))).await;
        assert_eq!(failed, (Err(UpstreamFailure::Connect), true));
    }
}
