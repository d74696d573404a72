//! How many requests a route admits from one caller: a burst at once, and then so many a second.
//!
//! Every judgement is one call of [`Quota::decide`]; the table and the Redis script only remember what it needs to know
//! of a bucket. Nothing here decides what happens to a request that is not allowed, nor opens a connection: the script
//! is text and arguments, and somebody else sends it.
//!
//! State outlives configurations without being told of them: what a bucket is found by holds the route's identity, its
//! quota and its scope. A route whose limit did not change finds its buckets again; one whose rate, burst or scope did
//! starts with full ones, and what it had is forgotten as all else, when it would be full again.

/// The judgement: a token bucket in integer nanoseconds.
pub mod gcra;
/// What tells callers apart.
pub mod scope;
/// The buckets of this process.
pub mod table;
/// The buckets of a fleet.
pub mod redis_script;
/// What a client is told.
pub mod headers;

pub use gcra::{Decision, Quota, Tat};
pub use scope::{Caller, ScopeValue};
pub use table::{BucketKey, Table};
