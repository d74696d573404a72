//! Which callers a route serves, once it is known who they are, and what its upstream is told of them.
//!
//! Who a caller is, [`callers`](crate::callers) says. Nothing here looks at a token or a key, only at what is known of him.

use std::collections::{BTreeMap, btree_map::Entry};

use apigw_config::{
    model::{CredentialFiles, Route, RouteAuth},
    names::{ClaimName, ClaimValue, TokenScope},
};
use http::{HeaderName, HeaderValue};

use crate::{
    callers::{Caller, external::Service, methods::Methods},
    fields::Fields,
    jwt::{
        claims::Claims,
        providers::{Accepted, Providers},
    },
    spelling::folded,
};

/// What a route asks of its callers.
#[derive(Debug)]
pub struct AccessRules {
    /// None: callers make themselves known by tokens alone.
    methods: Option<Methods>,
    accepted: Accepted,
    scopes: Vec<TokenScope>,
    claims: Vec<(ClaimName, ClaimValue)>,
    forwarded: Vec<(ClaimName, HeaderName)>,
    /// For a caller who lacks a scope.
    scope_challenge: HeaderValue,
}

/// Why a known caller is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Not all that the route asks for is granted to him.
    #[error("the caller lacks a scope")]
    Scope {
        /// What the client is told to ask its issuer for (RFC 6750 section 3); none: there is no issuer.
        challenge: Option<HeaderValue>,
    },
    /// A claim has not the value that the route asks for.
    #[error("a claim of the caller has another value")]
    Claim {
        /// As for a scope.
        challenge: Option<HeaderValue>,
    },
}

impl Forbidden {
    /// Stable code for logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Scope { .. } => "scope_missing",
            Self::Claim { .. } => "claim_mismatch",
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3.1), for callers who came by a token.
    #[must_use]
    pub fn challenge(&self) -> Option<HeaderValue> {
        let (Self::Scope { challenge } | Self::Claim { challenge }) = self;
        challenge.clone()
    }
}

impl Forbidden {
    /// For a client that has no issuer to ask for more.
    fn untold(self) -> Self {
        match self {
            Self::Scope { .. } => Self::Scope { challenge: None },
            Self::Claim { .. } => Self::Claim { challenge: None },
        }
    }
}

/// To a client whose token says too little (RFC 6750 section 3.1).
const INSUFFICIENT_SCOPE: &str = "Bearer error=\"insufficient_scope\"";

/// What a configuration knows callers by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// By their tokens.
    pub(crate) providers: &'a Providers,
    /// By what else they have.
    pub(crate) files: &'a CredentialFiles,
}

impl AccessRules {
    /// Makes what the file says ready; where it says nothing, any provider's tokens will do.
    pub(crate) fn new(config: Option<&RouteAuth>, sources: Sources<'_>, service: Option<Service>) -> Self {
        let Some(config) = config else { return Self::of_any_caller() };
        let Sources { providers, files } = sources;
        let listed = config.providers.iter().filter_map(|name| providers.named(name.as_str()));
        let accepted =
            if config.providers.is_empty() { Accepted::All } else { Accepted::Only(listed.collect()) };
        let scopes = config.required_scopes.clone();
        let words: Vec<_> = scopes.iter().map(TokenScope::as_str).collect();
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", words.join(" "));
        let claims = config.required_claims.iter().map(|(name, value)| (name.clone(), value.clone()));
        let forwarded = config.forward_claims.as_map().iter();
        Self {
            methods: Methods::new(config, files, service),
            accepted,
            scopes,
            claims: claims.collect(),
            forwarded: forwarded
                .map(|(claim, header)| (claim.clone(), header.name().as_http().clone()))
                .collect(),
            scope_challenge: HeaderValue::try_from(challenge)
                .expect("scopes are visible ASCII without quotes"),
        }
    }

    fn of_any_caller() -> Self {
        Self {
            methods: None,
            accepted: Accepted::All,
            scopes: Vec::new(),
            claims: Vec::new(),
            forwarded: Vec::new(),
            scope_challenge: HeaderValue::from_static(INSUFFICIENT_SCOPE),
        }
    }

    /// In how callers make themselves known; none: by tokens alone.
    #[must_use]
    pub fn methods(&self) -> Option<&Methods> {
        self.methods.as_ref()
    }

    /// Whose tokens are accepted.
    #[must_use]
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Judges a known caller by what is known of him.
    ///
    /// # Errors
    /// When the route does not serve him.
    pub fn admit(&self, caller: &Caller) -> Result<(), Forbidden> {
        let judgement = self.judge(caller.claims());
        judgement.map_err(|forbidden| if caller.has_token() { forbidden } else { forbidden.untold() })
    }

    /// The same for somebody who came by a token.
    ///
    /// # Errors
    /// When the route does not serve him.
    pub(crate) fn judge(&self, claims: &Claims) -> Result<(), Forbidden> {
        if claims.missing_scopes(self.scopes.iter().map(TokenScope::as_str)).next().is_some() {
            return Err(Forbidden::Scope { challenge: Some(self.scope_challenge.clone()) });
        }
        if self.claims.iter().all(|(name, value)| claims.holds(name.as_str(), value.as_str())) {
            Ok(())
        } else {
            Err(Forbidden::Claim { challenge: Some(HeaderValue::from_static(INSUFFICIENT_SCOPE)) })
        }
    }

    /// Whether a caller who is known has shown a password that is good for this gateway.
    #[must_use]
    pub fn has_password_of(&self, caller: &Caller) -> bool {
        self.methods.as_ref().is_some_and(|methods| methods.has_password_of(caller))
    }

    /// Removes credentials that are good for this gateway alone.
    pub fn keep_back(&self, headers: &mut Fields) {
        if let Some(methods) = &self.methods {
            methods.keep_back(headers);
        }
    }

    /// Tells an upstream what it is to know of a caller: what a service has said, and what the route says of his claims. A claim
    /// that cannot stand in a header is not told.
    pub fn tell(&self, caller: &Caller, headers: &mut Fields) {
        // No client's fields of these names are left.
        headers.extend(caller.told().iter().cloned());
        self.forward(caller.claims(), headers);
    }

    /// What the route says of a caller's claims.
    pub fn forward(&self, claims: &Claims, headers: &mut Fields) {
        for (claim, header) in &self.forwarded {
            if let Some(value) = claims.header_value(claim.as_str()) {
                headers.insert(header, value);
            }
        }
    }
}

/// The header fields of clients that reach no upstream, on whatever route: those by which the gateway tells upstreams of
/// callers, as an upstream could not tell who wrote them, and the one in which API keys are sent. That holds for all
/// upstreams, because one server may go by several names.
#[derive(Debug, Default)]
pub struct VouchedHeaders {
    /// Their spellings, folded, in ascending order.
    spellings: Vec<Box<[u8]>>,
}

/// How many routes forward something in each of these header fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct VouchedTally {
    /// By their spellings, folded.
    routes: BTreeMap<Box<[u8]>, usize>,
}

impl VouchedTally {
    /// Counts a route.
    pub(crate) fn add(&mut self, route: &Route) {
        forwarded(route).for_each(|spelling| *self.routes.entry(spelling).or_default() += 1);
    }

    /// Counts a route that was counted no more.
    pub(crate) fn remove(&mut self, route: &Route) {
        for spelling in forwarded(route) {
            if let Entry::Occupied(mut routes) = self.routes.entry(spelling) {
                *routes.get_mut() -= 1;
                if *routes.get() == 0 {
                    routes.remove();
                }
            }
        }
    }

    /// Those that some route forwards something in, and that of API keys.
    pub(crate) fn headers(&self, files: &CredentialFiles) -> VouchedHeaders {
        let of_keys = files.api_keys.iter().map(|keys| folded(keys.header.name().as_str()).collect());
        let mut spellings: Vec<_> = self.routes.keys().cloned().chain(of_keys).collect();
        spellings.sort_unstable();
        VouchedHeaders { spellings }
    }
}

fn forwarded(route: &Route) -> impl Iterator<Item = Box<[u8]>> {
    let headers = route.auth.iter().flat_map(|auth| auth.forward_claims.as_map().values());
    let services = route.auth.iter().filter_map(|auth| auth.external.as_deref());
    let headers = headers.chain(services.flat_map(|service| &service.forward_headers));
    let forwarded = headers.map(|header| header.name().as_str());
    // A claim that is told in a text is told all the same.
    let told = route.request_headers.templates().filter(|(_, template)| template.has_claims());
    forwarded.chain(told.map(|(name, _)| name.as_str())).map(|name| folded(name).collect())
}

impl VouchedHeaders {
    /// Removes them, in every spelling that some server takes for the same name.
    pub fn strip(&self, headers: &mut Fields) {
        if self.spellings.is_empty() {
            return;
        }
        let is_vouched = |name: &HeaderName| {
            let name = name.as_str();
            self.spellings.binary_search_by(|spelling| spelling.iter().copied().cmp(folded(name))).is_ok()
        };
        headers.retain(|name| !is_vouched(name));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apigw_config::{
        model::{ApiKeyFile, ForwardedClaims},
        names::{AuthMethod, ForwardedHeader, PathPrefix, RouteName, UpstreamUrl},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::callers::Vouched;

    fn claims(value: &Value) -> Claims {
        Claims::new(value.as_object().unwrap().clone())
    }

    fn rules(scopes: &[&str], required: &[(&str, &str)], forwarded: &[(&str, &str)]) -> AccessRules {
        let forwarded: BTreeMap<_, _> = forwarded
            .iter()
            .map(|(claim, header)| (ClaimName::new(claim).unwrap(), ForwardedHeader::new(header).unwrap()))
            .collect();
        let config = RouteAuth {
            required_scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
            required_claims: required
                .iter()
                .map(|(name, value)| (ClaimName::new(name).unwrap(), ClaimValue::new(value).unwrap()))
                .collect(),
            forward_claims: ForwardedClaims::new(forwarded).unwrap(),
            ..RouteAuth::default()
        };
        let sources = Sources { providers: &Providers::default(), files: &CredentialFiles::default() };
        AccessRules::new(Some(&config), sources, None)
    }

    #[test]
    fn all_scopes_and_all_claims_are_needed() {
        let rules = rules(&["a:read", "b"], &[("tier", "gold"), ("level", "7")], &[]);
        let with = |scope: &str, tier: &str| claims(&json!({"scope": scope, "tier": tier, "level": 7}));
        assert_eq!(rules.judge(&with("b a:read c", "gold")), Ok(()));
        let mismatch = rules.judge(&with("b a:read", "silver")).unwrap_err();
        assert_eq!(mismatch.challenge().unwrap(), INSUFFICIENT_SCOPE);
        let refused = rules.judge(&with("a:read", "gold")).unwrap_err();
        assert_eq!(refused.challenge().unwrap(), r#"Bearer error="insufficient_scope", scope="a:read b""#);
        // Who has no token is not told to ask for another one.
        let vouched = Vouched::new(AuthMethod::ApiKey, with("a:read", "gold"));
        let refused = rules.admit(&Caller::Vouched(Arc::new(vouched))).unwrap_err();
        assert_eq!((refused.reason(), refused.challenge()), ("scope_missing", None));
    }

    #[test]
    fn chosen_claims_are_forwarded_where_they_fit_into_a_header() {
        let rules = rules(&[], &[], &[("sub", "x-user"), ("name", "x-name"), ("tier", "x-tier")]);
        let mut headers = Fields::new();
        rules.forward(&claims(&json!({"sub": "alice", "name": "é"})), &mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers.get(HeaderName::from_static("x-user")).unwrap(), "alice");
    }

    /// A route that forwards something in this header.
    fn forwarding(header: &str) -> Route {
        let (claim, header) = (ClaimName::new("sub").unwrap(), ForwardedHeader::new(header).unwrap());
        let forward_claims = ForwardedClaims::new([(claim, header)].into()).unwrap();
        let (name, prefix) = (RouteName::new("a").unwrap(), PathPrefix::new("/").unwrap());
        let route = Route::new(name, prefix, UpstreamUrl::new("http://h").unwrap());
        Route { auth: Some(RouteAuth { forward_claims, ..RouteAuth::default() }), ..route }
    }

    #[test]
    fn inbound_copies_are_removed_in_every_spelling() {
        let mut tally = VouchedTally::default();
        let routes = ["x-user_id", "x-tenant", "x-user-id", "x-other"].map(forwarding);
        routes.iter().for_each(|route| tally.add(route));
        tally.add(&routes[0]);
        tally.remove(&routes[0]);
        tally.remove(&routes[3]);
        let header = ForwardedHeader::new("my-key").unwrap();
        let api_keys = Some(ApiKeyFile { file: "keys.yaml".parse().unwrap(), header });
        let vouched = tally.headers(&CredentialFiles { api_keys, basic: None });
        let mut headers = Fields::new();
        for name in [
            "X-User-Id",
            "x_user_id",
            "x-user_id",
            "x.user.id",
            "x-user",
            "x-user-ids",
            "x_tenant",
            "my_key",
            "My-Key",
            "x-other",
        ] {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("1"));
        }
        vouched.strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-other", "x-user", "x-user-ids"]);
    }
}
