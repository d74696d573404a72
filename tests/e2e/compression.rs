//! Answers that go out in fewer bytes: which, in what coding, and what else their heads say.

use std::{
    io::{self, Read as _},
    process::Command,
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
};

use apigw_tests::{
    client::{self, Connection, Response},
    gateway::Gateway,
    origin::Origin,
    programs::Finished,
};

/// A text that a third of its bytes can say.
fn text() -> String {
    "{\"id\": 5, \"name\": \"user\"},\n".repeat(400)
}

/// A 200 with this text, a strong tag and these field lines.
fn answer(fields: &str, text: &str) -> String {
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: {length}\r\n{fields}\r\n{text}")
}

const JSON: &str = "Content-Type: application/json\r\n";

fn gateway(origin: &Origin, keys: &str) -> Gateway {
    let address = origin.url();
    Gateway::standalone(format!(
        "routes:\n- name: a\n  match: {{path_prefix: /}}\n  upstream: \"{address}\"\n  \
         compression: {{enabled: true, algorithms: [br, zstd, gzip]}}\n{keys}"
    ))
}

fn saying(fields: &'static str) -> Origin {
    Origin::answering(move |_| answer(fields, &text()))
}

/// What a client gets that takes these codings.
fn ask(gateway: &Gateway, accepted: &str) -> Response {
    client::get_with(gateway.address(), "/", &format!("Accept-Encoding: {accepted}\r\n"))
}

fn decoded(coding: &str, bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    match coding {
        "br" => brotli::Decompressor::new(bytes, 4_096).read_to_string(&mut text)?,
        "zstd" => zstd::Decoder::new(bytes)?.read_to_string(&mut text)?,
        _ => flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text)?,
    };
    Ok(text)
}

/// What its head says of how the content is written: coding, length, tag, what it varies by, ranges.
fn told(answer: &Response) -> [Option<&str>; 5] {
    ["content-encoding", "content-length", "etag", "vary", "accept-ranges"].map(|name| answer.field(name))
}

#[test]
fn clients_are_given_the_coding_that_they_like_best() {
    let origin = saying("Content-Type: application/json\r\nAccept-Ranges: bytes\r\n");
    let gateway = gateway(&origin, "");
    for (accepted, coding) in [
        ("gzip, br", "br"),
        ("br;q=0.2, gzip;q=0.3", "gzip"),
        ("br;q=0, x-gzip", "gzip"),
        ("*", "br"),
        ("gzip, zstd", "zstd"),
    ] {
        let answer = ask(&gateway, accepted);
        let expected = [Some(coding), None, Some("W/\"a\""), Some("Accept-Encoding"), None];
        assert_eq!(told(&answer), expected, "{accepted}");
        assert_eq!(decoded(coding, &answer.body).expect("it is whole"), text(), "{accepted}");
        assert!(answer.body.len() < text().len() / 3, "{accepted}");
    }
    // Upstreams are asked as the client asks, and may compress themselves.
    assert_eq!(origin.request(1).head.field("accept-encoding"), Some("br;q=0.2, gzip;q=0.3"));
    let metrics = gateway.data_plane.metrics();
    let count = |name: &str, coding| metrics.count(name, &[("algorithm", coding)]);
    assert_eq!(count("apigw_compressed_answers_total", "br"), 2);
    assert_eq!(count("apigw_compression_input_bytes_total", "gzip"), 2 * text().len() as u64);
    let output = count("apigw_compression_output_bytes_total", "gzip");
    assert!((1..text().len() as u64 / 2).contains(&output), "{output}");
}

#[test]
fn who_takes_no_coding_is_told_that_the_answer_varies() {
    let origin = saying(JSON);
    let gateway = gateway(&origin, "");
    let length = text().len().to_string();
    for accepted in ["", "identity", "deflate", "gzip;q=0", "identity, *;q=0", "gzip;q=0.1, identity;q=0.2"] {
        let answer = ask(&gateway, accepted);
        let expected = [None, Some(length.as_str()), Some("\"a\""), Some("Accept-Encoding"), None];
        assert_eq!((told(&answer), answer.text()), (expected, text()), "{accepted:?}");
    }
    assert_eq!(client::get(gateway.address(), "/").text(), text());
}

#[test]
fn what_is_no_good_for_it_goes_out_as_it_came() {
    for (fields, text) in [
        (JSON, "{}".to_owned()),
        ("Content-Type: image/png\r\n", text()),
        ("Content-Type: text/event-stream\r\n", text()),
        ("Content-Type: text/plain\r\nContent-Encoding: deflate\r\n", text()),
        ("Content-Type: text/plain\r\nCache-Control: private, no-transform\r\n", text()),
        ("Content-Type: text/plain\r\nRepr-Digest: sha-256=:AA==:\r\n", text()),
        ("", text()),
    ] {
        let expected = answer(fields, &text);
        let origin = Origin::answering(move |_| expected.clone());
        let answer = ask(&gateway(&origin, ""), "gzip");
        let length = text.len().to_string();
        assert_eq!(told(&answer)[1..4], [Some(length.as_str()), Some("\"a\""), None], "{fields}");
        assert_eq!(answer.text(), text, "{fields}");
    }
}

#[test]
fn ranges_are_of_the_bytes_that_the_upstream_has() {
    let origin = Origin::answering(|request| {
        assert_eq!(request.head.field("range"), Some("bytes=0-1999"));
        let part = &text()[..2_000];
        format!(
            "HTTP/1.1 206 Partial Content\r\n{JSON}Content-Range: bytes 0-1999/9999\r\nContent-Length: 2000\r\n\r\n{part}"
        )
    });
    let gateway = gateway(&origin, "");
    let fields = "Range: bytes=0-1999\r\nAccept-Encoding: gzip\r\n";
    let answer = client::get_with(gateway.address(), "/", fields);
    assert_eq!((answer.status(), answer.field("content-encoding")), (206, None));
    assert_eq!(answer.text(), text()[..2_000]);
}

#[test]
fn head_and_304_say_what_is_said_of_the_answer_they_stand_for() {
    let origin = Origin::answering(|request| match request.head.field("if-none-match") {
        Some(_) => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".into(),
        None => format!("HTTP/1.1 200 OK\r\n{JSON}ETag: \"a\"\r\nContent-Length: 9000\r\n\r\n"),
    });
    let gateway = gateway(&origin, "");
    let accepting = "Accept-Encoding: gzip\r\n";
    let head = client::request(gateway.address(), "HEAD", "/", accepting);
    let expected = [Some("gzip"), None, Some("W/\"a\""), Some("Accept-Encoding"), None];
    assert_eq!(told(&head), expected);
    let fields = format!("{accepting}If-None-Match: W/\"a\"\r\n");
    let unchanged = client::get_with(gateway.address(), "/", &fields);
    assert_eq!(unchanged.status(), 304);
    assert_eq!(told(&unchanged), [None, None, Some("W/\"a\""), Some("Accept-Encoding"), None]);
}

#[test]
fn clients_of_http_1_0_read_until_the_connection_ends() {
    let origin = saying(JSON);
    let gateway = gateway(&origin, "");
    let mut connection = Connection::open(gateway.address());
    connection.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\nAccept-Encoding: gzip\r\n\r\n");
    let answer = connection.response();
    assert_eq!(answer.field("transfer-encoding"), None);
    assert_eq!(decoded("gzip", &answer.body).expect("it is whole"), text());
}

#[test]
fn clients_of_http_2_are_given_it_too() {
    let origin = saying(JSON);
    let gateway = gateway(&origin, "");
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--http2-prior-knowledge", "--compressed"]);
    command.args(["-H", "Accept-Encoding: gzip", "--write-out", " %{http_version} %{size_download}"]);
    command.arg(format!("http://{}/", gateway.address()));
    let answered: Finished = command.output().expect("curl is there").into();
    let said = answered.stdout.strip_prefix(&text()).unwrap_or_else(|| panic!("{answered:?}"));
    let (version, bytes) = said.trim().split_once(' ').expect("two words");
    assert_eq!(version, "2");
    assert!(bytes.parse::<usize>().expect("a number") < text().len() / 3, "{answered:?}");
}

/// An upstream that sends the head of a text in chunks and each text that it is told to, and ends when it is told nothing more.
fn told_by(texts: Receiver<&'static str>) -> Origin {
    let texts = Mutex::new(texts);
    Origin::scripted(move |peer| {
        peer.request()?;
        peer.send(format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n"))?;
        let texts = texts.lock().expect("one connection");
        while let Ok(text) = texts.recv() {
            peer.send(format!("{:x}\r\n{text}\r\n", text.len()))?;
        }
        Ok(())
    })
}

/// Reads chunks until this text has been said in the coding. What decodes waits for nothing that has not come.
fn read_until(connection: &mut Connection, coding: &str, text: &str) {
    let (mut bytes, mut line) = (Vec::new(), Vec::new());
    let mut said = String::new();
    while !said.ends_with(text) {
        line.clear();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            connection.stream().read_exact(&mut byte).expect("a chunk");
            line.push(byte[0]);
        }
        let digits = String::from_utf8_lossy(&line);
        let length = usize::from_str_radix(digits.trim(), 16).expect("the size of a chunk");
        let mut chunk = vec![0; length + 2];
        connection.stream().read_exact(&mut chunk).expect("the chunk");
        bytes.extend_from_slice(&chunk[..length]);
        said = begun(coding, &bytes);
    }
}

/// What can be read of a stream that has not ended.
fn begun(coding: &str, bytes: &[u8]) -> String {
    let mut reader: Box<dyn io::Read + '_> = match coding {
        "br" => Box::new(brotli::Decompressor::new(bytes, 4_096)),
        "zstd" => Box::new(zstd::Decoder::new(bytes).expect("there is memory")),
        _ => Box::new(flate2::read::GzDecoder::new(bytes)),
    };
    let (mut said, mut byte) = (Vec::new(), [0]);
    while let Ok(1) = reader.read(&mut byte) {
        said.push(byte[0]);
    }
    String::from_utf8(said).expect("texts are cut between characters")
}

#[test]
fn what_has_come_is_not_kept_until_more_comes() {
    for coding in ["br", "zstd", "gzip"] {
        let (tell, texts) = channel();
        let origin = told_by(texts);
        let gateway = gateway(&origin, "");
        let mut connection = Connection::open(gateway.address());
        connection.ask("GET", "/", &format!("Accept-Encoding: {coding}\r\n"));
        tell.send("first").expect("it listens");
        assert_eq!(connection.head().field("content-encoding"), Some(coding));
        read_until(&mut connection, coding, "first");
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    for coding in ["br", "zstd", "gzip"] {
        let (tell, texts) = channel();
        let origin = told_by(texts);
        let gateway = gateway(&origin, "");
        let mut connection = Connection::open(gateway.address());
        connection.ask("GET", "/", &format!("Accept-Encoding: {coding}\r\nX-Request-Id: cut\r\n"));
        tell.send("first").expect("it listens");
        drop(tell);
        let head = connection.head();
        let mut body = Vec::new();
        let cut = connection.read_body(&head, "GET", &mut body).expect_err("it is cut");
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof, "{coding}");
        assert!(decoded(coding, &body).is_err(), "{coding}");
        assert_eq!(gateway.data_plane.access("cut")["why"], "upstream_truncated");
    }
}

#[test]
fn an_upstream_that_falls_silent_is_noticed() {
    let (tell, texts) = channel();
    let origin = told_by(texts);
    let gateway = gateway(&origin, "  timeouts: {idle_seconds: 0.5}\n");
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/", "Accept-Encoding: gzip\r\nX-Request-Id: idle\r\n");
    tell.send("first").expect("it listens");
    let head = connection.head();
    assert!(connection.read_body(&head, "GET", &mut io::sink()).is_err());
    assert_eq!(gateway.data_plane.access("idle")["why"], "upstream_idle");
}

#[test]
fn trailers_come_behind_the_end_of_the_stream() {
    let origin = Origin::answering(|_| {
        let text = text();
        let length = text.len();
        format!(
            "HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{text}\r\n0\r\nX-Sum: 5\r\n\r\n"
        )
    });
    let gateway = gateway(&origin, "");
    let answer = client::get_with(gateway.address(), "/", "Accept-Encoding: br\r\nTE: trailers\r\n");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "5".to_owned())]);
    assert_eq!(decoded("br", &answer.body).expect("it is whole"), text());
}

#[test]
fn the_file_has_a_word_before_it_is_decided() {
    let origin = saying(JSON);
    let changes = "  response_headers: {remove: [etag, vary], set: {content-type: image/x-own}}\n";
    let answer = ask(&gateway(&origin, changes), "gzip");
    assert_eq!(told(&answer)[0], None, "the file says that it is a picture");
    let changes = "  response_headers: {remove: [etag, vary]}\n";
    let answer = ask(&gateway(&origin, changes), "gzip");
    assert_eq!(told(&answer), [Some("gzip"), None, None, Some("Accept-Encoding"), None]);
}
