//! Reads `tests` and `invariants`.

use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

use super::{Mapping, Place, Read, Reader};
use crate::{
    model::{Expectation, Invariant, RequestTest, Required, TestRequest},
    names::{MethodName, PathPrefix, Percent, ValueError},
};

impl Read for RequestTest {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let name = keys.required("name");
        let request = keys.required("request");
        let expect = keys.required("expect");
        keys.finish();
        Some(Self { name: name?, request: request?, expect: expect? })
    }
}

impl Read for TestRequest {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let get = MethodName::from_str("GET").expect("it is a method");
        let method = keys.or("method", get);
        let host = keys.or("host", None);
        let path: Option<String> = keys.required("path");
        let headers = keys.or("headers", BTreeMap::new());
        let claims = keys.or("claims", None);
        let client = keys.or("from", None);
        if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            keys.report("path", "does not begin with \"/\"");
        }
        keys.finish();
        let path = path.filter(|path| path.starts_with('/'))?;
        Some(Self { method: method?, host: host?, path, headers: headers?, claims: claims?, client: client? })
    }
}

impl Read for Expectation {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let route = keys.or("route", None);
        let status = keys.or("status", None);
        let reason = keys.or("reason", None);
        let upstream_path = keys.or("upstream_path", None);
        keys.finish();
        Some(Self { route: route?, status: status?, reason: reason?, upstream_path: upstream_path? })
    }
}

impl Read for Invariant {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let prefix: Option<Option<PathPrefix>> = keys.or("routes_under", None);
        let require: Option<Option<Required>> = keys.or("require", None);
        let removed: Option<Option<Percent>> = keys.or("max_routes_removed_percent", None);
        let invariant = match (prefix?, require?, removed?) {
            (Some(prefix), Some(require), None) => Some(Self::RoutesUnder { prefix, require }),
            (None, None, Some(at_most)) => Some(Self::RoutesRemoved { at_most }),
            _ => {
                keys.report(
                    "routes_under",
                    "either routes_under and require, or max_routes_removed_percent, must be given",
                );
                None
            }
        };
        keys.finish();
        invariant
    }
}

impl FromStr for Required {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let all = [Self::Auth, Self::RateLimit, Self::Concurrency, Self::CircuitBreaker];
        all.into_iter().find(|required| required.as_str() == text).ok_or_else(|| ValueError::UnknownChoice {
            choices: "auth, rate_limit, concurrency, circuit_breaker",
            text: text.into(),
        })
    }
}

/// The address of a client, as a test names it.
pub(super) fn client_address(text: &str) -> Result<IpAddr, ValueError> {
    text.parse().map_err(|_| ValueError::NotAnIpAddress { text: text.into() })
}
