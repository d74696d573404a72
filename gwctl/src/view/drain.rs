//! `gwctl drain` and `undrain`: one row for each backend that has the endpoint on each data plane.

use apigw_config::json::live::timestamp_if_any;
use apigw_proto::v1;
use serde::Serialize;

use crate::{
    failure::{Failure, OneLine},
    output::{Cell, Colour, Grid, Style, Table},
};

/// In the order of the data planes, then of the file.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct DrainView(Vec<RowView>);

#[derive(Debug, Serialize)]
struct RowView {
    data_plane: String,
    /// None: the data plane has no such endpoint; so are those below.
    backend: Option<String>,
    url: Option<String>,
    in_flight: Option<u32>,
    health: Option<String>,
    reason: Option<String>,
    since: Option<String>,
    /// Why nothing was done; none: it was done.
    refusal: Option<String>,
}

impl DrainView {
    /// What is to be told of what was not done; none: everything was.
    pub(crate) fn refusal_of(outcomes: &[v1::DrainOutcome]) -> Option<Failure> {
        if outcomes.is_empty() {
            return Some(Failure::NobodyDrained);
        }
        let is_refusal = |outcome: &&v1::DrainOutcome| !outcome.refusal.is_empty();
        let first = outcomes.iter().find(is_refusal)?;
        Some(Failure::NotDrained {
            refused: outcomes.iter().filter(is_refusal).count(),
            asked: outcomes.len(),
            data_plane: OneLine::new(&first.data_plane),
            reason: OneLine::new(&first.refusal),
        })
    }
}

impl From<Vec<v1::DrainOutcome>> for DrainView {
    fn from(outcomes: Vec<v1::DrainOutcome>) -> Self {
        let row = |outcome: v1::DrainOutcome| {
            let v1::DrainOutcome { data_plane, endpoint, refusal } = outcome;
            let told = endpoint.as_ref();
            RowView {
                data_plane,
                backend: told.map(|endpoint| endpoint.backend.clone()),
                url: told.map(|endpoint| endpoint.url.clone()),
                in_flight: told.map(|endpoint| endpoint.in_flight),
                health: told.map(|endpoint| endpoint.health.clone()),
                reason: told.map(|endpoint| endpoint.reason.clone()),
                since: told.and_then(|endpoint| timestamp_if_any(endpoint.since_ms)),
                refusal: Some(refusal).filter(|refusal| !refusal.is_empty()),
            }
        };
        Self(outcomes.into_iter().map(row).collect())
    }
}

impl Table for DrainView {
    fn table(&self, style: Style) -> String {
        let mut grid = Grid::new([
            "DATA PLANE",
            "BACKEND",
            "ENDPOINT",
            "IN FLIGHT",
            "HEALTH",
            "REASON",
            "SINCE",
            "REFUSED",
        ]);
        for RowView { data_plane, backend, url, in_flight, health, reason, since, refusal } in &self.0 {
            grid.push([
                data_plane.as_str().into(),
                Cell::optional(backend.as_ref()),
                Cell::optional(url.as_ref()),
                Cell::optional(in_flight.map(|count| count.to_string()).as_ref()),
                Cell::optional(health.as_ref()),
                Cell::optional(reason.as_ref()),
                Cell::optional(since.as_ref()),
                match refusal {
                    None => Cell::optional(None::<&String>),
                    Some(refusal) => Cell::coloured(refusal, Colour::Bad),
                },
            ]);
        }
        grid.render(style)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcomes() -> Vec<v1::DrainOutcome> {
        let endpoint = v1::EndpointState {
            data_plane: "dp-1".into(),
            backend: "orders".into(),
            url: "http://10.0.0.1:9000".into(),
            weight: 2,
            in_flight: 7,
            health: "draining".into(),
            reason: "operator".into(),
            since_ms: 1_700_000_000_123,
            ejected_until_ms: 0,
            name: String::new(),
        };
        let drained =
            v1::DrainOutcome { data_plane: "dp-1".into(), endpoint: Some(endpoint), refusal: String::new() };
        let refused =
            v1::DrainOutcome { data_plane: "dp-2".into(), endpoint: None, refusal: "it is unknown".into() };
        vec![drained, refused]
    }

    #[test]
    fn what_was_done_and_what_was_not_are_rows() {
        let view = DrainView::from(outcomes());
        let table = view.table(Style::Plain);
        let expected = "DATA PLANE  BACKEND  ENDPOINT              IN FLIGHT  HEALTH    REASON    \
                        SINCE                     REFUSED\n\
                        dp-1        orders   http://10.0.0.1:9000  7          draining  operator  \
                        2023-11-14T22:13:20.123Z  -\n\
                        dp-2        -        -                     -          -         -         \
                        -                         it is unknown\n";
        assert_eq!(table, expected);
        let row = json!({
            "data_plane": "dp-2", "backend": null, "url": null, "in_flight": null, "health": null, "reason": null,
            "since": null, "refusal": "it is unknown",
        });
        assert_eq!(serde_json::to_value(&view).unwrap()[1], row);
    }

    #[test]
    fn the_first_refusal_is_told_and_how_many_there_are() {
        let told =
            |outcomes: &[v1::DrainOutcome]| DrainView::refusal_of(outcomes).map(|told| told.to_string());
        assert_eq!(told(&outcomes()).as_deref(), Some("not done 1 of 2 times: dp-2: it is unknown"));
        assert_eq!(told(&outcomes()[..1]), None);
        assert_eq!(told(&[]).as_deref(), Some("no data plane is connected that runs anything"));
    }
}
