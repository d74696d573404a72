//! `gwctl diff`: what differs, by meaning, and what would come of it.

use apigw_config::{
    diff::{self, Change},
    model::GatewayConfig,
};
use apigw_engine::effects::{self, Effects};
use serde::Serialize;

use crate::{
    failure::printable,
    output::{Colour, Style, Table, painted},
};

#[derive(Debug, Serialize)]
pub(crate) struct DiffView {
    pub(crate) same: bool,
    changes: Vec<Change>,
    /// State that would begin anew.
    resets: Vec<String>,
    /// What would protect less than before.
    warnings: Vec<String>,
    /// What matters most, by the number of routes.
    #[serde(skip)]
    openings: Vec<String>,
}

impl DiffView {
    pub(crate) fn new(before: &GatewayConfig, after: &GatewayConfig) -> Self {
        let changes = diff::changes(before, after);
        let Effects { resets, warnings } = effects::effects(before, after);
        let openings = effects::openings(before, after);
        Self { same: changes.is_empty(), changes, resets, warnings, openings }
    }
}

impl Table for DiffView {
    fn table(&self, style: Style) -> String {
        if self.same {
            return "no difference\n".into();
        }
        let mut text: String =
            self.changes.iter().flat_map(|change| [printable(&change.to_string()), "\n".into()]).collect();
        if !self.openings.is_empty() {
            let line = painted(&printable(&self.openings.join("; ")), Colour::Bad, style);
            text.extend(["\n", &line, "\n"]);
        }
        for (head, lines) in [("RESETS", &self.resets), ("WARNINGS", &self.warnings)] {
            if !lines.is_empty() {
                text.extend(["\n", head, ":\n"]);
                lines.iter().for_each(|line| text.extend(["  ", &printable(line), "\n"]));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BASE: &str = "\
auth: { mode: hmac, hmac_secret: s }
routes:
  - { name: orders, match: { path_prefix: /o }, upstream: \"http://127.0.0.1:1\", auth_required: true,
      rate_limit: { enabled: true, rps: 5, burst: 10, scope: ip } }
";

    fn view(from: &str, to: &str) -> DiffView {
        let config = |text: &str| apigw_config::read("g.yaml", text.as_bytes()).unwrap();
        DiffView::new(&config(BASE), &config(&BASE.replace(from, to)))
    }

    #[test]
    fn json_has_the_documented_form() {
        let expected = json!({
            "same": false,
            "changes": [
                { "kind": "route", "name": "orders", "path": "rate_limit.rps", "from": 5, "to": 50 },
            ],
            "resets": ["route orders: rate limit, every caller starts with a full burst"],
            "warnings": [],
        });
        assert_eq!(serde_json::to_value(view("rps: 5", "rps: 50")).unwrap(), expected);
        let same = json!({ "same": true, "changes": [], "resets": [], "warnings": [] });
        assert_eq!(serde_json::to_value(view("rps: 5", "rps: 5.0")).unwrap(), same);
    }

    #[test]
    fn table_tells_changes_and_what_comes_of_them() {
        let expected = "\
route orders: auth_required true -> false

1 route loses auth

WARNINGS:
  route orders loses its auth
";
        assert_eq!(view(" auth_required: true,", "").table(Style::Plain), expected);
        assert_eq!(view("rps: 5", "rps: 5").table(Style::Plain), "no difference\n");
    }
}
