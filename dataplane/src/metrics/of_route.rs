//! What is counted of the requests of one route.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use http::{Method, StatusCode};
use prometheus::proto::Metric;

use super::{
    cells::{Cell, DurationSum, Durations, Reasons},
    families::counter,
};

/// The methods counted by name (RFC 9110 section 9, RFC 5789); any other is `OTHER`.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::HEAD,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// What is counted of one route by one worker. Only that worker may call what counts.
#[derive(Debug, Default)]
pub(crate) struct RouteCounters {
    /// In the order of [`METHODS`], then all others.
    methods: [OnceLock<Box<MethodCounters>>; METHODS.len() + 1],
    upstream: Durations,
    rejections: Reasons,
    shadow_rejections: Reasons,
    retries: Reasons,
    refused_retries: Cell,
    copies: Reasons,
}

#[derive(Debug, Default)]
struct MethodCounters {
    /// By the first digit of the status (from 1), then by the other two. Statuses of 6xx and above count with 5xx.
    codes: [OnceLock<Box<Codes>>; 5],
    durations: Durations,
}

#[derive(Debug)]
struct Codes([Cell; 100]);

impl RouteCounters {
    /// Counts a request; `method` is none where the head could not be read.
    pub(crate) fn count(&self, method: Option<&Method>, status: StatusCode, duration: Duration) {
        let index = METHODS.iter().position(|known| Some(known) == method).unwrap_or(METHODS.len());
        let counters = self.methods[index].get_or_init(Box::default);
        let (class, code) = (status.as_u16() / 100, status.as_u16() % 100);
        let class = usize::from(class.clamp(1, 5) - 1);
        let codes = counters.codes[class].get_or_init(|| Box::new(Codes([const { Cell::new() }; 100])));
        codes.0[usize::from(code)].add(1);
        counters.durations.add(duration);
    }

    /// Counts an answer of the upstream by the time until its head.
    pub(crate) fn count_upstream(&self, duration: Duration) {
        self.upstream.add(duration);
    }

    /// Counts an answer of the gateway's own.
    pub(crate) fn count_rejection(&self, reason: &'static str) {
        self.rejections.add(reason);
    }

    /// Counts a request that is sent once more.
    pub(crate) fn count_retry(&self, reason: &'static str) {
        self.retries.add(reason);
    }

    /// Counts a request that would be sent once more, if the budget were not spent.
    pub(crate) fn count_refused_retry(&self) {
        self.refused_retries.add(1);
    }

    /// Counts a copy for another backend, by what became of it.
    pub(crate) fn count_copy(&self, outcome: &'static str) {
        self.copies.add(outcome);
    }

    /// Counts what a policy in shadow mode would have refused.
    pub(crate) fn count_shadow(&self, reason: &'static str) {
        self.shadow_rejections.add(reason);
    }
}

/// Series of all routes, in the making.
#[derive(Debug, Default)]
pub(super) struct RouteSeries {
    pub(super) requests: Vec<Metric>,
    pub(super) durations: Vec<Metric>,
    pub(super) upstream: Vec<Metric>,
    pub(super) rejections: Vec<Metric>,
    pub(super) shadow_rejections: Vec<Metric>,
    pub(super) retries: Vec<Metric>,
    pub(super) refused_retries: Vec<Metric>,
    pub(super) copies: Vec<Metric>,
}

impl RouteSeries {
    /// Adds the series of a route: the sums over its counters. There is no series for what never happened.
    pub(super) fn add<'a>(&mut self, route: &str, counters: impl Iterator<Item = &'a RouteCounters> + Clone) {
        for index in 0..=METHODS.len() {
            let method = METHODS.get(index).map_or("OTHER", Method::as_str);
            self.add_method(
                route,
                method,
                counters.clone().filter_map(|counters| counters.methods[index].get()),
            );
        }
        let mut upstream = DurationSum::default();
        counters.clone().for_each(|counters| upstream.add(&counters.upstream));
        if !upstream.is_empty() {
            self.upstream.push(upstream.metric(&[("route", route)]));
        }
        let sums = ReasonSums::of(counters);
        let series =
            |(reason, count): (&&str, &u64)| counter(&[("route", route), ("reason", reason)], *count);
        self.rejections.extend(sums.rejections.iter().map(series));
        self.shadow_rejections.extend(sums.shadow_rejections.iter().map(series));
        self.retries.extend(sums.retries.iter().map(series));
        let copies = sums.copies.iter();
        self.copies.extend(
            copies.map(|(outcome, count)| counter(&[("route", route), ("outcome", outcome)], *count)),
        );
        if sums.refused_retries > 0 {
            self.refused_retries.push(counter(&[("route", route)], sums.refused_retries));
        }
    }

    fn add_method<'a>(
        &mut self,
        route: &str,
        method: &str,
        counters: impl Iterator<Item = &'a Box<MethodCounters>>,
    ) {
        let mut sums: BTreeMap<usize, u64> = BTreeMap::new();
        let mut durations = DurationSum::default();
        for counters in counters {
            for (class, codes) in counters.codes.iter().enumerate() {
                for (code, count) in codes.get().iter().flat_map(|codes| codes.0.iter().enumerate()) {
                    *sums.entry((class + 1) * 100 + code).or_default() += count.read();
                }
            }
            durations.add(&counters.durations);
        }
        for (code, count) in sums.into_iter().filter(|(_, count)| *count > 0) {
            let code = code.to_string();
            self.requests.push(counter(&[("route", route), ("method", method), ("code", &code)], count));
        }
        if !durations.is_empty() {
            self.durations.push(durations.metric(&[("route", route), ("method", method)]));
        }
    }
}

/// Refusals and retries of a route by reason.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReasonSums {
    pub(crate) rejections: BTreeMap<&'static str, u64>,
    pub(crate) shadow_rejections: BTreeMap<&'static str, u64>,
    pub(crate) retries: BTreeMap<&'static str, u64>,
    pub(crate) refused_retries: u64,
    pub(crate) copies: BTreeMap<&'static str, u64>,
}

impl ReasonSums {
    pub(super) fn of<'a>(counters: impl Iterator<Item = &'a RouteCounters>) -> Self {
        let mut sums = Self::default();
        for counters in counters {
            counters.rejections.add_to(&mut sums.rejections);
            counters.shadow_rejections.add_to(&mut sums.shadow_rejections);
            counters.retries.add_to(&mut sums.retries);
            counters.copies.add_to(&mut sums.copies);
            sums.refused_retries += counters.refused_retries.read();
        }
        sums
    }
}
