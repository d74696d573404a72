//! What goes to the client. Frames are written straight into the connection's buffer, in the order in which they will be on the wire,
//! since heads refer to those before them. Pieces of bodies go as far as three bounds allow: the stream's window, the
//! connection's, and the room in the buffer, which holds what the client does not read for all streams together. Who has to wait
//! for one of the latter two stands in a queue, and is granted a frame at a time. Heads go before pieces: they wait for the client to
//! read, and never for pieces that have not been written yet, or a few large answers would keep all others from beginning.

use apigw_engine::fields::Fields;
use apigw_transport::frames::HEAD_BYTES;
use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, DATE},
};

use super::{state::State, streams::Half};
use crate::http2::{
    frame::{self, Ends, MAX_PAYLOAD_BYTES},
    window::Overflow,
};

/// What may wait to be written of all answers of a connection: four frames of the largest size. Pieces fill it and no more; a head may
/// begin while less than that waits. So at most twice as much waits, and what the last head has above.
const ROOM_BYTES: usize = 4 * (HEAD_BYTES + MAX_PAYLOAD_BYTES);

/// While so much waits to be written nothing is read: what comes may want answers as well.
const MOST_WAITING_BYTES: usize = 2 * ROOM_BYTES;

impl State {
    /// Whether the client reads so little that nothing more is read from it.
    pub(super) fn is_stuffed(&self) -> bool {
        self.write.len() > MOST_WAITING_BYTES
    }

    /// How much more may wait of pieces, besides what is promised to them.
    fn room(&self) -> usize {
        ROOM_BYTES.saturating_sub(self.write.len() + self.promised)
    }

    /// Whether heads may be written. What is promised to pieces does not count: large ones in turn are always promised all there is.
    fn has_room_for_heads(&self) -> bool {
        self.write.len() < ROOM_BYTES
    }

    /// Whether a stream's head may be written; if not, its task is woken when there is room.
    pub(super) fn may_begin(&mut self, place: usize) -> bool {
        let has_room = self.has_room_for_heads();
        if !has_room && !self.heads.contains(&place) {
            self.heads.push(place);
        }
        has_room
    }

    /// Writes the head of an answer: the stream ends by itself, and a connection is not an answer's to close.
    pub(super) fn begin(
        &mut self,
        place: usize,
        (status, fields): (StatusCode, &Fields),
        date: &HeaderValue,
        ends: Ends,
    ) {
        let Some(stream) = self.streams.at(place) else { return };
        let id = stream.id;
        if ends == Ends::Here {
            stream.answer = Half::Ended;
        }
        let encoder = &mut self.encoder;
        frame::headers(self.write.text(), id, ends, |block| {
            encoder.begin(block);
            encoder.status(status, block);
            let mut has_date = false;
            for (name, value) in fields.values() {
                // RFC 9110 section 8.6.
                let is_needless =
                    *name == CONNECTION || *name == CONTENT_LENGTH && status == StatusCode::NO_CONTENT;
                if !is_needless {
                    has_date |= *name == DATE;
                    encoder.field(name, value, block);
                }
            }
            if !has_date {
                encoder.field(&DATE, date, block);
            }
        });
        self.wake();
    }

    /// Asks the client for a body that it waits to be asked for.
    pub(super) fn invite(&mut self, place: usize) {
        let Some(stream) = self.streams.at(place).filter(|stream| stream.answer == Half::Open) else {
            return;
        };
        let (id, encoder) = (stream.id, &mut self.encoder);
        frame::headers(self.write.text(), id, Ends::Later, |block| {
            encoder.begin(block);
            encoder.status(StatusCode::CONTINUE, block);
        });
        self.wake();
    }

    /// How many bytes of a piece may be sent now; the windows and the room for them are taken. If none may, the stream's task is
    /// woken when some may.
    pub(super) fn admit(&mut self, place: usize, bytes: usize) -> usize {
        let Some(stream) = self.streams.at(place) else { return 0 };
        stream.wish.bytes = bytes;
        if stream.wish.granted == 0 {
            self.enqueue(place);
            self.grant(Some(place));
        }
        let Some(stream) = self.streams.at(place) else { return 0 };
        let granted = std::mem::take(&mut stream.wish.granted);
        if granted == 0 {
            return 0;
        }
        stream.wish.bytes = 0;
        self.promised -= HEAD_BYTES + granted;
        // It may have less than it wished for when it was granted that.
        let needless = granted.saturating_sub(bytes);
        stream.send.unspend(needless);
        self.send.unspend(needless);
        granted - needless
    }

    /// Writes a piece of a body, of as many bytes as were admitted.
    pub(super) fn piece(&mut self, place: usize, content: Bytes, ends: Ends) {
        let Some(stream) = self.streams.at(place) else { return };
        if ends == Ends::Here {
            stream.answer = Half::Ended;
        }
        let id = stream.id;
        frame::data(self.write.text(), id, content.len(), ends);
        self.reader.conduct.piece_sent(content.len());
        self.write.queue(content);
        self.wake();
    }

    /// Writes the end of an answer, with the fields behind its body.
    pub(super) fn finish(&mut self, place: usize, trailers: Option<&http::HeaderMap>) {
        let Some(stream) = self.streams.at(place) else { return };
        stream.answer = Half::Ended;
        let (id, encoder) = (stream.id, &mut self.encoder);
        match trailers {
            Some(fields) => frame::headers(self.write.text(), id, Ends::Here, |block| {
                encoder.begin(block);
                for (name, value) in fields {
                    encoder.field(name, value, block);
                }
            }),
            None => frame::data(self.write.text(), id, 0, Ends::Here),
        }
        self.wake();
    }

    /// Puts a stream in the queue that has something to send and room for it in its own window. Who has not taken what was granted
    /// comes again when it has.
    pub(super) fn enqueue(&mut self, place: usize) {
        if let Some(stream) = self.streams.at(place)
            && stream.wish.bytes > 0
            && stream.wish.granted == 0
            && stream.send.room() > 0
            && !std::mem::replace(&mut stream.wish.is_queued, true)
        {
            self.queue.push_back(place);
        }
    }

    /// Their windows have moved.
    fn queue_all(&mut self) {
        for place in 0..self.streams.places() {
            self.enqueue(place);
        }
        self.grant(None);
    }

    /// Grants a frame to each in the queue, in turn, for as long as the connection's window and the room in the buffer last. `asking`
    /// is awake already.
    pub(super) fn grant(&mut self, asking: Option<usize>) {
        while let Some(&place) = self.queue.front() {
            let (room, window) = (self.room(), self.send.room());
            if let Some(stream) = self.streams.at(place) {
                let bytes = stream.wish.bytes.min(MAX_PAYLOAD_BYTES).min(stream.send.room()).min(window);
                // Not in crumbs: what waits to be written will be, and then there is room for all of it.
                if window == 0 || room < HEAD_BYTES + bytes {
                    return;
                }
                stream.wish.is_queued = false;
                if bytes > 0 {
                    stream.wish.granted = bytes;
                    stream.send.spend(bytes);
                    self.send.spend(bytes);
                    self.promised += HEAD_BYTES + bytes;
                    if asking != Some(place) {
                        stream.wake();
                    }
                }
            }
            self.queue.pop_front();
        }
    }

    /// A stream does not want any more what it has wished for.
    pub(super) fn unwish(&mut self, place: usize) {
        let Some(stream) = self.streams.at(place) else { return };
        stream.wish.bytes = 0;
        if std::mem::take(&mut stream.wish.is_queued) {
            self.queue.retain(|queued| *queued != place);
        }
        if stream.wish.granted > 0 {
            self.revoke(place);
            self.grant(None);
        }
    }

    /// Takes back what a stream has been granted and has not taken yet.
    fn revoke(&mut self, place: usize) {
        let Some(stream) = self.streams.at(place).filter(|stream| stream.wish.granted > 0) else { return };
        let granted = std::mem::take(&mut stream.wish.granted);
        stream.send.unspend(granted);
        self.send.unspend(granted);
        self.promised -= HEAD_BYTES + granted;
    }

    /// The size with which windows begin has changed, and all windows with it. What was granted and not taken must not go out behind
    /// the answer to that if there is no room for it any more (RFC 9113 section 6.9.2): it is granted anew, as far as there is.
    ///
    /// # Errors
    /// When a window gets larger than windows are.
    pub(super) fn follow(&mut self, bytes: u32) -> Result<(), Overflow> {
        let before = std::mem::replace(&mut self.window_bytes, bytes);
        for place in 0..self.streams.places() {
            if bytes < before {
                self.revoke(place);
            }
            if let Some(stream) = self.streams.at(place) {
                stream.send.follow(before, bytes)?;
            }
        }
        self.queue_all();
        Ok(())
    }

    /// There is room again, since some of what waited has been written. Tasks run in the order in which they are woken: heads are
    /// written first, or pieces would have filled the room by then.
    pub(super) fn use_room(&mut self) {
        if self.has_room_for_heads() {
            for place in std::mem::take(&mut self.heads) {
                if let Some(stream) = self.streams.at(place) {
                    stream.wake();
                }
            }
        }
        self.grant(None);
    }
}
