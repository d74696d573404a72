//! The streams of a connection that are under way: at most as many as a client may have, each in a place of its own that its task
//! holds until it ends.

use std::{rc::Rc, task::Waker};

use apigw_engine::fields::Fields;
use tokio::time::Instant;

use super::content::Content;
use crate::{
    connection::deadlines::Deadlines,
    http2::{
        frame::Ends,
        window::{ReceiveWindow, SendWindow},
    },
};

/// A connection that has no streams keeps room for so many.
const KEPT_PLACES: usize = 8;

/// One direction of a stream (RFC 9113 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Open,
    Ended,
}

/// Whether a stream is still one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Alive,
    /// One side has taken it back, or the connection has ended. Its task is to end.
    Over,
}

/// A stream that has a task.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) fate: Fate,
    /// What wakes its task; none: that has not run yet.
    pub(super) task: Option<Waker>,
    pub(super) deadlines: Rc<Deadlines>,
    /// What the client says,
    pub(super) request: Half,
    /// and what it is told.
    pub(super) answer: Half,
    pub(super) content: Content,
    pub(super) trailers: Option<Fields>,
    /// How much of the body is still to come; none: its length was not told.
    pub(super) remaining: Option<u64>,
    pub(super) receive: ReceiveWindow,
    pub(super) send: SendWindow,
    pub(super) wish: Wish,
}

/// What a stream would send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// So many bytes.
    pub(super) bytes: usize,
    /// How many of them it may send now; the windows and the room for them are its own already.
    pub(super) granted: usize,
    /// Whether it stands in the queue for that.
    pub(super) is_queued: bool,
}

/// What is known of a stream that begins.
pub(super) struct Opening {
    pub(super) id: u32,
    pub(super) ends: Ends,
    pub(super) length: Option<u64>,
}

impl Stream {
    pub(super) fn new(opening: &Opening, deadlines: Rc<Deadlines>, receive: u32, send: u32) -> Self {
        Self {
            id: opening.id,
            fate: Fate::Alive,
            task: None,
            deadlines,
            request: if opening.ends == Ends::Here { Half::Ended } else { Half::Open },
            answer: Half::Open,
            content: Content::default(),
            trailers: None,
            remaining: opening.length,
            receive: ReceiveWindow::new(receive),
            send: SendWindow::new(send),
            wish: Wish::default(),
        }
    }

    /// Lets its task run.
    pub(super) fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Whether all of the request has been taken.
    pub(super) fn is_read(&self) -> bool {
        self.request == Half::Ended && self.content.is_empty() && self.trailers.is_none()
    }

    /// Whether as much has come as the head has said, and the end has not been said. The last byte is for nobody then: if more
    /// comes the request is malformed, and an upstream that counts bytes would have taken it for whole.
    pub(super) fn awaits_end(&self) -> bool {
        self.request == Half::Open && self.remaining == Some(0)
    }

    /// So many bytes of the body have come.
    ///
    /// # Errors
    /// When they are more than there were to be, or fewer and no more come (RFC 9113 section 8.1.1).
    pub(super) fn count(&mut self, bytes: usize, ends: Ends) -> Result<(), LengthMismatch> {
        let Some(remaining) = &mut self.remaining else { return Ok(()) };
        *remaining = remaining.checked_sub(bytes as u64).ok_or(LengthMismatch)?;
        if ends == Ends::Here && *remaining > 0 { Err(LengthMismatch) } else { Ok(()) }
    }
}

/// A body is not as long as its head has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LengthMismatch;

/// The streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    places: Vec<Option<Stream>>,
    /// Their numbers, 0 where there is none: they are looked for more often than anything else.
    ids: Vec<u32>,
    /// How many are alive: those are what the client counts.
    alive: usize,
    taken: usize,
}

impl Streams {
    /// How many there are, as the client counts them.
    pub(super) fn alive(&self) -> usize {
        self.alive
    }

    /// Whether no task is left.
    pub(super) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Gives a stream a place.
    pub(super) fn insert(&mut self, stream: Stream) -> usize {
        (self.alive, self.taken) = (self.alive + 1, self.taken + 1);
        let id = stream.id;
        if let Some(place) = self.ids.iter().position(|id| *id == 0) {
            (self.ids[place], self.places[place]) = (id, Some(stream));
            return place;
        }
        self.ids.push(id);
        self.places.push(Some(stream));
        self.ids.len() - 1
    }

    /// Where a stream is that is alive.
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        let place = self.ids.iter().position(|other| *other == id)?;
        self.places[place].as_ref().filter(|stream| stream.fate == Fate::Alive).map(|_| place)
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Stream> {
        self.places.get_mut(place).and_then(Option::as_mut)
    }

    /// A stream is taken back. What has come on it and was not taken is forgotten; tells how much that was.
    pub(super) fn end(&mut self, place: usize) -> usize {
        let Some(stream) = self.at(place).filter(|stream| stream.fate == Fate::Alive) else { return 0 };
        stream.fate = Fate::Over;
        stream.wake();
        let forgotten = stream.content.clear();
        self.alive -= 1;
        forgotten
    }

    /// Frees the place of a stream whose task has ended.
    pub(super) fn remove(&mut self, place: usize) -> Option<Stream> {
        let stream = self.places.get_mut(place)?.take()?;
        self.ids[place] = 0;
        self.taken -= 1;
        self.alive -= usize::from(stream.fate == Fate::Alive);
        if self.taken == 0 && self.ids.len() > KEPT_PLACES {
            (self.places, self.ids) = (Vec::new(), Vec::new());
        }
        Some(stream)
    }

    /// Up to which there may be streams.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// How many were taken back before anybody has looked at them.
    pub(super) fn unseen(&self) -> usize {
        let is_unseen = |stream: &&Stream| stream.fate == Fate::Over && stream.task.is_none();
        self.places.iter().flatten().filter(is_unseen).count()
    }

    /// The earliest deadline of any that is alive.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let alive = self.places.iter().flatten().filter(|stream| stream.fate == Fate::Alive);
        alive.filter_map(|stream| stream.deadlines.next()).min()
    }
}
