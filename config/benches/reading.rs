//! How long it takes to read and check large files: `cargo bench -p apigw-config`.
//!
//! Prints the best of five for each size; best, because whatever else the machine does can only add.

use std::{fmt::Write as _, hint::black_box, time::Instant};

fn main() {
    for routes in [1_000, 10_000, 100_000] {
        let file = file_with(routes);
        let times = (0..5).map(|_| {
            let start = Instant::now();
            let config = apigw_config::read("bench.yaml", file.as_bytes());
            let elapsed = start.elapsed();
            assert!(black_box(config).is_ok(), "the file is legal");
            elapsed
        });
        let best = times.min().unwrap_or_default();
        println!("{routes:>7} routes, {:>6.1} MB: {:>7.1} ms", megabytes(&file), best.as_secs_f64() * 1e3);
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn megabytes(file: &str) -> f64 {
    file.len() as f64 / 1e6
}

/// Routes with every policy.
fn file_with(routes: usize) -> String {
    let mut file = "auth: {mode: hmac, hmac_secret: s}\nroutes:\n".to_owned();
    for number in 0..routes {
        write!(
            file,
            "  - name: route-{number}
    match: {{path_prefix: /api/tenant-{number}/}}
    upstream: http://127.0.0.1:9001
    strip_prefix: /api
    auth_required: true
    rate_limit: {{enabled: true, rps: 5, burst: 10, scope: user}}
    concurrency: {{max_in_flight: 50}}
    circuit_breaker: {{enabled: true, failure_threshold: 5, open_seconds: 10, half_open_max_in_flight: 1}}
"
        )
        .expect("a text takes any text");
    }
    file
}
