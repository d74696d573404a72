//! Which endpoint a client is kept with, by a cookie: what its values say, and what a client is told.
//!
//! A value is a MAC of the endpoint's place, made with the secret of the configuration. So every data plane that has the
//! configuration, also after a restart, knows the values of the others and nobody else can make one; and who has one learns
//! nothing of where the endpoint is, as he could from a digest of it by trying all addresses.

use apigw_config::{
    model::SessionCookie,
    names::{BackendName, CookieLifetime, CookieName, CookieSecret, Scheme},
};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use rustc_hash::FxHashMap;

use crate::{cookies, fields::Fields};

/// What a MAC is of that is a value, so that it is none of anything else made with the same secret.
const PURPOSE: &[u8] = b"apigw session cookie";

/// How many bytes of a MAC are a value.
const MAC_BYTES: usize = 16;

/// The cookie of a backend; as many values as it has endpoints.
#[derive(Debug)]
pub(crate) struct Sessions {
    name: CookieName,
    lifetime: Option<CookieLifetime>,
    /// Of each endpoint.
    values: Box<[Box<str>]>,
    by_value: FxHashMap<Box<[u8]>, usize>,
}

impl Sessions {
    /// Of a backend's endpoints, each by the place that every data plane knows it by.
    pub(crate) fn new<'a>(
        cookie: &SessionCookie,
        backend: &BackendName,
        places: impl Iterator<Item = &'a str>,
    ) -> Self {
        let values: Box<[_]> = places.map(|place| value(&cookie.secret, backend, place)).collect();
        let by_value = values.iter().map(|value| value.as_bytes().into()).zip(0..).collect();
        Self { name: cookie.name.clone(), lifetime: cookie.lifetime, values, by_value }
    }

    /// Takes the cookie out of a request; gives the index of the endpoint that it names, if it names one. A client may send
    /// several of that name: the first that is one of ours counts.
    pub(crate) fn take(&self, headers: &mut Fields) -> Option<usize> {
        let name = self.name.as_str();
        cookies::values(headers, name).next()?;
        let index = cookies::values(headers, name).find_map(|value| self.by_value.get(value).copied());
        cookies::remove(headers, name);
        index
    }

    /// What a client is told that is kept with the endpoint of that index (RFC 6265 section 4.1).
    pub(crate) fn set_cookie(&self, index: usize, scheme: Scheme) -> Option<HeaderValue> {
        let (name, value) = (self.name.as_str(), self.values.get(index)?);
        let max_age = self.lifetime.map(|lifetime| format!("; Max-Age={}", lifetime.seconds()));
        // By such a name no browser would take it otherwise; who speaks TLS may stand before this gateway.
        let secure = match scheme {
            Scheme::Http if !self.name.is_for_secure_alone() => "",
            Scheme::Http | Scheme::Https => "; Secure",
        };
        let max_age = max_age.as_deref().unwrap_or("");
        HeaderValue::from_str(&format!("{name}={value}; Path=/{max_age}; HttpOnly; SameSite=Lax{secure}"))
            .ok()
    }
}

fn value(secret: &CookieSecret, backend: &BackendName, place: &str) -> Box<str> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    // Neither has a zero, so no two are put together to the same.
    for part in [PURPOSE, backend.as_str().as_bytes(), place.as_bytes()] {
        context.update(part);
        context.update(&[0]);
    }
    URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..MAC_BYTES]).into()
}

#[cfg(test)]
mod tests {
    use apigw_config::names::CookieLifetime;
    use http::header::COOKIE;

    use super::*;

    const PLACES: [&str; 3] = ["http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.3:80"];

    fn sessions(secret: &str, backend: &str, places: &[&str]) -> Sessions {
        let cookie = SessionCookie {
            name: CookieName::new("s").unwrap(),
            secret: CookieSecret::new(secret).unwrap(),
            lifetime: CookieLifetime::new(60).ok(),
        };
        Sessions::new(&cookie, &BackendName::new(backend).unwrap(), places.iter().copied())
    }

    fn ours() -> Sessions {
        sessions("a secret of enough bytes", "pool", &PLACES)
    }

    fn found(sessions: &Sessions, cookies: &str) -> Option<usize> {
        let mut headers: Fields = [(COOKIE, HeaderValue::from_str(cookies).unwrap())].into_iter().collect();
        sessions.take(&mut headers)
    }

    #[test]
    fn each_endpoint_is_found_by_its_own_value_wherever_it_stands_by_then() {
        let other_order =
            sessions("a secret of enough bytes", "pool", &[PLACES[2], "http://new:80", PLACES[0]]);
        for (index, after) in [(0, Some(2)), (1, None), (2, Some(0))] {
            let cookie = format!("a=b; s={}", ours().values[index]);
            assert_eq!((found(&ours(), &cookie), found(&other_order, &cookie)), (Some(index), after));
        }
    }

    #[test]
    fn what_is_made_for_another_backend_or_with_another_secret_names_nobody() {
        let others = [
            sessions("another of enough bytes..", "pool", &PLACES),
            sessions("a secret of enough bytes", "other", &PLACES),
        ];
        for other in others {
            assert_eq!(found(&ours(), &format!("s={}", other.values[0])), None);
        }
        let known = &ours().values[0];
        for forged in ["", "0", PLACES[0], &known[1..], &format!("{known}A"), &known.to_uppercase()] {
            assert_eq!(found(&ours(), &format!("s={forged}")), None, "{forged}");
        }
    }

    #[test]
    fn of_several_the_first_that_is_ours_counts_and_all_are_taken_out() {
        let text = format!("s=old; a=b; s={}; s={}", ours().values[2], ours().values[1]);
        let mut headers: Fields = [(COOKIE, HeaderValue::from_str(&text).unwrap())].into_iter().collect();
        assert_eq!(ours().take(&mut headers), Some(2));
        assert_eq!(headers.get(COOKIE).unwrap(), "a=b");
    }

    #[test]
    fn a_client_is_told_what_browsers_are_to_do_with_it() {
        let value = &ours().values[1];
        let told = |scheme| ours().set_cookie(1, scheme).unwrap().to_str().unwrap().to_owned();
        assert_eq!(told(Scheme::Http), format!("s={value}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"));
        assert_eq!(
            told(Scheme::Https),
            format!("s={value}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure")
        );
        let until_closed = Sessions { lifetime: None, ..ours() };
        let told = until_closed.set_cookie(1, Scheme::Http).unwrap();
        assert_eq!(told.to_str().unwrap(), format!("s={value}; Path=/; HttpOnly; SameSite=Lax"));
    }

    #[test]
    fn a_name_that_promises_security_keeps_its_promise_in_clear_too() {
        for (name, secure) in
            [("__Host-s", "; Secure"), ("__Secure-s", "; Secure"), ("__HOST-s", "; Secure"), ("__Hosts", "")]
        {
            let sessions = Sessions { name: CookieName::new(name).unwrap(), lifetime: None, ..ours() };
            let told = sessions.set_cookie(1, Scheme::Http).unwrap();
            // RFC 6265bis section 4.1.3.2 asks for this path and for no domain.
            let expected = format!("{name}={}; Path=/; HttpOnly; SameSite=Lax{secure}", sessions.values[1]);
            assert_eq!(told.to_str().unwrap(), expected);
        }
    }

    #[test]
    fn values_are_the_same_in_every_build() {
        // printf 'apigw session cookie\0pool\0http://10.0.0.1:80\0' |
        //   openssl dgst -sha256 -hmac 'a secret of enough bytes' -binary | head -c 16 | base64
        assert_eq!(&*ours().values[0], "_v-v02NppYPASqVB4c3qAw");
    }
}
