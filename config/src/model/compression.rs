//! Which answers of a route are compressed, and how. Nothing here compresses one.

use crate::names::{ByteCount, ContentCodings, MediaRanges};

/// `routes[].compression`, where it is enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// How, the most wanted first.
    pub algorithms: ContentCodings,
    /// Answers that are known to be shorter go out as they are.
    pub min_bytes: ByteCount,
    /// Only these.
    pub content_types: MediaRanges,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            algorithms: ContentCodings::default(),
            min_bytes: ByteCount::KIBIBYTE,
            content_types: MediaRanges::default(),
        }
    }
}
