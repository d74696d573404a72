//! Names in certificates as files let them in: one of them, or all that have an end or a beginning in common. Nothing here sees a
//! certificate.

use std::{fmt, str::FromStr, sync::Arc};

use super::{HostPattern, ValueError, check_length, checked_text};

/// Which texts are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Wanted {
    /// This one.
    Exactly(Arc<str>),
    /// All that go on after this.
    Beginning(Arc<str>),
    /// All that have something before this.
    End(Arc<str>),
}

impl Wanted {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exactly(text) => name == &**text,
            Self::Beginning(text) => name.len() > text.len() && name.starts_with(&**text),
            Self::End(text) => name.len() > text.len() && name.ends_with(&**text),
        }
    }
}

impl Wanted {
    /// Whether this matches whatever the other one matches.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exactly(name)) => self.matches(name),
            (Self::Beginning(all), Self::Beginning(some)) => some.starts_with(&**all),
            (Self::End(all), Self::End(some)) => some.ends_with(&**all),
            _ => false,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(text) => f.write_str(text),
            Self::Beginning(text) => write!(f, "{text}*"),
            Self::End(text) => write!(f, "*{text}"),
        }
    }
}

/// A kind of names, of which a file says which it wants.
macro_rules! certificate_name {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Wanted);

        impl $name {
            /// Whether a name of a certificate is one of these.
            #[must_use]
            pub fn matches(&self, name: &str) -> bool {
                self.0.matches(name)
            }

            /// Whether every name that the other one means is one of these.
            #[must_use]
            pub fn covers(&self, other: &Self) -> bool {
                self.0.covers(&other.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

certificate_name! {
    /// A DNS name, in lower case; with `*.` before it, all with one label or more in its place.
    DnsPattern
}

certificate_name! {
    /// A URI, such as a SPIFFE ID; with `/*` at its end, all that lie beneath. At most 2,048 bytes of visible ASCII.
    UriPattern
}

certificate_name! {
    /// An address of mail; with `*` before the `@`, all of the domain. The domain is in lower case.
    EmailPattern
}

checked_text! {
    /// The common name of a certificate's subject: 1 to 200 bytes without control characters.
    CommonName, at most 200 bytes, by check_common_name
}

/// The most bytes of a URI (SPIFFE ID section 2.3).
const MAX_URI_BYTES: usize = 2_048;

/// The most bytes of an address (RFC 5321 section 4.5.3.1).
const MAX_EMAIL_BYTES: usize = 320;

impl FromStr for DnsPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Ok(Self(match text.parse()? {
            HostPattern::Exactly(host) => Wanted::Exactly(host),
            HostPattern::Beneath(host) => Wanted::End(format!(".{host}").into()),
        }))
    }
}

impl FromStr for UriPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        check_length(text, MAX_URI_BYTES)?;
        let not_a_uri = || ValueError::NotACertificateUri { text: text.into() };
        let (scheme, rest) = text.split_once(':').ok_or_else(not_a_uri)?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let beginning = text.strip_suffix('*').filter(|beginning| beginning.ends_with('/'));
        let plain = beginning.unwrap_or(text);
        let is_plain = plain.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        // What lies beneath nothing would be everything.
        let names_somebody = rest.trim_start_matches('/').trim_end_matches('*').len() > 1;
        match beginning {
            _ if !(is_scheme && is_plain && names_somebody) => Err(not_a_uri()),
            Some(beginning) => Ok(Self(Wanted::Beginning(beginning.into()))),
            None => Ok(Self(Wanted::Exactly(text.into()))),
        }
    }
}

impl EmailPattern {
    /// As addresses are compared: domains in lower case (RFC 5280 section 7.5).
    #[must_use]
    pub fn normal(address: &str) -> String {
        match address.rsplit_once('@') {
            Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
            None => address.to_owned(),
        }
    }
}

impl FromStr for EmailPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        check_length(text, MAX_EMAIL_BYTES)?;
        let not_an_email = || ValueError::NotAnEmail { text: text.into() };
        let (local, domain) = text.split_once('@').ok_or_else(not_an_email)?;
        let is_legal = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"*@".contains(&byte))
        };
        if !is_legal(domain) || !(local == "*" || is_legal(local)) {
            return Err(not_an_email());
        }
        let normal = Self::normal(text);
        Ok(Self(match normal.strip_prefix("*") {
            Some(end) => Wanted::End(end.into()),
            None => Wanted::Exactly(normal.into()),
        }))
    }
}

impl FromStr for CommonName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

fn check_common_name(text: &str, limit: usize) -> Result<(), ValueError> {
    check_length(text, limit)?;
    match text.chars().find(|character| character.is_control()) {
        Some(character) => Err(ValueError::ControlCharacter { character }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say_and_nothing_beside_it() {
        let dns = |pattern: &str, name: &str| pattern.parse::<DnsPattern>().unwrap().matches(name);
        assert!(dns("A.internal", "a.internal") && dns("*.internal", "a.b.internal"));
        assert!(
            !dns("a.internal", "b.a.internal")
                && !dns("*.internal", "internal")
                && !dns("*.internal", ".internal")
        );
        assert!(!dns("*.internal", "evilinternal"));
        let uri = |pattern: &str, name: &str| pattern.parse::<UriPattern>().unwrap().matches(name);
        assert!(
            uri("spiffe://prod/shop", "spiffe://prod/shop")
                && uri("spiffe://prod/ns/*", "spiffe://prod/ns/a/b")
        );
        assert!(
            !uri("spiffe://prod/ns/*", "spiffe://prod/ns/")
                && !uri("spiffe://prod/ns/*", "spiffe://prod/ns2/a")
        );
        assert!(!uri("spiffe://prod/shop", "spiffe://PROD/shop"));
        let email = |pattern: &str, name: &str| pattern.parse::<EmailPattern>().unwrap().matches(name);
        assert!(email("ops@Example.com", "ops@example.com") && email("*@example.com", "a@example.com"));
        assert!(!email("*@example.com", "a@evil-example.com") && !email("*@example.com", "@example.com"));
        assert!(!email("ops@example.com", "Ops@example.com"));
    }

    #[test]
    fn a_pattern_covers_what_lies_within_it_and_nothing_beside_it() {
        let dns = |all: &str, some: &str| {
            DnsPattern::from_str(all).unwrap().covers(&DnsPattern::from_str(some).unwrap())
        };
        assert!(
            dns("a.example", "a.example") && dns("*.example", "a.example") && dns("*.example", "*.example")
        );
        assert!(dns("*.example", "*.b.example"));
        assert!(!dns("*.b.example", "*.example") && !dns("a.example", "*.a.example"));
        assert!(!dns("*.example", "example") && !dns("*.b.example", "*.ab.example"));
        let uri = |all: &str, some: &str| {
            UriPattern::from_str(all).unwrap().covers(&UriPattern::from_str(some).unwrap())
        };
        assert!(uri("spiffe://a/*", "spiffe://a/b/*") && uri("spiffe://a/*", "spiffe://a/b"));
        assert!(!uri("spiffe://a/b/*", "spiffe://a/*") && !uri("spiffe://a/b/*", "spiffe://a/bc/*"));
    }

    #[test]
    fn what_is_no_name_or_means_everybody_is_refused() {
        for text in ["", "*", "a b", "*.", "a.*.b", "https://a"] {
            assert!(text.parse::<DnsPattern>().is_err(), "{text:?}");
        }
        for text in [
            "",
            "spiffe",
            "spiffe:",
            "spiffe://",
            "spiffe://*",
            "spiffe:///*",
            "*",
            "spiffe://a*",
            "spiffe://*/a",
            "1a:b/c",
            "a:b c",
        ] {
            assert!(text.parse::<UriPattern>().is_err(), "{text:?}");
        }
        for text in ["", "a", "@a", "a@", "a@b@c", "*a@b", "a@*", "a@*.b", "a b@c"] {
            assert!(text.parse::<EmailPattern>().is_err(), "{text:?}");
        }
        assert!(
            CommonName::new("a, O=b").is_ok()
                && CommonName::new("a\0").is_err()
                && CommonName::new("").is_err()
        );
    }

    #[test]
    fn patterns_are_written_as_they_were_read() {
        assert_eq!("*.a.b".parse::<DnsPattern>().unwrap().to_string(), "*.a.b");
        assert_eq!("spiffe://a/b/*".parse::<UriPattern>().unwrap().to_string(), "spiffe://a/b/*");
        assert_eq!("*@a.b".parse::<EmailPattern>().unwrap().to_string(), "*@a.b");
    }
}
