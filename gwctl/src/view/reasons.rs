//! `gwctl reasons`: every reason code, for whoever reads a log line at night.

use apigw_engine::rejection::reasons::{self, Reason};
use serde::Serialize;

use crate::output::{Cell, Grid, Style, Table};

/// In the order a request can meet them.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ReasonsView(Vec<ReasonView>);

/// Status and error are those of the gateway's own answer; null where an answer had begun, or nobody was there for one.
#[derive(Debug, Serialize)]
struct ReasonView {
    reason: &'static str,
    status: Option<u16>,
    error: Option<&'static str>,
    meaning: String,
}

impl ReasonsView {
    /// As this build knows them.
    pub(crate) fn of_this_build() -> Self {
        let view = |Reason { code, answer, meaning }| ReasonView {
            reason: code,
            status: answer.map(|(status, _)| status),
            error: answer.map(|(_, error)| error),
            meaning,
        };
        Self(reasons::all().map(view).collect())
    }
}

impl Table for ReasonsView {
    fn table(&self, style: Style) -> String {
        let mut grid = Grid::new(["REASON", "STATUS", "ERROR", "MEANING"]);
        for ReasonView { reason, status, error, meaning } in &self.0 {
            grid.push([
                (*reason).into(),
                Cell::optional(status.map(|status| status.to_string())),
                Cell::optional(*error),
                meaning.as_str().into(),
            ]);
        }
        grid.render(style)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_is_told_with_its_answer() {
        let reasons = serde_json::to_value(ReasonsView::of_this_build()).unwrap();
        let reasons = reasons.as_array().unwrap();
        let expected = json!({
            "reason": "jwt_expired", "status": 401, "error": "unauthorized", "meaning": "the token has expired",
        });
        assert!(reasons.contains(&expected));
        let ending = reasons.iter().find(|reason| reason["reason"] == "write_timeout").unwrap();
        assert!(ending["status"].is_null() && ending["error"].is_null());
    }
}
