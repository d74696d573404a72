//! Files of credentials: where they are, and what stands in them. Files are read by whoever judges requests by them; what
//! stands in them is no part of a configuration and never travels with it.

use std::collections::HashMap;

use crate::names::{
    CallerName, Expiry, FilePath, ForwardedHeader, KeyHash, PasswordHash, Realm, TokenScope, UserName,
};

/// The keys of `auth` that name files of credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialFiles {
    /// Who has API keys; none: nobody is known by one.
    pub api_keys: Option<ApiKeyFile>,
    /// Who has passwords; none: nobody is known by one.
    pub basic: Option<UserFile>,
}

/// `auth.api_keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyFile {
    /// Where the hashes of the keys are.
    pub file: FilePath,
    /// In which header field a key is sent. No upstream sees it.
    pub header: ForwardedHeader,
}

impl ApiKeyFile {
    /// The header field where the file names none.
    ///
    /// # Panics
    /// Never: the name is a free one.
    #[must_use]
    pub fn default_header() -> ForwardedHeader {
        ForwardedHeader::new(Self::DEFAULT_HEADER).expect("it is a free name")
    }

    const DEFAULT_HEADER: &str = "x-api-key";
}

/// `auth.basic`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFile {
    /// Where the hashes of the passwords are.
    pub file: FilePath,
    /// What clients are told that the password is for.
    pub realm: Realm,
}

/// An API key, by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is. Several keys may be somebody's, so that one can take the place of another.
    pub name: CallerName,
    /// SHA-256 of the key.
    pub hash: KeyHash,
    /// What it grants.
    pub scopes: Vec<TokenScope>,
    /// From when on it is not taken any more; none: it is taken as long as it stands here.
    pub expires: Option<Expiry>,
}

/// All API keys of a file: at least one, no hash twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeys(Vec<ApiKey>);

/// Somebody who has a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// His name.
    pub name: UserName,
    /// What is kept of his password.
    pub password: PasswordHash,
}

/// All users of a file: at least one, no name twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users(Vec<User>);

/// A rule that no single entry of a file of credentials can break by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Nobody would be let in, which nobody means to say like this.
    #[error("there is no entry")]
    None,
    /// More than a data plane keeps.
    #[error("{count} entries, more than {limit}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// The most there may be.
        limit: usize,
    },
    /// Two entries are for the same key or user: it would not be clear which is meant.
    #[error("the same stands in the entry before it")]
    Twice {
        /// Index of the first of the two.
        first: usize,
        /// Index of the second.
        second: usize,
    },
}

/// The most entries of a file of credentials.
const MAX_ENTRIES: usize = 100_000;

impl ApiKeys {
    /// Takes the keys of a file.
    ///
    /// # Errors
    /// Every broken rule.
    pub fn new(keys: Vec<ApiKey>) -> Result<Self, Vec<CredentialsError>> {
        let errors = conflicts(keys.iter().map(|key| key.hash));
        if errors.is_empty() { Ok(Self(keys)) } else { Err(errors) }
    }

    /// In the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[ApiKey] {
        &self.0
    }
}

impl Users {
    /// Takes the users of a file.
    ///
    /// # Errors
    /// Every broken rule.
    pub fn new(users: Vec<User>) -> Result<Self, Vec<CredentialsError>> {
        let errors = conflicts(users.iter().map(|user| user.name.as_str()));
        if errors.is_empty() { Ok(Self(users)) } else { Err(errors) }
    }

    /// In the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[User] {
        &self.0
    }
}

fn conflicts<K: std::hash::Hash + Eq>(entries: impl ExactSizeIterator<Item = K>) -> Vec<CredentialsError> {
    let count = entries.len();
    if count == 0 {
        return vec![CredentialsError::None];
    }
    if count > MAX_ENTRIES {
        return vec![CredentialsError::TooMany { count, limit: MAX_ENTRIES }];
    }
    let mut owners = HashMap::with_capacity(count);
    let twice = |(second, entry)| {
        let first = *owners.entry(entry).or_insert(second);
        (first != second).then_some(CredentialsError::Twice { first, second })
    };
    entries.enumerate().filter_map(twice).collect()
}
