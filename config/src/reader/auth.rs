//! Reads `auth`. The section of a mode that is not chosen is read all the same, so that no mistake waits in it.

use std::str::FromStr;

use super::{Mapping, Place, Read, Reader, values::IfFilled};
use crate::{
    model::{Auth, Jwks, Secret},
    names::{Algorithms, Period, Span, UpstreamUrl, ValueError},
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

impl Read for Auth {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let mode = keys.required("mode");
        let jwks = keys.or("jwks", JwksInFile(None));
        let secret = keys.or("hmac_secret", IfFilled(None));
        let auth = match mode {
            None => None,
            Some(Mode::Jwks) => jwks.and_then(|JwksInFile(jwks)| {
                if jwks.is_none() {
                    keys.report_beneath("jwks", "url", "missing, but the mode is \"jwks\"");
                }
                jwks.map(Self::Jwks)
            }),
            Some(Mode::Hmac) => secret.and_then(|IfFilled::<Secret>(secret)| {
                if secret.is_none() {
                    keys.report("hmac_secret", "missing, but the mode is \"hmac\"");
                }
                secret.map(Self::Hmac)
            }),
        };
        keys.finish();
        auth
    }
}

/// The `jwks` section; none without a URL, which is a problem only in its mode.
struct JwksInFile(Option<Jwks>);

impl Read for JwksInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let url: Option<IfFilled<UpstreamUrl>> = keys.or("url", IfFilled(None));
        let issuers = keys.or("issuers", Vec::new());
        let audiences = keys.or("audiences", Vec::new());
        let algorithms = keys.or("algorithms", Algorithms::default());
        let cache_ttl = keys.or("cache_ttl_seconds", Period::seconds(300));
        let http_timeout = keys.or("http_timeout_seconds", Period::seconds(3));
        let leeway = keys.or("leeway_seconds", Span::seconds(30));
        keys.finish();

        let (IfFilled(url), issuers, audiences) = (url?, issuers?, audiences?);
        let (algorithms, cache_ttl, http_timeout, leeway) = (algorithms?, cache_ttl?, http_timeout?, leeway?);
        Some(Self(url.map(|url| Jwks {
            url,
            issuers,
            audiences,
            algorithms,
            cache_ttl,
            http_timeout,
            leeway,
        })))
    }
}
