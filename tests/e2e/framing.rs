//! Where messages begin and end on a connection.

use apigw_tests::{
    client::Connection,
    configuration::Document,
    gateway::Gateway,
    origin::{Origin, ok},
};

fn gateway(origin: &Origin) -> Gateway {
    Gateway::standalone(Document::new().route("all", "/", origin.url()))
}

fn connected(origin: &Origin) -> (Gateway, Connection) {
    let gateway = gateway(origin);
    let connection = Connection::open(gateway.address());
    (gateway, connection)
}

#[test]
fn body_of_known_length_keeps_its_length() {
    let origin = Origin::saying("");
    let (_gateway, mut connection) = connected(&origin);
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(connection.response().status(), 200);
    let request = origin.only_request();
    assert_eq!(request.head.field("content-length"), Some("5"));
    assert_eq!(request.body, b"hello");
}

#[test]
fn chunked_request_stays_chunked_with_its_trailers() {
    let origin = Origin::saying("");
    let (_gateway, mut connection) = connected(&origin);
    connection.send(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nX-Sum: 5\r\n\r\n",
    );
    assert_eq!(connection.response().status(), 200);
    let request = origin.only_request();
    assert!(request.head.lists("transfer-encoding", "chunked"));
    assert_eq!(request.body, b"hello");
    assert_eq!(request.trailers.len(), 1, "{request:?}");
    assert!(request.trailers[0].0.eq_ignore_ascii_case("x-sum") && request.trailers[0].1 == "5");
}

#[test]
fn chunked_response_keeps_its_trailers() {
    let origin = Origin::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 5\r\n\r\n"
            .into()
    });
    let (_gateway, mut connection) = connected(&origin);
    connection.send("GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
    let answer = connection.response();
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.trailers.len(), 1, "{answer:?}");
    assert!(answer.trailers[0].0.eq_ignore_ascii_case("x-sum") && answer.trailers[0].1 == "5");
    assert_eq!(connection.get("/again").text(), "hello");
}

#[test]
fn trailers_of_a_request_say_nothing_that_only_a_head_can_say() {
    let origin = Origin::saying("");
    let (_gateway, mut connection) = connected(&origin);
    connection.send(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\
         Authorization: Bearer forged\r\nCookie: a=b\r\nContent-Type: text/html\r\nContent_Length: 7\r\n\
         Transfer-Encoding: chunked\r\nX-Sum: 5\r\nRange: bytes=1-\r\nIf-Match: x\r\nTrailer: x\r\n\r\n",
    );
    assert_eq!(connection.response().status(), 200);
    assert_eq!(origin.only_request().trailers, [("x-sum".to_owned(), "5".to_owned())]);
}

#[test]
fn trailers_of_an_answer_say_nothing_that_only_a_head_can_say() {
    let origin = Origin::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\
         Content-Length: 99\r\nTransfer-Encoding: chunked\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n\
         Set-Cookie: a=b\r\nLocation: /\r\nX-Request-Id: forged\r\nX-Sum: 5\r\n\r\n"
            .into()
    });
    let (_gateway, mut connection) = connected(&origin);
    connection.send("GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
    let answer = connection.response();
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "5".to_owned())]);
    assert_eq!(connection.get("/again").text(), "hi");
}

#[test]
fn response_that_ends_with_its_connection_is_whole() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
    });
    let (_gateway, mut connection) = connected(&origin);
    assert_eq!(connection.get("/").text(), "until the end");
    assert_eq!(connection.get("/").text(), "until the end");
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let origin = Origin::answering(|request| ok(&String::from_utf8_lossy(&request.body)));
    let (_gateway, mut connection) = connected(&origin);
    connection.send("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(connection.head().status(), 100);
    connection.send("body");
    let answer = connection.response();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "body"));
}

#[test]
fn expect_100_continue_of_a_refused_request_is_not_invited() {
    let origin = Origin::saying("");
    let gateway = Gateway::standalone(Document::new().route("only", "/only", origin.url()));
    let mut connection = Connection::open(gateway.address());
    connection.send("PUT /other HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(connection.response().status(), 404);
}

#[test]
fn an_invitation_among_other_expectations_is_given() {
    let origin = Origin::answering(|request| ok(&String::from_utf8_lossy(&request.body)));
    let (_gateway, mut connection) = connected(&origin);
    connection.send("PUT / HTTP/1.1\r\nHost: h\r\nExpect: x, 100-Continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(connection.head().status(), 100);
    connection.send("body");
    assert_eq!(connection.response().text(), "body");
}

#[test]
fn interim_answers_are_not_taken_for_the_final_one() {
    let origin =
        Origin::answering(|_| format!("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n{}", ok("final")));
    let (_gateway, mut connection) = connected(&origin);
    for _ in 0..2 {
        connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut answer = connection.response();
        if answer.status() == 103 {
            answer = connection.response();
        }
        assert_eq!((answer.status(), answer.text().as_str()), (200, "final"));
    }
}

#[test]
fn head_has_the_length_and_no_body() {
    let origin =
        Origin::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"a\"\r\n\r\n".to_owned());
    let (_gateway, mut connection) = connected(&origin);
    for _ in 0..2 {
        connection.send("HEAD /file HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = connection.response_to("HEAD");
        assert_eq!(answer.field("content-length"), Some("1234"));
        assert_eq!(answer.field("etag"), Some("\"a\""));
    }
    assert_eq!(origin.request(0).line(), "HEAD /file");
}

#[test]
fn a_length_that_no_body_follows_is_one_all_the_same() {
    let origin = Origin::answering(|request| {
        let head = match request.line().split_once('/').map_or("", |(_, path)| path) {
            "several" => "200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
            "negative" => "200 OK\r\nContent-Length: -1",
            "list" => "304 Not Modified\r\nContent-Length: 5, 6",
            _ => "204 No Content\r\nContent-Length: 5",
        };
        format!("HTTP/1.1 {head}\r\n\r\n")
    });
    let (_gateway, mut connection) = connected(&origin);
    for (path, status) in [("/several", 502), ("/negative", 502), ("/list", 502), ("/none", 204)] {
        connection.send(format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let head = connection.head();
        assert_eq!(head.status(), status, "{path}");
        assert!(status == 502 || head.field("content-length").is_none(), "{head:?}");
    }
}

#[test]
fn answers_without_a_body_leave_the_connection_usable() {
    let origin = Origin::answering(|request| match request.line() {
        "GET /204" => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        "GET /304" => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 99\r\n\r\n".into(),
        _ => ok("body"),
    });
    let (_gateway, mut connection) = connected(&origin);
    assert_eq!(connection.get("/204").status(), 204);
    let not_modified = connection.get("/304");
    assert_eq!((not_modified.status(), not_modified.field("etag")), (304, Some("\"a\"")));
    assert_eq!(connection.get("/200").text(), "body");
    let no_content = connection.get("/204");
    assert_eq!(no_content.field("transfer-encoding"), None);
    assert_eq!(no_content.field("content-length"), None);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::answering(|request| ok(request.line()));
    let (_gateway, mut connection) = connected(&origin);
    let both = |n: usize| {
        format!(
            "POST /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
             GET /{n}/b HTTP/1.1\r\nHost: h\r\n\r\n"
        )
    };
    connection.send((0..20).map(both).collect::<Vec<_>>().concat());
    for n in 0..20 {
        assert_eq!(connection.response().text(), format!("POST /{n}"));
        assert_eq!(connection.response().text(), format!("GET /{n}/b"));
    }
}

#[test]
fn connections_are_kept_alive_on_both_sides() {
    let origin = Origin::saying("ok");
    let (_gateway, mut connection) = connected(&origin);
    for _ in 0..50 {
        assert_eq!(connection.get("/").text(), "ok");
    }
    assert_eq!(origin.connections(), 1, "one client connection is served by one worker's one connection");
}

#[test]
fn connection_close_is_honoured() {
    let origin = Origin::saying("ok");
    let (_gateway, mut connection) = connected(&origin);
    connection.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let answer = connection.response();
    assert_eq!(answer.text(), "ok");
    assert!(answer.head.lists("connection", "close"));
    assert_eq!(connection.until_closed(), b"");
}

#[test]
fn http_1_0_clients_get_what_they_understand() {
    let chunked = Origin::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()
    });
    let (_gateway, mut connection) = connected(&chunked);
    connection.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    let bytes = String::from_utf8_lossy(&connection.until_closed()).into_owned();
    let (head, body) = bytes.split_once("\r\n\r\n").expect("a head comes");
    assert!(head.contains(" 200 "), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, "ok");
    assert!(chunked.only_request().head.start.ends_with(" HTTP/1.1"));
}

#[test]
fn requests_that_could_be_read_in_two_ways_are_refused() {
    let origin = Origin::saying("ok");
    let gateway = gateway(&origin);
    for request in [
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Test: a\r\n folded\r\n\r\n",
    ] {
        let mut connection = Connection::open(gateway.address());
        connection.send(request);
        assert_eq!(connection.response().status(), 400, "{request}");
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn transfer_codings_that_the_gateway_cannot_undo_are_refused() {
    let origin = Origin::saying("ok");
    let gateway = gateway(&origin);
    for coding in ["gzip", "chunked, gzip", "gzip, chunked"] {
        let mut connection = Connection::open(gateway.address());
        connection
            .send(format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"));
        assert_eq!(connection.response().status(), 501, "{coding}");
        connection.until_closed();
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn versions_that_are_not_spoken_are_told_so() {
    let origin = Origin::saying("ok");
    let gateway = gateway(&origin);
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9"] {
        let mut connection = Connection::open(gateway.address());
        connection.send(format!("GET / {version}\r\nHost: h\r\n\r\n"));
        assert_eq!(connection.response().status(), 505, "{version}");
        connection.until_closed();
    }
}

#[test]
fn length_beside_chunks_is_never_forwarded() {
    let origin = Origin::saying("ok");
    let gateway = gateway(&origin);
    let mut connection = Connection::open(gateway.address());
    connection.send(
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    // Refused, or taken by its chunks alone and the connection closed (RFC 9112 section 6.1).
    let status = connection.response().status();
    assert!(matches!(status, 200 | 400), "{status}");
    connection.until_closed();
    for request in origin.requests() {
        assert_eq!(request.line(), "POST /a");
        assert_eq!(request.head.field("content-length"), None);
    }
}
