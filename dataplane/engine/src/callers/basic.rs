//! Names and passwords ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)): what a request presents, and whether that is
//! right. To find that out takes long on purpose; who asks does it where nobody waits for the thread, and remembers it by the
//! [`Fingerprint`] of a guess, which tells nothing about the password.

use std::{collections::HashMap, fmt, sync::Arc};

use apigw_config::{
    model::Users,
    names::{AuthMethod, PasswordHash},
};
use argon2::{Argon2, PasswordHash as PhcString, PasswordVerifier as _};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::Vouched;
use crate::jwt::claims::Claims;

/// The most bytes of an `Authorization` header that are looked at.
pub const MAX_BYTES: usize = 2_048;

/// Why a request does not show by a password who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BasicError {
    /// There is no `Authorization` header, or one of another scheme.
    #[error("no name and password were sent")]
    Missing,
    /// There are several: it is not clear which is meant.
    #[error("more than one Authorization header")]
    Several,
    /// Not a name and a password in base64.
    #[error("the name and the password are malformed")]
    Malformed,
    /// Nobody has this name, or he has another password. Which of them it is, nobody is told.
    #[error("the name or the password is wrong")]
    Wrong,
    /// As many passwords wait to be looked at as may.
    #[error("too many passwords wait to be looked at")]
    Busy,
}

impl BasicError {
    /// Each of them once.
    pub const ALL: [Self; 5] = [Self::Missing, Self::Several, Self::Malformed, Self::Wrong, Self::Busy];

    /// Stable code for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "basic_missing",
            Self::Several => "basic_several",
            Self::Malformed => "basic_malformed",
            Self::Wrong => "basic_wrong",
            Self::Busy => "basic_busy",
        }
    }
}

/// A name and a password, as presented.
pub struct Credentials {
    user: String,
    password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Whether an `Authorization` header is of this scheme (RFC 9110 section 11.1: in any case).
#[must_use]
pub fn is_basic(header: &[u8]) -> bool {
    let scheme = header.split(|&byte| byte == b' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"basic")
}

/// What a request presents in its only `Authorization` header.
///
/// # Errors
/// When there is no header of this scheme, several, or one that holds no name and password.
pub fn presented<'a>(headers: impl IntoIterator<Item = &'a [u8]>) -> Result<Credentials, BasicError> {
    let mut headers = headers.into_iter();
    let header = headers.next().ok_or(BasicError::Missing)?;
    if headers.next().is_some() {
        return Err(BasicError::Several);
    }
    if !is_basic(header) {
        return Err(BasicError::Missing);
    }
    if header.len() > MAX_BYTES {
        return Err(BasicError::Malformed);
    }
    let decoded = STANDARD.decode(header["basic".len()..].trim_ascii()).map_err(|_| BasicError::Malformed)?;
    let colon = decoded.iter().position(|&byte| byte == b':').ok_or(BasicError::Malformed)?;
    let user = std::str::from_utf8(&decoded[..colon]).map_err(|_| BasicError::Malformed)?;
    // RFC 7617 section 2: neither of them has control characters.
    let has_controls = |bytes: &[u8]| bytes.iter().any(u8::is_ascii_control);
    if has_controls(&decoded) || user.chars().any(char::is_control) {
        return Err(BasicError::Malformed);
    }
    Ok(Credentials { user: user.into(), password: decoded[colon + 1..].to_vec() })
}

/// All users of a file, found by their names.
#[derive(Debug)]
pub struct UserTable {
    users: HashMap<String, Arc<KnownUser>>,
    /// The same, one of which is for each name that nobody has: a guess at its password takes as long as one at theirs. Which one,
    /// nobody outside the process knows; so how long it takes tells nothing, whatever work the hashes of a file ask for.
    decoys: Vec<Arc<KnownUser>>,
}

#[derive(Debug)]
struct KnownUser {
    password: PasswordHash,
    /// Tells this hash from others.
    mark: [u8; 32],
    caller: Arc<Vouched>,
}

/// A password, with what it is to be compared with.
pub struct Guess {
    user: Arc<KnownUser>,
    /// Whether it is compared with what it is to be, and not with the decoy.
    is_of_user: bool,
    password: Vec<u8>,
    fingerprint: Fingerprint,
}

/// A line of the file that a guess is compared with.
#[derive(Debug)]
pub struct Basis(Arc<KnownUser>);

/// What tells one guess from another: name, password and the hash that it is compared with, hashed under a key that nobody
/// outside the process knows. When the hash in the file changes, the same password is another guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    #[cfg(test)]
    pub(super) fn numbered(number: u16) -> Self {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_le_bytes());
        Self(bytes)
    }
}

impl From<&Users> for UserTable {
    fn from(users: &Users) -> Self {
        let known = |user: &apigw_config::model::User| {
            let claims = Map::from_iter([("sub".to_owned(), Value::from(user.name.as_str()))]);
            Arc::new(KnownUser {
                password: user.password.clone(),
                mark: Sha256::digest(user.password.as_str()).into(),
                caller: Arc::new(Vouched::new(AuthMethod::Basic, Claims::new(claims))),
            })
        };
        let decoys: Vec<_> = users.as_slice().iter().map(known).collect();
        let names = users.as_slice().iter().map(|user| user.name.as_str().to_owned());
        Self { users: names.zip(decoys.iter().map(Arc::clone)).collect(), decoys }
    }
}

impl UserTable {
    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// What is to be looked at of credentials. `key` is drawn at random when the process starts.
    #[must_use]
    pub fn guess(&self, credentials: Credentials, key: &hmac::Key) -> Guess {
        let Credentials { user: name, password } = credentials;
        let known = self.users.get(&name);
        let mut context = hmac::Context::with_key(key);
        context.update(known.map_or(&[0; 32], |user| &user.mark));
        context.update(&(name.len() as u64).to_le_bytes());
        context.update(name.as_bytes());
        context.update(&password);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.sign().as_ref());
        Guess {
            user: Arc::clone(known.unwrap_or_else(|| self.decoy(&name, key))),
            is_of_user: known.is_some(),
            password,
            fingerprint: Fingerprint(fingerprint),
        }
    }
}

impl UserTable {
    /// Whether the file still says what a guess was compared with.
    #[must_use]
    pub fn has(&self, Basis(known): &Basis) -> bool {
        let name = known.caller.claims.subject().unwrap_or_default();
        self.users.get(name).is_some_and(|user| user.mark == known.mark)
    }

    /// Whose hash a guess at a name is compared with that nobody has: always the same one's.
    fn decoy(&self, name: &str, key: &hmac::Key) -> &Arc<KnownUser> {
        let tag = hmac::sign(key, name.as_bytes());
        let (drawn, _) = tag.as_ref().split_first_chunk().expect("a tag has 32 bytes");
        let count = self.decoys.len() as u64;
        let index = usize::try_from(u64::from_le_bytes(*drawn) % count).expect("it is below a length");
        &self.decoys[index]
    }
}

impl Guess {
    /// What it is remembered by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What it is compared with.
    #[must_use]
    pub fn basis(&self) -> Basis {
        Basis(Arc::clone(&self.user))
    }

    /// Who it is, if the guess is right.
    #[must_use]
    pub fn caller(&self) -> &Arc<Vouched> {
        &self.user.caller
    }

    /// Finds out whether it is right. Takes as long as the hash in the file asks for, also where nobody has the name.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let hash = self.user.password.as_str();
        let fits = if self.user.password.is_bcrypt() {
            bcrypt::verify(&self.password, hash).unwrap_or(false)
        } else {
            PhcString::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(&self.password, &hash).is_ok())
        };
        fits && self.is_of_user
    }
}

impl fmt::Debug for Guess {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guess").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "secret" by the least work there is.
    fn bcrypt_hash(password: &str) -> String {
        bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().to_string()
    }

    fn argon2_hash(password: &str) -> String {
        use argon2::{Algorithm, Params, PasswordHasher as _, Version};
        let params = Params::new(8, 1, 1, None).unwrap();
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        hasher.hash_password_with_salt(password.as_bytes(), b"salt of 16 bytes").unwrap().to_string()
    }

    fn table(users: &[(&str, String)]) -> UserTable {
        let lines: Vec<_> = users.iter().map(|(name, hash)| format!("{name}:{hash}")).collect();
        let text = lines.join("\n");
        UserTable::from(&apigw_config::read_users("users", text.as_bytes()).unwrap())
    }

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"drawn at random")
    }

    fn guess(table: &UserTable, user: &str, password: &str) -> Guess {
        table.guess(Credentials { user: user.into(), password: password.into() }, &key())
    }

    fn check(header: &str, expected: Result<(&str, &str), BasicError>) {
        let found = presented([header.as_bytes()]);
        let found = found.map(|found| (found.user, String::from_utf8(found.password).unwrap()));
        assert_eq!(found, expected.map(|(user, password)| (user.into(), password.into())), "{header}");
    }

    fn basic(decoded: &[u8]) -> String {
        format!("Basic {}", STANDARD.encode(decoded))
    }

    #[test]
    fn a_name_and_a_password_are_presented() {
        check("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Ok(("Aladdin", "open sesame")));
        check("bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ== ", Ok(("Aladdin", "open sesame")));
        check(&basic("b\u{f6}b:a:\u{e4}".as_bytes()), Ok(("b\u{f6}b", "a:\u{e4}")));
        check(&basic(b":"), Ok(("", "")));
        for header in ["Bearer a.b.c", "", "Basicx QTpi", "Digest x"] {
            check(header, Err(BasicError::Missing));
        }
        for header in ["Basic", "Basic ", "Basic QTpi QTpi", "Basic !", "Basic QTp", "Basic\tQTpi"] {
            let expected = if header == "Basic\tQTpi" { BasicError::Missing } else { BasicError::Malformed };
            check(header, Err(expected));
        }
        for decoded in [&b"alice"[..], b"al\nice:x", b"alice:x\0", b"\xff:x", "a\u{85}:x".as_bytes()] {
            check(&basic(decoded), Err(BasicError::Malformed));
        }
        assert!(matches!(presented([]), Err(BasicError::Missing)));
        assert!(matches!(presented([&b"Basic QTpi"[..], b"Basic QTpi"]), Err(BasicError::Several)));
    }

    #[test]
    fn headers_over_the_bound_are_not_looked_at() {
        let header = |length: usize| format!("Basic {}", "QTpi".repeat(length / 4));
        assert!(presented([header(2_040).as_bytes()]).is_ok());
        assert!(matches!(presented([header(2_048).as_bytes()]), Err(BasicError::Malformed)));
    }

    #[test]
    fn right_passwords_are_right_by_either_hash() {
        let table = table(&[("alice", bcrypt_hash("secret")), ("bob", argon2_hash("s\u{e4}cret"))]);
        for (user, password, expected) in [
            ("alice", "secret", true),
            ("bob", "s\u{e4}cret", true),
            ("alice", "s\u{e4}cret", false),
            ("bob", "secret", false),
            ("alice", "", false),
            ("Alice", "secret", false),
            ("", "secret", false),
        ] {
            assert_eq!(guess(&table, user, password).is_right(), expected, "{user} {password}");
        }
        assert_eq!(guess(&table, "bob", "x").caller().claims.subject(), Some("bob"));
    }

    #[test]
    fn nobodys_password_is_never_right() {
        let table = table(&[("alice", bcrypt_hash("secret"))]);
        // The decoy is her hash.
        assert!(!guess(&table, "nobody", "secret").is_right());
    }

    #[test]
    fn a_file_says_what_it_said_until_the_user_or_the_hash_is_another() {
        let (hash, other) = (bcrypt_hash("secret"), argon2_hash("secret"));
        let basis = guess(&table(&[("alice", hash.clone())]), "alice", "secret").basis();
        assert!(table(&[("bob", other.clone()), ("alice", hash.clone())]).has(&basis));
        assert!(!table(&[("alice", other)]).has(&basis));
        assert!(!table(&[("bob", hash)]).has(&basis));
    }

    #[test]
    fn names_that_nobody_has_take_as_long_as_those_that_somebody_has() {
        let table = table(&[("alice", bcrypt_hash("secret")), ("bob", argon2_hash("secret"))]);
        let is_cheap = |name: &String| guess(&table, name, "secret").user.password.is_bcrypt();
        let names: Vec<_> = (0..64).map(|number| format!("nobody-{number}")).collect();
        let cheap = names.iter().filter(|name| is_cheap(name)).count();
        assert!((10..54).contains(&cheap), "{cheap}");
        assert!(
            names.iter().all(|name| is_cheap(name) == is_cheap(name)),
            "one name tells nothing by chance"
        );
    }

    #[test]
    fn guesses_are_told_apart_by_name_password_and_hash() {
        let before = table(&[("alice", bcrypt_hash("secret")), ("alic", bcrypt_hash("secret"))]);
        let after = table(&[("alice", bcrypt_hash("changed"))]);
        let prints = [
            guess(&before, "alice", "secret"),
            guess(&before, "alice", "secret2"),
            guess(&before, "alic", "secret"),
            guess(&before, "alic", "esecret"),
            guess(&after, "alice", "secret"),
            guess(&after, "alic", "secret"),
        ]
        .map(|guess| guess.fingerprint());
        for (index, print) in prints.iter().enumerate() {
            assert!(!prints[index + 1..].contains(print), "{index}");
        }
        assert_eq!(guess(&before, "alice", "secret").fingerprint(), prints[0]);
    }

    #[test]
    fn no_password_is_shown() {
        let table = table(&[("alice", bcrypt_hash("secret"))]);
        let credentials = Credentials { user: "alice".into(), password: b"secret".to_vec() };
        assert!(!format!("{credentials:?}{:?}{table:?}", guess(&table, "alice", "secret")).contains("115"));
    }
}
