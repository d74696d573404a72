//! For how long and how often a route asks its upstream, and what becomes of the answer, in cells.

use apigw_config::json::{CompressionJson, HedgeJson, RetryJson, RouteJson, TimeoutsJson};

/// How long a route waits where it says so itself.
pub(super) fn timeouts(route: &RouteJson) -> Option<String> {
    let TimeoutsJson { total_seconds, connect_seconds, first_byte_seconds, idle_seconds } =
        route.timeouts.as_ref()?;
    let named = [
        ("total", total_seconds),
        ("connect", connect_seconds),
        ("first byte", first_byte_seconds),
        ("idle", idle_seconds),
    ];
    let told = named.into_iter().filter_map(|(what, seconds)| Some(format!("{what} {} s", (*seconds)?)));
    Some(told.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
}

/// When its requests are sent again, or to a second endpoint as well.
pub(super) fn retries(route: &RouteJson) -> Option<String> {
    let retry = route.retry.as_ref().map(|RetryJson { attempts, on, budget_percent, methods }| {
        let methods = if methods.is_empty() { String::new() } else { format!(" of {}", methods.join(", ")) };
        format!("at most {attempts}{methods} on {}, within {budget_percent}%", on.join(", "))
    });
    let hedge =
        route.hedge.as_ref().map(|HedgeJson { after_seconds }| format!("hedge after {after_seconds} s"));
    let told: Vec<_> = retry.into_iter().chain(hedge).collect();
    Some(told.join("; ")).filter(|told| !told.is_empty())
}

/// How its answers are compressed.
pub(super) fn compression(route: &RouteJson) -> Option<String> {
    let CompressionJson { enabled, algorithms, min_bytes, content_types: _ } = route.compression.as_ref()?;
    enabled.then(|| format!("{} from {min_bytes} bytes", algorithms.join(", ")))
}

#[cfg(test)]
mod tests {
    use apigw_proto::v1;

    #[test]
    fn only_the_timeouts_of_the_route_are_told() {
        let cell = |timeouts| timeouts_of(Some(timeouts));
        let timeouts_all =
            v1::Timeouts { total_us: 10_000_000, connect_us: 1_000_000, first_byte_us: 500_000, idle_us: 1 };
        assert_eq!(cell(timeouts_all).unwrap(), "total 10 s, connect 1 s, first byte 0.5 s, idle 0.000001 s");
        let one = v1::Timeouts { first_byte_us: 2_500_000, ..v1::Timeouts::default() };
        assert_eq!(cell(one).unwrap(), "first byte 2.5 s");
        assert_eq!((cell(v1::Timeouts::default()), timeouts_of(None)), (None, None));
    }

    fn timeouts_of(timeouts: Option<v1::Timeouts>) -> Option<String> {
        super::timeouts(&v1::Route { timeouts, ..v1::Route::default() }.into())
    }

    #[test]
    fn retries_and_hedges_are_told_together() {
        let cell = |retry, hedge| super::retries(&v1::Route { retry, hedge, ..v1::Route::default() }.into());
        let retry = || v1::Retry {
            attempts: 2,
            on: vec!["connect_failure".into(), "503".into()],
            budget_percent: 20.0,
            ..v1::Retry::default()
        };
        let hedge = || v1::Hedge { after_us: 50_000 };
        let usual = "at most 2 on connect_failure, 503, within 20%";
        assert_eq!(cell(Some(retry()), None).unwrap(), usual);
        assert_eq!(cell(None, Some(hedge())).unwrap(), "hedge after 0.05 s");
        assert_eq!(cell(Some(retry()), Some(hedge())).unwrap(), format!("{usual}; hedge after 0.05 s"));
        let of_posts = v1::Retry { methods: vec!["POST".into()], ..retry() };
        assert_eq!(
            cell(Some(of_posts), None).unwrap(),
            "at most 2 of POST on connect_failure, 503, within 20%"
        );
        assert_eq!(cell(None, None), None);
    }

    #[test]
    fn compression_is_told_by_its_algorithms() {
        let compression = v1::Compression {
            algorithms: vec!["br".into(), "gzip".into()],
            min_bytes: 1024,
            ..v1::Compression::default()
        };
        let route = v1::Route { compression: Some(compression), ..v1::Route::default() };
        assert_eq!(super::compression(&route.into()).unwrap(), "br, gzip from 1024 bytes");
        assert_eq!(super::compression(&v1::Route::default().into()), None);
    }
}
