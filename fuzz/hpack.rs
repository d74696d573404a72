//! What the module of this name has in the data plane.

#[path = "../dataplane/src/http2/hpack/decoder.rs"]
pub(crate) mod decoder;
#[path = "../dataplane/src/http2/hpack/encoder.rs"]
pub(crate) mod encoder;
#[path = "../dataplane/src/http2/hpack/huffman.rs"]
mod huffman;
#[path = "../dataplane/src/http2/hpack/integer.rs"]
mod integer;
#[path = "../dataplane/src/http2/hpack/places.rs"]
mod places;
#[path = "../dataplane/src/http2/hpack/table.rs"]
mod table;
