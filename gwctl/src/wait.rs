//! Waiting until what was published runs everywhere: the judgement of one status, and how often it is asked for.

use std::{future::Future, str::FromStr, time::Duration};

use apigw_proto::v1;
use tokio::time::Instant;

use crate::{
    failure::Failure,
    reference::{Reference, ResolveError},
    view::{RevisionView, WaitView},
};

/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long to wait at most: 0 to a day. 0 asks once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience(Duration);

/// A text is no time to wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a number of seconds from 0 to 86400")]
pub(crate) struct PatienceError;

impl FromStr for Patience {
    type Err = PatienceError;

    fn from_str(text: &str) -> Result<Self, PatienceError> {
        let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
        seconds.map(|seconds| Self(Duration::from_secs_f64(seconds))).ok_or(PatienceError)
    }
}

/// What the control plane says at one moment.
pub(crate) struct Sight {
    pub(crate) status: v1::StatusResponse,
    /// What is kept; empty when no revision was named.
    pub(crate) kept: Vec<v1::HistoryEntry>,
}

/// How a wait stands.
pub(crate) enum Standing {
    /// It has ended, well or badly.
    Ended(WaitView),
    /// Not yet: what would be said if the time were up.
    Pending(WaitView),
}

/// Asks until the wait has ended or the time is up.
pub(crate) async fn wait<A>(
    reference: Option<&Reference>,
    patience: Patience,
    mut ask: impl FnMut() -> A,
) -> Result<WaitView, Failure>
where
    A: Future<Output = Result<Sight, Failure>>,
{
    let deadline = Instant::now() + patience.0;
    loop {
        match judge(reference, ask().await?)? {
            Standing::Ended(view) => return Ok(view),
            Standing::Pending(view) if Instant::now() >= deadline => return Ok(view),
            Standing::Pending(_) => tokio::time::sleep_until(deadline.min(Instant::now() + INTERVAL)).await,
        }
    }
}

/// Whether every connected data plane runs a revision, or a newer one. At least one must be connected: where nobody
/// follows, nothing runs.
pub(crate) fn judge(reference: Option<&Reference>, sight: Sight) -> Result<Standing, Failure> {
    let Sight { status, kept } = sight;
    let control_plane = status.control_plane.ok_or(Failure::NoControlPlane)?;
    let newest = control_plane.revision.map(RevisionView::from);
    let target = match reference {
        None => newest,
        Some(reference) => match reference.resolve(&kept) {
            Ok(entry) => entry.revision.clone().map(RevisionView::from),
            // It may come yet.
            Err(ResolveError::Unknown(_)) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let mut view = WaitView::of(target);
    let rejected = control_plane.rejected_file.map(|rejected| rejected.problems);
    if let (None, Some(problems)) = (reference, rejected.clone()) {
        view.reject_file(problems);
        return Ok(Standing::Ended(view));
    }
    let Some(target) = view.revision.clone() else {
        // A file that is broken now may be mended in time.
        rejected.into_iter().for_each(|problems| view.reject_file(problems));
        let what = reference.map_or_else(|| "nothing".into(), |reference| format!("revision {reference}"));
        view.message = format!("{what} is not published");
        return Ok(Standing::Pending(view));
    };
    for data_plane in status.data_planes {
        let state = data_plane.state();
        let running = data_plane.revision.map(RevisionView::from);
        match state {
            v1::DataPlaneState::Disconnected => {}
            _ if running.is_some_and(|running| running.is_as_new_as(&target)) => {
                view.running.push(data_plane.id);
            }
            v1::DataPlaneState::Rejected => view.refuse(data_plane.id, data_plane.problems),
            _ => view.lagging.push(data_plane.id),
        }
    }
    Ok(view.judged())
}

#[cfg(test)]
mod tests {
    use v1::DataPlaneState::{Disconnected, InSync, Rejected, Updating};

    use super::*;
    use crate::output::{Style, Table};

    fn revision(seq: u64) -> v1::Revision {
        v1::Revision { epoch: 1, seq, root_hash: vec![0xab; 32] }
    }

    fn data_plane(id: &str, state: v1::DataPlaneState, seq: u64) -> v1::DataPlaneStatus {
        let problem = v1::Problem { message: "port taken".into(), ..v1::Problem::default() };
        let problems = if state == Rejected { vec![problem] } else { Vec::new() };
        let (id, revision) = (id.into(), Some(revision(seq)));
        v1::DataPlaneStatus { id, state: state.into(), revision, problems, ..v1::DataPlaneStatus::default() }
    }

    /// What there is to see when revision 2 is the newest.
    fn sight(data_planes: Vec<v1::DataPlaneStatus>) -> Sight {
        let control_plane =
            v1::ControlPlaneStatus { revision: Some(revision(2)), ..v1::ControlPlaneStatus::default() };
        let kept = [2, 1]
            .map(|seq| v1::HistoryEntry { revision: Some(revision(seq)), ..v1::HistoryEntry::default() });
        let status = v1::StatusResponse { control_plane: Some(control_plane), data_planes };
        Sight { status, kept: kept.into() }
    }

    /// Whether the wait has ended, whether well, and what is said.
    fn judged(reference: Option<&str>, sight: Sight) -> (bool, bool, String) {
        let reference = reference.map(|text| text.parse().unwrap());
        match judge(reference.as_ref(), sight).unwrap() {
            Standing::Ended(view) => (true, view.ok, view.table(Style::Plain)),
            Standing::Pending(view) => (false, view.ok, view.table(Style::Plain)),
        }
    }

    #[test]
    fn it_ends_when_every_connected_one_runs_it() {
        let planes =
            vec![data_plane("a", InSync, 2), data_plane("b", InSync, 2), data_plane("c", Disconnected, 1)];
        assert_eq!(judged(None, sight(planes)), (true, true, "2-abababab runs on a, b\n".into()));
    }

    #[test]
    fn a_newer_one_will_do() {
        let planes = || vec![data_plane("a", InSync, 2)];
        assert!(judged(Some("1"), sight(planes())).1);
        let planes = vec![data_plane("a", Rejected, 1)];
        assert!(judged(Some("1"), sight(planes)).1, "what it refuses is not what is waited for");
    }

    #[test]
    fn one_that_refuses_ends_it_with_its_problems() {
        let planes =
            vec![data_plane("a", InSync, 2), data_plane("b", Rejected, 1), data_plane("c", Updating, 1)];
        let (ended, ok, told) = judged(None, sight(planes));
        assert!(ended && !ok);
        assert_eq!(told, "2-abababab is refused by b\n\nPROBLEMS OF b:\n  port taken\n");
    }

    #[test]
    fn those_that_lag_are_named() {
        let planes = vec![data_plane("a", InSync, 2), data_plane("b", Updating, 1)];
        assert_eq!(judged(None, sight(planes)), (false, false, "2-abababab does not run yet on b\n".into()));
    }

    #[test]
    fn where_nobody_follows_nothing_runs() {
        let (ended, ok, told) = judged(None, sight(vec![data_plane("a", Disconnected, 2)]));
        assert_eq!((ended, ok, told.as_str()), (false, false, "no data plane is connected\n"));
    }

    #[test]
    fn a_revision_may_come_yet_but_a_rejected_file_does_not() {
        assert_eq!(judged(Some("3"), sight(Vec::new())).2, "revision 3 is not published\n");
        let mut rejected = sight(vec![data_plane("a", InSync, 2)]);
        let problems = vec![v1::Problem { message: "wrong".into(), ..v1::Problem::default() }];
        let control_plane = rejected.status.control_plane.as_mut().unwrap();
        control_plane.rejected_file = Some(v1::RejectedFile { at_ms: 1, problems });
        let status = rejected.status.clone();
        let (ended, ok, told) = judged(Some("3"), Sight { status, kept: Vec::new() });
        assert_eq!((ended, ok), (false, false));
        assert_eq!(told, "revision 3 is not published\n\nPROBLEMS OF THE FILE:\n  wrong\n");
        let (ended, ok, told) = judged(None, rejected);
        assert!(ended && !ok);
        assert_eq!(told, "the file was rejected\n\nPROBLEMS OF THE FILE:\n  wrong\n");
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_when_the_time_is_up() {
        let began = Instant::now();
        let mut asked = 0;
        let ask = || {
            asked += 1;
            std::future::ready(Ok(sight(vec![data_plane("a", Updating, 1)])))
        };
        let view = wait(None, "1".parse().unwrap(), ask).await.unwrap();
        assert!(!view.ok);
        assert_eq!((began.elapsed(), asked), (Duration::from_secs(1), 6));
    }

    #[test]
    fn patience_has_bounds() {
        for text in ["0", "0.5", "86400"] {
            assert!(text.parse::<Patience>().is_ok(), "{text}");
        }
        for text in ["", "-1", "86401", "NaN", "inf", "1s"] {
            assert_eq!(text.parse::<Patience>(), Err(PatienceError), "{text}");
        }
    }
}
