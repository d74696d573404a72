//! The way from the top of a configuration down to one key, kept on the stack of whoever walks it.

use std::fmt;

/// One key or index, and the way to it. Walking down costs nothing; only a problem writes the whole path out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyPath<'a> {
    /// The configuration itself.
    Top,
    /// A key of a mapping.
    Key(&'a KeyPath<'a>, &'a str),
    /// An entry of a list, from 0.
    Index(&'a KeyPath<'a>, usize),
}

impl KeyPath<'_> {
    /// A key beneath this place.
    pub(crate) fn key<'a>(&'a self, key: &'a str) -> KeyPath<'a> {
        KeyPath::Key(self, key)
    }

    /// A list's entry beneath this place.
    pub(crate) fn index(&self, index: usize) -> KeyPath<'_> {
        KeyPath::Index(self, index)
    }
}

impl fmt::Display for KeyPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Key(parent, key) => {
                if !matches!(parent, KeyPath::Top) {
                    write!(f, "{parent}.")?;
                }
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-<".contains(c);
                if !key.is_empty() && key.chars().all(is_plain) {
                    f.write_str(key)
                } else {
                    write!(f, "{key:?}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_from_the_top() {
        let routes = KeyPath::Top.key("routes");
        let fourth = routes.index(3);
        assert_eq!(fourth.key("rate_limit").key("rps").to_string(), "routes[3].rate_limit.rps");
        assert_eq!(KeyPath::Top.to_string(), "");
    }

    #[test]
    fn an_odd_key_is_quoted_so_that_a_path_stays_one_line() {
        assert_eq!(KeyPath::Top.key("a\nb").key("").to_string(), r#""a\nb".""#.to_owned() + "\"");
    }
}
