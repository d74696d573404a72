//! `routes[].auth.mtls`: whose certificates make a caller known. Nothing here sees a certificate.

use super::PolicyError;
use crate::names::{CommonName, DnsPattern, EmailPattern, UriPattern, ValueError};

/// Names, one of which a client's certificate must have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mtls {
    /// Subject alternative names of the kind `dNSName`.
    pub dns_names: Vec<DnsPattern>,
    /// Of the kind `uniformResourceIdentifier`.
    pub uris: Vec<UriPattern>,
    /// Of the kind `rfc822Name`.
    pub emails: Vec<EmailPattern>,
    /// The common name of the subject, for certificates without such names.
    pub common_names: Vec<CommonName>,
}

impl Mtls {
    /// The most entries of each list.
    pub const MAX_NAMES: usize = 256;

    /// The lists, if they let in some and are within their bound.
    ///
    /// # Errors
    /// When they let in nobody, or are too long.
    pub(crate) fn checked(self) -> Result<Self, Vec<PolicyError>> {
        let counts = [
            ("dns_names", self.dns_names.len()),
            ("uris", self.uris.len()),
            ("emails", self.emails.len()),
            ("common_names", self.common_names.len()),
        ];
        if counts.iter().all(|(_, count)| *count == 0) {
            return Err(vec![PolicyError { key: "dns_names", error: ValueError::NoCertificateNames }]);
        }
        let too_many = counts.into_iter().filter(|(_, count)| *count > Self::MAX_NAMES);
        let errors: Vec<_> = too_many
            .map(|(key, count)| PolicyError {
                key,
                error: ValueError::TooMany { count, limit: Self::MAX_NAMES },
            })
            .collect();
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }
}
