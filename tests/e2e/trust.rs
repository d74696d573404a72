//! Who may connect where operators and data planes do: mutual TLS, its renewal, socket files, and addresses of others.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Stdio,
};

use apigw_tests::{
    certificates::{Authority, Flaw, Identity, SecureClient, replace},
    client,
    configuration::{ConfigFile, Document},
    gateway::state_directory,
    origin::{Origin, Request, ok},
    programs::{Finished, Programs, Running},
    waiting::eventually,
};
use rustix::process::Signal;

fn mirror() -> Origin {
    Origin::answering(|request: &Request| ok(request.line()))
}

fn numbered(number: usize, upstream: &Origin) -> Document {
    Document::new().route("all", "/", format!("{}/{number}", upstream.url()))
}

fn start(program: &str, arguments: &[&str], identity: Option<&Identity>) -> Running {
    let mut command = Programs::built().command(program);
    command.args(arguments).args(identity.map(Identity::flags).unwrap_or_default());
    Running::start(command).expect("it starts")
}

fn control_plane(file: &ConfigFile, listen: &str, identity: Option<&Identity>) -> Running {
    let (path, state) = (text(file.path()), text(&state_directory(file.path())));
    start("controlplane", &["--config", &path, "--listen", listen, "--state-dir", &state], identity)
}

fn data_plane(control_planes: &str, admin: &str, state: &Path, identity: Option<&Identity>) -> Running {
    let arguments = ["--control-plane", control_planes, "--listen", "127.0.0.1:0", "--admin-listen", admin];
    start("dataplane", &[&arguments[..], &["--state-dir", &text(state)]].concat(), identity)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn listening(program: &Running, purpose: &str) -> SocketAddr {
    program.listening(purpose).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a program that is to end by itself.
fn finished(program: &str, arguments: &[&str], identity: Option<&Identity>) -> Finished {
    let mut command = Programs::built().command(program);
    command.args(arguments).args(identity.map(Identity::flags).unwrap_or_default());
    command.stdin(Stdio::null()).output().expect("it starts").into()
}

fn status(endpoint: &str, identity: Option<&Identity>) -> Finished {
    finished("gwctl", &["--endpoint", endpoint, "-o", "json", "status"], identity)
}

/// Ends with this code and says this on stderr.
#[track_caller]
fn ends(finished: &Finished, code: i32, said: &str) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert!(finished.stderr.contains(said), "{said:?} is not said: {finished:?}");
}

fn runs(data_plane: &Running, number: usize) {
    let traffic = listening(data_plane, "traffic");
    eventually(&format!("edit {number} takes effect"), || {
        let answer = client::try_get(traffic, "/").ok()?;
        (answer.text() == format!("GET /{number}/")).then_some(())
    });
}

fn says(program: &Running, message: &str) {
    let said = program.stderr().first(|line| line.contains(message).then_some(()));
    assert!(said.is_some(), "{message:?} is not in the log");
}

fn times_said(program: &Running, message: &str) -> usize {
    program.stderr().all().iter().filter(|line| line.contains(message)).count()
}

#[test]
fn three_programs_that_trust_each_other_work_together() {
    let (upstream, authority, state) =
        (mirror(), Authority::new(), tempfile::tempdir().expect("a directory"));
    let [server, follower, operator] = [authority.identity(), authority.identity(), authority.identity()];
    let file = ConfigFile::new(numbered(1, &upstream));
    let control_plane = control_plane(&file, "127.0.0.1:0", Some(&server));
    let url = format!("https://localhost:{}", listening(&control_plane, "grpc").port());
    let data_plane = data_plane(&url, "127.0.0.1:0", state.path(), Some(&follower));
    runs(&data_plane, 1);
    file.save(numbered(2, &upstream));
    runs(&data_plane, 2);
    let admin = listening(&data_plane, "admin");
    for endpoint in [url, format!("https://{admin}")] {
        let answer = status(&endpoint, Some(&operator));
        assert_eq!(answer.code, Some(0), "{answer:?}");
        assert!(answer.stdout.contains("in_sync"), "{answer:?}");
    }
    let mut http = SecureClient::open(admin, &authority, Some(&operator)).expect("a handshake");
    assert!(http.get("/readyz").expect("an answer").starts_with("HTTP/1.1 200"));
}

#[test]
fn who_is_not_trusted_is_told_why_and_learns_nothing() {
    let (upstream, ours, theirs) = (mirror(), Authority::new(), Authority::new());
    let file = ConfigFile::new(numbered(1, &upstream));
    let good = ours.identity();
    let check = |server: &Identity, client: &Identity, said: &str| {
        let control_plane = control_plane(&file, "127.0.0.1:0", Some(server));
        let url = format!("https://{}", listening(&control_plane, "grpc"));
        let answer = status(&url, Some(client));
        ends(&answer, 1, said);
        assert_eq!(answer.stdout, "");
        says(&control_plane, "connection refused");
    };
    let stranger = theirs.identity_with(Flaw::None, &ours);
    check(&good, &stranger, "it refused our certificate: it is of no authority in its --tls-ca");
    check(&stranger, &good, "its certificate is of no authority in --tls-ca");
    let expired = ours.identity_with(Flaw::Expired, &ours);
    check(&good, &expired, "it refused our certificate: it has expired");
    check(&expired, &good, "its certificate has expired");
    check(&ours.identity_with(Flaw::OtherName, &ours), &good, "for another name than 127.0.0.1");
}

#[test]
fn without_a_certificate_nothing_is_answered() {
    let (upstream, authority, state) =
        (mirror(), Authority::new(), tempfile::tempdir().expect("a directory"));
    let file = ConfigFile::new(numbered(1, &upstream));
    let identity = authority.identity();
    let control_plane = control_plane(&file, "127.0.0.1:0", Some(&identity));
    let grpc = listening(&control_plane, "grpc");
    let data_plane = data_plane(&format!("https://{grpc}"), "127.0.0.1:0", state.path(), Some(&identity));
    for address in [grpc, listening(&data_plane, "admin")] {
        // In clear.
        ends(&status(&format!("http://{address}"), None), 1, "does not speak apigw's API");
        assert!(client::try_get(address, "/healthz").is_err());
        // With TLS, and nothing to show.
        let answer = SecureClient::open(address, &authority, None).and_then(|mut client| client.listen());
        let refusal = answer.expect_err("nothing was shown").to_string();
        assert!(refusal.contains("CertificateRequired"), "{refusal}");
        // https without certificates of one's own is not even tried.
        ends(&status(&format!("https://{address}"), None), 1, "--tls-cert, --tls-key and --tls-ca");
    }
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_costs_no_old_one() {
    let (upstream, authority, state) =
        (mirror(), Authority::new(), tempfile::tempdir().expect("a directory"));
    let file = ConfigFile::new(numbered(1, &upstream));
    let (mut server, mut follower) = (authority.identity(), authority.identity());
    let operator = authority.identity();
    let control_plane = control_plane(&file, "127.0.0.1:0", Some(&server));
    let grpc = listening(&control_plane, "grpc");
    let data_plane = data_plane(&format!("https://{grpc}"), "127.0.0.1:0", state.path(), Some(&follower));
    runs(&data_plane, 1);
    let admin = listening(&data_plane, "admin");
    let shows = |address, identity: &Identity| {
        let client = SecureClient::open(address, &authority, Some(&operator)).expect("a handshake");
        client.server_certificate().as_ref() == Some(identity.certificate())
    };
    assert!(shows(grpc, &server) && shows(admin, &follower));
    server.renew(&authority);
    follower.renew(&authority);
    eventually("the renewed certificates are shown", || {
        (shows(grpc, &server) && shows(admin, &follower)).then_some(())
    });

    // A key of another certificate, and no certificate at all: what was good stays.
    let broken = fs::read_to_string(operator.path("key.pem")).expect("a key");
    let good = fs::read_to_string(server.path("key.pem")).expect("a key");
    replace(&server.path("key.pem"), &broken);
    says(&control_plane, "certificate not renewed; the one before stays in use");
    says(&control_plane, "is not that of the certificate");
    assert!(shows(grpc, &server));
    replace(&server.path("key.pem"), &good);
    replace(&follower.path("cert.pem"), "rubbish");
    says(&data_plane, "cert.pem has no certificate");
    assert!(shows(admin, &follower));

    // The stream of the beginning has lived through all of it.
    file.save(numbered(2, &upstream));
    runs(&data_plane, 2);
    assert_eq!(times_said(&control_plane, "data plane connected"), 1);
    assert_eq!(times_said(&control_plane, "data plane disconnected"), 0);
}

#[test]
fn certificates_of_no_use_end_the_start_with_their_reason() {
    let (authority, other) = (Authority::new(), Authority::new().identity());
    let file = ConfigFile::new(numbered(1, &Origin::saying("")));
    let path = text(file.path());
    let programs: [(&str, &[&str]); 3] = [
        ("controlplane", &["--config", &path, "--listen", "127.0.0.1:0"]),
        ("dataplane", &["--config", &path, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]),
        ("gwctl", &["status", "--endpoint", "https://127.0.0.1:1"]),
    ];
    for (program, arguments) in programs {
        let spoil = |change: &dyn Fn(&Identity), said: &str| {
            let identity = authority.identity();
            change(&identity);
            let ended = finished(program, arguments, Some(&identity));
            ends(&ended, 1, said);
            assert_eq!(ended.stderr.lines().filter(|line| line.contains(program)).count(), 1, "{ended:?}");
        };
        spoil(&|identity| fs::remove_file(identity.path("key.pem")).expect("removed"), "key.pem");
        spoil(&|identity| replace(&identity.path("ca.pem"), ""), "ca.pem has no certificate");
        let foreign = fs::read_to_string(other.path("key.pem")).expect("a key");
        spoil(&|identity| replace(&identity.path("key.pem"), &foreign), "is not that of the certificate");
        for flags in [&["--tls-cert", "c"][..], &["--tls-key", "k", "--tls-ca", "a"]] {
            ends(&finished(program, &[arguments, flags].concat(), None), 2, "required arguments");
        }
    }
}

#[test]
fn addresses_of_others_need_a_key_or_certificates() {
    let (authority, upstream) = (Authority::new(), mirror());
    let identity = authority.identity();
    let file = ConfigFile::new(numbered(1, &upstream));
    let (path, state) = (text(file.path()), text(&state_directory(file.path())));
    let open = ["--config", &path, "--listen", "0.0.0.0:0", "--state-dir", &state];
    ends(&finished("controlplane", &open, None), 1, "can be reached from other machines");
    let standalone = ["--config", &path, "--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0"];
    ends(&finished("dataplane", &standalone, None), 1, "can be reached from other machines");

    let control_plane = control_plane(&file, "0.0.0.0:0", Some(&identity));
    let port = listening(&control_plane, "grpc").port();
    assert_eq!(status(&format!("https://127.0.0.1:{port}"), Some(&identity)).code, Some(0));
    let data_plane = start("dataplane", &standalone, Some(&identity));
    let port = listening(&data_plane, "admin").port();
    assert_eq!(status(&format!("https://127.0.0.1:{port}"), Some(&identity)).code, Some(0));

    // RFC 5737 section 3: nobody has this address.
    let away = "http://192.0.2.1:9090";
    ends(&status(away, Some(&identity)), 1, "in clear although there are certificates");
    let arguments = ["--control-plane", away, "--admin-listen", "127.0.0.1:0", "--state-dir", &state];
    ends(&finished("dataplane", &arguments, Some(&identity)), 1, "in clear although there are certificates");
    let mut command = Programs::built().command("dataplane");
    command.args(arguments).env("APIGW_ADMIN_KEY", "secret");
    says(&Running::start(command).expect("it starts"), "the admin key and the configuration travel in clear");
}

#[test]
fn socket_files_serve_their_owner_and_go_at_the_end() {
    let (upstream, directory) = (mirror(), tempfile::tempdir().expect("a directory"));
    let file = ConfigFile::new(numbered(1, &upstream));
    let [plane, admin] = ["control.sock", "admin.sock"].map(|name| directory.path().join(name));
    let [plane_url, admin_url] = [&plane, &admin].map(|path| format!("unix:{}", path.display()));
    let mut first = control_plane(&file, &plane_url, None);
    let mut data_plane = data_plane(&plane_url, &admin_url, &directory.path().join("state"), None);
    runs(&data_plane, 1);
    for (path, url) in [(&plane, &plane_url), (&admin, &admin_url)] {
        let mode = fs::metadata(path).expect("the socket file is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{url}");
        let answer = status(url, None);
        assert!(answer.stdout.contains("in_sync"), "{answer:?}");
    }
    let admin_name: serde_json::Value = serde_json::from_str(&status(&admin_url, None).stdout).expect("JSON");
    assert!(admin_name["data_planes"][0]["id"].as_str().is_some_and(|id| id.ends_with("_admin.sock")));

    // A live one is not replaced, a dead one is.
    let (path, other) = (text(file.path()), text(&directory.path().join("other")));
    let second = ["--config", &path, "--listen", &plane_url, "--state-dir", &other];
    ends(&finished("controlplane", &second, None), 1, "a running program does");
    first.signal(Signal::KILL);
    let _ = first.ended();
    assert!(plane.exists(), "nobody was left to remove it");
    let mut successor = control_plane(&file, &plane_url, None);
    says(&successor, "listening");
    file.save(numbered(2, &upstream));
    runs(&data_plane, 2);

    for (program, path) in [(&mut data_plane, &admin), (&mut successor, &plane)] {
        program.signal(Signal::TERM);
        assert_eq!(program.ended().code(), Some(0));
        assert!(!path.exists(), "{} is left", path.display());
    }
}

#[test]
fn a_path_that_no_socket_can_have_is_a_wrong_call() {
    let file = ConfigFile::new(numbered(1, &Origin::saying("")));
    let path = text(file.path());
    let long = format!("unix:/{}", "x".repeat(200));
    let said = "the path of a socket cannot have 201 bytes";
    ends(&finished("controlplane", &["--config", &path, "--listen", &long], None), 2, said);
    ends(&finished("dataplane", &["--config", &path, "--admin-listen", &long], None), 2, said);
    ends(&status(&long, None), 1, said);
    let occupied = format!("unix:{path}");
    ends(&finished("controlplane", &["--config", &path, "--listen", &occupied], None), 1, "it is no socket");
}

#[test]
fn a_data_plane_changes_over_between_schemes() {
    let (upstream, authority, directory) =
        (mirror(), Authority::new(), tempfile::tempdir().expect("a directory"));
    let identity = authority.identity();
    let (first_file, second_file) =
        (ConfigFile::new(numbered(1, &upstream)), ConfigFile::new(numbered(2, &upstream)));
    let socket = format!("unix:{}", directory.path().join("control.sock").display());
    let mut secure = control_plane(&first_file, "127.0.0.1:0", Some(&identity));
    let _local = control_plane(&second_file, &socket, Some(&identity));
    let urls = format!("https://{},{socket}", listening(&secure, "grpc"));
    let data_plane = data_plane(&urls, "127.0.0.1:0", &directory.path().join("state"), Some(&identity));
    runs(&data_plane, 1);
    secure.signal(Signal::KILL);
    let _ = secure.ended();
    runs(&data_plane, 2);
}

#[test]
fn who_never_ends_a_handshake_is_closed() {
    let (authority, upstream) = (Authority::new(), mirror());
    let file = ConfigFile::new(numbered(1, &upstream));
    let identity = authority.identity();
    let control_plane = control_plane(&file, "127.0.0.1:0", Some(&identity));
    let grpc = listening(&control_plane, "grpc");
    let mut half = TcpStream::connect(grpc).expect("it accepts");
    // The beginning of a record of TLS (RFC 8446 section 5.1).
    half.write_all(&[22, 3, 1, 2, 0]).expect("it is taken");
    says(&control_plane, "connection refused");
    assert_eq!(status(&format!("https://{grpc}"), Some(&identity)).code, Some(0));
}
