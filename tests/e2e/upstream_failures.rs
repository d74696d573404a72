//! Upstreams that misbehave.

use std::{
    io::{BufReader, Write as _},
    sync::atomic::{AtomicUsize, Ordering},
};

use apigw_tests::{
    client::{self, Connection, Response},
    configuration::Document,
    gateway::Gateway,
    message::read_head,
    origin::{Origin, ok, refusing},
};

fn gateway(upstream: &str) -> Gateway {
    Gateway::standalone(Document::new().route("all", "/", upstream))
}

fn is_bad_gateway(answer: &Response, address: std::net::SocketAddr) {
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let body = answer.json();
    assert!(body["error"].is_string() && body["request_id"].is_string(), "{body}");
    let port = address.port().to_string();
    assert!(
        !answer.text().contains(&port) && !answer.text().contains("127.0.0.1"),
        "an address leaks: {body}"
    );
}

#[test]
fn refused_connection_is_502() {
    let address = refusing();
    let gateway = gateway(&format!("http://{address}"));
    let answer = client::get_with(gateway.address(), "/", "X-Request-Id: refused\r\n");
    is_bad_gateway(&answer, address);
    let line = gateway.data_plane.access("refused");
    assert_eq!((&line["status"], &line["route"]), (&502.into(), &"all".into()));
    assert!(line["why"].is_string(), "{line}");
}

#[test]
fn name_that_does_not_resolve_is_502() {
    let gateway = gateway("http://does-not-exist.invalid:9");
    let answer = client::get(gateway.address(), "/");
    assert_eq!(answer.status(), 502);
    assert!(!answer.text().contains("does-not-exist"), "a name leaks: {}", answer.text());
}

#[test]
fn upstream_that_comes_back_is_used_again() {
    let address = refusing();
    let gateway = gateway(&format!("http://{address}"));
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.get("/").status(), 502);
    let listener = std::net::TcpListener::bind(address).expect("the port is still free");
    let upstream = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the gateway connects");
        let mut reader = BufReader::new(stream);
        read_head(&mut reader).expect("the gateway sends a request");
        reader.get_mut().write_all(ok("back").as_bytes()).expect("the gateway reads");
        reader
    });
    assert_eq!(connection.get("/").text(), "back");
    assert!(upstream.join().is_ok());
}

#[test]
fn pooled_connection_closed_in_between_never_costs_a_502() {
    let origin = Origin::saying("ok");
    let gateway = gateway(&origin.url());
    let mut connection = Connection::open(gateway.address());
    for round in 0..100 {
        assert_eq!(connection.get("/").status(), 200, "round {round}");
        origin.close_connections();
    }
    assert_eq!(origin.requests().len(), 100, "each request arrived once");
}

#[test]
fn idempotent_request_is_repeated_when_a_reused_connection_dies_without_an_answer() {
    // Every connection answers once; at the second request it is gone, as after a silent restart.
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send(ok("ok"))?;
        peer.request().map(|_| ())
    });
    let gateway = gateway(&origin.url());
    let mut connection = Connection::open(gateway.address());
    for round in 0..10 {
        assert_eq!(connection.get("/").status(), 200, "round {round}");
    }
}

#[test]
fn request_with_a_body_is_sent_once() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send(ok("ok"))?;
        peer.request().map(|_| ())
    });
    let gateway = gateway(&origin.url());
    let mut connection = Connection::open(gateway.address());
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
    connection.send(post);
    assert_eq!(connection.response().status(), 200);
    connection.send(post);
    is_bad_gateway(&connection.response(), origin.address());
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn request_on_a_new_connection_that_dies_is_not_repeated_for_ever() {
    let origin = Origin::scripted(|peer| peer.request().map(|_| ()));
    let gateway = gateway(&origin.url());
    is_bad_gateway(&client::get(gateway.address(), "/"), origin.address());
    assert!(origin.requests().len() <= 2, "{} tries", origin.requests().len());
}

#[test]
fn answer_that_is_not_http_is_502() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 banana\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
    ] {
        let origin = Origin::scripted(move |peer| {
            peer.request()?;
            peer.send(garbage)?;
            peer.until_closed()
        });
        let gateway = gateway(&origin.url());
        is_bad_gateway(&client::get(gateway.address(), "/"), origin.address());
    }
}

#[test]
fn answer_cut_off_before_its_head_ends_is_502() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Le")
    });
    let gateway = gateway(&origin.url());
    is_bad_gateway(&client::get(gateway.address(), "/"), origin.address());
}

#[test]
fn body_cut_off_is_visibly_cut_off() {
    for beginning in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let origin = Origin::scripted(move |peer| {
            peer.request()?;
            peer.send(beginning)
        });
        let gateway = gateway(&origin.url());
        let mut connection = Connection::open(gateway.address());
        connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        match connection.try_response_to("GET") {
            Err(_) => {}
            Ok(answer) => {
                assert!(answer.status() == 502, "half an answer passed for a whole one: {answer:?}");
            }
        }
    }
}

#[test]
fn bytes_behind_an_answer_are_nobodys_answer() {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        format!("{}{}", ok(&number.to_string()), ok("surplus"))
    });
    let gateway = gateway(&origin.url());
    let mut connection = Connection::open(gateway.address());
    for number in 0..20 {
        assert_eq!(connection.get("/").text(), number.to_string());
    }
}

#[test]
fn early_answer_to_an_upload_reaches_the_client() {
    let origin = Origin::scripted(|peer| {
        peer.head()?;
        peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")?;
        peer.until_closed()
    });
    let gateway = gateway(&origin.url());
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nbeginning");
    let answer = connection.response();
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
}

#[test]
fn upstream_is_told_when_the_client_leaves() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    });
    let gateway = gateway(&origin.url());
    let mut connection = Connection::open(gateway.address());
    connection.send("GET /wait HTTP/1.1\r\nHost: h\r\nX-Request-Id: gone\r\n\r\n");
    origin.await_request(0);
    drop(connection);
    apigw_tests::waiting::eventually("the upstream's connection ends", || {
        (origin.ended() == 1).then_some(())
    });
    assert!(gateway.data_plane.access("gone")["why"].is_string());
}

#[test]
fn answer_given_before_the_body_was_read_is_passed_on() {
    const REFUSAL: &str = "HTTP/1.1 413 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // It looks at the head alone and closes on the rest, as servers with a limit of their own do.
    let origin = Origin::scripted(|peer| {
        peer.head()?;
        peer.send(REFUSAL)
    });
    let breaker = "circuit_breaker: { enabled: true, failure_threshold: 1, open_seconds: 60, \
                   half_open_max_in_flight: 1 }";
    let document = Document::new().server("max_body_bytes: 10000000").route("all", "/", origin.url());
    let gateway = Gateway::standalone(document.with(breaker));
    let body = vec![b'x'; 1_000_000];
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    for round in 0..20 {
        let mut connection = Connection::open(gateway.address());
        connection.send(&head);
        // The gateway may have answered and closed before it has taken everything.
        let _ = connection.try_send(&body);
        assert_eq!(connection.response_to("POST").status(), 413, "round {round}");
    }
}

#[test]
fn flood_of_interim_answers_is_cut_off() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        let flood = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(500);
        loop {
            peer.send(&flood)?;
        }
    });
    let gateway = gateway(&origin.url());
    is_bad_gateway(&client::get_with(gateway.address(), "/", "X-Request-Id: flood\r\n"), origin.address());
    assert_eq!(gateway.data_plane.access("flood")["why"], "upstream_malformed");
}

#[test]
fn some_interim_answers_do_no_harm() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(100) + &ok("after all"))
    });
    assert_eq!(client::get(gateway(&origin.url()).address(), "/").text(), "after all");
}

#[test]
fn the_head_of_an_answer_that_breaks_off_arrives_while_the_client_still_sends() {
    let origin = Origin::scripted(|peer| {
        peer.head()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    });
    let gateway = gateway(&origin.url());
    for _ in 0..20 {
        let mut connection = Connection::open(gateway.address());
        connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n");
        // What the gateway no longer reads must not make it reset the connection over an answer that was not read yet.
        connection.send(vec![b'x'; 400_000]);
        let head = connection.head();
        assert_eq!(head.status(), 200);
        let mut body = Vec::new();
        let broken = connection.read_body(&head, "POST", &mut body).expect_err("the body is not whole");
        assert_eq!(broken.kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_is_reset_where_it_breaks_off() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    });
    let gateway = gateway(&origin.url());
    let mut connection = Connection::open(gateway.address());
    connection.send("GET / HTTP/1.0\r\n\r\n");
    let mut answer = Vec::new();
    let ended = std::io::Read::read_to_end(connection.stream(), &mut answer);
    let error = ended.expect_err("an end as usual would look as if the answer were whole");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
