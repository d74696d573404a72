//! Any configuration that is legal.

/// Who its callers are.
mod auth;
/// Which answers are compressed.
mod compression;
/// Where requests of its routes go.
mod destination;
/// Where rate limits are counted.
mod rate_limit;
/// Where their traces go.
mod tracing;

use std::{num::NonZeroU32, ops::RangeInclusive};

use proptest::{prelude::*, sample::select};

use self::{
    auth::{any_auth, any_route_auth, any_secret, keep_rules_of_callers},
    compression::any_compression,
    destination::{any_own_answer, any_rewrite, copy, legal, share},
    rate_limit::any_backend,
    tracing::any_tracing,
};
use super::route;
use crate::{
    model::*,
    names::{
        AllowedOrigins, AnswerPreset, BackendName, ByteCount, CheckCount, CookieLifetime, CookieName,
        CookieSecret, ExactPath, FilePath, HeaderName, MatchText, PathPrefix, Percent, Period, PolicyMode,
        ProbePath, QueryName, RetryCondition, RetryConditions, RetryCount, Span, UpstreamHost, UpstreamUrl,
        Weight, WritableHeader,
    },
};

const MICROS_OF_A_DAY: u64 = 86_400_000_000;

/// Any legal configuration.
pub(crate) fn any_config() -> impl Strategy<Value = GatewayConfig> {
    let names = prop::collection::btree_set("[a-z0-9._:/@-]{1,12}", 1..6);
    let routes = names.prop_flat_map(|names| names.into_iter().map(any_route).collect::<Vec<_>>());
    (any_settings(), any_backends(), routes.prop_shuffle()).prop_map(|(settings, backends, mut routes)| {
        for (place, route) in routes.iter_mut().enumerate() {
            keep_rules(route, &settings);
            // Every third one, and one beyond the backends names a URL.
            if let Some(backend) = backends.get(place / 3).filter(|_| place % 3 == 1) {
                route.destination = Destination::Backend(backend.name().clone());
            }
            if place % 3 == 2 {
                share(route, &backends);
            }
            if place % 4 == 1 {
                copy(route, &backends);
            }
        }
        GatewayConfig::with_backends(settings, backends, routes).unwrap()
    })
}

/// Takes from a route what its configuration does not allow.
fn keep_rules(route: &mut Route, settings: &Settings) {
    keep_rules_of_callers(route, settings);
    let most = settings.server.max_header_bytes;
    route.max_header_bytes = route.max_header_bytes.map(|bytes| bytes.min(most));
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let ports = || select(vec![":8080", "127.0.0.1:0", "[::1]:8443"]);
    let admin = prop::option::of(ports().prop_map(|text| Admin { address: text.parse().unwrap() }));
    let address = prop_oneof![ports(), Just("unix:/run/a.sock")].prop_map(|text| text.parse().unwrap());
    let addresses = prop::collection::vec(address, 1..3);
    let lists = (any_lists(), any_lists());
    let proxies = prop::option::of(
        any_lists().prop_filter_map("there is a range", |lists| ProxyProtocol::new(lists.allow).ok()),
    );
    let lists = (lists, (prop::option::of(any_tls()), proxies));
    let limits = (any_paths(), (1_u32..).prop_map(|number| NonZeroU32::new(number).unwrap()));
    let server = (addresses, lists, limits, any_bytes(), any_bytes(), [any_period(), any_period()]).prop_map(
        |(addresses, ((lists, others), (tls, proxies)), (paths, connections), head, body, [read, write])| {
            let mut server = Server::default().with_addresses(addresses).unwrap();
            (server.trusted_proxies, server.address_lists) = (others.allow, lists);
            (server.tls, server.proxy_protocol) = (tls, proxies);
            server.paths = paths;
            (server.drain_timeout, server.max_connections) = (read, connections);
            (server.max_header_bytes, server.max_body_bytes) = (head, body);
            (server.read_timeout, server.write_timeout) = (read, write);
            server
        },
    );
    let upstream = ([any_period(), any_period()], any::<u32>(), any::<u32>()).prop_map(
        |([dial_timeout, idle_connection_timeout], max_idle_connections, max_idle_connections_per_host)| {
            let timeouts = Upstream { dial_timeout, idle_connection_timeout, ..Upstream::default() };
            Upstream { max_idle_connections, max_idle_connections_per_host, ..timeouts }
        },
    );
    let (auth, tracing) = (prop::option::of(any_auth()), prop::option::of(any_tracing()));
    (server, upstream, auth, any_backend(), admin, tracing).prop_map(
        |(server, upstream, auth, rate_limit, admin, tracing)| Settings {
            server,
            upstream,
            auth,
            rate_limit,
            admin,
            tracing,
        },
    )
}

fn any_backends() -> impl Strategy<Value = Vec<Backend>> {
    let names = prop::collection::btree_set("[a-z0-9._:/@-]{1,12}", 0..3);
    let backends = names.prop_flat_map(|names| names.into_iter().map(any_named_backend).collect::<Vec<_>>());
    backends.prop_shuffle()
}

fn any_named_backend(name: String) -> impl Strategy<Value = Backend> {
    let weights =
        prop::collection::vec((1..=1_000_u32).prop_map(|weight| Weight::new(weight).unwrap()), 1..5);
    let protocol = select(vec![Protocol::Http1, Protocol::Http2]);
    let balance = select(vec![
        Balance::RoundRobin,
        Balance::LeastRequests,
        Balance::Hash(HashKey::Ip),
        Balance::Hash(HashKey::Header(HeaderName::new("x-user").unwrap())),
        Balance::Hash(HashKey::Cookie(CookieName::new("session").unwrap())),
    ]);
    let parts = (weights, "(/[a-z]{1,3})?", any_backend_tls(), protocol, balance, any_health());
    parts.prop_map(move |(weights, path, tls, protocol, balance, health)| {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = |(port, weight)| Endpoint {
            url: UpstreamUrl::new(&format!("{scheme}://orders.internal:{port}{path}")).unwrap(),
            weight,
            // Never the first, as one must not.
            drains: port > 1 && weight.get().is_multiple_of(3),
            resolution: if port % 2 == 0 { Resolution::Each } else { Resolution::Together },
        };
        let endpoints = (1..).zip(weights).map(endpoint).collect();
        let mut backend = Backend::new(BackendName::new(&name).unwrap(), endpoints, tls).unwrap();
        (backend.protocol, backend.balance, backend.health) = (protocol, balance, health);
        let number = backend.endpoints()[0].weight.get();
        backend.slow_start = Span::seconds(u32::from(number) % 3);
        backend.session_cookie = number.is_multiple_of(2).then(|| any_session_cookie(number));
        backend
    })
}

/// One that depends on a number.
fn any_session_cookie(number: u16) -> SessionCookie {
    SessionCookie {
        name: CookieName::new("session").unwrap(),
        secret: CookieSecret::new(&format!("a secret of this length{}", number % 3)).unwrap(),
        lifetime: CookieLifetime::new(u32::from(number) % 5).ok(),
    }
}

fn any_health() -> impl Strategy<Value = Health> {
    let probe = prop_oneof![Just(Probe::Tcp), Just(Probe::Http(ProbePath::new("/healthz?full=1").unwrap()))];
    let interval = any_period().prop_map(|period| period.max(Period::milliseconds(100)));
    let count = || (1..=100_u32).prop_map(|count| CheckCount::new(count).unwrap());
    let check =
        (probe, interval, any_period(), count(), count()).prop_map(|(probe, interval, timeout, down, up)| {
            ActiveCheck::new(probe, interval, timeout, down, up)
        });
    let percent = (1..=1_000_u16).prop_map(|tenths| Percent::new(f64::from(tenths) / 10.0).unwrap());
    let outlier = (1_u32.., prop::option::of(any_rate()), any_period(), percent)
        .prop_map(|(failures, rate, ejection, most)| Outlier::new(failures, rate, ejection, most).unwrap());
    (prop::option::of(check), prop::option::of(outlier))
        .prop_map(|(check, outlier)| Health { active: check.map(Result::unwrap), outlier })
}

fn any_backend_tls() -> impl Strategy<Value = Option<BackendTls>> {
    let path = || select(vec!["a.pem", "/etc/b.pem"]).prop_map(|text| text.parse::<FilePath>().unwrap());
    let files = (path(), path()).prop_map(|(cert_file, key_file)| CertificateFiles { cert_file, key_file });
    let name =
        select(vec!["a.example", "192.0.2.1", "::1"]).prop_map(|text| UpstreamHost::new(text).unwrap());
    let parts = (prop::option::of(path()), prop::option::of(files), prop::option::of(name));
    prop::option::of(parts.prop_map(|(ca_file, certificate, server_name)| BackendTls {
        ca_file,
        certificate,
        server_name,
    }))
}

fn any_paths() -> impl Strategy<Value = PathRules> {
    let slash = select(vec![EncodedSlash::Reject, EncodedSlash::Keep, EncodedSlash::Decode]);
    (slash, any::<bool>())
        .prop_map(|(encoded_slash, merge_slashes)| PathRules { encoded_slash, merge_slashes })
}

fn any_tls() -> impl Strategy<Value = ServerTls> {
    let path = || select(vec!["a.pem", "/etc/b.pem", "c"]).prop_map(|text| text.parse::<FilePath>().unwrap());
    let files = (path(), path()).prop_map(|(cert_file, key_file)| CertificateFiles { cert_file, key_file });
    let listening = select(vec![
        TlsListening::Everywhere,
        TlsListening::Beside { addresses: vec![":1".parse().unwrap()], plain: PlainRequests::Serve },
        TlsListening::Beside { addresses: vec![":2".parse().unwrap()], plain: PlainRequests::Redirect },
    ]);
    let mode = select(vec![ClientAuthMode::None, ClientAuthMode::Optional, ClientAuthMode::Required]);
    let version = select(vec![TlsVersion::Tls12, TlsVersion::Tls13]);
    let client_auth = (mode, path()).prop_map(|(mode, path)| ClientAuth::new(mode, Some(path)).unwrap());
    let forwarding = select(vec![
        CertificateForwarding::None,
        CertificateForwarding::Certificate,
        CertificateForwarding::Chain,
    ]);
    let client_auth = (client_auth, forwarding);
    (prop::collection::vec(files, 1..4), listening, version, client_auth, any_period()).prop_map(
        |(certificates, listening, min_version, client_auth, handshake_timeout)| {
            let mut tls = ServerTls::new(certificates).unwrap().with_listening(listening);
            (tls.client_auth, tls.forwarding) = client_auth;
            tls.min_version = min_version;
            tls.handshake_timeout = handshake_timeout;
            tls
        },
    )
}

fn any_lists() -> impl Strategy<Value = AddressLists> {
    let ranges = || {
        let range = select(vec!["10.0.0.0/8", "::1/128", "192.0.2.7"]);
        prop::collection::vec(range.prop_map(|text| text.parse().unwrap()), 0..3)
    };
    (ranges(), ranges(), any_mode()).prop_map(|(allow, deny, mode)| AddressLists { allow, deny, mode })
}

fn any_mode() -> impl Strategy<Value = PolicyMode> {
    select(vec![PolicyMode::Enforce, PolicyMode::Shadow, PolicyMode::Off])
}

fn any_period() -> impl Strategy<Value = Period> {
    (1..=MICROS_OF_A_DAY).prop_map(|micros| Period::from_micros(micros).unwrap())
}

fn any_span() -> impl Strategy<Value = Span> {
    (0..=MICROS_OF_A_DAY).prop_map(|micros| Span::from_micros(micros).unwrap())
}

fn any_bytes() -> impl Strategy<Value = ByteCount> {
    (1_u64..=1 << 53).prop_map(|bytes| ByteCount::new(bytes).unwrap())
}

fn any_route(name: String) -> impl Strategy<Value = Route> {
    let prefix = || "(/[a-z%~-]{1,6}){1,3}/?".prop_map(|text| PathPrefix::new(&text).unwrap());
    let upstream = "https?://[a-z]{1,8}(:[1-9][0-9]{0,3})?(/[a-z]{1,4})?";
    let upstream = upstream.prop_map(|text| UpstreamUrl::new(&text).unwrap());
    let strip = prefix().prop_map(PathChange::Strip);
    let rewrite = any_rewrite().prop_map(|rewrite| PathChange::Rewrite(rewrite.into()));
    let path_change = prop_oneof![Just(PathChange::None), strip, rewrite];
    let host = select(vec!["${host}", "a.example"]).prop_map(|text| text.parse().unwrap());
    let host_rewrite = prop_oneof![Just(HostRewrite::Upstream), host];
    let upstream = (upstream, prop::option::weighted(0.2, any_own_answer()), path_change, host_rewrite);
    let answers = (any_answer_changes(), prop::option::of(any_compression()));
    let target = (any_match(), upstream, any_changes(), answers);
    let callers = (any::<bool>(), prop::option::of(any_route_auth()), any_lists());
    let concurrency = (any_in_flight(), any_mode()).prop_map(|(limit, mode)| Concurrency { mode, ..limit });
    let limits = (prop::option::of(any_limit()), concurrency, prop::option::of(any_breaker()));
    let bytes = || prop::option::of(any_bytes());
    let sizes = (bytes(), bytes());
    let limits = (limits, (any_timeouts(), prop::option::of(any_retry()), prop::option::of(any_hedge())));
    (target, callers, limits, prop::option::of(any_cors()), sizes).prop_map(
        move |(
            (
                matches,
                (upstream, own_answer, path_change, host_rewrite),
                request_headers,
                (response_headers, compression),
            ),
            (auth_required, auth, address_lists),
            ((rate_limit, concurrency, circuit_breaker), (timeouts, retry, hedge)),
            cors,
            (max_header_bytes, max_body_bytes),
        )| {
            let route = Route {
                name: route(&name, "/", "http://h").name,
                matches,
                mirror: None,
                destination: Destination::Upstream(upstream),
                path_change,
                host_rewrite,
                request_headers,
                response_headers,
                compression: compression.map(Box::new),
                address_lists,
                auth_required,
                auth,
                rate_limit: rate_limit.map(Box::new),
                concurrency,
                circuit_breaker: circuit_breaker.map(Box::new),
                timeouts,
                retry: retry.map(Box::new),
                hedge,
                cors: cors.map(Box::new),
                max_header_bytes,
                max_body_bytes,
            };
            legal(route, own_answer)
        },
    )
}

fn any_hedge() -> impl Strategy<Value = Hedge> {
    any_period().prop_map(|after| Hedge { after })
}

fn any_retry() -> impl Strategy<Value = Retry> {
    let conditions = vec![
        RetryConditions::default(),
        RetryConditions::new(vec![RetryCondition::Timeout, RetryCondition::Status(503)]).unwrap(),
    ];
    let methods = prop::collection::vec("[A-Z]{1,6}".prop_map(|text| text.parse().unwrap()), 0..3);
    let percent = (0.001..=100.0).prop_map(|number| Percent::new(number).unwrap());
    let attempts = (1..=10_u32).prop_map(|number| RetryCount::new(number).unwrap());
    (attempts, select(conditions), percent, methods).prop_map(|(attempts, on, budget, methods)| Retry {
        attempts,
        on,
        budget,
        methods,
    })
}

fn any_timeouts() -> impl Strategy<Value = Timeouts> {
    let period = || prop::option::of(any_period());
    (period(), period(), period(), period()).prop_map(|(total, connect, first_byte, idle)| Timeouts {
        total,
        connect,
        first_byte,
        idle,
    })
}

fn any_changes() -> impl Strategy<Value = HeaderChanges> {
    let name = || "x-[a-z]{1,3}".prop_map(|text| WritableHeader::new(&text).unwrap());
    let values = || {
        let value = select(vec!["a", "by ${client_ip}", "${method} $${path}"]);
        prop::collection::btree_map(name(), value.prop_map(|text| text.parse().unwrap()), 0..3)
    };
    (prop::collection::vec(name(), 0..3), values(), values())
        .prop_map(|(remove, set, add)| HeaderChanges::new(remove, set, add).unwrap())
}

fn any_answer_changes() -> impl Strategy<Value = AnswerChanges> {
    let preset = select(vec![AnswerPreset::None, AnswerPreset::Security]);
    (any_changes(), preset)
        .prop_map(|(changes, preset)| AnswerChanges::new(changes).unwrap().with_preset(preset))
}

fn any_match() -> impl Strategy<Value = RouteMatch> {
    let path = "(/[a-z%~-]{1,6}){1,3}/?";
    let path = prop_oneof![
        4 => path.prop_map(|text| PathMatch::Prefix(PathPrefix::new(&text).unwrap())),
        1 => path.prop_map(|text| PathMatch::Exactly(ExactPath::new(&text).unwrap())),
        1 => "/[a-z]{1,3}[+*?]".prop_map(|text| PathMatch::Regex(text.parse().unwrap())),
    ];
    let hosts = prop::collection::btree_set("([*][.])?[a-z]{1,3}[.]com", 0..3);
    let methods = prop::collection::btree_set("[A-Z]{1,4}", 0..3);
    let headers = any_fields("[a-z]{1,4}".prop_map(|text| HeaderName::new(&text).unwrap()));
    let query = any_fields("[a-z ]{1,4}".prop_map(|text| QueryName::new(&text).unwrap()));
    (path, hosts, methods, headers, query).prop_map(|(path, hosts, methods, headers, query)| {
        let hosts = hosts.iter().map(|text| text.parse().unwrap()).collect();
        let methods = methods.iter().map(|text| text.parse().unwrap()).collect();
        let of_this = RouteMatch::from(path).with_hosts(hosts).unwrap().with_methods(methods).unwrap();
        of_this.with_headers(headers).unwrap().with_query(query).unwrap()
    })
}

fn any_fields<N: std::fmt::Debug>(
    name: impl Strategy<Value = N>,
) -> impl Strategy<Value = Vec<FieldMatch<N>>> {
    let text = || "[a-z ]{0,4}".prop_map(|text| MatchText::new(&text).unwrap());
    let value = prop_oneof![
        text().prop_map(ValueMatch::Exactly),
        text().prop_map(ValueMatch::Prefix),
        "[a-z]{1,3}[+*?]".prop_map(|text| ValueMatch::Regex(text.parse().unwrap())),
        Just(ValueMatch::Present),
        Just(ValueMatch::Absent),
    ];
    let field = (name, value).prop_map(|(name, value)| FieldMatch { name, value });
    prop::collection::vec(field, 0..3)
}

fn any_limit() -> impl Strategy<Value = RateLimit> {
    let words = vec!["ip", "user", "route", "header:x-api-key", "claim:https://a.example/tenant"];
    let scope = select(words).prop_map(|text| text.parse::<RateLimitScope>().unwrap());
    let enabled = (0.001..RateLimit::MAX, 0.001..RateLimit::MAX, scope.clone())
        .prop_map(|(rate, burst, scope)| RateLimit::enabled(rate, burst, Some(scope)).unwrap());
    let disabled = (0.0..RateLimit::MAX, 0.0..RateLimit::MAX, prop::option::of(scope))
        .prop_map(|(rate, burst, scope)| RateLimit::disabled(rate, burst, scope).unwrap());
    (prop_oneof![enabled, disabled], any_mode()).prop_map(|(limit, mode)| limit.with_mode(mode))
}

fn any_in_flight() -> impl Strategy<Value = Concurrency> {
    let adaptive = (1_u32..100, 0_u32..100).prop_map(|(min, more)| {
        let adaptive = AdaptiveConcurrency::new(min, min + more).ok();
        Concurrency { adaptive, ..Concurrency::default() }
    });
    let given =
        any::<u32>().prop_map(|max_in_flight| Concurrency { max_in_flight, ..Concurrency::default() });
    prop_oneof![given, adaptive]
}

fn any_breaker() -> impl Strategy<Value = CircuitBreaker> {
    const OPEN: RangeInclusive<u64> = 1..=MICROS_OF_A_DAY;
    let enabled = (1_u32.., OPEN, 1_u32..)
        .prop_map(|(threshold, open, trials)| CircuitBreaker::enabled(threshold, open, trials).unwrap());
    let disabled = (any::<u32>(), 0..=MICROS_OF_A_DAY, any::<u32>())
        .prop_map(|(threshold, open, trials)| CircuitBreaker::disabled(threshold, open, trials).unwrap());
    let by_share = (any::<u32>(), OPEN, 1_u32.., any_rate()).prop_map(|(threshold, open, trials, rate)| {
        CircuitBreaker::enabled_by_share(threshold, open, trials, rate).unwrap()
    });
    let disabled_by_share =
        (disabled.clone(), any_rate()).prop_map(|(breaker, rate)| breaker.with_failure_rate(rate));
    (prop_oneof![enabled, disabled, by_share, disabled_by_share], any_mode())
        .prop_map(|(breaker, mode)| breaker.with_mode(mode))
}

fn any_rate() -> impl Strategy<Value = FailureRate> {
    let percent = (0.001..=100.0).prop_map(|number| Percent::new(number).unwrap());
    let requests = (1_u32..).prop_map(|number| NonZeroU32::new(number).unwrap());
    (percent, any_period(), requests).prop_map(|(percent, window, minimum_requests)| FailureRate {
        percent,
        window,
        minimum_requests,
    })
}

fn any_cors() -> impl Strategy<Value = Cors> {
    let origins =
        vec![vec!["*"], vec!["https://a.example"], vec!["https://a.example", "http://localhost:3000"]];
    let origins = select(origins).prop_map(|patterns| {
        AllowedOrigins::new(patterns.into_iter().map(|text| text.parse().unwrap()).collect()).unwrap()
    });
    let methods = prop::collection::vec("[A-Z]{1,6}".prop_map(|text| text.parse().unwrap()), 0..3);
    let headers = prop::collection::vec("[a-z]{1,6}".prop_map(|text| HeaderName::new(&text).unwrap()), 0..3);
    (origins, methods, headers, any_span(), any_mode()).prop_map(
        |(allow_origins, allow_methods, allow_headers, max_age, mode)| Cors {
            allow_origins,
            allow_methods,
            allow_headers,
            max_age,
            mode,
        },
    )
}
