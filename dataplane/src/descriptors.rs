//! How many files, and so connections, the process may have open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system lets anybody. The lower one is for programs that use `select`, and most systems begin
/// with one that a gateway has used up after some hundred clients.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None: there is no limit.
    if current.is_none() || current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "limit of open files not raised");
    }
}
