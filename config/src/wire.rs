//! A configuration as it travels: an ordered list of resources, each known by the hash of its bytes.
//!
//! What a peer sends is read by the constructors that read a file, so what comes out of [`decode`] is as legal as what
//! comes out of a file. This module opens no connection and keeps no state; who sends what when is not its business.

mod contents;
mod decode;
mod encode;
pub mod features;
mod identity;

pub use self::{
    contents::{ContentsError, resources},
    decode::decode,
    encode::{MAX_RESOURCE_BYTES, WireError, encode},
    identity::{Entry, Hash, IdentityError, Resource, ResourceKind, Revision, root_hash},
};

#[cfg(test)]
mod tests;
