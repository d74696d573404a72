//! HAProxy: a frontend with one prefix; tokens are checked by rules.

use std::{fs, path::Path, process::Command};

use super::{ENDLESS, MOST_IN_FLIGHT, Start};
use crate::{
    bench::{
        Invalid,
        shape::{Door, Protection, prefix},
    },
    issuer::{AUDIENCE, ISSUER},
};

pub(super) fn command(program: &Path, start: Start<'_>) -> Result<Command, Invalid> {
    let Start { site, shape, address, upstream, directory } = start;
    let (rules, limit) = match shape.protection {
        Protection::Bare => (Vec::new(), String::new()),
        Protection::Limits => (limits("src"), format!("maxconn {MOST_IN_FLIGHT}")),
        Protection::Tokens => {
            let rules = [tokens(&site.callers()?.key_file), limits("var(txn.user)")].concat();
            (rules, format!("maxconn {MOST_IN_FLIGHT}"))
        }
    };
    let door = match shape.door {
        Door::Clear => String::new(),
        Door::Tls => format!("ssl crt {} ssl-min-ver TLSv1.3", certificate(&start)?),
        Door::Http2 => format!("ssl crt {} ssl-min-ver TLSv1.3 alpn h2,http/1.1", certificate(&start)?),
    };
    let text = format!(
        "global\n  nbthread {workers}\n  maxconn {clients}\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
         frontend front\n  bind {address} {door}\n  {rules}\n  use_backend up if {{ path_beg {prefix} }}\n\
         backend rates\n  stick-table type string len 64 size 100k expire 10m store http_req_rate(1s)\n\
         backend up\n  http-reuse always\n  option forwardfor\n  server up {upstream} {limit}\n",
        workers = shape.workers,
        clients = site.most_clients(),
        rules = rules.join("\n  "),
        prefix = prefix(shape.routes - 1),
    );
    let file = directory.join("haproxy.cfg");
    fs::write(&file, text)?;
    let mut command = Command::new(program);
    command.arg("-f").arg(file);
    Ok(command)
}

/// A rate that is counted by this key, and a log.
fn limits(key: &str) -> Vec<String> {
    let log = "log-format '{\"time\":\"%t\",\"client\":\"%ci\",\"method\":\"%HM\",\"path\":\"%HP\",\"status\":%ST,\
               \"bytes\":%B,\"ms\":%Ta}'";
    vec![
        "log stdout format raw local0".into(),
        log.into(),
        format!("http-request track-sc0 {key} table rates"),
        format!("http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {ENDLESS} }}"),
    ]
}

/// A token's algorithm, issuer, audience, time and signature.
fn tokens(key: &Path) -> Vec<String> {
    let claims = "var(txn.token),jwt_payload_query";
    let refuse = "http-request deny deny_status 401";
    vec![
        "http-request set-var(txn.token) http_auth_bearer".into(),
        "http-request set-var(txn.algorithm) var(txn.token),jwt_header_query('$.alg')".into(),
        "http-request set-var(txn.now) date()".into(),
        format!("{refuse} unless {{ var(txn.algorithm) -m str RS256 }}"),
        format!("{refuse} unless {{ {claims}('$.iss') -m str {ISSUER} }}"),
        format!("{refuse} unless {{ {claims}('$.aud') -m str {AUDIENCE} }}"),
        format!("{refuse} if {{ {claims}('$.exp','int'),sub(txn.now) -m int lt 0 }}"),
        format!("{refuse} unless {{ var(txn.token),jwt_verify(txn.algorithm,\"{}\") 1 }}", key.display()),
        format!("http-request set-var(txn.user) {claims}('$.sub')"),
    ]
}

/// It wants the certificate and its key in one file.
fn certificate(start: &Start<'_>) -> Result<String, Invalid> {
    let identity = start.site.identity();
    let both =
        fs::read_to_string(identity.path("cert.pem"))? + &fs::read_to_string(identity.path("key.pem"))?;
    let file = start.directory.join("both.pem");
    fs::write(&file, both)?;
    Ok(file.display().to_string())
}
