//! The `sealkeep.v1` gRPC API.
//!
//! In: `.proto` files. Out: generated messages, clients and servers, and the way between wire messages
//! and the types of [`sealkeep_profiles`]. Never: a decision.

/// Messages, clients and servers of package `sealkeep.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("sealkeep.v1");
}

/// The encoded `FileDescriptorSet` of `sealkeep.v1`, for the reflection service and tests over the API's shape.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sealkeep.v1.bin"));
