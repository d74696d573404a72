//! HTTP/1.1 on the wire (RFC 9112), towards clients and upstreams: where a message begins and ends, and nothing of what it
//! means.
//!
//! Architecture invariant: what is read here has one reading. A head or body that two programs could read differently is
//! an error, never mended; what is written is written anew from what was understood, never copied from what came.

// In the order a message meets them:
/// Bytes that have come.
pub(crate) mod read_buffer;
/// Request and status lines, fields.
pub(crate) mod head;
/// How long a body is.
pub(crate) mod length;
/// Whether another message follows.
pub(crate) mod persistence;
/// Taking a body out of its framing.
pub(crate) mod decoder;
/// Putting heads and bodies on the wire.
pub(crate) mod encoder;
/// Bytes that are to go.
pub(crate) mod write_buffer;

/// How many pieces of memory a thread keeps for what comes, and as many for what is to go.
const MOST_IN_STOCK: usize = 16;

#[cfg(test)]
pub(crate) mod corpora;
