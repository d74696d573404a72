//! Any answer of a route's own, and whatever becomes of a path.

use std::num::NonZeroU16;

use proptest::{prelude::*, sample::select};

use crate::{
    model::*,
    names::{
        AnswerStatus, AnswerText, CookieName, ExactPath, HeaderName, MediaType, PathPrefix, Percent,
        RedirectStatus, Scheme, SplitWeight,
    },
};

/// A route whose parts go together: an answer of its own is given only where nothing says how requests are sent.
pub(super) fn legal(route: Route, own_answer: Option<Destination>) -> Route {
    match own_answer {
        Some(destination) => Route {
            destination,
            path_change: PathChange::None,
            host_rewrite: HostRewrite::Upstream,
            request_headers: HeaderChanges::default(),
            concurrency: Concurrency::default(),
            circuit_breaker: None,
            timeouts: Timeouts::default(),
            retry: None,
            hedge: None,
            compression: None,
            max_body_bytes: None,
            ..route
        },
        None if route.clone().checked().is_err() => Route { path_change: PathChange::None, ..route },
        None => route,
    }
}

/// Has a backend be sent copies, if there is one, of some routes that forward.
pub(super) fn copy(route: &mut Route, backends: &[Backend]) {
    if let Some(backend) = backends.last().filter(|_| !route.destination.is_own_answer()) {
        let percent = Percent::new(f64::from(route.concurrency.max_in_flight % 100 + 1)).unwrap();
        route.mirror = Some(Box::new(Mirror { backend: backend.name().clone(), percent }));
    }
}

/// Has backends share a route's requests, if there are any. How they do depends on its limits, which are any.
pub(super) fn share(route: &mut Route, backends: &[Backend]) {
    let number = route.concurrency.max_in_flight;
    let part = |(index, backend): (u32, &Backend)| SplitPart {
        backend: backend.name().clone(),
        weight: SplitWeight::new(number.wrapping_add(index) % 3).unwrap(),
    };
    let by = match number % 4 {
        0 => Some(HashKey::Header(HeaderName::new("x-user").unwrap())),
        1 => Some(HashKey::Cookie(CookieName::new("user").unwrap())),
        2 => Some(HashKey::Ip),
        _ => None,
    };
    if let Ok(split) = Split::new((0..).zip(backends).map(part).collect(), by) {
        route.destination = Destination::Split(split.into());
    }
}

pub(super) fn any_rewrite() -> impl Strategy<Value = PathRewrite> {
    let path = || "(/[a-z~-]{1,6}){1,3}/?";
    let regex = select(vec![("/a/(.*)", "/b/${1}"), ("/(?P<x>.*)", "/$${${x}${0}")]);
    prop_oneof![
        path().prop_map(|text| PathRewrite::Full(ExactPath::new(&text).unwrap())),
        path().prop_map(|text| PathRewrite::Prefix(PathPrefix::new(&text).unwrap())),
        regex.prop_map(|(pattern, with)| {
            PathRewrite::Regex(RegexRewrite::new(pattern.parse().unwrap(), with.parse().unwrap()).unwrap())
        }),
    ]
}

pub(super) fn any_own_answer() -> impl Strategy<Value = Destination> {
    let path = "/[a-z]{1,4}".prop_map(|text| PathRewrite::Full(ExactPath::new(&text).unwrap()));
    let scheme = select(vec![Scheme::Http, Scheme::Https]);
    let host = "[a-z]{1,8}[.]example".prop_map(|text| text.parse().unwrap());
    let port = (1_u16..).prop_map(|port| NonZeroU16::new(port).unwrap());
    let place = (prop::option::of(scheme), prop::option::of(host), prop::option::of(port));
    let status =
        select(vec![301, 302, 303, 307, 308]).prop_map(|status| RedirectStatus::new(status).unwrap());
    let redirect = (status, place, prop::option::of(path))
        .prop_map(|(status, (scheme, host, port), path)| Redirect { status, scheme, host, port, path });
    let answer = (200_u32..=203, "[a-z ]{0,9}").prop_map(|(status, body)| {
        let body = AnswerText::new(&body).unwrap();
        FixedAnswer::new(AnswerStatus::new(status).unwrap(), body, MediaType::PLAIN_TEXT).unwrap()
    });
    let redirect = redirect.prop_map(|redirect| Destination::Redirect(redirect.into()));
    prop_oneof![redirect, answer.prop_map(Destination::Respond)]
}
