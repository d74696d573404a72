//! Whether a policy's judgement has consequences. What they are is not known here.

use std::{fmt, str::FromStr};

use super::ValueError;

/// What follows from the judgement of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PolicyMode {
    /// What it refuses is refused.
    #[default]
    Enforce,
    /// It judges, and what it would have refused is counted and logged, but passes.
    Shadow,
    /// It does not judge.
    Off,
}

impl PolicyMode {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for PolicyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PolicyMode {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "shadow" => Ok(Self::Shadow),
            "off" => Ok(Self::Off),
            _ => Err(ValueError::UnknownChoice { choices: "enforce, shadow, off", text: text.into() }),
        }
    }
}
