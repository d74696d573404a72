//! What a route changes of header fields, as upstreams and clients see it.

use std::time::Duration;

use apigw_tests::{
    client::Connection,
    configuration::ConfigFile,
    gateway::Gateway,
    origin::Origin,
    programs::Programs,
    tokens::{Claims, hs256},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn gateway(origin: &Origin, keys: &str) -> Gateway {
    Gateway::standalone(format!(
        "auth: {{ mode: hmac, hmac_secret: {SECRET} }}\nroutes:\n  - name: orders\n    match: {{ path_prefix: / }}\n    upstream: {}\n{keys}",
        origin.url()
    ))
}

#[test]
fn upstreams_see_requests_as_the_file_says() {
    let origin = Origin::saying("ok");
    let keys = "    request_headers:
      remove: [x-debug, authorization]
      set: { x-client: '${client_ip}', x-where: '${method} ${scheme}://${host}${path} on ${route}' }
      add: { x-via: 'apigw ${request_id}' }\n";
    let gateway = gateway(&origin, keys);
    let mut connection = Connection::open(gateway.address());
    connection.send(
        "GET /a/./b?c HTTP/1.1\r\nHost: shop.example:80\r\nX-Request-Id: id-7\r\nX-Debug: 1\r\nAuthorization: x\r\n\
         X-Client: forged\r\nX-Via: cdn\r\n\r\n",
    );
    assert_eq!(connection.response().status(), 200);
    let seen = origin.only_request().head;
    assert_eq!(seen.field("x-client"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-where"), Some("GET http://shop.example:80/a/b on orders"));
    assert_eq!(seen.values("x-via").collect::<Vec<_>>(), ["cdn", "apigw id-7"]);
    assert_eq!((seen.field("x-debug"), seen.field("authorization")), (None, None));
}

#[test]
fn neither_another_spelling_nor_a_trailer_says_otherwise_than_the_file() {
    let origin = Origin::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Secret: 1\r\nX-Sum: 5\r\n\r\n"
            .into()
    });
    let keys = "    request_headers: { remove: [x-debug], set: { x-tenant: acme } }
    response_headers: { remove: [x-secret] }\n";
    let gateway = gateway(&origin, keys);
    let mut connection = Connection::open(gateway.address());
    connection.send(
        "POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nX_Tenant: forged\r\nx.tenant: forged\r\nX_Debug: 1\r\n\
         Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Tenant: forged\r\nX_Debug: 1\r\nX-Sum: 1\r\n\r\n",
    );
    let sum = |value: &str| [("x-sum".to_owned(), value.to_owned())];
    assert_eq!(connection.response().trailers, sum("5"));
    let request = origin.only_request();
    let seen = ["x-tenant", "x_tenant", "x.tenant", "x_debug"].map(|name| request.head.field(name));
    assert_eq!(seen, [Some("acme"), None, None, None]);
    assert_eq!(request.trailers, sum("1"));
}

#[test]
fn clients_see_answers_as_the_file_says_whoever_answers() {
    let origin = Origin::answering(|_| {
        "HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nX-A: old\r\nX-A: older\r\nContent-Length: 2\r\n\r\nok"
            .into()
    });
    let keys = "    auth_required: true
    response_headers: { remove: [server], set: { x-a: 'new ${request_id}' }, add: { x-b: '${path}' } }\n";
    let gateway = gateway(&origin, keys);
    let token = hs256(
        SECRET,
        Claims { subject: "alice", issuer: None, audience: None, lifetime: Duration::from_mins(10) },
    );
    for (fields, status) in [(format!("Authorization: Bearer {token}\r\n"), 200), (String::new(), 401)] {
        let mut connection = Connection::open(gateway.address());
        connection.send(format!("GET /x HTTP/1.1\r\nHost: h\r\nX-Request-Id: id-7\r\n{fields}\r\n"));
        let answer = connection.response();
        assert_eq!(answer.status(), status);
        let told = ["server", "x-a", "x-b", "x-request-id"].map(|name| answer.field(name).map(str::to_owned));
        assert_eq!(told, [None, Some("new id-7".into()), Some("/x".into()), Some("id-7".into())], "{status}");
    }
}

#[test]
fn a_claim_is_told_by_the_gateway_or_by_nobody() {
    let origin = Origin::saying("ok");
    let keys = "    auth_required: true
    request_headers: { set: { x-user: 'user ${claim:sub}', x-tenant: '${claim:tenant}' } }
  - name: open
    match: { path_prefix: /open }
    upstream: http://127.0.0.1:1\n";
    let gateway = gateway(&origin, keys);
    let token = hs256(
        SECRET,
        Claims { subject: "alice", issuer: None, audience: None, lifetime: Duration::from_mins(10) },
    );
    let mut connection = Connection::open(gateway.address());
    connection.send(format!(
        "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nX-User: forged\r\nX_User: forged\r\nX-Tenant: forged\r\n\r\n"
    ));
    assert_eq!(connection.response().status(), 200);
    let seen = origin.only_request().head;
    assert_eq!(seen.field("x-user"), Some("user alice"));
    assert_eq!((seen.field("x_user"), seen.field("x-tenant")), (None, None));
}

#[test]
fn what_frames_messages_or_is_the_gateways_own_cannot_be_changed() {
    for name in
        ["Content-Length", "transfer_encoding", "connection", "Host", "x-forwarded-for", "X-Request-Id", "te"]
    {
        let text = format!(
            "routes:\n- name: a\n  match: {{ path_prefix: / }}\n  upstream: http://h\n  response_headers:\n    set: {{ {name}: x }}\n"
        );
        let file = ConfigFile::new(text);
        let validated = Programs::built().output("gwctl", &["validate", &file.path().display().to_string()]);
        assert_eq!(validated.code, Some(1), "{name}: {validated:?}");
        let place = format!(":6:12 routes[0].response_headers.set.{name}: must not be");
        assert!(validated.stdout.contains(&place), "{name}: {validated:?}");
    }
}
