//! In which ways a route's callers make themselves known, where that is not by a token alone: which is asked next, and what
//! follows from the answers. Whoever asks, sending traffic or not, asks in this order.

use apigw_config::{
    model::{AuthMethods, Combination, CredentialFiles},
    names::{AuthMethod, Realm},
};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{Caller, CallerError, Unidentified, basic};
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
}

/// What has been heard of a caller so far.
#[derive(Debug)]
pub struct Inquiry<'m> {
    methods: &'m Methods,
    /// What is still to be asked.
    left: std::slice::Iter<'m, AuthMethod>,
    caller: Option<Caller>,
    /// Told where nobody is known.
    error: CallerError,
}

impl Methods {
    /// None: by a token, and by nothing else.
    pub(crate) fn new(methods: Option<&AuthMethods>, files: &CredentialFiles) -> Option<Self> {
        let methods = methods.filter(|methods| methods.as_slice() != [AuthMethod::Jwt])?;
        let header = files
            .api_keys
            .as_ref()
            .map_or_else(apigw_config::model::ApiKeyFile::default_header, |file| file.header.clone());
        let realm = files.basic.as_ref().map_or_else(Realm::default, |file| file.realm.clone());
        // RFC 7617 section 2.1: what is asked for is UTF-8.
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", realm.as_str());
        Some(Self {
            combination: methods.combination(),
            ways: methods.as_slice().to_vec(),
            key_header: header.name().as_http().clone(),
            basic_challenge: HeaderValue::try_from(challenge)
                .expect("a realm is visible ASCII without quotes"),
        })
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
        Inquiry { methods: self, left: self.ways.iter(), caller: None, error: CallerError::absent(*first) }
    }

    /// Removes what no upstream is to see: a password that is good for this gateway. The field of API keys is removed
    /// everywhere; see [`VouchedHeaders`](crate::access::VouchedHeaders).
    pub fn keep_back(&self, headers: &mut Fields) {
        // Of any of several fields: where judgements have no consequences, such requests pass.
        let has_password = || headers.get_all(AUTHORIZATION).any(|value| basic::is_basic(value.as_bytes()));
        if self.ways.contains(&AuthMethod::Basic) && has_password() {
            headers.remove(AUTHORIZATION);
        }
    }

    /// What a client is told to send, one challenge for each way that is left to him.
    fn challenges(&self, error: CallerError) -> Vec<HeaderValue> {
        if error.is_overload() {
            return Vec::new();
        }
        let challenge = |method: &AuthMethod| match (method, error) {
            (AuthMethod::Jwt, CallerError::Token(error)) => error.challenge(),
            (AuthMethod::Jwt, _) => HeaderValue::from_static("Bearer"),
            // A scheme of no registry, so that an answer names at least one (RFC 9110 section 15.5.2).
            (AuthMethod::ApiKey, _) => HeaderValue::from_static("ApiKey"),
            (AuthMethod::Basic, _) => self.basic_challenge.clone(),
        };
        match self.combination {
            Combination::Any => self.ways.iter().map(challenge).collect(),
            // The others are satisfied, or not asked.
            Combination::All => vec![challenge(&error.method())],
        }
    }
}

impl Inquiry<'_> {
    /// What is to be asked next; none: all has been heard.
    pub fn next_method(&mut self) -> Option<AuthMethod> {
        self.left.next().copied()
    }

    /// Hears what became of the method asked for.
    pub fn hear(&mut self, answer: Result<Caller, CallerError>) {
        match (answer, self.methods.combination) {
            (Ok(caller), combination) => {
                self.caller.get_or_insert(caller);
                if combination == Combination::Any {
                    self.left = [].iter();
                }
            }
            // Bad credentials say more than none.
            (Err(error), Combination::Any) if self.error.is_absent() && !error.is_absent() => {
                self.error = error;
            }
            (Err(_), Combination::Any) => {}
            (Err(error), Combination::All) => {
                (self.caller, self.error) = (None, error);
                self.left = [].iter();
            }
        }
    }

    /// Who it is.
    ///
    /// # Errors
    /// When that is not known.
    pub fn verdict(self) -> Result<Caller, Unidentified> {
        let Self { methods, caller, error, .. } = self;
        caller.ok_or_else(|| Unidentified { error, challenges: methods.challenges(error) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        callers::{Vouched, api_key::ApiKeyError, basic::BasicError},
        jwt::{claims::Claims, error::JwtError},
    };

    fn methods(combination: Combination, words: &[&str]) -> Methods {
        let list = words.iter().map(|word| word.parse().unwrap()).collect();
        let methods = AuthMethods::new(combination, list).unwrap();
        Methods::new(Some(&methods), &CredentialFiles::default()).unwrap()
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
            let mut answers = absent.map(Err);
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
    fn a_route_of_tokens_alone_needs_no_inquiry() {
        let files = CredentialFiles::default();
        let jwt = AuthMethods::new(Combination::All, vec![AuthMethod::Jwt]).unwrap();
        assert!(Methods::new(None, &files).is_none() && Methods::new(Some(&jwt), &files).is_none());
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
