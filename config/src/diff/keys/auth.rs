//! The keys of what says who callers are, and of what a route asks of them, by the same rules.

use apigw_proto::v1::{self, provider};

use super::Keys;
use crate::diff::Value;

impl Keys {
    /// Of `auth` but for the providers, which are compared one by one.
    pub(super) fn credential_files(&mut self, auth: v1::Auth) {
        let v1::Auth { providers: _, api_keys, basic } = auth;
        if let Some(v1::ApiKeyFile { file, header }) = api_keys {
            self.text("auth.api_keys.file", file);
            self.text("auth.api_keys.header", header);
        }
        if let Some(v1::UserFile { file, realm }) = basic {
            self.text("auth.basic.file", file);
            self.text("auth.basic.realm", realm);
        }
    }

    pub(super) fn provider(&mut self, provider: v1::Provider) {
        // The name is what it is compared by.
        let v1::Provider { name: _, kind, issuers, audiences, leeway_us } = provider;
        let beneath = match kind {
            None => "",
            Some(provider::Kind::Hmac(v1::Hmac { secret })) => {
                self.secret("hmac_secret", secret);
                ""
            }
            Some(provider::Kind::Jwks(v1::Jwks { url, algorithms, cache_ttl_us, http_timeout_us })) => {
                self.text("jwks.url", url);
                self.list("jwks.algorithms", algorithms);
                self.seconds("jwks.cache_ttl_seconds", cache_ttl_us);
                self.seconds("jwks.http_timeout_seconds", http_timeout_us);
                "jwks."
            }
        };
        self.list(&format!("{beneath}issuers"), issuers);
        self.list(&format!("{beneath}audiences"), audiences);
        self.seconds(&format!("{beneath}leeway_seconds"), leeway_us);
    }

    pub(super) fn route_auth(&mut self, auth: v1::RouteAuth) {
        let v1::RouteAuth {
            providers,
            required_scopes,
            required_claims,
            forward_claims,
            mode,
            any,
            all,
            external,
            mtls,
        } = auth;
        if let Some(v1::Mtls { dns_names, uris, emails, common_names }) = mtls {
            self.list("auth.mtls.dns_names", dns_names);
            self.list("auth.mtls.uris", uris);
            self.list("auth.mtls.emails", emails);
            self.list("auth.mtls.common_names", common_names);
        }
        external.into_iter().for_each(|service| self.external_auth(service));
        self.list("auth.any", any);
        self.list("auth.all", all);
        self.list("auth.providers", providers);
        self.list("auth.required_scopes", required_scopes);
        for (claim, value) in required_claims {
            self.put(&format!("auth.required_claims.{claim}"), Value::Text(value));
        }
        for (claim, header) in forward_claims {
            self.put(&format!("auth.forward_claims.{claim}"), Value::Text(header));
        }
        self.mode("auth.mode", mode);
    }

    fn external_auth(&mut self, service: v1::ExternalAuth) {
        let v1::ExternalAuth {
            url,
            timeout_us,
            request_headers,
            forward_headers,
            user_header,
            on_failure,
            cache,
        } = service;
        self.text("auth.external.url", url);
        self.seconds("auth.external.timeout_seconds", timeout_us);
        self.list("auth.external.request_headers", request_headers);
        self.list("auth.external.forward_headers", forward_headers);
        self.text("auth.external.user_header", user_header);
        self.text("auth.external.on_failure", on_failure);
        if let Some(v1::ServiceCache { ttl_us, ignore }) = cache {
            self.seconds("auth.external.cache.ttl_seconds", ttl_us);
            self.list("auth.external.cache.ignore", ignore);
        }
    }
}
