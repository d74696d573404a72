//! What is written in which form, and that it is read as it was meant.

use std::collections::HashMap;

use http::{HeaderValue, header};
use proptest::{prelude::*, sample::select};

use super::*;
use crate::http2::hpack::{
    decoder::{Decoder, Field},
    places::place,
    table::static_field,
};

const X_ONE: HeaderName = HeaderName::from_static("x-one");

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

fn secret(text: &str) -> HeaderValue {
    let mut value = value(text);
    value.set_sensitive(true);
    value
}

fn write(encoder: &mut Encoder, fields: &[(HeaderName, HeaderValue)]) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    fields.iter().for_each(|(name, value)| encoder.field(name, value, &mut block));
    block
}

#[track_caller]
fn check(encoder: &mut Encoder, name: &HeaderName, field: &HeaderValue, expected: &[&[u8]]) {
    assert_eq!(write(encoder, &[(name.clone(), field.clone())]), expected.concat(), "{name}: {field:?}");
}

#[test]
fn a_status_is_a_number_or_three_digits() {
    let (mut encoder, mut block) = (Encoder::new(), Vec::new());
    for status in [200, 204, 206, 304, 400, 404, 500, 302, 999] {
        encoder.status(StatusCode::from_u16(status).unwrap(), &mut block);
    }
    let numbers = [0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e];
    assert_eq!(block, [&numbers[..], &[0x08, 3], b"302", &[0x08, 3], b"999"].concat());
}

#[test]
fn what_comes_again_is_a_number() {
    let mut encoder = Encoder::new();
    let (server, kind) = (value("a"), value("text/html"));
    check(&mut encoder, &header::SERVER, &server, &[&[0x76, 1], b"a"]);
    check(&mut encoder, &header::CONTENT_TYPE, &kind, &[&[0x5f, 9], b"text/html"]);
    check(&mut encoder, &X_ONE, &server, &[&[0x40, 5], b"x-one", &[1], b"a"]);
    check(&mut encoder, &header::SERVER, &server, &[&[0xc0]]);
    check(&mut encoder, &header::CONTENT_TYPE, &kind, &[&[0xbf]]);
    check(&mut encoder, &X_ONE, &server, &[&[0xbe]]);
    // An empty value is one.
    check(&mut encoder, &header::VARY, &value(""), &[&[0x7b, 0]]);
    check(&mut encoder, &header::VARY, &value(""), &[&[0xbe]]);
}

#[test]
fn what_is_another_each_time_takes_nobodys_place() {
    let mut encoder = Encoder::new();
    for round in 0..3 {
        let text = format!("{round}");
        // The name is spelt out only once.
        let id: [&[u8]; 3] = if round == 0 { [&[0x40, 5], b"x-one", &[1]] } else { [&[0x0f, 47], &[], &[1]] };
        check(&mut encoder, &X_ONE, &value(&text), &[&id.concat(), text.as_bytes()]);
        check(&mut encoder, &header::CONTENT_LENGTH, &value(&text), &[&[0x0f, 13, 1], text.as_bytes()]);
        check(&mut encoder, &header::SET_COOKIE, &value(&text), &[&[0x0f, 40, 1], text.as_bytes()]);
        check(&mut encoder, &header::CONTENT_LENGTH, &value("7"), &[&[0x0f, 13, 1], b"7"]);
    }
    assert_eq!(encoder.table.len(), 1);
}

#[test]
fn what_stays_the_same_for_a_while_is_in_the_table_for_as_long() {
    let mut encoder = Encoder::new();
    for (now, bytes, count) in [("now", 3, 1), ("then", 4, 2)] {
        let date = value(now);
        check(&mut encoder, &header::DATE, &date, &[&[0x0f, 18, bytes], now.as_bytes()]);
        check(&mut encoder, &header::DATE, &date, &[&[0x61, bytes], now.as_bytes()]);
        check(&mut encoder, &header::DATE, &date, &[&[0xbe]]);
        assert_eq!(encoder.table.len(), count);
    }
    // So does one that has no number, once its name has.
    check(&mut encoder, &X_ONE, &value("a"), &[&[0x40, 5], b"x-one", &[1], b"a"]);
    check(&mut encoder, &X_ONE, &value("b"), &[&[0x0f, 47, 1], b"b"]);
    check(&mut encoder, &X_ONE, &value("b"), &[&[0x7e, 1], b"b"]);
    check(&mut encoder, &X_ONE, &value("b"), &[&[0xbe]]);
    check(&mut encoder, &X_ONE, &value("a"), &[&[0xbf]]);
}

#[test]
fn secrets_are_in_no_table() {
    let mut encoder = Encoder::new();
    check(&mut encoder, &header::SERVER, &secret("a"), &[&[0x1f, 39, 1], b"a"]);
    check(&mut encoder, &X_ONE, &secret("a"), &[&[0x10, 5], b"x-one", &[1], b"a"]);
    assert_eq!(encoder.table.len(), 0);
    // Nor does it help to guess one: the table has the guess, and the secret is written as before.
    check(&mut encoder, &X_ONE, &value("a"), &[&[0x40, 5], b"x-one", &[1], b"a"]);
    check(&mut encoder, &X_ONE, &secret("a"), &[&[0x1f, 47, 1], b"a"]);
    check(&mut encoder, &X_ONE, &secret("a"), &[&[0x1f, 47, 1], b"a"]);
    assert_eq!(encoder.table.len(), 1);
}

#[test]
fn a_table_is_as_large_as_the_peer_would_keep_and_never_above_4096() {
    let mut encoder = Encoder::new();
    let sizes = |encoder: &mut Encoder, sizes: &[u32]| {
        sizes.iter().for_each(|size| encoder.set_max_table_bytes(*size));
        write(encoder, &[])
    };
    assert_eq!(sizes(&mut encoder, &[]), [0_u8; 0]);
    assert_eq!(sizes(&mut encoder, &[4096]), [0_u8; 0]);
    assert_eq!(sizes(&mut encoder, &[65_536, u32::MAX]), [0_u8; 0]);
    assert_eq!(sizes(&mut encoder, &[0]), [0x20]);
    assert_eq!(sizes(&mut encoder, &[]), [0_u8; 0], "it is told once");
    assert_eq!(sizes(&mut encoder, &[30]), [0x3e]);
    // The least, which makes room, and the last.
    assert_eq!(sizes(&mut encoder, &[1000, 0, 100, u32::MAX]), [0x20, 0x3f, 0xe1, 0x1f]);
    assert_eq!(sizes(&mut encoder, &[100, 4096]), [0x3f, 69, 0x3f, 0xe1, 0x1f]);
    check(&mut encoder, &header::SERVER, &value("a"), &[&[0x76, 1], b"a"]);
    assert_eq!(sizes(&mut encoder, &[38, 4096]), [0x3f, 7, 0x3f, 0xe1, 0x1f]);
    check(&mut encoder, &header::SERVER, &value("a"), &[&[0x76, 1], b"a"]);
    assert_eq!(sizes(&mut encoder, &[4096, 39]), [0x3f, 8]);
    check(&mut encoder, &header::SERVER, &value("a"), &[&[0xbe]]);
    assert_eq!(sizes(&mut encoder, &[0]), [0x20]);
    check(&mut encoder, &header::SERVER, &value("a"), &[&[0x0f, 39, 1], b"a"]);
    check(&mut encoder, &header::SERVER, &value("a"), &[&[0x0f, 39, 1], b"a"]);
}

#[test]
fn what_would_fill_the_table_is_not_in_it() {
    let mut encoder = Encoder::new();
    let fits = 4096 / 4 * 3 - "server".len() - ENTRY_OVERHEAD;
    for (bytes, count) in [(fits + 1, 0), (fits + 1, 0), (fits, 1)] {
        write(&mut encoder, &[(header::SERVER, value(&"a".repeat(bytes)))]);
        assert_eq!(encoder.table.len(), count, "{bytes}");
    }
}

#[test]
fn the_table_keeps_nothing_of_larger_memory() {
    let mut encoder = Encoder::new();
    let large = bytes::Bytes::from(vec![b'a'; 5000]);
    write(&mut encoder, &[(header::SERVER, HeaderValue::from_maybe_shared(large.slice(..10)).unwrap())]);
    assert_eq!(encoder.table.len(), 1);
    assert!(large.is_unique());
}

#[test]
fn what_was_at_a_place_before_is_looked_for_there() {
    let mut encoder = Encoder::new();
    let field = |number: usize| (HeaderName::try_from(format!("x-{number}")).unwrap(), value("a"));
    let fields: Vec<_> = (0..=EXPECTED_FIELDS).map(field).collect();
    write(&mut encoder, &fields);
    write(&mut encoder, &[]);
    // Nowhere else, then.
    encoder.places = Places::default();
    let block = write(&mut encoder, &fields);
    // The last one is the latest, and the others are in front of it.
    let numbers: Vec<_> = (0xbf..=0xce).rev().collect();
    assert_eq!(block[..EXPECTED_FIELDS], numbers);
    assert_eq!(block[EXPECTED_FIELDS..], [&[0x40, 4][..], b"x-16", &[1], b"a"].concat());
}

#[test]
fn names_of_one_hash_are_told_apart() {
    let mut seen = HashMap::new();
    let name = |number: u32| HeaderName::try_from(format!("x-{number}")).unwrap();
    let mut alike = (0..).filter_map(|number| {
        let mut hasher = FxHasher::default();
        hasher.write(name(number).as_str().as_bytes());
        seen.insert(place(hasher.finish()), number).map(|other| (name(other), name(number)))
    });
    let (one, other) = alike.next().unwrap();
    let mut encoder = Encoder::new();
    for name in [&one, &other] {
        let text = name.as_str().as_bytes();
        let length = text.len().try_into().unwrap();
        check(&mut encoder, name, &value("a"), &[&[0x40, length], text, &[1], b"a"]);
    }
    check(&mut encoder, &one, &value("a"), &[&[0xbf]]);
    check(&mut encoder, &other, &value("a"), &[&[0xbe]]);
}

/// RFC 7541 appendix A is in alphabetical order, but for one.
#[test]
fn names_have_the_numbers_of_the_appendix() {
    let name = |number| match static_field(number) {
        Some(Field::Regular(name, _)) => name,
        other => panic!("{number}: {other:?}"),
    };
    for number in 15..=STATIC_FIELDS {
        assert_eq!(static_name(name(number)), Some(number), "{}", name(number));
        let next = if number == 18 { 20 } else { number + 1 };
        assert!(
            next > STATIC_FIELDS || number == 19 || name(number).as_str() < name(next).as_str(),
            "{number}"
        );
    }
    assert_eq!(
        (name(15), name(19), name(61)),
        (&header::ACCEPT_CHARSET, &header::ACCEPT, &header::WWW_AUTHENTICATE)
    );
    assert_eq!(
        (name(28), name(40), name(50)),
        (&header::CONTENT_LENGTH, &header::IF_MODIFIED_SINCE, &header::RANGE)
    );
    for name in [header::TE, header::UPGRADE, X_ONE, HeaderName::from_static("x")] {
        assert_eq!(static_name(&name), None, "{name}");
    }
}

/// What is done with a connection.
#[derive(Debug, Clone)]
enum Step {
    Resize(u32),
    Write(Vec<(HeaderName, HeaderValue)>),
}

fn fields() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let names = [header::SERVER, header::DATE, header::CONTENT_LENGTH, header::TE, X_ONE]
        .map(|name| name.to_string());
    let name = prop_oneof![4 => select(names.to_vec()), 1 => "[a-z]{1,2}", 1 => "x-[a-z-]{1,200}"];
    let text = prop_oneof![4 => "[a-c]?", 1 => "[!-~]{1,300}", 1 => (3000..4100_usize).prop_map(|bytes| "a".repeat(bytes))];
    (name, text, prop::bool::weighted(0.1)).prop_map(|(name, text, is_sensitive)| {
        let value = if is_sensitive { secret(&text) } else { value(&text) };
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), value)
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![0..300_u32, 0..5000_u32, any::<u32>()];
    let write = prop::collection::vec(fields(), 0..2 * EXPECTED_FIELDS).prop_map(Step::Write);
    prop::collection::vec(prop_oneof![1 => size.prop_map(Step::Resize), 6 => write], 0..40)
}

proptest! {
    /// Both sides have the same table then.
    #[test]
    fn what_is_written_is_read(steps in steps()) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(MAX_TABLE_BYTES));
        for step in steps {
            let written = match step {
                Step::Resize(bytes) => {
                    encoder.set_max_table_bytes(bytes);
                    continue;
                }
                Step::Write(fields) => fields,
            };
            let (block, mut read) = (write(&mut encoder, &written), Vec::new());
            let outcome = decoder.decode(&block.into(), |field| match field {
                Field::Regular(name, value) => read.push((name, value)),
                other => panic!("{other:?}"),
            });
            prop_assert_eq!(outcome, Ok(()));
            prop_assert_eq!(&read, &written);
            let secrets = |fields: &[(HeaderName, HeaderValue)]| {
                fields.iter().map(|(_, value)| value.is_sensitive()).collect::<Vec<_>>()
            };
            prop_assert_eq!(secrets(&read), secrets(&written));
            prop_assert!(encoder.table.bytes() <= encoder.max_table_bytes);
        }
    }
}
