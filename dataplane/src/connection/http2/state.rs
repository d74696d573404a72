//! What a connection has come to: its streams, its windows, and what is to be written. Frames come in by
//! [`receiving`](super::receiving) and go out by [`sending`](super::sending). There is no socket and no task here; both are the
//! connection's.

use std::{
    collections::VecDeque,
    rc::Rc,
    task::{Context, Waker},
};

use h2::Reason;
use tokio::time::Instant;

use super::{
    CONNECTION_WINDOW_BYTES, MAX_PROTOCOL_ERRORS, MAX_STREAMS, STREAM_WINDOW_BYTES,
    streams::{Fate, Half, Opening, Stream, Streams},
};
use crate::{
    connection::deadlines::{Deadlines, Expired, Phase},
    http1::write_buffer::WriteBuffer,
    http2::{
        frame::{self, setting},
        hpack::{decoder::Decoder, encoder::Encoder},
        reader::Reader,
        window::{ReceiveWindow, SendWindow},
    },
};

/// The table in which a client's fields are remembered, as large as it is where nobody says otherwise (RFC 9113 section 6.5.2).
const TABLE_BYTES: usize = 4_096;

/// With which windows begin (RFC 9113 section 6.9.2).
const FIRST_WINDOW_BYTES: u32 = 65_535;

/// The largest number of a stream: a farewell with it says that all that comes is still served.
const ANY_STREAM: u32 = (1 << 31) - 1;

/// The most streams that are remembered after they were served and taken back here: what the client has sent before it knew comes
/// to nothing. It may have begun as many again meanwhile. Those that were refused are as many as the client has begun before it
/// knew how many it may, so of them the last alone is remembered.
const MOST_TAKEN_BACK: usize = 2 * MAX_STREAMS;

/// What is said in the ping behind the first farewell.
pub(super) const FAREWELL: [u8; 8] = *b"farewell";

/// What a client has been told of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Open,
    /// That it ends. What crossed that is still served.
    Leaving,
    /// No request is taken any more.
    Left,
    /// It is over.
    Over,
}

/// See the module.
pub(super) struct State {
    pub(super) reader: Reader,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) write: WriteBuffer,
    pub(super) streams: Streams,
    pub(super) max_head_bytes: usize,
    /// The highest that the client has begun,
    pub(super) last_stream: u32,
    /// and the highest of those that are not passed over.
    pub(super) last_served: u32,
    /// The highest that was refused because there were as many as may be.
    last_refused: u32,
    /// Of all bodies together: those that come,
    pub(super) receive: ReceiveWindow,
    /// and those that go.
    pub(super) send: SendWindow,
    /// With which windows of answers begin.
    pub(super) window_bytes: u32,
    /// The streams that have something to send and room for it in their own windows, in turn.
    pub(super) queue: VecDeque<usize>,
    /// The streams whose heads wait for room.
    pub(super) heads: Vec<usize>,
    /// Room that is promised to streams in `queue` and not taken yet.
    pub(super) promised: usize,
    taken_back: VecDeque<u32>,
    protocol_errors: usize,
    pub(super) standing: Standing,
    /// Whether the client has said its farewell.
    pub(super) has_farewell: bool,
    /// What wakes the connection's task.
    task: Option<Waker>,
    is_woken: bool,
    /// No stream has an earlier deadline.
    pub(super) deadline: Option<Instant>,
}

impl State {
    /// Of a connection whose preface has come. Greets the client.
    pub(super) fn new(max_head_bytes: u32, now: Instant) -> Self {
        let mut write = WriteBuffer::default();
        let settings = [
            (setting::MAX_CONCURRENT_STREAMS, u32::try_from(MAX_STREAMS).unwrap_or(u32::MAX)),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
            (setting::MAX_HEADER_LIST_SIZE, max_head_bytes),
            (setting::ENABLE_CONNECT_PROTOCOL, 1),
        ];
        frame::settings(write.text(), &settings);
        frame::widen(write.text(), 0, CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES);
        Self {
            reader: Reader::new(now),
            decoder: Decoder::new(TABLE_BYTES),
            encoder: Encoder::new(),
            write,
            streams: Streams::default(),
            max_head_bytes: usize::try_from(max_head_bytes).unwrap_or(usize::MAX),
            last_stream: 0,
            last_served: 0,
            last_refused: 0,
            receive: ReceiveWindow::new(CONNECTION_WINDOW_BYTES),
            send: SendWindow::new(FIRST_WINDOW_BYTES),
            window_bytes: FIRST_WINDOW_BYTES,
            queue: VecDeque::new(),
            heads: Vec::new(),
            promised: 0,
            taken_back: VecDeque::new(),
            protocol_errors: 0,
            standing: Standing::Open,
            has_farewell: false,
            task: None,
            is_woken: false,
            deadline: None,
        }
    }

    /// The connection's task runs.
    pub(super) fn run_by(&mut self, context: &Context<'_>) {
        self.is_woken = false;
        if !self.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            self.task = Some(context.waker().clone());
        }
    }

    /// Lets the connection's task run, which writes what has gathered.
    pub(super) fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_woken, true)
            && let Some(task) = &self.task
        {
            task.wake_by_ref();
        }
    }

    /// Gives a request that has come its place.
    pub(super) fn open(&mut self, opening: &Opening, deadlines: Rc<Deadlines>) -> usize {
        self.streams.insert(Stream::new(opening, deadlines, STREAM_WINDOW_BYTES, self.window_bytes))
    }

    /// Says farewell, or that it has been said for long enough.
    pub(super) fn leave(&mut self) {
        match self.standing {
            Standing::Open => {
                self.standing = Standing::Leaving;
                let text = self.write.text();
                frame::farewell(text, ANY_STREAM, Reason::NO_ERROR);
                frame::ping(text, FAREWELL);
            }
            Standing::Leaving => {
                self.standing = Standing::Left;
                frame::farewell(self.write.text(), self.last_served, Reason::NO_ERROR);
            }
            Standing::Left | Standing::Over => {}
        }
    }

    /// Ends the connection for something that the client has done.
    pub(super) fn cut(&mut self, reason: Reason) {
        frame::farewell(self.write.text(), self.last_served, reason);
        self.end();
    }

    /// The connection is over, and all its streams with it.
    pub(super) fn end(&mut self) {
        self.standing = Standing::Over;
        for place in 0..self.streams.places() {
            self.streams.end(place);
        }
    }

    /// Ends the streams that have waited for too long, and lets those go on that have an answer to that.
    pub(super) fn check_deadlines(&mut self, now: Instant) {
        for place in 0..self.streams.places() {
            let Some(stream) = self.streams.at(place).filter(|stream| stream.fate == Fate::Alive) else {
                continue;
            };
            let deadlines = &stream.deadlines;
            deadlines.wake(now);
            match deadlines.check(now) {
                // The exchange sees it and answers.
                Some(Expired::Phase(Phase::Upstream) | Expired::Exchange(_)) => stream.wake(),
                Some(Expired::Body) if deadlines.is_awaiting_answer() => stream.wake(),
                // That the client is there is known of the connection.
                Some(Expired::Look) | None => {}
                Some(Expired::Phase(_) | Expired::Body | Expired::Write) => {
                    self.take_back(place, Reason::CANCEL);
                }
            }
        }
        self.deadline = self.streams.next_deadline();
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_done(&self) -> bool {
        self.streams.is_empty() && (self.has_farewell || self.standing == Standing::Left)
    }

    /// So many bytes of a stream have been taken, and as many may come again.
    pub(super) fn taken(&mut self, place: usize, bytes: usize) {
        self.give_back(bytes);
        if let Some(stream) = self.streams.at(place)
            && stream.request == Half::Open
            && let Some(bytes) = stream.receive.take(bytes)
        {
            let id = stream.id;
            frame::widen(self.write.text(), id, bytes);
            self.wake();
        }
    }

    /// The same for the connection alone.
    pub(super) fn give_back(&mut self, bytes: usize) {
        if let Some(bytes) = self.receive.take(bytes) {
            frame::widen(self.write.text(), 0, bytes);
            self.wake();
        }
    }

    /// Takes a stream back for something that the client has done. Who does so again and again loses the connection.
    pub(super) fn refuse(&mut self, id: u32, reason: Reason) -> Result<(), Reason> {
        self.protocol_errors += 1;
        if self.protocol_errors > MAX_PROTOCOL_ERRORS {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        match self.streams.find(id) {
            Some(place) => self.take_back(place, reason),
            None => {
                frame::reset(self.write.text(), id, reason);
                self.remember(id);
            }
        }
        Ok(())
    }

    /// Takes a stream back.
    pub(super) fn take_back(&mut self, place: usize, reason: Reason) {
        let Some(stream) = self.streams.at(place).filter(|stream| stream.fate == Fate::Alive) else { return };
        let id = stream.id;
        frame::reset(self.write.text(), id, reason);
        self.remember(id);
        self.forget(place);
        self.wake();
    }

    /// Ends a stream, and gives back what it held.
    pub(super) fn forget(&mut self, place: usize) {
        self.unwish(place);
        let forgotten = self.streams.end(place);
        if forgotten > 0 {
            self.give_back(forgotten);
        }
    }

    /// The task of a stream has ended, and with it whatever is left of the stream.
    pub(super) fn release(&mut self, place: usize) {
        let Some(stream) = self.streams.at(place) else { return };
        let rest = match (stream.answer, stream.request) {
            // It has not come to its end, whatever the reason was.
            (Half::Open, _) => Some(Reason::INTERNAL_ERROR),
            // The answer is whole; the rest of the request is not wanted (RFC 9113 section 8.1).
            (Half::Ended, Half::Open) => Some(Reason::NO_ERROR),
            (Half::Ended, Half::Ended) => None,
        };
        match rest {
            Some(reason) => self.take_back(place, reason),
            None => self.forget(place),
        }
        self.streams.remove(place);
        self.wake();
    }

    /// Refuses a stream that is one too many. Nothing was done for it, so it is no fault, and the client may ask again.
    pub(super) fn refuse_further(&mut self, id: u32) {
        frame::reset(self.write.text(), id, Reason::REFUSED_STREAM);
        self.last_refused = id;
    }

    /// Whether what still comes on a stream that is not there may have been sent before the client knew that nobody wants it
    /// (RFC 9113 section 5.1). Then it is passed over. So is what comes on any stream below one that was refused: to tell them
    /// apart would take a list that only the client bounds.
    pub(super) fn is_given_up(&self, id: u32) -> bool {
        id <= self.last_refused || id > self.last_served || self.taken_back.contains(&id)
    }

    /// Remembers a stream that was taken back here.
    fn remember(&mut self, id: u32) {
        if self.taken_back.len() == MOST_TAKEN_BACK {
            self.taken_back.pop_front();
        }
        self.taken_back.push_back(id);
    }
}

#[cfg(test)]
mod tests;
