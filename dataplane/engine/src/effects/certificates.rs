//! Whose certificates a route serves that it did not serve before.

use apigw_config::{
    model::{Mtls, Route},
    names::{AuthMethod, CommonName, DnsPattern, EmailPattern, UriPattern},
};

use super::{is_enforced, methods};

/// What a route's callers may be named now, and might not before, where certificates make them known then and now.
pub(super) fn served_newly(before: &Route, after: &Route) -> Vec<String> {
    let (Some(former), Some(present)) = (served(before), served(after)) else { return Vec::new() };
    let Mtls { dns_names, uris, emails, common_names } = present;
    let dns_names = newly(&former.dns_names, dns_names, DnsPattern::covers);
    let uris = newly(&former.uris, uris, UriPattern::covers);
    let emails = newly(&former.emails, emails, EmailPattern::covers);
    let common_names = newly(&former.common_names, common_names, CommonName::eq);
    [dns_names, uris, emails, common_names].concat()
}

/// Whose certificates count; none: nobody's, or nobody is turned away.
fn served(route: &Route) -> Option<&Mtls> {
    let takes = is_enforced(route) && methods(route).as_slice().contains(&AuthMethod::Mtls);
    route.auth.as_ref()?.mtls.as_deref().filter(|_| takes)
}

fn newly<T: ToString>(former: &[T], present: &[T], covers: fn(&T, &T) -> bool) -> Vec<String> {
    let is_new = |name: &&T| !former.iter().any(|known| covers(known, name));
    present.iter().filter(is_new).map(ToString::to_string).collect()
}

/// The first of some names, and how many more there are.
pub(super) fn told(names: &[String]) -> Option<String> {
    let (first, others) = names.split_first()?;
    Some(match others.len() {
        0 => first.clone(),
        more => format!("{first} and {more} more"),
    })
}
