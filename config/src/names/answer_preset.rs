//! Header fields that answers are given by one word. Which these are is the engine's business.

use std::str::FromStr;

use super::ValueError;

/// `response_headers.preset`: what answers say beside what the upstream and the file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AnswerPreset {
    /// Nothing.
    #[default]
    None,
    /// What keeps browsers from harm, where nobody has said otherwise.
    Security,
}

impl AnswerPreset {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Security => "security",
        }
    }
}

impl FromStr for AnswerPreset {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "none" => Ok(Self::None),
            "security" => Ok(Self::Security),
            _ => Err(ValueError::UnknownChoice { choices: "none, security", text: text.into() }),
        }
    }
}
