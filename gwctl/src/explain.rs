//! What would become of a request, judged by a file without any server, or put as a question to one.

use std::path::Path;

use apigw_engine::explain::{AtRest, Question, explain};
use apigw_proto::v1;

use crate::{
    arguments::{ExplainArguments, HeaderArgument},
    candidate::{Candidate, now},
    failure::Failure,
    view::ExplainView,
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
        }
    }
}

/// Judges by a file: buckets are full, breakers closed, and of keys there are only those of the file.
pub(crate) fn by_file(request: &ExplainArguments, path: &Path) -> Result<ExplainView, Failure> {
    let candidate = Candidate::read(path)?;
    let snapshot = candidate.compile().map_err(|problems| Failure::NotLegal { problems })?;
    let question = Question::try_from(request.question()).map_err(Failure::Question)?;
    let at_rest = AtRest::new(snapshot.settings(), now());
    let answer = explain(&snapshot, &question, &at_rest).to_wire(&snapshot);
    Ok(ExplainView::of_file(answer, &candidate))
}
