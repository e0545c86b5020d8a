//! The real `sealkeepd` on a real SoftHSM token, spoken to through the client crate.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod admin;
mod compromise;
mod crash;
mod decryption;
mod doctor;
mod enrolment;
mod handshakes;
mod house;
mod jwt;
mod keys;
mod large;
mod life;
mod pretend;
mod profiles;
mod publication;
mod replicas;
mod revocation;
mod rotation;
mod signing;
mod startup;
mod tls;
mod tokens;
mod trust;
mod verification;
mod watch;
mod worker;
