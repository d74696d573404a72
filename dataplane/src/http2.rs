//! HTTP/2 on the wire (RFC 9113), towards clients: how frames and heads are read and written, without tasks or sockets. What a
//! frame means to its stream is for [`connection::http2`](crate::connection::http2) to know.

// In the order a request meets them:
/// Frames that come.
pub(crate) mod reader;
/// Heads as they travel.
pub(crate) mod hpack;
/// Heads as they are judged.
pub(crate) mod head;
/// How much of bodies may be under way.
pub(crate) mod window;
/// Frames that go.
pub(crate) mod frame;

#[cfg(test)]
mod corpora;
