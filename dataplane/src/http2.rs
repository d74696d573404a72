//! HTTP/2 on the wire (RFC 9113), towards clients: how it is written, and nothing of what it means.

/// Heads as they travel.
pub(crate) mod hpack;

#[cfg(test)]
mod corpora;
