//! Values that the gateway writes into header fields: texts with variables. What a variable stands for is the engine's
//! business.

use std::{fmt, str::FromStr};

use http::HeaderValue;

use super::{
    ClaimName, ValueError,
    template::{Piece, Pieces},
};

/// A value with variables in it, such as `client ${client_ip}`; `$${` stands for `${`.
///
/// 1 to 1,000 bytes of visible ASCII and spaces, none at an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueTemplate {
    text: String,
    parts: Vec<TemplatePart>,
}

/// A piece of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePart {
    /// As it is: visible ASCII and spaces.
    Text(HeaderValue),
    /// What a request makes of it.
    Variable(Variable),
}

/// What a request, or what is known of it, has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Variable {
    /// The address of the client.
    ClientIp,
    /// The host that the client asked for, as it did, with its port.
    Host,
    /// The name of the route.
    Route,
    /// The id of the request.
    RequestId,
    /// The path in the form in which it is judged, before any rewriting.
    Path,
    /// The method.
    Method,
    /// How the client speaks to the gateway: `http` or `https`.
    Scheme,
    /// What a token that was believed says.
    Claim(ClaimName),
}

impl ValueTemplate {
    /// The most bytes of a value as written.
    pub const MAX_BYTES: usize = 1_000;

    /// The value as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its pieces, at least one.
    #[must_use]
    pub fn parts(&self) -> &[TemplatePart] {
        &self.parts
    }

    /// Whether it says something that a token must have said.
    #[must_use]
    pub fn has_claims(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, TemplatePart::Variable(Variable::Claim(_))))
    }
}

impl FromStr for ValueTemplate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.chars().find(|c| !c.is_ascii_graphic() && *c != ' ') {
            _ if text.is_empty() => return Err(ValueError::Empty),
            _ if text.len() > Self::MAX_BYTES => return Err(ValueError::TooLong { limit: Self::MAX_BYTES }),
            Some(character) => return Err(ValueError::NotVisibleAscii { character }),
            None if text.trim() != text => return Err(ValueError::NotVisibleAscii { character: ' ' }),
            None => {}
        }
        let part = |piece: Result<_, _>| {
            Ok(match piece? {
                Piece::Text(text) => TemplatePart::Text(
                    HeaderValue::try_from(text).expect("it was checked: visible ASCII and spaces"),
                ),
                Piece::Name(name) => TemplatePart::Variable(name.parse()?),
            })
        };
        let parts: Result<_, ValueError> = Pieces::of(text).map(part).collect();
        Ok(Self { text: text.into(), parts: parts? })
    }
}

impl FromStr for Variable {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Ok(match text {
            "client_ip" => Self::ClientIp,
            "host" => Self::Host,
            "route" => Self::Route,
            "request_id" => Self::RequestId,
            "path" => Self::Path,
            "method" => Self::Method,
            "scheme" => Self::Scheme,
            _ => match text.strip_prefix("claim:") {
                Some(name) => Self::Claim(ClaimName::new(name)?),
                None => {
                    return Err(ValueError::UnknownChoice {
                        choices: "${client_ip}, ${host}, ${route}, ${request_id}, ${path}, ${method}, \
                                  ${scheme}, ${claim:NAME}",
                        text: format!("${{{text}}}"),
                    });
                }
            },
        })
    }
}

impl fmt::Display for ValueTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
