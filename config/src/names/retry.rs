//! How often, and after what, a request is sent again. Nothing here sends one.

use std::fmt;

use super::{ValueError, check_distinct};

/// How many attempts one request may have beside the first: 1 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryCount(u8);

impl RetryCount {
    /// One.
    pub const ONE: Self = Self(1);
    const MAX: u32 = 10;

    /// Takes a number.
    ///
    /// # Errors
    /// When it is not within the range.
    pub fn new(number: u32) -> Result<Self, ValueError> {
        let range = ValueError::OutOfRange { range: "from 1 to 10" };
        match u8::try_from(number) {
            Ok(count) if (1..=Self::MAX).contains(&number) => Ok(Self(count)),
            _ => Err(range),
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

/// What an attempt must have come to, so that there may be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryCondition {
    /// There was no connection: nothing was sent.
    ConnectFailure,
    /// The connection ended without an answer.
    Reset,
    /// No answer began in time.
    Timeout,
    /// An answer with this status, from 400 to 599.
    Status(u16),
}

impl RetryCondition {
    /// Takes a word or a status.
    ///
    /// # Errors
    /// When it is neither.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        const CHOICES: &str = "connect_failure, reset, timeout and the statuses from 400 to 599";
        match text {
            "connect_failure" => Ok(Self::ConnectFailure),
            "reset" => Ok(Self::Reset),
            "timeout" => Ok(Self::Timeout),
            _ => {
                let status = text.parse().ok().filter(|status| (400..=599).contains(status));
                let unknown = || ValueError::UnknownChoice { choices: CHOICES, text: text.into() };
                status.map(Self::Status).ok_or_else(unknown)
            }
        }
    }
}

impl fmt::Display for RetryCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectFailure => f.write_str("connect_failure"),
            Self::Reset => f.write_str("reset"),
            Self::Timeout => f.write_str("timeout"),
            Self::Status(status) => status.fmt(f),
        }
    }
}

/// One or more conditions, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryConditions(Vec<RetryCondition>);

impl RetryConditions {
    const MAX: usize = 64;

    /// Takes a list.
    ///
    /// # Errors
    /// When it is empty or too long, or says something twice.
    pub fn new(conditions: Vec<RetryCondition>) -> Result<Self, ValueError> {
        if conditions.is_empty() {
            return Err(ValueError::Empty);
        }
        if conditions.len() > Self::MAX {
            return Err(ValueError::TooMany { count: conditions.len(), limit: Self::MAX });
        }
        check_distinct(&conditions)?;
        Ok(Self(conditions))
    }

    /// In the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[RetryCondition] {
        &self.0
    }
}

impl Default for RetryConditions {
    /// What says that the upstream did not finish its work.
    fn default() -> Self {
        Self(vec![RetryCondition::ConnectFailure, RetryCondition::Reset])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_words_and_statuses_of_failures() {
        for text in ["connect_failure", "reset", "timeout", "400", "503", "599"] {
            assert_eq!(RetryCondition::new(text).unwrap().to_string(), text);
        }
        for text in ["", "399", "600", "200", "5xx", "Reset", "503 ", "-1"] {
            assert!(RetryCondition::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_list_of_conditions_says_each_once() {
        let conditions = |statuses: std::ops::Range<u16>| {
            RetryConditions::new(statuses.map(RetryCondition::Status).collect()).is_ok()
        };
        assert!(!conditions(400..400));
        assert!(conditions(400..464));
        assert!(!conditions(400..465), "65 are too many");
        assert!(RetryConditions::new(vec![RetryCondition::Reset; 2]).is_err());
    }

    #[test]
    fn attempts_are_bounded() {
        let legal: Vec<_> = (0..=256).filter(|number| RetryCount::new(*number).is_ok()).collect();
        assert_eq!(legal, (1..=10).collect::<Vec<_>>());
    }
}
