//! Certificates are renewed while programs run: the files are followed, and what new connections show follows them.
//!
//! Connections that are open are not touched. What cannot be used changes nothing, and is told once.

use std::{convert::Infallible, io, path::Path, sync::Arc};

use apigw_config::watch::{Content, FileWatch, WatchError};
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::{
    Change, Standing, Tls, TlsError,
    material::{Material, Texts},
    pem::MAX_FILE_BYTES,
};

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

impl Renewal {
    /// Begins to follow the files.
    ///
    /// # Errors
    /// When a path can be no file's, or the system gives no thread.
    pub fn start(tls: &Tls) -> Result<Self, WatchError> {
        let texts = tls.current.load().texts.clone();
        let follow = |path: &Path, text| {
            FileWatch::start(path).map(|watch| Followed { watch, newest: Content::Text(Arc::new(text)) })
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
        let mut standing = Standing::good();
        loop {
            let look_at = standing.look_at();
            let change = tokio::select! {
                content = self.certificate.watch.next() => self.certificate.take(content),
                content = self.key.watch.next() => self.key.take(content),
                content = self.authorities.watch.next() => self.authorities.take(content),
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => Change::None,
            };
            standing = standing.after(self.renew(), change);
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
            Content::Text(text) => Ok(text.to_vec()),
            Content::Unreadable(error) => {
                let source = io::Error::new(error.kind(), error.to_string());
                Err(TlsError::Unreadable { file: path.into(), source })
            }
        }
    }
}
