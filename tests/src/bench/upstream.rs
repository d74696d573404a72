//! The service behind the gateways: nginx where it is there, or else the `upstream` of this repository.

use std::{fs, net::SocketAddr, path::Path};

use super::{Invalid, family::Family, gateway::nginx, site::Site};
use crate::{
    client,
    waiting::{DEADLINE, within},
};

/// What a service answers: a letter, so many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The letter, by which services are told apart.
    pub letter: char,
    /// How many bytes.
    pub bytes: usize,
}

/// A running service.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    family: Family,
}

/// The longest answer that stands in nginx's file; longer ones have files of their own.
const MOST_IN_FILE: usize = 1_024;

impl Upstream {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(site: &Site, nginx: Option<&Path>, answer: Answer) -> Result<Self, Invalid> {
        let upstream = match nginx {
            Some(program) => Self::of_nginx(site, program, answer)?,
            None => Self::ours(site, answer)?,
        };
        let is_right = || {
            let response = client::try_get(upstream.address, "/").ok()?;
            (response.status() == 200 && response.body.len() == answer.bytes).then_some(())
        };
        within(DEADLINE, is_right).ok_or_else(|| Invalid::NoUpstream { said: upstream.family.said() })?;
        Ok(upstream)
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn of_nginx(site: &Site, program: &Path, answer: Answer) -> Result<Self, Invalid> {
        let Answer { letter, bytes } = answer;
        let directory = site.directory().join(format!("upstream-{letter}-{bytes}"));
        fs::create_dir_all(&directory)?;
        let text = letter.to_string().repeat(bytes);
        let location = if bytes <= MOST_IN_FILE {
            format!("return 200 \"{text}\";")
        } else {
            fs::write(directory.join("answer"), text)?;
            // Without sendfile, head and body leave together, as a service's answers do.
            format!(
                "root {}; sendfile off; output_buffers 2 128k; try_files /answer =404;",
                directory.display()
            )
        };
        let address = super::site::free_address();
        let http = format!(
            "access_log off; server {{ listen {address}; default_type text/plain; location / {{ {location} }} }}"
        );
        let clients = site.most_clients();
        let command = nginx::command(program, &directory, nginx::Process { workers: 1, clients }, &http)?;
        Ok(Self { address, family: Family::start(command)? })
    }

    fn ours(site: &Site, answer: Answer) -> Result<Self, Invalid> {
        let mut command = site.programs().command("upstream");
        command.args(["--addr", "127.0.0.1:0", "--name", &answer.letter.to_string()]);
        command.args(["--answer-bytes", &answer.bytes.to_string()]);
        let mut family = Family::start(command)?;
        let address = family.leader().listening("upstream")?;
        Ok(Self { address, family })
    }
}
