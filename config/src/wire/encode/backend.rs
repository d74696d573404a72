//! One backend and its endpoints.

use apigw_proto::v1;

use crate::{
    model::{
        ActiveCheck, Backend, BackendTls, Balance, Endpoint, FailureRate, HashKey, Health, Outlier, Probe,
        Protocol, Resolution, SessionCookie,
    },
    names::{CookieLifetime, FilePath},
};

impl From<&Backend> for v1::Backend {
    fn from(backend: &Backend) -> Self {
        Self {
            name: backend.name().to_string(),
            endpoints: backend.endpoints().iter().map(Into::into).collect(),
            balance: Some((&backend.balance).into()),
            http2: backend.protocol == Protocol::Http2,
            tls: backend.tls().map(Into::into),
            health: (backend.health != Health::default()).then(|| (&backend.health).into()),
            slow_start_us: backend.slow_start.micros(),
            session_cookie: backend.session_cookie.as_ref().map(Into::into),
        }
    }
}

impl From<&Balance> for v1::Balance {
    fn from(balance: &Balance) -> Self {
        let policy = balance.policy().to_string();
        let (header, cookie, ip) = match balance {
            Balance::RoundRobin | Balance::LeastRequests => ("", "", false),
            Balance::Hash(HashKey::Header(name)) => (name.as_str(), "", false),
            Balance::Hash(HashKey::Cookie(name)) => ("", name.as_str(), false),
            Balance::Hash(HashKey::Ip) => ("", "", true),
        };
        Self { policy, header: header.into(), cookie: cookie.into(), ip }
    }
}

impl From<&SessionCookie> for v1::SessionCookie {
    fn from(cookie: &SessionCookie) -> Self {
        let SessionCookie { name, secret, lifetime } = cookie;
        Self {
            name: name.as_str().into(),
            secret: secret.reveal().into(),
            ttl_seconds: lifetime.map_or(0, CookieLifetime::seconds),
        }
    }
}

impl From<&Health> for v1::BackendHealth {
    fn from(health: &Health) -> Self {
        Self {
            active: health.active.as_ref().map(Into::into),
            outlier: health.outlier.as_ref().map(Into::into),
        }
    }
}

impl From<&Outlier> for v1::Outlier {
    fn from(outlier: &Outlier) -> Self {
        Self {
            consecutive_failures: outlier.consecutive_failures(),
            failure_rate: outlier.failure_rate().map(|FailureRate { percent, window, minimum_requests }| {
                let (percent, window_us) = (percent.get(), window.micros());
                v1::FailureRate { percent, window_us, minimum_requests: minimum_requests.get() }
            }),
            ejection_us: outlier.ejection.micros(),
            max_ejected_percent: outlier.max_ejected.get(),
        }
    }
}

impl From<&ActiveCheck> for v1::ActiveCheck {
    fn from(check: &ActiveCheck) -> Self {
        let path = match check.probe() {
            Probe::Http(path) => path.as_str(),
            Probe::Tcp => "",
        };
        Self {
            path: path.into(),
            interval_us: check.interval().micros(),
            timeout_us: check.timeout().micros(),
            unhealthy_threshold: check.unhealthy_threshold().get(),
            healthy_threshold: check.healthy_threshold().get(),
        }
    }
}

impl From<&Endpoint> for v1::Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        let Endpoint { url, weight, drains, resolution } = endpoint;
        Self {
            url: url.as_str().into(),
            weight: weight.get().into(),
            drain: *drains,
            each_address: *resolution == Resolution::Each,
        }
    }
}

impl From<&BackendTls> for v1::BackendTls {
    fn from(tls: &BackendTls) -> Self {
        Self {
            ca_file: tls.ca_file.as_ref().map_or("", FilePath::as_str).into(),
            certificate: tls.certificate.as_ref().map(Into::into),
            server_name: tls.server_name.as_ref().map_or_else(String::new, ToString::to_string),
        }
    }
}
