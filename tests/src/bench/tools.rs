//! What of other people's programs is installed: peers to compare with, and generators of load.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// A program that the benchmark uses where it finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Load over HTTP/1.1.
    Wrk,
    /// Load over HTTP/2.
    H2load,
    /// A peer, the reference and the best upstream.
    Nginx,
    /// A peer.
    Haproxy,
    /// A peer.
    Envoy,
}

/// Where Debian puts servers, which is not on everybody's path.
const SERVER_PLACES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

impl Tool {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Wrk, Self::H2load, Self::Nginx, Self::Haproxy, Self::Envoy];

    /// What its file is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wrk => "wrk",
            Self::H2load => "h2load",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// Where it comes from.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Self::Wrk => "Debian: apt-get install wrk",
            Self::H2load => "Debian: apt-get install nghttp2-client",
            Self::Nginx => "Debian: apt-get install nginx-light",
            Self::Haproxy => "Debian: apt-get install haproxy",
            Self::Envoy => "not in Debian: https://www.envoyproxy.io/docs/envoy/latest/start/install",
        }
    }

    /// What is not measured, or is measured otherwise, without it.
    #[must_use]
    pub fn loss(self) -> &'static str {
        match self {
            Self::Wrk => "a load of our own takes its place, and what is asked over TLS is left out",
            Self::H2load => "what is asked over HTTP/2 is left out",
            Self::Nginx => "there is no ratio to it, and a service of our own stands behind the gateways",
            Self::Haproxy | Self::Envoy => "its rows are left out",
        }
    }

    /// Where it is.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let places = env::split_paths(&path).chain(SERVER_PLACES.map(PathBuf::from));
        places.map(|place| place.join(self.name())).find(|file| file.is_file())
    }

    /// What it says when it is asked for its version.
    #[must_use]
    pub fn version(self, program: &Path) -> Option<String> {
        let flag = match self {
            Self::Wrk | Self::Nginx | Self::Haproxy => "-v",
            Self::H2load | Self::Envoy => "--version",
        };
        version(program, flag)
    }
}

/// The number in what a program says of its version.
#[must_use]
pub fn version(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    number_in(&String::from_utf8_lossy(&said))
}

/// The first word that is a version: digits with a dot between them, and what follows.
fn number_in(text: &str) -> Option<String> {
    let words = text.split([' ', '/', '\n', '\t']);
    let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    words.map(|word| word.trim_end_matches([',', ')'])).find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let check = |said: &str, expected| assert_eq!(number_in(said).as_deref(), expected, "{said}");
        check("nginx version: nginx/1.22.1", Some("1.22.1"));
        check("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", Some("2.6.12-1+deb12u4"));
        check("h2load nghttp2/1.52.0", Some("1.52.0"));
        check("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer", Some("4.1.0-3+b2"));
        check("envoy  version: 9e5580933739775e8bce/1.40.0/Clean/RELEASE/BoringSSL", Some("1.40.0"));
        check("dataplane 0.1.0", Some("0.1.0"));
        check("at example.org, 7 of them", None);
        check("no number here", None);
    }
}
