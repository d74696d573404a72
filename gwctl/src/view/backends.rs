//! `gwctl backends`: one row for each endpoint of a backend on each data plane.

use apigw_config::json::live::timestamp_if_any;
use apigw_proto::v1;
use serde::Serialize;

use crate::output::{Cell, Colour, Grid, Style, Table};

/// In the order of the data planes, then of the file.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct BackendsView(Vec<RowView>);

#[derive(Debug, Serialize)]
struct RowView {
    data_plane: String,
    backend: String,
    url: String,
    /// Of the file, whose address it is; none: it is there as it is.
    name: Option<String>,
    weight: u32,
    in_flight: u32,
    health: String,
    reason: String,
    /// None: since the data plane has it.
    since: Option<String>,
    /// None: it is not ejected.
    ejected_until: Option<String>,
}

impl From<Vec<v1::EndpointState>> for BackendsView {
    fn from(rows: Vec<v1::EndpointState>) -> Self {
        let row = |row: v1::EndpointState| {
            let v1::EndpointState {
                data_plane,
                backend,
                url,
                weight,
                in_flight,
                health,
                reason,
                since_ms,
                ejected_until_ms,
                name,
            } = row;
            let name = Some(name).filter(|name| !name.is_empty());
            let since = timestamp_if_any(since_ms);
            let ejected_until = timestamp_if_any(ejected_until_ms);
            RowView {
                data_plane,
                backend,
                url,
                name,
                weight,
                in_flight,
                health,
                reason,
                since,
                ejected_until,
            }
        };
        Self(rows.into_iter().map(row).collect())
    }
}

impl Table for BackendsView {
    fn table(&self, style: Style) -> String {
        let heads = [
            "DATA PLANE",
            "BACKEND",
            "ENDPOINT",
            "WEIGHT",
            "IN FLIGHT",
            "HEALTH",
            "REASON",
            "SINCE",
            "UNTIL",
        ];
        let mut grid = Grid::new(heads);
        for row in &self.0 {
            let RowView {
                data_plane,
                backend,
                url,
                name,
                weight,
                in_flight,
                health,
                reason,
                since,
                ejected_until,
            } = row;
            let place = name.as_ref().map_or_else(|| url.clone(), |name| format!("{url} ({name})"));
            let colour = if health == "healthy" { Colour::Good } else { Colour::Bad };
            grid.push([
                data_plane.as_str().into(),
                backend.as_str().into(),
                place.as_str().into(),
                weight.to_string().into(),
                in_flight.to_string().into(),
                Cell::coloured(health, colour),
                reason.as_str().into(),
                Cell::optional(since.as_ref()),
                Cell::optional(ejected_until.as_ref()),
            ]);
        }
        grid.render(style)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> BackendsView {
        BackendsView::from(vec![v1::EndpointState {
            data_plane: "dp-1".into(),
            backend: "orders".into(),
            url: "http://10.0.0.1:9000".into(),
            weight: 2,
            in_flight: 7,
            health: "unhealthy".into(),
            reason: "status_503".into(),
            since_ms: 1_700_000_000_123,
            ejected_until_ms: 0,
            name: "orders.internal".into(),
        }])
    }

    #[test]
    fn every_endpoint_is_a_row() {
        let expected = json!([{
            "data_plane": "dp-1", "backend": "orders", "url": "http://10.0.0.1:9000",
            "name": "orders.internal", "weight": 2, "in_flight": 7,
            "health": "unhealthy", "reason": "status_503", "since": "2023-11-14T22:13:20.123Z", "ejected_until": null,
        }]);
        assert_eq!(serde_json::to_value(view()).ok(), Some(expected));
        let table = view().table(Style::Plain);
        let expected = "DATA PLANE  BACKEND  ENDPOINT                                WEIGHT  IN FLIGHT  HEALTH     REASON      \
                        SINCE                     UNTIL\n\
                        dp-1        orders   http://10.0.0.1:9000 (orders.internal)  2       7          unhealthy  status_503  \
                        2023-11-14T22:13:20.123Z  -\n";
        assert_eq!(table, expected);
    }
}
