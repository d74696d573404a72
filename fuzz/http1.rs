//! What reads messages of HTTP/1 in the data plane, which is a program and no library.

#[path = "../dataplane/src/http1/decoder.rs"]
pub(crate) mod decoder;
#[path = "../dataplane/src/http1/head.rs"]
pub(crate) mod head;
#[path = "../dataplane/src/http1/length.rs"]
pub(crate) mod length;
#[path = "../dataplane/src/http1/read_buffer.rs"]
pub(crate) mod read_buffer;
#[path = "../dataplane/src/http1/stock.rs"]
mod stock;
