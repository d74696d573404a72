//! Ways in which a caller makes himself known. Nothing here knows one.

use std::{fmt, str::FromStr};

use super::ValueError;

/// How a caller makes himself known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthMethod {
    /// By a token of a provider.
    Jwt,
    /// By an API key.
    ApiKey,
    /// By a name and a password.
    Basic,
    /// By what a service says of the request.
    External,
    /// By the certificate that it has shown.
    Mtls,
}

impl AuthMethod {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::External => "external",
            Self::Mtls => "mtls",
        }
    }

    /// The key of the section `auth` without which nobody makes himself known like this; none: there is none.
    #[must_use]
    pub fn needed_key(self) -> Option<&'static str> {
        match self {
            Self::Jwt => Some("auth.providers"),
            Self::ApiKey => Some("auth.api_keys"),
            Self::Basic => Some("auth.basic"),
            Self::External | Self::Mtls => None,
        }
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AuthMethod {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "jwt" => Ok(Self::Jwt),
            "api_key" => Ok(Self::ApiKey),
            "basic" => Ok(Self::Basic),
            "external" => Ok(Self::External),
            "mtls" => Ok(Self::Mtls),
            _ => Err(ValueError::UnknownChoice {
                choices: "jwt, api_key, basic, external, mtls",
                text: text.into(),
            }),
        }
    }
}
