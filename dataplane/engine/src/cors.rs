//! Whether pages of other origins may use a route: the server's half of the CORS protocol
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>). Nothing is sent here, and no request is kept away that is no
//! preflight: it is the browser that holds the page back.
//!
//! Credentials (cookies) are never allowed, so `*` means any origin. A preflight carries no token, so it must be answered
//! before anybody asks for one; and every answer on the route gets its [`Grant`], the gateway's own refusals too, or the
//! page could not tell a 401 from a broken network.

#[cfg(test)]
mod tests;

use apigw_config::{model, names::OriginPattern};
use http::{
    HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

use crate::fields::Fields;

/// A route's `cors`, ready to judge and to answer.
#[derive(Debug)]
pub struct Cors {
    origins: Origins,
    methods: Vec<Method>,
    headers: Vec<HeaderName>,
    /// The fields of an answer to a preflight that are always the same.
    preflight_fields: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
enum Origins {
    Any,
    /// In ascending order.
    Only(Vec<Box<str>>),
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorsVerdict {
    /// It goes on its way.
    NoPreflight,
    /// It is answered: 204 without a body.
    Preflight,
    /// It is a preflight that is refused: 403.
    Refused(CorsRefusal),
}

/// Why a preflight is refused. The first reason counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorsRefusal {
    /// Pages of that origin may not.
    #[error("the origin is not allowed")]
    Origin,
    /// Not with that method.
    #[error("the method is not allowed from other origins")]
    Method,
    /// Not with one of those fields.
    #[error("a header field is not allowed from other origins")]
    Header,
}

impl CorsRefusal {
    /// Stable code for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Origin => "cors_origin",
            Self::Method => "cors_method",
            Self::Header => "cors_header",
        }
    }
}

/// What an answer says to the browser about its page. Made from the request, put on whatever answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a grant that is not put on the answer grants nothing"]
pub struct Grant {
    /// None: the page may not read the answer.
    allow_origin: Option<HeaderValue>,
    dependence: Dependence,
    /// Empty unless a preflight was allowed.
    preflight_fields: Vec<(HeaderName, HeaderValue)>,
}

/// What the grant depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dependence {
    Nothing,
    Origin,
}

impl Cors {
    /// Makes what the file says ready.
    #[must_use]
    pub fn new(config: &model::Cors) -> Self {
        let methods: Vec<_> = config.allow_methods.iter().map(|method| method.as_http().clone()).collect();
        let headers: Vec<_> = config.allow_headers.iter().map(|name| name.as_http().clone()).collect();
        let lists = [
            (ACCESS_CONTROL_ALLOW_METHODS, list(methods.iter().map(Method::as_str))),
            (ACCESS_CONTROL_ALLOW_HEADERS, list(headers.iter().map(HeaderName::as_str))),
        ];
        let mut preflight_fields: Vec<_> = lists.into_iter().filter(|(_, list)| !list.is_empty()).collect();
        preflight_fields.push((ACCESS_CONTROL_MAX_AGE, config.max_age.duration().as_secs().into()));
        Self { origins: Origins::new(config.allow_origins.as_slice()), methods, headers, preflight_fields }
    }

    /// Judges a request by its method and fields.
    pub fn judge(&self, method: &Method, headers: &Fields) -> (CorsVerdict, Grant) {
        let mut grant = self.grant(headers);
        let is_preflight = *method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return (CorsVerdict::NoPreflight, grant);
        }
        match self.judge_preflight(headers) {
            Ok(()) => {
                grant.preflight_fields.clone_from(&self.preflight_fields);
                (CorsVerdict::Preflight, grant)
            }
            Err(refusal) => (CorsVerdict::Refused(refusal), grant),
        }
    }

    fn judge_preflight(&self, headers: &Fields) -> Result<(), CorsRefusal> {
        if !self.allows_origin(headers) {
            return Err(CorsRefusal::Origin);
        }
        if !only(headers, &ACCESS_CONTROL_REQUEST_METHOD).is_some_and(|method| self.allows_method(method)) {
            return Err(CorsRefusal::Method);
        }
        if !headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).all(|names| self.allows_headers(names)) {
            return Err(CorsRefusal::Header);
        }
        Ok(())
    }

    fn grant(&self, headers: &Fields) -> Grant {
        let (allow_origin, dependence) = match self.origins {
            Origins::Any => (Some(HeaderValue::from_static("*")), Dependence::Nothing),
            Origins::Only(_) if self.allows_origin(headers) => {
                (only(headers, &ORIGIN).cloned(), Dependence::Origin)
            }
            Origins::Only(_) => (None, Dependence::Origin),
        };
        Grant { allow_origin, dependence, preflight_fields: Vec::new() }
    }

    /// Several `Origin` fields are nobody's: a browser sends one.
    fn allows_origin(&self, headers: &Fields) -> bool {
        only(headers, &ORIGIN).is_some_and(|origin| match &self.origins {
            Origins::Any => true,
            Origins::Only(origins) => {
                origins.binary_search_by(|allowed| allowed.as_bytes().cmp(origin.as_bytes())).is_ok()
            }
        })
    }

    /// Methods are case-sensitive (RFC 9110 section 9.1). Those that pages have always been able to use need no permission
    /// (<https://fetch.spec.whatwg.org/#cors-safelisted-method>).
    fn allows_method(&self, method: &HeaderValue) -> bool {
        let needs_none = [Method::GET, Method::HEAD, Method::POST];
        needs_none.iter().chain(&self.methods).any(|allowed| method == allowed.as_str())
    }

    /// A list of names, of which any may be absent (RFC 9110 section 5.6.1). A browser names only what needs permission.
    fn allows_headers(&self, names: &HeaderValue) -> bool {
        let mut names = names.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.all(|name| name.is_empty() || self.allows_header(name))
    }

    fn allows_header(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|allowed| name.eq_ignore_ascii_case(allowed.as_str().as_bytes()))
    }
}

impl Origins {
    fn new(patterns: &[OriginPattern]) -> Self {
        let exact = |pattern: &OriginPattern| match pattern {
            OriginPattern::Any => None,
            OriginPattern::Exactly(origin) => Some(Box::from(origin.as_str())),
        };
        match patterns.iter().map(exact).collect::<Option<Vec<_>>>() {
            Some(mut origins) => {
                origins.sort_unstable();
                Self::Only(origins)
            }
            None => Self::Any,
        }
    }
}

impl Grant {
    /// Puts the grant on an answer, in place of what the upstream may have said about the same.
    pub fn put_on(self, headers: &mut Fields) {
        remove_access_control(headers);
        if let Some(origin) = self.allow_origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        headers.extend(self.preflight_fields);
        // A cache must not give one origin's answer to another, and that includes the answer without a grant.
        if self.dependence == Dependence::Origin && !varies_by_origin(headers) {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
    }
}

fn remove_access_control(headers: &mut Fields) {
    let is_one = |name: &HeaderName| name.as_str().starts_with("access-control-");
    headers.retain(|name| !is_one(name));
}

fn varies_by_origin(headers: &Fields) -> bool {
    let is_it = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"origin");
    let names = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|name| is_it(name.trim_ascii()))
    };
    headers.get_all(VARY).any(names)
}

/// The value of a field that is there exactly once.
fn only<'a>(headers: &'a Fields, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> HeaderValue {
    let names: Vec<_> = names.collect();
    HeaderValue::from_str(&names.join(", ")).expect("methods and field names are visible ASCII")
}
