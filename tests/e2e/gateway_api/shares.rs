//! Cases that are about the shares of many requests.

use std::{collections::BTreeMap, net::SocketAddr};

use apigw_tests::{client::Connection, load::at_once};
use serde_json::Value;

/// Sends as many requests as a case says, so many at a time, until the shares are near enough or were not too often.
pub(super) fn check(case: &Value, gateway: SocketAddr) {
    let distribution = &case["distribution"];
    let number = |key: &str| distribution[key].as_u64().and_then(|number| usize::try_from(number).ok());
    let [requests, concurrency, tries] =
        ["requests", "concurrency", "tries"].map(|key| number(key).expect("a number"));
    let tolerance = distribution["tolerance"]["share"].as_f64().expect("a share");
    let path = case["request"]["path"].as_str().expect("a path");
    let is_near = |counts: &BTreeMap<String, f64>| {
        let total: f64 = counts.values().sum();
        let shares = distribution["shares"].as_object().expect("shares");
        shares.iter().all(|(backend, share)| {
            let (got, share) = (counts.get(backend).copied(), share.as_f64().expect("a share"));
            // A share of 0 means not one.
            if share == 0.0 { got.is_none() } else { (got.unwrap_or(0.0) / total - share).abs() <= tolerance }
        })
    };
    let mut counts = BTreeMap::new();
    for _ in 0..tries {
        counts = spread(gateway, path, requests / concurrency, concurrency);
        if is_near(&counts) {
            return;
        }
    }
    panic!("{counts:?} in {case}");
}

/// How many requests each backend answers.
fn spread(gateway: SocketAddr, path: &str, requests: usize, clients: usize) -> BTreeMap<String, f64> {
    let answers = at_once(clients, |_| {
        let mut connection = Connection::open(gateway);
        (0..requests).map(|_| connection.get(path).json()["backend"].to_string()).collect::<Vec<_>>()
    });
    let mut counts = BTreeMap::new();
    for backend in answers.into_iter().flatten() {
        *counts.entry(backend.trim_matches('"').to_owned()).or_default() += 1.0;
    }
    counts
}
