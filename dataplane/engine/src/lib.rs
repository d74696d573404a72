//! The gateway's judgement: which route, what is sent where, what is refused and why.
//!
//! Everything here is pure: no sockets, no runtime, no clock (time is an argument), so that a decision can be asked for
//! without sending traffic, and all three programs give the same answer.

/// A configuration made ready to run.
pub mod snapshot;

// In the order a request meets them:
/// Its header fields.
pub mod fields;
/// What its cookies are.
mod cookies;
/// Which of their names are one to some upstreams.
pub mod spelling;
/// What a proxy in front of the gateway says of whoever sends it.
pub mod proxy_protocol;
/// What its head must be like.
pub mod head;
/// The one form of its path.
pub mod path;
/// The route that serves it.
pub mod routing;
/// Who sent it.
pub mod client;
/// Of which trace it is a part.
pub mod trace_context;
/// Memory that is used again.
pub mod stock;
/// Text, eight bytes at a time.
pub mod words;
/// Whether that address may.
pub mod address_list;
/// Whether a page of another origin may.
pub mod cors;
/// Whom a token says it is from, and whether that is true.
pub mod jwt;
/// Who he is, if he makes himself known otherwise.
pub mod callers;
/// Whether the route serves such a caller.
pub mod access;
/// Whether it comes too soon.
pub mod rate_limit;
/// Whether there is room for it.
pub mod concurrency;
/// Whether its upstream is well.
pub mod circuit_breaker;
/// How the endpoints are that might take it.
pub mod endpoint;
/// Which endpoint takes it.
pub mod balance;
/// What takes the place of its path.
mod rewrite;
/// What the upstream is asked for.
pub mod target;
/// What it is answered where no upstream is asked.
pub mod own_answer;
/// Which header fields are changed.
pub mod header_changes;
/// And which of its answer.
pub mod answer_changes;
/// Whether that is compressed.
pub mod compression;
/// Where clients are sent instead.
pub mod redirect;
/// Whether a request is sent once more.
pub mod retry;
/// Why it is refused.
pub mod rejection;
/// How that is told to callers of gRPC.
pub mod grpc;

/// A route's policies, made ready.
pub mod policies;
/// What would become of a request, without sending it.
pub mod explain;
/// Whether a configuration is what its file demands of it.
pub mod checks;
/// Numbers as texts.
pub mod hex;
/// What follows from a policy's judgement.
pub mod mode;
/// What a change brings about beyond what it says.
pub mod effects;
/// What shared state is made of.
mod sync;

pub use snapshot::Snapshot;
