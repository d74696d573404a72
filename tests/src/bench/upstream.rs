//! The service behind the gateways: nginx where it is there, or else the `upstream` of this repository.

use std::{fs, net::SocketAddr, path::Path};

use super::{Invalid, family::Family, gateway::nginx, shape::Shape, site::Site};
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
    /// When it is given.
    pub given: Given,
}

/// When a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Given {
    /// When it has a request's head.
    AtOnce,
    /// When it has all of a request.
    BehindTheBody,
}

impl Answer {
    /// What is answered to requests of this shape, by this letter.
    #[must_use]
    pub fn of(shape: &Shape, letter: char) -> Self {
        let given = if shape.request_bytes == 0 { Given::AtOnce } else { Given::BehindTheBody };
        Self { letter, bytes: shape.answer_bytes, given }
    }
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
        let Answer { letter, bytes, given } = answer;
        let directory = site.directory().join(format!("upstream-{letter}-{bytes}-{given:?}"));
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
        let server = |listen: &str, location: &str| {
            format!("server {{ listen {listen}; default_type text/plain; location / {{ {location} }} }}\n")
        };
        let address_text = address.to_string();
        let servers = match given {
            Given::AtOnce => server(&address_text, &location),
            // Who forwards a request reads it first; who answers does not.
            Given::BehindTheBody => {
                let inner = format!("unix:{}/inner.sock", directory.display());
                let reading = format!(
                    "client_max_body_size 0; client_body_buffer_size 2m; proxy_pass_request_body off;\n\
                     proxy_set_header Content-Length \"\"; proxy_pass http://{inner};"
                );
                server(&address_text, &reading) + &server(&inner, &location)
            }
        };
        let http = format!("access_log off; {servers}");
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
