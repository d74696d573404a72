//! Where traces are sent, and which share of them. Nothing here sends one.

use super::{UpstreamUrl, ValueError};

/// Where spans are collected: an `http` or `https` URL without a path, or a socket file. What is spoken there is gRPC, which
/// has paths of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorUrl(UpstreamUrl);

impl CollectorUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// When requests could not be sent there, or it has a path.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let url = UpstreamUrl::new(text)?;
        if url.base_path().is_empty() {
            Ok(Self(url))
        } else {
            Err(ValueError::UpstreamPart { part: "a path (OTLP over gRPC has its own)", text: text.into() })
        }
    }

    /// As the place that it is.
    #[must_use]
    pub fn as_url(&self) -> &UpstreamUrl {
        &self.0
    }
}

/// The share of the traces begun here that are sampled: 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct SampleRatio(f64);

impl SampleRatio {
    /// All of them.
    pub const ALL: Self = Self(1.0);

    /// Takes a number.
    ///
    /// # Errors
    /// When it is not within the range.
    pub fn new(number: f64) -> Result<Self, ValueError> {
        if (0.0..=1.0).contains(&number) {
            // Minus zero is zero, which has one form on the wire.
            Ok(Self(number.abs()))
        } else {
            Err(ValueError::OutOfRange { range: "from 0 to 1" })
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_have_no_path() {
        for text in ["http://127.0.0.1:4317", "https://otel.internal/", "http://[::1]:4317", "unix:/run/otel"]
        {
            assert_eq!(CollectorUrl::new(text).unwrap().as_url().as_str(), text);
        }
        for text in
            ["", "127.0.0.1:4317", "grpc://h:4317", "http://h:4318/v1/traces", "http://u:p@h", "http://h?a"]
        {
            assert!(CollectorUrl::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ratios_are_between_nothing_and_all() {
        for number in [0.0, 0.01, 1.0] {
            assert_eq!(SampleRatio::new(number).map(SampleRatio::get), Ok(number));
        }
        for number in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            assert!(SampleRatio::new(number).is_err(), "{number}");
        }
        assert!(SampleRatio::new(-0.0).unwrap().get().is_sign_positive());
    }
}
