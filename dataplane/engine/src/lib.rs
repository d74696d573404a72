//! The gateway's judgement: which route, what is sent where, what is refused and why.
//!
//! Everything here is pure: no sockets, no runtime, no clock (time is an argument), so that a decision can be asked for
//! without sending traffic, and all three programs give the same answer.

pub mod snapshot;
// In the order a request meets them:
pub mod client;
pub mod path;
pub mod rejection;
pub mod routing;
pub mod target;

pub use snapshot::Snapshot;
