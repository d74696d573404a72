//! One route and its policies.

use std::{collections::BTreeMap, fmt};

use apigw_proto::v1::{self, field_match, path_rewrite};

use super::{address_lists, mode};
use crate::{
    model::{
        AuthMethods, CircuitBreaker, Combination, Cors, Destination, FailureRate, FieldMatch, FixedAnswer,
        HeaderChanges, Hedge, Mirror, Mtls, PathChange, PathMatch, PathRewrite, RateLimit, Redirect, Retry,
        Route, RouteAuth, RouteMatch, Timeouts, ValueMatch,
    },
    names::{
        AnswerPreset, ByteCount, HeaderName, HostName, MethodName, OriginPattern, Period, ProviderName,
        Scheme, TokenScope, ValueTemplate, WritableHeader,
    },
};

impl From<&Route> for v1::Route {
    fn from(route: &Route) -> Self {
        let mut message = Self {
            name: route.name.to_string(),
            path_prefix: match &route.matches.path {
                PathMatch::Prefix(prefix) => prefix.to_string(),
                PathMatch::Exactly(_) | PathMatch::Regex(_) => String::new(),
            },
            request_headers: header_changes(&route.request_headers),
            response_headers: header_changes(route.response_headers.as_changes()),
            response_preset: preset(route.response_headers.preset()),
            compression: route.compression.as_deref().map(Into::into),
            route_match: route_match(&route.matches),
            strip_prefix: match &route.path_change {
                PathChange::Strip(prefix) => prefix.to_string(),
                PathChange::None | PathChange::Rewrite(_) => String::new(),
            },
            rewrite: rewrite(route),
            auth_required: route.auth_required,
            rate_limit: route.rate_limit.as_deref().map(Into::into),
            concurrency: Some(v1::Concurrency {
                max_in_flight: route.concurrency.max_in_flight,
                adaptive: route
                    .concurrency
                    .adaptive
                    .map(|bounds| v1::AdaptiveConcurrency { min: bounds.min(), max: bounds.max() }),
                mode: mode(route.concurrency.mode),
            }),
            circuit_breaker: route.circuit_breaker.as_deref().map(Into::into),
            auth: route.auth.as_ref().map(Into::into),
            address_lists: address_lists(&route.address_lists),
            timeouts: timeouts(&route.timeouts),
            retry: route.retry.as_deref().map(Into::into),
            hedge: route.hedge.map(|Hedge { after }| v1::Hedge { after_us: after.micros() }),
            mirror: route.mirror.as_deref().map(Into::into),
            cors: route.cors.as_deref().map(Into::into),
            max_header_bytes: route.max_header_bytes.map_or(0, ByteCount::get),
            max_body_bytes: route.max_body_bytes.map_or(0, ByteCount::get),
            ..Self::default()
        };
        match &route.destination {
            Destination::Upstream(url) => message.upstream = url.as_str().into(),
            Destination::Backend(name) => message.backend = name.to_string(),
            Destination::Split(split) => message.split = Some((&**split).into()),
            Destination::Redirect(redirect) => message.redirect = Some((&**redirect).into()),
            Destination::Respond(answer) => message.respond = Some(answer.into()),
        }
        message
    }
}

impl From<&Redirect> for v1::Redirect {
    fn from(Redirect { status, scheme, host, port, path }: &Redirect) -> Self {
        Self {
            status: status.as_http().as_u16().into(),
            scheme: scheme.map(Scheme::as_str).unwrap_or_default().into(),
            host: host.as_ref().map_or("", HostName::as_str).into(),
            port: port.map_or(0, |port| port.get().into()),
            path_rewrite: path.as_ref().map(Into::into),
        }
    }
}

/// None: the route waits as the settings say.
fn timeouts(timeouts: &Timeouts) -> Option<v1::Timeouts> {
    let micros = |period: Option<Period>| period.map_or(0, Period::micros);
    let Timeouts { total, connect, first_byte, idle } = *timeouts;
    (!timeouts.is_empty()).then(|| v1::Timeouts {
        total_us: micros(total),
        connect_us: micros(connect),
        first_byte_us: micros(first_byte),
        idle_us: micros(idle),
    })
}

impl From<&FixedAnswer> for v1::FixedAnswer {
    fn from(answer: &FixedAnswer) -> Self {
        Self {
            status: answer.status().as_http().as_u16().into(),
            body: answer.body().to_string(),
            content_type: answer.content_type().as_str().into(),
        }
    }
}

impl From<&PathRewrite> for v1::PathRewrite {
    fn from(rewrite: &PathRewrite) -> Self {
        let rewrite = match rewrite {
            PathRewrite::Full(path) => path_rewrite::Rewrite::Path(path.to_string()),
            PathRewrite::Prefix(prefix) => path_rewrite::Rewrite::Prefix(prefix.to_string()),
            PathRewrite::Regex(regex) => path_rewrite::Rewrite::Regex(v1::RegexRewrite {
                pattern: regex.pattern().to_string(),
                with: regex.with().to_string(),
            }),
        };
        Self { rewrite: Some(rewrite) }
    }
}

/// What `strip_prefix` does not say; none: nothing.
fn rewrite(route: &Route) -> Option<v1::Rewrite> {
    let path_rewrite = match &route.path_change {
        PathChange::Rewrite(rewrite) => Some((&**rewrite).into()),
        PathChange::None | PathChange::Strip(_) => None,
    };
    let message = v1::Rewrite { path_rewrite, host: route.host_rewrite.as_str().into() };
    (message != v1::Rewrite::default()).then_some(message)
}

/// None: nothing is changed.
fn header_changes(changes: &HeaderChanges) -> Option<v1::HeaderChanges> {
    let values = |values: &BTreeMap<WritableHeader, ValueTemplate>| {
        values.iter().map(|(name, template)| (name.to_string(), template.to_string())).collect()
    };
    (!changes.is_empty()).then(|| v1::HeaderChanges {
        remove: changes.remove().iter().map(ToString::to_string).collect(),
        set: values(changes.set()),
        add: values(changes.add()),
    })
}

/// Empty: answers say nothing of their own.
fn preset(preset: AnswerPreset) -> String {
    match preset {
        AnswerPreset::None => String::new(),
        AnswerPreset::Security => preset.as_str().into(),
    }
}

/// What a prefix does not say; none: nothing.
fn route_match(matches: &RouteMatch) -> Option<v1::RouteMatch> {
    let (path, path_regex) = match &matches.path {
        PathMatch::Prefix(_) => (String::new(), String::new()),
        PathMatch::Exactly(path) => (path.to_string(), String::new()),
        PathMatch::Regex(pattern) => (String::new(), pattern.to_string()),
    };
    let message = v1::RouteMatch {
        hosts: matches.hosts().iter().map(ToString::to_string).collect(),
        path,
        path_regex,
        methods: matches.methods().iter().map(ToString::to_string).collect(),
        headers: matches.headers().iter().map(Into::into).collect(),
        query: matches.query().iter().map(Into::into).collect(),
    };
    (message != v1::RouteMatch::default()).then_some(message)
}

impl<N: fmt::Display> From<&FieldMatch<N>> for v1::FieldMatch {
    fn from(FieldMatch { name, value }: &FieldMatch<N>) -> Self {
        let value = match value {
            ValueMatch::Exactly(text) => field_match::Value::Exact(text.to_string()),
            ValueMatch::Prefix(text) => field_match::Value::Prefix(text.to_string()),
            ValueMatch::Regex(pattern) => field_match::Value::Regex(pattern.to_string()),
            ValueMatch::Present => field_match::Value::Presence(true),
            ValueMatch::Absent => field_match::Value::Presence(false),
        };
        Self { name: name.to_string(), value: Some(value) }
    }
}

impl From<&RouteAuth> for v1::RouteAuth {
    fn from(auth: &RouteAuth) -> Self {
        let RouteAuth {
            methods,
            external,
            mtls,
            providers,
            required_scopes,
            required_claims,
            forward_claims,
            mode: auth_mode,
        } = auth;
        let words = |combination| {
            let methods = methods.iter().filter(|methods| methods.combination() == combination);
            methods.flat_map(AuthMethods::as_slice).map(ToString::to_string).collect()
        };
        Self {
            any: words(Combination::Any),
            all: words(Combination::All),
            external: external.as_deref().map(Into::into),
            mtls: mtls.as_deref().map(Into::into),
            providers: providers.iter().map(ProviderName::as_str).map(Into::into).collect(),
            required_scopes: required_scopes.iter().map(TokenScope::as_str).map(Into::into).collect(),
            required_claims: required_claims
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            forward_claims: forward_claims
                .as_map()
                .iter()
                .map(|(name, header)| (name.as_str().into(), header.name().as_str().into()))
                .collect(),
            mode: mode(*auth_mode),
        }
    }
}

impl From<&Mtls> for v1::Mtls {
    fn from(Mtls { dns_names, uris, emails, common_names }: &Mtls) -> Self {
        Self {
            dns_names: dns_names.iter().map(ToString::to_string).collect(),
            uris: uris.iter().map(ToString::to_string).collect(),
            emails: emails.iter().map(ToString::to_string).collect(),
            common_names: common_names.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&Mirror> for v1::Mirror {
    fn from(Mirror { backend, percent }: &Mirror) -> Self {
        Self { backend: backend.to_string(), percent: percent.get() }
    }
}

impl From<&Retry> for v1::Retry {
    fn from(retry: &Retry) -> Self {
        let Retry { attempts, on, budget, methods } = retry;
        Self {
            attempts: attempts.get().into(),
            on: on.as_slice().iter().map(ToString::to_string).collect(),
            budget_percent: budget.get(),
            methods: methods.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&RateLimit> for v1::RateLimit {
    fn from(limit: &RateLimit) -> Self {
        Self {
            enabled: limit.is_enabled(),
            rps: limit.requests_per_second(),
            burst: limit.burst(),
            scope: limit.scope().map_or_else(String::new, ToString::to_string),
            mode: mode(limit.mode()),
        }
    }
}

impl From<&CircuitBreaker> for v1::CircuitBreaker {
    fn from(breaker: &CircuitBreaker) -> Self {
        let failure_rate = breaker.failure_rate();
        Self {
            enabled: breaker.is_enabled(),
            failure_threshold: breaker.failure_threshold(),
            open_us: breaker.open_micros(),
            half_open_max_in_flight: breaker.half_open_max_in_flight(),
            failure_rate: failure_rate.map(|FailureRate { percent, window, minimum_requests }| {
                v1::FailureRate {
                    percent: percent.get(),
                    window_us: window.micros(),
                    minimum_requests: minimum_requests.get(),
                }
            }),
            mode: mode(breaker.mode()),
        }
    }
}

impl From<&Cors> for v1::Cors {
    fn from(cors: &Cors) -> Self {
        Self {
            allow_origins: cors
                .allow_origins
                .as_slice()
                .iter()
                .map(OriginPattern::as_str)
                .map(Into::into)
                .collect(),
            allow_methods: cors.allow_methods.iter().map(MethodName::as_str).map(Into::into).collect(),
            allow_headers: cors.allow_headers.iter().map(HeaderName::as_str).map(Into::into).collect(),
            max_age_us: cors.max_age.micros(),
            mode: mode(cors.mode),
        }
    }
}
