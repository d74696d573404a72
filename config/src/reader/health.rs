//! Reads `backends[].health`.

use super::{Mapping, Place, Read, Reader};
use crate::{
    model::{ActiveCheck, FailureRate, Health, Outlier, Probe},
    names::{Percent, ProbePath},
};

impl Read for Health {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let active = keys.or("active", None);
        let outlier = keys.or("outlier", None);
        keys.finish();

        Some(Self { active: active?, outlier: outlier? })
    }
}

impl Read for Outlier {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let consecutive_failures = keys.or("consecutive_failures", Self::DEFAULT_CONSECUTIVE_FAILURES);
        let percent: Option<Option<Percent>> = keys.or("failure_percent", None);
        let window = keys.or("window_seconds", FailureRate::DEFAULT_WINDOW);
        let minimum_requests = keys.or("minimum_requests", FailureRate::DEFAULT_MINIMUM_REQUESTS);
        let ejection = keys.or("ejection_seconds", Self::DEFAULT_EJECTION);
        let max_ejected = keys.or("max_ejected_percent", Self::DEFAULT_MAX_EJECTED);
        let rate = percent.zip(window).zip(minimum_requests).map(|((percent, window), minimum_requests)| {
            percent.map(|percent| FailureRate { percent, window, minimum_requests })
        });
        let all = consecutive_failures.zip(rate).zip(ejection).zip(max_ejected);
        let outlier = all.and_then(|(((failures, rate), ejection), max_ejected)| {
            keys.judged(Self::new(failures, rate, ejection, max_ejected))
        });
        keys.finish();

        outlier
    }
}

impl Read for ActiveCheck {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let path: Option<Option<ProbePath>> = keys.or("path", None);
        let is_tcp = keys.or("tcp", false);
        let probe = match (path, is_tcp) {
            (Some(Some(path)), Some(false)) => Some(Probe::Http(path)),
            (Some(None), Some(true)) => Some(Probe::Tcp),
            (Some(None), Some(false)) => {
                keys.report("path", "missing; a path is asked for by HTTP, \"tcp: true\" only connects");
                None
            }
            (Some(Some(_)), Some(true)) => {
                keys.report("tcp", "must not be true beside a path");
                None
            }
            (None, _) | (_, None) => None,
        };
        let interval = keys.or("interval_seconds", Self::DEFAULT_INTERVAL);
        let timeout = keys.or("timeout_seconds", Self::DEFAULT_TIMEOUT);
        let unhealthy_threshold = keys.or("unhealthy_threshold", Self::DEFAULT_UNHEALTHY_THRESHOLD);
        let healthy_threshold = keys.or("healthy_threshold", Self::DEFAULT_HEALTHY_THRESHOLD);
        // What cannot be read must not hide what is wrong with the rest.
        let judged = Self::new(
            probe.clone().unwrap_or(Probe::Tcp),
            interval.unwrap_or(Self::DEFAULT_INTERVAL),
            timeout.unwrap_or(Self::DEFAULT_TIMEOUT),
            unhealthy_threshold.unwrap_or(Self::DEFAULT_UNHEALTHY_THRESHOLD),
            healthy_threshold.unwrap_or(Self::DEFAULT_HEALTHY_THRESHOLD),
        );
        let check = keys.judged(judged);
        keys.finish();

        // All of them are there, or a problem is reported.
        probe.and(interval).and(timeout)?;
        unhealthy_threshold.and(healthy_threshold)?;
        check
    }
}
