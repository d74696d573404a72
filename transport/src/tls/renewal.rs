//! Certificates are renewed while programs run: the files are followed, and what new connections show follows them.
//!
//! Connections that are open are not touched. What cannot be used changes nothing, and is told once.

use std::{convert::Infallible, io, path::Path, sync::Arc, time::Duration};

use apigw_config::watch::{Content, FileWatch, WatchError};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::{
    Tls, TlsError,
    material::{MAX_FILE_BYTES, Material, Texts},
};

/// A certificate and its key are two files: one that does not fit has so long for the other to come.
const PATIENCE: Duration = Duration::from_secs(3);
/// What was of no use is looked at again: its time may come.
const RETRY: Duration = Duration::from_secs(60);

/// The followed files; nothing is renewed unless this [runs](Self::run).
#[derive(Debug)]
pub struct Renewal {
    tls: Tls,
    certificate: Followed,
    key: Followed,
    authorities: Followed,
}

#[derive(Debug)]
struct Followed {
    watch: FileWatch,
    newest: Content,
}

/// When to look next without a change, and what is then to be told.
#[derive(Debug)]
enum Standing {
    /// What is there is in use.
    Good,
    /// It is of no use; nobody was told yet.
    Doubtful { told_at: Instant },
    /// It is of no use, and was told.
    Bad { reason: String, again_at: Instant },
}

impl Renewal {
    /// Begins to follow the files.
    ///
    /// # Errors
    /// When a path can be no file's, or the system gives no thread.
    pub fn start(tls: &Tls) -> Result<Self, WatchError> {
        let texts = tls.current.load().texts.clone();
        let follow = |path: &Path, text| {
            FileWatch::start(path).map(|watch| Followed { watch, newest: Content::Text(text) })
        };
        Ok(Self {
            certificate: follow(&tls.files.certificate, texts.certificate)?,
            key: follow(&tls.files.key, texts.key)?,
            authorities: follow(&tls.files.authorities, texts.authorities)?,
            tls: tls.clone(),
        })
    }

    /// Renews, for ever.
    pub async fn run(mut self) -> Infallible {
        let mut standing = Standing::Good;
        loop {
            let look_at = match &standing {
                Standing::Good => None,
                Standing::Doubtful { told_at: at } | Standing::Bad { again_at: at, .. } => Some(*at),
            };
            let is_change = tokio::select! {
                content = self.certificate.watch.next() => self.certificate.take(content),
                content = self.key.watch.next() => self.key.take(content),
                content = self.authorities.watch.next() => self.authorities.take(content),
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => Change::None,
            };
            standing = self.consider(standing, is_change);
        }
    }

    fn consider(&self, standing: Standing, change: Change) -> Standing {
        let now = Instant::now();
        match (self.renew(), standing, change) {
            (Ok(()), _, _) => Standing::Good,
            (Err(_), _, Change::Some) => Standing::Doubtful { told_at: now + PATIENCE },
            (Err(error), standing, Change::None) => {
                let reason = error.to_string();
                if !matches!(standing, Standing::Bad { reason: told, .. } if told == reason) {
                    warn!(reason, "certificate not renewed; the one before stays in use");
                }
                Standing::Bad { reason, again_at: now + RETRY }
            }
        }
    }

    /// Puts what the files say now into use, if it is another and of use.
    fn renew(&self) -> Result<(), TlsError> {
        let files = &self.tls.files;
        let texts = Texts {
            certificate: self.certificate.text(&files.certificate)?,
            key: self.key.text(&files.key)?,
            authorities: self.authorities.text(&files.authorities)?,
        };
        if texts == self.tls.current.load().texts {
            return Ok(());
        }
        let material = Material::new(texts, files)?;
        material.is_in_time(files)?;
        self.tls.current.store(Arc::new(material));
        info!(certificate = %files.certificate.display(), "certificate renewed; new connections use it");
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Some,
    None,
}

impl Followed {
    fn take(&mut self, content: Content) -> Change {
        self.newest = content;
        Change::Some
    }

    fn text(&self, path: &Path) -> Result<Vec<u8>, TlsError> {
        match &self.newest {
            Content::Text(text) if text.len() > MAX_FILE_BYTES => {
                Err(TlsError::TooLarge { file: path.into() })
            }
            Content::TooLarge => Err(TlsError::TooLarge { file: path.into() }),
            Content::Text(text) => Ok(text.clone()),
            Content::Unreadable(error) => {
                let source = io::Error::new(error.kind(), error.to_string());
                Err(TlsError::Unreadable { file: path.into(), source })
            }
        }
    }
}
