//! What is measured: a table, each entry a question.

use std::{num::NonZero, thread};

use super::{
    gateway::Kind,
    shape::{Axis, Door, PLAIN, Protection, Shape},
};

/// A question, answered by a table of its own.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What is asked, as the heading of its table.
    pub about: &'static str,
    /// Of which gateways.
    pub kinds: &'static [Kind],
    /// What they are like and what is asked of them.
    pub shape: Shape,
    /// What is varied; nothing: there is one row for each gateway.
    pub varied: Option<(Axis, Values)>,
    /// What is measured.
    pub measure: Measure,
    /// What processor times are compared with.
    pub reference: Reference,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// What a request costs at full load.
    Cost,
    /// The same, and how long answers take at half of the load that the reference can carry.
    CostAndLatency,
    /// What a connection holds that waits.
    Idle,
    /// What a change costs those who are served meanwhile, and how long it takes to be in force.
    Reload,
}

/// What a row's processor time is compared with, in the same round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// nginx that only forwards, with the same varied value.
    BareNginx,
    /// The same gateway with the first of the varied values.
    OwnFirst,
}

/// Values along an axis.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// These.
    Of(&'static [usize]),
    /// 1, 2, 4 ... and the number of the machine's processors.
    UpToProcessors,
}

impl Values {
    /// The values.
    #[must_use]
    pub fn list(self) -> Vec<usize> {
        match self {
            Self::Of(values) => values.to_vec(),
            Self::UpToProcessors => up_to(thread::available_parallelism().map_or(1, NonZero::get)),
        }
    }
}

/// Doubled until the last.
fn up_to(last: usize) -> Vec<usize> {
    let doubled = std::iter::successors(Some(1_usize), |value| value.checked_mul(2));
    doubled.take_while(|value| *value < last).chain([last]).collect()
}

const EVERYBODY: &[Kind] = &[Kind::Nginx, Kind::Haproxy, Kind::Envoy, Kind::Apigw];

/// A question to every gateway about [`PLAIN`] requests, to be changed where another differs.
const PLAIN_COST: Scenario = Scenario {
    name: "plain",
    about: "A route without policies",
    kinds: EVERYBODY,
    shape: PLAIN,
    varied: None,
    measure: Measure::CostAndLatency,
    reference: Reference::BareNginx,
};

/// All questions, in the order in which they are asked.
pub const SCENARIOS: [Scenario; 14] = [
    PLAIN_COST,
    Scenario {
        name: "policies",
        about: "Rate limit by address, concurrency limit, circuit breaker",
        shape: Shape { protection: Protection::Limits, ..PLAIN },
        ..PLAIN_COST
    },
    Scenario {
        name: "jwt",
        about: "The same by user, and one RS256 token checked by published keys",
        shape: Shape { protection: Protection::Tokens, tokens: 1, ..PLAIN },
        ..PLAIN_COST
    },
    Scenario {
        name: "jwt-many",
        about: "The same with 1,000 tokens in turn",
        shape: Shape { protection: Protection::Tokens, tokens: 1_000, ..PLAIN },
        ..PLAIN_COST
    },
    Scenario {
        name: "tls",
        about: "TLS 1.3, connections kept alive",
        shape: Shape { door: Door::Tls, ..PLAIN },
        ..PLAIN_COST
    },
    Scenario {
        name: "h2",
        about: "HTTP/2 over TLS, 16 connections of 8 streams, HTTP/1.1 to the upstream",
        shape: Shape { door: Door::Http2, connections: 16, ..PLAIN },
        ..PLAIN_COST
    },
    Scenario {
        name: "large",
        about: "Answers of 1 MiB",
        shape: Shape { answer_bytes: 1 << 20, ..PLAIN },
        measure: Measure::Cost,
        ..PLAIN_COST
    },
    Scenario {
        name: "routes",
        about: "The last of many routes, their start and their memory",
        kinds: &[Kind::Nginx, Kind::Envoy, Kind::Apigw],
        varied: Some((Axis::Routes, Values::Of(&[1, 1_000, 10_000, 100_000]))),
        measure: Measure::Cost,
        reference: Reference::OwnFirst,
        ..PLAIN_COST
    },
    Scenario {
        name: "idle",
        about: "Connections that were each answered once and wait",
        measure: Measure::Idle,
        ..PLAIN_COST
    },
    Scenario {
        name: "reload",
        about: "One route edited again and again under load",
        kinds: &[Kind::Apigw],
        varied: Some((Axis::Routes, Values::Of(&[1, 10_000]))),
        measure: Measure::Reload,
        ..PLAIN_COST
    },
    Scenario {
        name: "workers",
        about: "More workers",
        varied: Some((Axis::Workers, Values::UpToProcessors)),
        measure: Measure::Cost,
        ..PLAIN_COST
    },
    Scenario {
        name: "connections",
        about: "More connections at once",
        varied: Some((Axis::Connections, Values::Of(&[64, 256, 1_024, 5_000, 10_000]))),
        measure: Measure::Cost,
        ..PLAIN_COST
    },
    Scenario {
        name: "bodies",
        about: "Longer answers",
        varied: Some((Axis::AnswerBytes, Values::Of(&[0, 1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20]))),
        measure: Measure::Cost,
        ..PLAIN_COST
    },
    Scenario {
        name: "uploads",
        about: "Requests with a body",
        varied: Some((Axis::RequestBytes, Values::Of(&[1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20]))),
        measure: Measure::Cost,
        ..PLAIN_COST
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SCENARIOS.len());
    }

    #[test]
    fn workers_double_up_to_the_last() {
        let check = |last, expected: &[usize]| assert_eq!(up_to(last), expected);
        check(1, &[1]);
        check(2, &[1, 2]);
        check(6, &[1, 2, 4, 6]);
        check(8, &[1, 2, 4, 8]);
    }
}
