//! HPACK (RFC 7541; h2spec generic/5 and hpack).

use apigw_tests::frames::{
    END_HEADERS, END_STREAM, Kind,
    peer::{FramePeer, block, code},
};

use super::{Expected, GET, Row, check};

/// A request whose head begins with these bytes and ends with those.
fn around(peer: &mut FramePeer, before: &[u8], behind: &[u8]) {
    let payload = [before, &block(GET), behind].concat();
    peer.frame(Kind::Headers, END_STREAM | END_HEADERS, 1, &payload);
}

fn behind(peer: &mut FramePeer, bytes: &[u8]) {
    around(peer, &[], bytes);
}

/// RFC 7541 section 6: indexed; literal, remembered, not remembered, never to be; each with a known name, a new name, a
/// name and a value by Huffman codes.
const KINDS: [u8; 3] = [0x40, 0x00, 0x10];
fn each(peer: &mut FramePeer, field: &[u8]) {
    for (stream, kind) in (1..).step_by(2).zip(KINDS) {
        let payload = [&block(GET), &[kind][..], field].concat();
        peer.frame(Kind::Headers, END_STREAM | END_HEADERS, stream, &payload);
    }
}

const WRITTEN: &[Row] = &[
    Row {
        name: "generic/5: an indexed field",
        sends: |peer| behind(peer, &[0x80 + 58]),
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/5: a literal field with a known name",
        sends: |peer| {
            // user-agent is number 58: over 15 in four bits, under 63 in six.
            for (stream, name) in [(1, &[0x40 + 58][..]), (3, &[0x0f, 58 - 15]), (5, &[0x1f, 58 - 15])] {
                let payload = [&block(GET), name, b"\x06h2spec"].concat();
                peer.frame(Kind::Headers, END_STREAM | END_HEADERS, stream, &payload);
            }
        },
        expects: Expected::Answer(5, 200),
    },
    Row {
        name: "generic/5: a literal field with a new name",
        sends: |peer| each(peer, b"\x06x-test\x06h2spec"),
        expects: Expected::Answer(5, 200),
    },
    Row {
        name: "generic/5: the same by Huffman codes",
        sends: |peer| each(peer, b"\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4"),
        expects: Expected::Answer(5, 200),
    },
    Row {
        name: "generic/5: a field that was remembered",
        sends: |peer| {
            behind(peer, b"\x40\x06x-test\x06h2spec");
            let payload = [&block(GET), &[0x80 + 62][..]].concat();
            peer.frame(Kind::Headers, END_STREAM | END_HEADERS, 3, &payload);
        },
        expects: Expected::Answer(3, 200),
    },
    Row {
        name: "generic/5: the table becomes smaller",
        sends: |peer| around(peer, &[0x20], &[]),
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/5: the table becomes smaller, and larger again",
        sends: |peer| around(peer, &[0x20, 0x3f, 0xe1, 0x1f], &[]),
        expects: Expected::Answer(1, 200),
    },
];

#[test]
fn fields_are_read_however_they_are_written() {
    check(WRITTEN);
}

/// RFC 9113 section 4.3.
const BROKEN: Expected = Expected::ConnectionError(code::COMPRESSION);

const UNREADABLE: &[Row] = &[
    Row { name: "hpack/2.3.3: a number of no field", sends: |peer| behind(peer, &[0xfe]), expects: BROKEN },
    Row {
        name: "hpack/2.3.3: a name's number of no field",
        sends: |peer| behind(peer, b"\x7e\x01x"),
        expects: BROKEN,
    },
    Row {
        name: "hpack/4.2: a table's size behind a field",
        sends: |peer| behind(peer, &[0x21]),
        expects: BROKEN,
    },
    Row {
        name: "hpack/5.1: a number without end",
        sends: |peer| behind(peer, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        expects: BROKEN,
    },
    Row {
        name: "hpack/5.2: padding of more than seven bits",
        sends: |peer| behind(peer, b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
        expects: BROKEN,
    },
    Row {
        name: "hpack/5.2: padding of zeros",
        sends: |peer| behind(peer, b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
        expects: BROKEN,
    },
    Row {
        name: "hpack/5.2: the code of the end inside",
        sends: |peer| behind(peer, b"\x00\x85\xf2\xb2\x4a\x87\xff\xff\xff\xfd\x25\x42\x7f"),
        expects: BROKEN,
    },
    Row {
        name: "hpack/5.2: a text longer than the head",
        sends: |peer| behind(peer, b"\x00\x7fx"),
        expects: BROKEN,
    },
    Row { name: "hpack/6.1: number 0", sends: |peer| behind(peer, &[0x80]), expects: BROKEN },
    Row {
        name: "hpack/6.3: a table larger than was settled on",
        sends: |peer| around(peer, &[0x3f, 0xe2, 0x1f], &[]),
        expects: BROKEN,
    },
    Row {
        name: "4.3: a field that is cut off",
        sends: |peer| peer.frame(Kind::Headers, END_STREAM | END_HEADERS, 1, &[0x40]),
        expects: BROKEN,
    },
];

#[test]
fn what_is_no_compressed_head_ends_the_connection() {
    check(UNREADABLE);
}
