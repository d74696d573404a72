//! Reads what a peer's route makes of requests' paths and hosts, and the answers that it gives itself.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{FixedAnswer, HostRewrite, PathRewrite, Redirect, RegexRewrite},
    names::{AnswerStatus, AnswerText, ExactPath, PathPrefix, RedirectStatus, ValueError},
    problem::{KeyPath, Problems},
};

pub(super) fn rewrite(
    message: &v1::Rewrite,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<(Option<PathRewrite>, HostRewrite)> {
    let path = match &message.path_rewrite {
        None => Some(None),
        Some(message) => path_rewrite(message, at, problems).map(Some),
    };
    let mut fields = Fields { at: *at, problems };
    let host = match message.host.as_str() {
        "" => Some(HostRewrite::default()),
        text => fields.take("host", text.parse()),
    };
    Some((path?, host?))
}

pub(super) fn redirect(
    message: &v1::Redirect,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<Redirect> {
    let v1::Redirect { status, scheme, host, port, path_rewrite: rewrite } = message;
    let path = match rewrite {
        None => Some(None),
        Some(message) => path_rewrite(message, at, problems).map(Some),
    };
    let mut fields = Fields { at: *at, problems };
    let status = fields.take("status", RedirectStatus::new(*status));
    let scheme = match scheme.as_str() {
        "" => Some(None),
        text => fields.take("scheme", text.parse()).map(Some),
    };
    let host = match host.as_str() {
        "" => Some(None),
        text => fields.take("host", text.parse()).map(Some),
    };
    let port = u16::try_from(*port).map_err(|_| ValueError::OutOfRange { range: "from 0 to 65535" });
    let port = fields.take("port", port).map(std::num::NonZeroU16::new);
    Some(Redirect { status: status?, scheme: scheme?, host: host?, port: port?, path: path? })
}

pub(super) fn fixed_answer(
    message: &v1::FixedAnswer,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<FixedAnswer> {
    let v1::FixedAnswer { status, body, content_type } = message;
    let mut fields = Fields { at: *at, problems };
    let status = fields.take("status", AnswerStatus::new(*status));
    let body = fields.take("body", AnswerText::new(body));
    let content_type = fields.take("content_type", content_type.parse());
    fields.take("body", FixedAnswer::new(status?, body?, content_type?))
}

/// What takes the place of a path.
fn path_rewrite(message: &v1::PathRewrite, at: &KeyPath<'_>, problems: &mut Problems) -> Option<PathRewrite> {
    use v1::path_rewrite::Rewrite;
    let mut fields = Fields { at: *at, problems };
    match fields.needed("path", message.rewrite.as_ref())? {
        Rewrite::Path(text) => fields.take("path", ExactPath::new(text)).map(PathRewrite::Full),
        Rewrite::Prefix(text) => fields.take("prefix", PathPrefix::new(text)).map(PathRewrite::Prefix),
        Rewrite::Regex(v1::RegexRewrite { pattern, with }) => {
            let pattern = fields.take("regex", pattern.parse());
            let with = fields.take("with", with.parse());
            fields.take("with", RegexRewrite::new(pattern?, with?)).map(PathRewrite::Regex)
        }
    }
}
