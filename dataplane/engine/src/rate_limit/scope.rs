//! Whose requests a limit counts together, and what tells one caller from another.
//!
//! A caller who does not have what the scope asks for is counted by his address, and told so. Nothing here is logged or
//! shown: a header's value may be a secret.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
    net::IpAddr,
    str::FromStr,
};

use http::{HeaderMap, HeaderName};

/// Whose requests are counted together: one word of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    counted_by: CountedBy,
    /// As a client is told: header names in lower case.
    word: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum CountedBy {
    Address,
    User,
    Route,
    Header(HeaderName),
    Claim(Box<str>),
}

/// Why a word is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// None of the words.
    #[error("must be one of ip, user, route, header:NAME, claim:NAME: {0:?}")]
    Unknown(String),
    /// `header:` without the name of a header field.
    #[error("not the name of a header field: {0:?}")]
    HeaderName(String),
    /// `claim:` without a name that can be told in a header field.
    #[error("not the name of a claim (1 to 200 visible ASCII characters): {0:?}")]
    ClaimName(String),
}

/// Who sent a request, as far as the policies before this one know.
#[derive(Debug, Clone)]
pub struct Caller<'a> {
    /// The client's address, which the gateway believes.
    pub address: IpAddr,
    /// The subject of the token, of one that was verified.
    pub user: Option<&'a str>,
    /// The request's fields.
    pub headers: &'a HeaderMap,
    /// The claim that [`Scope::claim`] names, as text.
    pub claim: Option<Cow<'a, str>>,
}

/// What tells one caller of a scope from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeValue<'a> {
    /// An IPv4 address, also of an IPv6 socket (`::ffff:192.0.2.1`).
    V4([u8; 4]),
    /// The network of an IPv6 address, a /64: what one customer is given at least, and can take any address of.
    V6([u8; 8]),
    /// The subject of a token.
    User(&'a str),
    /// All callers.
    Route,
    /// The value of a header field.
    Header(&'a HeaderName, &'a [u8]),
    /// The value of a claim.
    Claim(&'a str, Cow<'a, str>),
}

impl Scope {
    /// The longest name of a claim.
    const MAX_CLAIM_BYTES: usize = 200;

    fn new(counted_by: CountedBy) -> Self {
        let word: Box<str> = match &counted_by {
            CountedBy::Address => "ip".into(),
            CountedBy::User => "user".into(),
            CountedBy::Route => "route".into(),
            CountedBy::Header(name) => format!("header:{name}").into(),
            CountedBy::Claim(name) => format!("claim:{name}").into(),
        };
        Self { counted_by, word }
    }

    /// The word in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.word
    }

    /// The claim whose value tells callers apart.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match &self.counted_by {
            CountedBy::Claim(name) => Some(name),
            _ => None,
        }
    }

    /// What tells this caller from others: his address, when he has not what the scope asks for. Empty is not having
    /// it, and so is a header field that came more than once.
    #[must_use]
    pub fn value<'a>(&'a self, caller: &Caller<'a>) -> ScopeValue<'a> {
        let own = match &self.counted_by {
            CountedBy::Address => None,
            CountedBy::User => caller.user.filter(|user| !user.is_empty()).map(ScopeValue::User),
            CountedBy::Route => Some(ScopeValue::Route),
            CountedBy::Header(name) => {
                only_value(caller.headers, name).map(|value| ScopeValue::Header(name, value))
            }
            CountedBy::Claim(name) => {
                let claim = caller.claim.clone().filter(|claim| !claim.is_empty());
                claim.map(|claim| ScopeValue::Claim(name, claim))
            }
        };
        own.unwrap_or_else(|| ScopeValue::of_address(caller.address))
    }

    /// The word for what a value was really taken from: the scope's own, or `ip`.
    #[must_use]
    pub fn word_for(&self, value: &ScopeValue<'_>) -> &str {
        if value.is_address() { "ip" } else { &self.word }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let counted_by = match (text, text.split_once(':')) {
            ("ip", _) => CountedBy::Address,
            ("user", _) => CountedBy::User,
            ("route", _) => CountedBy::Route,
            (_, Some(("header", name))) => {
                let parsed = HeaderName::try_from(name).map_err(|_| ScopeError::HeaderName(name.into()))?;
                CountedBy::Header(parsed)
            }
            (_, Some(("claim", name))) => {
                let is_tellable = name.bytes().all(|byte| byte.is_ascii_graphic());
                if name.is_empty() || name.len() > Self::MAX_CLAIM_BYTES || !is_tellable {
                    return Err(ScopeError::ClaimName(name.into()));
                }
                CountedBy::Claim(name.into())
            }
            _ => return Err(ScopeError::Unknown(text.into())),
        };
        Ok(Self::new(counted_by))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)
    }
}

impl ScopeValue<'_> {
    fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
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
            Self::User(user) => (3, "", user.as_bytes()),
            Self::Route => (4, "", &[]),
            Self::Header(name, value) => (5, name.as_str(), value),
            Self::Claim(name, value) => (6, name, value.as_bytes()),
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

fn only_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let only = values.next().filter(|value| !value.is_empty())?;
    values.next().is_none().then(|| only.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn caller(headers: &HeaderMap) -> Caller<'_> {
        Caller { address: "192.0.2.1".parse().unwrap(), user: None, headers, claim: None }
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
    fn words_are_read_and_told_again() {
        for (written, told) in [
            ("ip", "ip"),
            ("user", "user"),
            ("route", "route"),
            ("header:X-Tenant", "header:x-tenant"),
            ("claim:tenant", "claim:tenant"),
            ("claim:https://example.com/Tenant", "claim:https://example.com/Tenant"),
        ] {
            assert_eq!(written.parse::<Scope>().unwrap().to_string(), told);
        }
    }

    #[test]
    fn other_words_are_refused_with_what_is_wrong() {
        let long = format!("claim:{}", "x".repeat(201));
        for wrong in ["", "IP", "users", "header", "headers:x", ":", "ip:x"] {
            assert_eq!(wrong.parse::<Scope>(), Err(ScopeError::Unknown(wrong.into())));
        }
        for wrong in ["header:", "header:a b", "header:a:b"] {
            assert!(matches!(wrong.parse::<Scope>(), Err(ScopeError::HeaderName(_))), "{wrong}");
        }
        for wrong in ["claim:", "claim:a b", "claim:\u{e9}", &long] {
            assert!(matches!(wrong.parse::<Scope>(), Err(ScopeError::ClaimName(_))), "{wrong}");
        }
        assert!(long[..long.len() - 1].parse::<Scope>().is_ok());
    }

    #[test]
    fn callers_of_one_network_are_one() {
        check_address("192.0.2.1", &ScopeValue::V4([192, 0, 2, 1]));
        check_address("::ffff:192.0.2.1", &ScopeValue::V4([192, 0, 2, 1]));
        check_address("2001:db8:1:2:3:4:5:6", &ScopeValue::V6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]));
        check_address("2001:db8:1:2::", &ScopeValue::V6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]));
        check_address("2001:db8:1:3::", &ScopeValue::V6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 3]));
    }

    #[test]
    fn each_scope_takes_its_own_value() {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("x-tenant"), HeaderValue::from_static("t1"))]);
        let caller = Caller { user: Some("alice"), claim: Some("gold".into()), ..caller(&headers) };
        for (word, expected) in [
            ("ip", ScopeValue::V4([192, 0, 2, 1])),
            ("user", ScopeValue::User("alice")),
            ("route", ScopeValue::Route),
            ("header:x-tenant", ScopeValue::Header(&HeaderName::from_static("x-tenant"), b"t1")),
            ("claim:tier", ScopeValue::Claim("tier", "gold".into())),
        ] {
            let scope: Scope = word.parse().unwrap();
            assert_eq!(scope.value(&caller), expected);
            assert_eq!(scope.word_for(&expected), word);
        }
    }

    #[test]
    fn who_has_not_what_is_asked_for_is_counted_by_address_and_told_so() {
        let twice = HeaderName::from_static("x-twice");
        let mut headers =
            HeaderMap::from_iter([(HeaderName::from_static("x-empty"), HeaderValue::from_static(""))]);
        headers.append(&twice, HeaderValue::from_static("a"));
        headers.append(&twice, HeaderValue::from_static("b"));
        let nobody = caller(&headers);
        let empty = Caller { user: Some(""), claim: Some("".into()), ..nobody.clone() };
        for word in ["user", "header:x-tenant", "header:x-empty", "header:x-twice", "claim:tier"] {
            let scope: Scope = word.parse().unwrap();
            for caller in [&nobody, &empty] {
                let value = scope.value(caller);
                assert_eq!(value, ScopeValue::V4([192, 0, 2, 1]), "{word}");
                assert_eq!(scope.word_for(&value), "ip");
            }
        }
    }

    #[test]
    fn values_of_different_scopes_are_never_the_same_bytes() {
        let (x, xa) = (HeaderName::from_static("x"), HeaderName::from_static("xa"));
        let values = [
            ScopeValue::V4(*b"abcd"),
            ScopeValue::V6(*b"abcdefgh"),
            ScopeValue::User("abcd"),
            ScopeValue::User("abcdefgh"),
            ScopeValue::Route,
            ScopeValue::Header(&x, b"abcd"),
            ScopeValue::Header(&xa, b"bcd"),
            ScopeValue::Claim("x", "abcd".into()),
            ScopeValue::Claim("xa", "bcd".into()),
        ];
        for (index, value) in values.iter().enumerate() {
            for other in &values[index + 1..] {
                assert_ne!(bytes(value), bytes(other));
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,12}|(header|claim):\\PC{0,8}") {
            let _ = text.parse::<Scope>();
        }

        #[test]
        fn claims_of_different_names_or_values_are_different(
            a in ("[a-c:]{1,4}", "[a-c:]{0,4}"),
            b in ("[a-c:]{1,4}", "[a-c:]{0,4}"),
        ) {
            let value = |(name, value): &(String, String)| bytes(&ScopeValue::Claim(name, value.clone().into()));
            prop_assert_eq!(value(&a) == value(&b), a == b);
        }
    }
}
