//! Names of header fields as the least careful servers read them. Those behind CGI-like interfaces take `_` for `-` (RFC 3875
//! section 4.1.18), and some take any character that is neither letter nor digit for it. To such an upstream several spellings
//! are one field, and it could not tell who wrote which.

/// A name in the one spelling that all of its spellings come to. Names are in small letters, as everywhere here.
pub fn folded(name: &str) -> impl Iterator<Item = u8> + use<'_> {
    name.bytes().map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'-' })
}

/// Whether two names are spellings of one.
#[must_use]
pub fn are_alike(one: &str, other: &str) -> bool {
    one.len() == other.len() && folded(one).eq(folded(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_digits_tell_names_apart_and_nothing_else_does() {
        for spelling in ["x-user-id", "x_user_id", "x.user~id"] {
            assert!(are_alike("x-user-id", spelling), "{spelling}");
        }
        for other in ["x-user-ids", "xuserid", "x-user-1d", ""] {
            assert!(!are_alike("x-user-id", other), "{other}");
        }
    }
}
