//! The certificates in `gwctl status`: what each data plane shows, to whom, and for how long yet.

use std::collections::BTreeMap;

use apigw_config::json::live::timestamp;
use apigw_proto::v1;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    connection::Gathered,
    output::{Cell, Colour, Grid},
};

/// A certificate with fewer days left catches the eye.
const SOON_DAYS: i64 = 14;

const DAY_MS: i64 = 86_400_000;

/// A certificate that is in use.
#[derive(Debug, Serialize)]
pub(super) struct CertificateView {
    /// As the configuration names it.
    file: String,
    /// Whose endpoints are shown it; null: clients are.
    backend: Option<String>,
    /// Its DNS names.
    names: Vec<String>,
    /// RFC 3339, in UTC.
    not_after: String,
    /// Whole days; negative: its time is over.
    days_left: i64,
}

/// Whole days until then; the day that has begun does not count.
fn days_left(not_after_ms: u64, now: Timestamp) -> i64 {
    let not_after = i64::try_from(not_after_ms).unwrap_or(i64::MAX);
    not_after.saturating_sub(now.as_millisecond()).div_euclid(DAY_MS)
}

impl CertificateView {
    fn new(state: v1::CertificateState, now: Timestamp) -> Self {
        let v1::CertificateState { data_plane: _, backend, file, names, not_after_ms } = state;
        let backend = (!backend.is_empty()).then_some(backend);
        let (not_after, days_left) = (timestamp(not_after_ms), days_left(not_after_ms, now));
        Self { file, backend, names, not_after, days_left }
    }

    /// For rows of several data planes.
    pub(super) fn grid() -> Grid<6> {
        Grid::new(["DATA PLANE", "CERTIFICATE", "SHOWN TO", "NAMES", "NOT AFTER", "DAYS LEFT"])
    }

    /// In the table of that data plane.
    pub(super) fn row(&self, data_plane: &str) -> [Cell; 6] {
        let shown_to = self.backend.as_ref().map_or("clients".into(), |backend| format!("backend {backend}"));
        let colour = match self.days_left {
            ..0 => Colour::Bad,
            0..SOON_DAYS => Colour::Waiting,
            _ => Colour::Good,
        };
        [
            data_plane.into(),
            self.file.as_str().into(),
            shown_to.into(),
            self.names.join(",").into(),
            self.not_after.as_str().into(),
            Cell::coloured(&self.days_left.to_string(), colour),
        ]
    }
}

/// Those of all data planes.
#[derive(Debug)]
pub(super) struct Certificates {
    by_data_plane: BTreeMap<String, Vec<CertificateView>>,
    /// Whether there are no others.
    is_whole: bool,
}

impl Certificates {
    /// What was answered, as it is `now`.
    pub(super) fn new(gathered: Gathered<v1::CertificateState>, now: Timestamp) -> Self {
        let mut by_data_plane = BTreeMap::<_, Vec<_>>::new();
        for state in gathered.rows {
            let rows = by_data_plane.entry(state.data_plane.clone()).or_default();
            rows.push(CertificateView::new(state, now));
        }
        Self { by_data_plane, is_whole: gathered.cut_short.is_none() }
    }

    /// Takes those of a data plane; none: it has not told them.
    pub(super) fn of(&mut self, data_plane: &str, state: v1::DataPlaneState) -> Option<Vec<CertificateView>> {
        let was_asked = self.is_whole && state != v1::DataPlaneState::Disconnected;
        self.by_data_plane.remove(data_plane).or_else(|| was_asked.then(Vec::new))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{failure::Failure, output::Style};

    fn now() -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000).unwrap()
    }

    fn state(data_plane: &str, backend: &str, days: u64) -> v1::CertificateState {
        v1::CertificateState {
            data_plane: data_plane.into(),
            backend: backend.into(),
            file: "a.pem".into(),
            names: vec!["a.example".into(), "b.example".into()],
            not_after_ms: 1_700_000_000_000 + days * 86_400_000,
        }
    }

    fn certificates(cut_short: Option<Failure>) -> Certificates {
        Certificates::new(
            Gathered { rows: vec![state("dp-1", "", 3), state("dp-1", "b", 90)], cut_short },
            now(),
        )
    }

    #[test]
    fn a_data_plane_has_what_it_told_and_no_more() {
        use v1::DataPlaneState::{Disconnected, InSync};
        let failure = || Failure::Output(std::io::ErrorKind::Other.into());
        for (cut_short, data_plane, state, expected) in [
            (None, "dp-1", InSync, Some(2)),
            (None, "dp-2", InSync, Some(0)),
            (None, "dp-2", Disconnected, None),
            (Some(failure()), "dp-1", InSync, Some(2)),
            (Some(failure()), "dp-2", InSync, None),
        ] {
            let told = certificates(cut_short).of(data_plane, state);
            assert_eq!(told.map(|told| told.len()), expected, "{data_plane} {state:?}");
        }
    }

    #[test]
    fn the_days_that_are_left_are_whole_days() {
        let at = |ms: i64| {
            days_left(1_700_000_000_000, Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap())
        };
        assert_eq!([at(-2 * DAY_MS), at(1 - DAY_MS), at(0), at(1)], [2, 0, 0, -1]);
        assert_eq!(days_left(u64::MAX, now()), (i64::MAX - 1_700_000_000_000) / DAY_MS);
    }

    #[test]
    fn json_and_table_say_whom_it_is_for_and_for_how_long() {
        let told = certificates(None).of("dp-1", v1::DataPlaneState::InSync).unwrap();
        let expected = json!({
            "file": "a.pem", "backend": "b", "names": ["a.example", "b.example"],
            "not_after": "2024-02-12T22:13:20.000Z", "days_left": 90,
        });
        assert_eq!(serde_json::to_value(&told[1]).unwrap(), expected);
        let mut grid = CertificateView::grid();
        told.iter().for_each(|certificate| grid.push(certificate.row("dp-1")));
        let expected = "\
DATA PLANE  CERTIFICATE  SHOWN TO   NAMES                NOT AFTER                 DAYS LEFT
dp-1        a.pem        clients    a.example,b.example  2023-11-17T22:13:20.000Z  3
dp-1        a.pem        backend b  a.example,b.example  2024-02-12T22:13:20.000Z  90
";
        assert_eq!(grid.render(Style::Plain), expected);
    }
}
