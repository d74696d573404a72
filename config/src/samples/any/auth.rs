//! Any callers that are legal: how they are known, and what routes ask of them.

use proptest::{prelude::*, sample::select};

use super::{any_mode, any_period, any_span};
use crate::{
    model::*,
    names::{
        Algorithm, Algorithms, AuthMethod, ClaimName, ClaimValue, FilePath, ForwardedHeader, Period,
        ProviderName, Realm, Secret, UpstreamUrl,
    },
};

/// Takes from a route what its configuration cannot know of callers.
pub(super) fn keep_rules_of_callers(route: &mut Route, settings: &Settings) {
    route.auth_required &= settings.auth.is_some();
    route.auth = route.auth.take().map(|auth| match &settings.auth {
        Some(known) if route.auth_required => offered(auth, known, &settings.server),
        _ => RouteAuth { mode: auth.mode, ..RouteAuth::default() },
    });
    let has_methods = route.auth.as_ref().is_some_and(|auth| auth.methods.is_some());
    let has_providers = settings.auth.as_ref().is_some_and(|auth| auth.offers(AuthMethod::Jwt));
    if route.auth_required && !has_methods && !has_providers {
        route.auth_required = false;
        route.auth = None;
    }
}

/// The same with what there is.
fn offered(auth: RouteAuth, known: &Auth, server: &Server) -> RouteAuth {
    let asked = server.tls.as_ref().is_some_and(|tls| tls.client_auth.mode() != ClientAuthMode::None);
    let mtls = auth.mtls.clone().filter(|_| asked);
    let combination = auth.methods.as_ref().map_or(Combination::Any, AuthMethods::combination);
    let offered = auth.methods.iter().flat_map(AuthMethods::as_slice).copied();
    let offered = offered.filter(|method| known.offers(*method));
    let methods = offered.chain(mtls.iter().map(|_| AuthMethod::Mtls)).collect();
    let methods = AuthMethods::new(combination, methods).ok();
    let mtls = mtls.filter(|_| methods.is_some());
    let takes_tokens = methods.as_ref().is_none_or(|methods| methods.as_slice().contains(&AuthMethod::Jwt));
    let most = if takes_tokens { auth.providers.len() } else { 0 };
    let providers = known.providers().iter().take(most).map(|provider| provider.name.clone());
    RouteAuth { methods, mtls, providers: providers.collect(), ..auth }
}

fn any_methods() -> impl Strategy<Value = Option<AuthMethods>> {
    let words = vec![AuthMethod::Jwt, AuthMethod::ApiKey, AuthMethod::Basic, AuthMethod::External];
    let methods = prop::sample::subsequence(words, 0..=4).prop_shuffle();
    // Those that no route can have are none.
    (any::<bool>(), methods).prop_map(|(is_any, methods)| {
        AuthMethods::new(if is_any { Combination::Any } else { Combination::All }, methods).ok()
    })
}

fn any_credential_files() -> impl Strategy<Value = CredentialFiles> {
    let path = || "[a-z/.]{1,8}".prop_map(|text| text.parse::<FilePath>().unwrap());
    let header = "[a-z]{1,8}-x".prop_map(|text| ForwardedHeader::new(&text).unwrap());
    let realm = "[a-z]([a-z ]{0,6}[a-z])?".prop_map(|text| text.parse::<Realm>().unwrap());
    let api_keys = (path(), header).prop_map(|(file, header)| ApiKeyFile { file, header });
    let basic = (path(), realm).prop_map(|(file, realm)| UserFile { file, realm });
    (prop::option::of(api_keys), prop::option::of(basic))
        .prop_map(|(api_keys, basic)| CredentialFiles { api_keys, basic })
}

pub(super) fn any_auth() -> impl Strategy<Value = Auth> {
    let names = prop::collection::btree_set("[a-z]{1,6}", 1..4);
    let providers =
        names.prop_flat_map(|names| names.iter().map(|name| any_provider(name)).collect::<Vec<_>>());
    (providers.prop_shuffle(), any_credential_files())
        .prop_map(|(providers, files)| Auth::new(providers, files).unwrap())
}

fn any_provider(name: &str) -> impl Strategy<Value = Provider> + use<> {
    let texts = || prop::collection::vec(".{0,12}", 0..3);
    let kind =
        prop_oneof![any_jwks().prop_map(ProviderKind::Jwks), any_secret().prop_map(ProviderKind::Hmac)];
    let name = ProviderName::new(name).unwrap();
    (kind, texts(), texts(), any_span()).prop_map(move |(kind, issuers, audiences, leeway)| Provider {
        name: name.clone(),
        kind,
        issuers,
        audiences,
        leeway,
    })
}

fn any_jwks() -> impl Strategy<Value = Jwks> {
    let algorithms = ["RS256", "PS512", "ES384", "EdDSA"].map(|name| name.parse::<Algorithm>().unwrap());
    let algorithms = prop::collection::vec(select(algorithms.to_vec()), 1..4);
    (algorithms, any_period(), any_period()).prop_map(|(algorithms, cache_ttl, http_timeout)| Jwks {
        url: UpstreamUrl::new("http://127.0.0.1:9009/.well-known/jwks.json").unwrap(),
        algorithms: Algorithms::new(algorithms).unwrap(),
        cache_ttl,
        http_timeout,
    })
}

/// What a route may ask; the names of its providers are put right where the providers are known.
pub(super) fn any_route_auth() -> impl Strategy<Value = RouteAuth> {
    let providers = prop::collection::vec(Just(ProviderName::default()), 0..3);
    let scopes = prop::collection::vec("[!#-Z]{1,8}".prop_map(|text| text.parse().unwrap()), 0..3);
    let claim = || "[a-z:/]{1,8}".prop_map(|text| ClaimName::new(&text).unwrap());
    let value = "[a-zä 0-9]{1,8}".prop_map(|text| ClaimValue::new(&text).unwrap());
    let required = prop::collection::btree_map(claim(), value, 0..3);
    let forwarded = prop::collection::btree_set(claim(), 0..3).prop_map(|claims| {
        let header = |index| ForwardedHeader::new(&format!("X-Claim-{index}")).unwrap();
        let headers = claims.into_iter().enumerate().map(|(index, claim)| (claim, header(index)));
        ForwardedClaims::new(headers.collect()).unwrap()
    });
    let known_by = (any_methods(), prop::option::of(any_external()), prop::option::of(any_mtls()));
    (known_by, providers, scopes, required, forwarded, any_mode()).prop_map(
        |((methods, external, mtls), providers, required_scopes, required_claims, forward_claims, mode)| {
            // Where a service is one of the ways, there is one.
            let is_asked = |methods: &AuthMethods| {
                external.is_some() || !methods.as_slice().contains(&AuthMethod::External)
            };
            RouteAuth {
                methods: methods.filter(is_asked),
                external: external.map(Box::new),
                mtls: mtls.map(Box::new),
                providers,
                required_scopes,
                required_claims,
                forward_claims,
                mode,
            }
        },
    )
}

fn any_mtls() -> impl Strategy<Value = Mtls> {
    let dns_names = prop::collection::vec("(\\*\\.)?[a-z]{1,6}\\.internal", 1..3);
    let uris = prop::collection::vec("spiffe://[a-z]{1,6}(/[a-z]{1,3}|/\\*)", 0..3);
    let emails = prop::collection::vec("([a-z]{1,6}|\\*)@[a-z]{1,6}", 0..3);
    let common_names = prop::collection::vec("[a-z ,=]{1,6}", 0..3);
    (dns_names, uris, emails, common_names).prop_map(|(dns_names, uris, emails, common_names)| Mtls {
        dns_names: dns_names.iter().map(|text| text.parse().unwrap()).collect(),
        uris: uris.iter().map(|text| text.parse().unwrap()).collect(),
        emails: emails.iter().map(|text| text.parse().unwrap()).collect(),
        common_names: common_names.iter().map(|text| text.parse().unwrap()).collect(),
    })
}

fn any_external() -> impl Strategy<Value = ExternalAuth> {
    let names = || prop::collection::btree_set("[a-z]{1,6}-y", 0..3);
    let urls = ["http://auth/check", "https://127.0.0.1:9100", "unix:/run/auth.sock"];
    let on_failure = select(vec![ServiceFailure::Allow, ServiceFailure::Deny]);
    let more = (prop::option::of("[a-z]{1,6}"), on_failure, prop::option::of(any_cache()));
    (select(urls.to_vec()), 1..=60_000_000_u64, names(), names(), more).prop_map(
        |(url, timeout_us, asked, told, (user, on_failure, cache))| ExternalAuth {
            url: UpstreamUrl::new(url).unwrap(),
            timeout: Period::from_micros(timeout_us).unwrap(),
            request_headers: asked.iter().map(|name| name.parse().unwrap()).collect(),
            forward_headers: told.iter().map(|name| ForwardedHeader::new(name).unwrap()).collect(),
            user_header: user.map(|name| name.parse().unwrap()),
            on_failure,
            cache,
        },
    )
}

fn any_cache() -> impl Strategy<Value = ServiceCache> {
    let ignored = prop::sample::subsequence(QuestionPart::ALL.to_vec(), 0..=5).prop_shuffle();
    (1..=3_600_000_000_u64, ignored)
        .prop_map(|(ttl_us, ignore)| ServiceCache { ttl: Period::from_micros(ttl_us).unwrap(), ignore })
}

pub(super) fn any_secret() -> impl Strategy<Value = Secret> {
    ".{1,12}".prop_map(|text| Secret::new(text).unwrap())
}
