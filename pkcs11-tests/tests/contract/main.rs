//! What the PKCS#11 backend promises, on a real module (SoftHSM 2).
//!
//! Each test is a [`Case`](sealkeep_pkcs11_tests::Case): a process and a token of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]
// Deadlines of tests start now, and the token is looked at behind the backend's back.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod decrypt;
mod doctor;
mod faults;
mod faulty;
mod identity;
mod import;
mod keys;
mod load;
mod nss;
mod numbers;
mod spy;
mod start;
mod support;
mod tokens;
mod worker;
