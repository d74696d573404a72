//! How long a caller waits: `grpc-timeout`, of which an upstream is told what is left.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::{
    fields::{Fields, Several},
    rejection::Rejection,
};

/// The field that says it.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The most digits of a time.
const MAX_DIGITS: usize = 8;
const BEYOND_DIGITS: u128 = 10_u128.pow(8);

/// Units in nanoseconds, the finest first.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// How long the caller waits; none: for ever.
///
/// # Errors
/// When the field is there and says something else. The caller relies on it, so a call is not made without it; gRPC's own
/// servers refuse it as well.
pub fn told_in(fields: &Fields) -> Result<Option<Duration>, Rejection> {
    match fields.bytes_of_single(GRPC_TIMEOUT) {
        Ok(None) => Ok(None),
        Ok(Some(value)) => parse(value).map(Some).ok_or(Rejection::CallTimeoutMalformed),
        Err(Several) => Err(Rejection::CallTimeoutMalformed),
    }
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let (_, nanoseconds) = UNITS.into_iter().find(|(name, _)| name == unit)?;
    if !(1..=MAX_DIGITS).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    Some(Duration::from_nanos_u128(count * nanoseconds))
}

/// The time as the field has it, in the finest unit that eight digits have room for; what does not come out even is cut off,
/// so that nobody waits longer than he was told.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "digits and a letter are always a value")]
pub fn write(time: Duration) -> HeaderValue {
    let nanoseconds = time.as_nanos();
    let fits = |(_, unit): &(u8, u128)| nanoseconds / unit < BEYOND_DIGITS;
    let (name, unit) = UNITS.into_iter().find(fits).unwrap_or(UNITS[UNITS.len() - 1]);
    let count = (nanoseconds / unit).min(BEYOND_DIGITS - 1);
    HeaderValue::from_str(&format!("{count}{}", char::from(name))).expect("digits and a letter are visible")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_up_to_eight_digits_and_a_unit() {
        for (value, time) in [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("10S", Duration::from_secs(10)),
            ("250m", Duration::from_millis(250)),
            ("7u", Duration::from_micros(7)),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("0m", Duration::ZERO),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
        ] {
            assert_eq!(parse(value.as_bytes()), Some(time), "{value}");
        }
        for value in ["", "S", "1", "1s", "-1S", "1.5S", "123456789n", "1 S", "1SS"] {
            assert_eq!(parse(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn two_times_are_none() {
        let mut fields = Fields::new();
        assert_eq!(told_in(&fields), Ok(None));
        fields.append(GRPC_TIMEOUT, HeaderValue::from_static("1S"));
        assert_eq!(told_in(&fields), Ok(Some(Duration::from_secs(1))));
        fields.append(GRPC_TIMEOUT, HeaderValue::from_static("1S"));
        assert_eq!(told_in(&fields), Err(Rejection::CallTimeoutMalformed));
    }

    proptest! {
        #[test]
        fn what_is_written_is_never_longer_and_hardly_shorter(bits in any::<u64>(), shift in 0..64_u32) {
            let time = Duration::from_nanos(bits >> shift);
            let written = write(time);
            let read = parse(written.as_bytes()).unwrap();
            let lost = time.checked_sub(read);
            prop_assert!(lost.is_some_and(|lost| lost <= time / 100_000), "{written:?}");
        }
    }
}
