//! TLS towards clients and upstreams, by real handshakes.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use apigw_tests::{
    certificates::{Authority, Flaw, Identity, SecureClient, replace},
    client::{self, Connection},
    configuration::{ConfigFile, Document},
    gateway::{DataPlane, Fleet, Gateway, Source, gwctl_json},
    origin::{Origin, Request, ok},
    programs::{Finished, Programs},
    waiting::eventually,
};
use serde_json::{Value, json};

/// More than TLS or a socket holds back.
const LARGE: usize = 4 << 20;

fn mirror() -> Origin {
    Origin::answering(|request: &Request| ok(request.line()))
}

/// An entry of `server.tls.certificates`.
fn files(identity: &Identity) -> String {
    let (certificate, key) = (identity.path("cert.pem"), identity.path("key.pem"));
    format!("{{cert_file: \"{}\", key_file: \"{}\"}}", certificate.display(), key.display())
}

/// A file with these certificates and further keys of `server.tls`.
fn document(identities: &[&Identity], rest: &str, upstream: &Origin) -> Document {
    let certificates: Vec<_> = identities.iter().map(|identity| files(identity)).collect();
    let tls = format!("tls: {{certificates: [{}]{rest}}}", certificates.join(", "));
    Document::new().server(&tls).route("all", "/", upstream.url())
}

fn curl(authority: &Identity, name: &str, address: SocketAddr, arguments: &[&str]) -> Finished {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--cacert"]).arg(authority.path("ca.pem"));
    command.args(["--resolve", &format!("{name}:{}:127.0.0.1", address.port())]).args(arguments);
    command.arg(format!("https://{name}:{}/x", address.port()));
    command.output().expect("curl is there").into()
}

#[test]
fn requests_are_served_in_both_versions_and_upstreams_are_told() {
    let (authority, upstream) = (Authority::new(), mirror());
    let identity = authority.identity();
    let gateway = Gateway::standalone(document(&[&identity], "", &upstream));
    for version in [["--tlsv1.3", "--tls-max", "1.3"], ["--tlsv1.2", "--tls-max", "1.2"]] {
        let answered = curl(&identity, "localhost", gateway.address(), &version);
        assert_eq!(answered.stdout, "GET /x", "{version:?}: {answered:?}");
    }
    for request in upstream.requests() {
        assert_eq!(request.head.field("x-forwarded-proto"), Some("https"));
    }
    let metrics = gateway.data_plane.metrics();
    assert_eq!(metrics.count("apigw_tls_handshakes_total", &[("outcome", "success")]), 2);
    assert!(metrics.text().contains("apigw_certificate_expiry_timestamp_seconds{certificate="));
}

#[test]
fn http_2_is_agreed_on_by_whoever_speaks_it() {
    let (authority, upstream) = (Authority::new(), mirror());
    let identity = authority.identity();
    let gateway = Gateway::standalone(document(&[&identity], "", &upstream));
    for (version, spoken) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let arguments = [version, "--write-out", " over %{http_version}"];
        let answered = curl(&identity, "localhost", gateway.address(), &arguments);
        assert_eq!(answered.stdout, format!("GET /x over {spoken}"));
    }
}

#[test]
fn bodies_of_any_size_pass_in_both_directions() {
    let authority = Authority::new();
    let identity = authority.identity();
    let upstream = Origin::answering(|request: &Request| ok(&String::from_utf8_lossy(&request.body)));
    let text = document(&[&identity], "", &upstream).server("max_body_bytes: 10000000");
    let gateway = Gateway::standalone(text);
    let body = ConfigFile::new("x".repeat(LARGE));
    let upload = format!("@{}", body.path().display());
    let answered = curl(&identity, "localhost", gateway.address(), &["--data-binary", &upload]);
    assert_eq!(answered.stdout.len(), LARGE, "{}", answered.stderr);
}

#[test]
fn certificates_are_chosen_by_the_name_that_is_asked_for() {
    let (authority, upstream) = (Authority::new(), mirror());
    let first = authority.identity();
    let second = authority.identity_with(Flaw::OtherName, &authority);
    let gateway = Gateway::standalone(document(&[&first, &second], "", &upstream));
    let address = gateway.address();
    assert_eq!(curl(&first, "localhost", address, &[]).stdout, "GET /x");
    assert_eq!(curl(&first, "elsewhere.example", address, &[]).stdout, "GET /x");
    let unknown = curl(&first, "nobody.example", address, &[]);
    assert_eq!(unknown.code, Some(60), "the first is shown, which is for another: {unknown:?}");
}

#[test]
fn certificates_are_renewed_while_connections_go_on() {
    let (authority, upstream) = (Authority::new(), mirror());
    let mut identity = authority.identity();
    let gateway = Gateway::standalone(document(&[&identity], "", &upstream));
    let mut before = SecureClient::open(gateway.address(), &authority, None).expect("a handshake");
    let shown = || {
        let client = SecureClient::open(gateway.address(), &authority, None).expect("a handshake");
        client.server_certificate()
    };
    assert_eq!(shown().as_ref(), Some(identity.certificate()));
    identity.renew(&authority);
    eventually("the new certificate is shown", || {
        (shown().as_ref() == Some(identity.certificate())).then_some(())
    });
    assert!(before.get("/x").expect("an answer").starts_with("HTTP/1.1 200"));

    replace(&identity.path("key.pem"), "nothing\n");
    let failures = "apigw_certificate_renewal_failures_total";
    eventually("the broken one is counted", || {
        (gateway.data_plane.metrics().count(failures, &[]) == 1).then_some(())
    });
    assert_eq!(shown().as_ref(), Some(identity.certificate()), "the one before stays in use");
}

/// What a data plane and `gwctl validate` say of a file, which neither takes: the same.
fn refused(file: &ConfigFile) -> String {
    let path = file.path().display().to_string();
    let flags = ["--config", &path, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let finished = Programs::built().output("dataplane", &flags);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let validated = Programs::built().output("gwctl", &["validate", &path]);
    assert_eq!(validated.code, Some(1), "{validated:?}");
    for line in validated.stdout.lines() {
        assert!(line.starts_with(&path) && finished.stderr.contains(line), "{line}: {finished:?}");
    }
    validated.stdout.replace(&path, "FILE")
}

/// What is wrong with files of a certificate, by the file at fault.
const FAULTS: [(Flaw, &str, &str); 3] = [
    (Flaw::OtherKey, "key_file", "is not that of the certificate"),
    (Flaw::Expired, "cert_file", "has expired"),
    (Flaw::NotYet, "cert_file", "is not valid yet"),
];

#[test]
fn files_of_no_use_are_problems_with_their_line() {
    let (authority, upstream) = (Authority::new(), mirror());
    let refused = |identity: &Identity| refused(&ConfigFile::new(document(&[identity], "", &upstream)));
    for (flaw, key, fault) in FAULTS {
        let text = refused(&authority.identity_with(flaw, &authority));
        assert!(text.starts_with("FILE:2:") && text.lines().count() == 1, "{flaw:?}: {text}");
        assert!(text.contains(&format!("server.tls.certificates[0].{key}: ")), "{flaw:?}: {text}");
        assert!(text.contains(fault), "{flaw:?}: {text}");
    }
    let good = authority.identity();
    fs::write(good.path("key.pem"), "nothing\n").expect("it is written");
    assert!(refused(&good).contains("[0].key_file: ") && refused(&good).contains("has no private key"));
    fs::remove_file(good.path("cert.pem")).expect("it was there");
    assert!(refused(&good).contains("[0].cert_file: cannot read "));
}

#[test]
fn files_of_backends_that_are_of_no_use_are_problems_with_their_line() {
    let authority = Authority::new();
    let refused = |identity: &Identity, authorities: &str| {
        let tls = format!("{{ca_file: \"{authorities}\", {}", &files(identity)[1..]);
        let backend = format!("{{name: b, endpoints: [{{url: \"https://127.0.0.1:1\"}}], tls: {tls}}}");
        let route = "{name: r, match: {path_prefix: /}, backend: b}";
        refused(&ConfigFile::new(format!("backends:\n- {backend}\nroutes:\n- {route}\n")))
    };
    for (flaw, key, fault) in FAULTS {
        let identity = authority.identity_with(flaw, &authority);
        let text = refused(&identity, &identity.path("ca.pem").display().to_string());
        assert!(text.starts_with("FILE:2:") && text.lines().count() == 1, "{flaw:?}: {text}");
        assert!(
            text.contains(&format!("backends[0].tls.{key}: ")) && text.contains(fault),
            "{flaw:?}: {text}"
        );
    }
    let good = authority.identity();
    fs::write(good.path("ca.pem"), "nothing\n").expect("it is written");
    let text = refused(&good, &good.path("ca.pem").display().to_string());
    assert!(text.contains("backends[0].tls.ca_file: ") && text.contains("has no certificate"), "{text}");
    assert!(refused(&authority.identity(), "missing.pem").contains("backends[0].tls.ca_file: cannot read "));
}

#[test]
fn status_says_how_long_each_certificate_is_good() {
    let (authority, upstream) = (Authority::new(), mirror());
    let identity = authority.identity();
    let client = authority.identity_with(Flaw::OtherName, &authority);
    let backend = format!(
        "backends:\n- {{name: b, endpoints: [{{url: \"https://127.0.0.1:1\"}}], tls: {}}}\n",
        files(&client)
    );
    let text = document(&[&identity], "", &upstream).to_string() + &backend;
    let gateway = Gateway::standalone(text.clone());
    let fleet = Fleet::start(&text, 1);
    for endpoint in [gateway.data_plane.admin(), fleet.control_plane.address()] {
        let certificates = eventually("they are told", || {
            let told = gwctl_json(endpoint, &["status"])["data_planes"][0]["certificates"].clone();
            told.as_array().filter(|told| told.len() == 2).cloned()
        });
        assert_eq!(certificates[0]["names"], json!(["localhost"]), "addresses are no names");
        assert_eq!(certificates[1]["names"], json!(["elsewhere.example"]));
        assert_eq!((&certificates[0]["backend"], &certificates[1]["backend"]), (&Value::Null, &json!("b")));
        assert!(certificates.iter().all(|certificate| certificate["days_left"].as_i64() > Some(365)));
    }
}

#[test]
fn files_of_another_machine_are_warned_of() {
    let upstream = mirror();
    let document = |path: &str| {
        let tls = format!("tls: {{certificates: [{{cert_file: {path}/a.pem, key_file: {path}/a.key}}]}}");
        ConfigFile::new(Document::new().server(&tls).route("all", "/", upstream.url()))
    };
    let validated = |path: &str| {
        let file = document(path);
        let path = file.path().display().to_string();
        let finished = Programs::built().output("gwctl", &["validate", &path]);
        (finished.code, finished.stdout.replace(&path, "FILE"))
    };
    let (code, text) = validated("/nowhere/of/this/machine");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("warning: FILE:2:") && text.ends_with("FILE: ok\n"), "{text}");
    let (code, text) = validated("/tmp");
    assert!(code == Some(1) && text.starts_with("FILE:2:"), "the directory is here: {text}");
}

#[test]
fn what_does_not_speak_tls_is_told_so_and_the_reverse_is_refused() {
    let (authority, upstream) = (Authority::new(), mirror());
    let gateway = Gateway::standalone(document(&[&authority.identity()], "", &upstream));
    let answer = client::get(gateway.address(), "/x");
    assert_eq!((answer.status(), answer.json()["error"].as_str()), (400, Some("tls_required")));
    let id = answer.field("x-request-id").expect("an id");
    assert_eq!(gateway.data_plane.access(id)["why"], "tls_expected");

    let plain = Gateway::standalone(Document::new().route("all", "/", upstream.url()));
    assert!(SecureClient::open(plain.address(), &authority, None).is_err());
    assert!(upstream.requests().is_empty());
}

#[test]
fn handshakes_that_take_too_long_are_ended() {
    let (authority, upstream) = (Authority::new(), mirror());
    let identity = authority.identity();
    let text = document(&[&identity], ", handshake_timeout_seconds: 0.2", &upstream);
    let gateway = Gateway::standalone(text);
    for begun in [&b""[..], &[22, 3, 1]] {
        let mut silent = Connection::open(gateway.address());
        silent.send(begun);
        assert!(silent.until_closed().is_empty());
    }
    let timeouts = [("outcome", "timeout")];
    // They are counted a moment after the client sees its connection end.
    eventually("both are counted", || {
        let count = gateway.data_plane.metrics().count("apigw_tls_handshakes_total", &timeouts);
        (count == 2).then_some(())
    });
}

#[test]
fn clients_show_certificates_where_they_must_and_where_they_may() {
    let (authority, clients, upstream) = (Authority::new(), Authority::new(), mirror());
    let (identity, client) = (authority.identity(), clients.identity());
    let stranger = authority.identity();
    let get = |gateway: &Gateway, shown: Option<&Identity>| {
        let opened = SecureClient::open(gateway.address(), &authority, shown);
        opened.and_then(|mut client| client.get("/x")).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    };
    for (mode, without) in [("required", false), ("optional", true)] {
        let ca_file = client.path("ca.pem");
        let rest = format!(", client_auth: {{mode: {mode}, ca_file: \"{}\"}}", ca_file.display());
        let gateway = Gateway::standalone(document(&[&identity], &rest, &upstream));
        assert!(get(&gateway, Some(&client)), "{mode}");
        assert_eq!(get(&gateway, None), without, "{mode}");
        assert!(!get(&gateway, Some(&stranger)), "{mode}");
    }
}

#[test]
fn only_the_handshake_says_who_shows_a_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let told = |request: &Request| {
        let of = |name| request.head.field(name).unwrap_or("nothing").to_owned();
        let others = request.head.field("client_cert").or(request.head.field("client.cert.chain"));
        ok(&format!("{} {} {others:?}", of("client-cert"), of("client-cert-chain")))
    };
    let upstream = Origin::answering(told);
    let (identity, client) = (authority.identity(), clients.identity());
    let der = STANDARD.encode(client.certificate());
    let forged = "Client-Cert: :Zm9yZ2Vk:\r\nclient-cert-chain: :Zm9yZ2Vk:\r\nClient_Cert: x\r\nClient.Cert.Chain: x\r\n";
    for (forward, expected) in [("none", "nothing".to_owned()), ("certificate", format!(":{der}:"))] {
        let ca_file = client.path("ca.pem");
        let client_auth = format!("mode: optional, ca_file: \"{}\", forward: {forward}", ca_file.display());
        let text = document(&[&identity], &format!(", client_auth: {{{client_auth}}}"), &upstream);
        let gateway = Gateway::standalone(text.server("trusted_proxies: [127.0.0.1]"));
        for (shown, expected) in [(Some(&client), expected.as_str()), (None, "nothing")] {
            let opened = SecureClient::open(gateway.address(), &authority, shown);
            let answer = opened.and_then(|mut client| client.get_with("/x", forged)).expect("an answer");
            assert!(answer.ends_with(&format!("\r\n\r\n{expected} nothing None")), "{forward}: {answer}");
            let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an id");
            let subject = gateway.data_plane.access(id)["client_cert"].clone();
            assert_eq!(subject.is_string(), shown.is_some(), "{subject}");
        }
    }
}

#[test]
fn old_versions_are_refused_where_the_file_says_so() {
    let (authority, upstream) = (Authority::new(), mirror());
    let identity = authority.identity();
    let gateway = Gateway::standalone(document(&[&identity], ", min_version: \"1.3\"", &upstream));
    let address = gateway.address();
    assert_eq!(curl(&identity, "localhost", address, &["--tls-max", "1.2"]).code, Some(35));
    assert_eq!(curl(&identity, "localhost", address, &[]).stdout, "GET /x");
}

/// What `openssl s_client` says of a handshake with these arguments, this text being all that it sends.
fn openssl(address: SocketAddr, arguments: &[&str], text: &str) -> Finished {
    let address = address.to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address, "-servername", "localhost"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl is there");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("it takes the text");
    drop(input);
    child.wait_with_output().expect("it ends").into()
}

#[test]
fn weak_versions_and_ciphers_are_refused() {
    let (authority, upstream) = (Authority::new(), mirror());
    let gateway = Gateway::standalone(document(&[&authority.identity()], "", &upstream));
    let strong = openssl(gateway.address(), &["-tls1_2", "-cipher", "ECDHE+AESGCM"], "");
    assert!(strong.stdout.contains("New, TLSv1.2, Cipher is ECDHE-"), "{strong:?}");
    for refused in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        // Without forward secrecy, by blocks, without encryption, with RC4 and 3DES as far as the client has them.
        &["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "DHE:@SECLEVEL=0"],
    ] {
        let finished = openssl(gateway.address(), refused, "");
        assert!(finished.stdout.contains("Cipher is (NONE)"), "{refused:?}: {finished:?}");
    }
}

#[test]
fn a_protocol_that_is_not_spoken_is_told_so() {
    let (authority, upstream) = (Authority::new(), mirror());
    let gateway = Gateway::standalone(document(&[&authority.identity()], "", &upstream));
    let refused = SecureClient::open_for(gateway.address(), &authority, None, &[b"spdy/3"]);
    let error = refused.expect_err("nothing to speak").to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    assert!(SecureClient::open_for(gateway.address(), &authority, None, &[b"spdy/3", b"http/1.1"]).is_ok());
}

#[test]
fn handshakes_are_not_begun_again() {
    let (authority, upstream) = (Authority::new(), mirror());
    let gateway = Gateway::standalone(document(&[&authority.identity()], "", &upstream));
    let finished = openssl(gateway.address(), &["-tls1_2"], "R\n");
    // The gateway ends the connection, which the client tells as an error.
    let (_, answered) = finished.stderr.split_once("RENEGOTIATING").expect("the client has asked");
    assert!(finished.code == Some(1) && answered.contains(":error:"), "{finished:?}");
}

#[test]
fn requests_in_clear_are_sent_to_where_there_is_tls() {
    let (authority, upstream) = (Authority::new(), mirror());
    let identity = authority.identity();
    let text = document(&[&identity], ", addr: \"127.0.0.1:0\"", &upstream).server("redirect_to_https: true");
    let gateway = Gateway::standalone(text);
    let answer = client::get(gateway.address(), "/a/../x?y=1");
    assert_eq!(answer.status(), 301);
    assert!(answer.field("location").is_some_and(|location| location.ends_with("/x?y=1")), "{answer:?}");
    assert_eq!(client::request(gateway.address(), "POST", "/x", "").status(), 308);
    assert_eq!(client::get(gateway.address(), "/healthz").status(), 200);
    assert!(upstream.requests().is_empty());
    let secure = gateway.data_plane.program().listening("tls").expect("it listens");
    assert_eq!(curl(&identity, "localhost", secure, &[]).stdout, "GET /x");
}

#[test]
fn sessions_are_resumed() {
    let (authority, upstream) = (Authority::new(), mirror());
    let identity = authority.identity();
    let gateway = Gateway::standalone(document(&[&identity], "", &upstream));
    let session = identity.path("session");
    let ask = |version: &str, flag: &str| {
        let address = gateway.address().to_string();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-servername", "localhost", "-ign_eof", version]);
        let mut child = command
            .arg(flag)
            .arg(&session)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is there");
        let request = b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut input = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut input, request).expect("it takes the request");
        let finished: Finished = child.wait_with_output().expect("it ends").into();
        finished.stdout
    };
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(ask(version, "-sess_out").contains("New, TLSv1"), "{version}");
        assert!(ask(version, "-sess_in").contains("Reused, TLSv1"), "{version}");
    }
}

#[test]
fn upstreams_are_spoken_to_in_tls_if_they_are_who_they_should_be() {
    let (authority, upstream) = (Authority::new(), mirror());
    // What speaks TLS is a gateway itself, once with a certificate for its address and once for another name.
    let (good, other) = (authority.identity(), authority.identity_with(Flaw::OtherName, &authority));
    let [right, wrong] = [&good, &other].map(|shown| Gateway::standalone(document(&[shown], "", &upstream)));
    let url = |gateway: &Gateway| format!("https://{}", gateway.address());
    let routes = Document::new().route("right", "/right", url(&right)).route("wrong", "/wrong", url(&wrong));
    let plain = routes.route("plain", "/plain", format!("https://{}", upstream.address()));
    let file = ConfigFile::new(plain);
    let data_plane = DataPlane::start_as(Source::File(file.path()), |command| {
        command.args(["--listen", "127.0.0.1:0"]).env("SSL_CERT_FILE", good.path("ca.pem"))
    });
    for _ in 0..2 {
        assert_eq!(data_plane.serves("/right").text(), "GET /right");
    }
    for path in ["/wrong", "/plain"] {
        let answer = client::get(data_plane.traffic(), path);
        assert_eq!(answer.status(), 502, "{path}");
        let id = answer.field("x-request-id").expect("an id");
        assert_eq!(data_plane.access(id)["why"], "upstream_tls", "{path}");
    }
    assert_eq!(data_plane.metrics().count("apigw_upstream_tls_failures_total", &[]), 2);
}
