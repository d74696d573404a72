//! What is kept of a sampled exchange until a collector is told. All of it is its own and short: what a client sends must
//! neither grow here nor keep the memory of its head from being used again.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use apigw_config::names::Scheme;
use apigw_engine::{
    snapshot::Upstream,
    trace_context::{SpanId, TraceId},
};
use http::{Method, StatusCode, Version};

/// The most bytes that are kept of a path.
pub(crate) const MAX_PATH_BYTES: usize = 1_024;
/// The most bytes that are kept of any other text that a client sends.
pub(crate) const MAX_TEXT_BYTES: usize = 256;
/// The most bytes of a `tracestate` that is kept; of a longer one a part would say something else. Those who write them may
/// count on so many (section 3.3.1.5 of the recommendation).
pub(crate) const MAX_STATE_BYTES: usize = 512;

/// An exchange that has ended.
#[derive(Debug)]
pub(crate) struct FinishedExchange {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// None: the trace begins here.
    pub(crate) parent: Option<SpanId>,
    /// What other makers say in the trace; empty: nothing.
    pub(crate) state: Box<str>,
    pub(crate) began: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) request: RequestFacts,
    /// None: none was found.
    pub(crate) route: Option<RouteFacts>,
    pub(crate) status: StatusCode,
    /// `ok`, or a stable reason code.
    pub(crate) why: &'static str,
    pub(crate) verdict: Verdict,
    /// Of a call of gRPC, as its caller was told.
    pub(crate) call_status: Option<u8>,
    /// Of the configuration that judged it.
    pub(crate) revision: Box<str>,
    /// At most as many as a route may make.
    pub(crate) attempts: Vec<FinishedAttempt>,
}

/// Whether an exchange was what its client may expect of a server that is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sound,
    Failed,
}

/// What a request asked for.
#[derive(Debug)]
pub(crate) struct RequestFacts {
    pub(crate) method: KnownMethod,
    pub(crate) scheme: Scheme,
    pub(crate) version: Version,
    /// Without the query, which may hold secrets.
    pub(crate) path: Box<str>,
    /// As the client wrote it; empty: it named none.
    pub(crate) host: Box<str>,
    pub(crate) user_agent: Box<str>,
    pub(crate) client: IpAddr,
    pub(crate) request_id: Box<str>,
}

/// A method as traces name it: one of a closed set, or another one as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KnownMethod {
    Known(Method),
    Other(Box<str>),
}

/// The route that served it.
#[derive(Debug)]
pub(crate) struct RouteFacts {
    pub(crate) name: Box<str>,
    /// The path, prefix or expression that it is chosen by.
    pub(crate) path: Box<str>,
    /// What upstreams were asked for, without the query; empty: none was asked.
    pub(crate) upstream_path: Box<str>,
}

/// One time that it was sent.
#[derive(Debug)]
pub(crate) struct FinishedAttempt {
    pub(crate) span: SpanId,
    pub(crate) upstream: Arc<Upstream>,
    /// After the exchange's beginning.
    pub(crate) began: Duration,
    pub(crate) duration: Duration,
    /// None: no answer began.
    pub(crate) status: Option<StatusCode>,
    /// A reason code, where the upstream failed otherwise than by its status.
    pub(crate) error: Option<&'static str>,
}

impl FinishedExchange {
    /// How many spans it is.
    pub(crate) fn spans(&self) -> u64 {
        1 + self.attempts.len() as u64
    }
}

impl From<&Method> for KnownMethod {
    fn from(method: &Method) -> Self {
        let is_known = matches!(
            *method,
            Method::GET
                | Method::HEAD
                | Method::POST
                | Method::PUT
                | Method::DELETE
                | Method::CONNECT
                | Method::OPTIONS
                | Method::TRACE
                | Method::PATCH
        );
        if is_known {
            Self::Known(method.clone())
        } else {
            Self::Other(kept(method.as_str(), MAX_TEXT_BYTES))
        }
    }
}

/// The beginning of a text, in whole characters.
pub(crate) fn kept(text: &str, limit: usize) -> Box<str> {
    text[..text.floor_char_boundary(limit)].into()
}

#[cfg(test)]
pub(crate) mod samples {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;

    use apigw_config::{
        model::Protocol,
        names::{BackendName, UpstreamHost},
    };
    use apigw_engine::snapshot::UpstreamId;

    use super::*;

    pub(crate) fn upstream() -> Arc<Upstream> {
        upstream_at("users.internal")
    }

    fn upstream_at(host: &str) -> Arc<Upstream> {
        Arc::new(Upstream {
            id: UpstreamId::default(),
            scheme: Scheme::Http,
            host: UpstreamHost::new(host).unwrap(),
            host_name: None,
            port: 9001,
            authority: HeaderValue::try_from(format!("{host}:9001")).unwrap(),
            backend: Some(BackendName::new("pool").unwrap()),
            protocol: Protocol::default(),
            tls: None,
        })
    }

    fn attempt(span: u64, status: Option<StatusCode>, error: Option<&'static str>) -> FinishedAttempt {
        FinishedAttempt {
            span: SpanId::of(span).unwrap(),
            upstream: upstream(),
            began: Duration::from_millis(span),
            duration: Duration::from_millis(5),
            status,
            error,
        }
    }

    /// One in which everything is as long as it can be.
    pub(in crate::traces) fn longest() -> FinishedExchange {
        let (text, path) = ("t".repeat(MAX_TEXT_BYTES), format!("/{}", "p".repeat(MAX_PATH_BYTES - 1)));
        // Four labels, with dots between them.
        let upstream =
            upstream_at(&["h".repeat(61), "h".repeat(61), "h".repeat(61), "h".repeat(61)].join("."));
        let attempt = |span| FinishedAttempt {
            upstream: Arc::clone(&upstream),
            ..attempt(span, Some(StatusCode::BAD_GATEWAY), Some("upstream_connect_timeout"))
        };
        let plain = exchange();
        FinishedExchange {
            state: "s".repeat(MAX_STATE_BYTES).into(),
            request: RequestFacts {
                method: KnownMethod::Other(text.as_str().into()),
                path: path.as_str().into(),
                host: text.as_str().into(),
                user_agent: text.as_str().into(),
                client: [0xffff; 8].into(),
                request_id: text.as_str().into(),
                ..plain.request
            },
            route: Some(RouteFacts {
                name: text.as_str().into(),
                path: text.as_str().into(),
                upstream_path: path.as_str().into(),
            }),
            // `retry.attempts` is at most ten, beside the first.
            attempts: (1..=11).map(attempt).collect(),
            ..plain
        }
    }

    /// One that was sent twice.
    pub(in crate::traces) fn exchange() -> FinishedExchange {
        FinishedExchange {
            trace: TraceId::of(0xaa).unwrap(),
            span: SpanId::of(0xbb).unwrap(),
            parent: SpanId::of(0xcc),
            state: "congo=t61rcWkgMzE".into(),
            began: UNIX_EPOCH + Duration::from_secs(1_000),
            duration: Duration::from_millis(20),
            request: RequestFacts {
                method: (&Method::GET).into(),
                scheme: Scheme::Https,
                version: Version::HTTP_2,
                path: "/api/users/7".into(),
                host: "api.example.com".into(),
                user_agent: "curl/8".into(),
                client: [192, 0, 2, 7].into(),
                request_id: "r1".into(),
            },
            route: Some(RouteFacts {
                name: "users".into(),
                path: "/api/users/".into(),
                upstream_path: "/users/7".into(),
            }),
            status: StatusCode::OK,
            why: "ok",
            verdict: Verdict::Sound,
            call_status: None,
            revision: "1.2".into(),
            attempts: vec![
                attempt(1, None, Some("upstream_unreachable")),
                attempt(2, Some(StatusCode::OK), None),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_in_whole_characters() {
        assert_eq!(&*kept("/abc", 4), "/abc");
        assert_eq!(&*kept("/abcd", 4), "/abc");
        assert_eq!(&*kept("/aü", 3), "/a");
    }

    #[test]
    fn methods_are_of_a_closed_set_or_short() {
        assert_eq!(KnownMethod::from(&Method::PATCH), KnownMethod::Known(Method::PATCH));
        let long = "M".repeat(MAX_TEXT_BYTES + 1);
        let KnownMethod::Other(kept) = KnownMethod::from(&Method::from_bytes(long.as_bytes()).unwrap())
        else {
            panic!("it is none of the set");
        };
        assert_eq!(kept.len(), MAX_TEXT_BYTES);
    }
}
