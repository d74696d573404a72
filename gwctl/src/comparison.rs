//! Two revisions or files, side by side: what is asked for is fetched, and compared here.

use apigw_config::{model::GatewayConfig, wire};
use apigw_proto::v1;

use crate::{
    candidate::Candidate,
    connection::Connection,
    failure::{Failure, OneLine},
    reference::{Reference, Side},
    view::{DiffView, RevisionView},
};

/// What is compared when not everything is said: the last change; of a file, what it would change; of a revision, what
/// has changed since.
pub(crate) fn sides(before: Option<&Side>, after: Option<&Side>) -> [Side; 2] {
    let revision = Side::Revision;
    match (before, after) {
        (Some(before), Some(after)) => [before.clone(), after.clone()],
        (Some(file @ Side::File(_)), None) => [revision(Reference::Current), file.clone()],
        (Some(before), None) => [before.clone(), revision(Reference::Current)],
        (None, _) => [revision(Reference::Previous), revision(Reference::Current)],
    }
}

/// Compares two sides. A control plane is asked only for revisions.
pub(crate) async fn compare(
    sides: [Side; 2],
    connect: impl AsyncFn() -> Result<Connection, Failure>,
) -> Result<DiffView, Failure> {
    let is_revision = |side: &Side| matches!(side, Side::Revision(_));
    let kept = if sides.iter().any(is_revision) { connect().await?.history().await? } else { Vec::new() };
    let meaning = async |side: &Side| match side {
        Side::File(path) => {
            let Candidate { file, content, .. } = Candidate::read(path)?;
            apigw_config::read(&file, &content).map_err(|problems| Failure::NotLegal { problems })
        }
        Side::Revision(reference) => {
            let entry = reference.resolve(&kept)?;
            revision(entry.revision.clone().unwrap_or_default(), connect().await?).await
        }
    };
    let [before, after] = &sides;
    Ok(DiffView::new(&meaning(before).await?, &meaning(after).await?))
}

/// What a kept revision means, by the constructors that read a file.
async fn revision(revision: v1::Revision, connection: Connection) -> Result<GatewayConfig, Failure> {
    let name = RevisionView::from(revision.clone()).short();
    let (contents, backends) = connection.resources(revision).await?;
    let failure =
        |problem: String| Failure::Content { revision: name.clone(), problem: OneLine::new(&problem) };
    let resources = wire::resources(contents, backends).map_err(|error| failure(error.to_string()))?;
    wire::decode(&resources).map_err(|problems| {
        failure(problems.first().map_or_else(|| "it is not legal".into(), ToString::to_string))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_what_one_would_ask() {
        let side = |text: &str| text.parse::<Side>().unwrap();
        let check = |before: Option<&str>, after: Option<&str>, expected: [&str; 2]| {
            let (before, after) = (before.map(side), after.map(side));
            assert_eq!(sides(before.as_ref(), after.as_ref()), expected.map(side));
        };
        check(None, None, ["previous", "current"]);
        check(Some("./f"), None, ["current", "./f"]);
        check(Some("3"), None, ["3", "current"]);
        check(Some("./f"), Some("3"), ["./f", "3"]);
    }
}
