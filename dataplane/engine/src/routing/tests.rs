//! The table against the rule, and the rule against examples.

use apigw_config::{
    model::{FieldMatch, PathRules, Route, RouteMatch, ValueMatch},
    names::{HeaderName, MatchText, PathPrefix, QueryName, RouteName, UpstreamUrl},
};
use http::{Request, header::HOST};
use proptest::prelude::*;

use super::*;
use crate::{head::RequestHead, path::NormalPath, snapshot::Slots};

type Table = (RouteTable, Vec<Slot>);

fn route(matches: RouteMatch) -> Arc<Route> {
    let (name, prefix) = (RouteName::new("a").unwrap(), PathPrefix::new("/").unwrap());
    Arc::new(Route { matches, ..Route::new(name, prefix, UpstreamUrl::new("http://h").unwrap()) })
}

/// Routes as a file has them: each text is what stands in `match`.
fn routes(matches: &[&str]) -> Vec<Arc<Route>> {
    let entry = |(place, text): (usize, &&str)| {
        format!("- {{name: r{place}, upstream: http://h, match: {{{text}}}}}\n")
    };
    let file = matches.iter().enumerate().map(entry).collect::<String>();
    let config = apigw_config::read("test.yaml", format!("routes:\n{file}").as_bytes());
    config.unwrap().routes().cloned().map(Arc::new).collect()
}

fn head(method: &str, host: Option<&str>, target: &str, headers: &[(&str, &str)]) -> RequestHead {
    let request = Request::builder().method(method).uri(target);
    let fields = host.map(|host| (HOST.as_str(), host)).into_iter().chain(headers.iter().copied());
    let request = fields.fold(request, |request, (name, value)| request.header(name, value));
    request.body(()).unwrap().into_parts().0.into()
}

/// The rule, as plain as it can be written.
fn linear_scan(routes: &[Arc<Route>], asked: &Asked<'_>) -> Option<usize> {
    let matching = routes.iter().enumerate().filter_map(|(place, route)| judge(route, place, asked).ok());
    matching.max().map(|best| best.place.0)
}

/// The table of some routes, and which slot is whose.
fn table(routes: &[Arc<Route>]) -> Table {
    let (mut table, mut slots) = (RouteTable::default(), Slots::default());
    let taken: Vec<_> = (0..routes.len()).map(|index| slots.take(index)).collect();
    // Backwards, so that places matter.
    for (route, slot) in routes.iter().zip(&taken).rev() {
        table.insert(route, *slot, |slot| *slots.at(slot));
    }
    (table, taken)
}

fn find((table, slots): &Table, asked: &Asked<'_>) -> Option<usize> {
    let found = table.find(asked)?;
    slots.iter().position(|slot| *slot == found)
}

/// Which of these routes serves a request, by the table and by the rule.
#[track_caller]
fn check(matches: &[&str], request: &RequestHead, expected: Option<usize>) {
    let routes = routes(matches);
    let path = NormalPath::new(request.uri.path(), PathRules::default()).unwrap();
    let asked = Asked::new(request, &path);
    assert_eq!(find(&table(&routes), &asked), expected, "{request:?} in {matches:?}");
    assert_eq!(linear_scan(&routes, &asked), expected, "{request:?} by the rule");
}

#[track_caller]
fn check_paths(matches: &[&str], cases: &[(&str, Option<usize>)]) {
    cases.iter().for_each(|(path, expected)| check(matches, &head("GET", None, path, &[]), *expected));
}

#[test]
fn longest_prefix_wins() {
    check_paths(
        &[
            "path_prefix: /",
            "path_prefix: /api/",
            "path_prefix: /api/users/",
            "path_prefix: /api/users/admin",
        ],
        &[
            ("/", Some(0)),
            ("/other", Some(0)),
            ("/api/x", Some(1)),
            ("/api/users/7", Some(2)),
            ("/api/users/admin", Some(3)),
            ("/api/users/admin/x", Some(3)),
            ("/api/users/administrator", Some(2)),
        ],
    );
}

#[test]
fn prefixes_match_on_segment_borders() {
    let cases = [
        ("/public", Some(0)),
        ("/public/", Some(0)),
        ("/public/x", Some(0)),
        ("/publicity", None),
        ("/", None),
    ];
    check_paths(&["path_prefix: /public"], &cases);
}

#[test]
fn a_prefix_with_a_slash_matches_only_beneath() {
    check_paths(
        &["path_prefix: /public/"],
        &[("/public", None), ("/public/", Some(0)), ("/public/x/y", Some(0))],
    );
    check_paths(
        &["path_prefix: /a", "path_prefix: /a/"],
        &[("/a", Some(0)), ("/a/", Some(1)), ("/a/b", Some(1))],
    );
}

#[test]
fn the_very_path_wins_over_an_expression_and_that_over_a_prefix() {
    let matches = [
        "path_prefix: /a/b/c",
        "path_regex: /a/.*",
        "path: /a/b/c",
        "path_regex: '/[a-z]/b/c'",
        "path: /a/b/",
    ];
    check_paths(
        &matches,
        &[
            ("/a/b/c", Some(2)),
            ("/a/b/c/d", Some(1)),
            ("/a/b", Some(1)),
            ("/a/b/", Some(4)),
            ("/x/b/c", Some(3)),
            ("/", None),
        ],
    );
    // Of two expressions the longer, then the first in the alphabet, whatever the order of the file.
    check_paths(
        &["path_regex: '/a/[b]'", "path_regex: '/[a]/b.?'", "path_regex: '/a/[a]?b'"],
        &[("/a/b", Some(1))],
    );
    check_paths(&["path_regex: '/[b]?a/c'", "path_regex: '/[a]?a/c'"], &[("/a/c", Some(1))]);
}

#[test]
fn the_most_specific_host_wins_and_others_serve_what_it_does_not() {
    let matches = [
        "path_prefix: /all",
        "hosts: ['*.example.com'], path_prefix: /",
        "hosts: ['*.b.example.com'], path_prefix: /wide",
        "hosts: [a.b.example.com, other.test], path_prefix: /one",
    ];
    let on =
        |host: &str, path: &str, expected| check(&matches, &head("GET", Some(host), path, &[]), expected);
    on("a.b.example.com", "/one", Some(3));
    on("A.B.EXAMPLE.com.:8080", "/one", Some(3));
    on("a.b.example.com", "/wide", Some(2));
    on("x.y.b.example.com", "/wide", Some(2));
    on("a.b.example.com", "/all", Some(1));
    on("example.com", "/all", Some(0));
    on("example.com", "/one", None);
    on(".example.com", "/", None);
    on("badexample.com", "/", None);
    on("other.test", "/one", Some(3));
    check(&matches, &head("GET", None, "/all", &[]), Some(0));
}

#[test]
fn more_conditions_win_methods_first_then_headers_then_parameters() {
    let matches = [
        "path_prefix: /",
        "query: [{name: q, exact: 1}]",
        "headers: [{name: x-a, prefix: g}]",
        "headers: [{name: x-a, exact: gold}, {name: x-b, absent: true}]",
        "methods: [PUT, POST]",
        "headers: [{name: x-c, regex: '[0-9]+'}], query: [{name: q, present: true}]",
    ];
    let ask = |method, target, headers: &[(&str, &str)], expected| {
        check(&matches, &head(method, Some("h"), target, headers), Some(expected));
    };
    ask("GET", "/", &[], 0);
    ask("GET", "/?q=1", &[], 1);
    ask("GET", "/?q=2", &[], 0);
    ask("GET", "/?q=1", &[("x-a", "green")], 2);
    ask("GET", "/?q=1", &[("x-a", "gold")], 3);
    ask("GET", "/?q=1", &[("x-a", "gold"), ("x-b", "")], 2);
    ask("POST", "/?q=1", &[("x-a", "gold")], 4);
    ask("GET", "/?q", &[("x-c", "17"), ("x-a", "g")], 5);
    ask("GET", "/?q", &[("x-c", "17x")], 0);
}

#[test]
fn conditions_give_way_to_shorter_prefixes_where_they_are_not_met() {
    let matches = [
        "path_prefix: /a",
        "path_prefix: /a/b, methods: [PUT]",
        "path: /a/b/c, headers: [{name: x, present: true}]",
    ];
    check_paths(&matches, &[("/a/b/c", Some(0)), ("/a/b", Some(0))]);
    check(&matches, &head("PUT", None, "/a/b/c", &[]), Some(1));
    check(&matches, &head("PUT", None, "/a/b/c", &[("x", "")]), Some(2));
}

#[test]
fn first_of_equal_routes_wins() {
    check_paths(&["path_prefix: /x", "path_prefix: /a", "path_prefix: /a"], &[("/a", Some(1))]);
    let same = ["methods: [GET, PUT]", "methods: [GET]"];
    check_paths(&same, &[("/a", Some(0))]);
}

#[test]
fn routes_that_serve_nothing_are_found() {
    let shadowed = |matches: &[&str]| {
        let routes = routes(matches);
        let (table, slots) = table(&routes);
        let place = |slot: &Slot| slots.iter().position(|other| other == slot).unwrap();
        let found = table.shadowed(|slot| &routes[place(&slot)]);
        let mut found: Vec<_> =
            found.iter().map(|(slot, by)| (place(slot), by.iter().map(place).collect::<Vec<_>>())).collect();
        found.sort();
        found
    };
    let none: Vec<(usize, Vec<usize>)> = Vec::new();
    assert_eq!(shadowed(&["path_prefix: /a", "path_prefix: /a"]), [(1, vec![0])]);
    assert_eq!(shadowed(&["path_regex: /a+", "path: /a", "path_regex: /a+"]), [(2, vec![0])]);
    assert_eq!(shadowed(&["path_prefix: /a", "path: /a", "path_prefix: /a/"]), [(0, vec![1, 2])]);
    assert_eq!(shadowed(&["methods: [GET, PUT]", "methods: [PUT]"]), [(1, vec![0])]);
    assert_eq!(shadowed(&["methods: [PUT]", "methods: [GET, PUT]"]), none);
    let fields = |one: &str, other: &str| {
        shadowed(&[&format!("headers: [{{name: x, {one}}}]"), &format!("headers: [{{name: x, {other}}}]")])
    };
    for (wide, narrow) in [
        ("present: true", "exact: a"),
        ("prefix: a", "exact: ab"),
        ("prefix: a", "prefix: ab"),
        ("regex: a+", "exact: aa"),
        ("regex: a+", "regex: a+"),
        ("absent: true", "absent: true"),
    ] {
        assert_eq!(fields(wide, narrow), [(1, vec![0])], "{wide} {narrow}");
    }
    for (one, other) in
        [("exact: a", "present: true"), ("prefix: b", "exact: ab"), ("present: true", "absent: true")]
    {
        assert_eq!(fields(one, other), none, "{one} {other}");
    }
    // On one of its hosts it serves something.
    assert_eq!(shadowed(&["hosts: [a]", "hosts: [a, b]"]), none);
    assert_eq!(shadowed(&["hosts: [a]", "hosts: [b]", "hosts: [a, b]"]), [(2, vec![0, 1])]);
    assert_eq!(shadowed(&["path_prefix: /", "hosts: [a]"]), none);
}

/// Few words of each kind, so that routes and requests meet.
fn any_match() -> impl Strategy<Value = RouteMatch> {
    let path = prop_oneof![
        4 => "/|(/(a|b|ab)){1,4}/?".prop_map(|text| format!("path_prefix: {text}")),
        1 => "/|(/(a|b|ab)){1,3}/?".prop_map(|text| format!("path: {text}")),
        1 => "(/a){0,2}/([ab][*]|[.][*]|a[?]b?)".prop_map(|text| format!("path_regex: '{text}'")),
    ];
    let hosts = prop::sample::subsequence(vec!["a.b.c", "'*.b.c'", "'*.c'", "b.c", "c"], 0..3);
    let hosts = prop_oneof![2 => Just(Vec::new()), 1 => hosts];
    let methods = prop::sample::subsequence(vec!["GET", "PUT"], 0..2);
    (path, hosts, methods, any_values(), any_values()).prop_map(|(path, hosts, methods, headers, query)| {
        let text = format!("{path}, hosts: [{}], methods: [{}]", hosts.join(","), methods.join(","));
        let matches = routes(&[&text])[0].matches.clone();
        let header =
            |(name, value): (String, ValueMatch)| FieldMatch { name: HeaderName::new(&name).unwrap(), value };
        let parameter =
            |(name, value): (String, ValueMatch)| FieldMatch { name: QueryName::new(&name).unwrap(), value };
        let matches = matches.with_headers(headers.into_iter().map(header).collect()).unwrap();
        matches.with_query(query.into_iter().map(parameter).collect()).unwrap()
    })
}

fn any_values() -> impl Strategy<Value = Vec<(String, ValueMatch)>> {
    let text = || "[xy]{0,2}".prop_map(|text| MatchText::new(&text).unwrap());
    let value = prop_oneof![
        text().prop_map(ValueMatch::Exactly),
        text().prop_map(ValueMatch::Prefix),
        "[xy][*+?]".prop_map(|text| ValueMatch::Regex(text.parse().unwrap())),
        Just(ValueMatch::Present),
        Just(ValueMatch::Absent),
    ];
    prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(("[no]", value), 1..3)]
}

fn any_request() -> impl Strategy<Value = RequestHead> {
    let host = prop::sample::select(vec!["a.b.c", "A.b.C:80", "x.b.c", "y.x.b.c", "b.c", "c", "d", ".c"]);
    let field = || prop::collection::vec(("[no]", "[xy]{0,2}"), 0..3);
    let method = prop::sample::select(vec!["GET", "PUT"]);
    let path = "/|(/(a|b|ab|c)){1,5}/?";
    (method, prop::option::of(host), path, field(), field()).prop_map(
        |(method, host, path, headers, query)| {
            let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            head(method, host, &format!("{path}?{}", query.join("&")), &headers)
        },
    )
}

proptest! {
    #[test]
    fn the_table_is_a_linear_scan(
        matches in prop::collection::vec(any_match(), 1..14),
        requests in prop::collection::vec(any_request(), 1..8),
    ) {
        let routes: Vec<_> = matches.into_iter().map(route).collect();
        let table = table(&routes);
        for request in requests {
            let path = NormalPath::new(request.uri.path(), PathRules::default()).unwrap();
            let asked = Asked::new(&request, &path);
            prop_assert_eq!(find(&table, &asked), linear_scan(&routes, &asked), "{:?}", request);
        }
    }

    #[test]
    fn what_is_taken_out_leaves_nothing_behind(
        matches in prop::collection::vec(any_match(), 1..14),
        kept in 0_usize..14,
        request in any_request(),
    ) {
        let routes: Vec<_> = matches.into_iter().map(route).collect();
        let kept = kept.min(routes.len());
        let (mut changed, slots) = table(&routes);
        let before = changed.clone();
        for (route, slot) in routes.iter().zip(&slots).skip(kept) {
            changed.remove(route, *slot);
        }
        let path = NormalPath::new(request.uri.path(), PathRules::default()).unwrap();
        let asked = Asked::new(&request, &path);
        let (expected, _) = table(&routes[..kept]);
        prop_assert_eq!(changed.nodes.len(), expected.nodes.len());
        prop_assert_eq!(changed.sites.len(), expected.sites.len());
        prop_assert_eq!(find(&(changed, slots.clone()), &asked), linear_scan(&routes[..kept], &asked));
        let kept = find(&(before, slots), &asked);
        prop_assert_eq!(kept, linear_scan(&routes, &asked), "a copy keeps what it had");
    }

    /// A route that is said to serve nothing serves none of these requests.
    #[test]
    fn what_is_shadowed_serves_nothing(
        matches in prop::collection::vec(any_match(), 1..14),
        requests in prop::collection::vec(any_request(), 1..20),
    ) {
        let routes: Vec<_> = matches.into_iter().map(route).collect();
        let (table, slots) = table(&routes);
        let shadowed = table.shadowed(|slot| &routes[slots.iter().position(|other| *other == slot).unwrap()]);
        for request in requests {
            let path = NormalPath::new(request.uri.path(), PathRules::default()).unwrap();
            let found = table.find(&Asked::new(&request, &path));
            prop_assert!(found.is_none_or(|slot| !shadowed.contains_key(&slot)), "{:?}", request);
        }
    }
}
