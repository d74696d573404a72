//! What is counted of the requests of one route.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use http::{Method, StatusCode};
use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{
    cells::{Cell, DurationSum, Durations, Reasons},
    families::{counter, counters, family},
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
    questions: Reasons,
    question_times: OnceLock<Box<Durations>>,
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

    /// Counts a question to the route's service, by what became of it.
    pub(crate) fn count_question(&self, outcome: &'static str) {
        self.questions.add(outcome);
    }

    /// Counts how long the service took.
    pub(crate) fn count_question_time(&self, duration: Duration) {
        self.question_times.get_or_init(Box::default).add(duration);
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
    pub(super) questions: Vec<Metric>,
    pub(super) question_times: Vec<Metric>,
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
        let mut question_times = DurationSum::default();
        let times = counters.clone().filter_map(|counters| counters.question_times.get());
        times.for_each(|times| question_times.add(times));
        if !question_times.is_empty() {
            self.question_times.push(question_times.metric(&[("route", route)]));
        }
        let sums = ReasonSums::of(counters);
        let series =
            |(reason, count): (&&str, &u64)| counter(&[("route", route), ("reason", reason)], *count);
        self.rejections.extend(sums.rejections.iter().map(series));
        self.shadow_rejections.extend(sums.shadow_rejections.iter().map(series));
        self.retries.extend(sums.retries.iter().map(series));
        let by_outcome =
            |(outcome, count): (&&str, &u64)| counter(&[("route", route), ("outcome", outcome)], *count);
        self.copies.extend(sums.copies.iter().map(by_outcome));
        self.questions.extend(sums.questions.iter().map(by_outcome));
        if sums.refused_retries > 0 {
            self.refused_retries.push(counter(&[("route", route)], sums.refused_retries));
        }
    }

    /// As they are given out.
    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        let RouteSeries {
            requests,
            durations,
            upstream,
            rejections,
            shadow_rejections,
            retries,
            refused_retries,
            copies,
            questions,
            question_times,
        } = self;
        vec![
            counters("apigw_http_requests_total", "Requests answered.", requests),
            family(
                "apigw_http_request_duration_seconds",
                "From a request's head to the end of its answer.",
                MetricType::HISTOGRAM,
                durations,
            ),
            family(
                "apigw_upstream_response_seconds",
                "From a request's head to the head of the upstream's answer.",
                MetricType::HISTOGRAM,
                upstream,
            ),
            counters("apigw_rejections_total", "Answers of the gateway itself, by reason.", rejections),
            counters(
                "apigw_shadow_rejections_total",
                "What policies in shadow mode would have refused.",
                shadow_rejections,
            ),
            counters(
                "apigw_upstream_retries_total",
                "Requests sent once more as their route says, by what the attempt before came to.",
                retries,
            ),
            counters(
                "apigw_upstream_retries_refused_total",
                "Requests not sent once more because the route's budget was spent.",
                refused_retries,
            ),
            counters(
                "apigw_mirrored_requests_total",
                "Copies of requests for another backend, by what became of them.",
                copies,
            ),
            counters(
                "apigw_external_auth_requests_total",
                "Requests that a service was to be asked about, by what became of the question.",
                questions,
            ),
            family(
                "apigw_external_auth_duration_seconds",
                "From the question to a service to the head of its answer, or the end of its time.",
                MetricType::HISTOGRAM,
                question_times,
            ),
        ]
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
    pub(crate) questions: BTreeMap<&'static str, u64>,
}

impl ReasonSums {
    pub(super) fn of<'a>(counters: impl Iterator<Item = &'a RouteCounters>) -> Self {
        let mut sums = Self::default();
        for counters in counters {
            counters.rejections.add_to(&mut sums.rejections);
            counters.shadow_rejections.add_to(&mut sums.shadow_rejections);
            counters.retries.add_to(&mut sums.retries);
            counters.copies.add_to(&mut sums.copies);
            counters.questions.add_to(&mut sums.questions);
            sums.refused_retries += counters.refused_retries.read();
        }
        sums
    }
}
