//! The first message of a stream, checked: who a data plane is.
//!
//! What it says is shown to people and kept for as long as the data plane is remembered, so every text has a bound.

use std::fmt;

use apigw_config::wire::{IdentityError, Revision};
use apigw_proto::v1::{self, follow_request};

/// The most bytes of each text in a greeting.
pub(crate) const MAX_TEXT_BYTES: usize = 255;

/// Name of a data plane: 1 to 255 bytes of ASCII letters, digits and `-_.:/@`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DataPlaneName(String);

impl DataPlaneName {
    fn new(text: String) -> Result<Self, GreetingError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
        if text.is_empty() || text.len() > MAX_TEXT_BYTES || !text.chars().all(allowed) {
            return Err(GreetingError::Name);
        }
        Ok(Self(text))
    }
}

impl fmt::Display for DataPlaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a stream cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GreetingError {
    /// Everything else needs to know who speaks.
    #[error("the first message must be Hello")]
    NotHello,
    /// It stands in logs and tables as it is.
    #[error("a data plane's name must be 1 to {MAX_TEXT_BYTES} letters, digits and -_.:/@")]
    Name,
    /// The version or the address.
    #[error("{what} is longer than {MAX_TEXT_BYTES} bytes")]
    TooLong { what: &'static str },
    /// What it claims to run has no such identity.
    #[error("the running revision is none: {0}")]
    Running(#[from] IdentityError),
}

/// Who a data plane is, and what it ran when it connected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Greeting {
    pub(crate) name: DataPlaneName,
    /// Of the process: two data planes may have one name.
    pub(crate) instance: u64,
    pub(crate) version: String,
    pub(crate) listen_address: String,
    pub(crate) running: Option<Revision>,
    pub(crate) source: v1::ConfigSource,
    /// When what runs came into force, by the data plane's clock, in milliseconds since 1970.
    pub(crate) applied_at_ms: u64,
}

impl TryFrom<v1::FollowRequest> for Greeting {
    type Error = GreetingError;

    fn try_from(request: v1::FollowRequest) -> Result<Self, GreetingError> {
        let Some(follow_request::Message::Hello(hello)) = request.message else {
            return Err(GreetingError::NotHello);
        };
        let source = hello.source();
        Ok(Self {
            name: DataPlaneName::new(hello.data_plane)?,
            instance: hello.instance,
            version: bounded(hello.version, "the version")?,
            listen_address: bounded(hello.listen_address, "the address to listen on")?,
            running: hello.running.map(Revision::try_from).transpose()?,
            source,
            applied_at_ms: hello.applied_at_ms,
        })
    }
}

fn bounded(text: String, what: &'static str) -> Result<String, GreetingError> {
    if text.len() > MAX_TEXT_BYTES { Err(GreetingError::TooLong { what }) } else { Ok(text) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn hello(name: &str, instance: u64) -> v1::Hello {
        v1::Hello { data_plane: name.into(), instance, version: "0.1.0".into(), ..v1::Hello::default() }
    }

    pub(crate) fn greeting(name: &str, instance: u64) -> Greeting {
        read(hello(name, instance)).unwrap()
    }

    fn read(hello: v1::Hello) -> Result<Greeting, GreetingError> {
        v1::FollowRequest { message: Some(follow_request::Message::Hello(hello)) }.try_into()
    }

    #[test]
    fn what_is_shown_and_kept_is_bounded() {
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        let fits = "x".repeat(MAX_TEXT_BYTES);
        assert!(read(hello(&fits, 1)).is_ok());
        for name in ["", "two words", "esc\u{1b}", long.as_str()] {
            assert_eq!(read(hello(name, 1)), Err(GreetingError::Name), "{name:?}");
        }
        let cases = [
            (v1::Hello { version: long.clone(), ..hello("a", 1) }, "the version"),
            (v1::Hello { listen_address: long.clone(), ..hello("a", 1) }, "the address to listen on"),
        ];
        for (hello, what) in cases {
            assert_eq!(read(hello), Err(GreetingError::TooLong { what }));
        }
    }

    #[test]
    fn a_stream_begins_with_hello_and_nothing_else() {
        let need = v1::FollowRequest { message: Some(follow_request::Message::Need(v1::Need::default())) };
        for request in [v1::FollowRequest { message: None }, need] {
            assert_eq!(Greeting::try_from(request), Err(GreetingError::NotHello));
        }
    }

    #[test]
    fn a_running_revision_must_be_one() {
        let running = Some(v1::Revision { epoch: 1, seq: 1, root_hash: vec![1; 31] });
        let refused = read(v1::Hello { running, ..hello("a", 1) });
        assert_eq!(refused, Err(GreetingError::Running(IdentityError::HashLength { length: 31 })));
    }
}
