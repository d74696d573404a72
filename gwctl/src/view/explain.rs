//! `gwctl explain`: what would become of a request, and why.

use std::fmt::Write;

use apigw_proto::v1;
use serde::Serialize;

use super::RevisionView;
use crate::{
    failure::printable,
    output::{Cell, Colour, Grid, Style, Table},
};

/// One request, from its route to its end.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainView {
    /// Null of a file that is not published.
    revision: Option<RevisionView>,
    /// Null where none serves it.
    route: Option<String>,
    near_misses: Vec<NearMissView>,
    policies: Vec<PolicyView>,
    outcome: OutcomeView,
    /// Null where it would not be sent.
    upstream: Option<UpstreamView>,
}

#[derive(Debug, Serialize)]
struct NearMissView {
    route: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct PolicyView {
    policy: String,
    mode: Option<String>,
    verdict: &'static str,
    reason: Option<String>,
    detail: String,
    /// Null where nothing in a file says so, or the file is not at hand.
    source: Option<SourceView>,
}

#[derive(Debug, Serialize)]
struct SourceView {
    file: String,
    line: u32,
}

#[derive(Debug, Serialize)]
struct OutcomeView {
    /// Null where it would be sent upstream.
    status: Option<u32>,
    /// Null where it would not be refused.
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct UpstreamView {
    /// Left out where a route names a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    url: String,
    path: String,
}

impl From<v1::ExplainResponse> for ExplainView {
    fn from(answer: v1::ExplainResponse) -> Self {
        let is_sent = answer.status == 0;
        let upstream = UpstreamView {
            backend: present(answer.backend),
            url: answer.upstream_url,
            path: answer.upstream_path,
        };
        let misses = answer.near_misses.into_iter();
        let policies = answer.policies.into_iter();
        Self {
            revision: answer.revision.map(RevisionView::from),
            route: present(answer.route),
            near_misses: misses
                .map(|v1::NearMiss { route, reason }| NearMissView { route, reason })
                .collect(),
            policies: policies.map(PolicyView::from).collect(),
            outcome: OutcomeView {
                status: (!is_sent).then_some(answer.status),
                reason: present(answer.reason),
            },
            upstream: is_sent.then_some(upstream),
        }
    }
}

impl ExplainView {
    /// Whether it would not get what it asks for.
    pub(crate) fn is_refused(&self) -> bool {
        self.outcome.reason.is_some()
    }
}

impl From<v1::PolicyVerdict> for PolicyView {
    fn from(policy: v1::PolicyVerdict) -> Self {
        let verdict = match policy.verdict() {
            v1::Verdict::Allow => "allow",
            v1::Verdict::Deny => "deny",
            v1::Verdict::Skip | v1::Verdict::Unspecified => "skip",
        };
        Self {
            verdict,
            source: policy.place.map(|v1::Place { file, line }| SourceView { file, line }),
            policy: policy.policy,
            mode: present(policy.mode),
            reason: present(policy.reason),
            detail: policy.detail,
        }
    }
}

impl PolicyView {
    fn verdict(&self) -> Cell {
        match (self.verdict, self.mode.as_deref()) {
            ("deny", Some("shadow")) => Cell::coloured("would deny", Colour::Waiting),
            ("deny", _) => Cell::coloured("deny", Colour::Bad),
            (verdict, _) => verdict.into(),
        }
    }
}

fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl Table for ExplainView {
    fn table(&self, style: Style) -> String {
        let mut text = String::new();
        let mut line = |arguments: std::fmt::Arguments<'_>| {
            writeln!(text, "{arguments}").expect("a string takes any text");
        };
        match (&self.outcome, &self.upstream) {
            (OutcomeView { status: Some(status), reason: Some(reason) }, _) => {
                line(format_args!("refused with {status}, reason {}", printable(reason)));
            }
            (OutcomeView { status: Some(status), reason: None }, _) => {
                line(format_args!("answered with {status} by the gateway"));
            }
            (_, Some(UpstreamView { backend: Some(backend), path, .. })) => {
                line(format_args!("sent to backend {} as {}", printable(backend), printable(path)));
            }
            (_, Some(UpstreamView { backend: None, url, path })) if url.is_empty() => {
                line(format_args!("sent to one of several backends as {}", printable(path)));
            }
            (_, Some(UpstreamView { backend: None, url, path })) => {
                line(format_args!("sent to {} as {}", printable(url), printable(path)));
            }
            _ => line(format_args!("sent upstream")),
        }
        match &self.route {
            Some(route) => line(format_args!("route {}", printable(route))),
            None => line(format_args!("no route")),
        }
        for NearMissView { route, reason } in &self.near_misses {
            line(format_args!("  not {}: {}", printable(route), printable(reason)));
        }
        let mut grid = Grid::new(["POLICY", "VERDICT", "REASON", "DETAIL", "SOURCE"]);
        for policy in &self.policies {
            let source = policy.source.as_ref().map(|SourceView { file, line }| format!("{file}:{line}"));
            grid.push([
                policy.policy.as_str().into(),
                policy.verdict(),
                Cell::optional(policy.reason.as_deref()),
                policy.detail.as_str().into(),
                Cell::optional(source),
            ]);
        }
        text + "\n" + &grid.render(style)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u32) -> v1::ExplainResponse {
        let policy = |policy: &str, verdict: v1::Verdict, reason: &str| v1::PolicyVerdict {
            policy: policy.into(),
            mode: "enforce".into(),
            verdict: verdict.into(),
            reason: reason.into(),
            detail: "why".into(),
            path: "routes[0].auth".into(),
            place: Some(v1::Place { file: "g.yaml".into(), line: 2 }),
        };
        v1::ExplainResponse {
            route: "users".into(),
            near_misses: vec![v1::NearMiss { route: "all".into(), reason: "shorter".into() }],
            policies: vec![policy("auth", v1::Verdict::Deny, "jwt_missing")],
            status,
            reason: if status == 0 { String::new() } else { "jwt_missing".into() },
            upstream_url: "http://h".into(),
            upstream_path: "/x".into(),
            ..v1::ExplainResponse::default()
        }
    }

    #[test]
    fn json_has_the_documented_members() {
        let view = ExplainView::from(answer(401));
        let expected = json!({
            "revision": null, "route": "users",
            "near_misses": [{"route": "all", "reason": "shorter"}],
            "policies": [{
                "policy": "auth", "mode": "enforce", "verdict": "deny", "reason": "jwt_missing",
                "detail": "why", "source": {"file": "g.yaml", "line": 2},
            }],
            "outcome": {"status": 401, "reason": "jwt_missing"}, "upstream": null,
        });
        assert_eq!(serde_json::to_value(view).unwrap(), expected);
        let sent = serde_json::to_value(ExplainView::from(answer(0))).unwrap();
        assert_eq!(sent["outcome"], json!({"status": null, "reason": null}));
        assert_eq!(sent["upstream"], json!({"url": "http://h", "path": "/x"}));
    }

    #[test]
    fn a_table_begins_with_what_happens() {
        let refused = ExplainView::from(answer(401)).table(Style::Plain);
        assert!(
            refused.starts_with("refused with 401, reason jwt_missing\nroute users\n  not all: shorter\n")
        );
        let sent = ExplainView::from(answer(0)).table(Style::Plain);
        assert!(sent.starts_with("sent to http://h as /x\n"), "{sent}");
    }
}
