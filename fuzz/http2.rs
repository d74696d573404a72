//! What reads and writes frames and heads of HTTP/2 in the data plane, which is a program and no library.

#[path = "../dataplane/src/http2/frame.rs"]
pub(crate) mod frame;
#[path = "../dataplane/src/http2/head.rs"]
pub(crate) mod head;
pub(crate) mod hpack;
#[path = "../dataplane/src/http2/reader.rs"]
pub(crate) mod reader;
