//! Ways in which a caller makes himself known. Nothing here knows one.

use std::{fmt, str::FromStr};

use super::ValueError;

/// How a caller makes himself known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// By a token of a provider.
    Jwt,
    /// By an API key.
    ApiKey,
    /// By a name and a password.
    Basic,
}

impl AuthMethod {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
        }
    }

    /// The key of the file without which nobody makes himself known like this.
    #[must_use]
    pub fn needed_key(self) -> &'static str {
        match self {
            Self::Jwt => "auth.providers",
            Self::ApiKey => "auth.api_keys",
            Self::Basic => "auth.basic",
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
            _ => Err(ValueError::UnknownChoice { choices: "jwt, api_key, basic", text: text.into() }),
        }
    }
}
