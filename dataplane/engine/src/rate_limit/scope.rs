//! What tells one caller of a scope from another.
//!
//! A caller who does not have what the scope asks for is counted by his address, and told so. Nothing here is logged or
//! shown: a header's value may be a secret.

use std::{
    borrow::Cow,
    hash::{Hash, Hasher},
    net::IpAddr,
};

use apigw_config::{
    model::RateLimitScope,
    names::{ClaimName, HeaderName},
};

use crate::{client::Network, fields::Fields};

/// Who sent a request, as far as the policies before this one know.
#[derive(Debug, Clone)]
pub struct Counted<'a> {
    /// The client's address, which the gateway believes.
    pub address: IpAddr,
    /// Of a caller who is known.
    pub user: Option<User<'a>>,
    /// The request's fields.
    pub headers: &'a Fields,
    /// The claim that the scope names, if it names one, as text.
    pub claim: Option<Cow<'a, str>>,
}

/// A user: the subject of one provider's tokens, or of one file of credentials. Two of them may give two people one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User<'a> {
    /// The provider's name, or what no provider is called.
    pub provider: &'a str,
    /// The subject.
    pub subject: &'a str,
}

/// A user of the provider whom the file does not name.
#[cfg(test)]
pub(super) fn default_user(subject: &str) -> User<'_> {
    User { provider: "default", subject }
}

/// What tells one caller of a scope from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeValue<'a> {
    /// An IPv4 address, also of an IPv6 socket (`::ffff:192.0.2.1`).
    V4([u8; 4]),
    /// The network of an IPv6 address, a /64: what one customer is given at least, and can take any address of.
    V6([u8; 8]),
    /// The subject of a token.
    User(User<'a>),
    /// All callers.
    Route,
    /// The value of a header field.
    Header(&'a HeaderName, &'a [u8]),
    /// The value of a claim.
    Claim(&'a ClaimName, Cow<'a, str>),
}

impl<'a> ScopeValue<'a> {
    /// What tells this caller from others: his address, when he has not what the scope asks for. Empty is not having
    /// it, and so is a header field that came more than once.
    #[must_use]
    pub fn of(scope: &'a RateLimitScope, caller: &Counted<'a>) -> Self {
        let own = match scope {
            RateLimitScope::Ip => None,
            RateLimitScope::User => caller.user.filter(|user| !user.subject.is_empty()).map(Self::User),
            RateLimitScope::Route => Some(Self::Route),
            RateLimitScope::Header(name) => {
                only_value(caller.headers, name).map(|value| Self::Header(name, value))
            }
            RateLimitScope::Claim(name) => {
                let claim = caller.claim.clone().filter(|claim| !claim.is_empty());
                claim.map(|claim| Self::Claim(name, claim))
            }
        };
        own.unwrap_or_else(|| Self::of_address(caller.address))
    }

    fn of_address(address: IpAddr) -> Self {
        match Network::of(address) {
            Network::V4(octets) => Self::V4(octets),
            Network::V6(network) => Self::V6(network),
        }
    }

    /// Whether the caller is told from others by his address.
    #[must_use]
    pub fn is_address(&self) -> bool {
        matches!(self, Self::V4(_) | Self::V6(_))
    }

    /// The value in bytes that no other value has: its kind, its name with its length in front, and what is left.
    pub(super) fn feed(&self, mut sink: impl FnMut(&[u8])) {
        let (kind, name, value): (u8, &str, &[u8]) = match self {
            Self::V4(octets) => (1, "", octets),
            Self::V6(network) => (2, "", network),
            Self::User(User { provider, subject }) => (3, provider, subject.as_bytes()),
            Self::Route => (4, "", &[]),
            Self::Header(name, value) => (5, name.as_str(), value),
            Self::Claim(name, value) => (6, name.as_str(), value.as_bytes()),
        };
        sink(&[kind]);
        sink(&(name.len() as u64).to_le_bytes());
        sink(name.as_bytes());
        sink(value);
    }
}

impl Hash for ScopeValue<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.feed(|bytes| state.write(bytes));
    }
}

fn only_value<'a>(headers: &'a Fields, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name.as_http());
    let only = values.next().filter(|value| !value.is_empty())?;
    values.next().is_none().then(|| only.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName as HttpName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn caller(headers: &Fields) -> Counted<'_> {
        Counted { address: "192.0.2.1".parse().unwrap(), user: None, headers, claim: None }
    }

    fn check_address(address: &str, expected: &ScopeValue<'_>) {
        assert_eq!(&ScopeValue::of_address(address.parse().unwrap()), expected, "{address}");
    }

    fn bytes(value: &ScopeValue<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.feed(|part| bytes.extend_from_slice(part));
        bytes
    }

    #[test]
    fn callers_of_one_network_are_one() {
        check_address("192.0.2.1", &ScopeValue::V4([192, 0, 2, 1]));
        check_address("::ffff:192.0.2.1", &ScopeValue::V4([192, 0, 2, 1]));
        check_address("2001:db8:1:2:3:4:5:6", &ScopeValue::V6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]));
        check_address("2001:db8:1:2::", &ScopeValue::V6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]));
        check_address("2001:db8:1:3::", &ScopeValue::V6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 3]));
    }

    fn scope(word: &str) -> RateLimitScope {
        word.parse().unwrap()
    }

    fn header(name: &str) -> HeaderName {
        HeaderName::new(name).unwrap()
    }

    fn claim(name: &str) -> ClaimName {
        ClaimName::new(name).unwrap()
    }

    #[test]
    fn each_scope_takes_its_own_value() {
        let headers =
            Fields::from_iter([(HttpName::from_static("x-tenant"), HeaderValue::from_static("t1"))]);
        let caller =
            Counted { user: Some(default_user("alice")), claim: Some("gold".into()), ..caller(&headers) };
        let (tenant, tier) = (header("X-Tenant"), claim("tier"));
        for (word, expected) in [
            ("ip", ScopeValue::V4([192, 0, 2, 1])),
            ("user", ScopeValue::User(default_user("alice"))),
            ("route", ScopeValue::Route),
            ("header:x-tenant", ScopeValue::Header(&tenant, b"t1")),
            ("claim:tier", ScopeValue::Claim(&tier, "gold".into())),
        ] {
            let scope = scope(word);
            assert_eq!(ScopeValue::of(&scope, &caller), expected);
            assert_eq!(expected.is_address(), word == "ip");
        }
    }

    #[test]
    fn who_has_not_what_is_asked_for_is_counted_by_address() {
        let twice = HttpName::from_static("x-twice");
        let mut headers =
            Fields::from_iter([(HttpName::from_static("x-empty"), HeaderValue::from_static(""))]);
        headers.append(&twice, HeaderValue::from_static("a"));
        headers.append(&twice, HeaderValue::from_static("b"));
        let nobody = caller(&headers);
        let empty = Counted { user: Some(default_user("")), claim: Some("".into()), ..nobody.clone() };
        for word in ["user", "header:x-tenant", "header:x-empty", "header:x-twice", "claim:tier"] {
            let scope = scope(word);
            for caller in [&nobody, &empty] {
                assert_eq!(ScopeValue::of(&scope, caller), ScopeValue::V4([192, 0, 2, 1]), "{word}");
            }
        }
    }

    #[test]
    fn values_of_different_scopes_are_never_the_same_bytes() {
        let headers = [header("x"), header("xa")];
        let claims = [claim("x"), claim("xa")];
        let values = [
            ScopeValue::V4(*b"abcd"),
            ScopeValue::V6(*b"abcdefgh"),
            ScopeValue::User(default_user("abcd")),
            ScopeValue::User(default_user("abcdefgh")),
            ScopeValue::Route,
            ScopeValue::Header(&headers[0], b"abcd"),
            ScopeValue::Header(&headers[1], b"bcd"),
            ScopeValue::Claim(&claims[0], "abcd".into()),
            ScopeValue::Claim(&claims[1], "bcd".into()),
        ];
        for (index, value) in values.iter().enumerate() {
            for other in &values[index + 1..] {
                assert_ne!(bytes(value), bytes(other));
            }
        }
    }

    proptest! {
        #[test]
        fn claims_of_different_names_or_values_are_different(
            a in ("[a-c:]{1,4}", "[a-c:]{0,4}"),
            b in ("[a-c:]{1,4}", "[a-c:]{0,4}"),
        ) {
            let value = |(name, value): &(String, String)| {
                bytes(&ScopeValue::Claim(&claim(name), value.clone().into()))
            };
            prop_assert_eq!(value(&a) == value(&b), a == b);
        }
    }
}
