//! Configurations of any number of routes, as they are read from a file.

use std::fmt::Write as _;

use apigw_config::{
    model::GatewayConfig,
    wire::{Content, Revision},
};
use apigw_engine::Snapshot;

/// How many routes: from a first try to more than anybody has.
pub(crate) const ROUTES: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];

/// Sections that stand before the routes.
const SETTINGS: &str = "\
auth:
  mode: jwks
  jwks: { url: 'http://127.0.0.1:9/keys', issuers: [issuer], audiences: [gateway] }
";

/// Lines of every route: every policy that a route may have.
const POLICIES: &str = "    auth_required: true
    rate_limit: { enabled: true, rps: 1000, burst: 100, scope: user }
    concurrency: { max_in_flight: 100 }
    circuit_breaker: { enabled: true, failure_threshold: 5, open_seconds: 10, half_open_max_in_flight: 1 }
";

/// A configuration of so many routes; the one in the middle names the edit.
pub(crate) fn configuration(routes: usize, edit: u32) -> GatewayConfig {
    let mut text = format!("{SETTINGS}routes:\n");
    for number in 0..routes {
        let edit = if number == routes / 2 { edit } else { 0 };
        let _ = write!(
            text,
            "  - name: service{number}\n    match: {{ path_prefix: /api/service{number}/ }}\n    \
             upstream: 'http://127.0.0.1:9/{edit}'\n{POLICIES}"
        );
    }
    read(&text)
}

/// A configuration of one route with this line in place of the policies.
pub(crate) fn with_line(line: &str) -> GatewayConfig {
    read(&format!(
        "{SETTINGS}routes:\n  - name: service\n    match: {{ path_prefix: /api/ }}\n    upstream: 'http://127.0.0.1:9'\n    {line}\n"
    ))
}

/// A configuration of this text.
pub(crate) fn read(text: &str) -> GatewayConfig {
    apigw_config::read("bench.yaml", text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A configuration as it travels.
pub(crate) fn content(config: &GatewayConfig, former: Option<&Content>) -> Content {
    Content::encode(config, former).expect("it is within every bound")
}

/// A configuration as it runs.
pub(crate) fn compiled(content: &Content, former: Option<&Snapshot>) -> Snapshot {
    let revision = Revision { epoch: 1, seq: 1, root_hash: content.root_hash() };
    let compiled = Snapshot::compile(content.config().clone(), revision, former);
    compiled.unwrap_or_else(|problems| panic!("{problems:?}"))
}
