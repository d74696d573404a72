//! Where a data plane keeps its state when nobody says where.

use std::path::{Path, PathBuf};

/// The directory of the data plane of this name: `/var/lib/apigw` for the system's administrator, else where the XDG Base
/// Directory Specification has a user's state (<https://specifications.freedesktop.org/basedir-spec/latest/>). None when
/// the environment names no such place.
///
/// Each name has its own, so that several data planes of a machine do not meet.
pub(crate) fn default_directory(name: &str, environment: &Environment) -> Option<PathBuf> {
    let base = if environment.is_root {
        PathBuf::from("/var/lib")
    } else {
        // A relative one is to be ignored, says the specification.
        let absolute = |path: &Option<PathBuf>| path.clone().filter(|path| path.is_absolute());
        absolute(&environment.state_home)
            .or_else(|| Some(absolute(&environment.home)?.join(".local/state")))?
    };
    let name = Path::new(name).file_name()?;
    Some(base.join("apigw/dataplane").join(name))
}

/// What the default depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    is_root: bool,
    state_home: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Environment {
    /// Of this process.
    pub(crate) fn of_process() -> Self {
        let path = |variable| std::env::var_os(variable).map(PathBuf::from);
        Self {
            is_root: rustix::process::geteuid().is_root(),
            state_home: path("XDG_STATE_HOME"),
            home: path("HOME"),
        }
    }

    /// Of a user with this place for state.
    #[cfg(test)]
    pub(super) fn of_user(state_home: PathBuf) -> Self {
        Self { state_home: Some(state_home), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_place_among_the_users_state() {
        let check = |is_root, state_home: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            let environment =
                Environment { is_root, state_home: state_home.map(Into::into), home: home.map(Into::into) };
            assert_eq!(default_directory("web-1:9901", &environment), expected.map(Into::into));
        };
        let home = Some("/home/u");
        check(true, Some("/x"), home, Some("/var/lib/apigw/dataplane/web-1:9901"));
        check(false, Some("/x"), home, Some("/x/apigw/dataplane/web-1:9901"));
        check(false, None, home, Some("/home/u/.local/state/apigw/dataplane/web-1:9901"));
        check(false, Some("x"), home, Some("/home/u/.local/state/apigw/dataplane/web-1:9901"));
        check(false, Some(""), None, None);
        check(false, None, Some(""), None);
    }
}
