//! What files of credentials are made of: hashes of keys and passwords, and whose they are. Nothing here sees a request, and
//! nothing shows a hash.

use std::{fmt, str::FromStr};

use argon2::{Algorithm, Params, PasswordHash as PhcString};
use bcrypt::HashParts;

use super::{ValueError, check_length};

/// The SHA-256 of an API key, as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for KeyHash {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let digits = text.as_bytes();
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return Err(ValueError::NotAKeyHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or(ValueError::NotAKeyHash)?;
            *byte = high << 4 | low;
        }
        Ok(Self(hash))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

/// The moment from which on an API key is not taken any more, as RFC 3339 writes it (`2027-01-31T00:00:00Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(u64);

impl Expiry {
    /// Whole seconds since 1970.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Expiry {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let time = text.parse::<jiff::Timestamp>().ok();
        let seconds = time.and_then(|time| u64::try_from(time.as_second()).ok());
        seconds.map(Self).ok_or(ValueError::NotATime)
    }
}

/// Name of somebody who has a password: 1 to 200 bytes without control characters and `:`, at which a name ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserName(String);

impl UserName {
    /// The most bytes of a name.
    pub const MAX_BYTES: usize = 200;

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        match text.chars().find(|&character| character.is_control() || character == ':') {
            Some(character) => Err(ValueError::ControlCharacter { character }),
            None => Ok(Self(text.into())),
        }
    }
}

/// What a client is told that a name and a password are asked for (RFC 9110 section 11.5): 1 to 100 characters of visible
/// ASCII and spaces, without `"` and `\`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(String);

impl Realm {
    /// The most bytes of a realm.
    pub const MAX_BYTES: usize = 100;

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Realm {
    fn default() -> Self {
        Self("apigw".into())
    }
}

impl FromStr for Realm {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        let is_plain = |c: char| c == ' ' || c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        match text.chars().find(|&character| !is_plain(character)) {
            Some(character) => Err(ValueError::NotPlainText { character }),
            None => Ok(Self(text.into())),
        }
    }
}

/// What is kept of a password: bcrypt as `htpasswd -B` writes it (`$2y$10$...`), or Argon2 in the PHC string format
/// (`$argon2id$v=19$m=65536,t=3,p=4$...`). How much work it asks for is bounded, since every guess of a client costs it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Most rounds of bcrypt: two to the power of this.
    pub const MAX_BCRYPT_COST: u32 = 15;
    /// Most memory of Argon2, in KiB.
    pub const MAX_ARGON2_KIB: u32 = 128 << 10;
    /// Most passes of Argon2.
    pub const MAX_ARGON2_PASSES: u32 = 16;
    /// Most lanes of Argon2.
    pub const MAX_ARGON2_LANES: u32 = 16;

    /// The hash with what is needed to make it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of bcrypt; else it is one of Argon2.
    #[must_use]
    pub fn is_bcrypt(&self) -> bool {
        self.0.starts_with("$2")
    }
}

impl FromStr for PasswordHash {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.starts_with("$2") {
            let parts = text.parse::<HashParts>().map_err(|_| ValueError::NotAPasswordHash)?;
            if !(4..=Self::MAX_BCRYPT_COST).contains(&parts.get_cost()) {
                return Err(ValueError::PasswordWork { limits: "bcrypt with a cost from 4 to 15" });
            }
        } else {
            let phc = PhcString::new(text).map_err(|_| ValueError::NotAPasswordHash)?;
            Algorithm::try_from(phc.algorithm.as_str()).map_err(|_| ValueError::NotAPasswordHash)?;
            // Of no other version is any password right (RFC 9106 section 3.1); one that is not said is 16.
            if phc.version.is_some_and(|version| argon2::Version::try_from(version).is_err()) {
                return Err(ValueError::PasswordWork { limits: "Argon2 of version 16 or 19 (v)" });
            }
            let is_whole = phc.salt.is_some() && phc.hash.is_some();
            let params = Params::try_from(&phc).ok().filter(|_| is_whole);
            let params = params.ok_or(ValueError::NotAPasswordHash)?;
            if params.m_cost() > Self::MAX_ARGON2_KIB
                || params.t_cost() > Self::MAX_ARGON2_PASSES
                || params.p_cost() > Self::MAX_ARGON2_LANES
            {
                let limits = "Argon2 with at most 131072 KiB (m), 16 passes (t) and 16 lanes (p)";
                return Err(ValueError::PasswordWork { limits });
            }
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}
