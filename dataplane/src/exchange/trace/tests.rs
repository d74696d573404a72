//! What upstreams are told of traces, and what of it ends up with a collector.

use http::{Request, header::HeaderName};

use super::*;
use crate::traces::finished::samples::upstream;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn begun(fields: &[(&'static str, String)], ratio: f64) -> (ExchangeTrace, Fields) {
    let head = fields.iter().fold(Request::builder(), |head, (name, value)| head.header(*name, value));
    let head: RequestHead = head.body(()).unwrap().into_parts().0.into();
    let ratio = SampleRatio::new(ratio).unwrap();
    let mut trace = ExchangeTrace::new(&head, Scheme::Http, ratio, &mut fastrand::Rng::with_seed(7));
    let mut told = head.headers;
    trace.tell(&Uri::from_static("/a?b=c"), &mut told);
    (trace, told)
}

fn field(fields: &Fields, name: HeaderName) -> Option<String> {
    let values: Vec<_> = fields.get_all(name).map(|value| value.to_str().unwrap()).collect();
    (!values.is_empty()).then(|| values.join("|"))
}

fn parent(flags: &str) -> (&'static str, String) {
    ("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-{flags}"))
}

#[test]
fn a_trace_goes_on_under_the_exchanges_own_span() {
    let (trace, told) =
        begun(&[parent("01"), ("tracestate", "a=1".into()), ("tracestate", "b=2".into())], 0.0);
    let parent = Parent::told_by(&told).unwrap();
    assert_eq!(
        (parent.trace.to_string(), parent.span, parent.is_sampled),
        (TRACE.into(), trace.attempt, true)
    );
    assert_ne!(trace.attempt, trace.span);
    assert_eq!(field(&told, TRACESTATE).as_deref(), Some("a=1|b=2"));
    assert_eq!(&*trace.collected.unwrap().state, "a=1,b=2");
}

#[test]
fn whoever_began_the_trace_has_decided_whether_it_is_sampled() {
    let (trace, told) = begun(&[parent("00")], 1.0);
    assert!(trace.collected.is_none());
    assert!(!Parent::told_by(&told).unwrap().is_sampled);
}

#[test]
fn what_is_malformed_begins_another_trace() {
    for parent in ["00-x", &format!("00-{TRACE}-00f067aa0ba902b7-01-")] {
        let (trace, told) = begun(&[("traceparent", parent.into()), ("tracestate", "a=1".into())], 1.0);
        assert_ne!(trace.id().to_string(), TRACE);
        assert_eq!((trace.parent, field(&told, TRACESTATE)), (None, None), "{parent}");
        assert!(Parent::told_by(&told).unwrap().is_sampled);
    }
}

#[test]
fn a_state_that_is_none_goes_and_its_trace_goes_on() {
    let (trace, told) = begun(&[parent("01"), ("tracestate", "A".into())], 1.0);
    assert_eq!((trace.id().to_string(), field(&told, TRACESTATE)), (TRACE.into(), None));
}

#[test]
fn a_state_too_long_to_be_kept_is_passed_on_all_the_same() {
    let state = (0..4).map(|key| format!("k{key}={}", "x".repeat(150))).collect::<Vec<_>>().join(",");
    let (trace, told) = begun(&[parent("01"), ("tracestate", state.clone())], 1.0);
    assert_eq!(field(&told, TRACESTATE), Some(state));
    assert_eq!(&*trace.collected.unwrap().state, "");
}

#[test]
fn each_attempt_is_a_span_that_its_upstream_is_told() {
    let asked = upstream();
    let (mut trace, mut told) = begun(&[], 1.0);
    let mut random = fastrand::Rng::with_seed(8);
    let first = Parent::told_by(&told).unwrap().span;
    trace.begin_attempt(&asked, Instant::now(), &mut random);
    trace.tell_again(&mut told);
    assert_eq!(Parent::told_by(&told).unwrap().span, first);
    trace.begin_attempt(&asked, Instant::now(), &mut random);
    trace.tell_again(&mut told);
    let second = Parent::told_by(&told).unwrap().span;
    assert_ne!(second, first);
    let spans: Vec<_> = trace.collected.unwrap().attempts.iter().map(|attempt| attempt.span).collect();
    assert_eq!(spans, [first, second]);
}

#[test]
fn what_a_route_made_of_the_field_stays_for_all_attempts() {
    let asked = upstream();
    let (mut trace, mut told) = begun(&[], 1.0);
    told.remove(TRACEPARENT);
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..2 {
        trace.begin_attempt(&asked, Instant::now(), &mut random);
        trace.tell_again(&mut told);
    }
    assert_eq!(field(&told, TRACEPARENT), None);
}
