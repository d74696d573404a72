//! Questions and explanations in the API's words.

use std::net::{IpAddr, Ipv4Addr};

use apigw_config::{
    model::{Destination, Route},
    names::BackendName,
};
use apigw_proto::v1;
use http::{HeaderName, HeaderValue, Request, Uri, header::HOST};
use serde_json::Value;

use super::{Caller, Explanation, Live, NearMiss, Question, Step, Verdict, explain};
use crate::{Snapshot, head::RequestHead, jwt::claims::Claims};

/// Why a question cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Not a method, target or header field that could be sent.
    #[error("not a request that could be sent: {0}")]
    Request(String),
    /// Not an address.
    #[error("not an address: {0:?}")]
    Client(String),
    /// Not a JSON object.
    #[error("the claims are not a JSON object")]
    Claims,
}

/// Explains what would become of a request, in the API's words both ways. Which revision is asked for is the caller's to
/// have found.
///
/// # Errors
/// When there is nothing that could be asked.
pub fn answer(
    asked: v1::ExplainRequest,
    snapshot: &Snapshot,
    live: &impl Live,
) -> Result<v1::ExplainResponse, QuestionError> {
    Ok(explain(snapshot, &Question::try_from(asked)?, live).to_wire(snapshot))
}

impl TryFrom<v1::ExplainRequest> for Question {
    type Error = QuestionError;

    /// A `Host` that is not among the fields is the URL's, or `localhost`.
    fn try_from(asked: v1::ExplainRequest) -> Result<Self, QuestionError> {
        let invalid = |error: &dyn std::fmt::Display| QuestionError::Request(error.to_string());
        let uri: Uri = asked.target.parse().map_err(|error: http::uri::InvalidUri| invalid(&error))?;
        let request = Request::builder().method(asked.method.as_str()).uri(origin_form(&uri));
        let (head, ()) = request.body(()).map_err(|error| invalid(&error))?.into_parts();
        let mut head = RequestHead::from(head);
        for v1::HeaderField { name, value } in asked.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(&error))?;
            let value = HeaderValue::from_str(&value).map_err(|error| invalid(&error))?;
            head.headers.append(name, value);
        }
        if !head.headers.contains_key(HOST) {
            let host = uri.authority().map_or("localhost", http::uri::Authority::as_str);
            let host = HeaderValue::from_str(host).map_err(|error| invalid(&error))?;
            head.headers.insert(HOST, host);
        }
        let client = match asked.client.as_str() {
            "" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            client => client.parse().map_err(|_| QuestionError::Client(client.into()))?,
        };
        let caller = match asked.claims.as_str() {
            "" => Caller::Presented,
            claims => supposed(claims)?,
        };
        Ok(Self { head, client, caller })
    }
}

/// As a client sends it to the server that it means (RFC 9112 section 3.2.1).
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
}

fn supposed(claims: &str) -> Result<Caller, QuestionError> {
    match serde_json::from_str(claims) {
        Ok(Value::Object(members)) => {
            Ok(Caller::Supposed { provider: "supposed".into(), claims: Claims::new(members) })
        }
        _ => Err(QuestionError::Claims),
    }
}

impl Explanation {
    /// In the API's words; `snapshot` is what it was asked of.
    #[must_use]
    fn to_wire(&self, snapshot: &Snapshot) -> v1::ExplainResponse {
        let config = self.route.and_then(|index| snapshot.config().route(index));
        let misses = self.near_misses.iter();
        v1::ExplainResponse {
            revision: Some(snapshot.revision().into()),
            route: config.map(|route| route.name.as_str().into()).unwrap_or_default(),
            near_misses: misses
                .map(|NearMiss { route, reason }| v1::NearMiss {
                    route: route.clone(),
                    reason: reason.clone(),
                })
                .collect(),
            policies: self.steps.iter().map(Step::to_wire).collect(),
            status: self.refusal.map(|(status, _)| status).or(self.own_status).map_or(0, u32::from),
            reason: self.refusal.map(|(_, reason)| reason.into()).unwrap_or_default(),
            upstream_url: config
                .map(|route| first_url(route, self.backend.as_ref(), snapshot))
                .unwrap_or_default(),
            backend: self.backend.as_ref().map(ToString::to_string).unwrap_or_default(),
            upstream_path: self.target.clone().unwrap_or_default(),
            no_places: String::new(),
        }
    }
}

/// The URL that a route names, or that of the first endpoint that takes requests of the backend that is asked.
fn first_url(route: &Route, backend: Option<&BackendName>, snapshot: &Snapshot) -> String {
    if let Destination::Upstream(url) = &route.destination {
        return url.as_str().into();
    }
    let backend = backend.and_then(|name| snapshot.config().backends().find(name));
    let first = backend.and_then(|backend| backend.endpoints().iter().find(|endpoint| !endpoint.drains));
    first.map(|endpoint| endpoint.url.as_str().into()).unwrap_or_default()
}

impl Step {
    fn to_wire(&self) -> v1::PolicyVerdict {
        let (verdict, reason) = match self.verdict {
            Verdict::Allow => (v1::Verdict::Allow, ""),
            Verdict::Deny(reason) => (v1::Verdict::Deny, reason),
            Verdict::Skip => (v1::Verdict::Skip, ""),
        };
        v1::PolicyVerdict {
            policy: self.policy.into(),
            mode: self.mode.map(|mode| mode.as_str().into()).unwrap_or_default(),
            verdict: verdict.into(),
            reason: reason.into(),
            detail: self.detail.clone(),
            path: self.path.clone(),
            place: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, target: &str) -> v1::ExplainRequest {
        v1::ExplainRequest { method: method.into(), target: target.into(), ..v1::ExplainRequest::default() }
    }

    #[test]
    fn a_url_gives_the_host_and_the_target() {
        let question = Question::try_from(asked("GET", "http://api.example/x?y=1")).unwrap();
        assert_eq!(question.head.uri.to_string(), "/x?y=1");
        assert_eq!(question.head.headers.get(HOST).unwrap(), "api.example");
        let question = Question::try_from(asked("GET", "/x")).unwrap();
        assert_eq!(question.head.headers.get(HOST).unwrap(), "localhost");
    }

    #[test]
    fn what_cannot_be_sent_cannot_be_asked() {
        assert!(matches!(Question::try_from(asked("G T", "/")), Err(QuestionError::Request(_))));
        assert!(matches!(Question::try_from(asked("GET", "/ x")), Err(QuestionError::Request(_))));
        let client = v1::ExplainRequest { client: "me".into(), ..asked("GET", "/") };
        assert_eq!(Question::try_from(client).unwrap_err(), QuestionError::Client("me".into()));
        let claims = v1::ExplainRequest { claims: "[]".into(), ..asked("GET", "/") };
        assert_eq!(Question::try_from(claims).unwrap_err(), QuestionError::Claims);
    }
}
