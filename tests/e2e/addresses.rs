//! Where requests come from and go to: addresses of both families, several at once, and socket files.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv6Addr, SocketAddr},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
};

use apigw_tests::{
    client,
    configuration::{ConfigFile, Document},
    gateway::{DataPlane, Gateway, Source},
    origin::{Origin, Request, ok},
    programs::Programs,
    waiting::{DEADLINE, eventually},
};
use rustix::process::Signal;

/// An upstream that tells whom it was told of.
fn mirror() -> Origin {
    Origin::answering(|request: &Request| {
        ok(request.head.field("x-forwarded-for").expect("the gateway says who asks"))
    })
}

/// A data plane that listens where its file says.
fn listening(file: &ConfigFile) -> DataPlane {
    DataPlane::start_with(Source::File(file.path()), &[])
}

/// Everything a socket file answers to a request, or to these bytes.
fn ask(path: &Path, bytes: &[u8]) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(bytes)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\n\r\n";

/// A document whose address is this socket file.
fn on_file(path: &Path, origin: &Origin) -> Document {
    Document::new().server(&format!("addr: \"unix:{}\"", path.display())).route("all", "/", origin.url())
}

#[test]
fn one_address_of_all_zeros_takes_both_families_and_a_mapped_client_is_its_ipv4_address() {
    let origin = mirror();
    let file =
        ConfigFile::new(Document::new().server("addr: \"[::]:0\"").server("deny_cidrs: [\"::1\"]").route(
            "all",
            "/",
            origin.url(),
        ));
    let data_plane = listening(&file);
    let port = data_plane.traffic().port();
    let over_ipv4 = client::get(SocketAddr::from(([127, 0, 0, 1], port)), "/x");
    assert_eq!(over_ipv4.text(), "127.0.0.1");
    let over_ipv6 = client::get(SocketAddr::from((Ipv6Addr::LOCALHOST, port)), "/x");
    assert_eq!(over_ipv6.status(), 403, "a range of IPv6 holds for clients of IPv6");
}

#[test]
fn upstreams_have_addresses_of_both_families() {
    let origin = mirror();
    let file = ConfigFile::new(Document::new().server("addr: \"[::1]:0\"").route("all", "/", origin.url()));
    let inner = listening(&file);
    assert!(inner.traffic().is_ipv6());
    let outer = Gateway::standalone(Document::new().route(
        "all",
        "/",
        format!("http://[::1]:{}", inner.traffic().port()),
    ));
    assert_eq!(client::get(outer.address(), "/x").text(), "::1");
}

#[test]
fn a_list_of_addresses_is_listened_on_and_each_of_its_changes_followed() {
    let (origin, directory) = (mirror(), tempfile::tempdir().expect("a temporary directory"));
    let path = directory.path().join("traffic.sock");
    let document = |addresses: &str| {
        Document::new().server(&format!("addr: [{addresses}]")).route("all", "/", origin.url())
    };
    let unix = format!("\"unix:{}\"", path.display());
    let file = ConfigFile::new(document(&format!("\"127.0.0.1:0\", \"[::1]:0\", {unix}")));
    let data_plane = listening(&file);
    let program = data_plane.program();
    let [first, second] =
        [0, 1].map(|earlier| program.listening_after("traffic", earlier).expect("it listens"));
    for address in [first, second] {
        assert_eq!(client::get(address, "/x").status(), 200, "{address}");
    }
    assert!(ask(&path, GET).expect("an answer").starts_with("HTTP/1.1 200"));

    file.save(document("\"127.0.0.1:0\""));
    eventually("the socket file is gone", || (!path.exists()).then_some(()));
    file.save(document(&unix));
    eventually("it is there again", || {
        ask(&path, GET).ok().filter(|answer| answer.starts_with("HTTP/1.1 200"))
    });
}

#[test]
fn whoever_comes_by_a_socket_file_is_a_client_of_this_machine() {
    let (origin, directory) = (mirror(), tempfile::tempdir().expect("a temporary directory"));
    let path = directory.path().join("traffic.sock");
    let file = ConfigFile::new(on_file(&path, &origin).server("trusted_proxies: [127.0.0.1]"));
    let data_plane = listening(&file);
    let answer = eventually("it answers", || ask(&path, GET).ok());
    assert!(answer.ends_with("127.0.0.1"), "{answer}");
    let mode = fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "the directory says who may come");
    let forwarded =
        b"GET /x HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n";
    let answer = ask(&path, forwarded).expect("an answer");
    assert!(answer.ends_with("203.0.113.9, 127.0.0.1"), "{answer}");
    drop(data_plane);
}

#[test]
fn a_proxy_says_by_a_socket_file_whom_a_connection_is_of() {
    let (origin, directory) = (mirror(), tempfile::tempdir().expect("a temporary directory"));
    let path = directory.path().join("traffic.sock");
    let file = ConfigFile::new(on_file(&path, &origin).server("proxy_protocol: {trusted: [127.0.0.1]}"));
    let _data_plane = listening(&file);
    let header = b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n";
    let answer = eventually("it answers", || ask(&path, &[header, GET].concat()).ok());
    assert!(answer.ends_with("203.0.113.9"), "{answer}");
    assert_eq!(ask(&path, GET).unwrap_or_default(), "");
}

#[test]
fn a_socket_file_is_replaced_where_its_program_is_dead_and_removed_at_the_end() {
    let (origin, directory) = (mirror(), tempfile::tempdir().expect("a temporary directory"));
    let path = directory.path().join("traffic.sock");
    let file = ConfigFile::new(on_file(&path, &origin));
    let mut first = listening(&file);
    let _ = eventually("it answers", || ask(&path, GET).ok());
    let refused = Programs::built().output(
        "dataplane",
        &["--config", &file.path().display().to_string(), "--admin-listen", "127.0.0.1:0"],
    );
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("server.addr: cannot listen on unix:"), "{refused:?}");
    assert!(refused.stderr.contains("a running program does"), "{refused:?}");
    assert!(ask(&path, GET).is_ok(), "the one that runs has lost nothing");

    first.program().signal(Signal::KILL);
    first.program_mut().ended();
    assert!(path.exists(), "a killed program removes nothing");
    let mut second = listening(&file);
    let _ = eventually("it answers", || ask(&path, GET).ok());
    second.program().signal(Signal::TERM);
    assert_eq!(second.program_mut().ended().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let (origin, directory) = (mirror(), tempfile::tempdir().expect("a temporary directory"));
    let path = directory.path().join("notes");
    fs::write(&path, "mine").expect("the file is written");
    let file = ConfigFile::new(on_file(&path, &origin));
    let arguments = ["--config", &file.path().display().to_string(), "--admin-listen", "127.0.0.1:0"];
    let refused = Programs::built().output("dataplane", &arguments);
    assert!(refused.stderr.contains("it is no socket"), "{refused:?}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "mine");
}

#[test]
fn an_upstream_may_be_a_socket_file() {
    let (origin, directory) = (mirror(), tempfile::tempdir().expect("a temporary directory"));
    let path = directory.path().join("app.sock");
    let upstream = format!("unix:{}", path.display());
    let outer = Gateway::standalone(Document::new().route("all", "/", &upstream));
    // Nobody is there yet.
    let refused = client::get(outer.address(), "/x");
    assert_eq!(refused.status(), 502);
    let id = refused.field("x-request-id").expect("every answer has an id");
    let access = outer.data_plane.access(id);
    assert_eq!((&access["why"], &access["upstream"]), (&"upstream_unreachable".into(), &upstream.into()));

    let file = ConfigFile::new(on_file(&path, &origin));
    let _inner = listening(&file);
    let answer = eventually("the upstream answers", || {
        client::try_get(outer.address(), "/x").ok().filter(|answer| answer.status() == 200)
    });
    assert_eq!(answer.text(), "127.0.0.1");
    let body = "x".repeat(100_000);
    let mut connection = client::Connection::open(outer.address());
    connection.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(connection.response().status(), 200);
    let seen = origin.requests();
    assert_eq!(seen.last().expect("it was asked").body.len(), body.len());
}
