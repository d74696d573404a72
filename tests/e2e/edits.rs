//! A saved file takes effect.

use std::{fs, net::SocketAddr, os::unix::fs::symlink};

use apigw_tests::{
    client::{self, Connection, Response},
    configuration::{ConfigFile, Document, Saving},
    gateway::{A_WHILE, DataPlane, Fleet, Gateway, Source, gwctl, gwctl_json},
    load::{Load, Reuse},
    origin::{Origin, Request, ok},
    waiting::eventually,
};
use serde_json::Value;

/// An upstream that answers with its name and the path it was sent.
fn named(name: &'static str) -> Origin {
    Origin::answering(move |request: &Request| ok(&format!("{name} {}", request.line())))
}

/// A file whose number shows in every answer.
fn numbered(number: usize, upstream: &Origin) -> Document {
    Document::new().route("all", "/", format!("{}/{number}", upstream.url()))
}

/// Waits until an answer has this number.
fn runs(address: SocketAddr, number: usize) {
    let path = format!(" /{number}/");
    eventually(&format!("edit {number} takes effect"), || {
        client::try_get(address, "/").ok().filter(|answer| answer.text().contains(&path))
    });
}

#[test]
fn edit_takes_effect_however_it_is_saved() {
    let upstream = named("one");
    let gateway = Gateway::standalone(numbered(0, &upstream));
    runs(gateway.address(), 0);
    let savings = Saving::ALL.into_iter().cycle().take(12);
    for (number, saving) in (1..).zip(savings) {
        gateway.file.save_by(saving, numbered(number, &upstream));
        runs(gateway.address(), number);
    }
}

#[test]
fn a_step_back_finds_the_connections_that_were_left() {
    let (one, two) = (named("one"), named("two"));
    let gateway = Gateway::standalone(numbered(0, &one));
    // One worker's, since pools are.
    let mut connection = Connection::open(gateway.address());
    let mut ask_until = |number: usize| {
        let path = format!(" /{number}/");
        eventually(&format!("edit {number} takes effect"), || {
            connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            Some(connection.response()).filter(|answer| answer.text().contains(&path))
        });
    };
    ask_until(0);
    for (number, upstream) in (1..).zip([&two, &one, &two, &one]) {
        gateway.file.save(numbered(number, upstream));
        ask_until(number);
    }
    for upstream in [one, two] {
        let requests = upstream.requests();
        assert!(
            requests.len() >= 2 && requests.iter().all(|request| request.connection == 0),
            "{requests:?}"
        );
    }
}

#[test]
fn edit_reaches_a_following_data_plane_however_it_is_saved() {
    let upstream = named("one");
    let fleet = Fleet::start(numbered(0, &upstream), 1);
    for (number, saving) in (1..).zip(Saving::ALL) {
        fleet.file.save_by(saving, numbered(number, &upstream));
        runs(fleet.data_planes[0].traffic(), number);
    }
}

#[test]
fn symlinks_of_a_config_map_are_followed() {
    let upstream = named("one");
    let mount = tempfile::tempdir().expect("a temporary directory");
    // As the kubelet does it: file -> ..data/file, ..data -> a directory of its own for each content.
    let publish = |number: usize| {
        let version = mount.path().join(format!("..version-{number}"));
        fs::create_dir(&version)?;
        fs::write(version.join("gateway.yaml"), numbered(number, &upstream).to_string())?;
        symlink(format!("..version-{number}"), mount.path().join("..data_tmp"))?;
        fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data"))
    };
    publish(0).expect("the first content is there");
    let file = mount.path().join("gateway.yaml");
    symlink("..data/gateway.yaml", &file).expect("the name is there");
    let data_plane = DataPlane::start(Source::File(&file));
    for number in 1..4 {
        publish(number).expect("the next content is there");
        fs::remove_dir_all(mount.path().join(format!("..version-{}", number - 1))).expect("the old one goes");
        runs(data_plane.traffic(), number);
    }
}

#[test]
fn deleted_file_changes_nothing_and_may_come_back() {
    let upstream = named("one");
    let gateway = Gateway::standalone(numbered(0, &upstream));
    runs(gateway.address(), 0);
    fs::remove_file(gateway.file.path()).expect("the file is there");
    std::thread::sleep(A_WHILE);
    runs(gateway.address(), 0);
    fs::write(gateway.file.path(), numbered(1, &upstream).to_string()).expect("the file is written");
    runs(gateway.address(), 1);
}

#[test]
fn two_hundred_edits_under_load_cost_nothing() {
    let (even, odd) = (named("even"), named("odd"));
    let upstream = |number: usize| if number.is_multiple_of(2) { &even } else { &odd };
    let fleet = Fleet::start(numbered(0, upstream(0)), 1);
    let address = fleet.data_planes[0].traffic();
    runs(address, 0);
    // Name and number come from one file, or the answer is mixed.
    let is_of_one_file = |answer: &Response| {
        let text = answer.text();
        let parts = text.strip_prefix("even GET /").map(|rest| (0, rest));
        let (parity, rest) = parts.or_else(|| Some((1, text.strip_prefix("odd GET /")?))).ok_or(&text)?;
        let number: usize = rest.split('/').next().and_then(|n| n.parse().ok()).ok_or(&text)?;
        if number % 2 == parity { Ok(()) } else { Err(format!("mixed: {text}")) }
    };
    let load = Load::start(address, "/", 4, Reuse::MustSucceed, is_of_one_file);
    for number in 1..=200 {
        fleet.file.save(numbered(number, upstream(number)));
        runs(address, number);
    }
    let report = load.stop();
    report.is_flawless();
    let status = fleet.synchronised();
    assert_eq!(status["data_planes"][0]["config_source"], "stream");
    assert_eq!(status["control_plane"]["revision"]["seq"], 201, "one revision for each content: {status}");
}

#[test]
fn upstreams_that_left_the_file_leave_their_room_to_others() {
    let (even, odd) = (named("even"), named("odd"));
    let upstream = |number: usize| if number.is_multiple_of(2) { &even } else { &odd };
    let file = |number| numbered(number, upstream(number)).upstream("max_idle_conns: 4");
    let gateway = Gateway::standalone(file(0));
    for number in 1..=12 {
        gateway.file.save(file(number));
        runs(gateway.address(), number);
    }
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.get("/").status(), 200);
    let opened = even.connections();
    for _ in 0..50 {
        assert_eq!(connection.get("/").status(), 200);
    }
    assert!(even.connections() <= opened + 1, "{} connections for 50 requests", even.connections() - opened);
}

#[test]
fn request_is_judged_by_one_file_to_its_end() {
    let before = Origin::scripted(|peer| {
        let head = peer.head()?;
        let mut body = Vec::new();
        peer.body(&head, &mut body)?;
        peer.send(ok(&format!("before {}", body.len())))
    });
    let after = Origin::saying("after");
    let gateway = Gateway::standalone(Document::new().route("all", "/", before.url()));
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nha");
    before.await_request(0);
    gateway.file.save(Document::new().server("max_body_bytes: 1").route("all", "/", after.url()));
    eventually("the edit takes effect", || {
        (client::get(gateway.address(), "/").text() == "after").then_some(())
    });
    connection.send("lf");
    assert_eq!(connection.response().text(), "before 4");
    assert_eq!(connection.get("/").text(), "after", "the next request on the connection has the new file");
}

#[test]
fn broken_edit_changes_nothing_and_shows_until_mended() {
    let upstream = named("one");
    let fleet = Fleet::start(numbered(0, &upstream), 1);
    let (control_plane, data_plane) = (fleet.control_plane.address(), &fleet.data_planes[0]);
    runs(data_plane.traffic(), 0);
    let good = fleet.synchronised();
    let broken = numbered(1, &upstream).with("upstraem: x").with("auth_required: perhaps");
    fleet.file.save(&broken);
    let rejected = eventually("the broken file shows", || {
        let status = fleet.status();
        status["control_plane"]["rejected_file"].is_object().then_some(status)
    });
    let problems =
        rejected["control_plane"]["rejected_file"]["problems"].as_array().cloned().unwrap_or_default();
    // Both at once, each where it stands: the file's lines are those of the document as written.
    let text = broken.to_string();
    for (key, path) in [("upstraem", "routes[0].upstraem"), ("perhaps", "routes[0].auth_required")] {
        let line = 1 + text.lines().position(|line| line.contains(key)).expect("the document has it");
        let told = problems.iter().any(|problem| problem["line"] == line && problem["path"] == path);
        assert!(told, "no problem at line {line} with path {path}: {problems:#?}");
    }
    let misspelt =
        problems.iter().find(|problem| problem["path"] == "routes[0].upstraem").expect("found above");
    assert!(
        misspelt["message"].as_str().is_some_and(|text| text.contains("upstream")),
        "no suggestion: {misspelt}"
    );
    assert_eq!(rejected["control_plane"]["revision"], good["control_plane"]["revision"]);
    runs(data_plane.traffic(), 0);
    let table = gwctl(control_plane, &["status"]);
    assert!(table.stdout.contains("routes[0].auth_required"), "the table is silent: {table:?}");

    fleet.file.save(numbered(2, &upstream));
    runs(data_plane.traffic(), 2);
    let mended = fleet.synchronised();
    assert_eq!(mended["control_plane"]["rejected_file"], Value::Null);
}

#[test]
fn broken_edit_of_a_standalone_data_plane_changes_nothing() {
    let upstream = named("one");
    let gateway = Gateway::standalone(numbered(0, &upstream));
    runs(gateway.address(), 0);
    gateway.file.save("routes: [");
    let status = eventually("the broken file shows", || {
        let status = gwctl_json(gateway.data_plane.admin(), &["status"]);
        let problems = status["data_planes"][0]["problems"].as_array().is_some_and(|list| !list.is_empty());
        problems.then_some(status)
    });
    assert_eq!(status["data_planes"][0]["config_source"], "file");
    assert_eq!(status["data_planes"][0]["state"], "rejected");
    runs(gateway.address(), 0);
    gateway.file.save(numbered(1, &upstream));
    runs(gateway.address(), 1);
}

#[test]
fn content_that_means_the_same_is_no_new_revision() {
    let upstream = named("one");
    let fleet = Fleet::start(numbered(0, &upstream), 1);
    let before = fleet.synchronised();
    fleet.file.save(format!("# a comment\n{}", numbered(0, &upstream)));
    fleet.file.save(format!("# another\n{}", numbered(0, &upstream)));
    std::thread::sleep(A_WHILE);
    assert_eq!(fleet.synchronised()["control_plane"]["revision"], before["control_plane"]["revision"]);
}

#[test]
fn listener_moves_under_load() {
    let upstream = named("one");
    let at = |address: &str| numbered(0, &upstream).server(&format!("addr: \"{address}\""));
    let file = ConfigFile::new(at("127.0.0.1:0"));
    let data_plane = DataPlane::start_with(Source::File(file.path()), &[]);
    let first = data_plane.traffic();
    let _ = data_plane.serves("/");
    let load = Load::start(first, "/", 4, Reuse::MayBeClosed, |_| Ok(()));

    // A request that is under way when its listener goes.
    let slow = Origin::scripted(|peer| {
        let head = peer.head()?;
        peer.body(&head, &mut std::io::sink())?;
        peer.send(ok("in time"))
    });
    file.save(at("127.0.0.1:0").route("slow", "/slow", slow.url()));
    eventually("the slow route is there", || {
        let mut connection = Connection::open(first);
        connection.send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        (connection.response().text() == "in time").then_some(())
    });
    let mut under_way = Connection::open(first);
    under_way.send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nha");
    slow.await_request(1);

    file.save(at("127.0.0.2:0").route("slow", "/slow", slow.url()));
    let second = data_plane.program().listening_after("traffic", 1).expect("it listens anew");
    assert_eq!(second.ip().to_string(), "127.0.0.2");
    load.move_to(second);
    let answered = load.answered();
    eventually("traffic flows at the new address", || (load.answered() > answered + 100).then_some(()));
    eventually("the old address is given up", || Connection::try_open(first).err());
    under_way.send("lf");
    assert_eq!(under_way.response().text(), "in time");
    load.stop().is_flawless();
}

#[test]
fn address_that_is_taken_is_refused_and_the_old_one_kept() {
    let upstream = named("one");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken = (taken.local_addr().expect("it has an address"), taken);
    let at = |address: &str| numbered(0, &upstream).server(&format!("addr: \"{address}\""));
    let file = ConfigFile::new(at("127.0.0.1:0"));
    let data_plane = DataPlane::start_with(Source::File(file.path()), &[]);
    let _ = data_plane.serves("/");
    file.save(at(&taken.0.to_string()));
    eventually("the taken address shows", || {
        let status = gwctl_json(data_plane.admin(), &["status"]);
        (status["data_planes"][0]["state"] == "rejected").then_some(())
    });
    runs(data_plane.traffic(), 0);
}

#[test]
fn an_edit_that_fails_the_files_own_tests_changes_nothing() {
    let upstream = Origin::saying("ok");
    let file = |prefix: &str| {
        let routes = Document::new().route("a", prefix, upstream.url()).route("b", "/b", upstream.url());
        format!(
            "{routes}tests:\n  - {{ name: a is there, request: {{ path: /a/1 }}, expect: {{ route: a }} }}\n\
             invariants:\n  - {{ max_routes_removed_percent: 40 }}\n"
        )
    };
    let gateway = Gateway::standalone(file("/a"));
    let refused = |text: String, why: &str| {
        gateway.file.save(text);
        eventually("the edit is refused", || {
            let status = gwctl_json(gateway.data_plane.admin(), &["status"]);
            let problems = status["data_planes"][0]["problems"].to_string();
            problems.contains(why).then_some(())
        });
        assert_eq!(client::get(gateway.address(), "/a/1").status(), 200);
    };
    refused(file("/elsewhere"), "tests[0]");
    let one = Document::new().route("a", "/a", upstream.url());
    refused(format!("{one}invariants:\n  - {{ max_routes_removed_percent: 40 }}\n"), "1 of 2 would be: b");
    gateway.file.save(file("/a/").replace("/b", "/c"));
    assert_eq!(gateway.data_plane.serves("/c").status(), 200);
}
