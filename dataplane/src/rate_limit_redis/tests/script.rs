//! The script itself, on a real server: its name, what it writes, and its judgement by a clock that the test sets.

use apigw_engine::rate_limit::{
    Tat,
    redis_script::{SCRIPT, SCRIPT_SHA1},
};

use super::*;

/// The script with the time as its last argument, in microseconds, and with keys that outlive the test.
fn with_clock() -> String {
    let [time, expiry] = ["redis.call('TIME')", "math.ceil(debt / units / 1000)"];
    assert!(SCRIPT.contains(time) && SCRIPT.contains(expiry));
    let told = "{math.floor(ARGV[4] / 1000000), ARGV[4] % 1000000}";
    SCRIPT.replace(time, told).replace(expiry, "86400000")
}

fn decide_at(
    server: &mut redis::Connection,
    script: &str,
    key: &str,
    arguments: &ScriptArguments,
    micros: u64,
) -> Decision {
    let (judgement, debt) = redis::cmd("EVAL")
        .arg(script)
        .arg(1)
        .arg(key)
        .arg(&arguments.numbers())
        .arg(micros)
        .query(server)
        .unwrap();
    arguments.read_reply(judgement, debt).unwrap()
}

#[test]
fn the_name_of_the_script_is_the_one_the_server_gives_it() {
    let server = Server::start();
    let sha1: String = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query(&mut server.admin()).unwrap();
    assert_eq!(sha1, SCRIPT_SHA1);
}

#[test]
fn the_script_judges_as_the_memory_limiter_does() {
    let server = Server::start();
    let (mut admin, script) = (server.admin(), with_clock());
    let mut random = fastrand::Rng::with_seed(7);
    // As far from 1970 as today, where a double has a quarter of a microsecond left.
    let start = 1_800_000_000_000_000;
    for (rate, burst) in [(5.0, 10.0), (3.0, 2.5), (0.01, 1.0), (1e6, 50.0), (123_456.7, 3.3), (1e9, 4.0)] {
        let quota = Quota::new(rate, burst).unwrap();
        let arguments = ScriptArguments::new(&quota);
        let key = format!("{rate} {burst}");
        let interval = u64::try_from(quota.interval().as_micros()).unwrap().max(1);
        let (mut tat, mut now) = (Tat::default(), start);
        for step in 0..300 {
            now += random.u64(0..=interval) * random.u64(0..3);
            let expected = quota.decide(tat, Duration::from_micros(now));
            tat = expected.new_tat;
            let decision = decide_at(&mut admin, &script, &key, &arguments, now);
            assert_eq!(decision, Decision { new_tat: Tat::default(), ..expected }, "{key}, step {step}");
        }
    }
}

#[test]
fn debts_too_long_for_nanoseconds_are_judged_in_microseconds() {
    let server = Server::start();
    let (mut admin, script) = (server.admin(), with_clock());
    let arguments = ScriptArguments::new(&Quota::new(0.000_000_1, 30.0).unwrap());
    let interval = 10_000_000_000_000; // In microseconds: 116 days.
    let mut remaining = |now: u64| {
        let decision = decide_at(&mut admin, &script, "slow", &arguments, 1_800_000_000_000_000 + now);
        (decision.allowed, decision.remaining)
    };
    for left in (0..30).rev() {
        assert_eq!(remaining(0), (true, left));
    }
    // A microsecond more than the interval, because that is rounded up, as 10^-7 is no number of base two.
    for (now, expected) in [(0, (false, 0)), (interval - 1, (false, 0)), (interval + 1, (true, 0))] {
        assert_eq!(remaining(now), expected, "after {now}");
    }
}

#[test]
fn a_clock_that_is_set_back_admits_nothing_more_and_goes_on_from_there() {
    let server = Server::start();
    let (mut admin, script) = (server.admin(), with_clock());
    let arguments = ScriptArguments::new(&Quota::new(1.0, 2.0).unwrap());
    let second = 1_000_000;
    let mut allowed = |now: u64| decide_at(&mut admin, &script, "back", &arguments, now * second).allowed;
    let by_time =
        [(1000, true), (1000, true), (1000, false), (400, false), (400, false), (401, true), (401, false)];
    for (now, expected) in by_time {
        assert_eq!(allowed(now), expected, "at {now}");
    }
}

#[tokio::test]
async fn a_bucket_expires_when_it_is_full_and_a_refused_request_writes_nothing() {
    let server = Server::start();
    let limiter = connected(&server.backend()).await;
    let Bucket { key, arguments } = bucket("alice", 2);
    let mut admin = server.admin();
    let mut expires = || redis::cmd("PTTL").arg(key.as_str()).query::<u64>(&mut admin).unwrap();
    let interval = 10_000_000; // milliseconds
    let slack = u64::try_from(LONG.as_millis()).unwrap();
    for requests in 1..=2 {
        assert!(limiter.decide(&key, &arguments).await.unwrap().allowed);
        let expires = expires();
        assert!((requests * interval - slack..=requests * interval).contains(&expires), "{expires}");
    }
    let value = || redis::cmd("GET").arg(key.as_str()).query::<String>(&mut server.admin()).unwrap();
    let before = value();
    assert!(!limiter.decide(&key, &arguments).await.unwrap().allowed);
    assert_eq!(value(), before);
}
