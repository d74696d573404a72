//! What callers are known by besides tokens: the files of credentials, read here and followed while they are in use.
//!
//! Architecture invariant: a configuration whose files are of no use does not come into force; a file that becomes of no use
//! later changes nothing, and is told of. Those that kept one from coming into force are followed until they are of use. A key or a password that is taken out of its file is taken no more, at once and on
//! every connection.

/// A file, followed.
mod followed;
/// Files that a configuration waits for.
mod awaited;
/// Whether passwords are right, found out where no request waits for the thread.
pub(crate) mod passwords;

use std::sync::Arc;

use apigw_config::model::{ApiKeyFile, CredentialFiles, Settings, UserFile};
use apigw_engine::callers::{api_key::ApiKeyTable, basic::UserTable};
use apigw_transport::tls::configured::FileBase;
use arc_swap::Guard;

pub(crate) use self::awaited::AwaitedFiles;
use self::{
    awaited::Unusable,
    followed::{Followed, Place},
    passwords::Passwords,
};
use crate::gateway::Refusal;

/// What callers are known by besides tokens, ready. A clone shares everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    api_keys: Option<Arc<Keys>>,
    passwords: Option<Arc<Passwords>>,
}

#[derive(Debug)]
struct Keys {
    settings: ApiKeyFile,
    table: Followed<ApiKeyTable>,
}

impl Credentials {
    /// Reads the files that a configuration names, and begins to follow them; what is in use already goes on.
    ///
    /// # Errors
    /// All that is wrong with them, and the files that are worth waiting for.
    pub(crate) async fn load(
        settings: &Settings,
        base: &FileBase,
        previous: Option<&Self>,
    ) -> Result<Self, Refusal> {
        let Some(auth) = &settings.auth else { return Ok(Self::default()) };
        let CredentialFiles { api_keys, basic } = auth.files();
        let api_keys = match api_keys {
            None => Ok(None),
            Some(settings) => keys(settings, base, previous).await.map(Some),
        };
        let passwords = match basic {
            None => Ok(None),
            Some(settings) => users(settings, base, previous).await.map(Some),
        };
        match (api_keys, passwords) {
            (Ok(api_keys), Ok(passwords)) => Ok(Self { api_keys, passwords }),
            (Err(keys), Err(passwords)) => Err(keys.and(passwords).wait()),
            (Err(unusable), Ok(_)) | (Ok(_), Err(unusable)) => Err(unusable.wait()),
        }
    }

    /// The API keys as they are now; none: nobody is known by one.
    pub(crate) fn api_keys(&self) -> Option<Guard<Arc<ApiKeyTable>>> {
        self.api_keys.as_ref().map(|keys| keys.table.now())
    }

    /// Who finds out whether passwords are right; none: nobody is known by one.
    pub(crate) fn passwords(&self) -> Option<&Arc<Passwords>> {
        self.passwords.as_ref()
    }

    /// Tells of each file of which not what it says now is in use: a configuration that names it comes into force.
    pub(crate) fn tell_of_problems(&self) {
        if let Some(keys) = &self.api_keys {
            keys.table.tell_of_problems();
        }
        if let Some(passwords) = &self.passwords {
            passwords.users().tell_of_problems();
        }
    }

    /// How often each file that is in use became of no use, by its key in the configuration.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let keys = self.api_keys.as_ref().map(|keys| ("api_keys", keys.table.failures()));
        let users = self.passwords.as_ref().map(|passwords| ("basic", passwords.users().failures()));
        keys.into_iter().chain(users)
    }
}

async fn keys(
    settings: &ApiKeyFile,
    base: &FileBase,
    previous: Option<&Credentials>,
) -> Result<Arc<Keys>, Unusable> {
    let known = previous.and_then(|previous| previous.api_keys.as_ref());
    if let Some(known) = known.filter(|known| known.settings.file == settings.file) {
        if known.settings == *settings {
            return Ok(Arc::clone(known));
        }
        let table = known.table.clone();
        return Ok(Arc::new(Keys { settings: settings.clone(), table }));
    }
    let place = Place { file: &settings.file, key: "auth.api_keys.file" };
    let read = |file: &str, content: &[u8]| {
        let keys = apigw_config::read_api_keys(file, content)?;
        let table = ApiKeyTable::from(&keys);
        tracing::info!(file, keys = table.len(), "api keys read");
        Ok(table)
    };
    let table = Followed::start(place, base, read).await?;
    Ok(Arc::new(Keys { settings: settings.clone(), table }))
}

async fn users(
    settings: &UserFile,
    base: &FileBase,
    previous: Option<&Credentials>,
) -> Result<Arc<Passwords>, Unusable> {
    let known = previous.and_then(|previous| previous.passwords.as_ref());
    if let Some(known) = known.filter(|known| *known.file() == settings.file) {
        return Ok(Arc::clone(known));
    }
    let place = Place { file: &settings.file, key: "auth.basic.file" };
    let read = |file: &str, content: &[u8]| {
        let users = apigw_config::read_users(file, content)?;
        let table = UserTable::from(&users);
        tracing::info!(file, users = table.len(), "users read");
        Ok(table)
    };
    let table = Followed::start(place, base, read).await?;
    Passwords::start(settings.file.clone(), table).map(Arc::new).map_err(Unusable::for_ever)
}
