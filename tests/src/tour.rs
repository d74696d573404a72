//! Five things to try with a running gateway, as data: what a person reads and what `--check` does are one list.

use std::{fs, io, process::Command, time::Duration};

use crate::{client::Connection, programs::Finished, stage::Stage, waiting::within};

/// How long an action may take until it shows what was promised: an edit takes a moment to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// One thing to try.
#[derive(Debug)]
pub struct Step {
    /// What it shows.
    pub title: &'static str,
    /// What to do, in order.
    pub actions: &'static [Action],
}

/// One thing to do, and what comes of it.
#[derive(Debug)]
pub enum Action {
    /// Send a GET.
    Request {
        /// Its target.
        target: &'static str,
        /// Its `X-Request-Id`, where it has one.
        id: Option<&'static str>,
        /// What the answer has in it, as `curl -i` shows it.
        shows: &'static [&'static str],
    },
    /// Change the configuration file.
    Edit {
        /// The text that is there.
        from: &'static str,
        /// The text to put in its place.
        to: &'static str,
    },
    /// Ask `gwctl`.
    Ask {
        /// Its arguments.
        arguments: &'static [&'static str],
        /// What it shows.
        shows: &'static [&'static str],
        /// What it does not show.
        hides: &'static [&'static str],
    },
}

/// The tour. Later steps stand on what the earlier ones left.
pub const STEPS: [Step; 5] = [
    Step {
        title: "A request finds its upstream by its path, and nothing else passes",
        actions: &[
            Action::Request {
                target: "/public/hello?name=you",
                id: None,
                shows: &[
                    "HTTP/1.1 200",
                    r#""path":"/public/hello""#,
                    r#""query":"name=you""#,
                    r#""service":"public""#,
                ],
            },
            Action::Request {
                target: "/publicity",
                id: None,
                shows: &["HTTP/1.1 404", r#"{"error":"no_route","#],
            },
        ],
    },
    Step {
        title: "Every request has an id: yours, or a new one",
        actions: &[Action::Request {
            target: "/public/hello",
            id: Some("my-own-id-1"),
            shows: &["HTTP/1.1 200", "x-request-id: my-own-id-1", r#""X-Request-Id":["my-own-id-1"]"#],
        }],
    },
    Step {
        title: "An edit of the file takes effect as soon as it is saved",
        actions: &[
            Action::Edit { from: r#"path_prefix: "/public/""#, to: r#"path_prefix: "/open/""# },
            Action::Request {
                target: "/open/hello",
                id: None,
                shows: &["HTTP/1.1 200", r#""service":"public""#],
            },
            Action::Request { target: "/public/hello", id: None, shows: &["HTTP/1.1 404"] },
        ],
    },
    Step {
        title: "A broken edit changes nothing, and says where it is broken",
        actions: &[
            Action::Edit { from: "auth_required: false", to: "auth_requird: false" },
            Action::Ask {
                arguments: &["status"],
                shows: &["routes[1].auth_requird", "auth_required"],
                hides: &[],
            },
            Action::Request { target: "/open/hello", id: None, shows: &["HTTP/1.1 200"] },
            Action::Edit { from: "auth_requird: false", to: "auth_required: false" },
            Action::Ask { arguments: &["status"], shows: &["in_sync"], hides: &["auth_requird"] },
        ],
    },
    Step {
        title: "gwctl tells what runs, for people and for scripts",
        actions: &[
            Action::Ask {
                arguments: &["routes"],
                shows: &["users", "/api/users/", "public", "/open/"],
                hides: &[],
            },
            Action::Ask {
                arguments: &["status", "-o", "json"],
                shows: &[r#""config_source": "stream""#, r#""rejected_file": null"#],
                hides: &[],
            },
        ],
    },
];

impl Action {
    /// The command that does it in a shell.
    #[must_use]
    pub fn command(&self, stage: &Stage) -> String {
        match self {
            Self::Request { target, id, .. } => {
                let field = id.map(|id| format!("-H 'X-Request-Id: {id}' ")).unwrap_or_default();
                format!("curl -i {field}'http://{}{target}'", stage.traffic)
            }
            Self::Edit { from, to } => format!("sed -i 's|{from}|{to}|' {}", shown(&stage.file)),
            Self::Ask { arguments, .. } => {
                let endpoint = format!("--endpoint http://{} ", stage.control_plane);
                let endpoint = if stage.control_plane.port() == 9090 { "" } else { &endpoint };
                format!("{} {endpoint}{}", shown(&stage.gwctl), arguments.join(" "))
            }
        }
    }

    /// What it shows, in words; none for what shows with the next action only.
    #[must_use]
    pub fn expectation(&self) -> Option<String> {
        match self {
            Self::Request { shows, .. } => Some(format!("answers  {}", shows.join("  ...  "))),
            Self::Edit { .. } => None,
            Self::Ask { shows, hides: [], .. } => Some(format!("shows    {}", shows.join("  ...  "))),
            Self::Ask { shows, hides, .. } => {
                Some(format!("shows    {}, and no longer {}", shows.join("  ...  "), hides.join(", ")))
            }
        }
    }

    /// Does it, and sees that it shows what is promised.
    ///
    /// # Errors
    /// What was seen instead.
    pub fn check(&self, stage: &Stage) -> Result<(), String> {
        match self {
            Self::Edit { from, to } => edit(stage, from, to).map_err(|error| error.to_string()),
            Self::Request { target, id, shows } => {
                as_promised(|| request(stage, target, *id).map_err(|error| error.to_string()), shows, &[])
            }
            Self::Ask { arguments, shows, hides } => as_promised(|| ask(stage, arguments), shows, hides),
        }
    }
}

/// A path as short as it can be written here.
#[must_use]
pub fn shown(path: &std::path::Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// Looks until what is seen is as promised.
fn as_promised(
    mut look: impl FnMut() -> Result<String, String>,
    shows: &[&str],
    hides: &[&str],
) -> Result<(), String> {
    let mut seen = String::new();
    let kept = within(PATIENCE, || {
        seen = look().unwrap_or_else(|error| error);
        let shows_all = shows.iter().all(|text| seen.contains(text));
        let hides_all = !hides.iter().any(|text| seen.contains(text));
        (shows_all && hides_all).then_some(())
    });
    kept.ok_or(seen)
}

fn edit(stage: &Stage, from: &str, to: &str) -> io::Result<()> {
    let text = fs::read_to_string(&stage.file)?;
    if !text.contains(from) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{from:?} is not in the file")));
    }
    let new = stage.file.with_extension("yaml.new");
    fs::write(&new, text.replace(from, to))?;
    fs::rename(&new, &stage.file)
}

/// A response as `curl -i` shows it, with the names of its fields in lower case.
fn request(stage: &Stage, target: &str, id: Option<&str>) -> io::Result<String> {
    let field = id.map(|id| format!("X-Request-Id: {id}\r\n")).unwrap_or_default();
    let mut connection = Connection::try_open(stage.traffic)?;
    connection.try_send(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{field}\r\n", stage.traffic))?;
    let response = connection.try_response_to("GET")?;
    let line = |(name, value): &(String, String)| format!("{}: {value}", name.to_ascii_lowercase());
    let fields: Vec<_> = response.head.fields.iter().map(line).collect();
    Ok(format!("{}\n{}\n\n{}", response.head.start, fields.join("\n"), response.text()))
}

fn ask(stage: &Stage, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(&stage.gwctl);
    command.arg("--endpoint").arg(format!("http://{}", stage.control_plane)).args(arguments);
    let finished: Finished = command.output().map_err(|error| error.to_string())?.into();
    if finished.code == Some(0) { Ok(finished.stdout) } else { Err(finished.stderr) }
}
