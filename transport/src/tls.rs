//! Mutual TLS between the programs: who has a certificate of a trusted authority is let in, and nobody else.
//!
//! TLS 1.3 alone, as both sides are ours. Nothing is resumed: each connection is judged by the certificates and authorities
//! of its beginning, and connections are few and last.

/// One file, read.
pub mod pem;
/// The files that a configuration names.
pub mod configured;
/// What the three files say, made ready.
mod material;
/// Whether what the files say now is of use.
mod standing;
/// The files, followed.
mod renewal;
/// Why a handshake failed, in words.
mod failure;

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use clap::Args;
use rustls::{ClientConfig, ServerConfig};

use self::material::{Material, Texts};
pub use self::{
    failure::TlsFailure,
    pem::TlsError,
    renewal::Renewal,
    standing::{Change, Standing},
};

/// The flags of a program that connects or is connected to.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsFlags {
    /// Certificate to show to the other programs, with those between it and its authority: PEM. Read again when it changes.
    #[arg(long, global = true, env = "APIGW_TLS_CERT", value_name = "FILE", requires_all = ["tls_key", "tls_ca"])]
    pub tls_cert: Option<PathBuf>,
    /// Its private key: PEM.
    #[arg(long, global = true, env = "APIGW_TLS_KEY", value_name = "FILE", requires_all = ["tls_cert", "tls_ca"])]
    pub tls_key: Option<PathBuf>,
    /// Authorities that vouch for the other programs: PEM.
    #[arg(long, global = true, env = "APIGW_TLS_CA", value_name = "FILE", requires_all = ["tls_cert", "tls_key"])]
    pub tls_ca: Option<PathBuf>,
}

/// The three files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) authorities: PathBuf,
}

/// What is shown and judged by, now. Its clones are renewed together.
#[derive(Debug, Clone)]
pub struct Tls {
    files: Arc<TlsFiles>,
    current: Arc<ArcSwap<Material>>,
}

impl TlsFlags {
    /// Reads the files; none when the flags are not given.
    ///
    /// # Errors
    /// When a file cannot be read, or they do not fit together.
    pub fn load(&self) -> Result<Option<Tls>, TlsError> {
        // Fewer than three do not pass the command line.
        let (Some(certificate), Some(key), Some(authorities)) = (&self.tls_cert, &self.tls_key, &self.tls_ca)
        else {
            return Ok(None);
        };
        let (certificate, key, authorities) = (certificate.clone(), key.clone(), authorities.clone());
        Tls::load(TlsFiles { certificate, key, authorities }).map(Some)
    }
}

impl Tls {
    pub(crate) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let material = Material::new(Texts::read(&files)?, &files)?;
        // Traffic does not wait for a certificate: a data plane that cannot speak to anybody still serves.
        if let Err(error) = material.is_in_time(&files) {
            tracing::warn!(%error, "others will refuse the certificate");
        }
        Ok(Self { files: Arc::new(files), current: Arc::new(ArcSwap::from_pointee(material)) })
    }

    /// For a connection that is accepted now.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }

    /// For a connection that is opened now.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.load().client)
    }
}

#[cfg(test)]
mod tests;
