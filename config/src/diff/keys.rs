//! A part of a configuration as its keys and their values, from the messages that carry it.
//!
//! Each method takes one message apart, without `..`: a field that is added does not compile until it has its key here.
//! What a file would not say (nothing, or what every file says without saying it) has no key, and whatever two
//! messages differ in has one; a property test holds this against the bytes of the messages.

/// Of what says who callers are, and of what a route asks of them.
mod auth;
/// Of one backend.
mod backend;
/// Of which answers are compressed.
mod compression;
/// Of where a route's requests go.
mod destination;

use std::collections::BTreeMap;

use apigw_proto::v1::{self, field_match, path_rewrite, rate_limit_backend};

use super::{Hidden, Value};
use crate::{
    json::Number,
    model::{Backend, Provider, Route, Server, Settings},
    names::PolicyMode,
};

/// Keys such as `rate_limit.rps`, with their values.
#[derive(Debug, Default)]
pub(super) struct Keys(BTreeMap<String, Value>);

impl From<&Route> for Keys {
    fn from(route: &Route) -> Self {
        let mut keys = Self::default();
        keys.route(route.into());
        keys
    }
}

impl From<&Backend> for Keys {
    fn from(backend: &Backend) -> Self {
        let mut keys = Self::default();
        keys.named_backend(backend.into());
        keys
    }
}

impl From<&Provider> for Keys {
    fn from(provider: &Provider) -> Self {
        let mut keys = Self::default();
        keys.provider(provider.into());
        keys
    }
}

impl Keys {
    /// Of everything but the providers.
    pub(super) fn of(settings: &Settings) -> Self {
        let mut keys = Self::default();
        keys.settings(settings.into());
        keys
    }

    pub(super) fn as_map(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    pub(super) fn into_map(self) -> BTreeMap<String, Value> {
        self.0
    }

    fn put(&mut self, path: &str, value: Value) {
        self.0.insert(path.into(), value);
    }

    fn text(&mut self, path: &str, text: String) {
        if !text.is_empty() {
            self.put(path, Value::Text(text));
        }
    }

    fn truth(&mut self, path: &str, truth: bool) {
        self.put(path, Value::Truth(truth));
    }

    fn secret(&mut self, path: &str, text: String) {
        if !text.is_empty() {
            self.put(path, Value::Secret(Hidden::new(text)));
        }
    }

    fn list(&mut self, path: &str, texts: Vec<String>) {
        if !texts.is_empty() {
            self.put(path, Value::List(texts));
        }
    }

    fn number(&mut self, path: &str, number: f64) {
        self.put(path, Value::Number(Number(number)));
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and sizes are at most 2^53")]
    fn count(&mut self, path: &str, count: u64) {
        self.number(path, count as f64);
    }

    /// Of something that a route need not have.
    fn count_above_0(&mut self, path: &str, count: u64) {
        if count > 0 {
            self.count(path, count);
        }
    }

    fn seconds(&mut self, path: &str, micros: u64) {
        self.put(path, Value::Number(Number::seconds(micros)));
    }

    /// Of a policy that is there.
    fn mode(&mut self, path: &str, mode: String) {
        let mode = if mode.is_empty() { PolicyMode::Enforce.as_str().into() } else { mode };
        self.text(path, mode);
    }

    fn settings(&mut self, settings: v1::Settings) {
        let v1::Settings { server, upstream, auth, rate_limit, admin, tracing } = settings;
        auth.into_iter().for_each(|auth| self.credential_files(auth));
        server.into_iter().for_each(|server| self.server(server));
        upstream.into_iter().for_each(|upstream| self.upstream(upstream));
        rate_limit.into_iter().for_each(|backend| self.backend(backend));
        if let Some(v1::Admin { address }) = admin {
            self.text("admin.addr", address);
        }
        if let Some(v1::Tracing { otlp_endpoint, sample_ratio }) = tracing {
            self.text("tracing.otlp_endpoint", otlp_endpoint);
            self.number("tracing.sample_ratio", sample_ratio);
        }
    }

    fn server(&mut self, server: v1::Server) {
        let v1::Server {
            addresses,
            trusted_proxies,
            max_header_bytes,
            max_body_bytes,
            read_header_timeout_us,
            read_timeout_us,
            write_timeout_us,
            idle_timeout_us,
            websocket_idle_timeout_us,
            address_lists,
            paths,
            drain_timeout_us,
            max_connections,
            tls,
            proxy_protocol,
        } = server;
        self.list("server.addr", addresses);
        self.list("server.trusted_proxies", trusted_proxies);
        self.count("server.max_header_bytes", max_header_bytes);
        self.count("server.max_body_bytes", max_body_bytes);
        self.seconds("server.read_header_timeout_seconds", read_header_timeout_us);
        self.seconds("server.read_timeout_seconds", read_timeout_us);
        self.seconds("server.write_timeout_seconds", write_timeout_us);
        self.seconds("server.idle_timeout_seconds", idle_timeout_us);
        if drain_timeout_us > 0 {
            self.seconds("server.drain_timeout_seconds", drain_timeout_us);
        }
        self.count_above_0("server.max_connections", max_connections.into());
        let websocket_idle = match websocket_idle_timeout_us {
            0 => Server::default().websocket_idle_timeout.micros(),
            micros => micros,
        };
        self.seconds("server.websocket_idle_timeout_seconds", websocket_idle);
        self.address_lists("server.", address_lists);
        if let Some(v1::PathRules { encoded_slash, keeps_empty_segments }) = paths {
            self.text("server.paths.encoded_slash", encoded_slash);
            if keeps_empty_segments {
                self.truth("server.paths.merge_slashes", false);
            }
        }
        tls.into_iter().for_each(|tls| self.server_tls(tls));
        if let Some(v1::ProxyProtocol { trusted }) = proxy_protocol {
            self.list("server.proxy_protocol.trusted", trusted);
        }
    }

    fn server_tls(&mut self, tls: v1::ServerTls) {
        let v1::ServerTls {
            addresses,
            redirect_to_https,
            certificates,
            min_version,
            client_auth,
            client_ca_file,
            handshake_timeout_us,
            forward_client_certificate,
        } = tls;
        self.list("server.tls.addr", addresses);
        self.truth("server.redirect_to_https", redirect_to_https);
        for (index, v1::CertificateFiles { cert_file, key_file }) in certificates.into_iter().enumerate() {
            self.text(&format!("server.tls.certificates[{index}].cert_file"), cert_file);
            self.text(&format!("server.tls.certificates[{index}].key_file"), key_file);
        }
        self.text("server.tls.min_version", min_version);
        self.text("server.tls.client_auth.mode", client_auth);
        self.text("server.tls.client_auth.ca_file", client_ca_file);
        self.text("server.tls.client_auth.forward", forward_client_certificate);
        self.seconds("server.tls.handshake_timeout_seconds", handshake_timeout_us);
    }

    fn upstream(&mut self, upstream: v1::Upstream) {
        let v1::Upstream {
            dial_timeout_us,
            tls_handshake_timeout_us,
            response_header_timeout_us,
            idle_connection_timeout_us,
            max_idle_connections,
            max_idle_connections_per_host,
        } = upstream;
        self.seconds("upstream.dial_timeout_seconds", dial_timeout_us);
        self.seconds("upstream.tls_handshake_timeout_seconds", tls_handshake_timeout_us);
        self.seconds("upstream.response_header_timeout_seconds", response_header_timeout_us);
        self.seconds("upstream.idle_conn_timeout_seconds", idle_connection_timeout_us);
        self.count("upstream.max_idle_conns", max_idle_connections);
        self.count("upstream.max_idle_conns_per_host", max_idle_connections_per_host);
    }

    fn backend(&mut self, backend: v1::RateLimitBackend) {
        let v1::RateLimitBackend { backend } = backend;
        match backend {
            None => {}
            Some(rate_limit_backend::Backend::Memory(v1::MemoryBackend { cleanup_us, ttl_us, max_keys })) => {
                self.text("rate_limit.backend", "memory".into());
                self.seconds("rate_limit.memory.cleanup_seconds", cleanup_us);
                self.seconds("rate_limit.memory.ttl_seconds", ttl_us);
                self.count("rate_limit.memory.max_keys", max_keys.into());
            }
            Some(rate_limit_backend::Backend::Redis(redis)) => {
                let v1::RedisBackend {
                    addresses,
                    password,
                    database,
                    username,
                    cluster,
                    tls,
                    timeout_us,
                    on_failure,
                    key_prefix,
                    local_max_keys,
                } = redis;
                self.text("rate_limit.backend", "redis".into());
                self.list("rate_limit.redis.addr", addresses);
                self.secret("rate_limit.redis.password", password);
                self.count("rate_limit.redis.db", database.into());
                self.text("rate_limit.redis.username", username);
                self.truth("rate_limit.redis.cluster", cluster);
                self.truth("rate_limit.redis.tls", tls);
                self.seconds("rate_limit.redis.timeout_seconds", timeout_us);
                self.text("rate_limit.redis.on_failure", on_failure);
                self.text("rate_limit.redis.key_prefix", key_prefix);
                self.count("rate_limit.memory.max_keys", local_max_keys.into());
            }
        }
    }

    fn route(&mut self, route: v1::Route) {
        let v1::Route {
            // What it is compared by.
            name: _,
            path_prefix,
            upstream,
            backend,
            strip_prefix,
            auth_required,
            rate_limit,
            concurrency,
            circuit_breaker,
            auth,
            address_lists,
            cors,
            max_header_bytes,
            max_body_bytes,
            route_match,
            request_headers,
            response_headers,
            timeouts,
            retry,
            redirect,
            respond,
            rewrite,
            split,
            mirror,
            hedge,
            response_preset,
            compression,
        } = route;
        split.into_iter().for_each(|split| self.split(split));
        mirror.into_iter().for_each(|mirror| self.mirror(mirror));
        redirect.into_iter().for_each(|redirect| self.redirect(redirect));
        respond.into_iter().for_each(|answer| self.respond(answer));
        rewrite.into_iter().for_each(|rewrite| self.rewrite(rewrite));
        request_headers.into_iter().for_each(|changes| self.header_changes("request_headers", changes));
        self.text("response_headers.preset", response_preset);
        response_headers.into_iter().for_each(|changes| self.header_changes("response_headers", changes));
        compression.into_iter().for_each(|compression| self.compression(compression));
        route_match.into_iter().for_each(|route_match| self.route_match(route_match));
        self.text("match.path_prefix", path_prefix);
        self.text("upstream", upstream);
        self.text("backend", backend);
        self.text("strip_prefix", strip_prefix);
        self.truth("auth_required", auth_required);
        rate_limit.into_iter().for_each(|limit| self.rate_limit(limit));
        concurrency.into_iter().for_each(|concurrency| self.concurrency(concurrency));
        circuit_breaker.into_iter().for_each(|breaker| self.circuit_breaker(breaker));
        auth.into_iter().for_each(|auth| self.route_auth(auth));
        self.address_lists("", address_lists);
        retry.into_iter().for_each(|retry| self.retry(retry));
        if let Some(v1::Hedge { after_us }) = hedge {
            self.seconds("hedge.after_seconds", after_us);
        }
        timeouts.into_iter().for_each(|timeouts| self.timeouts(timeouts));
        cors.into_iter().for_each(|cors| self.cors(cors));
        self.count_above_0("max_header_bytes", max_header_bytes);
        self.count_above_0("max_body_bytes", max_body_bytes);
    }

    fn retry(&mut self, retry: v1::Retry) {
        let v1::Retry { attempts, on, budget_percent, methods } = retry;
        self.count("retry.attempts", attempts.into());
        self.list("retry.on", on);
        self.number("retry.budget_percent", budget_percent);
        self.list("retry.methods", methods);
    }

    fn timeouts(&mut self, timeouts: v1::Timeouts) {
        let v1::Timeouts { total_us, connect_us, first_byte_us, idle_us } = timeouts;
        let timeouts = [
            ("timeouts.total_seconds", total_us),
            ("timeouts.connect_seconds", connect_us),
            ("timeouts.first_byte_seconds", first_byte_us),
            ("timeouts.idle_seconds", idle_us),
        ];
        for (key, micros) in timeouts.into_iter().filter(|(_, micros)| *micros > 0) {
            self.seconds(key, micros);
        }
    }

    fn respond(&mut self, answer: v1::FixedAnswer) {
        let v1::FixedAnswer { status, body, content_type } = answer;
        self.count("respond.status", status.into());
        self.text("respond.body", body);
        self.text("respond.content_type", content_type);
    }

    fn rewrite(&mut self, rewrite: v1::Rewrite) {
        let v1::Rewrite { path_rewrite, host } = rewrite;
        self.path_rewrite("rewrite", path_rewrite);
        self.text("rewrite.host", host);
    }

    fn redirect(&mut self, redirect: v1::Redirect) {
        let v1::Redirect { status, scheme, host, port, path_rewrite } = redirect;
        self.count("redirect.status", status.into());
        self.text("redirect.scheme", scheme);
        self.text("redirect.host", host);
        self.count_above_0("redirect.port", port.into());
        self.path_rewrite("redirect", path_rewrite);
    }

    fn path_rewrite(&mut self, path: &str, message: Option<v1::PathRewrite>) {
        match message.and_then(|message| message.rewrite) {
            None => {}
            Some(path_rewrite::Rewrite::Path(text)) => self.text(&format!("{path}.path"), text),
            Some(path_rewrite::Rewrite::Prefix(text)) => self.text(&format!("{path}.prefix"), text),
            Some(path_rewrite::Rewrite::Regex(v1::RegexRewrite { pattern, with })) => {
                self.text(&format!("{path}.regex"), pattern);
                self.text(&format!("{path}.with"), with);
            }
        }
    }

    fn route_match(&mut self, route_match: v1::RouteMatch) {
        let v1::RouteMatch { hosts, path, path_regex, methods, headers, query } = route_match;
        self.list("match.hosts", hosts);
        self.text("match.path", path);
        self.text("match.path_regex", path_regex);
        self.list("match.methods", methods);
        self.field_matches("match.headers", headers);
        self.field_matches("match.query", query);
    }

    fn header_changes(&mut self, path: &str, changes: v1::HeaderChanges) {
        let v1::HeaderChanges { remove, set, add } = changes;
        self.list(&format!("{path}.remove"), remove);
        for (key, values) in [("set", set), ("add", add)] {
            for (name, value) in values {
                self.put(&format!("{path}.{key}.{name}"), Value::Text(value));
            }
        }
    }

    fn field_matches(&mut self, path: &str, matches: Vec<v1::FieldMatch>) {
        for (index, v1::FieldMatch { name, value }) in matches.into_iter().enumerate() {
            self.put(&format!("{path}[{index}].name"), Value::Text(name));
            let mut put = |key: &str, value| self.put(&format!("{path}[{index}].{key}"), value);
            match value {
                None => {}
                Some(field_match::Value::Exact(text)) => put("exact", Value::Text(text)),
                Some(field_match::Value::Prefix(text)) => put("prefix", Value::Text(text)),
                Some(field_match::Value::Regex(text)) => put("regex", Value::Text(text)),
                Some(field_match::Value::Presence(true)) => put("present", Value::Truth(true)),
                Some(field_match::Value::Presence(false)) => put("absent", Value::Truth(true)),
            }
        }
    }

    fn rate_limit(&mut self, limit: v1::RateLimit) {
        let v1::RateLimit { enabled, rps, burst, scope, mode } = limit;
        self.truth("rate_limit.enabled", enabled);
        self.number("rate_limit.rps", rps);
        self.number("rate_limit.burst", burst);
        self.text("rate_limit.scope", scope);
        self.mode("rate_limit.mode", mode);
    }

    /// What limits nothing is what a route has whose file says nothing of it.
    fn concurrency(&mut self, concurrency: v1::Concurrency) {
        let v1::Concurrency { max_in_flight, adaptive, mode } = concurrency;
        if let Some(v1::AdaptiveConcurrency { min, max }) = adaptive {
            self.count("concurrency.adaptive.min", min.into());
            self.count("concurrency.adaptive.max", max.into());
            self.mode("concurrency.mode", mode);
        } else if max_in_flight > 0 || !mode.is_empty() {
            self.count("concurrency.max_in_flight", max_in_flight.into());
            self.mode("concurrency.mode", mode);
        }
    }

    fn circuit_breaker(&mut self, breaker: v1::CircuitBreaker) {
        let v1::CircuitBreaker {
            enabled,
            failure_threshold,
            open_us,
            half_open_max_in_flight,
            failure_rate,
            mode,
        } = breaker;
        self.truth("circuit_breaker.enabled", enabled);
        self.count("circuit_breaker.failure_threshold", failure_threshold.into());
        self.seconds("circuit_breaker.open_seconds", open_us);
        self.count("circuit_breaker.half_open_max_in_flight", half_open_max_in_flight.into());
        if let Some(v1::FailureRate { percent, window_us, minimum_requests }) = failure_rate {
            self.number("circuit_breaker.failure_percent", percent);
            self.seconds("circuit_breaker.window_seconds", window_us);
            self.count("circuit_breaker.minimum_requests", minimum_requests.into());
        }
        self.mode("circuit_breaker.mode", mode);
    }

    /// The lists have no section of their own.
    fn address_lists(&mut self, above: &str, lists: Option<v1::AddressLists>) {
        if let Some(v1::AddressLists { allow, deny, mode }) = lists {
            self.list(&format!("{above}allow_cidrs"), allow);
            self.list(&format!("{above}deny_cidrs"), deny);
            self.mode(&format!("{above}cidrs_mode"), mode);
        }
    }

    fn cors(&mut self, cors: v1::Cors) {
        let v1::Cors { allow_origins, allow_methods, allow_headers, max_age_us, mode } = cors;
        self.list("cors.allow_origins", allow_origins);
        self.list("cors.allow_methods", allow_methods);
        self.list("cors.allow_headers", allow_headers);
        self.seconds("cors.max_age_seconds", max_age_us);
        self.mode("cors.mode", mode);
    }
}
