//! Callers who are known by their certificates.

use std::{net::SocketAddr, process::Command};

use apigw_tests::{
    certificates::{
        Authority,
        ClientName::{self, Common, Dns, Email, Uri},
        Identity,
    },
    configuration::{ConfigFile, Document},
    gateway::{Gateway, gwctl, gwctl_json},
    origin::{Origin, ok},
    programs::{Finished, Programs},
};

const SERVED: &str = "dns_names: [\"*.shop.internal\"], uris: [\"spiffe://prod/ns/shop/*\"], \
                      emails: [\"*@example.com\"], common_names: [legacy]";

/// A gateway that asks for certificates of clients, its own, and an authority that vouches for them.
struct Known {
    gateway: Gateway,
    own: Identity,
    clients: Authority,
    /// The files say who vouches for clients.
    _vouching: Identity,
}

impl Known {
    /// With a route that has this `auth`.
    fn with(origin: &Origin, auth: &str) -> Self {
        let (own, clients) = (Authority::new().identity(), Authority::new());
        let vouching = clients.identity();
        let document = asking(&own, &vouching, "optional").route("all", "/", origin.url());
        let document = document.with("auth_required: true").with(&format!("auth: {{ {auth} }}"));
        Self { gateway: Gateway::standalone(document), own, clients, _vouching: vouching }
    }

    fn client(&self, names: &[ClientName<'_>]) -> Identity {
        self.clients.client(names)
    }

    /// The answer's body, and why it was that one; the request has this id.
    fn answer(&self, id: &str, shown: Option<&Identity>, arguments: &[&str]) -> (String, String) {
        let answered = curl(&self.own, self.gateway.address(), (id, shown), arguments);
        let why = self.gateway.data_plane.access(id)["why"].as_str().expect("it says why").to_owned();
        (answered.stdout, why)
    }
}

/// A file with this certificate, where clients may be asked for theirs.
fn asking(own: &Identity, clients: &Identity, mode: &str) -> Document {
    let path = |identity: &Identity, file: &str| identity.path(file).display().to_string();
    let files =
        format!("{{cert_file: \"{}\", key_file: \"{}\"}}", path(own, "cert.pem"), path(own, "key.pem"));
    let client_auth = format!("{{mode: {mode}, ca_file: \"{}\"}}", path(clients, "ca.pem"));
    Document::new().server(&format!("tls: {{certificates: [{files}], client_auth: {client_auth}}}"))
}

fn curl(
    own: &Identity,
    address: SocketAddr,
    (id, shown): (&str, Option<&Identity>),
    arguments: &[&str],
) -> Finished {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--cacert"]).arg(own.path("ca.pem"));
    if let Some(shown) = shown {
        command.arg("--cert").arg(shown.path("cert.pem")).arg("--key").arg(shown.path("key.pem"));
    }
    command.args(["-H", &format!("X-Request-Id: {id}"), "-H", "X-User: root"]).args(arguments);
    command.args(["--resolve", &format!("localhost:{}:127.0.0.1", address.port())]);
    command.arg(format!("https://localhost:{}/x", address.port()));
    command.output().expect("curl is there").into()
}

fn naming_users() -> Origin {
    Origin::answering(|request| ok(request.head.field("x-user").unwrap_or("nobody")))
}

#[test]
fn a_caller_is_known_by_the_first_name_in_his_certificate_that_is_served() {
    let origin = naming_users();
    let auth = format!("any: [mtls], mtls: {{ {SERVED} }}, forward_claims: {{ sub: X-User }}");
    let known = Known::with(&origin, &auth);
    for (index, (names, user)) in [
        (&[Uri("spiffe://prod/ns/shop/a")][..], "spiffe://prod/ns/shop/a"),
        (&[Dns("other.internal"), Dns("A.shop.internal"), Uri("spiffe://prod/ns/shop/a")], "a.shop.internal"),
        (&[Email("ops@example.com")], "ops@example.com"),
        (&[Common("legacy")], "legacy"),
    ]
    .into_iter()
    .enumerate()
    {
        let client = known.client(names);
        for protocol in ["--http1.1", "--http2"] {
            let id = format!("{index}{protocol}");
            let answer = known.answer(&id, Some(&client), &[protocol]);
            assert_eq!(answer, (user.to_owned(), "ok".into()), "{names:?} {protocol}");
            assert_eq!(known.gateway.data_plane.access(&id)["user"], user);
        }
    }
}

#[test]
fn who_shows_no_certificate_or_has_another_name_is_refused() {
    let origin = naming_users();
    let known = Known::with(&origin, &format!("any: [mtls], mtls: {{ {SERVED} }}"));
    let status = ["--write-out", " %{http_code} %header{www-authenticate}"];
    let (answer, why) = known.answer("none", None, &status);
    assert!(answer.ends_with(" 401 ClientCertificate"), "{answer}");
    assert_eq!(why, "mtls_missing");
    for (id, names) in [
        ("other", &[Dns("shop.internal"), Uri("spiffe://prod/ns/shop2/a")][..]),
        // A name for several is nobody's.
        ("several", &[Dns("*.shop.internal")]),
        // What looks like a common name inside of one.
        ("forged", &[Common("x,CN=legacy")]),
        ("kind", &[Common("a.shop.internal"), Dns("legacy")]),
        ("nameless", &[]),
    ] {
        let (answer, why) = known.answer(id, Some(&known.client(names)), &status);
        assert!(answer.ends_with(" 403 ClientCertificate"), "{id}: {answer}");
        assert_eq!(why, "mtls_name", "{id}");
    }
    // Whom another authority vouches for does not come so far as a request.
    let stranger = Authority::new().client(&[Common("legacy")]);
    let refused = curl(&known.own, known.gateway.address(), ("stranger", Some(&stranger)), &[]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(origin.requests().is_empty());
}

#[test]
fn certificates_count_in_shadow_and_beside_other_ways() {
    let origin = naming_users();
    let shadow = Known::with(&origin, &format!("any: [mtls], mode: shadow, mtls: {{ {SERVED} }}"));
    assert_eq!(shadow.answer("shadow", None, &[]).1, "ok");
    assert_eq!(shadow.gateway.data_plane.access("shadow")["shadow"], "mtls_missing");

    let service = Origin::answering(|_| "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".into());
    let auth =
        format!("any: [mtls, external], mtls: {{ {SERVED} }}, external: {{ url: \"{}\" }}", service.url());
    let both = Known::with(&origin, &auth);
    assert_eq!(both.answer("known", Some(&both.client(&[Common("legacy")])), &[]).1, "ok");
    assert!(service.requests().is_empty());
    assert_eq!(both.answer("unknown", None, &[]).1, "external_forbidden");
}

#[test]
fn a_file_that_asks_for_no_certificates_knows_nobody_by_them() {
    let file = |server: &str| {
        let route = "name: a, match: {path_prefix: /}, upstream: \"http://h\", auth_required: true";
        let auth = "auth: {any: [mtls], mtls: {dns_names: [a.internal]}}";
        ConfigFile::new(format!("{server}routes: [{{{route}, {auth}}}]\n"))
    };
    let validate = |server: &str| {
        Programs::built().output("gwctl", &["validate", &file(server).path().display().to_string()])
    };
    let told = validate("");
    let expected =
        "routes[0].auth.any[0]: mtls needs server.tls.client_auth with the mode optional or required";
    assert!(told.code == Some(1) && told.stdout.contains(expected), "{told:?}");
    let certificates = "certificates: [{cert_file: /c.pem, key_file: /k.pem}]";
    let asking = |mode: &str| {
        let client_auth = format!("client_auth: {{mode: {mode}, ca_file: /ca.pem}}");
        validate(&format!("server: {{tls: {{{certificates}, {client_auth}}}}}\n"))
    };
    assert!(asking("none").stdout.contains(expected));
    assert!(!asking("optional").stdout.contains(expected) && !asking("required").stdout.contains(expected));
}

#[test]
fn gwctl_shows_whose_certificates_count() {
    let origin = naming_users();
    let known = Known::with(&origin, &format!("any: [mtls], mtls: {{ {SERVED} }}"));
    let admin = known.gateway.data_plane.admin();
    let mtls = &gwctl_json(admin, &["routes"])[0]["auth"]["mtls"];
    assert_eq!(
        (&mtls["dns_names"][0], &mtls["common_names"][0]),
        (&"*.shop.internal".into(), &"legacy".into())
    );
    let explained = gwctl(admin, &["explain", "GET", "/x"]).stdout;
    assert!(explained.contains("mtls_missing") && explained.contains("--claims"), "{explained}");
}
