//! What the watch lets pass, and where it ends a connection.

use std::time::Duration;

use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client says first, and then these frames.
fn said(frames: &[Vec<u8>]) -> Vec<u8> {
    [&PREFACE[..], &frame(SETTINGS, 0, 0, &[]), &frames.concat()].concat()
}

/// What is found, and where, however the bytes are cut.
fn found(bytes: &[u8]) -> Option<(Reason, usize)> {
    let now = Instant::now();
    let at_once = Watch::new(now).see(bytes, now).err().map(|fault| (fault.reason, fault.before));
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let mut watch = Watch::new(now);
        let seen = watch.see(first, now).and_then(|()| {
            watch.see(second, now).map_err(|fault| Fault { before: fault.before + cut, ..fault })
        });
        // Where a head is cut, its beginning is with h2 already, and waits there for what never comes.
        let seen = seen.err().map(|fault| fault.reason);
        assert_eq!(seen, at_once.map(|(reason, _)| reason), "cut at {cut} of {bytes:?}");
    }
    at_once
}

#[test]
fn what_nobody_could_object_to_passes() {
    assert_eq!(found(&said(&[])), None);
    let frames = [
        frame(HEADERS, 0x4, 1, b"head"),
        frame(DATA, 0, 1, b"body"),
        frame(DATA, PADDED, 1, b"\0"),
        frame(DATA, END_STREAM, 1, b""),
        frame(PRIORITY, 0, 1, &[0; 5]),
        frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        frame(RST_STREAM, 0, 1, &[0; 4]),
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 255, 255, 255, 0, 3, 255, 255, 255, 255]),
        frame(SETTINGS, ACK, 0, &[]),
        frame(GOAWAY, 0, 0, &[0; 8]),
        frame(CONTINUATION, 0, 3, b"any"),
        frame(77, 0, 3, b"any"),
    ];
    assert_eq!(found(&said(&frames)), None);
}

#[test]
fn a_frame_of_another_size_than_its_type_wants_ends_the_connection() {
    let before = said(&[]).len();
    for (kind, flags, length) in [
        (DATA, PADDED, 0),
        (HEADERS, PADDED, 0),
        (HEADERS, flag::PRIORITY, 4),
        (HEADERS, flag::PRIORITY | PADDED, 5),
        (PRIORITY, 0, 4),
        (RST_STREAM, 0, 5),
        (SETTINGS, 0, 7),
        (SETTINGS, ACK, 6),
        (PING, 0, 7),
        (GOAWAY, 0, 7),
        (WINDOW_UPDATE, 0, 3),
    ] {
        let frame = frame(kind, flags, 1, &vec![0; length]);
        assert_eq!(found(&said(&[frame])), Some((Reason::FRAME_SIZE_ERROR, before)), "{kind}");
    }
}

#[test]
fn a_window_above_what_there_is_is_an_error_of_flow_control() {
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1, 0, 4, 0x80, 0, 0, 0]);
    assert_eq!(found(&said(&[settings])).map(|(reason, _)| reason), Some(Reason::FLOW_CONTROL_ERROR));
}

#[test]
fn settings_come_first() {
    for first in
        [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, ACK, 0, &[]), b"GET / HTTP/1.1\r\n\r\n".to_vec()]
    {
        let reason = found(&[&PREFACE[..], &first].concat()).map(|(reason, _)| reason);
        assert_eq!(reason, Some(Reason::PROTOCOL_ERROR), "{first:?}");
    }
}

#[test]
fn what_is_no_http2_is_not_watched() {
    for text in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\nabcdefghij"] {
        assert_eq!(found(&text.repeat(10)), None);
    }
}

#[test]
fn answers_pay_for_frames_by_their_bytes() {
    let now = Instant::now();
    let ping = frame(PING, 0, 0, &[0; 8]);
    let mut watch = Watch::new(now);
    watch.see(&said(&[]), now).unwrap();
    passing(&mut watch, &ping, now);
    watch.place = Place::Head(Gathered::default());
    for _ in 0..10 {
        watch.answered(ANSWERED_BYTES_OF_AN_IDLE_FRAME / 2);
    }
    assert_eq!(passing(&mut watch, &ping, now), 5);
}

#[test]
fn nothing_comes_behind_the_end_of_a_stream() {
    let ended = frame(HEADERS, END_STREAM, 1, b"head");
    let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
    let (head, body) = (frame(HEADERS, 0, 1, b"head"), frame(DATA, 0, 1, b"body"));
    let check = |frames: &[&Vec<u8>]| {
        let frames: Vec<_> = frames.iter().map(|frame| (*frame).clone()).collect();
        found(&said(&frames)).map(|(reason, _)| reason)
    };
    let closed = Some(Reason::STREAM_CLOSED);
    assert_eq!(check(&[&ended, &body]), closed);
    assert_eq!(check(&[&ended, &head]), closed);
    assert_eq!(check(&[&head, &body, &ended, &body]), closed, "behind trailers");
    assert_eq!(check(&[&head, &reset, &head]), closed);
    assert_eq!(check(&[&head, &reset, &body]), None, "h2 answers on the stream");
    assert_eq!(check(&[&head, &body, &reset]), None);
    assert_eq!(check(&[&ended, &frame(HEADERS, END_STREAM, 3, b"head")]), None);
}

#[test]
fn as_many_ended_streams_are_remembered_as_is_said() {
    let ended = |count: usize| -> Vec<_> {
        (0..count)
            .map(|number| frame(HEADERS, END_STREAM, 2 * u32::try_from(number).unwrap() + 1, b""))
            .collect()
    };
    let again = frame(HEADERS, END_STREAM, 1, b"");
    for (count, expected) in [(MOST_ENDED, Some(Reason::STREAM_CLOSED)), (MOST_ENDED + 1, None)] {
        let now = Instant::now();
        let bytes = said(&[ended(count), vec![again.clone()]].concat());
        let seen = Watch::new(now).see(&bytes, now);
        assert_eq!(seen.err().map(|fault| fault.reason), expected, "{count}");
    }
}

/// How many frames of a kind pass, of many.
fn passing(watch: &mut Watch, frame: &[u8], now: Instant) -> u32 {
    (0..2 * MOST_WINDOWS).take_while(|_| watch.see(frame, now).is_ok()).count().try_into().unwrap()
}

#[test]
fn frames_without_content_are_bounded_by_time_and_by_what_they_go_with() {
    let now = Instant::now();
    for (kind, length) in [(SETTINGS, 0), (PING, 8), (PRIORITY, 5), (WINDOW_UPDATE, 4), (DATA, 0)] {
        let frame = frame(kind, 0, 1, &vec![0; length]);
        let mut watch = Watch::new(now);
        watch.see(&said(&[]), now).unwrap();
        assert_eq!(
            passing(&mut watch, &frame, now),
            MOST_IDLE_FRAMES - 1,
            "type {kind}, the first settings counted"
        );
        assert_eq!(watch.see(&frame, now).unwrap_err().reason, Reason::ENHANCE_YOUR_CALM);
        watch.place = Place::Head(Gathered::default());
        let later = now + Duration::from_secs(1);
        assert_eq!(passing(&mut watch, &frame, later), IDLE_FRAMES_PER_SECOND, "type {kind}, a second later");
        watch.place = Place::Head(Gathered::default());
        watch.conduct.piece_sent(1_023);
        assert_eq!(passing(&mut watch, &frame, later), IDLE_FRAMES_OF_A_PIECE, "type {kind}, with a piece");
    }
}

#[test]
fn who_reads_an_answer_little_by_little_may_open_both_windows_as_often_at_once_and_later() {
    let now = Instant::now();
    let update = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 4, 0]);
    let rest = || {
        let mut watch = Watch::new(now);
        watch.see(&said(&[]), now).unwrap();
        passing(&mut watch, &update, now);
        watch.place = Place::Head(Gathered::default());
        watch
    };
    for (pieces, bytes) in [(1, 16_384), (4_096, 1_024), (1_024, 16_384)] {
        let mut watch = rest();
        (0..pieces).for_each(|_| watch.conduct.piece_sent(bytes));
        let needed = pieces * u32::try_from(2 * bytes / 1_024).unwrap();
        assert!(passing(&mut watch, &update, now) >= needed, "{pieces} of {bytes} bytes");
    }
    let mut watch = rest();
    (0..100_000).for_each(|_| watch.conduct.piece_sent(16_384));
    let ping = frame(PING, 0, 0, &[0; 8]);
    assert_eq!(passing(&mut watch, &ping, now), MOST_IDLE_FRAMES, "they pay for windows alone");
    watch.place = Place::Head(Gathered::default());
    assert_eq!(passing(&mut watch, &update, now), MOST_WINDOWS, "and for no more than that");
}

#[test]
fn what_moves_a_request_forward_is_not_counted() {
    let now = Instant::now();
    let mut watch = Watch::new(now);
    watch.see(&said(&[]), now).unwrap();
    let update = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    for number in 0..10 * MOST_IDLE_FRAMES {
        let request = frame(HEADERS, END_STREAM, 2 * number + 1, b"");
        watch.see(&[request, update.clone(), update.clone()].concat(), now).unwrap();
    }
}

#[test]
fn requests_taken_back_are_bounded_by_time_and_by_answers() {
    let now = Instant::now();
    let mut watch = Watch::new(now);
    watch.see(&said(&[]), now).unwrap();
    let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
    let taken_back = [frame(HEADERS, 0, 1, b""), reset.clone()].concat();
    // Each on a stream of its own, as far as this one is concerned.
    let passing = |watch: &mut Watch, frames: &[u8], now| {
        let passes = |watch: &mut Watch| {
            watch.conduct.ended = Ended::default();
            watch.see(frames, now).is_ok()
        };
        let count = (0..10 * MOST_TAKEN_BACK).take_while(|_| passes(watch)).count();
        watch.place = Place::Head(Gathered::default());
        u32::try_from(count).unwrap()
    };
    assert_eq!(passing(&mut watch, &taken_back, now), MOST_TAKEN_BACK);
    assert_eq!(watch.see(&reset, now).unwrap_err().reason, Reason::ENHANCE_YOUR_CALM);
    watch.place = Place::Head(Gathered::default());
    let later = now + Duration::from_secs(1);
    assert_eq!(passing(&mut watch, &taken_back, later), TAKEN_BACK_PER_SECOND);
    watch.conduct.piece_sent(16_384);
    assert_eq!(passing(&mut watch, &taken_back, later), 1, "with a piece of an answer");
}
