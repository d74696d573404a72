//! The judgement as Redis or Valkey makes it for a fleet: one script, so that nothing comes between reading a bucket and
//! writing it, and the server's clock, so that the clocks of data planes do not matter.
//!
//! A bucket is kept as what its caller owed at which moment. All numbers are whole and below 2^53, where Lua's doubles
//! are exact: nanoseconds of debt, or microseconds where nanoseconds would not fit (bursts that take more than 52 days
//! to earn). A key expires when its bucket is full. A refused request writes nothing. Needs Redis 5 or newer.
//!
//! Nothing here opens a connection: somebody else sends [`SCRIPT`] with a key and [`ScriptArguments`].

use std::fmt::Write;

use apigw_config::names::RouteName;
use sha2::{Digest, Sha256};

use super::{Decision, Quota, ScopeValue, Tat};

/// What runs on the server. Answers with two integers: 1 if the request is allowed, and the debt after it.
pub const SCRIPT: &str = include_str!("redis_script.lua");

/// The SHA-1 of [`SCRIPT`] in hexadecimal, by which EVALSHA names it.
pub const SCRIPT_SHA1: &str = "ebf905ec074a517feced0804e867a1eb622b27a0";

/// The most that both numbers of a quota may be, so that their sum is exact.
const MOST: u64 = 1 << 52;

const NANOS_PER_MICRO: u64 = 1_000;

/// The name of a bucket on the server: the same in every data plane of a fleet.
///
/// The route's name can be read; quota and scope are hashed, because the value of a scope may be a secret and of any
/// length. All of it is a hash tag, so that the buckets of a route are spread over a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisKey(String);

/// A quota as the script is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptArguments {
    interval: u64,
    most_debt: u64,
    units_per_micro: u64,
    /// The quota as it came out of that, for reading answers.
    quota: Quota,
}

/// Why an answer is not one of the script's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The first number is neither 0 nor 1.
    #[error("not a judgement: {0}")]
    Judgement(i64),
    /// The debt is below zero or above the quota's.
    #[error("not a debt of this quota: {0}")]
    Debt(i64),
}

impl RedisKey {
    /// The name of a bucket, with what all keys of this gateway begin with (`apigw`).
    #[must_use]
    pub fn new(prefix: &str, route: &RouteName, quota: &Quota, scope: &ScopeValue<'_>) -> Self {
        const HASH_BYTES: usize = 16;
        let mut digest = Sha256::new();
        digest.update(quota.interval.to_le_bytes());
        digest.update(quota.most_debt.to_le_bytes());
        scope.feed(|bytes| digest.update(bytes));
        let mut key = format!("{prefix}:rl:{{{route}:");
        for byte in &digest.finalize()[..HASH_BYTES] {
            // Writing to a String cannot fail.
            let _ = write!(key, "{byte:02x}");
        }
        key.push('}');
        Self(key)
    }

    /// As the server is told it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ScriptArguments {
    /// Brings a quota into numbers that Lua can count with.
    #[must_use]
    pub fn new(quota: &Quota) -> Self {
        let Quota { interval, most_debt } = *quota;
        if most_debt <= MOST {
            return Self { interval, most_debt, units_per_micro: NANOS_PER_MICRO, quota: *quota };
        }
        // Rounded like a quota is: a longer interval, the same burst.
        let micros = interval.div_ceil(NANOS_PER_MICRO).min(MOST);
        let fraction = (most_debt % interval) / NANOS_PER_MICRO;
        let burst = (most_debt / interval).saturating_mul(micros).saturating_add(fraction).min(MOST);
        // 2^52 microseconds in nanoseconds are below 2^62.
        let rounded = Quota { interval: micros * NANOS_PER_MICRO, most_debt: burst * NANOS_PER_MICRO };
        Self { interval: micros, most_debt: burst, units_per_micro: 1, quota: rounded }
    }

    /// The script's arguments after its key: interval, most debt, units in a microsecond.
    #[must_use]
    pub fn numbers(&self) -> [u64; 3] {
        [self.interval, self.most_debt, self.units_per_micro]
    }

    /// Reads the script's answer. The server has the bucket's time, so `new_tat` is nothing to remember.
    ///
    /// # Errors
    /// When the numbers cannot be an answer to these arguments.
    pub fn read_reply(&self, judgement: i64, debt: i64) -> Result<Decision, ReplyError> {
        let allowed = match judgement {
            0 => false,
            1 => true,
            _ => return Err(ReplyError::Judgement(judgement)),
        };
        let whole = u64::try_from(debt).ok().filter(|debt| *debt <= self.most_debt);
        let debt = whole.ok_or(ReplyError::Debt(debt))?;
        let nanos = debt * (NANOS_PER_MICRO / self.units_per_micro);
        Ok(self.quota.decision(allowed, nanos, Tat::default()))
    }
}

#[cfg(test)]
mod tests {
    use apigw_config::names::ClaimName;
    use proptest::prelude::*;

    use super::*;
    use crate::rate_limit::scope::default_user;
    use std::time::Duration;

    fn quota(requests_per_second: f64, burst: f64) -> Quota {
        Quota::new(requests_per_second, burst).unwrap()
    }

    fn key(route: &str, quota: Quota, scope: &ScopeValue<'_>) -> RedisKey {
        RedisKey::new("apigw", &RouteName::new(route).unwrap(), &quota, scope)
    }

    #[test]
    fn keys_are_the_same_everywhere_and_tell_buckets_apart() {
        let limit = quota(5.0, 10.0);
        let alice = key("orders", limit, &ScopeValue::User(default_user("alice")));
        assert_eq!(alice.as_str(), "apigw:rl:{orders:3f4a31043e108827fffc55c1ac222286}");
        for other in [
            key("orders2", limit, &ScopeValue::User(default_user("alice"))),
            key("orders", quota(5.0, 11.0), &ScopeValue::User(default_user("alice"))),
            key("orders", quota(4.0, 12.5), &ScopeValue::User(default_user("alice"))),
            key("orders", limit, &ScopeValue::User(default_user("bob"))),
            key("orders", limit, &ScopeValue::Claim(&ClaimName::new("alice").unwrap(), "".into())),
        ] {
            assert_ne!(other, alice);
        }
    }

    #[test]
    fn numbers_are_nanoseconds_where_these_fit_and_microseconds_else() {
        assert_eq!(ScriptArguments::new(&quota(5.0, 10.0)).numbers(), [200_000_000, 2_000_000_000, 1_000]);
        // A request in 2^17 seconds, a burst of three months.
        let slow = ScriptArguments::new(&quota(0.000_007_629_394_531_25, 60.0));
        assert_eq!(slow.numbers(), [131_072_000_000, 7_864_320_000_000, 1]);
        for (rate, burst) in [(5e-324, 1.0), (1e-9, 1e9), (1e-3, 1e9), (1e9, 1e9), (1e9, 1.0)] {
            let [interval, most_debt, _] = ScriptArguments::new(&quota(rate, burst)).numbers();
            assert!(interval <= most_debt && most_debt <= MOST, "{rate} {burst}");
        }
    }

    #[test]
    fn answers_that_cannot_be_are_errors() {
        let arguments = ScriptArguments::new(&quota(5.0, 10.0));
        assert_eq!(arguments.read_reply(2, 0), Err(ReplyError::Judgement(2)));
        assert_eq!(arguments.read_reply(-1, 0), Err(ReplyError::Judgement(-1)));
        assert_eq!(arguments.read_reply(1, -1), Err(ReplyError::Debt(-1)));
        assert_eq!(arguments.read_reply(0, 2_000_000_001), Err(ReplyError::Debt(2_000_000_001)));
        assert!(arguments.read_reply(0, 2_000_000_000).is_ok());
    }

    #[test]
    fn a_debt_in_microseconds_is_told_in_time() {
        let arguments = ScriptArguments::new(&quota(0.000_007_629_394_531_25, 60.0));
        let decision = arguments.read_reply(1, 131_072_000_000 * 2).unwrap();
        assert_eq!((decision.remaining, decision.reset_after), (58, Duration::from_secs(2 * 131_072)));
    }

    proptest! {
        #[test]
        fn an_answer_tells_what_the_memory_limiter_would(
            (rate, burst) in (0.1..1e5_f64, 0.5..100.0_f64),
            pauses in prop::collection::vec(0_u32..3, 1..60),
        ) {
            let quota = quota(rate, burst);
            let arguments = ScriptArguments::new(&quota);
            let (mut tat, mut now) = (Tat::default(), Duration::ZERO);
            for pause in pauses {
                now += quota.interval() / 2 * pause;
                let decision = quota.decide(tat, now);
                tat = decision.new_tat;
                let debt = i64::try_from(decision.reset_after.as_nanos()).unwrap();
                let told = arguments.read_reply(i64::from(decision.allowed), debt).unwrap();
                prop_assert_eq!(told, Decision { new_tat: Tat::default(), ..decision });
            }
        }
    }
}
