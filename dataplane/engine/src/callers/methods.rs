//! In which ways a route's callers make themselves known, where that is not by a token alone: which is asked next, and what
//! follows from the answers. Whoever asks, sending traffic or not, asks in this order.

use apigw_config::{
    model::{AuthMethods, Combination, CredentialFiles, Mtls, RouteAuth},
    names::{AuthMethod, Realm},
};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{
    Caller, CallerError, Unidentified, basic,
    external::{Approval, ExternalError, Service},
    mtls::{CertificateNames, MtlsError},
};
use crate::fields::Fields;

/// The ways of a route.
#[derive(Debug)]
pub struct Methods {
    combination: Combination,
    /// At least one.
    ways: Vec<AuthMethod>,
    /// In which field API keys are sent.
    key_header: HeaderName,
    basic_challenge: HeaderValue,
    /// Whose certificates count; none: nobody's.
    mtls: Option<Box<Mtls>>,
    /// None: no service is asked.
    service: Option<Box<Service>>,
    /// Asked when a caller is known by the ways, and has to agree; none: nobody is.
    second_opinion: Option<AuthMethod>,
}

/// What has been heard of a caller so far.
#[derive(Debug)]
pub struct Inquiry<'m> {
    methods: &'m Methods,
    /// What is still to be asked.
    left: std::slice::Iter<'m, AuthMethod>,
    /// What is to be asked when a caller is known.
    second_opinion: Option<AuthMethod>,
    /// How many of those who are asked have to agree.
    combination: Combination,
    caller: Option<Caller>,
    /// What a service says that the upstream is to be told of him.
    told: Vec<(HeaderName, HeaderValue)>,
    /// Told where nobody is known; none: nothing was heard yet.
    error: Option<CallerError>,
}

impl Methods {
    /// None: by a token, and by nothing else.
    pub(crate) fn new(auth: &RouteAuth, files: &CredentialFiles, service: Option<Service>) -> Option<Self> {
        let ways = auth.methods();
        if ways == [AuthMethod::Jwt] && service.is_none() {
            return None;
        }
        let header = files
            .api_keys
            .as_ref()
            .map_or_else(apigw_config::model::ApiKeyFile::default_header, |file| file.header.clone());
        let realm = files.basic.as_ref().map_or_else(Realm::default, |file| file.realm.clone());
        // RFC 7617 section 2.1: what is asked for is UTF-8.
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", realm.as_str());
        Some(Self {
            combination: auth.methods.as_ref().map_or(Combination::Any, AuthMethods::combination),
            ways: ways.to_vec(),
            key_header: header.name().as_http().clone(),
            basic_challenge: HeaderValue::try_from(challenge)
                .expect("a realm is visible ASCII without quotes"),
            second_opinion: auth.second_opinion().map(|_| AuthMethod::External),
            service: service.map(Box::new),
            mtls: auth.mtls.clone(),
        })
    }

    /// Who has shown a certificate with these names.
    ///
    /// # Errors
    /// When he has shown none, or the route does not serve him.
    pub fn by_certificate(&self, names: Option<&CertificateNames>) -> Result<Caller, MtlsError> {
        let names = names.ok_or(MtlsError::Missing)?;
        let served = self.mtls.as_deref().ok_or(MtlsError::Name)?;
        names.identify(served).map(Caller::Vouched)
    }

    /// The service that is asked; none: none is.
    #[must_use]
    pub fn service(&self) -> Option<&Service> {
        self.service.as_deref()
    }

    /// In which field API keys are sent.
    #[must_use]
    pub fn key_header(&self) -> &HeaderName {
        &self.key_header
    }

    /// Begins to ask.
    ///
    /// # Panics
    /// Never: there is at least one method.
    #[must_use]
    pub fn inquire(&self) -> Inquiry<'_> {
        let first = self.ways.first().expect("there is at least one method");
        Inquiry {
            methods: self,
            left: self.ways.iter(),
            second_opinion: self.second_opinion,
            combination: self.combination,
            caller: None,
            told: Vec::new(),
            error: CallerError::absent(*first),
        }
    }

    /// Whether a password is among what has made a caller known.
    pub(crate) fn has_password_of(&self, caller: &Caller) -> bool {
        let is_needed = self.combination == Combination::All && self.ways.contains(&AuthMethod::Basic);
        is_needed || caller.vouched().is_some_and(|vouched| vouched.method == AuthMethod::Basic)
    }

    /// Removes what no upstream is to see: a password that is good for this gateway. The field of API keys is removed
    /// everywhere; see [`VouchedHeaders`](crate::access::VouchedHeaders).
    pub fn keep_back(&self, headers: &mut Fields) {
        // Of any of several fields: where judgements have no consequences, such requests pass.
        let has_password = || headers.bytes_of_all(AUTHORIZATION).any(basic::is_basic);
        if self.ways.contains(&AuthMethod::Basic) && has_password() {
            headers.remove(AUTHORIZATION);
        }
    }

    /// What a client is told to send, one challenge for each way that is left to him.
    fn challenges(&self, combination: Combination, error: &CallerError) -> Vec<HeaderValue> {
        if error.is_unjudged() {
            return Vec::new();
        }
        let challenges = |method: AuthMethod| match (method, error) {
            (AuthMethod::Jwt, CallerError::Token(error)) => vec![error.challenge()],
            (AuthMethod::Jwt, _) => vec![HeaderValue::from_static("Bearer")],
            // A scheme of no registry, so that an answer names at least one (RFC 9110 section 15.5.2).
            (AuthMethod::ApiKey, _) => vec![HeaderValue::from_static("ApiKey")],
            (AuthMethod::Basic, _) => vec![self.basic_challenge.clone()],
            // No scheme of HTTP asks for a certificate; this says in what way he is to come.
            (AuthMethod::Mtls, _) => vec![HeaderValue::from_static("ClientCertificate")],
            // What it takes is known to the service alone.
            (AuthMethod::External, error) => {
                error.refusal().map(|refusal| refusal.challenges.clone()).unwrap_or_default()
            }
        };
        match combination {
            Combination::Any => self.ways.iter().copied().flat_map(challenges).collect(),
            // The others are satisfied, or not asked.
            Combination::All => challenges(error.method()),
        }
    }
}

impl Inquiry<'_> {
    /// What is to be asked next; none: all has been heard.
    pub fn next_method(&mut self) -> Option<AuthMethod> {
        let next = self.left.next().copied();
        if next.is_none() && self.caller.is_some() {
            // By whomever he is known, without this he is not.
            self.combination = Combination::All;
            return self.second_opinion.take();
        }
        next
    }

    /// Hears what became of the method asked for.
    pub fn hear(&mut self, answer: Result<Caller, CallerError>) {
        match (answer, self.combination) {
            (Ok(caller), combination) => {
                self.caller.get_or_insert(caller);
                if combination == Combination::Any {
                    self.left = [].iter();
                }
            }
            (Err(error), Combination::Any) => {
                // Bad credentials say more than none.
                let says_more = |former: &CallerError| former.is_absent() && !error.is_absent();
                if self.error.as_ref().is_none_or(says_more) {
                    self.error = Some(error);
                }
            }
            (Err(error), Combination::All) => {
                (self.caller, self.error) = (None, Some(error));
                (self.left, self.second_opinion) = ([].iter(), None);
            }
        }
    }

    /// Hears what the service says, where it is the method asked for.
    pub fn hear_service(&mut self, answer: Result<Approval, ExternalError>) {
        let caller = answer.map(|Approval { caller, told }| {
            self.told = told;
            caller
        });
        self.hear(caller.map_err(CallerError::from));
    }

    /// Who it is.
    ///
    /// # Errors
    /// When that is not known.
    pub fn verdict(self) -> Result<Caller, Unidentified> {
        let Self { methods, combination, caller, told, error, .. } = self;
        if let Some(caller) = caller {
            return Ok(caller.with_told(told));
        }
        // Who hears nothing knows nobody.
        let error = error.unwrap_or(CallerError::External(ExternalError::Failed));
        let challenges = methods.challenges(combination, &error);
        Err(Unidentified { error, challenges })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::{
        callers::{Vouched, api_key::ApiKeyError, basic::BasicError, external::Refusal},
        jwt::{claims::Claims, error::JwtError},
    };

    fn methods(combination: Combination, words: &[&str]) -> Methods {
        let list = words.iter().map(|word| word.parse().unwrap()).collect();
        let methods = AuthMethods::new(combination, list).unwrap();
        let auth = RouteAuth { methods: Some(methods), ..RouteAuth::default() };
        Methods::new(&auth, &CredentialFiles::default(), None).unwrap()
    }

    /// Ways after which a service has to agree.
    fn with_second_opinion(words: &[&str]) -> Methods {
        Methods { second_opinion: Some(AuthMethod::External), ..methods(Combination::Any, words) }
    }

    fn refused(status: StatusCode) -> CallerError {
        let challenges = vec![HeaderValue::from_static("Cookie")];
        let refusal = Refusal { status, challenges, fields: Vec::new() };
        CallerError::External(ExternalError::Unauthorized(Box::new(refusal)))
    }

    fn named(name: &str) -> Caller {
        let claims = Claims::new(json!({"sub": name}).as_object().unwrap().clone());
        Caller::Vouched(Arc::new(Vouched::new(AuthMethod::ApiKey, claims)))
    }

    /// Who is known by these answers; else the reason and the challenges. And how many were asked for.
    fn inquire(
        methods: &Methods,
        answers: &[Result<Caller, CallerError>],
    ) -> (Result<String, (&'static str, Vec<String>)>, usize) {
        let (mut inquiry, mut asked) = (methods.inquire(), 0);
        while inquiry.next_method().is_some() {
            inquiry.hear(answers[asked].clone());
            asked += 1;
        }
        let texts =
            |values: &[HeaderValue]| values.iter().map(|value| value.to_str().unwrap().into()).collect();
        let verdict = inquiry.verdict();
        let verdict = verdict.map(|caller| caller.subject().unwrap().to_owned());
        (verdict.map_err(|refusal| (refusal.error.reason(), texts(&refusal.challenges))), asked)
    }

    const BASIC: &str = "Basic realm=\"apigw\", charset=\"UTF-8\"";

    #[test]
    fn the_first_that_is_known_of_any_is_the_caller() {
        let any = methods(Combination::Any, &["jwt", "api_key", "basic"]);
        let (absent, bad) = (Err(JwtError::Missing.into()), Err(ApiKeyError::Unknown.into()));
        assert_eq!(inquire(&any, &[Ok(named("a"))]), (Ok("a".into()), 1));
        assert_eq!(inquire(&any, &[absent.clone(), bad, Ok(named("b"))]), (Ok("b".into()), 3));
    }

    #[test]
    fn bad_credentials_are_told_of_before_absent_ones() {
        let any = methods(Combination::Any, &["jwt", "api_key", "basic"]);
        let absent =
            [JwtError::Scheme.into(), ApiKeyError::Missing.into(), CallerError::from(BasicError::Missing)];
        let with = |index: usize, error: CallerError| {
            let mut answers = absent.clone().map(Err);
            answers[index] = Err(error);
            inquire(&any, &answers).0.unwrap_err()
        };
        let all = |bearer: &str| vec![bearer.to_owned(), "ApiKey".into(), BASIC.into()];
        assert_eq!(with(0, JwtError::Missing.into()), ("jwt_missing", all("Bearer")));
        assert_eq!(with(1, ApiKeyError::Expired.into()), ("api_key_expired", all("Bearer")));
        let invalid = all("Bearer error=\"invalid_token\"");
        assert_eq!(with(0, JwtError::Expired.into()), ("jwt_expired", invalid));
        assert_eq!(with(2, BasicError::Wrong.into()), ("basic_wrong", all("Bearer")));
        assert_eq!(with(2, BasicError::Busy.into()), ("basic_busy", vec![]));
    }

    #[test]
    fn each_of_all_is_needed_and_the_first_is_the_caller() {
        let all = methods(Combination::All, &["api_key", "basic"]);
        assert_eq!(inquire(&all, &[Ok(named("a")), Ok(named("b"))]), (Ok("a".into()), 2));
        let bad = || Err(BasicError::Wrong.into());
        assert_eq!(inquire(&all, &[Ok(named("a")), bad()]), (Err(("basic_wrong", vec![BASIC.into()])), 2));
        let absent = Err(ApiKeyError::Missing.into());
        assert_eq!(inquire(&all, &[absent]), (Err(("api_key_missing", vec!["ApiKey".into()])), 1));
    }

    #[test]
    fn what_a_service_says_is_told_before_what_is_absent() {
        let any = methods(Combination::Any, &["jwt", "external"]);
        let absent = || Err(JwtError::Missing.into());
        let unauthorized = || Err(refused(StatusCode::UNAUTHORIZED));
        let told = vec!["Bearer".to_owned(), "Cookie".into()];
        assert_eq!(inquire(&any, &[absent(), unauthorized()]), (Err(("external_unauthorized", told)), 2));
        let failed = || Err(ExternalError::Failed.into());
        assert_eq!(inquire(&any, &[absent(), failed()]), (Err(("external_failed", vec![])), 2));
        let alone = methods(Combination::Any, &["external"]);
        assert_eq!(inquire(&alone, &[failed()]), (Err(("external_failed", vec![])), 1));
    }

    #[test]
    fn a_second_opinion_is_asked_of_known_callers_alone_and_has_to_agree() {
        let any = with_second_opinion(&["jwt", "api_key"]);
        let absent = || Err(JwtError::Missing.into());
        let agrees = || Ok(named("service"));
        assert_eq!(inquire(&any, &[absent(), Ok(named("a")), agrees()]), (Ok("a".into()), 3));
        assert_eq!(inquire(&any, &[Ok(named("a")), agrees()]), (Ok("a".into()), 2));
        let unauthorized = Err(refused(StatusCode::UNAUTHORIZED));
        let told = vec!["Cookie".to_owned()];
        assert_eq!(inquire(&any, &[Ok(named("a")), unauthorized]), (Err(("external_unauthorized", told)), 2));
        let unknown = Err(ApiKeyError::Unknown.into());
        let told = vec!["Bearer".to_owned(), "ApiKey".into()];
        assert_eq!(inquire(&any, &[absent(), unknown]), (Err(("api_key_unknown", told)), 2));
    }

    #[test]
    fn a_route_of_tokens_alone_needs_no_inquiry() {
        let files = CredentialFiles::default();
        let jwt = AuthMethods::new(Combination::All, vec![AuthMethod::Jwt]).unwrap();
        for methods in [None, Some(jwt)] {
            let auth = RouteAuth { methods, ..RouteAuth::default() };
            assert!(Methods::new(&auth, &files, None).is_none());
        }
    }

    #[test]
    fn passwords_are_kept_back_where_they_are_good_and_tokens_pass() {
        let headers =
            |value: &'static str| Fields::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        for (words, value, left) in [
            (["basic", "jwt"], "basic QTpi", 0),
            (["basic", "jwt"], "Bearer a.b.c", 1),
            (["api_key", "jwt"], "Basic QTpi", 1),
        ] {
            let mut headers = headers(value);
            methods(Combination::Any, &words).keep_back(&mut headers);
            assert_eq!(headers.len(), left, "{words:?} {value}");
        }
        let mut several = headers("Bearer a.b.c");
        several.append(AUTHORIZATION, HeaderValue::from_static("Basic QTpi"));
        methods(Combination::Any, &["basic"]).keep_back(&mut several);
        assert!(several.is_empty());
    }
}
