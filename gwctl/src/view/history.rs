//! `gwctl history` and `gwctl rollback`: what was published, and when, and why.

use apigw_config::json::live::timestamp;
use apigw_proto::v1;
use serde::Serialize;

use super::RevisionView;
use crate::{
    failure::printable,
    output::{Cell, Colour, Grid, Style, Table},
};

/// The newest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct HistoryView(Vec<EntryView>);

#[derive(Debug, Serialize)]
struct EntryView {
    revision: Option<RevisionView>,
    /// RFC 3339, in UTC.
    published_at: String,
    /// `file` or `rollback`.
    origin: Option<&'static str>,
    /// What it changed, in one line.
    summary: String,
    current: bool,
}

impl EntryView {
    fn new(entry: v1::HistoryEntry, place: usize) -> Self {
        let origin = match entry.origin() {
            v1::Origin::File => Some("file"),
            v1::Origin::Rollback => Some("rollback"),
            v1::Origin::Unspecified => None,
        };
        Self {
            revision: entry.revision.map(RevisionView::from),
            published_at: timestamp(entry.published_at_ms),
            origin,
            summary: entry.summary,
            current: place == 0,
        }
    }

    fn short(&self) -> String {
        self.revision.as_ref().map_or_else(|| "-".into(), RevisionView::short)
    }
}

impl From<Vec<v1::HistoryEntry>> for HistoryView {
    fn from(entries: Vec<v1::HistoryEntry>) -> Self {
        let views = entries.into_iter().enumerate().map(|(place, entry)| EntryView::new(entry, place));
        Self(views.collect())
    }
}

impl Table for HistoryView {
    fn table(&self, style: Style) -> String {
        let mut grid = Grid::new(["REVISION", "PUBLISHED", "ORIGIN", "CURRENT", "SUMMARY"]);
        for entry in &self.0 {
            grid.push([
                entry.short().into(),
                entry.published_at.as_str().into(),
                Cell::optional(entry.origin),
                if entry.current { Cell::coloured("*", Colour::Good) } else { "-".into() },
                entry.summary.as_str().into(),
            ]);
        }
        grid.render(style)
    }
}

/// What a rollback did.
#[derive(Debug, Serialize)]
pub(crate) struct RollbackView {
    /// Null: the content that was asked for ran already.
    published: Option<EntryView>,
    /// Whose content was asked for.
    content_of: Option<RevisionView>,
}

impl RollbackView {
    pub(crate) fn new(asked: &v1::HistoryEntry, response: v1::RollbackResponse) -> Self {
        Self {
            published: response.published.map(|entry| EntryView::new(entry, 0)),
            content_of: asked.revision.clone().map(RevisionView::from),
        }
    }
}

impl Table for RollbackView {
    fn table(&self, _: Style) -> String {
        let content = self.content_of.as_ref().map_or_else(|| "-".into(), RevisionView::short);
        match &self.published {
            None => format!("the content of {content} runs already; nothing was published\n"),
            Some(entry) => format!(
                "published {} with the content of {content}: {}\n\
                 the file differs now; what it says is held back until it changes\n",
                entry.short(),
                printable(&entry.summary)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(seq: u64, origin: v1::Origin) -> v1::HistoryEntry {
        v1::HistoryEntry {
            revision: Some(v1::Revision { epoch: 7, seq, root_hash: vec![0xab; 32] }),
            published_at_ms: 1_700_000_000_123,
            origin: origin.into(),
            summary: "route a removed".into(),
        }
    }

    fn entries() -> Vec<v1::HistoryEntry> {
        vec![entry(2, v1::Origin::Rollback), entry(1, v1::Origin::File)]
    }

    #[test]
    fn json_has_the_documented_form() {
        let revision = |seq: u64| json!({ "epoch": 7, "seq": seq, "hash": "ab".repeat(32) });
        let published_at = "2023-11-14T22:13:20.123Z";
        let expected = json!([
            { "revision": revision(2), "published_at": published_at, "origin": "rollback",
              "summary": "route a removed", "current": true },
            { "revision": revision(1), "published_at": published_at, "origin": "file",
              "summary": "route a removed", "current": false },
        ]);
        assert_eq!(serde_json::to_value(HistoryView::from(entries())).unwrap(), expected);
    }

    #[test]
    fn table_marks_what_is_current() {
        let expected = "\
REVISION    PUBLISHED                 ORIGIN    CURRENT  SUMMARY
2-abababab  2023-11-14T22:13:20.123Z  rollback  *        route a removed
1-abababab  2023-11-14T22:13:20.123Z  file      -        route a removed
";
        assert_eq!(HistoryView::from(entries()).table(Style::Plain), expected);
    }

    #[test]
    fn a_rollback_tells_what_it_published() {
        let [newest, asked] = entries().try_into().unwrap();
        let told =
            |published| RollbackView::new(&asked, v1::RollbackResponse { published }).table(Style::Plain);
        assert!(
            told(Some(newest))
                .starts_with("published 2-abababab with the content of 1-abababab: route a removed\n")
        );
        assert_eq!(told(None), "the content of 1-abababab runs already; nothing was published\n");
    }
}
