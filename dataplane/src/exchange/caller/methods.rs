//! Who sends a request, where its route takes more than tokens: one method after the other, in the engine's order, until it is
//! known or there is none left. Only passwords that nobody has looked at yet, tokens of unknown keys and services are waited for.

use apigw_config::names::AuthMethod;
use apigw_engine::{
    access::AccessRules,
    callers::{
        Caller, CallerError, Unidentified,
        api_key::{self, ApiKeyError},
        basic::{self, BasicError},
        external::{Approval, ExternalError},
        methods::Methods,
        mtls::MtlsError,
    },
    head::RequestHead,
    mode::JudgedMode,
    path::NormalPath,
};
use http::header::AUTHORIZATION;

use super::{by_token, now, service};
use crate::{
    connection::Client,
    exchange::record::Record,
    worker::{View, Worker},
};

/// A request whose sender is asked for.
pub(super) struct Asked<'a> {
    pub(super) worker: &'a Worker,
    pub(super) view: &'a View,
    pub(super) rules: &'a AccessRules,
    /// What follows from it.
    pub(super) mode: JudgedMode,
    pub(super) record: &'a Record,
    pub(super) client: &'a Client,
    pub(super) head: &'a RequestHead,
    pub(super) path: &'a NormalPath<'a>,
}

impl Asked<'_> {
    /// Who it is.
    ///
    /// # Errors
    /// When too little of what the route asks for makes him known.
    pub(super) async fn identify(&self, methods: &Methods) -> Result<Caller, Unidentified> {
        let mut inquiry = methods.inquire();
        while let Some(method) = inquiry.next_method() {
            match method {
                AuthMethod::Jwt => inquiry.hear(self.by_token().await),
                AuthMethod::ApiKey => inquiry.hear(self.by_api_key(methods).map_err(Into::into)),
                AuthMethod::Basic => inquiry.hear(self.by_password().await.map_err(Into::into)),
                AuthMethod::Mtls => inquiry.hear(self.by_certificate(methods).map_err(Into::into)),
                AuthMethod::External => inquiry.hear_service(self.by_service(methods).await),
            }
        }
        inquiry.verdict()
    }

    async fn by_token(&self) -> Result<Caller, CallerError> {
        let verified = by_token(self.worker, self.view, self.rules, &self.head.headers).await?;
        Ok(Caller::Token(verified))
    }

    fn by_api_key(&self, methods: &Methods) -> Result<Caller, ApiKeyError> {
        let key = api_key::presented(&self.head.headers, methods.key_header())?;
        // Where a route takes keys, the configuration names their file.
        let keys = self.view.serving().credentials.api_keys().ok_or(ApiKeyError::Unknown)?;
        keys.find(key, now()).cloned().map(Caller::Vouched)
    }

    async fn by_password(&self) -> Result<Caller, BasicError> {
        let presented = self.head.headers.bytes_of_all(AUTHORIZATION);
        let credentials = basic::presented(presented)?;
        // As with keys.
        let passwords = self.view.serving().credentials.passwords().ok_or(BasicError::Wrong)?;
        let client = self.record.client();
        let caller = match self.mode {
            JudgedMode::Enforce => passwords.identify(credentials, client).await,
            JudgedMode::Shadow => passwords.identify_briefly(credentials, client).await,
        };
        caller.map(Caller::Vouched)
    }

    fn by_certificate(&self, methods: &Methods) -> Result<Caller, MtlsError> {
        let certificate = self.client.peer.certificate();
        methods.by_certificate(certificate.map(|certificate| certificate.names()))
    }

    async fn by_service(&self, methods: &Methods) -> Result<Approval, ExternalError> {
        // Where a route asks a service, the file names it.
        let service = methods.service().ok_or(ExternalError::Failed)?;
        service.settle(service::ask(self, service).await)
    }
}
