//! Reads how a peer's callers are known, and what a route asks of them.

use std::collections::BTreeMap;

use apigw_proto::v1;

use super::{Fields, Reported, external_auth::external_auth, mtls::mtls};
use crate::{
    model::{
        ApiKeyFile, Auth, AuthError, AuthMethods, Combination, CredentialFiles, ForwardedClaims, Jwks,
        PolicyError, Provider, ProviderKind, RouteAuth, UserFile,
    },
    names::{
        Algorithms, ClaimName, ClaimValue, ForwardedHeader, ProviderName, Secret, Span, UpstreamUrl,
        ValueError,
    },
    problem::{KeyPath, Problems},
};

pub(super) fn auth(message: v1::Auth, problems: &mut Problems) -> Option<Auth> {
    let auth = KeyPath::Top.key("auth");
    let at = auth.key("providers");
    let count = message.providers.len();
    let messages = message.providers.into_iter().enumerate();
    let providers: Vec<_> =
        messages.filter_map(|(index, message)| provider(message, &at.index(index), problems)).collect();
    let api_keys = section(message.api_keys.as_ref(), |message| api_key_file(message, &auth, problems));
    let basic = section(message.basic.as_ref(), |message| user_file(message, &auth, problems));
    if providers.len() < count {
        return None;
    }
    let files = CredentialFiles { api_keys: api_keys.ok()?, basic: basic.ok()? };
    let report = |errors: Vec<AuthError>| {
        for error in errors {
            match error {
                AuthError::NoProviders => problems.report(None, &at, error),
                AuthError::DuplicateName { second, .. } => {
                    problems.report(None, &at.index(second).key("name"), error);
                }
            }
        }
    };
    Auth::new(providers, files).map_err(report).ok()
}

/// A message that may be absent. What is there must be readable.
fn section<M, T>(message: Option<&M>, read: impl FnOnce(&M) -> Option<T>) -> Result<Option<T>, Reported> {
    message.map_or(Ok(None), |message| read(message).map(Some).ok_or(Reported))
}

fn api_key_file(message: &v1::ApiKeyFile, auth: &KeyPath<'_>, problems: &mut Problems) -> Option<ApiKeyFile> {
    let mut fields = Fields { at: auth.key("api_keys"), problems };
    let file = fields.take("file", message.file.parse());
    let header = fields.take("header", ForwardedHeader::new(&message.header));
    Some(ApiKeyFile { file: file?, header: header? })
}

fn user_file(message: &v1::UserFile, auth: &KeyPath<'_>, problems: &mut Problems) -> Option<UserFile> {
    let mut fields = Fields { at: auth.key("basic"), problems };
    let file = fields.take("file", message.file.parse());
    let realm = fields.take("realm", message.realm.parse());
    Some(UserFile { file: file?, realm: realm? })
}

fn provider(message: v1::Provider, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Provider> {
    let mut fields = Fields { at: *at, problems };
    let name = fields.take("name", ProviderName::new(&message.name));
    let kind = match fields.needed("jwks", message.kind) {
        None => None,
        Some(v1::provider::Kind::Hmac(v1::Hmac { secret })) => {
            fields.take("hmac_secret", Secret::new(secret)).map(ProviderKind::Hmac)
        }
        Some(v1::provider::Kind::Jwks(message)) => {
            jwks(&message, &at.key("jwks"), fields.problems).map(ProviderKind::Jwks)
        }
    };
    let leeway = fields.take("leeway_seconds", Span::from_micros(message.leeway_us));
    Some(Provider {
        name: name?,
        kind: kind?,
        issuers: message.issuers,
        audiences: message.audiences,
        leeway: leeway?,
    })
}

fn jwks(message: &v1::Jwks, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Jwks> {
    let mut fields = Fields { at: *at, problems };
    let url = fields.take("url", UpstreamUrl::new(&message.url));
    let algorithms = fields.parse_all("algorithms", &message.algorithms);
    let algorithms = algorithms.and_then(|list| fields.take("algorithms", Algorithms::new(list)));
    let cache_ttl = fields.period("cache_ttl_seconds", message.cache_ttl_us);
    let http_timeout = fields.period("http_timeout_seconds", message.http_timeout_us);
    Some(Jwks { url: url?, algorithms: algorithms?, cache_ttl: cache_ttl?, http_timeout: http_timeout? })
}

pub(super) fn route_auth(
    message: &v1::RouteAuth,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<RouteAuth> {
    let mut fields = Fields { at: *at, problems };
    let methods = methods(message, &mut fields);
    let providers = fields.parse_all("providers", &message.providers);
    let required_scopes = fields.parse_all("required_scopes", &message.required_scopes);
    let required_claims = by_claim("required_claims", &message.required_claims, ClaimValue::new, &mut fields);
    let forwarded = by_claim("forward_claims", &message.forward_claims, ForwardedHeader::new, &mut fields);
    let forward_claims =
        forwarded.and_then(|headers| fields.take("forward_claims", ForwardedClaims::new(headers)));
    let mode = fields.mode("mode", &message.mode);
    let external = section(message.external.as_ref(), |service| {
        external_auth(service, &at.key("external"), fields.problems)
    });
    let certificates =
        section(message.mtls.as_ref(), |certificates| mtls(certificates, &at.key("mtls"), fields.problems));
    let auth = RouteAuth {
        methods: methods.ok()?,
        mtls: certificates.ok()?.map(Box::new),
        external: external.ok()?.map(Box::new),
        providers: providers?,
        required_scopes: required_scopes?,
        required_claims: required_claims?,
        forward_claims: forward_claims?,
        mode: mode?,
    };
    let report = |errors: Vec<PolicyError>| {
        for PolicyError { key, error } in errors {
            fields.take::<()>(key, Err(error));
        }
    };
    auth.checked().map_err(report).ok()
}

/// In how callers make themselves known; none: the message says nothing of it.
fn methods(message: &v1::RouteAuth, fields: &mut Fields<'_, '_>) -> Result<Option<AuthMethods>, Reported> {
    let (combination, words) = match (message.any.as_slice(), message.all.as_slice()) {
        ([], []) => return Ok(None),
        (words, []) => (Combination::Any, words),
        ([], words) => (Combination::All, words),
        _ => {
            fields.take::<()>("all", Err(ValueError::AnyAndAll));
            return Err(Reported);
        }
    };
    let methods = fields.parse_all(combination.key(), words);
    let methods =
        methods.and_then(|list| fields.take(combination.key(), AuthMethods::new(combination, list)));
    methods.map(Some).ok_or(Reported)
}

/// What is said of each claim; every illegal entry is a problem.
fn by_claim<T>(
    key: &str,
    texts: &BTreeMap<String, String>,
    constructor: impl Fn(&str) -> Result<T, ValueError>,
    fields: &mut Fields<'_, '_>,
) -> Option<BTreeMap<ClaimName, T>> {
    let at = fields.at;
    let mut entries = Fields { at: at.key(key), problems: fields.problems };
    let mut values = BTreeMap::new();
    for (name, text) in texts {
        let value = entries.take(name, constructor(text));
        values.extend(entries.take(name, ClaimName::new(name)).zip(value));
    }
    (values.len() == texts.len()).then_some(values)
}
