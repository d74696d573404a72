//! Who sends a request, where its route takes more than tokens: one method after the other, in the engine's order, until it is
//! known or there is none left. Only passwords that nobody has looked at yet, and tokens of unknown keys, are waited for.

use std::net::IpAddr;

use apigw_config::names::AuthMethod;
use apigw_engine::{
    access::AccessRules,
    callers::{
        Caller, CallerError, Unidentified,
        api_key::{self, ApiKeyError},
        basic::{self, BasicError},
        methods::Methods,
    },
    fields::Fields,
};
use http::{HeaderValue, header::AUTHORIZATION};

use super::{by_token, now};
use crate::worker::{View, Worker};

/// A request whose sender is asked for.
pub(super) struct Asked<'a> {
    pub(super) worker: &'a Worker,
    pub(super) view: &'a View,
    pub(super) rules: &'a AccessRules,
    pub(super) headers: &'a Fields,
    pub(super) client: IpAddr,
}

impl Asked<'_> {
    /// Who it is.
    ///
    /// # Errors
    /// When too little of what the route asks for makes him known.
    pub(super) async fn identify(&self, methods: &Methods) -> Result<Caller, Unidentified> {
        let mut inquiry = methods.inquire();
        while let Some(method) = inquiry.next_method() {
            inquiry.hear(match method {
                AuthMethod::Jwt => self.by_token().await,
                AuthMethod::ApiKey => self.by_api_key(methods).map_err(Into::into),
                AuthMethod::Basic => self.by_password().await.map_err(Into::into),
            });
        }
        inquiry.verdict()
    }

    async fn by_token(&self) -> Result<Caller, CallerError> {
        let verified = by_token(self.worker, self.view, self.rules, self.headers).await?;
        Ok(Caller::Token(verified))
    }

    fn by_api_key(&self, methods: &Methods) -> Result<Caller, ApiKeyError> {
        let key = api_key::presented(self.headers, methods.key_header())?;
        // Where a route takes keys, the configuration names their file.
        let keys = self.view.serving().credentials.api_keys().ok_or(ApiKeyError::Unknown)?;
        keys.find(key, now()).cloned().map(Caller::Vouched)
    }

    async fn by_password(&self) -> Result<Caller, BasicError> {
        let presented = self.headers.get_all(AUTHORIZATION).map(HeaderValue::as_bytes);
        let credentials = basic::presented(presented)?;
        // As with keys.
        let passwords = self.view.serving().credentials.passwords().ok_or(BasicError::Wrong)?;
        passwords.identify(credentials, self.client).await.map(Caller::Vouched)
    }
}
