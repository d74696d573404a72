//! Certificates of clients: which names there are in one, and whether a route serves somebody with one of them. That it is his, and
//! that an authority of the file vouches for it, the handshake has shown.

use std::sync::Arc;

use apigw_config::{
    model::Mtls,
    names::{AuthMethod, EmailPattern},
};
use serde_json::{Map, Value};

use super::Vouched;
use crate::jwt::claims::Claims;

/// The most names that are looked at; a certificate that has more makes nobody known.
const MAX_NAMES: usize = 100;

/// The most bytes of a name.
const MAX_NAME_BYTES: usize = 2_048;

/// Why a request does not show by a certificate who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MtlsError {
    /// The client has shown none.
    #[error("the client has shown no certificate")]
    Missing,
    /// None of its names is one of those that the route serves.
    #[error("the certificate has none of the names that the route serves")]
    Name,
}

impl MtlsError {
    /// Each of them once.
    pub const ALL: [Self; 2] = [Self::Missing, Self::Name];

    /// Stable code for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "mtls_missing",
            Self::Name => "mtls_name",
        }
    }
}

/// A name of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Dns(String),
    Uri(String),
    Email(String),
    Common(String),
}

impl Name {
    fn as_str(&self) -> &str {
        let (Self::Dns(name) | Self::Uri(name) | Self::Email(name) | Self::Common(name)) = self;
        name
    }

    fn is_one_of(&self, served: &Mtls) -> bool {
        match self {
            Self::Dns(name) => served.dns_names.iter().any(|served| served.matches(name)),
            Self::Uri(name) => served.uris.iter().any(|served| served.matches(name)),
            Self::Email(name) => served.emails.iter().any(|served| served.matches(name)),
            Self::Common(name) => served.common_names.iter().any(|served| served.as_str() == name),
        }
    }
}

/// The names of a certificate, in its order, the common name of its subject last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateNames(Vec<Name>);

impl CertificateNames {
    /// Adds a DNS name.
    pub fn add_dns(&mut self, name: &str) {
        self.add(Name::Dns(name.to_ascii_lowercase()));
    }

    /// Adds a URI.
    pub fn add_uri(&mut self, name: &str) {
        self.add(Name::Uri(name.to_owned()));
    }

    /// Adds an address of mail.
    pub fn add_email(&mut self, name: &str) {
        self.add(Name::Email(EmailPattern::normal(name)));
    }

    /// Adds the subject's common name, if that is the only one.
    pub fn add_common_names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        let mut names = names.into_iter();
        if let (Some(name), None) = (names.next(), names.next()) {
            self.add(Name::Common(name.to_owned()));
        }
    }

    /// A name for several is nobody's, nor is one that could not stand in a log or a field as it is.
    fn add(&mut self, name: Name) {
        let text = name.as_str();
        let is_plain =
            !text.is_empty() && !text.chars().any(|character| character.is_control() || character == '*');
        if is_plain && text.len() <= MAX_NAME_BYTES {
            self.0.push(name);
        }
    }

    /// Who has such a certificate, by the first of its names that is served.
    ///
    /// # Errors
    /// When there is none.
    pub fn identify(&self, served: &Mtls) -> Result<Arc<Vouched>, MtlsError> {
        let looked_at = Some(&self.0).filter(|names| names.len() <= MAX_NAMES);
        let name = looked_at.and_then(|names| names.iter().find(|name| name.is_one_of(served)));
        let name = name.ok_or(MtlsError::Name)?.as_str();
        let claims = Map::from_iter([("sub".to_owned(), Value::from(name))]);
        Ok(Arc::new(Vouched::new(AuthMethod::Mtls, Claims::new(claims))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served() -> Mtls {
        Mtls {
            dns_names: vec!["*.shop.internal".parse().unwrap()],
            uris: vec!["spiffe://prod/ns/*".parse().unwrap()],
            emails: vec!["*@example.com".parse().unwrap()],
            common_names: vec!["legacy".parse().unwrap()],
        }
    }

    fn identify(add: impl FnOnce(&mut CertificateNames)) -> Result<String, MtlsError> {
        let mut names = CertificateNames::default();
        add(&mut names);
        names.identify(&served()).map(|caller| caller.name().unwrap().to_owned())
    }

    #[test]
    fn the_first_name_that_is_served_is_the_callers() {
        let all = |names: &mut CertificateNames| {
            names.add_dns("other.internal");
            names.add_email("Ops@EXAMPLE.com");
            names.add_uri("spiffe://prod/ns/a");
            names.add_common_names(["legacy"]);
        };
        assert_eq!(identify(all), Ok("Ops@example.com".into()));
        assert_eq!(identify(|names| names.add_dns("A.Shop.Internal")), Ok("a.shop.internal".into()));
        assert_eq!(identify(|names| names.add_uri("spiffe://prod/ns/a")), Ok("spiffe://prod/ns/a".into()));
    }

    #[test]
    fn a_name_of_one_kind_is_none_of_another() {
        assert_eq!(identify(|names| names.add_uri("a.shop.internal")), Err(MtlsError::Name));
        assert_eq!(identify(|names| names.add_dns("legacy")), Err(MtlsError::Name));
        assert_eq!(identify(|names| names.add_common_names(["a.shop.internal"])), Err(MtlsError::Name));
    }

    #[test]
    fn of_several_common_names_none_counts_and_none_is_made_of_a_part() {
        assert_eq!(identify(|names| names.add_common_names(["legacy"])), Ok("legacy".into()));
        for names in [&["legacy", "legacy"][..], &["other", "legacy"], &["x, CN=legacy"], &[]] {
            assert_eq!(identify(|all| all.add_common_names(names.iter().copied())), Err(MtlsError::Name));
        }
    }

    #[test]
    fn names_for_several_and_names_that_no_line_can_hold_are_nobodys() {
        let too_long = format!("{}.shop.internal", "a".repeat(MAX_NAME_BYTES));
        for name in ["*.shop.internal", "a\0.shop.internal", "a\n.shop.internal", "", too_long.as_str()] {
            assert_eq!(identify(|names| names.add_dns(name)), Err(MtlsError::Name), "{name:?}");
        }
    }

    #[test]
    fn a_certificate_with_too_many_names_makes_nobody_known() {
        let with = |count| {
            identify(|names| (0..count).for_each(|number| names.add_dns(&format!("h{number}.shop.internal"))))
        };
        assert_eq!(with(MAX_NAMES), Ok("h0.shop.internal".into()));
        assert_eq!(with(MAX_NAMES + 1), Err(MtlsError::Name));
    }
}
