//! Envoy: a static file; its filters check tokens, then the rate, then forward.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use serde_json::{Value, json};

use super::{ENDLESS, MOST_IN_FLIGHT, Start};
use crate::{
    bench::{
        Invalid,
        shape::{Door, Protection, Shape, prefix},
    },
    issuer::{AUDIENCE, ISSUER},
};

pub(super) fn command(program: &Path, start: Start<'_>) -> Result<Command, Invalid> {
    let Start { site, shape, address, upstream, directory } = start;
    let mut up = cluster("up", upstream);
    let (mut clusters, mut filters) = (Vec::new(), Vec::new());
    if shape.protection == Protection::Tokens {
        let (filter, keys) = tokens(&site.callers()?.issuer.url())?;
        filters.push(filter);
        clusters.push(keys);
    }
    if shape.protection != Protection::Bare {
        filters.push(rate_limit());
        up["outlier_detection"] = json!({ "consecutive_5xx": 5 });
    }
    filters.push(extension("filters.http.router.v3.Router", json!({})));
    clusters.push(up);
    let mut chain = json!({ "filters": [connection_manager(shape, &filters)] });
    if shape.door != Door::Clear {
        chain["transport_socket"] = transport(&start);
    }
    let listener = json!({ "address": socket(address), "enable_reuse_port": true, "filter_chains": [chain] });
    let file = directory.join("envoy.json");
    fs::write(
        &file,
        json!({ "static_resources": { "listeners": [listener], "clusters": clusters } }).to_string(),
    )?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file).args(["--concurrency", &shape.workers.to_string()]);
    command.args(["--disable-hot-restart", "--log-level", "error"]);
    Ok(command)
}

fn connection_manager(shape: &Shape, filters: &[Value]) -> Value {
    let is_protected = shape.protection != Protection::Bare;
    let route = |number| json!({ "match": { "prefix": prefix(number) }, "route": { "cluster": "up" } });
    let routes: Vec<_> = (0..shape.routes).map(route).collect();
    let log = json!({
        "path": "/dev/null",
        "log_format": { "json_format": {
            "time": "%START_TIME%", "rid": "%REQ(X-REQUEST-ID)%", "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
            "method": "%REQ(:METHOD)%", "path": "%REQ(:PATH)%", "status": "%RESPONSE_CODE%",
            "bytes": "%BYTES_SENT%", "ms": "%DURATION%",
        } },
    });
    let logs = is_protected.then(|| extension("access_loggers.file.v3.FileAccessLog", log));
    extension(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "http",
            "use_remote_address": true, // writes X-Forwarded-For
            "generate_request_id": is_protected,
            "access_log": logs.into_iter().collect::<Vec<_>>(),
            "http_filters": filters,
            "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] },
        }),
    )
}

/// The filter, and the cluster that its keys come from.
fn tokens(keys_url: &str) -> Result<(Value, Value), Invalid> {
    let authority =
        keys_url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let keys = authority.parse().map_err(|_| Invalid::NoKey)?;
    let provider = json!({
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": true,
        "remote_jwks": {
            "http_uri": { "uri": keys_url, "cluster": "keys", "timeout": "3s" },
            "cache_duration": "300s",
            "async_fetch": {},
        },
        "jwt_cache_config": { "jwt_cache_size": 2_000 },
    });
    let rules = json!([{ "match": { "prefix": "/" }, "requires": { "provider_name": "issuer" } }]);
    let settings = json!({ "providers": { "issuer": provider }, "rules": rules });
    Ok((extension("filters.http.jwt_authn.v3.JwtAuthentication", settings), cluster("keys", keys)))
}

fn rate_limit() -> Value {
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    let bucket = json!({ "max_tokens": ENDLESS, "tokens_per_fill": ENDLESS, "fill_interval": "1s" });
    let settings = json!({
        "stat_prefix": "rate", "token_bucket": bucket, "filter_enabled": always, "filter_enforced": always,
    });
    extension("filters.http.local_ratelimit.v3.LocalRateLimit", settings)
}

fn transport(start: &Start<'_>) -> Value {
    let identity = start.site.identity();
    let protocols = match start.shape.door {
        Door::Clear | Door::Tls => json!(["http/1.1"]),
        Door::Http2 => json!(["h2", "http/1.1"]),
    };
    let settings = json!({ "common_tls_context": {
        "alpn_protocols": protocols,
        "tls_params": { "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3" },
        "tls_certificates": [{
            "certificate_chain": { "filename": identity.path("cert.pem") },
            "private_key": { "filename": identity.path("key.pem") },
        }],
    } });
    extension("transport_sockets.tls.v3.DownstreamTlsContext", settings)
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

/// A filter, a log or a transport.
fn extension(kind: &str, mut settings: Value) -> Value {
    settings["@type"] = format!("type.googleapis.com/envoy.extensions.{kind}").into();
    json!({ "name": kind, "typed_config": settings })
}

/// One endpoint, with the limit of requests at once.
fn cluster(name: &str, endpoint: SocketAddr) -> Value {
    let threshold = json!({
        "max_connections": ENDLESS, "max_pending_requests": ENDLESS, "max_requests": MOST_IN_FLIGHT,
    });
    let endpoint = json!({ "endpoint": { "address": socket(endpoint) } });
    json!({
        "name": name,
        "type": "STATIC",
        "circuit_breakers": { "thresholds": [threshold] },
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
    })
}
