//! `gwctl`, and the flags of the programs.

use std::{net::TcpListener, process::Stdio, thread};

use apigw_tests::{
    client,
    configuration::{ConfigFile, Document},
    gateway::{Fleet, Gateway, gwctl, gwctl_json},
    origin::{Origin, refusing},
    programs::{Finished, Programs},
};
use serde_json::{Value, json};

fn document(upstream: &Origin) -> Document {
    Document::new()
        .server("trusted_proxies: [\"127.0.0.1/32\"]")
        .route("users", "/api/users/", upstream.url())
        .with("strip_prefix: /api")
        .with("rate_limit: { enabled: true, rps: 5, burst: 10, scope: ip }")
        .with("concurrency: { max_in_flight: 50 }")
        .with("circuit_breaker: { enabled: true, failure_threshold: 5, open_seconds: 10, half_open_max_in_flight: 1 }")
        .route("public", "/public", upstream.url())
}

/// A failure is one line on stderr, names what it is about, and leaves stdout alone.
fn fails(finished: &Finished, code: i32, about: &str) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.stdout, "", "{finished:?}");
    assert!(finished.stderr.contains(about), "{about} is not named: {finished:?}");
    if code == 1 {
        assert_eq!(finished.stderr.trim_end().lines().count(), 1, "{finished:?}");
    }
}

#[test]
fn status_of_a_control_plane() {
    let upstream = Origin::saying("");
    let fleet = Fleet::start(document(&upstream), 1);
    let status = fleet.synchronised();
    let control_plane = &status["control_plane"];
    assert!(control_plane["version"].is_string() && control_plane["uptime_seconds"].is_u64(), "{status}");
    let file = control_plane["config_file"].as_str().unwrap_or_default();
    assert!(file.ends_with("gateway.yaml"), "{file}");
    assert_eq!(control_plane["rejected_file"], Value::Null);
    let published = control_plane["published_at"].as_str().unwrap_or_default();
    assert!(published.starts_with("20") && published.ends_with('Z'), "not RFC 3339 in UTC: {published}");
    let revision = &control_plane["revision"];
    assert!(revision["epoch"].is_u64() && revision["seq"] == 1, "{revision}");
    let hash = revision["hash"].as_str().unwrap_or_default();
    assert!(hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{hash}");
    let row = &status["data_planes"][0];
    assert!(row["id"].as_str().is_some_and(|id| !id.is_empty()) && row["version"].is_string(), "{row}");
    assert_eq!(row["listen_addr"], fleet.data_planes[0].traffic().to_string());
    assert_eq!((&row["state"], &row["config_source"]), (&"in_sync".into(), &"stream".into()));
    assert_eq!((&row["revision"], &row["problems"]), (revision, &json!([])));
}

#[test]
fn status_of_a_data_plane_is_its_own() {
    let upstream = Origin::saying("");
    let gateway = Gateway::standalone(document(&upstream));
    let status = gwctl_json(gateway.data_plane.admin(), &["status"]);
    assert_eq!(status["control_plane"], Value::Null);
    let rows = status["data_planes"].as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["state"], &rows[0]["config_source"]), (&"in_sync".into(), &"file".into()));
}

#[test]
fn routes_are_those_of_the_file_in_its_order() {
    let upstream = Origin::saying("");
    let fleet = Fleet::start(document(&upstream), 1);
    let expected = json!([
        {
            "name": "users", "path_prefix": "/api/users/", "upstream": upstream.url(), "strip_prefix": "/api",
            "auth_required": false,
            "rate_limit": {"enabled": true, "rps": 5, "burst": 10, "scope": "ip"},
            "concurrency": {"max_in_flight": 50},
            "circuit_breaker": {
                "enabled": true, "failure_threshold": 5, "open_seconds": 10, "half_open_max_in_flight": 1,
            },
        },
        { "name": "public", "path_prefix": "/public", "upstream": upstream.url(), "auth_required": false },
    ]);
    for endpoint in [fleet.control_plane.address(), fleet.data_planes[0].admin()] {
        let routes = gwctl_json(endpoint, &["routes"]);
        let first = &routes[0];
        for (key, value) in expected[0].as_object().into_iter().flatten() {
            let same = same_number_or_value(&first[key], value);
            assert!(same, "{key} is {} instead of {value}", first[key]);
        }
        assert_eq!(routes[1]["name"], "public");
        assert_eq!(routes.as_array().map(Vec::len), Some(2));
    }
}

/// JSON does not tell 5 from 5.0; a comparison that does would judge the spelling.
fn same_number_or_value(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| {
                    right.get(key).is_some_and(|other| same_number_or_value(value, other))
                })
        }
        _ => left == right,
    }
}

#[test]
fn limits_have_a_row_for_each_route_and_data_plane() {
    let upstream = Origin::saying("");
    let fleet = Fleet::start(document(&upstream), 2);
    let limits = gwctl_json(fleet.control_plane.address(), &["limits"]);
    let rows = limits.as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), 4, "{limits}");
    for row in &rows {
        assert!(row["data_plane"].is_string(), "{row}");
        assert!(row["route"] == "users" || row["route"] == "public", "{row}");
        for key in ["concurrency", "circuit_breaker", "rate_limit", "rejections", "shadow_rejections"] {
            assert!(row.get(key).is_some(), "{key} is missing in {row}");
        }
    }
    let own = gwctl_json(fleet.data_planes[0].admin(), &["limits"]);
    assert_eq!(own.as_array().map(Vec::len), Some(2), "{own}");
}

#[test]
fn tables_are_for_people() {
    let upstream = Origin::saying("");
    let fleet = Fleet::start(document(&upstream), 1);
    let endpoint = fleet.control_plane.address();
    for (command, words) in [
        ("status", ["in_sync", "gateway.yaml"]),
        ("routes", ["users", "/api/users/"]),
        ("limits", ["users", "public"]),
        ("auth", ["DATA PLANE", "PROVIDER"]),
    ] {
        let table = gwctl(endpoint, &[command]);
        assert_eq!((table.code, table.stderr.as_str()), (Some(0), ""), "{table:?}");
        for word in words {
            assert!(table.stdout.contains(word), "{word} is missing in\n{}", table.stdout);
        }
        assert!(!table.stdout.contains('\u{1b}'), "colour where there is no terminal:\n{}", table.stdout);
        let is_padded = |line: &&str| line.ends_with(' ');
        assert_eq!(table.stdout.lines().find(is_padded), None, "a line ends in blanks");
    }
}

#[test]
fn yaml_says_what_json_says() {
    let upstream = Origin::saying("");
    let gateway = Gateway::standalone(document(&upstream));
    let endpoint = gateway.data_plane.admin();
    for command in ["status", "routes", "limits", "auth"] {
        let yaml = gwctl(endpoint, &["-o", "yaml", command]);
        assert_eq!(yaml.code, Some(0), "{yaml:?}");
        let read: Value = serde_saphyr::from_str(&yaml.stdout).expect("it is YAML");
        assert!(same_number_or_value(&read, &gwctl_json(endpoint, &[command])), "{}", yaml.stdout);
    }
}

#[test]
fn nothing_listening_is_one_line_and_exit_code_1() {
    let endpoint = refusing();
    for command in ["status", "routes", "limits", "auth"] {
        fails(&gwctl(endpoint, &[command]), 1, &endpoint.port().to_string());
    }
}

#[test]
fn wrong_address_is_one_line_and_exit_code_1() {
    let upstream = Origin::saying("");
    let gateway = Gateway::standalone(document(&upstream));
    // The port for traffic; a server that is none of ours; a name that does not resolve.
    for endpoint in [gateway.address(), upstream.address()] {
        fails(&gwctl(endpoint, &["status"]), 1, &endpoint.port().to_string());
    }
    let unknown =
        Programs::built().output("gwctl", &["--endpoint", "http://does-not-exist.invalid:1", "status"]);
    fails(&unknown, 1, "does-not-exist.invalid");
}

#[test]
fn server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let endpoint = listener.local_addr().expect("it has an address");
    fails(&gwctl(endpoint, &["status"]), 1, &endpoint.port().to_string());
}

#[test]
fn wrong_key_is_one_line_and_exit_code_1() {
    let upstream = Origin::saying("");
    let file = ConfigFile::new(document(&upstream));
    let mut command = Programs::built().command("controlplane");
    command
        .arg("--config")
        .arg(file.path())
        .args(["--listen", "127.0.0.1:0"])
        .env("APIGW_STATE_DIR", file.directory().join("state"))
        .env("APIGW_ADMIN_KEY", "right");
    let control_plane = apigw_tests::programs::Running::start(command).expect("it starts");
    let endpoint = control_plane.listening("grpc").expect("it listens");
    let ask = |key: Option<&str>| -> Finished {
        let mut command = Programs::built().command("gwctl");
        command
            .args(["--endpoint", &format!("http://{endpoint}"), "-o", "json", "status"])
            .stdin(Stdio::null());
        key.map(|key| command.env("APIGW_ADMIN_KEY", key));
        command.output().expect("gwctl starts").into()
    };
    fails(&ask(Some("wrong")), 1, "APIGW_ADMIN_KEY");
    fails(&ask(None), 1, "APIGW_ADMIN_KEY");
    assert_eq!(ask(Some("right")).code, Some(0));
    let said = control_plane.stderr().all().join("\n");
    assert!(!said.contains("right") && !said.contains("wrong"), "a key is in the log");
}

#[test]
fn admin_endpoints_exist_with_a_key_only() {
    let upstream = Origin::saying("");
    let file = ConfigFile::new(document(&upstream));
    let state = tempfile::tempdir().expect("a temporary directory");
    let mut command = Programs::built().command("dataplane");
    command.arg("--config").arg(file.path()).env("APIGW_STATE_DIR", state.path());
    command
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .env("APIGW_ADMIN_KEY", "right");
    let data_plane = apigw_tests::programs::Running::start(command).expect("it starts");
    let admin = data_plane.listening("admin").expect("it listens");
    for path in ["/-/status", "/-/routes", "/-/limits"] {
        assert_eq!(client::get(admin, path).status(), 401, "{path}");
        assert_eq!(client::get_with(admin, path, "X-Admin-Key: wrong\r\n").status(), 401, "{path}");
    }
    let routes = client::get_with(admin, "/-/routes", "X-Admin-Key: right\r\n");
    assert_eq!(routes.json()[0]["name"], "users");
    let status = client::get_with(admin, "/-/status", "X-Admin-Key: right\r\n").json();
    for key in [
        "time_utc",
        "uptime_seconds",
        "listen_addr",
        "version",
        "auth_mode",
        "rate_backend",
        "routes_configured",
    ] {
        assert!(status.get(key).is_some(), "{key} is missing in {status}");
    }
}

#[test]
fn open_addresses_need_a_key() {
    let upstream = Origin::saying("");
    let file = ConfigFile::new(document(&upstream));
    let path = file.path().display().to_string();
    let control_plane =
        Programs::built().output("controlplane", &["--config", &path, "--listen", "0.0.0.0:0"]);
    assert_eq!(control_plane.code, Some(1), "{control_plane:?}");
    assert!(control_plane.stderr.contains("APIGW_ADMIN_KEY"), "{control_plane:?}");
    let flags = ["--config", &path, "--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0"];
    let data_plane = Programs::built().output("dataplane", &flags);
    assert_eq!(data_plane.code, Some(1), "{data_plane:?}");
    assert!(data_plane.stderr.contains("APIGW_ADMIN_KEY"), "{data_plane:?}");
}

#[test]
fn validate_tells_all_problems_without_a_server() {
    let upstream = Origin::saying("");
    let good = ConfigFile::new(document(&upstream));
    let validate = |file: &ConfigFile| {
        Programs::built().output("gwctl", &["validate", &file.path().display().to_string()])
    };
    assert_eq!(validate(&good).code, Some(0));
    let bad = ConfigFile::new(
        "routes:\n  - name: a\n    match: { path_prefix: x }\n    upstream: locahost:9001\n  - name: a\n",
    );
    let told = validate(&bad);
    assert_eq!(told.code, Some(1), "{told:?}");
    for problem in
        ["gateway.yaml:3:27 routes[0].match.path_prefix: ", "gateway.yaml:4:15 routes[0].upstream: "]
    {
        assert!(told.stdout.contains(problem), "{problem} is missing in\n{}", told.stdout);
    }
    assert!(told.stdout.contains("routes[1]"), "{}", told.stdout);
}

#[test]
fn data_plane_alone_does_not_start_with_a_broken_file() {
    let file = ConfigFile::new("routes: []\n");
    let flags = ["--config", &file.path().display().to_string(), "--listen", "127.0.0.1:0"];
    let ended =
        Programs::built().output("dataplane", &[&flags[..], &["--admin-listen", "127.0.0.1:0"]].concat());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("gateway.yaml:1:9") && ended.stderr.contains("route"), "{ended:?}");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [&["stauts"][..], &[], &["-o", "xml", "status"], &["validate"]] {
        fails(&Programs::built().output("gwctl", arguments), 2, "");
    }
    for program in ["dataplane", "controlplane"] {
        fails(&Programs::built().output(program, &[]), 2, "--config");
        fails(&Programs::built().output(program, &["--no-such-flag"]), 2, "--no-such-flag");
    }
}

#[test]
fn reader_that_leaves_early_is_no_error() {
    let upstream = Origin::saying("");
    let gateway = Gateway::standalone(document(&upstream));
    let mut command = Programs::built().command("gwctl");
    let endpoint = format!("http://{}", gateway.data_plane.admin());
    command.args(["--endpoint", &endpoint, "routes"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("gwctl starts");
    drop(child.stdout.take());
    let finished = thread::spawn(move || child.wait_with_output()).join().expect("it ends");
    let finished: Finished = finished.expect("it ends").into();
    assert_eq!(finished.stderr, "");
}
