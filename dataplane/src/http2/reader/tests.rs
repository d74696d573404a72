//! Which frames are read as what, however they come, and which end the connection.

use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What comes of these frames behind the client's first settings, and why they are not all read.
fn said(frames: &[Vec<u8>]) -> (Vec<Incoming>, Option<Reason>) {
    let bytes = [frame(SETTINGS, 0, 0, &[]), frames.concat()].concat();
    let whole = read(&[&bytes]);
    for cut in 1..bytes.len() {
        assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
    }
    whole
}

fn read(parts: &[&[u8]]) -> (Vec<Incoming>, Option<Reason>) {
    let (now, mut buffer) = (Instant::now(), ReadBuffer::default());
    let (mut reader, mut said) = (Reader::new(now), Vec::new());
    for part in parts {
        buffer.extend(part);
        loop {
            match reader.next(&mut buffer, now) {
                Ok(Some(incoming)) => {
                    if let Incoming::Data { content, padding, .. } = &incoming {
                        buffer.discard(content + padding.behind);
                    }
                    said.push(incoming);
                }
                Ok(None) => break,
                Err(reason) => return (said, Some(reason)),
            }
        }
    }
    assert_eq!(said.remove(0), Incoming::Settings(Settings::default()));
    (said, None)
}

fn one(frames: &[Vec<u8>]) -> Incoming {
    let (mut said, reason) = said(frames);
    assert_eq!(reason, None);
    said.retain(|incoming| *incoming != Incoming::Nothing);
    assert_eq!(said.len(), 1, "{said:?}");
    said.remove(0)
}

#[test]
fn each_frame_is_read_as_what_it_is() {
    let none = Padding { behind: 0, counted: 0 };
    let padded = Padding { behind: 2, counted: 3 };
    let data = |content, padding, ends| Incoming::Data { stream: 1, content, padding, ends };
    let table = TableBytes { least: 3, last: 7 };
    let window = Settings { table_bytes: Some(table), window_bytes: Some(256) };
    let settings =
        [0, 4, 0, 0, 0, 9, 0, 1, 0, 0, 0, 3, 0, 1, 0, 0, 0, 7, 0, 4, 0, 0, 1, 0, 0, 99, 1, 1, 1, 1];
    for (frame, expected) in [
        (frame(DATA, 0, 1, b"abc"), data(3, none, Ends::Later)),
        (frame(DATA, flag::END_STREAM, 1, b""), data(0, none, Ends::Here)),
        (frame(DATA, flag::PADDED, 1, b"\x02abc\0\0"), data(3, padded, Ends::Later)),
        (frame(DATA, flag::PADDED, 1, b"\x02\0\0"), data(0, padded, Ends::Later)),
        (frame(RST_STREAM, 0, 3, &[0, 0, 0, 8]), Incoming::Reset { stream: 3 }),
        (frame(SETTINGS, 0, 0, &settings), Incoming::Settings(window)),
        (frame(PING, 0, 0, b"01234567"), Incoming::Ping(*b"01234567")),
        (frame(PING, flag::ACK, 0, b"01234567"), Incoming::Pong(*b"01234567")),
        (frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0bye"), Incoming::Farewell),
        (frame(WINDOW_UPDATE, 0, 0, &[0x80, 0, 1, 0]), Incoming::Widen { stream: 0, bytes: 256 }),
        (frame(WINDOW_UPDATE, 0, 5, &[0, 0, 0, 0]), Incoming::Widen { stream: 5, bytes: 0 }),
        (frame(PRIORITY, 0, 5, &[0x80, 0, 0, 5, 9]), Incoming::Circular { stream: 5, block: None }),
    ] {
        assert_eq!(one(&[frame]), expected);
    }
    for passed_over in [
        frame(PRIORITY, 0, 5, &[0, 0, 0, 3, 9]),
        frame(SETTINGS, flag::ACK, 0, &[]),
        frame(77, 0xff, 5, b"any"),
    ] {
        assert_eq!(said(&[passed_over]), (vec![Incoming::Nothing], None));
    }
}

#[test]
fn a_head_is_put_together_of_its_frames() {
    let head = |ends| Incoming::Head { stream: 1, block: "abc".into(), ends };
    let whole = flag::END_HEADERS;
    let (padded, with_priority) = (flag::PADDED | whole, flag::PRIORITY | whole);
    for (frames, ends) in [
        (vec![frame(HEADERS, whole, 1, b"abc")], Ends::Later),
        (vec![frame(HEADERS, whole | flag::END_STREAM, 1, b"abc")], Ends::Here),
        (vec![frame(HEADERS, padded, 1, b"\x02abc\0\0")], Ends::Later),
        (vec![frame(HEADERS, with_priority, 1, b"\0\0\0\x03\x09abc")], Ends::Later),
        (vec![frame(HEADERS, padded | flag::PRIORITY, 1, b"\x01\0\0\0\x03\x09abc\0")], Ends::Later),
        (
            vec![
                frame(HEADERS, flag::END_STREAM | flag::PADDED, 1, b"\x01a\0"),
                frame(CONTINUATION, 0, 1, b""),
                // Padding is none of its flags.
                frame(CONTINUATION, whole | flag::PADDED, 1, b"bc"),
            ],
            Ends::Here,
        ),
    ] {
        assert_eq!(one(&frames), head(ends), "{frames:?}");
    }
    let circular = frame(HEADERS, with_priority, 1, b"\0\0\0\x01\x09abc");
    assert_eq!(one(&[circular]), Incoming::Circular { stream: 1, block: Some("abc".into()) });
}

#[test]
fn what_cannot_be_ends_the_connection() {
    let beginning = || frame(HEADERS, 0, 1, b"abc");
    let setting = |name, value: u32| frame(SETTINGS, 0, 0, &[&[0, name][..], &value.to_be_bytes()].concat());
    let (protocol, size) = (Reason::PROTOCOL_ERROR, Reason::FRAME_SIZE_ERROR);
    for (frames, reason) in [
        (vec![frame(DATA, 0, 0, b"abc")], protocol),
        (vec![frame(DATA, flag::PADDED, 1, b"\x04abc")], protocol),
        (vec![frame(DATA, flag::PADDED, 1, b"")], size),
        (vec![frame(HEADERS, flag::END_HEADERS, 0, b"abc")], protocol),
        (vec![frame(HEADERS, flag::PADDED, 1, b"\x04abc")], protocol),
        (vec![frame(HEADERS, flag::PADDED | flag::PRIORITY, 1, b"\x03abcde")], protocol),
        (vec![frame(PRIORITY, 0, 0, &[0; 5])], protocol),
        (vec![frame(RST_STREAM, 0, 0, &[0; 4])], protocol),
        (vec![frame(SETTINGS, 0, 1, &[])], protocol),
        (vec![setting(2, 2)], protocol),
        (vec![setting(8, 2)], protocol),
        (vec![setting(4, 1 << 31)], Reason::FLOW_CONTROL_ERROR),
        (vec![setting(5, 16_383)], protocol),
        (vec![setting(5, 1 << 24)], protocol),
        (vec![frame(PUSH_PROMISE, 0, 1, &[0; 4])], protocol),
        (vec![frame(PING, 0, 1, &[0; 8])], protocol),
        (vec![frame(GOAWAY, 0, 1, &[0; 8])], protocol),
        (vec![frame(CONTINUATION, flag::END_HEADERS, 1, b"abc")], protocol),
        (vec![beginning(), frame(CONTINUATION, flag::END_HEADERS, 3, b"abc")], protocol),
        (vec![beginning(), frame(DATA, 0, 1, b"abc")], protocol),
        (vec![beginning(), frame(77, 0, 1, b"abc")], protocol),
        (vec![beginning(), beginning()], protocol),
    ] {
        assert_eq!(said(&frames).1, Some(reason), "{frames:?}");
    }
}

#[test]
fn frames_and_heads_are_bounded() {
    let large = frame(DATA, 0, 1, &vec![0; MAX_PAYLOAD_BYTES + 1]);
    let first = frame(SETTINGS, 0, 0, &[]);
    // Known by its head.
    assert_eq!(read(&[&first, &large[..HEAD_BYTES]]).1, Some(Reason::FRAME_SIZE_ERROR));
    assert_eq!(read(&[&first, &frame(DATA, 0, 1, &vec![0; MAX_PAYLOAD_BYTES])]).1, None);
    let going_on = |count| {
        let continuation = |number| {
            let flags = if number + 1 == count { flag::END_HEADERS } else { 0 };
            frame(CONTINUATION, flags, 1, b"a")
        };
        let frames: Vec<_> = (0..count).map(continuation).collect();
        read(&[&first, &frame(HEADERS, 0, 1, b"a"), &frames.concat()]).1
    };
    assert_eq!(going_on(MAX_CONTINUATIONS), None);
    assert_eq!(going_on(MAX_CONTINUATIONS + 1), Some(Reason::ENHANCE_YOUR_CALM));
}
