//! What is said of a request that has passed all judgements: nothing here refuses one.

use std::sync::Arc;

use apigw_config::{
    json::Number,
    model::{Destination, HashKey, Split},
    names::Period,
};

use super::Steps;
use crate::{
    rejection::Rejection,
    snapshot::{Backend, Route, SplitBackends},
};

impl Steps<'_> {
    /// How long the route waits.
    pub(super) fn timeouts(&mut self, route: &Route<'_>, path: String) {
        let Some(timeouts) = &route.policies.timeouts else {
            return self.skip("timeouts", "as the settings say");
        };
        let limits = [
            ("total", timeouts.total),
            ("connect", timeouts.connect),
            ("first byte", timeouts.first_byte),
            ("idle", timeouts.idle),
        ];
        let told = limits.into_iter().filter_map(|(what, limit)| Some(format!("{what} {}", seconds(limit?))));
        self.tell("timeouts", told.collect::<Vec<_>>().join(", "), path);
    }

    /// When the request is sent once more.
    pub(super) fn retry(&mut self, route: &Route<'_>, path: String) {
        let Some(retry) = &route.config.retry else {
            return self.skip("retry", "only what an upstream has not looked at");
        };
        let on = retry.on.as_slice().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (attempts, percent) = (retry.attempts.get(), retry.budget.get());
        let detail = format!("up to {attempts} more on {on}, as long as retries are under {percent}%");
        self.tell("retry", detail, path);
    }

    /// When a second endpoint is asked.
    pub(super) fn hedge(&mut self, route: &Route<'_>, path: String) {
        let Some(hedge) = route.config.hedge else { return };
        let detail = format!("another endpoint is asked as well after {}", seconds(hedge.after));
        self.tell("hedge", detail, path);
    }

    /// Who is sent a copy.
    pub(super) fn mirror(&mut self, route: &Route<'_>, path: String) {
        let Some(mirror) = &route.config.mirror else { return };
        self.tell("mirror", format!("{}% copied to {}", mirror.percent.get(), mirror.backend), path);
    }

    /// In which coding the answer comes, if it is one that is compressed.
    pub(super) fn compression(&mut self, route: &Route<'_>, path: String) {
        let Some(rules) = &route.policies.compression else { return };
        let detail = match rules.preferred(&self.question.head.headers) {
            Some(coding) => format!("{coding}, if the answer is of a kind that is compressed"),
            None => "none of the route's codings is accepted".into(),
        };
        self.tell("compression", detail, path);
    }

    /// The backend that all requests of the route go to.
    pub(in super::super) fn backend<'a>(&mut self, backend: &'a Arc<Backend>) -> &'a Arc<Backend> {
        self.backend = backend.name().cloned();
        backend
    }

    /// Which of several backends it is; where chance decides, one that is asked for the same path, if that is so of all.
    pub(in super::super) fn split<'a>(
        &mut self,
        route: &Route<'_>,
        backends: SplitBackends<'a>,
    ) -> Option<&'a Arc<Backend>> {
        let Destination::Split(split) = &route.config.destination else { return None };
        let path = format!("routes[{}].split", self.snapshot.place_of(route));
        if let Some(backend) = backends.kept(&self.question.head.headers, self.question.client) {
            let name = backend.name().map_or("", |name| name.as_str());
            self.tell("split", format!("{name} by {}", split.by().map(key).unwrap_or_default()), path);
            return Some(self.backend(backend));
        }
        self.tell("split", format!("{}, each in its turn", shares(split)), path);
        let first = backends.iter().next()?;
        backends.iter().all(|backend| backend.base_path() == first.base_path()).then_some(first)
    }

    /// What no judgement follows from.
    fn tell(&mut self, policy: &'static str, detail: String, path: String) {
        self.add(policy, None, Ok::<_, Rejection>(()), detail, path);
    }
}

fn key(key: &HashKey) -> String {
    match key {
        HashKey::Header(name) => format!("header {}", name.as_str()),
        HashKey::Cookie(name) => format!("cookie {}", name.as_str()),
        HashKey::Ip => "ip".into(),
    }
}

fn shares(split: &Split) -> String {
    let part = split.parts().iter().map(|part| format!("{} {}", part.backend, part.weight.get()));
    part.collect::<Vec<_>>().join(", ")
}

fn seconds(period: Period) -> String {
    format!("{} s", Number::seconds(period.micros()))
}
