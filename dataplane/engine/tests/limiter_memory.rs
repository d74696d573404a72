//! What the limiter's table really takes from the system. A test of its own process, because that is what is measured.

#![cfg(target_os = "linux")]

use std::time::Duration;

use apigw_config::wire::{Hash, Revision};
use apigw_engine::{
    Snapshot,
    rate_limit::{BucketKey, Quota, ScopeValue, Table},
};

/// Bytes of this process that are in memory.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
    line.trim().trim_end_matches("kB").trim().parse::<usize>().expect("a number") * 1_024
}

#[test]
fn ten_times_as_many_keys_as_there_is_room_for_stay_under_the_cap() {
    const MAX_KEYS: usize = 200_000;
    const SLACK: usize = 1 << 20;
    let text = b"routes: [{name: a, match: {path_prefix: /a}, upstream: \"http://h:1\"}]\n";
    let config = apigw_config::read("test.yaml", text).unwrap();
    let root_hash = Hash::try_from([0; 32].as_slice()).unwrap();
    let snapshot = Snapshot::compile(config, Revision { epoch: 1, seq: 1, root_hash }, None).unwrap();
    let route = snapshot.routes().next().unwrap().id;
    let quota = Quota::new(0.001, 1.0).unwrap();

    let before = resident_bytes();
    let untouched = Table::new(10_000_000, [1; 16]);
    let table = Table::new(MAX_KEYS, [1; 16]);
    assert_eq!((untouched.bytes(), table.bytes()), (160_000_000, 16 * MAX_KEYS));
    let made = resident_bytes() - before;
    assert!(made < SLACK, "making tables for 10,200,000 keys took {made} bytes");

    for number in 0..10 * u32::try_from(MAX_KEYS).unwrap() {
        let scope = ScopeValue::V4(number.to_be_bytes());
        assert!(table.decide(&BucketKey { route, quota, scope }, Duration::ZERO).allowed);
    }
    let taken = resident_bytes() - before;
    assert!(taken < 16 * MAX_KEYS + SLACK, "{taken} bytes");
    assert!(table.keys_in_use(Duration::ZERO) > MAX_KEYS * 9 / 10);
    assert_eq!(table.keys_in_use(Duration::from_secs(1_000)), 0);
}
