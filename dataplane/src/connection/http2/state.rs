//! What a connection has come to: its streams, its windows, and what is to be written. Frames come in here and each finds its
//! stream. There is no socket and no task here; both are the connection's.

use std::{
    collections::VecDeque,
    rc::Rc,
    task::{Context, Waker},
};

use bytes::Bytes;
use h2::Reason;
use tokio::time::Instant;

use super::{
    CONNECTION_WINDOW_BYTES, MAX_PENDING_RESETS, MAX_PROTOCOL_ERRORS, MAX_STREAMS, STREAM_WINDOW_BYTES,
    streams::{Fate, Half, LengthMismatch, Opening, Stream, Streams},
};
use crate::{
    connection::deadlines::{Deadlines, Expired, Phase},
    http1::{read_buffer::ReadBuffer, write_buffer::WriteBuffer},
    http2::{
        frame::{self, Ends, setting},
        head::{Gathering, Head, NoHead, Refused},
        hpack::{decoder::Decoder, encoder::Encoder},
        reader::{Incoming, Padding, Reader, Settings},
        window::{ReceiveWindow, SendWindow},
    },
};

/// The table in which a client's fields are remembered, as large as it is where nobody says otherwise (RFC 9113 section 6.5.2).
const TABLE_BYTES: usize = 4_096;

/// With which windows begin (RFC 9113 section 6.9.2).
const FIRST_WINDOW_BYTES: u32 = 65_535;

/// The largest number of a stream: a farewell with it says that all that comes is still served.
const ANY_STREAM: u32 = (1 << 31) - 1;

/// The most streams that are remembered after they were taken back here. What the client has sent before it knew comes to
/// nothing.
const MOST_TAKEN_BACK: usize = 64;

/// What is said in the ping behind the first farewell.
const FAREWELL: [u8; 8] = *b"farewell";

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

/// A request that begins.
pub(super) struct Arrived {
    pub(super) opening: Opening,
    /// None: it is answered that it is none.
    pub(super) head: Result<Head, Box<Refused>>,
}

/// See the module.
pub(super) struct State {
    pub(super) reader: Reader,
    decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) write: WriteBuffer,
    pub(super) streams: Streams,
    max_head_bytes: usize,
    /// The highest that the client has begun.
    last_stream: u32,
    /// Of all bodies together: those that come,
    receive: ReceiveWindow,
    /// and those that go.
    pub(super) send: SendWindow,
    /// With which windows of answers begin.
    window_bytes: u32,
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
    has_farewell: bool,
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

    /// Reads what has come, up to a request; none: all of it has been read.
    ///
    /// # Errors
    /// What the connection is to end with.
    pub(super) fn read(&mut self, read: &mut ReadBuffer, now: Instant) -> Result<Option<Arrived>, Reason> {
        while let Some(incoming) = self.reader.next(read, now)? {
            match incoming {
                Incoming::Head { stream, block, ends } => {
                    if let Some(arrived) = self.head(stream, &block, ends)? {
                        return Ok(Some(arrived));
                    }
                }
                Incoming::Data { stream, content, padding, ends } => {
                    self.data(read, stream, (content, padding), ends)?;
                }
                Incoming::Circular { stream, block } => self.circular(stream, block.as_ref())?,
                Incoming::Reset { stream } => self.reset_by_client(stream)?,
                Incoming::Settings(settings) => self.settle(settings)?,
                Incoming::Ping(opaque) => frame::pong(self.write.text(), opaque),
                Incoming::Pong(FAREWELL) => self.leave(),
                Incoming::Widen { stream, bytes } => self.widen(stream, bytes)?,
                Incoming::Farewell => self.has_farewell = true,
                Incoming::Pong(_) | Incoming::Nothing => {}
            }
        }
        Ok(None)
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
                frame::farewell(self.write.text(), self.last_stream, Reason::NO_ERROR);
            }
            Standing::Left | Standing::Over => {}
        }
    }

    /// Ends the connection for something that the client has done.
    pub(super) fn cut(&mut self, reason: Reason) {
        frame::farewell(self.write.text(), self.last_stream, reason);
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

    /// Whether a client that goes on like this has begun and taken back more than it may before anybody could look at it.
    fn check_pending_resets(&self) -> Result<(), Reason> {
        if self.streams.unseen() > MAX_PENDING_RESETS { Err(Reason::ENHANCE_YOUR_CALM) } else { Ok(()) }
    }

    fn head(&mut self, id: u32, block: &Bytes, ends: Ends) -> Result<Option<Arrived>, Reason> {
        let mut gathering = Gathering::new(self.max_head_bytes);
        let unpacked = self.decoder.decode(block, |field| gathering.take(field));
        unpacked.map_err(|_broken| Reason::COMPRESSION_ERROR)?;
        if id <= self.last_stream {
            return self.trailers(id, gathering, ends).map(|()| None);
        }
        if id.is_multiple_of(2) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        // What comes behind the second farewell is not ours any more (RFC 9113 section 6.8).
        if matches!(self.standing, Standing::Left | Standing::Over) {
            return Ok(None);
        }
        self.last_stream = id;
        let head = match gathering.into_head(ends) {
            Ok(head) => Ok(head),
            Err(NoHead::Refused(refused)) => Err(refused),
            Err(NoHead::Malformed) => return self.refuse(id, Reason::PROTOCOL_ERROR).map(|()| None),
            Err(NoHead::Flood) => return Err(Reason::ENHANCE_YOUR_CALM),
        };
        if self.streams.alive() >= MAX_STREAMS {
            frame::reset(self.write.text(), id, Reason::REFUSED_STREAM);
            self.remember(id);
            return Ok(None);
        }
        let length = head.as_ref().ok().and_then(|head| head.length);
        Ok(Some(Arrived { opening: Opening { id, ends, length }, head }))
    }

    /// A head of a stream that has begun already.
    fn trailers(&mut self, id: u32, gathering: Gathering, ends: Ends) -> Result<(), Reason> {
        let Some(place) = self.streams.find(id) else {
            // What has ended otherwise is found out before (see `Conduct`); what never began has no number that is free any more
            // (RFC 9113 section 5.1.1).
            return if self.taken_back.contains(&id) { Ok(()) } else { Err(Reason::PROTOCOL_ERROR) };
        };
        let Some(stream) = self.streams.at(place) else { return Ok(()) };
        if stream.request == Half::Ended {
            return Err(Reason::STREAM_CLOSED);
        }
        let trailers = match gathering.into_trailers() {
            Err(NoHead::Flood) => return Err(Reason::ENHANCE_YOUR_CALM),
            trailers => trailers,
        };
        match (trailers, stream.count(0, ends)) {
            (Ok(fields), Ok(())) if ends == Ends::Here => {
                stream.request = Half::Ended;
                stream.trailers = Some(fields);
                stream.wake();
                Ok(())
            }
            _ => self.refuse(id, Reason::PROTOCOL_ERROR),
        }
    }

    fn data(
        &mut self,
        read: &mut ReadBuffer,
        id: u32,
        (content, padding): (usize, Padding),
        ends: Ends,
    ) -> Result<(), Reason> {
        let counted = content + padding.counted;
        self.receive.receive(counted).map_err(|_exceeded| Reason::FLOW_CONTROL_ERROR)?;
        let found = self.streams.find(id);
        let Some((place, stream)) = found.and_then(|place| Some((place, self.streams.at(place)?))) else {
            read.discard(content + padding.behind);
            self.give_back(counted);
            if id > self.last_stream {
                return Err(Reason::PROTOCOL_ERROR);
            }
            // RFC 9113 section 5.1. What was sent before the client knew that nobody wants it is no fault.
            return if self.taken_back.contains(&id) {
                Ok(())
            } else {
                self.refuse(id, Reason::STREAM_CLOSED)
            };
        };
        if stream.request == Half::Ended {
            return Err(Reason::STREAM_CLOSED);
        }
        let fault = match (stream.receive.receive(counted), stream.count(content, ends)) {
            (Err(_exceeded), _) => Some(Reason::FLOW_CONTROL_ERROR),
            (_, Err(LengthMismatch)) => Some(Reason::PROTOCOL_ERROR),
            (Ok(()), Ok(())) => None,
        };
        if let Some(reason) = fault {
            read.discard(content + padding.behind);
            self.give_back(counted);
            return self.refuse(id, reason);
        }
        stream.content.add(read, content);
        read.discard(padding.behind);
        if ends == Ends::Here {
            stream.request = Half::Ended;
        }
        stream.wake();
        if padding.counted > 0 {
            self.taken(place, padding.counted);
        }
        Ok(())
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

    /// A stream that is said to depend on itself is no fault any more since RFC 9113; suites that follow RFC 7540 (section 5.3.1) look
    /// for one.
    fn circular(&mut self, id: u32, block: Option<&Bytes>) -> Result<(), Reason> {
        if let Some(block) = block {
            self.decoder.decode(block, drop).map_err(|_broken| Reason::COMPRESSION_ERROR)?;
            if id.is_multiple_of(2) {
                return Err(Reason::PROTOCOL_ERROR);
            }
            self.last_stream = self.last_stream.max(id);
        }
        self.refuse(id, Reason::PROTOCOL_ERROR)
    }

    fn reset_by_client(&mut self, id: u32) -> Result<(), Reason> {
        if id > self.last_stream {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if let Some(place) = self.streams.find(id) {
            self.forget(place);
            self.check_pending_resets()?;
        }
        Ok(())
    }

    fn settle(&mut self, settings: Settings) -> Result<(), Reason> {
        if let Some(bytes) = settings.table_bytes {
            self.encoder.set_max_table_bytes(bytes);
        }
        if let Some(bytes) = settings.window_bytes {
            let before = std::mem::replace(&mut self.window_bytes, bytes);
            for (_, stream) in self.streams.iter_mut() {
                let followed = stream.send.follow(before, bytes);
                followed.map_err(|_overflow| Reason::FLOW_CONTROL_ERROR)?;
            }
            self.queue_all();
        }
        frame::settings_taken(self.write.text());
        Ok(())
    }

    fn widen(&mut self, id: u32, bytes: u32) -> Result<(), Reason> {
        if id == 0 {
            if bytes == 0 {
                return Err(Reason::PROTOCOL_ERROR);
            }
            self.send.widen(bytes).map_err(|_overflow| Reason::FLOW_CONTROL_ERROR)?;
            self.grant(None);
            return Ok(());
        }
        if id > self.last_stream {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let Some(place) = self.streams.find(id) else { return Ok(()) };
        let Some(stream) = self.streams.at(place) else { return Ok(()) };
        // RFC 9113 section 6.9.
        if bytes == 0 {
            return self.refuse(id, Reason::PROTOCOL_ERROR);
        }
        if stream.send.widen(bytes).is_err() {
            return self.refuse(id, Reason::FLOW_CONTROL_ERROR);
        }
        self.enqueue(place);
        self.grant(None);
        Ok(())
    }

    /// Takes a stream back for something that the client has done. Who does so again and again loses the connection.
    fn refuse(&mut self, id: u32, reason: Reason) -> Result<(), Reason> {
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
    fn forget(&mut self, place: usize) {
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
            None if !stream.content.is_empty() => self.forget(place),
            None => {}
        }
        self.streams.remove(place);
        self.wake();
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
