//! The messages and services of apigw's API, generated from `proto/apigw/v1/*.proto`.
//!
//! Nothing is written by hand here. The bindings are committed so that a build needs no protobuf compiler;
//! `tests/bindings.rs` fails when they no longer say what the `.proto` files say.

/// Package `apigw.v1`.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    clippy::pedantic,
    reason = "generated; what there is to say stands in the .proto files"
)]
pub mod v1 {
    include!("generated/apigw.v1.rs");
}

/// The largest message either side sends or accepts, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
