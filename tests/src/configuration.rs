//! Configuration files as a person writes and saves them.

use std::{
    fmt::{Display, Write as _},
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// The text of a configuration file, put together key by key.
#[derive(Debug, Clone, Default)]
pub struct Document {
    server: String,
    upstream: String,
    auth: String,
    rate_limit: String,
    routes: String,
}

impl Document {
    /// Nothing yet; without a route it is not legal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of the `server` section.
    #[must_use]
    pub fn server(mut self, line: &str) -> Self {
        let _ = writeln!(self.server, "  {line}");
        self
    }

    /// A line of the `upstream` section.
    #[must_use]
    pub fn upstream(mut self, line: &str) -> Self {
        let _ = writeln!(self.upstream, "  {line}");
        self
    }

    /// A line of the `auth` section.
    #[must_use]
    pub fn auth(mut self, line: &str) -> Self {
        let _ = writeln!(self.auth, "  {line}");
        self
    }

    /// A line of the `rate_limit` section.
    #[must_use]
    pub fn rate_limit(mut self, line: &str) -> Self {
        let _ = writeln!(self.rate_limit, "  {line}");
        self
    }

    /// A route.
    #[must_use]
    pub fn route(mut self, name: &str, path_prefix: &str, upstream: impl Display) -> Self {
        let _ = write!(
            self.routes,
            "  - name: {name}\n    match:\n      path_prefix: {path_prefix}\n    upstream: {upstream}\n"
        );
        self
    }

    /// A further line of the last route.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        let _ = writeln!(self.routes, "    {line}");
        self
    }
}

impl Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (section, lines) in [
            ("server", &self.server),
            ("upstream", &self.upstream),
            ("auth", &self.auth),
            ("rate_limit", &self.rate_limit),
            ("routes", &self.routes),
        ] {
            if !lines.is_empty() {
                write!(f, "{section}:\n{lines}")?;
            }
        }
        Ok(())
    }
}

/// A configuration file in a directory of its own.
#[derive(Debug)]
pub struct ConfigFile {
    directory: TempDir,
    path: PathBuf,
}

/// How a file is saved. What watches it must see all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saving {
    /// A new file takes the name: what careful editors and deployment tools do.
    Rename,
    /// The file is emptied and written: `cat >`, `cp`.
    InPlace,
    /// The old file becomes a backup and a new one is written under the name: vim.
    BackupThenWrite,
    /// The file is deleted and, a moment later, written.
    DeleteThenWrite,
}

impl Saving {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rename, Self::InPlace, Self::BackupThenWrite, Self::DeleteThenWrite];
}

impl ConfigFile {
    /// Writes a file.
    ///
    /// # Panics
    /// When there is no room for it.
    #[must_use]
    pub fn new(text: impl Display) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("gateway.yaml");
        fs::write(&path, text.to_string()).expect("the file is written");
        Self { directory, path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory it is in, which is the test's own.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Replaces the file whole, by rename.
    pub fn save(&self, text: impl Display) {
        self.save_by(Saving::Rename, text);
    }

    /// Saves new text.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn save_by(&self, saving: Saving, text: impl Display) {
        let text = text.to_string();
        let beside = self.directory.path().join(".gateway.yaml.new");
        let done = match saving {
            Saving::Rename => fs::write(&beside, text).and_then(|()| fs::rename(&beside, &self.path)),
            Saving::InPlace => fs::write(&self.path, text),
            Saving::BackupThenWrite => fs::rename(&self.path, self.directory.path().join("gateway.yaml~"))
                .and_then(|()| fs::write(&self.path, text)),
            Saving::DeleteThenWrite => fs::remove_file(&self.path).and_then(|()| fs::write(&self.path, text)),
        };
        done.unwrap_or_else(|error| panic!("cannot save by {saving:?}: {error}"));
    }
}
