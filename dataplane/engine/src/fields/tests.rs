//! Fields, however they got there.

use http::header::{COOKIE, HOST, VIA};

use super::*;

fn fields(lines: &[(HeaderName, &'static str)]) -> Fields {
    lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

#[test]
fn what_is_inserted_takes_the_place_of_all_of_its_name() {
    let mut inserted = fields(&[(VIA, "1"), (HOST, "a"), (VIA, "2"), (COOKIE, "c"), (VIA, "3")]);
    inserted.insert(VIA, HeaderValue::from_static("4"));
    assert_eq!(inserted, fields(&[(VIA, "4"), (HOST, "a"), (COOKIE, "c")]));
    inserted.insert_if_absent(VIA, || HeaderValue::from_static("5"));
    inserted.remove(HOST);
    inserted.insert(HOST, HeaderValue::from_static("b"));
    assert_eq!(inserted, fields(&[(VIA, "4"), (COOKIE, "c"), (HOST, "b")]));
}

#[test]
fn the_first_of_a_name_is_found_and_all_are_in_order() {
    let several = fields(&[(VIA, "1"), (HOST, "a"), (VIA, "2")]);
    assert_eq!(several.get(VIA).unwrap(), "1");
    assert_eq!(several.get_all(VIA).collect::<Vec<_>>(), ["1", "2"]);
    assert!(!several.contains_key(COOKIE));
}

#[test]
fn nothing_is_lost_between_a_list_and_a_map() {
    let several = fields(&[(HOST, "a"), (VIA, "1"), (VIA, "2")]);
    assert_eq!(Fields::from(HeaderMap::from(several.clone())), several);
}

#[test]
fn what_was_read_is_the_same_as_what_was_made() {
    let text = Bytes::from_static(b"via: 1\r\nhost: a\r\nvia: 2\r\n");
    let mut read = Fields::of_text(text.clone());
    for (name, part) in [(VIA, 5..6), (HOST, 14..15), (VIA, 22..23)] {
        read.append_part(name, PlainText::new(&text[part]).unwrap()).unwrap();
    }
    let made = fields(&[(VIA, "1"), (HOST, "a"), (VIA, "2")]);
    assert_eq!(read, made);
    assert_eq!(read.get_all(VIA).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(read.clone().into_iter().collect::<Vec<_>>(), made.clone().into_iter().collect::<Vec<_>>());
    read.append_same(X_FORWARDED_HOST, &HOST);
    read.append_same(COOKIE, &X_FORWARDED_FOR);
    assert_eq!(read.bytes_of(X_FORWARDED_HOST), Some(&b"a"[..]));
    assert_eq!(read.len(), 4);
}

#[test]
fn ready_names_of_one_length_are_told_apart() {
    let long = HeaderName::from_bytes(&[b'x'; 64 + "via".len()]).unwrap();
    let ready = ReadyFields::new([(VIA, HeaderValue::from_static("1"))]);
    assert_eq!(ready.get(&VIA), Some(&HeaderValue::from_static("1")));
    for other in [HeaderName::from_static("age"), HOST, long] {
        assert_eq!(ready.get(&other), None, "{other}");
    }
}

#[test]
fn what_is_ready_is_as_if_it_had_been_added_one_by_one() {
    let ready = [(VIA, "2"), (COOKIE, "c"), (VIA, "3")];
    let ready = ready.map(|(name, value)| (name, HeaderValue::from_static(value)));
    let changes: [fn(&mut Fields); 9] = [
        |_fields| {},
        |fields| fields.append(VIA, HeaderValue::from_static("4")),
        |fields| fields.append(X_REQUEST_ID, HeaderValue::from_static("r")),
        |fields| fields.append_same(X_FORWARDED_FOR, &COOKIE),
        |fields| fields.insert(VIA, HeaderValue::from_static("5")),
        |fields| fields.insert_if_absent(COOKIE, || HeaderValue::from_static("d")),
        |fields| fields.remove(COOKIE),
        |fields| fields.retain(|name| *name == VIA),
        |fields| fields.append_ready(Arc::new(ReadyFields::new([(HOST, HeaderValue::from_static("b"))]))),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut one_by_one = fields(&[(VIA, "1"), (HOST, "a")]);
        let mut at_once = one_by_one.clone();
        one_by_one.extend(ready.clone());
        at_once.append_ready(Arc::new(ReadyFields::new(ready.clone())));
        [&mut one_by_one, &mut at_once].into_iter().for_each(change);
        assert_eq!(at_once.len(), one_by_one.len(), "{number}");
        for name in [VIA, HOST, COOKIE, X_REQUEST_ID, X_FORWARDED_FOR] {
            let all = |fields: &Fields| fields.get_all(&name).cloned().collect::<Vec<_>>();
            assert_eq!(all(&at_once), all(&one_by_one), "{number}: {name}");
            assert_eq!(at_once.get(&name), one_by_one.get(&name), "{number}: {name}");
            let single =
                |fields: &Fields| fields.bytes_of_single(&name).map(|value| value.map(<[u8]>::to_vec));
            assert_eq!(single(&at_once), single(&one_by_one), "{number}: {name}");
            let expected = if all(&one_by_one).len() > 1 { Err(Several) } else { Ok(all(&one_by_one).len()) };
            assert_eq!(
                single(&at_once).map(|value| usize::from(value.is_some())),
                expected,
                "{number}: {name}"
            );
            assert_eq!(at_once.contains_key(&name), one_by_one.contains_key(&name), "{number}: {name}");
        }
        let sorted = |fields: &Fields| {
            let mut lines: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&at_once), sorted(&one_by_one), "{number}");
        let (at_once, one_by_one) = (HeaderMap::from(at_once), HeaderMap::from(one_by_one));
        assert_eq!(at_once, one_by_one, "{number}");
    }
    assert_eq!(ReadyFields::new(ready).text(), b"via: 2\r\ncookie: c\r\nvia: 3\r\n");
}

#[test]
fn memory_is_used_again_and_is_empty_then() {
    let mut first = Fields::of_text(Bytes::new());
    first.append(VIA, HeaderValue::from_static("1"));
    let memory = first.lines.as_ptr();
    drop(first);
    let mut again = Fields::of_text(Bytes::new());
    assert_eq!((again.lines.as_ptr(), again.len()), (memory, 0));
    for _ in 0..=MOST_KEPT_LINES {
        again.append(VIA, HeaderValue::from_static("1"));
    }
    drop(again);
    assert_eq!(STOCK.with(Stock::kept), 0);
}

#[test]
fn what_stands_elsewhere_is_no_part() {
    let text = Bytes::from_static(b"some text");
    let mut read = Fields::of_text(text.slice(2..6));
    for elsewhere in [&b"some"[..], &text[..3], &text[4..], &text[7..]] {
        assert_eq!(read.append_part(VIA, PlainText::new(elsewhere).unwrap()), Err(NoPart), "{elsewhere:?}");
    }
    for part in [&text[2..6], &text[3..4], &text[6..6]] {
        read.append_part(VIA, PlainText::new(part).unwrap()).unwrap();
    }
    assert_eq!(read.get_all(VIA).collect::<Vec<_>>(), ["me t", "e", ""]);
}
