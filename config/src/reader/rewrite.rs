//! Reads what a route makes of requests' paths and hosts, and the answers that it gives itself.

use super::{Mapping, Place, Read, Reader};
use crate::{
    model::{FixedAnswer, HostRewrite, PathRewrite, Redirect, RegexRewrite},
    names::{AnswerStatus, AnswerText, MediaType, RedirectStatus, ValueError},
};

/// `rewrite`, of which the path is not everything that says what becomes of the path.
#[derive(Default)]
pub(super) struct RewriteInFile {
    pub(super) path: Option<PathRewrite>,
    pub(super) host: HostRewrite,
}

impl Read for RewriteInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let path = path_rewrite(&mut keys);
        let host = keys.or("host", HostRewrite::default());
        keys.finish();

        let rewrite = Self { path: path?.0, host: host? };
        let is_empty = rewrite.path.is_none() && rewrite.host == HostRewrite::Upstream;
        reader.take(place, if is_empty { Err(ValueError::NothingChanged) } else { Ok(rewrite) })
    }
}

impl Read for Redirect {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        // A status alone has a meaning: 303 asks for the same by GET.
        let is_elsewhere = ["status", "scheme", "host", "port", "path", "prefix", "regex"];
        let is_elsewhere = is_elsewhere.into_iter().any(|key| keys.has(key));
        let status = keys.or("status", RedirectStatus::default());
        let scheme = keys.or("scheme", None);
        let host = keys.or("host", None);
        let port = keys.or("port", None);
        let path = path_rewrite(&mut keys);
        keys.finish();

        let redirect = Self { status: status?, scheme: scheme?, host: host?, port: port?, path: path?.0 };
        reader.take(place, if is_elsewhere { Ok(redirect) } else { Err(ValueError::NothingChanged) })
    }
}

impl Read for FixedAnswer {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let status = keys.or("status", AnswerStatus::default());
        let body = keys.or("body", AnswerText::default());
        let content_type = keys.or("content_type", MediaType::PLAIN_TEXT);
        let answer = || {
            let answer = Self::new(status?, body?, content_type?);
            keys.taken("body", answer)
        };
        let answer = answer();
        keys.finish();

        answer
    }
}

/// What takes the place of a path; none: nothing does.
struct PathInFile(Option<PathRewrite>);

/// The keys that say what takes the place of a path; at most one way.
fn path_rewrite(keys: &mut Mapping<'_, '_>) -> Option<PathInFile> {
    let path = keys.or("path", None);
    let prefix = keys.or("prefix", None);
    let pattern = keys.or("regex", None);
    let with = keys.or("with", None);
    let regex = match (pattern?, with?) {
        (Some(pattern), Some(with)) => Some(keys.taken("with", RegexRewrite::new(pattern, with))?),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            keys.report("regex", ValueError::HalfARewrite);
            return None;
        }
    };
    match (path?, prefix?, regex) {
        (None, None, None) => Some(PathInFile(None)),
        (Some(path), None, None) => Some(PathInFile(Some(PathRewrite::Full(path)))),
        (None, Some(prefix), None) => Some(PathInFile(Some(PathRewrite::Prefix(prefix)))),
        (None, None, Some(regex)) => Some(PathInFile(Some(PathRewrite::Regex(regex)))),
        _ => {
            let second = ["path", "prefix", "regex"].into_iter().filter(|key| keys.has(key)).nth(1);
            keys.report(second.unwrap_or("regex"), ValueError::SeveralRewrites);
            None
        }
    }
}
