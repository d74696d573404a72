//! What of YAML is read, and where the bounds are.

use super::*;
use crate::problem::{Problem, Problems};

/// Writes a tree on one line: texts quoted, positions left out.
fn shown(node: &Node<'_>) -> String {
    match &node.value {
        Value::Probe => "probe".into(),
        Value::Scalar(scalar) => match scalar.meaning() {
            Meaning::Null => "null".into(),
            Meaning::Bool(value) => value.to_string(),
            Meaning::Whole(number) => number.to_string(),
            Meaning::Fraction(number) => number.to_string(),
            Meaning::Text(text) => format!("{text:?}"),
        },
        Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Mapping(pairs) => {
            let pairs = pairs.iter().map(|pair| format!("{}={}", pair.key, shown(&pair.value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
        }
    }
}

fn read(content: &[u8]) -> (Option<String>, Vec<String>) {
    let mut problems = Problems::of("");
    let shown = parse(content, &mut problems).map(|document| shown(&document.root));
    (shown, problems.into_sorted().iter().map(Problem::to_string).collect())
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(read(text.as_bytes()), (Some(expected.into()), vec![]), "{text:.80}");
}

#[track_caller]
fn check_stopped(text: &str, expected: &str) {
    assert_eq!(read(text.as_bytes()), (None, vec![expected.into()]), "{text:.80}");
}

#[test]
fn yaml_becomes_a_tree() {
    check(
        "a: 1\nb: [x, 'y', \"z\\n\"]\nc:\n  - d: true\n    e: ~\n",
        r#"{a=1 b=["x" "y" "z\n"] c=[{d=true e=null}]}"#,
    );
    check("a: |\n  x\n  y\nb: >-\n  x\n  y\n", r#"{a="x\ny\n" b="x y"}"#);
    check("", "null");
    check("# nothing\n", "null");
    check("---\na: 1\n...\n", "{a=1}");
    check("{\"a\": 1}", "{a=1}");
    check("a: 1\r\nb: 2\r\n", "{a=1 b=2}");
    check("\u{feff}a: 1\n", "{a=1}");
}

#[test]
fn positions_count_lines_and_characters_from_one() {
    let mut problems = Problems::of("");
    let text = "a: 1\r\n\"ä\": ü\r\nc:\n  - {d: x}\n";
    let document = parse(text.as_bytes(), &mut problems).expect("it is YAML");
    let Value::Mapping(pairs) = document.root.value else { panic!("it is a mapping") };
    let at = |line, column| Position { line, column };
    assert_eq!((pairs[0].position, pairs[0].value.position), (at(1, 1), at(1, 4)));
    assert_eq!((pairs[1].position, pairs[1].value.position), (at(2, 1), at(2, 6)));
    let Value::List(items) = &pairs[2].value.value else { panic!("it is a list") };
    assert_eq!(items[0].position, at(4, 5));
}

#[test]
fn anchors_stand_for_what_they_name() {
    check("a: &x {b: 1}\nc: *x\nd: &y z\ne: *y\n", r#"{a={b=1} c={b=1} d="z" e="z"}"#);
}

#[test]
fn a_merge_brings_in_what_is_not_written() {
    check("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  b: 3\n", "{a={b=1 c=2} d={b=3 c=2}}");
    check("a: &x {b: 1}\nc: &y {b: 2, d: 3}\ne: {<<: [*x, *y]}\n", "{a={b=1} c={b=2 d=3} e={b=1 d=3}}");
    check("'<<': 1\n", "{<<=1}");
}

#[test]
fn what_is_read_differently_is_reported_and_reading_goes_on() {
    let tag = "1:4: tags such as \"tag:yaml.org,2002:!int\" are not read";
    assert_eq!(read(b"a: !!int 5\nb: 1\n"), (Some("{a=5 b=1}".into()), vec![tag.into()]));
    let key = "1:1: a key must be a text";
    assert_eq!(read(b"[a]: 1\nb: 2\n"), (Some("{b=2}".into()), vec![key.into()]));
    let merge = "1:1: only a mapping, or a list of mappings, can be merged in by \"<<\"";
    assert_eq!(read(b"<<: 1\nb: 2\n"), (Some("{b=2}".into()), vec![merge.into()]));
}

#[test]
fn what_is_not_one_yaml_document_is_refused_where_it_breaks() {
    check_stopped("a: 1\n---\nb: 2\n", "2:1: a second document begins; a configuration is one document");
    check_stopped("a: &x [*x]\n", "1:8: an alias inside of what it stands for");
    check_stopped("a: 1\nb: \u{0}\nc: 2\n", "2:4: a control character is not allowed");
    for (text, place) in
        [("a: [1, 2\nb: 3\n", "2:"), ("a: *x\n", "1:4"), ("a: b: c\n", "1:5"), ("a:\n\t- b\n", "2:")]
    {
        let (tree, problems) = read(text.as_bytes());
        assert_eq!(tree, None, "{text}");
        assert!(
            problems[0].starts_with(place) && problems[0].contains(": not readable as YAML: "),
            "{problems:?}"
        );
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read(nested(64).as_bytes()).0.is_some());
    check_stopped(&nested(65), "1:65: more than 64 lists and mappings inside each other");
    assert_eq!(read("[".repeat(1_000_000).as_bytes()).0, None);
    let text = "- ".repeat(65);
    check_stopped(&text, "1:129: more than 64 lists and mappings inside each other");
}

#[test]
fn nesting_by_aliases_is_bounded() {
    let grow = |count: usize| {
        let lines = (1..=count).map(|n| format!("- &a{n} [*a{}]\n", n - 1));
        "- &a0 []\n".to_owned() + &lines.collect::<String>()
    };
    // One list holds all, and the first is empty.
    assert!(read(grow(62).as_bytes()).0.is_some());
    check_stopped(&grow(63), "64:9: more than 64 lists and mappings inside each other");
}

#[test]
fn keys_are_bounded() {
    let key = |length: usize| format!("{}: 1\n", "k".repeat(length));
    assert!(read(key(256).as_bytes()).0.is_some());
    check_stopped(&key(257), "1:1: a key is longer than 256 bytes");
}
