//! In how a route's callers make themselves known, in one cell.

use apigw_config::json::{ExternalAuthJson, MtlsJson, RouteAuthJson, RouteJson};

use crate::view::aside;

/// The word for a service that is asked.
const EXTERNAL: &str = "external";

/// The word for certificates.
const MTLS: &str = "mtls";

/// In how callers make themselves known, if they must.
pub(super) fn callers(route: &RouteJson) -> Option<String> {
    let Some(auth) = &route.auth else { return route.auth_required.then(|| "required".into()) };
    let RouteAuthJson { any, all, external, mtls, mode, .. } = auth;
    let told = |ways: &[String]| {
        let ways: Vec<_> = ways.iter().map(|way| told(way, external.as_ref(), mtls.as_ref())).collect();
        ways.join(", ")
    };
    let ways = match (any.as_slice(), all.as_slice()) {
        ([], []) => "required".into(),
        ([only], []) | ([], [only]) => told(std::slice::from_ref(only)),
        (any, []) => format!("any of {}", told(any)),
        (_, all) => format!("all of {}", told(all)),
    };
    let is_named = any.iter().chain(all).any(|way| way == EXTERNAL);
    let besides = external.as_ref().filter(|_| !is_named).map(|service| format!(", then {}", asked(service)));
    route.auth_required.then(|| format!("{ways}{}{}", besides.unwrap_or_default(), aside(mode)))
}

/// A way, and what the route says of it.
fn told(way: &str, external: Option<&ExternalAuthJson>, mtls: Option<&MtlsJson>) -> String {
    match (way, external, mtls) {
        (EXTERNAL, Some(service), _) => asked(service),
        (MTLS, _, Some(served)) => format!("{MTLS} of {}", names(served)),
        _ => way.to_owned(),
    }
}

fn asked(service: &ExternalAuthJson) -> String {
    let ExternalAuthJson { url, timeout_seconds, on_failure, cache, .. } = service;
    let passes = if on_failure == "allow" { ", else allow" } else { "" };
    let held = cache.as_ref().map(|cache| format!(", cache {} s", cache.ttl_seconds)).unwrap_or_default();
    format!("{EXTERNAL} {url} ({timeout_seconds} s{passes}{held})")
}

/// The first of the names that certificates are served by, and how many more there are.
fn names(served: &MtlsJson) -> String {
    let MtlsJson { dns_names, uris, emails, common_names } = served;
    let mut names = [dns_names, uris, emails, common_names].into_iter().flatten();
    let first = names.next().map_or("nobody", String::as_str);
    match names.count() {
        0 => first.to_owned(),
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use apigw_proto::v1;

    use super::*;

    fn cell(auth: v1::RouteAuth) -> String {
        let route = v1::Route { auth_required: true, auth: Some(auth), ..v1::Route::default() };
        callers(&route.into()).unwrap()
    }

    fn ways(ways: &[&str]) -> Vec<String> {
        ways.iter().map(|way| (*way).to_owned()).collect()
    }

    #[test]
    fn a_service_is_told_with_its_place_and_what_follows_when_it_says_nothing() {
        let service = v1::ExternalAuth {
            url: "http://a/check".into(),
            timeout_us: 200_000,
            on_failure: "deny".into(),
            ..v1::ExternalAuth::default()
        };
        let external = Some(service.clone());
        let besides = v1::RouteAuth { external: external.clone(), ..v1::RouteAuth::default() };
        assert_eq!(cell(besides), "required, then external http://a/check (0.2 s)");
        let any = ways(&["jwt", "external"]);
        let named = v1::RouteAuth { any: any.clone(), external, ..v1::RouteAuth::default() };
        assert_eq!(cell(named), "any of jwt, external http://a/check (0.2 s)");
        let cache = Some(v1::ServiceCache { ttl_us: 5_000_000, ignore: Vec::new() });
        let open = Some(v1::ExternalAuth { on_failure: "allow".into(), cache, ..service });
        let open = v1::RouteAuth { all: ways(&["external"]), external: open, ..v1::RouteAuth::default() };
        assert_eq!(cell(open), "external http://a/check (0.2 s, else allow, cache 5 s)");
    }

    #[test]
    fn certificates_are_told_by_the_first_name_and_how_many_more() {
        let served = |dns_names: &[&str], uris: &[&str]| {
            let mtls = v1::Mtls { dns_names: ways(dns_names), uris: ways(uris), ..v1::Mtls::default() };
            cell(v1::RouteAuth { any: ways(&["mtls"]), mtls: Some(mtls), ..v1::RouteAuth::default() })
        };
        assert_eq!(served(&["*.shop.internal"], &[]), "mtls of *.shop.internal");
        assert_eq!(served(&[], &["spiffe://a/b", "spiffe://a/c"]), "mtls of spiffe://a/b and 1 more");
        assert_eq!(served(&["a", "b"], &["spiffe://a/b"]), "mtls of a and 2 more");
    }

    #[test]
    fn who_is_not_turned_away_is_told_so() {
        let shadowed = v1::RouteAuth { mode: "shadow".into(), ..v1::RouteAuth::default() };
        assert_eq!(cell(shadowed), "required (shadow)");
        let open = v1::Route { auth: Some(v1::RouteAuth::default()), ..v1::Route::default() };
        assert_eq!(callers(&open.into()), None);
    }
}
