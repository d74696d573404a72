//! What comes from the client: each frame finds its stream, and a head that comes whole begins one.

use bytes::Bytes;
use h2::Reason;
use tokio::time::Instant;

use super::{
    MAX_PENDING_RESETS, MAX_STREAMS,
    state::{FAREWELL, Standing, State},
    streams::{Half, LengthMismatch, Opening},
};
use crate::{
    http1::read_buffer::ReadBuffer,
    http2::{
        frame::{self, Ends},
        head::{Gathering, Head, NoHead, Refused},
        reader::{Incoming, Padding, Settings},
    },
};

/// A request that begins.
pub(super) struct Arrived {
    pub(super) opening: Opening,
    /// None: it is answered that it is none.
    pub(super) head: Result<Head, Box<Refused>>,
}

/// Which stream a head is of.
enum Number {
    /// One that has begun already.
    Known,
    /// One that begins.
    New,
    /// One that begins behind the second farewell, which is not ours any more (RFC 9113 section 6.8).
    TooLate,
}

impl State {
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

    /// Whether a client that goes on like this has begun and taken back more than it may before anybody could look at it.
    fn check_pending_resets(&self) -> Result<(), Reason> {
        if self.streams.unseen() > MAX_PENDING_RESETS { Err(Reason::ENHANCE_YOUR_CALM) } else { Ok(()) }
    }

    fn head(&mut self, id: u32, block: &Bytes, ends: Ends) -> Result<Option<Arrived>, Reason> {
        let mut gathering = Gathering::new(self.max_head_bytes);
        let unpacked = self.decoder.decode(block, |field| gathering.take(field));
        unpacked.map_err(|_broken| Reason::COMPRESSION_ERROR)?;
        match self.number(id)? {
            Number::New => {}
            Number::Known => return self.trailers(id, gathering, ends).map(|()| None),
            Number::TooLate => return Ok(None),
        }
        let head = match gathering.into_head(ends) {
            Ok(head) => Ok(head),
            Err(NoHead::Refused(refused)) => Err(refused),
            Err(NoHead::Malformed) => return self.refuse(id, Reason::PROTOCOL_ERROR).map(|()| None),
            Err(NoHead::Flood) => return Err(Reason::ENHANCE_YOUR_CALM),
        };
        if self.streams.alive() >= MAX_STREAMS {
            self.refuse_further(id);
            return Ok(None);
        }
        let length = head.as_ref().ok().and_then(|head| head.length);
        Ok(Some(Arrived { opening: Opening { id, ends, length }, head }))
    }

    /// The number of a stream that a head is of; they go up (RFC 9113 section 5.1.1).
    fn number(&mut self, id: u32) -> Result<Number, Reason> {
        if id <= self.last_stream {
            return Ok(Number::Known);
        }
        if id.is_multiple_of(2) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        self.last_stream = id;
        if matches!(self.standing, Standing::Left | Standing::Over) {
            return Ok(Number::TooLate);
        }
        self.last_served = id;
        Ok(Number::New)
    }

    /// A head of a stream that is not there. What has ended otherwise is found out before (see `Conduct`); what never began has no
    /// number that is free any more (RFC 9113 section 5.1.1).
    fn head_of_none(&self, id: u32) -> Result<(), Reason> {
        if self.is_given_up(id) { Ok(()) } else { Err(Reason::PROTOCOL_ERROR) }
    }

    /// A head of a stream that has begun already.
    fn trailers(&mut self, id: u32, gathering: Gathering, ends: Ends) -> Result<(), Reason> {
        let Some(place) = self.streams.find(id) else { return self.head_of_none(id) };
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
            return if self.is_given_up(id) { Ok(()) } else { self.refuse(id, Reason::STREAM_CLOSED) };
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
        // Nobody else takes the padding; and what was taken before may be worth telling, now that less is left.
        self.taken(place, padding.counted);
        Ok(())
    }

    /// A stream that is said to depend on itself is no fault any more since RFC 9113; suites that follow RFC 7540 (section 5.3.1) look
    /// for one. A stream is told of it only where there is one: nothing can be said on one that has not begun (RFC 9113 section
    /// 5.1), so there the connection is told, and a priority of one that has ended says nothing.
    fn circular(&mut self, id: u32, block: Option<&Bytes>) -> Result<(), Reason> {
        let Some(block) = block else {
            return match self.streams.find(id) {
                Some(_) => self.refuse(id, Reason::PROTOCOL_ERROR),
                None if id > self.last_stream => Err(Reason::PROTOCOL_ERROR),
                None => Ok(()),
            };
        };
        self.decoder.decode(block, drop).map_err(|_broken| Reason::COMPRESSION_ERROR)?;
        match self.number(id)? {
            Number::Known if self.streams.find(id).is_none() => self.head_of_none(id),
            Number::Known | Number::New => self.refuse(id, Reason::PROTOCOL_ERROR),
            Number::TooLate => Ok(()),
        }
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
            self.encoder.set_max_table_bytes(bytes.least);
            self.encoder.set_max_table_bytes(bytes.last);
        }
        if let Some(bytes) = settings.window_bytes {
            self.follow(bytes).map_err(|_overflow| Reason::FLOW_CONTROL_ERROR)?;
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
}
