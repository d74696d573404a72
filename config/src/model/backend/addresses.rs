//! Names whose addresses are endpoints of their own: what a backend is once they are known. Nothing here asks for them.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use super::{Backend, Endpoint, Resolution};
use crate::names::UpstreamHost;

/// The most endpoints that a name is: which of more addresses they are does not change with the order of an answer.
const MAX_ADDRESSES: usize = 100;

impl Backend {
    /// The names whose addresses are endpoints.
    pub(in crate::model) fn resolved_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.endpoints.iter().filter_map(Endpoint::resolved_name)
    }

    /// The same with an endpoint for each address of these names. One whose addresses nobody knows stays what it is, and an address that is
    /// an endpoint already is none once more.
    pub(in crate::model) fn resolved(&self, addresses: &impl Fn(&str) -> Option<Arc<[IpAddr]>>) -> Self {
        let mut endpoints = Vec::with_capacity(self.endpoints.len());
        for endpoint in &self.endpoints {
            match endpoint.resolved_name().and_then(|name| addresses(name)) {
                None => endpoints.push(endpoint.clone()),
                Some(known) => endpoints.extend(known.iter().take(MAX_ADDRESSES).filter_map(|address| {
                    let url = endpoint.url.at(*address)?;
                    Some(Endpoint { url, resolution: Resolution::Together, ..endpoint.clone() })
                })),
            }
        }
        // What stands in the file goes before what a name says.
        endpoints.sort_by_key(|endpoint: &Endpoint| endpoint.url.name().is_some());
        let mut places = HashSet::with_capacity(endpoints.len());
        endpoints
            .retain(|Endpoint { url, .. }| places.insert((url.scheme(), url.host().clone(), url.port())));
        endpoints.truncate(Self::MAX_ENDPOINTS);
        if endpoints.iter().all(|endpoint| endpoint.drains) {
            // The others were all said twice, and once that they drain. Somebody takes requests.
            return self.clone();
        }
        Self { endpoints, ..self.clone() }
    }
}

impl Endpoint {
    fn resolved_name(&self) -> Option<&Arc<str>> {
        match (self.url.host(), self.resolution) {
            (UpstreamHost::Name(name), Resolution::Each) => Some(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{BackendName, UpstreamUrl, Weight};

    fn backend(urls: &[&str]) -> Backend {
        let endpoint = |url: &&str| {
            let (url, resolution) = match url.strip_prefix("each ") {
                Some(url) => (url, Resolution::Each),
                None => (*url, Resolution::Together),
            };
            let url = UpstreamUrl::new(url).unwrap();
            Endpoint { url, weight: Weight::new(3).unwrap(), drains: false, resolution }
        };
        let endpoints = urls.iter().map(endpoint).collect();
        Backend::new(BackendName::new("b").unwrap(), endpoints, None).unwrap()
    }

    #[track_caller]
    fn check(urls: &[&str], expected: &[&str]) {
        let known = |name: &str| match name {
            "two" => Some([[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from).into()),
            "six" => Some(Arc::from(["::1".parse().unwrap()])),
            "many" => Some((0..=255).map(|last| IpAddr::from([10, 9, 9, last])).collect()),
            _ => None,
        };
        let resolved = backend(urls).resolved(&known);
        let urls: Vec<_> = resolved.endpoints().iter().map(|endpoint| endpoint.url.as_str()).collect();
        assert_eq!(urls, expected);
        assert!(resolved.endpoints().iter().all(|endpoint| endpoint.weight.get() == 3));
    }

    #[test]
    fn each_address_of_a_name_is_an_endpoint() {
        check(
            &["each http://two:81/x", "http://b/x"],
            &["http://b/x", "http://10.0.0.1:81/x", "http://10.0.0.2:81/x"],
        );
        check(&["each https://six"], &["https://[::1]"]);
        check(&["http://two"], &["http://two"]);
        check(&["each http://unknown/"], &["http://unknown/"]);
    }

    #[test]
    fn an_address_that_is_an_endpoint_is_none_once_more() {
        check(&["each http://two", "http://10.0.0.2:80"], &["http://10.0.0.2:80", "http://10.0.0.1"]);
    }

    #[test]
    fn a_name_is_so_many_endpoints_and_not_one_more() {
        let known = |count: u16| {
            let addresses: Arc<[IpAddr]> = (0..count)
                .map(|number| IpAddr::from([10, 0, number.to_be_bytes()[0], number.to_be_bytes()[1]]))
                .collect();
            backend(&["each http://many"]).resolved(&|_| Some(Arc::clone(&addresses))).endpoints().len()
        };
        assert_eq!([99, 100, 101].map(known), [99, 100, 100]);
    }

    #[test]
    fn an_address_answers_under_the_name() {
        let resolved =
            backend(&["each http://two:81"]).resolved(&|_| Some([IpAddr::from([10, 0, 0, 1])].into()));
        assert_eq!(resolved.endpoints()[0].url.authority(), "two:81");
    }
}
