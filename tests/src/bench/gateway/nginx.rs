//! nginx: a reverse proxy with a location for each route; in front of it all, the reference.

use std::{fmt::Write as _, fs, io, path::Path, process::Command};

use super::{ENDLESS, MOST_IN_FLIGHT, Start};
use crate::bench::{
    Invalid,
    shape::{Door, Protection, prefix},
};

/// What concerns all of a process.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Its workers.
    pub workers: usize,
    /// Clients that it must be able to hold, each with a connection to an upstream.
    pub clients: usize,
}

/// Writes a file with this `http` section; gives the command that runs it in the foreground.
///
/// # Errors
/// When the file cannot be written.
pub fn command(program: &Path, directory: &Path, process: Process, http: &str) -> io::Result<Command> {
    let Process { workers, clients } = process;
    let place = directory.display();
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(temporary, "{kind}_temp_path {place}/{kind};");
    }
    // As root it would give its workers to a user who cannot reach these directories.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let connections = 2 * clients + 64;
    let text = format!(
        "{user} worker_processes {workers}; daemon off; pid {place}/nginx.pid; error_log stderr;\n\
         worker_rlimit_nofile 65536;\nevents {{ worker_connections {connections}; }}\n\
         http {{\n{temporary}keepalive_requests 1000000000; keepalive_timeout 3600s;\n{http}\n}}\n"
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-p"]).arg(directory).arg("-c").arg(file);
    Ok(command)
}

pub(super) fn gateway(program: &Path, start: Start<'_>) -> Result<Command, Invalid> {
    let Start { site, shape, address, upstream, directory } = start;
    let (log, limits) = match shape.protection {
        Protection::Bare => ("access_log off;".to_owned(), String::new()),
        Protection::Limits | Protection::Tokens => protection(),
    };
    let (listen, certificate) = match shape.door {
        Door::Clear => ("reuseport", String::new()),
        Door::Tls => ("reuseport ssl", certificate(&start)),
        Door::Http2 => ("reuseport ssl http2", certificate(&start)),
    };
    let mut locations = String::new();
    for number in 0..shape.routes {
        let _ = writeln!(locations, "location {} {{ proxy_pass http://up; }}", prefix(number));
    }
    let kept = start.kept_connections();
    let http = format!(
        "{log}\nupstream up {{ server {upstream}; keepalive {kept}; keepalive_requests 1000000000; }}\n\
         server {{\nlisten {address} {listen};\n{certificate}\
         proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_max_temp_file_size 0; # answers stay in memory\n\
         proxy_request_buffering off; client_max_body_size 0; # and requests go on as they come\n{limits}\n{locations}}}"
    );
    let process = Process { workers: shape.workers, clients: site.most_clients() };
    Ok(command(program, directory, process, &http)?)
}

/// What stands before the server, and in it.
fn protection() -> (String, String) {
    let log = format!(
        "limit_req_zone $binary_remote_addr zone=rate:10m rate={ENDLESS}r/s;\n\
         limit_conn_zone $binary_remote_addr zone=clients:10m;\n\
         log_format json escape=json '{{\"time\":\"$time_iso8601\",\"rid\":\"$request_id\",\
         \"client\":\"$remote_addr\",\"method\":\"$request_method\",\"path\":\"$uri\",\"status\":$status,\
         \"bytes\":$body_bytes_sent,\"seconds\":$request_time}}';\n\
         access_log /dev/null json buffer=64k;"
    );
    let limits = format!("limit_req zone=rate burst={ENDLESS} nodelay; limit_conn clients {MOST_IN_FLIGHT};");
    (log, limits)
}

fn certificate(start: &Start<'_>) -> String {
    let identity = start.site.identity();
    format!(
        "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;\n",
        identity.path("cert.pem").display(),
        identity.path("key.pem").display()
    )
}
