//! What passes in a stream of HTTP/2 besides the usual: invitations, early answers, answers without a body, ends of either side.

use apigw_tests::{
    configuration::Document,
    frames::{
        END_STREAM, Kind, frame,
        peer::{FramePeer, Received, code},
    },
    gate::Gate,
    gateway::Gateway,
    origin::{Origin, Request, ok},
};
use rustix::process::Signal;

fn head(method: &'static str, path: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![(":method", method), (":scheme", "http"), (":path", path), (":authority", "gateway.example")]
}

fn before(origin: &Origin) -> Gateway {
    Gateway::standalone(Document::new().route("all", "/", origin.url()))
}

fn answer(client: &mut FramePeer, stream: u32) -> Received {
    client.until(|received| received.is(Kind::Headers) && received.stream == stream)
}

fn end(client: &mut FramePeer, stream: u32) -> Option<u32> {
    client.until(|received| received.is(Kind::Reset) && received.stream == stream).error()
}

#[test]
fn a_body_that_waits_to_be_asked_for_is_asked_for_once_it_is_wanted() {
    let origin = Origin::answering(|request: &Request| ok(&String::from_utf8_lossy(&request.body)));
    let gateway = before(&origin);
    let mut client = FramePeer::open(gateway.address()).greet();
    let mut asking = head("POST", "/");
    asking.push(("expect", "100-continue"));
    client.head(1, 0, &asking);
    assert_eq!(answer(&mut client, 1).status(), Some(100));
    client.frame(Kind::Data, END_STREAM, 1, b"wanted");
    assert_eq!(answer(&mut client, 1).status(), Some(200));
    assert_eq!(client.until(|received| received.is(Kind::Data)).payload, b"wanted");
    assert_eq!(origin.only_request().head.field("expect"), None);
    asking[2].1 = "/a%2fb";
    client.head(3, 0, &asking);
    assert_eq!(answer(&mut client, 3).status(), Some(400), "what is refused is not asked for");
}

#[test]
fn an_answer_before_the_end_of_the_body_is_whole_and_then_the_rest_is_not_wanted() {
    let origin = Origin::saying("served");
    let text = Document::new().server("max_body_bytes: 10").route("all", "/", origin.url());
    let gateway = Gateway::standalone(text);
    let mut client = FramePeer::open(gateway.address()).greet();
    for (stream, path) in [(1, "/a%2fb"), (3, "/")] {
        let mut fields = head("POST", path);
        fields.push(("content-length", "20"));
        client.head(stream, 0, &fields);
        let status = answer(&mut client, stream).status();
        assert!(matches!(status, Some(400 | 413)), "{status:?}");
        client.until_ended(stream);
        // RFC 9113 section 8.1.
        assert_eq!(end(&mut client, stream), Some(code::NO_ERROR));
    }
    client.head(5, END_STREAM, &head("GET", "/"));
    assert_eq!(answer(&mut client, 5).status(), Some(200), "the connection goes on");
}

#[test]
fn an_upstream_that_answers_early_is_heard_while_the_body_comes() {
    let origin = Origin::scripted(|peer| {
        let head = peer.head()?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")?;
        let mut body = Vec::new();
        peer.body(&head, &mut body)?;
        peer.send(format!("{:x}\r\n{}\r\n0\r\n\r\n", body.len(), String::from_utf8_lossy(&body)))
    });
    let gateway = before(&origin);
    let mut client = FramePeer::open(gateway.address()).greet();
    client.head(1, 0, &head("POST", "/"));
    client.frame(Kind::Data, 0, 1, b"slow");
    assert_eq!(answer(&mut client, 1).status(), Some(200));
    assert_eq!(client.until(|received| received.is(Kind::Data)).payload, b"early");
    client.frame(Kind::Data, END_STREAM, 1, b"body");
    assert_eq!(client.until(|received| received.is(Kind::Data)).payload, b"slowbody");
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let origin = Origin::answering(|request| match request.line() {
        "GET /204" => "HTTP/1.1 204 X\r\n\r\n".into(),
        "GET /304" => "HTTP/1.1 304 X\r\nETag: \"a\"\r\n\r\n".into(),
        "HEAD /head" => "HTTP/1.1 200 X\r\nContent-Length: 7\r\n\r\n".into(),
        _ => "HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n".into(),
    });
    let gateway = before(&origin);
    let mut client = FramePeer::open(gateway.address()).greet();
    let requests =
        [("GET", "/204", 204), ("GET", "/304", 304), ("HEAD", "/head", 200), ("GET", "/empty", 200)];
    for (stream, (method, path, status)) in (1..).step_by(2).zip(requests) {
        client.head(stream, END_STREAM, &head(method, path));
        let answer = answer(&mut client, stream);
        assert_eq!((answer.status(), answer.has(END_STREAM)), (Some(status), true), "{path}");
    }
}

#[test]
fn large_answers_at_once_come_whole_in_windows_that_are_opened_in_parts() {
    const BYTES: usize = 400 << 10;
    /// Of a stream and of the connection (RFC 9113 section 6.9.2).
    const WINDOW_BYTES: u32 = 65_535;
    let origin = Origin::answering(|_request: &Request| ok(&"x".repeat(BYTES)));
    let gateway = before(&origin);
    let mut client = FramePeer::open(gateway.address()).greet();
    let streams = [1, 3, 5];
    for stream in streams {
        client.head(stream, END_STREAM, &head("GET", "/"));
    }
    let (mut came, mut ended) = ([0; 3], 0);
    while ended < streams.len() {
        let mut of_round = [0_u32; 3];
        while of_round.iter().sum::<u32>() < WINDOW_BYTES && ended < streams.len() {
            let piece = client.until(|received| received.is(Kind::Data));
            let index = streams.iter().position(|stream| *stream == piece.stream).unwrap();
            of_round[index] += u32::try_from(piece.payload.len()).unwrap();
            ended += usize::from(piece.has(END_STREAM));
        }
        // At once, each in two parts: before anybody can send what the first one lets.
        let parts = |bytes: u32| [bytes / 2, bytes - bytes / 2].into_iter().filter(|bytes| *bytes > 0);
        let widen = |stream, bytes: u32| frame(Kind::WindowUpdate, 0, stream, &bytes.to_be_bytes());
        let of_streams = streams.iter().zip(of_round);
        let mut opened: Vec<_> =
            of_streams.flat_map(|(stream, bytes)| parts(bytes).map(|part| widen(*stream, part))).collect();
        opened.insert(0, widen(0, of_round.iter().sum()));
        client.send(opened.concat());
        came.iter_mut().zip(of_round).for_each(|(came, bytes)| *came += bytes as usize);
    }
    assert_eq!(came, [BYTES; 3]);
}

#[test]
fn a_body_that_stops_in_its_stream_is_408_and_others_go_on() {
    let origin = Origin::answering(|request: &Request| ok(request.line()));
    let text = Document::new().server("read_timeout_seconds: 0.5").route("all", "/", origin.url());
    let gateway = Gateway::standalone(text);
    let mut client = FramePeer::open(gateway.address()).greet();
    let mut fields = head("POST", "/");
    fields.push(("x-request-id", "stopped"));
    client.head(1, 0, &fields);
    client.frame(Kind::Data, 0, 1, b"half");
    assert_eq!(answer(&mut client, 1).status(), Some(408));
    assert_eq!(end(&mut client, 1), Some(code::NO_ERROR));
    assert_eq!(gateway.data_plane.access("stopped")["why"], "body_timeout");
    client.head(3, END_STREAM, &head("GET", "/"));
    assert_eq!(answer(&mut client, 3).status(), Some(200));
}

#[test]
fn a_farewell_names_the_last_stream_that_is_answered() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        peer.request()?;
        passed.pass()?;
        peer.send(ok("finished"))
    });
    let mut gateway = before(&origin);
    let mut client = FramePeer::open(gateway.address()).greet();
    client.head(1, END_STREAM, &head("GET", "/"));
    origin.await_request(0);
    gateway.data_plane.program().signal(Signal::TERM);
    let last_stream =
        |received: &Received| u32::from_be_bytes(received.payload[..4].try_into().expect("4 bytes"));
    let is_farewell = |received: &Received| received.is(Kind::GoAway);
    let first = client.until(is_farewell);
    assert_eq!(
        (first.error(), last_stream(&first)),
        (Some(code::NO_ERROR), 0x7fff_ffff),
        "nothing is lost yet"
    );
    // RFC 9113 section 6.8: what crossed the first farewell is still answered; the ping that follows it tells when no more can come.
    let ping = client.until(|received| received.is(Kind::Ping));
    client.frame(Kind::Ping, 1, 0, &ping.payload);
    let second = client.until(is_farewell);
    assert_eq!((second.error(), last_stream(&second)), (Some(code::NO_ERROR), 1));
    client.head(3, END_STREAM, &head("GET", "/late"));
    gate.open();
    assert_eq!(answer(&mut client, 1).status(), Some(200));
    client.until_ended(1);
    client.until_closed();
    assert_eq!(origin.only_request().line(), "GET /");
    assert!(gateway.data_plane.program_mut().ended().success());
}
