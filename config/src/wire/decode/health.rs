//! Reads of a peer how endpoints are judged.

use apigw_proto::v1;

use super::{Fields, policy};
use crate::{
    model::{ActiveCheck, Health, Outlier, Probe},
    names::{CheckCount, Percent, ProbePath},
    problem::{KeyPath, Problems},
};

pub(super) fn health(
    message: &v1::BackendHealth,
    at: KeyPath<'_>,
    problems: &mut Problems,
) -> Option<Health> {
    let v1::BackendHealth { active, outlier } = message;
    let active = match active {
        None => Some(None),
        Some(message) => active_check(message, at.key("active"), problems).map(Some),
    };
    let outlier = match outlier {
        None => Some(None),
        Some(message) => self::outlier(message, at.key("outlier"), problems).map(Some),
    };
    Some(Health { active: active?, outlier: outlier? })
}

fn outlier(message: &v1::Outlier, at: KeyPath<'_>, problems: &mut Problems) -> Option<Outlier> {
    let v1::Outlier { consecutive_failures, failure_rate, ejection_us, max_ejected_percent } = message;
    let mut fields = Fields { at, problems };
    let rate = match failure_rate {
        None => Some(None),
        Some(message) => policy::failure_rate(*message, &mut fields).map(Some),
    };
    let ejection = fields.period("ejection_seconds", *ejection_us);
    let max_ejected = fields.take("max_ejected_percent", Percent::new(*max_ejected_percent));
    let outlier = Outlier::new(*consecutive_failures, rate?, ejection?, max_ejected?);
    fields.judged(outlier)
}

fn active_check(message: &v1::ActiveCheck, at: KeyPath<'_>, problems: &mut Problems) -> Option<ActiveCheck> {
    let v1::ActiveCheck { path, interval_us, timeout_us, unhealthy_threshold, healthy_threshold } = message;
    let mut fields = Fields { at, problems };
    let probe = match path.as_str() {
        "" => Some(Probe::Tcp),
        path => fields.take("path", ProbePath::new(path)).map(Probe::Http),
    };
    let interval = fields.period("interval_seconds", *interval_us);
    let timeout = fields.period("timeout_seconds", *timeout_us);
    let unhealthy_threshold = fields.take("unhealthy_threshold", CheckCount::new(*unhealthy_threshold));
    let healthy_threshold = fields.take("healthy_threshold", CheckCount::new(*healthy_threshold));
    let check = ActiveCheck::new(probe?, interval?, timeout?, unhealthy_threshold?, healthy_threshold?);
    fields.judged(check)
}
