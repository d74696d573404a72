//! What blocks say, and which ones say nothing: RFC 7541 appendix C, and every error.

use proptest::prelude::*;

use super::*;

/// Bytes written as hexadecimal digits, as RFC 7541 has them.
fn hex(digits: &str) -> Bytes {
    let digits: Vec<_> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect::<Vec<_>>().into()
}

fn field_of(name: &str, value: &'static str) -> Field {
    field(Name::parse(name.as_bytes()), value.as_bytes(), Bytes::copy_from_slice)
}

fn read(decoder: &mut Decoder, block: impl Into<Bytes>) -> Result<Vec<Field>, CompressionError> {
    let mut fields = Vec::new();
    decoder.decode(&block.into(), |field| fields.push(field)).map(|()| fields)
}

/// What a block holds, alone on its connection.
fn read_alone(block: &[u8]) -> Result<Vec<Field>, CompressionError> {
    read(&mut Decoder::new(4096), block.to_vec())
}

/// Blocks of one connection: the block, its fields, and how large the table is behind it.
type Blocks<'a> = &'a [(&'a str, &'a [(&'a str, &'static str)], usize)];

fn check(max_table_bytes: usize, blocks: Blocks<'_>) {
    let mut decoder = Decoder::new(max_table_bytes);
    for (block, fields, table_bytes) in blocks {
        let fields: Vec<_> = fields.iter().map(|(name, value)| field_of(name, value)).collect();
        assert_eq!(read(&mut decoder, hex(block)), Ok(fields), "{block}");
        assert_eq!(decoder.table.bytes(), *table_bytes, "{block}");
    }
}

const COOKIE: &str = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

/// RFC 7541 C.2.
#[test]
fn fields_of_every_form_are_read() {
    check(
        4096,
        &[(
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &[("custom-key", "custom-header")],
            55,
        )],
    );
    check(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], 0)]);
    check(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")], 0)]);
    check(4096, &[("82", &[(":method", "GET")], 0)]);
    check(
        4096,
        &[("83 8e 90", &[(":method", "POST"), (":status", "500"), ("accept-encoding", "gzip, deflate")], 0)],
    );
}

const REQUESTS: [(&[(&str, &str)], usize); 3] = [
    (&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")], 57),
    (
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
            ("cache-control", "no-cache"),
        ],
        110,
    ),
    (
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ],
        164,
    ),
];

fn check_requests(blocks: [&str; 3]) {
    let [first, second, third] = [0, 1, 2].map(|index| (blocks[index], REQUESTS[index].0, REQUESTS[index].1));
    check(4096, &[first, second, third]);
}

/// RFC 7541 C.3 and C.4.
#[test]
fn requests_are_read_with_what_those_before_have_said() {
    check_requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
    check_requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

const ANSWERS: [(&[(&str, &str)], usize); 3] = [
    (
        &[
            (":status", "302"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("location", "https://www.example.com"),
        ],
        222,
    ),
    (
        &[
            (":status", "307"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("location", "https://www.example.com"),
        ],
        222,
    ),
    (
        &[
            (":status", "200"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
            ("location", "https://www.example.com"),
            ("content-encoding", "gzip"),
            ("set-cookie", COOKIE),
        ],
        215,
    ),
];

fn check_answers(blocks: [&str; 3]) {
    let [first, second, third] = [0, 1, 2].map(|index| (blocks[index], ANSWERS[index].0, ANSWERS[index].1));
    check(256, &[first, second, third]);
}

/// RFC 7541 C.5 and C.6: answers, whose status is no field here, but takes its place in the table.
#[test]
fn a_small_table_loses_what_is_oldest() {
    check_answers([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
         3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
         7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61
         6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ]);
    check_answers([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad
         1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
         e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

#[test]
fn what_may_be_in_no_table_is_told_with_the_value() {
    let fields = read_alone(&hex("1008 7061 7373 776f 7264 0673 6563 7265 74 0001 6101 62")).unwrap();
    let is_sensitive = |field: &Field| match field {
        Field::Regular(_, value) => value.is_sensitive(),
        _ => panic!("{field:?}"),
    };
    assert_eq!(fields.iter().map(is_sensitive).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn blocks_that_say_nothing_are_errors() {
    for (block, error) in [
        // Numbers that stand for nothing.
        (&[0x80][..], CompressionError::Number),
        (&[0xbe], CompressionError::Number),
        (&[0x7e, 1, b'a'], CompressionError::Number),
        (&[0x0f, 47, 1, b'a'], CompressionError::Number),
        (&[0xff, 0x80, 0x80, 0x80, 0x7f], CompressionError::Number),
        // Numbers that do not end in time.
        (&[0xff, 0x80, 0x80, 0x80, 0x80, 0x00], CompressionError::Integer),
        (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0x00, 1, b'a'], CompressionError::Integer),
        (&[0x3f, 0xff, 0xff, 0xff, 0xff, 0x00], CompressionError::Integer),
        (&[0x04, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x00], CompressionError::Integer),
        // Fields that do not end.
        (&[0xff], CompressionError::Truncated),
        (&[0x82, 0xff, 0x80], CompressionError::Truncated),
        (&[0x3f], CompressionError::Truncated),
        (&[0x04], CompressionError::Truncated),
        (&[0x04, 2, b'/'], CompressionError::Truncated),
        (&[0x04, 0x7f, 0xff, 0xff, 0xff, 0x7f, b'/'], CompressionError::Truncated),
        (&[0x40], CompressionError::Truncated),
        (&[0x40, 1], CompressionError::Truncated),
        (&[0x40, 1, b'a'], CompressionError::Truncated),
        (&[0x40, 1, b'a', 0x81], CompressionError::Truncated),
        // Tables above 4,096, and others too late.
        (&[0x3f, 0xe2, 0x1f], CompressionError::TableSize),
        (&[0x82, 0x20], CompressionError::TableSize),
        (&[0x82, 0x3f, 0xe1, 0x1f], CompressionError::TableSize),
        // Texts that are none, as values and as names.
        (&[0x04, 0x81, 0x00], CompressionError::Huffman),
        (&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff], CompressionError::Huffman),
        (&[0x04, 0x82, 0x1f, 0xff], CompressionError::Huffman),
        (&[0x40, 0x81, 0x00, 1, b'a'], CompressionError::Huffman),
    ] {
        assert_eq!(read_alone(block), Err(error), "{block:x?}");
    }
    for block in [&[][..], &[0x20], &[0x20, 0x3f, 0xe1, 0x1f], &[0x3f, 0xe1, 0x1f], &[0x20, 0x82]] {
        assert!(read_alone(block).is_ok(), "{block:x?}");
    }
}

/// A field into the table, which may be of one letter and as many of another.
fn added(name: &str, value_bytes: usize) -> Vec<u8> {
    let mut block = Vec::new();
    integer::encode(0x40, 6, 0, &mut block);
    integer::encode(0, 7, name.len(), &mut block);
    block.extend_from_slice(name.as_bytes());
    integer::encode(0, 7, value_bytes, &mut block);
    block.resize(block.len() + value_bytes, b'v');
    block
}

#[test]
fn a_table_is_as_large_as_was_said_last() {
    let mut decoder = Decoder::new(4096);
    let two = [added("a", 2000), added("b", 2030)].concat();
    assert_eq!(read(&mut decoder, two).map(|fields| fields.len()), Ok(2));
    assert_eq!((decoder.table.len(), decoder.table.bytes()), (2, 4096), "both fit");
    assert_eq!(read(&mut decoder, added("c", 0)).map(|fields| fields.len()), Ok(1));
    assert_eq!((decoder.table.len(), decoder.table.bytes()), (2, 4096 - 2000), "the first is gone");
    assert_eq!(read(&mut decoder, vec![0x3f, 2]).map(|fields| fields.len()), Ok(0));
    assert_eq!((decoder.table.len(), decoder.table.bytes()), (1, 33), "33 bytes hold one");
    assert!(matches!(read(&mut decoder, vec![0xbe]).unwrap()[..], [Field::Regular(..)]));
    // What is larger than the table is read, and nothing is left.
    assert_eq!(read(&mut decoder, added("d", 1)).map(|fields| fields.len()), Ok(1));
    assert_eq!((decoder.table.len(), decoder.table.bytes()), (0, 0));
    assert_eq!(read(&mut decoder, vec![0x20, 0x3f, 0xe1, 0x1f]).map(|fields| fields.len()), Ok(0));
    assert_eq!(decoder.table.max_bytes(), 4096);
}

#[test]
fn a_name_may_be_that_of_the_entry_that_makes_room() {
    let mut decoder = Decoder::new(64);
    read(&mut decoder, added("x-name", 26)).unwrap();
    let second = [&[0x7e, 26][..], &[b'w'; 26]].concat();
    let fields = read(&mut decoder, second).unwrap();
    assert_eq!(fields, [field_of("x-name", "wwwwwwwwwwwwwwwwwwwwwwwwww")]);
    assert_eq!(read(&mut decoder, vec![0xbe]), Ok(fields));
}

#[test]
fn what_is_no_field_of_a_request_is_told() {
    let unknown = |name: &str| Field::Malformed(Name::Unknown { bytes: name.len() });
    for name in ["", "A", "Host", "a b", "a\"b", "a:", ":", ":status", ":method ", ":Path", "\u{e9}", "a\n"] {
        assert_eq!(field_of(name, "GET"), unknown(name), "{name:?}");
    }
    for (name, value) in [
        ("a", "\n"),
        ("a", "b\r\nc: d"),
        ("a", "\0"),
        ("a", "\u{7f}"),
        ("a", " "),
        ("a", " b"),
        ("a", "b\t"),
        (":authority", "a\nb"),
        (":scheme", " http"),
        (":protocol", "\0"),
        (":method", ""),
        (":method", "GET /"),
        (":method", "G\0T"),
        (":path", ""),
        (":path", "x"),
        (":path", "?x"),
        (":path", "**"),
        (":path", "/x y"),
        (":path", "/x\ty"),
        (":path", "/\u{e9}"),
        (":path", "/x#y"),
        (":path", "/x?y#"),
        (":path", "http://a/"),
    ] {
        let name = Name::parse(name.as_bytes());
        assert_eq!(field(name.clone(), value.as_bytes(), Bytes::copy_from_slice), Field::Malformed(name));
    }
    for (name, value) in [
        ("a", ""),
        ("a", "b c\td"),
        ("a", "\u{e9}"),
        ("a_b.c!", "x"),
        (":authority", ""),
        (":scheme", "ftp"),
        (":protocol", "websocket"),
        (":method", "get"),
        (":method", "M-SEARCH"),
        (":path", "*"),
        (":path", "//"),
        (":path", "/x?a=b&c=%20?"),
    ] {
        assert!(!matches!(field_of(name, value), Field::Malformed(_)), "{name}: {value}");
    }
}

#[test]
fn what_is_no_field_is_remembered_like_any_other() {
    let unknown = Field::Malformed(Name::Unknown { bytes: 1 });
    let mut decoder = Decoder::new(4096);
    let block = [added("a", 1), added("B", 1), vec![0x40, 1, b'c', 1, b'\n'], added("d", 1)].concat();
    let fields = read(&mut decoder, block).unwrap();
    assert_eq!(fields[1..3], [unknown.clone(), Field::Malformed(Name::parse(b"c"))]);
    assert_eq!(decoder.table.bytes(), 4 * 34);
    let fields =
        read(&mut decoder, vec![0xc1, 0xc0, 0xbf, 0xbe, 0x7f, 0, 1, b'x', 0x7f, 2, 1, b'y']).unwrap();
    let expected = [
        field_of("a", "v"),
        unknown.clone(),
        Field::Malformed(Name::parse(b"c")),
        field_of("d", "v"),
        field_of("c", "x"),
        unknown,
    ];
    assert_eq!(fields, expected);
    assert_eq!(decoder.table.bytes(), 6 * 34);
}

#[test]
fn methods_and_paths_are_bounded() {
    let method = |bytes| field(Name::Method, &vec![b'M'; bytes], Bytes::copy_from_slice);
    assert!(matches!(method(MAX_METHOD_BYTES), Field::Method(_)));
    assert_eq!(method(MAX_METHOD_BYTES + 1), Field::Malformed(Name::Method));
    let path = |bytes| field(Name::Path, &vec![b'/'; bytes], Bytes::copy_from_slice);
    assert!(matches!(path(MAX_PATH_BYTES), Field::Path(_)));
    assert_eq!(path(MAX_PATH_BYTES + 1), Field::Malformed(Name::Path));
}

#[test]
fn fields_are_as_large_as_the_table_counts_them() {
    let mut decoder = Decoder::new(4096);
    for (name, value) in [
        (":method", "PATCH"),
        (":scheme", "https"),
        (":authority", "a.example"),
        (":path", "/x"),
        (":protocol", "websocket"),
        ("accept", "*/*"),
        ("x-y", ""),
    ] {
        let before = decoder.table.bytes();
        let mut block = vec![0x40];
        for text in [name, value] {
            block.push(text.len().try_into().unwrap());
            block.extend_from_slice(text.as_bytes());
        }
        let fields = read(&mut decoder, block).unwrap();
        assert_eq!(fields, [field_of(name, value)]);
        assert_eq!(fields[0].size(), decoder.table.bytes() - before, "{name}");
        assert_eq!(fields[0].size(), name.len() + value.len() + 32, "{name}");
    }
}

/// A field of almost 4 KiB a hundred thousand times in as many bytes: each is a reference to the first.
#[test]
fn what_is_referred_to_again_and_again_is_there_once() {
    let mut decoder = Decoder::new(4096);
    let stored = read(&mut decoder, added("bomb", 4000)).unwrap();
    let Field::Regular(_, stored) = &stored[0] else { panic!("{stored:?}") };
    let mut count = 0;
    let taken = decoder.decode(&vec![0xbe; 100_000].into(), |field| {
        let Field::Regular(_, value) = field else { panic!("{field:?}") };
        assert_eq!(value.as_bytes().as_ptr(), stored.as_bytes().as_ptr());
        count += 1;
    });
    assert_eq!((taken, count), (Ok(()), 100_000));
}

#[test]
fn the_table_keeps_nothing_of_the_block() {
    let mut decoder = Decoder::new(4096);
    let block = Bytes::from([added("a", 10), vec![0x00, 1, b'b', 3, b'x', b'y', b'z']].concat());
    let fields = read(&mut decoder, block.clone()).unwrap();
    let is_part = |field: &Field| match field {
        Field::Regular(_, value) => block.as_ptr_range().contains(&value.as_bytes().as_ptr()),
        _ => panic!("{field:?}"),
    };
    assert_eq!(fields.iter().map(is_part).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn memory_for_text_is_given_back() {
    let mut decoder = Decoder::new(4096);
    for (coded, is_kept) in [(vec![0x18; 600], true), (vec![0x18; 700], false)] {
        let mut block = vec![0x04];
        integer::encode(0x80, 7, coded.len() + 1, &mut block);
        block.extend(coded);
        block.push(0xff >> 3 | 0x60);
        // What it says does not matter.
        let _ = read(&mut decoder, block);
        assert_eq!(decoder.text.capacity() > 0, is_kept);
        assert!(decoder.text.capacity() <= 2 * KEPT_TEXT_BYTES);
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_read_in_bounds(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let mut decoder = Decoder::new(200);
        for block in blocks {
            let bytes = block.len();
            let Ok(fields) = read(&mut decoder, block) else { break };
            prop_assert!(fields.len() <= bytes);
            prop_assert!(decoder.table.bytes() <= 200 && decoder.table.len() <= 200 / ENTRY_OVERHEAD);
        }
    }
}
