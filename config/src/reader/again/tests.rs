//! A text that is read after another one means what it means when it is read alone.

use proptest::prelude::*;

use super::*;

const HEAD: &str =
    "server: {addr: ':8080'}\nbackends:\n- {name: pool, endpoints: [{url: 'http://h'}]}\nroutes:\n";
const BEHIND: &str = "tests:\n- {name: t, request: {path: /a}, expect: {route: a}}\n";

/// Routes as people write them, one after the other.
const ROUTES: [&str; 6] = [
    "  - name: a\n    match: {path_prefix: /a}\n    upstream: http://h\n",
    "  - {name: b, match: {path_prefix: /b}, upstream: 'http://h'}\n",
    "  # in front of c\n\n  -   name: c\n      match:\n        path: /c\n      backend: pool\n",
    "  - name: d\n    match: {path_prefix: /d}\n    respond:\n      status: 200\n      body: |\n        one\n\n          two\n",
    "  - {name: e,\n     match: {path_prefix: /e},\n     upstream: \"http://h\"}   # behind e\n",
    "  - name: f   # ä\u{2028}\n    match: {path_prefix: /f}\n    upstream: http://h\n",
];

fn document(routes: &[&str], behind: &str) -> String {
    HEAD.to_owned() + &routes.concat() + behind
}

fn text(text: &str) -> Arc<Vec<u8>> {
    Arc::new(text.into())
}

/// Reads texts one after the other; each means what it means alone. Gives how many routes were read of each.
#[track_caller]
fn check(texts: &[&str]) {
    let mut reader = ConfigReader::new("g.yaml");
    for (number, content) in texts.iter().enumerate() {
        let alone = crate::read_with_checks("g.yaml", content.as_bytes());
        assert_eq!(reader.read(&text(content)), alone, "text {number}: {content}");
        // What was kept is what this text would leave behind if it were the first.
        if let (Ok(_), Some(former)) = (&alone, &reader.former) {
            let mut fresh = ConfigReader::new("g.yaml");
            fresh.read(&text(content)).unwrap();
            assert_eq!(Some(&former.lines), fresh.former.as_ref().map(|former| &former.lines), "{content}");
        }
    }
}

/// Whether the second text is read in part only.
fn is_edit(before: &str, after: &str) -> bool {
    let mut reader = ConfigReader::new("g.yaml");
    reader.read(&text(before)).unwrap();
    reader.former.is_some_and(|former| former.edited(&text(after)).is_some())
}

#[test]
fn an_edit_of_a_route_reads_no_other() {
    let before = document(&ROUTES, BEHIND);
    let changed = before.replace("path: /c\n", "path: /changed\n");
    let of =
        |order: &[usize]| document(&order.iter().map(|index| ROUTES[*index]).collect::<Vec<_>>(), BEHIND);
    let cases = [
        changed.clone(),
        of(&[0, 1, 3, 4, 5]),
        of(&[0, 2, 1, 3, 4, 5]),
        before.replace(ROUTES[2], &(ROUTES[2].to_owned() + &ROUTES[2].replace("name: c", "name: g"))),
        // The first and the last of them.
        before.replace("name: a\n", "name: aa\n"),
        before.replace("name: f ", "name: g\n    auth_required: false "),
        of(&[0, 1, 2, 3, 4]),
        of(&[1, 2, 3, 4, 5, 0]),
        before.replace("          two\n", "      # no text any more\n"),
    ];
    for after in &cases {
        assert!(is_edit(&before, after), "{after}");
        check(&[&before, after, &before, after, &changed]);
    }
}

#[test]
fn what_is_not_plain_is_read_as_a_whole() {
    let before = document(&ROUTES[..5], BEHIND);
    let with = |inserted: &str| before.replace("  # in front of c\n", inserted);
    let cases = [
        // What is in front of the routes or behind them.
        before.replace(":8080", ":8081"),
        before.replace("path: /a}", "path: /b}"),
        // Ends of documents.
        with("...\n"),
        with("---\n"),
        with("%YAML 1.2\n"),
        with("  \u{feff}\n"),
        // Something is left open, or closed too early.
        with("  - {name: x, match: {path_prefix: /x}, upstream: 'http://x}\n"),
        with("  - {name: x, match: {path_prefix: /x}, upstream: http://x\n"),
        before.replace("http://h\n  - {name: b", "http://h   - {name: b"),
        with("other:\n"),
        with("   - name: x\n"),
        // Something is repeated.
        with("  - &x {name: x, match: {path_prefix: /x}, upstream: http://x}\n"),
        with("  - *x\n"),
        // Something is wrong.
        with("  - {name: a, match: {path_prefix: /x}, upstream: http://x}\n"),
        with("  - {name: x, match: {path_prefix: /x}, backend: nobody}\n"),
        with("  - !!map {name: x, match: {path_prefix: /x}, upstream: http://x}\n"),
        with("  - 5\n"),
    ];
    for after in &cases {
        assert!(!is_edit(&before, after), "{after}");
        check(&[&before, after, &before]);
    }
}

#[test]
fn a_text_may_be_cut_anywhere() {
    for behind in ["", BEHIND] {
        let before = document(&ROUTES, behind);
        for (place, _) in before.char_indices() {
            let (start, end) = before.split_at(place);
            check(&[&before, start, &before, end, &before]);
        }
    }
}

#[test]
fn of_what_is_no_list_of_lines_nothing_is_kept() {
    let route = "{name: a, match: {path_prefix: /a}, upstream: 'http://h'}";
    for before in [
        format!("routes: [{route}]\n"),
        format!("routes:\n- &a {route}\n"),
        format!("routes:\n-\n  {route}\n"),
        format!("routes:\r- {route}\r"),
    ] {
        let mut reader = ConfigReader::new("g.yaml");
        assert!(reader.read(&text(&before)).is_ok(), "{before}");
        assert!(reader.former.is_none(), "{before}");
    }
}

/// Lines that somebody might write, or half of them.
fn any_line() -> impl Strategy<Value = String> {
    let odd = [
        "...",
        "---",
        "%YAML 1.2",
        "",
        "  ",
        "\t",
        "# c",
        "    # c",
        "routes:",
        "tests: []",
        "  - name: x",
        "  -",
        "- x",
        "   - name: y",
        "    - z",
        "  - {name: q,",
        "}",
        "'",
        "\"",
        "    upstream: http://x",
        "    match: {path: /x}",
        "    respond: {status: 200, body: 'open",
        "      body: |",
        "      body: >-",
        "        - text",
        "  - &a {name: k}",
        "  - *a",
        "    <<: {auth_required: false}",
        "\r",
        "\u{feff}",
        "    name: ä",
        "  - !!map {}",
        "    cors: &c {}",
        "[",
        "]",
    ];
    let odd = prop::sample::select(odd.to_vec()).prop_map(|line| format!("{line}\n"));
    let whole = (0..ROUTES.len(), "[a-h]")
        .prop_map(|(index, name)| ROUTES[index].replacen("name: ", &format!("name: {name}"), 1));
    let cut = prop::sample::select(vec!["\r\n", "\r", "'", " "]).prop_map(str::to_owned);
    prop_oneof![3 => odd, 3 => whole, 1 => cut]
}

/// A text after some of its lines, or of its bytes, have become others.
fn edited(before: &str, edits: &[(prop::sample::Index, usize, Vec<String>)]) -> String {
    let mut lines: Vec<_> = before.split_inclusive('\n').map(str::to_owned).collect();
    for (place, taken, inserted) in edits {
        let start = place.index(lines.len() + 1);
        let end = (start + taken).min(lines.len());
        lines.splice(start..end, inserted.iter().cloned());
    }
    lines.concat()
}

proptest! {
    #[test]
    fn a_text_means_the_same_whatever_was_read_before(
        indented in any::<bool>(),
        ends in prop::sample::select(vec!["\n", "\r\n"]),
        routes in Just(ROUTES.to_vec()).prop_shuffle(),
        behind in prop::sample::select(vec!["", BEHIND]),
        steps in prop::collection::vec(
            prop::collection::vec((any::<prop::sample::Index>(), 0_usize..4, prop::collection::vec(any_line(), 0..3)), 1..3),
            1..5,
        ),
    ) {
        let mut base = document(&routes, behind).replace('\n', ends);
        if !indented {
            base = base.replace("\n  ", "\n");
        }
        let mut texts = vec![base.clone()];
        for edits in &steps {
            texts.push(edited(&base, edits));
            texts.push(base.clone());
        }
        check(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
