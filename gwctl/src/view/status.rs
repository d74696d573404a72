//! `gwctl status`: what runs where.

use std::fmt::Write;

use apigw_config::json::live::timestamp;
use apigw_proto::v1;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    ProblemView, RevisionView,
    certificates::{CertificateView, Certificates},
    push_problems,
};
use crate::{
    connection::Gathered,
    output::{Cell, Colour, Grid, Style, Table},
};

#[derive(Debug, Serialize)]
pub(crate) struct StatusView {
    /// Null when a data plane answers.
    control_plane: Option<ControlPlaneView>,
    /// In the order of their trouble, then by name.
    data_planes: Vec<DataPlaneView>,
}

#[derive(Debug, Serialize)]
struct ControlPlaneView {
    version: String,
    uptime_seconds: u64,
    config_file: String,
    revision: Option<RevisionView>,
    /// RFC 3339, in UTC.
    published_at: Option<String>,
    rejected_file: Option<RejectedFileView>,
    held_back_file: Option<HeldBackFileView>,
    /// What is legal in what is published and probably not meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<ProblemView>,
}

/// The file says something else than what runs, because of a rollback.
#[derive(Debug, Serialize)]
struct HeldBackFileView {
    /// RFC 3339, in UTC.
    since: String,
}

#[derive(Debug, Serialize)]
struct RejectedFileView {
    /// RFC 3339, in UTC.
    at: String,
    problems: Vec<ProblemView>,
}

#[derive(Debug, Serialize)]
struct DataPlaneView {
    id: String,
    version: String,
    listen_addr: String,
    state: State,
    revision: Option<RevisionView>,
    config_source: Option<&'static str>,
    /// RFC 3339, in UTC: when what runs came into force.
    applied_at: Option<String>,
    /// Since then, by this machine's clock.
    age_seconds: Option<u64>,
    problems: Vec<ProblemView>,
    /// In the order of the file; null: it has not told them.
    certificates: Option<Vec<CertificateView>>,
}

impl StatusView {
    /// What was answered, as it is `now`.
    pub(crate) fn new(
        status: v1::StatusResponse,
        certificates: Gathered<v1::CertificateState>,
        now: Timestamp,
    ) -> Self {
        let mut certificates = Certificates::new(certificates, now);
        let view = |status| DataPlaneView::new(status, &mut certificates, now);
        let mut data_planes: Vec<_> = status.data_planes.into_iter().map(view).collect();
        // Whoever looks at a thousand of them looks for the few that are not well; of several alike, for a name.
        data_planes.sort_by(|a, b| (a.state, &a.id).cmp(&(b.state, &b.id)));
        Self { control_plane: status.control_plane.map(ControlPlaneView::from), data_planes }
    }
}

/// How a data plane is, from the worst to the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Rejected,
    Disconnected,
    Updating,
    InSync,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Disconnected => "disconnected",
            Self::Updating => "updating",
            Self::InSync => "in_sync",
        }
    }

    fn colour(self) -> Colour {
        match self {
            Self::Rejected | Self::Disconnected => Colour::Bad,
            Self::Updating => Colour::Waiting,
            Self::InSync => Colour::Good,
        }
    }
}

impl From<v1::DataPlaneState> for State {
    fn from(state: v1::DataPlaneState) -> Self {
        match state {
            v1::DataPlaneState::InSync => Self::InSync,
            // A server that says nothing of it does not know yet.
            v1::DataPlaneState::Updating | v1::DataPlaneState::Unspecified => Self::Updating,
            v1::DataPlaneState::Rejected => Self::Rejected,
            v1::DataPlaneState::Disconnected => Self::Disconnected,
        }
    }
}

impl From<v1::ControlPlaneStatus> for ControlPlaneView {
    fn from(status: v1::ControlPlaneStatus) -> Self {
        Self {
            version: status.version,
            uptime_seconds: status.uptime_seconds,
            config_file: status.config_file,
            published_at: status.revision.as_ref().map(|_| timestamp(status.published_at_ms)),
            revision: status.revision.map(RevisionView::from),
            rejected_file: status.rejected_file.map(|rejected| RejectedFileView {
                at: timestamp(rejected.at_ms),
                problems: rejected.problems.into_iter().map(ProblemView::from).collect(),
            }),
            warnings: status.warnings.into_iter().map(ProblemView::from).collect(),
            held_back_file: status
                .held_back_file
                .map(|held_back| HeldBackFileView { since: timestamp(held_back.since_ms) }),
        }
    }
}

impl DataPlaneView {
    fn new(status: v1::DataPlaneStatus, certificates: &mut Certificates, now: Timestamp) -> Self {
        let applied_at = Some(status.applied_at_ms).filter(|&at| at > 0 && status.revision.is_some());
        // A clock that is ahead of this one has applied it just now.
        let now_ms = u64::try_from(now.as_millisecond()).unwrap_or_default();
        Self {
            state: status.state().into(),
            config_source: source_word(status.source()),
            applied_at: applied_at.map(timestamp),
            age_seconds: applied_at.map(|at| now_ms.saturating_sub(at) / 1_000),
            certificates: certificates.of(&status.id, status.state()),
            id: status.id,
            version: status.version,
            listen_addr: status.listen_address,
            revision: status.revision.map(RevisionView::from),
            problems: status.problems.into_iter().map(ProblemView::from).collect(),
        }
    }
}

fn source_word(source: v1::ConfigSource) -> Option<&'static str> {
    match source {
        v1::ConfigSource::Unspecified => None,
        v1::ConfigSource::Stream => Some("stream"),
        v1::ConfigSource::Disk => Some("disk"),
        v1::ConfigSource::File => Some("file"),
    }
}

impl Table for StatusView {
    fn table(&self, style: Style) -> String {
        let mut text = String::new();
        if let Some(control_plane) = &self.control_plane {
            text += &control_plane.grid().render(style);
            text.push('\n');
        }
        text += &data_plane_grid(&self.data_planes).render(style);
        text += &self.certificates(style);
        if let Some(held_back) = self.control_plane.as_ref().and_then(|status| status.held_back_file.as_ref())
        {
            let since = &held_back.since;
            let told = "THE FILE DIFFERS from what runs since the rollback at";
            writeln!(text, "\n{told} {since}; its next change runs").expect("a string takes any text");
        }
        if let Some(rejected) = self.control_plane.as_ref().and_then(|status| status.rejected_file.as_ref()) {
            let head = format!("THE FILE WAS REJECTED at {}; the revision above still runs", rejected.at);
            push_problems(&mut text, &head, &rejected.problems);
        }
        if let Some(status) = self.control_plane.as_ref().filter(|status| !status.warnings.is_empty()) {
            push_problems(&mut text, "WARNINGS", &status.warnings);
        }
        for data_plane in self.data_planes.iter().filter(|data_plane| !data_plane.problems.is_empty()) {
            let id = crate::failure::printable(&data_plane.id);
            push_problems(&mut text, &format!("PROBLEMS OF {id}"), &data_plane.problems);
        }
        text
    }
}

impl StatusView {
    /// The table of certificates; empty where none is in use.
    fn certificates(&self, style: Style) -> String {
        let mut grid = CertificateView::grid();
        let mut is_empty = true;
        for data_plane in &self.data_planes {
            for certificate in data_plane.certificates.iter().flatten() {
                grid.push(certificate.row(&data_plane.id));
                is_empty = false;
            }
        }
        if is_empty { String::new() } else { format!("\n{}", grid.render(style)) }
    }
}

impl ControlPlaneView {
    fn grid(&self) -> Grid<5> {
        let mut grid = Grid::new(["CONTROL PLANE", "UPTIME", "REVISION", "PUBLISHED", "FILE"]);
        grid.push([
            self.version.as_str().into(),
            duration(self.uptime_seconds).into(),
            Cell::optional(self.revision.as_ref().map(RevisionView::short)),
            Cell::optional(self.published_at.as_deref()),
            match (&self.rejected_file, &self.held_back_file) {
                (Some(_), _) => Cell::coloured(&format!("{} (rejected)", self.config_file), Colour::Bad),
                (None, Some(_)) => {
                    Cell::coloured(&format!("{} (differs)", self.config_file), Colour::Waiting)
                }
                (None, None) => self.config_file.as_str().into(),
            },
        ]);
        grid
    }
}

/// As a person says it: "3m 20s".
fn duration(seconds: u64) -> String {
    format!("{:#}", SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
}

fn data_plane_grid(data_planes: &[DataPlaneView]) -> Grid<7> {
    let mut grid = Grid::new(["DATA PLANE", "VERSION", "LISTENS ON", "STATE", "REVISION", "SOURCE", "AGE"]);
    for data_plane in data_planes {
        grid.push([
            data_plane.id.as_str().into(),
            data_plane.version.as_str().into(),
            data_plane.listen_addr.as_str().into(),
            Cell::coloured(data_plane.state.word(), data_plane.state.colour()),
            Cell::optional(data_plane.revision.as_ref().map(RevisionView::short)),
            Cell::optional(data_plane.config_source),
            Cell::optional(data_plane.age_seconds.map(duration)),
        ]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millisecond(1_700_000_200_999).unwrap()
    }

    fn status() -> StatusView {
        let revision = v1::Revision { epoch: 1_700_000_000_000, seq: 7, root_hash: vec![0xab; 32] };
        let problem = v1::Problem {
            file: "gateway.yaml".into(),
            line: 31,
            column: 15,
            path: "routes[3].upstream".into(),
            message: "wrong".into(),
        };
        let answer = v1::StatusResponse {
            control_plane: Some(v1::ControlPlaneStatus {
                version: "0.1.0".into(),
                held_back_file: None,
                uptime_seconds: 200,
                config_file: "gateway.yaml".into(),
                revision: Some(revision.clone()),
                published_at_ms: 1_700_000_000_123,
                rejected_file: Some(v1::RejectedFile {
                    at_ms: 1_700_000_001_000,
                    problems: vec![problem.clone()],
                }),
                warnings: Vec::new(),
            }),
            data_planes: vec![
                v1::DataPlaneStatus {
                    id: "dp-1".into(),
                    version: "0.1.0".into(),
                    listen_address: "0.0.0.0:8080".into(),
                    state: v1::DataPlaneState::InSync.into(),
                    revision: Some(revision),
                    source: v1::ConfigSource::Stream.into(),
                    problems: vec![],
                    applied_at_ms: 1_700_000_000_123,
                },
                v1::DataPlaneStatus {
                    id: "dp-2".into(),
                    state: v1::DataPlaneState::Rejected.into(),
                    problems: vec![v1::Problem { message: "port taken".into(), ..v1::Problem::default() }],
                    ..v1::DataPlaneStatus::default()
                },
            ],
        };
        view(answer)
    }

    /// A view where no certificate is in use.
    fn view(answer: v1::StatusResponse) -> StatusView {
        StatusView::new(answer, Gathered { rows: Vec::new(), cut_short: None }, now())
    }

    #[test]
    fn json_has_the_documented_fields() {
        let revision = json!({ "epoch": 1_700_000_000_000_u64, "seq": 7, "hash": "ab".repeat(32) });
        let expected = json!({
            "control_plane": {
                "version": "0.1.0", "uptime_seconds": 200, "config_file": "gateway.yaml", "revision": revision,
                "published_at": "2023-11-14T22:13:20.123Z",
                "rejected_file": {
                    "at": "2023-11-14T22:13:21.000Z",
                    "problems": [{
                        "file": "gateway.yaml", "line": 31, "column": 15, "path": "routes[3].upstream",
                        "message": "wrong",
                    }],
                },
                "held_back_file": null,
            },
            "data_planes": [
                {
                    "id": "dp-2", "version": "", "listen_addr": "", "state": "rejected", "revision": null,
                    "config_source": null, "applied_at": null, "age_seconds": null,
                    "problems": [{
                        "file": null, "line": null, "column": null, "path": null, "message": "port taken",
                    }],
                    "certificates": [],
                },
                {
                    "id": "dp-1", "version": "0.1.0", "listen_addr": "0.0.0.0:8080", "state": "in_sync",
                    "revision": revision, "config_source": "stream", "applied_at": "2023-11-14T22:13:20.123Z",
                    "age_seconds": 200, "problems": [], "certificates": [],
                },
            ],
        });
        assert_eq!(serde_json::to_value(status()).unwrap(), expected);
    }

    #[test]
    fn data_planes_stand_in_the_order_of_their_trouble_then_by_name() {
        use v1::DataPlaneState::{Disconnected, InSync, Rejected, Updating};
        let states = [
            ("b", InSync),
            ("a", InSync),
            ("c", Updating),
            ("e", Rejected),
            ("d", Disconnected),
            ("z", Rejected),
        ];
        let data_planes = states.map(|(id, state)| v1::DataPlaneStatus {
            id: id.into(),
            state: state.into(),
            ..v1::DataPlaneStatus::default()
        });
        let answer = v1::StatusResponse { control_plane: None, data_planes: data_planes.into() };
        let view = view(answer);
        let listed: Vec<_> =
            view.data_planes.iter().map(|plane| (plane.id.as_str(), plane.state.word())).collect();
        let expected = [
            ("e", "rejected"),
            ("z", "rejected"),
            ("d", "disconnected"),
            ("c", "updating"),
            ("a", "in_sync"),
            ("b", "in_sync"),
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn a_data_plane_answers_without_a_control_plane() {
        let view = view(v1::StatusResponse::default());
        assert_eq!(serde_json::to_value(&view).unwrap(), json!({ "control_plane": null, "data_planes": [] }));
        assert!(view.table(Style::Plain).starts_with("DATA PLANE"));
    }

    #[test]
    fn table_shows_short_revisions_and_every_problem_in_full() {
        let expected = "\
CONTROL PLANE  UPTIME  REVISION    PUBLISHED                 FILE
0.1.0          3m 20s  7-abababab  2023-11-14T22:13:20.123Z  gateway.yaml (rejected)

DATA PLANE  VERSION  LISTENS ON    STATE     REVISION    SOURCE  AGE
dp-2        -        -             rejected  -           -       -
dp-1        0.1.0    0.0.0.0:8080  in_sync   7-abababab  stream  3m 20s

THE FILE WAS REJECTED at 2023-11-14T22:13:21.000Z; the revision above still runs:
  gateway.yaml:31:15 routes[3].upstream: wrong

PROBLEMS OF dp-2:
  port taken
";
        assert_eq!(status().table(Style::Plain), expected);
    }

    #[test]
    fn a_file_that_differs_since_a_rollback_shows() {
        let held_back_file = Some(v1::HeldBackFile { since_ms: 1_700_000_000_123 });
        let control_plane = v1::ControlPlaneStatus {
            config_file: "gateway.yaml".into(),
            held_back_file,
            ..v1::ControlPlaneStatus::default()
        };
        let answer = v1::StatusResponse { control_plane: Some(control_plane), data_planes: Vec::new() };
        let view = view(answer);
        let since = "2023-11-14T22:13:20.123Z";
        assert_eq!(
            serde_json::to_value(&view).unwrap()["control_plane"]["held_back_file"],
            json!({ "since": since })
        );
        let table = view.table(Style::Plain);
        assert!(table.contains("gateway.yaml (differs)"), "{table}");
        assert!(
            table.contains(&format!("THE FILE DIFFERS from what runs since the rollback at {since}")),
            "{table}"
        );
    }
}
