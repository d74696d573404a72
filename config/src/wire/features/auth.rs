//! What an `auth` section asks for, and that of a route.

use apigw_proto::v1;

use super::{Feature, Needs};

impl Needs {
    pub(super) fn auth(&mut self, auth: v1::Auth) {
        let v1::Auth { providers, api_keys, basic } = auth;
        if let Some(v1::ApiKeyFile { file: _, header: _ }) = api_keys {
            self.add(Feature::ApiKeys);
        }
        if let Some(v1::UserFile { file: _, realm: _ }) = basic {
            self.add(Feature::BasicAuth);
        }
        if !providers.is_empty() {
            self.add(Feature::AuthProviders);
        }
        // What one provider says is no feature of its own: a build that reads the list checks all of it.
        for v1::Provider { name: _, issuers: _, audiences: _, leeway_us: _, kind } in providers {
            use v1::provider::Kind;
            match kind {
                Some(Kind::Jwks(v1::Jwks { url: _, algorithms: _, cache_ttl_us: _, http_timeout_us: _ })) => {
                }
                Some(Kind::Hmac(v1::Hmac { secret: _ })) => {}
                None => {}
            }
        }
    }

    pub(super) fn route_auth(&mut self, auth: v1::RouteAuth) {
        let v1::RouteAuth {
            providers: _,
            required_scopes: _,
            required_claims: _,
            forward_claims: _,
            mode,
            any,
            all,
            external,
            mtls,
        } = auth;
        if let Some(v1::Mtls { dns_names: _, uris: _, emails: _, common_names: _ }) = mtls {
            self.policy(Feature::Mtls, &mode);
        }
        if let Some(v1::ExternalAuth {
            url: _,
            timeout_us: _,
            request_headers: _,
            forward_headers: _,
            user_header: _,
            on_failure: _,
            cache,
        }) = external
        {
            if let Some(v1::ServiceCache { ttl_us: _, ignore: _ }) = cache {
                self.policy(Feature::ExternalAuthCache, &mode);
            }
            self.policy(Feature::ExternalAuth, &mode);
        }
        self.policy(Feature::RouteAuth, &mode);
        if !any.is_empty() || !all.is_empty() {
            self.policy(Feature::AuthMethods, &mode);
        }
    }
}
