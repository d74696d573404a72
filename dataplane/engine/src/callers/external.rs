//! What a service says of a request: whether it may pass, who sends it, and what the upstream is told of him. Asking it is the
//! data plane's business; here is judged what it answers.

/// What they have let pass lately.
pub mod answers;

use std::{sync::Arc, time::Duration};

use apigw_config::{
    model::{ExternalAuth, ServiceFailure},
    names::AuthMethod,
};
use http::{
    HeaderName, HeaderValue, StatusCode, Uri,
    header::{CACHE_CONTROL, LOCATION, SET_COOKIE, WWW_AUTHENTICATE},
};
use serde_json::{Map, Value};

use self::answers::AnswersId;
use super::{Caller, Vouched};
use crate::{fields::Fields, jwt::claims::Claims, snapshot::Upstream};

/// A service, ready to be asked.
#[derive(Debug)]
pub struct Service {
    config: ExternalAuth,
    upstream: Arc<Upstream>,
    target: Uri,
    answers: AnswersId,
}

/// How the request is made that a service is asked about.
pub const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");

/// What it asks for.
pub const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// That a request may pass.
#[derive(Debug, Clone)]
pub struct Approval {
    /// Who sends it, so far as the service says.
    pub(super) caller: Caller,
    /// What the upstream is told.
    pub(super) told: Vec<(HeaderName, HeaderValue)>,
}

/// What a client is told whom the service does not let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The values of `WWW-Authenticate`.
    pub challenges: Vec<HeaderValue>,
    /// What else stands in its head.
    pub fields: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExternalError {
    /// Whoever sends it is to make himself known first.
    #[error("the service wants the caller to make himself known")]
    Unauthorized(Box<Refusal>),
    /// It must not.
    #[error("the service does not let the request pass")]
    Forbidden(Box<Refusal>),
    /// The service took too long.
    #[error("the service did not answer in time")]
    Late,
    /// It could not be asked, or its answer says neither yes nor no.
    #[error("the service could not be asked, or said neither yes nor no")]
    Failed,
    /// As many requests wait for it as may.
    #[error("too many requests wait for the service")]
    Busy,
}

/// The most bytes of header fields that are taken over from an answer.
const MAX_BYTES: usize = 16 << 10;

/// The most bytes of a caller's name.
const MAX_NAME_BYTES: usize = 256;

/// What a client is told of a refusal, beside where to go and how to make himself known: what a browser needs to come back.
const TOLD_TO_CLIENTS: [HeaderName; 2] = [SET_COOKIE, CACHE_CONTROL];

impl Refusal {
    fn new(status: StatusCode, headers: &Fields) -> Self {
        let mut fields = Vec::new();
        if status.is_redirection() {
            fields.extend(headers.get(LOCATION).map(|value| (LOCATION, value.clone())));
        }
        for name in TOLD_TO_CLIENTS {
            fields.extend(headers.get_all(&name).map(|value| (name.clone(), value.clone())));
        }
        Self { status, challenges: headers.get_all(WWW_AUTHENTICATE).cloned().collect(), fields }
    }

    fn bytes(&self) -> usize {
        bytes_of(&self.fields) + self.challenges.iter().map(HeaderValue::len).sum::<usize>()
    }
}

impl ExternalError {
    /// Stable code for logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthorized(_) => "external_unauthorized",
            Self::Forbidden(_) => "external_forbidden",
            Self::Late => "external_timeout",
            Self::Failed => "external_failed",
            Self::Busy => "external_busy",
        }
    }

    /// What the client is told; none: the service has not decided.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Unauthorized(refusal) | Self::Forbidden(refusal) => Some(refusal),
            Self::Late | Self::Failed | Self::Busy => None,
        }
    }

    /// Each of them once.
    #[must_use]
    pub fn all() -> [Self; 5] {
        let refusal = |status| Box::new(Refusal::new(status, &Fields::new()));
        [
            Self::Unauthorized(refusal(StatusCode::UNAUTHORIZED)),
            Self::Forbidden(refusal(StatusCode::FORBIDDEN)),
            Self::Late,
            Self::Failed,
            Self::Busy,
        ]
    }
}

impl Approval {
    fn new(name: Option<&str>, told: Vec<(HeaderName, HeaderValue)>) -> Self {
        let name = name.map(|name| ("sub".to_owned(), Value::from(name)));
        let claims = Claims::new(name.into_iter().collect::<Map<_, _>>());
        Self { caller: Caller::Vouched(Arc::new(Vouched::new(AuthMethod::External, claims))), told }
    }

    /// The same in memory of its own: what has come from a connection may be a small part of much more.
    fn apart(&self) -> Self {
        let copy = |value: &HeaderValue| {
            let copy = HeaderValue::from_bytes(value.as_bytes());
            copy.expect("it was a legal value before")
        };
        let told = self.told.iter().map(|(name, value)| (name.clone(), copy(value)));
        Self { caller: self.caller.clone(), told: told.collect() }
    }

    /// What it holds, with its containers.
    fn bytes(&self) -> usize {
        // Of the caller there is a name, in a map of one entry.
        let name = self.caller.claims().subject().map_or(0, str::len);
        let containers = size_of::<Vouched>() + self.told.len() * size_of::<(HeaderName, HeaderValue)>();
        name + containers + bytes_of(&self.told)
    }
}

impl Service {
    pub(crate) fn new(config: &ExternalAuth, upstream: Arc<Upstream>, answers: AnswersId) -> Self {
        let target = config.url.path().parse().expect("the path of a URL holds only what a target may");
        Self { config: config.clone(), upstream, target, answers }
    }

    /// Whose answers it gives, if it is the service that the file says now.
    pub(crate) fn same(&self, config: &ExternalAuth) -> Option<AnswersId> {
        (self.config == *config).then_some(self.answers)
    }

    /// Where it is.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// What it is asked for.
    #[must_use]
    pub fn target(&self) -> &Uri {
        &self.target
    }

    /// The same with its place, as the file has it.
    #[must_use]
    pub fn url(&self) -> &str {
        self.config.url.as_str()
    }

    /// How long it may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.config.timeout.duration()
    }

    /// Whether it is told what a request says in a header field of this name.
    #[must_use]
    pub fn is_told(&self, name: &HeaderName) -> bool {
        self.config.request_headers.iter().any(|told| told.as_http() == name)
    }

    /// Judges by what the service answers.
    ///
    /// # Errors
    /// When that is no success.
    pub fn judge(&self, status: StatusCode, headers: &Fields) -> Result<Approval, ExternalError> {
        let refusal = |status| {
            let refusal = Refusal::new(status, headers);
            if refusal.bytes() > MAX_BYTES { Err(ExternalError::Failed) } else { Ok(Box::new(refusal)) }
        };
        // What an answer to a question without a body and without conditions can be (RFC 9110 section 15.4).
        let is_elsewhere = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        if status.is_success() {
            self.approval(headers)
        } else if status == StatusCode::UNAUTHORIZED || is_elsewhere && headers.contains_key(LOCATION) {
            Err(ExternalError::Unauthorized(refusal(status)?))
        } else if status.is_client_error() {
            Err(ExternalError::Forbidden(refusal(status)?))
        } else if status.is_redirection() {
            // An answer for a browser, but none that would help it.
            Err(ExternalError::Forbidden(refusal(StatusCode::FORBIDDEN)?))
        } else {
            Err(ExternalError::Failed)
        }
    }

    fn approval(&self, headers: &Fields) -> Result<Approval, ExternalError> {
        let told = self.config.forward_headers.iter().flat_map(|header| {
            let name = header.name().as_http();
            headers.get_all(name).map(move |value| (name.clone(), value.clone()))
        });
        let told: Vec<_> = told.collect();
        if bytes_of(&told) > MAX_BYTES {
            return Err(ExternalError::Failed);
        }
        Ok(Approval::new(self.name(headers)?, told))
    }

    /// Whom the service names; none: nobody.
    fn name<'h>(&self, headers: &'h Fields) -> Result<Option<&'h str>, ExternalError> {
        let Some(header) = &self.config.user_header else { return Ok(None) };
        let mut values = headers.get_all(header.as_http());
        let Some(value) = values.next() else { return Ok(None) };
        // Of two names nobody knows which is meant.
        if values.next().is_some() || value.len() > MAX_NAME_BYTES {
            return Err(ExternalError::Failed);
        }
        let name = std::str::from_utf8(value.as_bytes()).map_err(|_| ExternalError::Failed)?;
        if name.chars().any(char::is_control) {
            return Err(ExternalError::Failed);
        }
        Ok(Some(name).filter(|name| !name.is_empty()))
    }

    /// What follows when the service has not decided and the file says to let pass.
    ///
    /// # Errors
    /// As before, where it has decided, or the file says nothing of the kind.
    pub fn settle(&self, answer: Result<Approval, ExternalError>) -> Result<Approval, ExternalError> {
        match (answer, self.config.on_failure) {
            (Err(error), ServiceFailure::Allow) if error.refusal().is_none() => {
                Ok(Approval::new(None, Vec::new()))
            }
            (answer, _) => answer,
        }
    }

    /// What is supposed of it where nobody asks it.
    #[must_use]
    pub fn supposed(&self) -> Approval {
        Approval::new(None, Vec::new())
    }
}

fn bytes_of(fields: &[(HeaderName, HeaderValue)]) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use apigw_config::names::{ForwardedHeader, UpstreamUrl};

    use super::*;

    fn service(on_failure: ServiceFailure) -> Service {
        let url = UpstreamUrl::new("http://auth/check/").unwrap();
        let config = ExternalAuth {
            timeout: ExternalAuth::DEFAULT_TIMEOUT,
            request_headers: ExternalAuth::default_request_headers(),
            forward_headers: ["x-user", "x-group"].map(|name| ForwardedHeader::new(name).unwrap()).into(),
            user_header: Some("x-user".parse().unwrap()),
            on_failure,
            cache: None,
            url,
        };
        let upstream = Arc::new(Upstream::of(&config.url));
        Service::new(&config, upstream, AnswersId(1))
    }

    fn fields(fields: &[(&str, &str)]) -> Fields {
        let parse = |(name, value): &(&str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        fields.iter().map(parse).collect()
    }

    fn judge(status: u16, headers: &[(&str, &str)]) -> Result<Approval, ExternalError> {
        let status = StatusCode::from_u16(status).unwrap();
        service(ServiceFailure::Deny).judge(status, &fields(headers))
    }

    /// The reason and the status of a refusal, and the names of what the client is told.
    fn refused(status: u16, headers: &[(&str, &str)]) -> (&'static str, Option<u16>, Vec<String>) {
        let error = judge(status, headers).unwrap_err();
        let refusal = error.refusal();
        let names = refusal.iter().flat_map(|refusal| &refusal.fields).map(|(name, _)| name.to_string());
        (error.reason(), refusal.map(|refusal| refusal.status.as_u16()), names.collect())
    }

    #[test]
    fn a_success_lets_pass_and_tells_what_is_asked_for() {
        let approval =
            judge(204, &[("x-user", "alice"), ("x-group", "a"), ("x-group", "b"), ("x-other", "c")]);
        let Approval { caller, told } = approval.unwrap();
        assert_eq!(caller.user().map(|user| (user.provider, user.subject)), Some(("a service", "alice")));
        assert_eq!(
            Fields::from_iter(told),
            fields(&[("x-user", "alice"), ("x-group", "a"), ("x-group", "b")])
        );
        assert_eq!(judge(200, &[]).unwrap().caller.user(), None);
        assert_eq!(judge(200, &[("x-user", "")]).unwrap().caller.user(), None);
    }

    #[test]
    fn a_name_that_could_be_two_is_none() {
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        for headers in
            [&[("x-user", "alice"), ("x-user", "bob")][..], &[("x-user", "a\tb")], &[("x-user", &long)]]
        {
            assert_eq!(judge(200, headers).unwrap_err(), ExternalError::Failed, "{headers:?}");
        }
        assert!(judge(200, &[("x-user", &long[1..])]).is_ok());
    }

    #[test]
    fn a_refusal_keeps_its_status_and_what_a_browser_needs() {
        let all = [
            ("location", "/login"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("cache-control", "no-store"),
            ("www-authenticate", "Bearer"),
            ("x-user", "alice"),
            ("content-length", "5"),
        ];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let others = names(&["set-cookie", "set-cookie", "cache-control"]);
        assert_eq!(refused(401, &all), ("external_unauthorized", Some(401), others.clone()));
        assert_eq!(refused(403, &all), ("external_forbidden", Some(403), others.clone()));
        assert_eq!(refused(429, &all), ("external_forbidden", Some(429), others.clone()));
        let with_location = [names(&["location"]), others.clone()].concat();
        assert_eq!(refused(302, &all), ("external_unauthorized", Some(302), with_location));
        assert_eq!(judge(401, &all).unwrap_err().refusal().unwrap().challenges.len(), 1);
    }

    #[test]
    fn what_is_neither_yes_nor_no_is_a_failure_and_a_redirect_nowhere_a_refusal() {
        for status in [500, 503, 599, 600, 999] {
            assert_eq!(refused(status, &[]), ("external_failed", None, vec![]), "{status}");
        }
        for (status, headers) in [(302, &[][..]), (304, &[("location", "/")]), (300, &[("location", "/")])] {
            let (reason, status, _) = refused(status, headers);
            assert_eq!((reason, status), ("external_forbidden", Some(403)));
        }
    }

    #[test]
    fn an_answer_that_says_too_much_is_a_failure() {
        let value = "a".repeat(MAX_BYTES - "x-group".len());
        assert!(judge(200, &[("x-group", &value)]).is_ok());
        assert_eq!(judge(200, &[("x-group", &value), ("x-user", "a")]).unwrap_err(), ExternalError::Failed);
        let value = "a".repeat(MAX_BYTES + 1);
        assert_eq!(judge(401, &[("www-authenticate", &value)]).unwrap_err(), ExternalError::Failed);
    }

    #[test]
    fn only_what_was_not_decided_may_pass_unasked() {
        for error in ExternalError::all() {
            let is_decided = error.refusal().is_some();
            let settled = |on_failure| service(on_failure).settle(Err(error.clone()));
            assert_eq!(settled(ServiceFailure::Deny).unwrap_err(), error);
            assert_eq!(settled(ServiceFailure::Allow).is_err(), is_decided, "{error}");
        }
    }
}
