//! A set of the names of fields that may take one name for another, and never loses one (a Bloom filter with one mark a name).

use http::HeaderName;

/// Names, of which each leaves one of 64 marks. Two names with the same mark are not told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Names(u64);

impl Names {
    /// No names.
    pub(super) const NONE: Self = Self(0);

    /// One name.
    #[must_use]
    pub fn of(name: &HeaderName) -> Self {
        Self::mark(name.as_str())
    }

    /// Several, in small letters.
    #[must_use]
    pub const fn of_all(names: &[&str]) -> Self {
        let (mut all, mut index) = (Self::NONE, 0);
        while index < names.len() {
            all.0 |= Self::mark(names[index]).0;
            index += 1;
        }
        all
    }

    pub(super) fn add(&mut self, names: Self) {
        self.0 |= names.0;
    }

    pub(super) fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// From the first and the last letter and the length. The factors keep the names that are looked for with every message
    /// apart from each other and from most that come.
    const fn mark(name: &str) -> Self {
        let name = name.as_bytes();
        match (name.first(), name.last()) {
            (Some(first), Some(last)) => {
                Self(1 << ((*first as usize * 36 + *last as usize * 13 + name.len() * 4) % 64))
            }
            _ => Self::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_there_is_always_found() {
        let mut names = Names::NONE;
        for name in ["host", "x-request-id", "te"] {
            assert!(!names.meet(Names::mark(name)), "{name}");
            names.add(Names::mark(name));
            assert!(names.meet(Names::mark(name)), "{name}");
        }
        assert_eq!(Names::of_all(&["host", "x-request-id", "te"]), names);
    }

    /// Otherwise what is for one connection only would be looked for in most messages.
    #[test]
    fn usual_names_are_not_taken_for_those_of_a_connection() {
        let of_connections = Names::of_all(&[
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "transfer-encoding",
            "upgrade",
        ]);
        for name in [
            "host",
            "user-agent",
            "accept",
            "accept-encoding",
            "authorization",
            "cookie",
            "content-length",
            "content-type",
            "date",
            "server",
            "x-forwarded-for",
            "x-request-id",
        ] {
            assert!(!of_connections.meet(Names::mark(name)), "{name}");
        }
    }
}
