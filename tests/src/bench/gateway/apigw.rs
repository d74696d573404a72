//! Our own data plane, from one file. Its access log, metrics and request ids are on, as they are by default.

use std::{
    fmt::{Display, Write as _},
    fs,
    path::Path,
    process::Command,
};

use super::{ENDLESS, MOST_IN_FLIGHT, Start};
use crate::{
    bench::{
        Invalid,
        shape::{Door, Protection, prefix},
    },
    issuer::{AUDIENCE, ISSUER},
    programs,
};

/// Longer than any measurement: what waits is not closed meanwhile.
const IDLE_SECONDS: u32 = 3_600;

pub(super) fn command(program: &Path, start: Start<'_>) -> Result<Command, Invalid> {
    let path = start.directory.join("gateway.yaml");
    fs::write(&path, file(start, start.upstream)?)?;
    let mut command = programs::clean_command(program);
    command.arg("--config").arg(path);
    // Nobody asks there, and several run at once.
    command.args(["--admin-listen", "127.0.0.1:0"]);
    command.args(["--workers", &start.shape.workers.to_string()]);
    // A directory of its own, so that none remembers another.
    command.arg("--state-dir").arg(start.directory.join("state"));
    Ok(command)
}

/// The text of a file. The last route's upstream is given apart, so that an edit can move it.
///
/// # Errors
/// When there is no issuer of tokens and the shape wants one.
pub fn file(start: Start<'_>, last_upstream: impl Display) -> Result<String, Invalid> {
    let Start { site, shape, address, upstream, .. } = start;
    let mut text = format!(
        "server:\n  addr: \"{address}\"\n  idle_timeout_seconds: {IDLE_SECONDS}\n  max_connections: {}\n",
        site.most_clients()
    );
    if shape.door != Door::Clear {
        let (certificate, key) = (site.identity().path("cert.pem"), site.identity().path("key.pem"));
        let _ = write!(
            text,
            "  tls:\n    min_version: \"1.3\"\n    certificates:\n      - {{ cert_file: \"{}\", key_file: \"{}\" }}\n",
            certificate.display(),
            key.display()
        );
    }
    let kept = start.kept_connections();
    let _ = write!(text, "upstream:\n  max_idle_conns: {kept}\n  max_idle_conns_per_host: {kept}\n");
    if shape.protection == Protection::Tokens {
        let _ = write!(
            text,
            "auth:\n  mode: jwks\n  jwks: {{ url: \"{}\", issuers: [\"{ISSUER}\"], audiences: [\"{AUDIENCE}\"] }}\n",
            site.callers()?.issuer.url()
        );
    }
    text.push_str("routes:\n");
    let policies = policies(shape.protection);
    for number in 0..shape.routes {
        let prefix = prefix(number);
        let _ = write!(text, "  - name: service{number}\n    match: {{ path_prefix: \"{prefix}\" }}\n");
        let _ = if number + 1 == shape.routes {
            write!(text, "    upstream: \"http://{last_upstream}\"\n{policies}")
        } else {
            write!(text, "    upstream: \"http://{upstream}\"\n{policies}")
        };
    }
    Ok(text)
}

fn policies(protection: Protection) -> String {
    let (is_authenticated, scope) = match protection {
        Protection::Bare => return String::new(),
        Protection::Limits => (false, "ip"),
        Protection::Tokens => (true, "user"),
    };
    format!(
        "    auth_required: {is_authenticated}\n    \
         rate_limit: {{ enabled: true, rps: {ENDLESS}, burst: {ENDLESS}, scope: {scope} }}\n    \
         concurrency: {{ max_in_flight: {MOST_IN_FLIGHT} }}\n    \
         circuit_breaker: {{ enabled: true, failure_threshold: 5, open_seconds: 10, half_open_max_in_flight: 1 }}\n"
    )
}
