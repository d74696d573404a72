//! What a person will want to know next, beside an answer: whom else to ask, and how to take a change back.
//!
//! It is talk, so it goes to standard error, and only beside tables: a script has not asked for it.

use apigw_proto::v1;

use crate::failure::printable;

/// The most data planes that are named.
const MOST_NAMED: usize = 3;

/// Beside an explanation of a request, by whoever has this status.
pub(crate) fn of_explanation(status: &v1::StatusResponse, is_refused: bool) -> Vec<String> {
    let is_control_plane = status.control_plane.is_some();
    let at_rest = is_control_plane.then(|| {
        let others = named(&status.data_planes);
        format!(
            "judged at rest: only data planes know how full buckets are, what breakers say, and an issuer's keys{others}; \
             ask one by --endpoint and its admin address"
        )
    });
    let follows_a_file = |plane: &v1::DataPlaneStatus| plane.source() == v1::ConfigSource::File;
    let whose = if is_control_plane { "" } else { "of its control plane, " };
    let can_be_undone = is_control_plane || !status.data_planes.iter().any(follows_a_file);
    let undo = (is_refused && can_be_undone).then(|| {
        format!("if the last change did it: {whose}\"gwctl diff\" shows it, \"gwctl rollback\" takes it back")
    });
    at_rest.into_iter().chain(undo).collect()
}

/// Before a rollback to what was published before `kept`'s first, when that is a rollback itself.
pub(crate) fn of_rollback(kept: &[v1::HistoryEntry]) -> Option<&'static str> {
    let is_rollback = kept.first().is_some_and(|newest| newest.origin() == v1::Origin::Rollback);
    is_rollback.then_some(
        "the last change was a rollback, and this takes it back; \"gwctl history\" shows where else one can go",
    )
}

fn named(data_planes: &[v1::DataPlaneStatus]) -> String {
    let connected = |plane: &&v1::DataPlaneStatus| plane.state() != v1::DataPlaneState::Disconnected;
    let names: Vec<_> = data_planes.iter().filter(connected).map(|plane| printable(&plane.id)).collect();
    match names.as_slice() {
        [] => String::new(),
        names if names.len() > MOST_NAMED => format!(" ({}, ...)", names[..MOST_NAMED].join(", ")),
        names => format!(" ({})", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(id: &str, source: v1::ConfigSource) -> v1::DataPlaneStatus {
        let state = v1::DataPlaneState::InSync.into();
        v1::DataPlaneStatus { id: id.into(), source: source.into(), state, ..v1::DataPlaneStatus::default() }
    }

    fn control_plane(data_planes: &[&str]) -> v1::StatusResponse {
        let data_planes = data_planes.iter().map(|id| plane(id, v1::ConfigSource::Stream)).collect();
        v1::StatusResponse { control_plane: Some(v1::ControlPlaneStatus::default()), data_planes }
    }

    #[test]
    fn a_control_plane_names_who_knows_more() {
        let hints = of_explanation(&control_plane(&["a:1", "b:1", "c:1", "d:1"]), false);
        assert_eq!(hints.len(), 1);
        assert!(hints[0].contains("an issuer's keys (a:1, b:1, c:1, ...); ask one"), "{hints:?}");
        let hints = of_explanation(&control_plane(&[]), true);
        assert!(hints[0].contains("an issuer's keys; ask one"), "{hints:?}");
        assert!(hints[1].contains("\"gwctl rollback\" takes it back"), "{hints:?}");
    }

    #[test]
    fn a_data_plane_says_where_a_change_is_taken_back() {
        let own =
            |source| v1::StatusResponse { control_plane: None, data_planes: vec![plane("a:1", source)] };
        assert_eq!(of_explanation(&own(v1::ConfigSource::File), true), Vec::<String>::new());
        assert_eq!(of_explanation(&own(v1::ConfigSource::Stream), false), Vec::<String>::new());
        let hints = of_explanation(&own(v1::ConfigSource::Disk), true);
        assert!(hints[0].contains("of its control plane"), "{hints:?}");
    }

    #[test]
    fn a_rollback_of_a_rollback_is_told() {
        let entry = |origin: v1::Origin| v1::HistoryEntry { origin: origin.into(), ..Default::default() };
        assert_eq!(of_rollback(&[]), None);
        assert_eq!(of_rollback(&[entry(v1::Origin::File), entry(v1::Origin::Rollback)]), None);
        assert!(of_rollback(&[entry(v1::Origin::Rollback)]).is_some());
    }
}
