//! The crate as others use it: from a request and a certificate to signed headers, and back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cavage;
mod disjoint;
mod extends;
mod files;
mod golden;
mod http_message;
mod jades;
mod jwe;
mod jws;
mod jwt;
mod key_ids;
mod keys;
mod laws;
mod operations;
mod refusals;
mod support;
mod table;
mod tampering;
mod vectors;
mod wycheproof;
