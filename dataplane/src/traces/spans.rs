//! The spans that an exchange is: one of the gateway's, and one for each time that its request was sent. Names and attributes
//! are those of OpenTelemetry's conventions for HTTP, which are stable
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>); what they have no name for begins with `apigw.`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apigw_config::names::UpstreamHost;
use apigw_engine::snapshot::Upstream;
use http::Version;

use super::{
    finished::{FinishedAttempt, FinishedExchange, KnownMethod, RequestFacts, Verdict},
    otlp::{KNOWS_REMOTE, KeyValue, PARENT_IS_REMOTE, SAMPLED, Span, SpanKind, SpanStatus, StatusCode},
};

/// All spans of an exchange.
pub(super) fn spans(exchange: &FinishedExchange) -> impl Iterator<Item = Span> + use<'_> {
    let attempts = exchange.attempts.iter().enumerate();
    std::iter::once(of_gateway(exchange))
        .chain(attempts.map(|(resends, attempt)| of_attempt(exchange, resends, attempt)))
}

fn of_gateway(exchange: &FinishedExchange) -> Span {
    let FinishedExchange { span, parent, request, route, status, why, verdict, .. } = exchange;
    let mut attributes = of_request(request);
    attributes.push(KeyValue::text("apigw.request_id", &*request.request_id));
    attributes.push(KeyValue::number("http.response.status_code", status.as_u16()));
    attributes.push(KeyValue::text("apigw.why", *why));
    attributes.push(KeyValue::text("apigw.revision", &*exchange.revision));
    if let Some(route) = route {
        attributes.push(KeyValue::text("http.route", &*route.path));
        attributes.push(KeyValue::text("apigw.route", &*route.name));
    }
    if let Some(status) = exchange.call_status {
        attributes.push(KeyValue::text("rpc.system", "grpc"));
        attributes.push(KeyValue::number("rpc.grpc.status_code", status));
    }
    if *verdict == Verdict::Failed {
        let error = if *why == "ok" { status.as_str() } else { why };
        attributes.push(KeyValue::text("error.type", error));
    }
    let name = match route {
        Some(route) => format!("{} {}", method_in_name(&request.method), route.path),
        None => method_in_name(&request.method).into(),
    };
    let is_remote = if parent.is_some() { PARENT_IS_REMOTE } else { 0 };
    Span {
        span_id: span.as_bytes().to_vec(),
        parent_span_id: parent.map(|parent| parent.as_bytes().to_vec()).unwrap_or_default(),
        name,
        kind: SpanKind::Server.into(),
        attributes,
        status: Some(told(*verdict)),
        flags: SAMPLED | KNOWS_REMOTE | is_remote,
        ..within(exchange, Duration::ZERO, exchange.duration)
    }
}

fn of_attempt(exchange: &FinishedExchange, resends: usize, attempt: &FinishedAttempt) -> Span {
    let FinishedAttempt { span, upstream, began, duration, status, error } = attempt;
    let mut attributes = vec![method(&exchange.request.method)];
    attributes.extend(method_as_written(&exchange.request.method));
    attributes.extend(of_upstream(upstream));
    let backend = upstream.backend.as_ref();
    attributes.extend(backend.map(|name| KeyValue::text("apigw.backend", name.as_str())));
    if let Some(route) = &exchange.route {
        let (scheme, authority) = (upstream.scheme.as_str(), upstream.authority.to_str().unwrap_or_default());
        let path = &route.upstream_path;
        attributes.push(KeyValue::text("url.full", format!("{scheme}://{authority}{path}")));
    }
    if let Some(resends) = i64::try_from(resends).ok().filter(|resends| *resends > 0) {
        attributes.push(KeyValue::number("http.request.resend_count", resends));
    }
    attributes.extend(status.map(|status| KeyValue::number("http.response.status_code", status.as_u16())));
    // To whoever asks, a 4xx is a failure, too.
    let failed = status.filter(|status| status.as_u16() >= 400);
    let error = error.or(failed.as_ref().map(http::StatusCode::as_str));
    attributes.extend(error.map(|error| KeyValue::text("error.type", error)));
    Span {
        span_id: span.as_bytes().to_vec(),
        parent_span_id: exchange.span.as_bytes().to_vec(),
        name: method_in_name(&exchange.request.method).into(),
        kind: SpanKind::Client.into(),
        attributes,
        status: Some(told(if error.is_some() { Verdict::Failed } else { Verdict::Sound })),
        flags: SAMPLED | KNOWS_REMOTE,
        ..within(exchange, *began, *duration)
    }
}

/// What all spans of an exchange have, in this part of its time.
fn within(exchange: &FinishedExchange, after: Duration, duration: Duration) -> Span {
    let began = exchange.began + after;
    Span {
        trace_id: exchange.trace.as_bytes().to_vec(),
        trace_state: exchange.state.to_string(),
        start_time_unix_nano: nanoseconds(began),
        end_time_unix_nano: nanoseconds(began + duration),
        ..Span::default()
    }
}

/// Since 1970, as far as that can be told.
fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn told(verdict: Verdict) -> SpanStatus {
    let code = match verdict {
        Verdict::Sound => StatusCode::Unset,
        Verdict::Failed => StatusCode::Error,
    };
    SpanStatus { code: code.into() }
}

fn of_request(request: &RequestFacts) -> Vec<KeyValue> {
    let RequestFacts { method, scheme, version, path, host, user_agent, client, request_id: _ } = request;
    let mut attributes = vec![
        self::method(method),
        KeyValue::text("url.scheme", scheme.as_str()),
        KeyValue::text("url.path", &**path),
        KeyValue::text("client.address", client.to_string()),
        KeyValue::text("network.protocol.version", number(*version)),
    ];
    attributes.extend(method_as_written(method));
    if !host.is_empty() {
        let (name, port) = divided(host);
        attributes.push(KeyValue::text("server.address", name));
        attributes.extend(port.map(|port| KeyValue::number("server.port", port)));
    }
    if !user_agent.is_empty() {
        attributes.push(KeyValue::text("user_agent.original", &**user_agent));
    }
    attributes
}

/// A host and its port, if it names one.
fn divided(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
        Some((name, Ok(port))) => (name, Some(port)),
        _ => (host, None),
    }
}

fn number(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

fn of_upstream(upstream: &Upstream) -> Vec<KeyValue> {
    match &upstream.host {
        UpstreamHost::Unix(path) => vec![KeyValue::text("server.address", path.to_string())],
        host @ (UpstreamHost::Address(_) | UpstreamHost::Name(_)) => vec![
            KeyValue::text("server.address", host.to_string()),
            KeyValue::number("server.port", upstream.port),
        ],
    }
}

fn method(method: &KnownMethod) -> KeyValue {
    let text = match method {
        KnownMethod::Known(method) => method.as_str(),
        KnownMethod::Other(_) => "_OTHER",
    };
    KeyValue::text("http.request.method", text)
}

fn method_as_written(method: &KnownMethod) -> Option<KeyValue> {
    match method {
        KnownMethod::Known(_) => None,
        KnownMethod::Other(text) => Some(KeyValue::text("http.request.method_original", &**text)),
    }
}

/// Names are of a small set, whatever clients send.
fn method_in_name(method: &KnownMethod) -> &str {
    match method {
        KnownMethod::Known(method) => method.as_str(),
        KnownMethod::Other(_) => "HTTP",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::{finished::samples::exchange, otlp::Value},
        *,
    };

    fn attributes(span: &Span) -> BTreeMap<&str, String> {
        let text = |attribute: &KeyValue| match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
        };
        span.attributes.iter().map(|attribute| (attribute.key.as_str(), text(attribute))).collect()
    }

    fn status(span: &Span) -> StatusCode {
        span.status.unwrap().code()
    }

    #[test]
    fn an_exchange_is_a_span_of_its_own_with_one_for_each_attempt() {
        let exchange = exchange();
        let spans: Vec<_> = spans(&exchange).collect();
        let [gateway, first, second] = spans.as_slice() else { panic!("{spans:?}") };
        assert!(spans.iter().all(|span| span.trace_id == exchange.trace.as_bytes()));
        assert!(spans.iter().all(|span| span.trace_state == "congo=t61rcWkgMzE"));
        assert_eq!((gateway.kind(), first.kind()), (SpanKind::Server, SpanKind::Client));
        assert_eq!((gateway.name.as_str(), first.name.as_str()), ("GET /api/users/", "GET"));
        assert_eq!(gateway.parent_span_id, exchange.parent.unwrap().as_bytes());
        assert_eq!((&first.parent_span_id, &second.parent_span_id), (&gateway.span_id, &gateway.span_id));
        assert_ne!(first.span_id, second.span_id);
        assert_eq!((gateway.flags, first.flags), (0x301, 0x101));
        let times = |span: &Span| (span.start_time_unix_nano, span.end_time_unix_nano);
        assert_eq!(times(gateway), (1_000_000_000_000, 1_000_020_000_000));
        assert_eq!(times(second), (1_000_002_000_000, 1_000_007_000_000));
    }

    #[test]
    fn attributes_are_those_of_the_conventions() {
        let exchange = exchange();
        let spans: Vec<_> = spans(&exchange).collect();
        let gateway = attributes(&spans[0]);
        for (key, expected) in [
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("http.route", "/api/users/"),
            ("url.path", "/api/users/7"),
            ("url.scheme", "https"),
            ("server.address", "api.example.com"),
            ("client.address", "192.0.2.7"),
            ("network.protocol.version", "2"),
            ("user_agent.original", "curl/8"),
            ("apigw.route", "users"),
            ("apigw.why", "ok"),
            ("apigw.request_id", "r1"),
            ("apigw.revision", "1.2"),
        ] {
            assert_eq!(gateway.get(key).map(String::as_str), Some(expected), "{key}");
        }
        assert!(!gateway.contains_key("error.type") && !gateway.contains_key("server.port"));
        let first = attributes(&spans[1]);
        assert_eq!((&*first["server.address"], &*first["server.port"]), ("users.internal", "9001"));
        assert_eq!(first["url.full"], "http://users.internal:9001/users/7");
        assert_eq!((&*first["apigw.backend"], &*first["error.type"]), ("pool", "upstream_unreachable"));
        assert!(!first.contains_key("http.request.resend_count"));
        assert_eq!(attributes(&spans[2])["http.request.resend_count"], "1");
        assert_eq!(
            [0, 1, 2].map(|index| status(&spans[index])),
            [StatusCode::Unset, StatusCode::Error, StatusCode::Unset]
        );
    }

    #[test]
    fn what_failed_says_what_as() {
        let check = |answer: http::StatusCode, why, expected| {
            let exchange = FinishedExchange { status: answer, why, verdict: Verdict::Failed, ..exchange() };
            let gateway = of_gateway(&exchange);
            assert_eq!(attributes(&gateway)["error.type"], expected);
            assert_eq!(status(&gateway), StatusCode::Error);
        };
        check(http::StatusCode::SERVICE_UNAVAILABLE, "ok", "503");
        check(http::StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "upstream_timeout");
        check(http::StatusCode::OK, "upstream_truncated", "upstream_truncated");
        let mut refused = exchange();
        refused.attempts[1].status = Some(http::StatusCode::NOT_FOUND);
        let attempt = of_attempt(&refused, 1, &refused.attempts[1]);
        assert_eq!((&*attributes(&attempt)["error.type"], status(&attempt)), ("404", StatusCode::Error));
    }

    #[test]
    fn methods_that_clients_make_up_are_in_no_name() {
        let mut exchange = exchange();
        exchange.request.method = KnownMethod::Other("BREW".into());
        let spans: Vec<_> = spans(&exchange).collect();
        assert_eq!((spans[0].name.as_str(), spans[1].name.as_str()), ("HTTP /api/users/", "HTTP"));
        let gateway = attributes(&spans[0]);
        assert_eq!(
            (&*gateway["http.request.method"], &*gateway["http.request.method_original"]),
            ("_OTHER", "BREW")
        );
        exchange.route = None;
        assert_eq!(of_gateway(&exchange).name, "HTTP");
    }

    #[test]
    fn hosts_are_divided_from_their_ports() {
        assert_eq!(divided("a.example"), ("a.example", None));
        assert_eq!(divided("a.example:8080"), ("a.example", Some(8080)));
        assert_eq!(divided("[::1]:80"), ("[::1]", Some(80)));
        assert_eq!(divided("[::1]"), ("[::1]", None));
        assert_eq!(divided("a:"), ("a:", None));
    }
}
