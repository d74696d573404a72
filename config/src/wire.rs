//! A configuration as it travels: an ordered list of resources, each known by the hash of its bytes, cut into leaves that
//! are known by theirs.
//!
//! What a peer sends is read by the constructors that read a file, so what comes out of [`decode`] is as legal as what
//! comes out of a file. This module opens no connection and keeps no state; who sends what when is not its business.

mod content;
mod contents;
mod decode;
mod encode;
pub mod features;
mod identity;
mod leaf;
mod roots;

pub use self::{
    content::Content,
    contents::{ContentsError, resources},
    decode::decode,
    encode::{MAX_RESOURCE_BYTES, WireError, encode},
    identity::{Entry, Hash, IdentityError, Resource, ResourceKind, Revision},
    leaf::{Leaf, LeafError, MAX_LEAF_ENTRIES, MAX_LEAVES, leaf_hash, leaves_of, root_hash, root_of},
    roots::Roots,
};

#[cfg(test)]
mod tests;
