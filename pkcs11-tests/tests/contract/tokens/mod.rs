//! Several tokens with the same keys, each behind a worker of its own: what callers see when one of them is lost, hangs,
//! lacks a key or has another one.
//!
//! `pair` makes two SoftHSM tokens and imports keys into them, as a vendor's replication would. `failover` is about
//! tokens that fail, `replicas` about keys that are not where they should be.

mod failover;
mod pair;
mod replicas;
