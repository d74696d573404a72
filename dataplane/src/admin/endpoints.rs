//! The HTTP admin endpoints, wherever they are asked for: on the admin address, and on the traffic addresses of a file
//! without an `admin` section, as the Go model has it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use apigw_config::{
    admin_key::AdminKey,
    json::{
        RouteJson,
        live::{JwksJson, LimitsJson, ProviderJson},
    },
    model::{Auth, ProviderKind, RateLimitBackend, Settings},
};
use apigw_engine::{Snapshot, fields::Fields, head::RequestHead};
use apigw_proto::v1;
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use prometheus::{TextEncoder, core::Collector};
use serde::Serialize;

use crate::{api::Runtime, status::OwnStatus};

/// What the endpoints answer from.
pub(crate) struct Endpoints {
    status: OwnStatus,
    collectors: Vec<Box<dyn Collector>>,
    /// None: what needs a key does not exist.
    key: Option<AdminKey>,
    started: SystemTime,
}

/// The header that presents the admin key.
const X_ADMIN_KEY: HeaderName = HeaderName::from_static("x-admin-key");

/// A place that the endpoints answer at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Health,
    Readiness,
    Metrics,
    Status,
    Routes,
    Limits,
    Auth,
}

impl Place {
    /// The place at a path; none: the path belongs to the routes.
    pub(crate) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Readiness,
            "/metrics" => Self::Metrics,
            "/-/status" => Self::Status,
            "/-/routes" => Self::Routes,
            "/-/limits" => Self::Limits,
            "/-/auth" => Self::Auth,
            _ => return None,
        })
    }

    /// Whether it tells nothing but how the gateway is.
    pub(crate) fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Readiness)
    }

    fn needs_key(self) -> bool {
        matches!(self, Self::Status | Self::Routes | Self::Limits | Self::Auth)
    }
}

/// `/-/status`.
#[derive(Debug, Serialize)]
struct StatusJson {
    time_utc: String,
    uptime_seconds: u64,
    listen_addr: String,
    version: &'static str,
    auth_mode: &'static str,
    rate_backend: &'static str,
    routes_configured: usize,
}

/// A row of `/-/limits`.
#[derive(Debug, Serialize)]
struct RouteLimitsJson {
    route: String,
    #[serde(flatten)]
    limits: LimitsJson,
}

/// `/-/auth`.
#[derive(Debug, Serialize)]
struct AuthJson {
    mode: &'static str,
    /// Of the first provider whose keys are fetched, as the Go model has only one; none: there is no such provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<JwksJson>,
    providers: Vec<ProviderJson>,
}

impl Endpoints {
    pub(crate) fn new(status: OwnStatus, collectors: Vec<Box<dyn Collector>>, key: Option<AdminKey>) -> Self {
        Self { status, collectors, key, started: SystemTime::now() }
    }

    /// Removes the admin key from a request that goes to an upstream, as one does whose path was mistyped. Any other value
    /// may be the upstream's own.
    pub(crate) fn keep_key_back(&self, headers: &mut Fields) {
        let opens = |value: &HeaderValue| self.key.as_ref().is_some_and(|key| key.opens(value.as_bytes()));
        if headers.contains_key(X_ADMIN_KEY) && headers.get_all(X_ADMIN_KEY).any(opens) {
            headers.remove(X_ADMIN_KEY);
        }
    }

    /// Answers at a place, on a thread where it may take its time: with a large configuration, many milliseconds. None:
    /// answering failed.
    pub(crate) fn ask(
        self: Arc<Self>,
        place: Place,
        head: &RequestHead,
    ) -> impl Future<Output = Option<Response<Bytes>>> + Send + use<> {
        let mut keys = head.headers.get_all(X_ADMIN_KEY);
        // Of two, whoever stands before us may have looked at the other one.
        let presented = keys.next().filter(|_| keys.next().is_none()).cloned();
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        async move {
            if place.needs_key() && self.key.is_none() {
                return Some(text(StatusCode::NOT_FOUND, "not found\n"));
            }
            if !is_read {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                return Some(response);
            }
            tokio::task::spawn_blocking(move || self.answer(place, presented.as_ref())).await.ok()
        }
    }

    /// Answers somebody who presents this value of `X-Admin-Key`.
    fn answer(&self, place: Place, presented: Option<&HeaderValue>) -> Response<Bytes> {
        let opens = |key: &AdminKey| presented.is_some_and(|value| key.opens(value.as_bytes()));
        if place.needs_key() && !self.key.as_ref().is_some_and(opens) {
            return json(StatusCode::UNAUTHORIZED, &serde_json::json!({"error": "unauthorized"}));
        }
        let snapshot = self.status.snapshot();
        match (place, &snapshot) {
            (Place::Health, _) => text(StatusCode::OK, "ok"),
            (Place::Readiness, _) if self.status.running.is_draining() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            (Place::Readiness, Some(_)) => text(StatusCode::OK, "ready\n"),
            (Place::Readiness, None) => text(StatusCode::SERVICE_UNAVAILABLE, "no configuration yet\n"),
            (Place::Metrics, _) => self.metrics(),
            (Place::Status, _) => json(StatusCode::OK, &self.status(snapshot.as_deref())),
            (Place::Routes, _) => json(StatusCode::OK, &routes(snapshot.as_deref())),
            (Place::Limits, _) => json(StatusCode::OK, &self.limits()),
            (Place::Auth, _) => json(StatusCode::OK, &self.auth(snapshot.as_deref())),
        }
    }

    fn metrics(&self) -> Response<Bytes> {
        let families = self.collectors.iter().flat_map(|collector| collector.collect());
        match TextEncoder::new().encode_to_string(&families.collect::<Vec<_>>()) {
            Ok(encoded) => respond(StatusCode::OK, prometheus::TEXT_FORMAT, encoded.into()),
            Err(error) => {
                tracing::error!(%error, "metrics not encoded");
                text(StatusCode::INTERNAL_SERVER_ERROR, "metrics not encoded\n")
            }
        }
    }

    fn status(&self, snapshot: Option<&Snapshot>) -> StatusJson {
        let uptime = SystemTime::now().duration_since(self.started).unwrap_or(Duration::ZERO);
        let settings = snapshot.map(Snapshot::settings);
        StatusJson {
            time_utc: format!("{:.0}", jiff::Timestamp::now()),
            uptime_seconds: uptime.as_secs(),
            listen_addr: self.status.running.listen_address(),
            version: env!("CARGO_PKG_VERSION"),
            auth_mode: settings.map_or("", auth_mode),
            rate_backend: settings.map_or("", rate_backend),
            routes_configured: snapshot.map_or(0, |snapshot| snapshot.config().route_count()),
        }
    }

    fn limits(&self) -> Vec<RouteLimitsJson> {
        let row = |mut row: v1::RouteLimits| RouteLimitsJson {
            route: std::mem::take(&mut row.route),
            limits: row.into(),
        };
        self.status.limits().into_iter().map(row).collect()
    }

    fn auth(&self, snapshot: Option<&Snapshot>) -> AuthJson {
        let providers: Vec<_> = self.status.auth().into_iter().map(ProviderJson::from).collect();
        AuthJson {
            mode: snapshot.map_or("", |snapshot| auth_mode(snapshot.settings())),
            jwks: providers.iter().find_map(|provider| provider.jwks.clone()),
            providers,
        }
    }
}

fn routes(snapshot: Option<&Snapshot>) -> Vec<RouteJson> {
    let routes = snapshot.into_iter().flat_map(|snapshot| snapshot.config().routes());
    routes.map(|route| v1::Route::from(route).into()).collect()
}

/// Of several providers of both kinds: "jwks".
fn auth_mode(settings: &Settings) -> &'static str {
    let Some(providers) = settings.auth.as_ref().map(Auth::providers) else { return "none" };
    let has_keys = providers.iter().any(|provider| matches!(provider.kind, ProviderKind::Jwks(_)));
    if has_keys { "jwks" } else { "hmac" }
}

fn rate_backend(settings: &Settings) -> &'static str {
    match &settings.rate_limit {
        RateLimitBackend::Memory(_) => "memory",
        RateLimitBackend::Redis(_) => "redis",
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Bytes> {
    respond(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    let encoded = serde_json::to_vec(value).expect("names, numbers and texts have a JSON form");
    respond(status, "application/json", encoded.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
