//! A clock that a test sets, for the processes that go by it; what is measured with it (`CLOCK_MONOTONIC`) runs on as ever.
//!
//! Debian's `faketime` does it: a library that is loaded before the system's own.

use std::{fs, process::Command};

use tempfile::TempDir;

/// `$LIB` is the dynamic linker's word for where libraries are.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// Right at first.
#[derive(Debug)]
pub struct Clock {
    directory: TempDir,
}

impl Clock {
    /// A clock that is right.
    ///
    /// # Panics
    /// When there is no room for its setting.
    #[must_use]
    pub fn new() -> Self {
        let clock = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        clock.set(0);
        clock
    }

    /// Makes it wrong by so many days, at once, for processes that run already, too.
    ///
    /// # Panics
    /// When there is no room for its setting.
    pub fn set(&self, days: i32) {
        let (beside, setting) = (self.directory.path().join("new"), self.directory.path().join("setting"));
        let written = fs::write(&beside, format!("{days:+}d\n")).and_then(|()| fs::rename(&beside, setting));
        written.expect("the setting is written");
    }

    /// Has a program go by it.
    pub fn rule<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("LD_PRELOAD", LIBRARY)
            .env("FAKETIME_TIMESTAMP_FILE", self.directory.path().join("setting"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
