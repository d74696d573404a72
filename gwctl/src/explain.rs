//! What would become of a request, judged by a file without any server, or put as a question to one.

use std::{path::Path, time::SystemTime};

use apigw_engine::{
    checks::Source,
    explain::{AtRest, answer, locate},
    jwt::time::UnixTime,
};
use apigw_proto::v1;

use crate::{
    arguments::{ExplainArguments, HeaderArgument},
    candidate::Candidate,
    connection::Connection,
    failure::Failure,
    reference::Reference,
    view::RevisionView,
};

impl ExplainArguments {
    /// As it is asked.
    pub(crate) fn question(&self) -> v1::ExplainRequest {
        let typed = self.headers.iter().map(|HeaderArgument { name, value }| v1::HeaderField {
            name: name.clone(),
            value: value.clone(),
        });
        let token = self
            .jwt
            .iter()
            .map(|token| v1::HeaderField { name: "authorization".into(), value: format!("Bearer {token}") });
        v1::ExplainRequest {
            method: self.method.clone(),
            target: self.url.clone(),
            headers: typed.chain(token).collect(),
            client: self.from.map(|address| address.to_string()).unwrap_or_default(),
            claims: self.claims.clone().unwrap_or_default(),
            revision: None,
        }
    }
}

/// Judges by a file: buckets are full, breakers closed, and of keys there are only those of the file.
pub(crate) fn by_file(request: &ExplainArguments, path: &Path) -> Result<v1::ExplainResponse, Failure> {
    let candidate = Candidate::read(path)?;
    let snapshot = candidate.compile().map_err(|problems| Failure::NotLegal { problems })?;
    let at_rest = AtRest::new(snapshot.settings(), UnixTime::of(SystemTime::now()));
    let mut answer = answer(request.question(), &snapshot, &at_rest).map_err(Failure::Question)?;
    locate(&mut answer, Source { file: &candidate.file, content: &candidate.content });
    // A file is no revision before it is published.
    answer.revision = None;
    Ok(answer)
}

/// Has a revision judge that a control plane keeps.
pub(crate) async fn by_revision(
    request: &ExplainArguments,
    reference: &Reference,
    connect: impl AsyncFn() -> Result<Connection, Failure>,
) -> Result<v1::ExplainResponse, Failure> {
    let kept = connect().await?.history().await?;
    let revision = reference.resolve(&kept)?.revision.clone();
    let question = v1::ExplainRequest { revision: revision.clone(), ..request.question() };
    let answer = connect().await?.explain(question).await?;
    // One that does not know the wish passes over it, and answers for what is published.
    if answer.revision != revision {
        let revision = RevisionView::from(revision.unwrap_or_default()).short();
        return Err(Failure::OtherRevision { revision });
    }
    Ok(answer)
}
