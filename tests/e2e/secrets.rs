//! Nothing that is secret shows: not in a log, not in a metric, not in an admin answer, not in an error.

use apigw_tests::{
    client::{self, Connection},
    configuration::Document,
    gateway::{ADMIN_KEY, Fleet, Gateway, gwctl},
    issuer::{AUDIENCE, ISSUER, Issuer, token},
    origin::{Origin, refusing},
    tokens::hs256_of,
    waiting::eventually,
};
use serde_json::json;

use crate::auth::{KEY, OTHER_KEY};

/// Where a secret must not show, and what was said there.
struct Said {
    place: String,
    text: String,
}

fn said(place: impl Into<String>, text: impl Into<String>) -> Said {
    Said { place: place.into(), text: text.into() }
}

/// Every way a secret may be sent, each as field lines and with a name of its own.
fn presentations() -> Vec<(String, Vec<String>)> {
    let good = token(&KEY, "alice");
    let forged = token(&OTHER_KEY, "mallory");
    let expired = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": 1_000_000});
    let expired = KEY.sign_of(&json!({"alg": "RS256", "kid": KEY.id()}), &expired).expect("the key signs");
    let confused = json!({"alg": "HS256", "kid": "secret-in-a-key-id"});
    let confused = hs256_of(b"secret", &confused, &apigw_tests::issuer::claims("secret-in-a-subject"));
    // The signature is what makes a token worth stealing; the rest only names somebody, in a form few logs would show.
    let signature = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
    let tokens = [good, forged, expired, confused];
    let mut all: Vec<_> = tokens
        .iter()
        .map(|token| {
            let secrets = vec![token.clone(), signature(token), "secret-in-a-key-id".into()];
            (format!("Authorization: Bearer {token}\r\n"), secrets)
        })
        .collect();
    let fields = [
        "Authorization: Bearer secret-in-no-token\r\n",
        "Authorization: Basic secret-in-basic\r\n",
        "Authorization: secret-in-a-scheme\r\n",
        "Authorization: Bearer secret-in-one\r\nAuthorization: Bearer secret-in-two\r\n",
        "Cookie: session=secret-in-a-cookie\r\n",
        "X-Api-Key: secret-in-a-header\r\n",
        "Proxy-Authorization: Basic secret-for-a-proxy\r\n",
        "X-Admin-Key: secret-in-an-admin-key\r\n",
    ];
    for field in fields {
        let words = field.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'));
        let secrets = words.filter(|word| word.starts_with("secret-")).map(str::to_owned).collect();
        all.push((field.into(), secrets));
    }
    all
}

/// A file in which every path to a refusal or failure begins somewhere.
fn document(issuer: &Issuer, origin: &Origin) -> Document {
    let providers = format!(
        "  - {{ name: keys, jwks: {{ url: \"{}\", issuers: [\"{ISSUER}\"], audiences: [{AUDIENCE}] }} }}",
        issuer.url()
    );
    let limit = "rate_limit: { enabled: true, rps: 0.01, burst: 2, scope: \"header:x-api-key\" }";
    Document::new()
        .auth("providers:")
        .auth(&providers)
        .auth("  - { name: secret, hmac_secret: secret-of-a-provider, issuers: [somebody] }")
        .rate_limit("backend: redis")
        .rate_limit(&format!("redis: {{ addr: \"{}\", password: secret-of-redis }}", refusing()))
        .route("closed", "/closed", origin.url())
        .with("auth_required: true")
        .with("auth: { required_scopes: [never] }")
        .route("told", "/told", origin.url())
        .with("auth_required: true")
        .with("auth: { mode: shadow, forward_claims: { sub: X-User } }")
        .route("limited", "/limited", origin.url())
        .with(limit)
        .route("gone", "/gone", format!("http://{}", refusing()))
        .with("circuit_breaker: { enabled: true, failure_threshold: 3, open_seconds: 60, half_open_max_in_flight: 1 }")
        .route("broken", "/broken", origin.url())
}

/// The secrets of that file and of the broken ones.
const OF_FILES: [&str; 6] = [
    "secret-of-a-provider",
    "secret-of-redis",
    "secret-in-a-list",
    "secret-as-a-key",
    "secret-in-a-password-list",
    "secret-in-a-url",
];

/// Files with secrets in the wrong places.
const BROKEN: [&str; 4] = [
    "auth: { mode: hmac, hmac_secret: [secret-in-a-list] }\nroutes: []\n",
    "auth: { mode: hmac, hmac_secret: { secret-as-a-key: x } }\nroutes: []\n",
    "rate_limit: { backend: redis, redis: { addr: \"h:1\", password: [secret-in-a-password-list] } }\nroutes: []\n",
    "auth: { mode: jwks, jwks: { url: \"https://user:secret-in-a-url@idp.example/\" } }\nroutes: []\n",
];

/// Sends each secret along each path. Gives what the gateway itself answered, and all secrets.
fn send_everything(gateway: &Gateway) -> (Vec<Said>, Vec<String>) {
    let (mut answers, mut secrets) = (Vec::new(), vec!["secret-in-a-query".to_owned()]);
    let paths =
        ["/closed", "/told", "/limited", "/gone", "/broken", "/nowhere", "/%2f", "/-/status", "/closed/%zz"];
    for (fields, hidden) in presentations() {
        for path in paths {
            let fields = format!("{fields}X-Request-Id: sent\r\n");
            let mut connection = Connection::open(gateway.address());
            connection.ask("GET", &format!("{path}?token=secret-in-a-query"), &fields);
            // What breaks off is an answer too; what it says is in the log.
            if let Ok(answer) = connection.try_response_to("GET") {
                answers.push(said(
                    format!("the answer of {path}"),
                    format!("{:?} {}", answer.head, answer.text()),
                ));
            }
        }
        secrets.extend(hidden);
    }
    // A head that is none.
    let mut connection = Connection::open(gateway.address());
    connection
        .send("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer secret-in-a-bad-head\r\nbad line\r\n\r\n");
    answers.push(said("the answer to a bad head", String::from_utf8_lossy(&connection.until_closed())));
    secrets.push("secret-in-a-bad-head".into());
    (answers, secrets)
}

/// Saves files with secrets in the wrong places, and waits until they were refused.
fn break_the_file(gateway: &Gateway) -> Vec<Said> {
    let admin = gateway.data_plane.admin();
    let mut statuses = Vec::new();
    for (number, text) in (1_u64..).zip(BROKEN) {
        gateway.file.save(text);
        let labels = [("outcome", "rejected")];
        eventually("the broken file is refused", || {
            let count = gateway.data_plane.metrics().count("apigw_config_changes_total", &labels);
            (count >= number).then_some(())
        });
        let mut command = apigw_tests::programs::Programs::built().command("gwctl");
        let endpoint = format!("http://{admin}");
        command.args(["--endpoint", &endpoint, "status"]).env("APIGW_ADMIN_KEY", ADMIN_KEY);
        let output = command.output().expect("gwctl starts");
        statuses.push(said("gwctl status", String::from_utf8_lossy(&output.stdout)));
    }
    let refused = gwctl(admin, &["status"]);
    statuses.push(said("gwctl without a key", refused.stderr));
    statuses
}

#[test]
fn no_secret_shows_anywhere() {
    let issuer = Issuer::serving(&[&KEY]);
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send(
            "HTTP/1.1 200 OK\r\nSet-Cookie: session=secret-of-the-upstream\r\nContent-Length: 9\r\n\r\ncut",
        )
    });
    let gateway = Gateway::with_key(document(&issuer, &origin));
    let (mut all, mut secrets) = send_everything(&gateway);
    // The upstream's cookie is for the client, who may see it; nobody else.
    all.retain(|said| !said.text.contains("HTTP/1.1 200"));
    secrets.push("secret-of-the-upstream".into());
    all.extend(break_the_file(&gateway));
    secrets.extend(OF_FILES.map(str::to_owned));
    secrets.push(ADMIN_KEY.into());
    for path in ["/-/status", "/-/routes", "/-/limits", "/-/auth"] {
        all.push(said(path, gateway.data_plane.says(path).to_string()));
    }
    let public = ["/metrics", "/healthz", "/readyz"];
    all.extend(public.map(|path| said(path, client::get(gateway.data_plane.admin(), path).text())));
    // The last request's line is the last one that can hold anything.
    assert_eq!(client::get_with(gateway.address(), "/nowhere", "X-Request-Id: last\r\n").status(), 404);
    let _ = gateway.data_plane.access("last");
    let program = gateway.data_plane.program();
    all.extend(program.stdout().all().into_iter().map(|line| said("the access log", line)));
    all.extend(program.stderr().all().into_iter().map(|line| said("the log", line)));
    assert!(all.len() > 150, "there was nothing to look at");
    shows_none(&all, &secrets);
}

#[track_caller]
fn shows_none(all: &[Said], secrets: &[impl AsRef<str>]) {
    let of = |said: &Said| {
        let shown = secrets.iter().map(AsRef::as_ref).filter(|secret| said.text.contains(*secret));
        shown.map(|secret| format!("{} shows {secret}: {}", said.place, said.text)).collect::<Vec<_>>()
    };
    assert_eq!(all.iter().flat_map(of).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn no_secret_of_the_file_shows_in_a_fleet() {
    let (issuer, origin) = (Issuer::serving(&[&KEY]), Origin::saying("in"));
    let fleet = Fleet::start(document(&issuer, &origin), 1);
    let planes = [fleet.control_plane.address(), fleet.data_planes[0].admin()];
    let mut all = Vec::new();
    let mut look = || {
        for endpoint in planes {
            for (command, form) in ["status", "routes", "limits", "auth"]
                .iter()
                .flat_map(|command| [(command, "table"), (command, "json")])
            {
                let finished = gwctl(endpoint, &[command, "-o", form]);
                all.push(said(format!("gwctl {command}"), finished.stdout + &finished.stderr));
            }
        }
    };
    look();
    for text in BROKEN {
        fleet.file.save(text);
        eventually("the broken file is refused", || {
            let rejected = &fleet.status()["control_plane"]["rejected_file"];
            (!rejected.is_null()).then_some(())
        });
        look();
        fleet.file.save(document(&issuer, &origin));
        eventually("the file is good again", || {
            fleet.status()["control_plane"]["rejected_file"].is_null().then_some(())
        });
    }
    for program in [fleet.control_plane.program(), fleet.data_planes[0].program()] {
        all.extend(program.stderr().all().into_iter().map(|line| said(program.title(), line)));
    }
    assert!(all.iter().any(|said| said.text.contains("hmac_secret")), "no broken file was told of");
    shows_none(&all, &OF_FILES);
}
