//! Files that a configuration names. Whether they are there is known where they are read.

use std::{path::Path, str::FromStr, sync::Arc};

use super::{ValueError, check_length};

/// The path of a file on the machine of whoever reads it: 1 to 4,095 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilePath(Arc<str>);

impl FilePath {
    /// The most bytes of a path: those that Linux takes.
    pub const MAX_BYTES: usize = 4_095;

    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&*self.0)
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FilePath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        match text.chars().find(|character| character.is_control()) {
            Some(character) => Err(ValueError::ControlCharacter { character }),
            None => Ok(Self(text.into())),
        }
    }
}
