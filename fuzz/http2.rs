//! What reads and writes heads of HTTP/2 in the data plane, which is a program and no library.

pub(crate) mod hpack;
