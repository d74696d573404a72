//! `gwctl limits`: one row for each route on each data plane.

use apigw_proto::v1;
use serde::Serialize;

use crate::output::{Grid, Style, Table};

/// In the order of the data planes, then of the routes.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct LimitsView(Vec<RowView>);

/// The three policies are null until a data plane keeps state for them.
#[derive(Debug, Serialize)]
struct RowView {
    data_plane: String,
    route: String,
    concurrency: Option<()>,
    circuit_breaker: Option<()>,
    rate_limit: Option<()>,
}

impl From<Vec<v1::RouteLimits>> for LimitsView {
    fn from(rows: Vec<v1::RouteLimits>) -> Self {
        let row = |row: v1::RouteLimits| RowView {
            data_plane: row.data_plane,
            route: row.route,
            concurrency: None,
            circuit_breaker: None,
            rate_limit: None,
        };
        Self(rows.into_iter().map(row).collect())
    }
}

impl Table for LimitsView {
    fn table(&self, style: Style) -> String {
        let mut grid = Grid::new(["DATA PLANE", "ROUTE", "CONCURRENCY", "BREAKER", "RATE LIMIT"]);
        for row in &self.0 {
            let none = || "-".into();
            grid.push([row.data_plane.as_str().into(), row.route.as_str().into(), none(), none(), none()]);
        }
        grid.render(style)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_row_names_its_data_plane_and_route() {
        let row = v1::RouteLimits { data_plane: "dp-1".into(), route: "users".into() };
        let view = LimitsView::from(vec![row]);
        let expected = json!([
            { "data_plane": "dp-1", "route": "users", "concurrency": null, "circuit_breaker": null, "rate_limit": null }
        ]);
        assert_eq!(serde_json::to_value(&view).unwrap(), expected);
        let table = view.table(Style::Plain);
        assert_eq!(table.lines().last(), Some("dp-1        users  -            -        -"));
    }
}
