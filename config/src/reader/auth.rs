//! Reads `auth`: the one provider of a mode, or a list of them, and files of credentials. The section of a mode that is not
//! chosen is read all the same, so that no mistake waits in it.

use std::str::FromStr;

use super::{Mapping, Place, Read, Reader, values::IfFilled};
use crate::{
    model::{Auth, AuthError, CredentialFiles, Jwks, Provider, ProviderKind, provider_conflicts},
    names::{Algorithms, Period, ProviderName, Secret, Span, UpstreamUrl, ValueError},
    problem::Position,
};

/// The words of `auth.mode`.
pub(super) enum Mode {
    Jwks,
    Hmac,
}

impl FromStr for Mode {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "jwks" => Ok(Self::Jwks),
            "hmac" => Ok(Self::Hmac),
            _ => Err(ValueError::UnknownChoice { choices: "jwks, hmac", text: text.into() }),
        }
    }
}

/// The keys of the style with one provider, which a list of providers replaces.
const OF_A_MODE: [&str; 3] = ["mode", "jwks", "hmac_secret"];

impl Read for Auth {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let several = keys.or("providers", None).map(|several| several.map(|Several(providers)| providers));
        let mode = keys.or("mode", None);
        let jwks = keys.or("jwks", JwksInFile(None));
        let secret = keys.or("hmac_secret", IfFilled(None));
        let (api_keys, basic) = (keys.or("api_keys", None), keys.or("basic", None));
        let has_files = keys.has("api_keys") || keys.has("basic");
        let of_a_mode = OF_A_MODE.into_iter().find(|key| keys.has(key));
        let providers = match (keys.has("providers"), of_a_mode) {
            (true, Some(other)) => {
                let reason = "either the one provider of a mode, or a list of providers";
                keys.report("providers", format_args!("not beside \"{other}\": {reason}"));
                None
            }
            (true, None) => several.flatten(),
            // Nobody is known by a token.
            (false, None) if has_files => Some(Vec::new()),
            (false, _) => mode.and_then(|mode| match mode {
                None => {
                    keys.report("mode", "missing");
                    None
                }
                Some(mode) => single(&mode, jwks, secret, &mut keys).map(|provider| vec![provider]),
            }),
        };
        keys.finish();
        let files = CredentialFiles { api_keys: api_keys?, basic: basic? };
        // Whatever is wrong across providers is reported above.
        Auth::new(providers?, files).ok()
    }
}

/// The one provider that a mode chooses.
fn single(
    mode: &Mode,
    jwks: Option<JwksInFile>,
    secret: Option<IfFilled<Secret>>,
    keys: &mut Mapping<'_, '_>,
) -> Option<Provider> {
    match mode {
        Mode::Jwks => {
            let JwksInFile(issuer) = jwks?;
            if issuer.is_none() {
                keys.report_beneath("jwks", "url", "missing, but the mode is \"jwks\"");
            }
            Some(issuer?.named(ProviderName::default()))
        }
        Mode::Hmac => {
            let IfFilled(secret) = secret?;
            if secret.is_none() {
                keys.report("hmac_secret", "missing, but the mode is \"hmac\"");
            }
            Some(hmac(ProviderName::default(), secret?, Vec::new(), Vec::new()))
        }
    }
}

/// A list of providers, of which no two have one name.
struct Several(Vec<Provider>);

impl Read for Several {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let providers: Vec<ProviderInFile> = Vec::read(place, reader)?;
        let names = providers.iter().map(|provider| provider.name.as_ref());
        let errors = provider_conflicts(names, &CredentialFiles::default());
        for error in &errors {
            match error {
                AuthError::NoProviders => {
                    reader.problems.report(Some(place.node.position), &place.path, error);
                }
                AuthError::DuplicateName { first, second, .. } => {
                    let Position { line, column } = providers[*first].name_position;
                    let message = format_args!("{error} in line {line}, column {column}");
                    let position = Some(providers[*second].name_position);
                    reader.problems.report(position, &place.path.index(*second).key("name"), message);
                }
            }
        }
        let providers = providers.into_iter().map(|provider| provider.provider).collect::<Option<_>>()?;
        errors.is_empty().then_some(Self(providers))
    }
}

fn hmac(name: ProviderName, secret: Secret, issuers: Vec<String>, audiences: Vec<String>) -> Provider {
    Provider { name, kind: ProviderKind::Hmac(secret), issuers, audiences, leeway: Provider::DEFAULT_LEEWAY }
}

/// An entry of `providers`, and what the rules across them need of it, even where the rest cannot be read.
struct ProviderInFile {
    provider: Option<Provider>,
    name: Option<ProviderName>,
    name_position: Position,
}

impl Read for ProviderInFile {
    /// Never none: a provider that cannot be read is one of the list all the same.
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let nowhere = Self { provider: None, name: None, name_position: place.node.position };
        let Some(mut keys) = Mapping::open(place, reader) else { return Some(nowhere) };
        let name: Option<ProviderName> = keys.required("name");
        let jwks: Option<Option<JwksInFile>> = keys.or("jwks", None);
        let secret: Option<Option<Secret>> = keys.or("hmac_secret", None);
        let issuers = keys.or("issuers", Vec::new());
        let audiences = keys.or("audiences", Vec::new());
        let name_position = keys.position_of("name");
        let provider = if keys.has("jwks") && keys.has("hmac_secret") {
            keys.report("hmac_secret", "not beside \"jwks\": a provider has one of them");
            None
        } else {
            match (jwks, secret) {
                (Some(Some(JwksInFile(issuer))), _) => {
                    if issuer.is_none() {
                        keys.report_beneath("jwks", "url", "missing");
                    }
                    for key in ["issuers", "audiences"] {
                        if keys.has(key) {
                            keys.report(key, "belongs in \"jwks\" where a provider has it");
                        }
                    }
                    issuer.zip(name.clone()).map(|(issuer, name)| issuer.named(name))
                }
                (_, Some(Some(secret))) => name
                    .clone()
                    .zip(issuers.zip(audiences))
                    .map(|(name, (issuers, audiences))| hmac(name, secret, issuers, audiences)),
                (Some(None), Some(None)) => {
                    keys.report("jwks", "missing, as is \"hmac_secret\": a provider has one of them");
                    None
                }
                _ => None,
            }
        };
        keys.finish();
        Some(Self { provider, name, name_position })
    }
}

/// The `jwks` section; none without a URL.
struct JwksInFile(Option<Issuer>);

/// What a `jwks` section says of its provider.
struct Issuer {
    jwks: Jwks,
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: Span,
}

impl Issuer {
    fn named(self, name: ProviderName) -> Provider {
        let Self { jwks, issuers, audiences, leeway } = self;
        Provider { name, kind: ProviderKind::Jwks(jwks), issuers, audiences, leeway }
    }
}

impl Read for JwksInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let url: Option<IfFilled<UpstreamUrl>> = keys.or("url", IfFilled(None));
        let issuers = keys.or("issuers", Vec::new());
        let audiences = keys.or("audiences", Vec::new());
        let algorithms = keys.or("algorithms", Algorithms::default());
        let cache_ttl = keys.or("cache_ttl_seconds", Period::seconds(300));
        let http_timeout = keys.or("http_timeout_seconds", Period::seconds(3));
        let leeway = keys.or("leeway_seconds", Provider::DEFAULT_LEEWAY);
        keys.finish();

        let (IfFilled(url), issuers, audiences) = (url?, issuers?, audiences?);
        let (algorithms, cache_ttl, http_timeout, leeway) = (algorithms?, cache_ttl?, http_timeout?, leeway?);
        Some(Self(url.map(|url| Issuer {
            jwks: Jwks { url, algorithms, cache_ttl, http_timeout },
            issuers,
            audiences,
            leeway,
        })))
    }
}
