//! What the PKCS#11 backend promises, on a real module (SoftHSM 2).
//!
//! Each test is a [`Case`](sealkeep_pkcs11_tests::Case): a process and a token of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod identity;
mod keys;
mod load;
mod spy;
mod start;
mod support;
