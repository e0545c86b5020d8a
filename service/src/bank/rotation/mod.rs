//! Rotations: the bindings of a credential move from one version to the next, bank by bank.
//!
//! In: what banks say, the time. Out: plans, and which version each bank gets. Never: two versions for one bank at one
//! instant except in a canary, nor a step back that the bank does not go along with.

pub mod plan;
pub mod progress;
