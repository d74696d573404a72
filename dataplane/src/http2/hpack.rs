//! HPACK (RFC 7541): blocks of fields, of which most are numbers that stand for what was said before.
//!
//! Architecture invariant: whatever a block says, the table after it is the one its sender has; a field that no request may
//! have is told as such and kept like any other, since later blocks may refer to it. Only what leaves that unknown is an error.

// What a block is made of:
/// Numbers.
mod integer;
/// Text in fewer bits.
mod huffman;
/// What numbers stand for.
mod table;
/// Where what is in a table is found.
mod places;

/// Reading blocks.
pub(crate) mod decoder;
/// Writing blocks.
pub(crate) mod encoder;

#[cfg(test)]
mod interop;
