//! What services let pass holds for as long as the file says, and for nothing but the same question.

use super::*;

/// With one worker: each has a memory of its own.
struct Remembering {
    file: ConfigFile,
    data_plane: DataPlane,
}

impl Remembering {
    fn start(document: &Document) -> Self {
        let file = ConfigFile::new(document);
        let flags = ["--listen", "127.0.0.1:0", "--workers", "1"];
        let data_plane = DataPlane::start_with(Source::File(file.path()), &flags);
        Self { file, data_plane }
    }

    fn ask(&self, method: &str, path: &str, fields: &str) -> Response {
        let mut connection = Connection::open(self.data_plane.traffic());
        connection.ask(method, path, fields);
        connection.response()
    }

    fn get(&self, path: &str, fields: &str) -> u16 {
        self.ask("GET", path, fields).status()
    }

    /// Saves a file with a further route, and waits until it is in force.
    fn edit(&self, document: &Document, upstream: &Origin, marker: &str) {
        self.file.save(document.clone().route("edit", marker, upstream.url()));
        let _ = self.data_plane.serves(marker);
    }
}

const ALICE: &str = "Cookie: session=alice\r\n";

fn remembering(origin: &Origin, service: &Origin, more: &str) -> Document {
    let more = format!(", forward_headers: [X-User], user_header: X-User, cache: {{ {more} }}");
    asking(Document::new(), "/api/", (origin, &service.url()), &more)
}

#[test]
fn the_same_question_is_asked_once_and_another_one_again() {
    let (origin, service) = (Origin::answering(|request| ok(field(request, "x-user"))), login());
    let gateway = Remembering::start(&remembering(&origin, &service, "ttl_seconds: 3600"));
    for _ in 0..3 {
        let passed = gateway.ask("GET", "/api/a?b=c", ALICE);
        assert_eq!(passed.text(), "alice", "the upstream is told each time");
        let id = passed.field("x-request-id").expect("every answer has an id");
        assert_eq!(gateway.data_plane.access(id)["user"], "alice");
    }
    assert_eq!(service.requests().len(), 1);
    assert_eq!(["allowed", "cached"].map(|outcome| questions(&gateway.data_plane, "api", outcome)), [1, 2]);
    let metrics = gateway.data_plane.metrics();
    assert_eq!(metrics.count("apigw_external_auth_duration_seconds_count", &[("route", "api")]), 1);

    for (asked, (method, path, fields)) in [
        ("POST", "/api/a?b=c", ALICE),
        ("GET", "/api/d?b=c", ALICE),
        ("GET", "/api/a?b=d", ALICE),
        ("GET", "/api/a?b=c", "Cookie: session=alice\r\nAuthorization: Bearer a\r\n"),
        ("GET", "/api/a?b=c", "Cookie: session=mallory\r\n"),
        ("GET", "/api/a?b=c", ""),
    ]
    .into_iter()
    .enumerate()
    {
        gateway.ask(method, path, fields);
        assert_eq!(service.requests().len(), asked + 2, "{method} {path} {fields}");
    }
    // What the service is not told makes no difference.
    assert_eq!(gateway.get("/api/a?b=c", &format!("{ALICE}X-Other: a\r\nX-User: root\r\n")), 200);
    assert_eq!(service.requests().len(), 7);
}

#[test]
fn what_the_file_ignores_may_differ() {
    let (origin, service) = (Origin::saying("in"), login());
    let document = remembering(&origin, &service, "ttl_seconds: 3600, ignore: [method, path, query, host]");
    let gateway = Remembering::start(&document);
    for (method, path) in [("GET", "/api/a?b=c"), ("POST", "/api/d"), ("DELETE", "/api/e?f")] {
        assert_eq!(gateway.ask(method, path, ALICE).status(), 200);
    }
    assert_eq!(service.requests().len(), 1);
    assert_eq!(gateway.get("/api/a?b=c", "Cookie: session=mallory\r\n"), 403);
}

#[test]
fn neither_a_no_nor_what_was_not_decided_is_remembered() {
    let (origin, service) = (Origin::saying("in"), login());
    let broken = Origin::answering(|_| answer("500 Internal Server Error", "Cache-Control: max-age=60\r\n"));
    let cache = ", cache: { ttl_seconds: 3600 }";
    let open = ", on_failure: allow, cache: { ttl_seconds: 3600 }";
    let document = asking(Document::new(), "/api", (&origin, &service.url()), cache);
    let document = asking(document, "/open", (&origin, &broken.url()), open);
    let gateway = Remembering::start(&document);
    for asked in 1..=2 {
        assert_eq!(gateway.get("/api", "Cookie: session=mallory\r\n"), 403);
        assert_eq!(gateway.get("/api", ""), 401);
        assert_eq!(gateway.get("/open", ALICE), 200);
        assert_eq!((service.requests().len(), broken.requests().len()), (2 * asked, asked));
    }
}

#[test]
fn a_service_is_asked_again_when_the_time_is_over_or_its_answer_says_so() {
    let origin = Origin::saying("in");
    let (brief, unstored) =
        (login(), Origin::answering(|_| answer("200 OK", "Cache-Control: private, no-store\r\n")));
    let document =
        asking(Document::new(), "/brief", (&origin, &brief.url()), ", cache: { ttl_seconds: 0.1 }");
    let cache = ", cache: { ttl_seconds: 3600 }";
    let gateway = Remembering::start(&asking(document, "/unstored", (&origin, &unstored.url()), cache));
    eventually("it is asked again", || {
        assert_eq!(gateway.get("/brief", ALICE), 200);
        (brief.requests().len() == 2).then_some(())
    });
    assert_eq!([gateway.get("/unstored", ALICE), gateway.get("/unstored", ALICE)], [200, 200]);
    assert_eq!(unstored.requests().len(), 2);
}

#[test]
fn a_change_of_the_service_forgets_what_it_has_said_and_no_other_change_does() {
    let (origin, service) = (Origin::saying("in"), login());
    let usual = remembering(&origin, &service, "ttl_seconds: 3600");
    let changed = remembering(&origin, &service, "ttl_seconds: 3599");
    let gateway = Remembering::start(&usual);
    assert_eq!(gateway.get("/api/", ALICE), 200);
    let limited = usual.clone().with("concurrency: { max_in_flight: 9 }");
    for (marker, document, asked) in
        [("/one", &limited, 1), ("/two", &changed, 2), ("/three", &changed, 2), ("/four", &usual, 3)]
    {
        gateway.edit(document, &origin, marker);
        assert_eq!(gateway.get("/api/", ALICE), 200);
        assert_eq!(service.requests().len(), asked, "{marker}");
    }
}
