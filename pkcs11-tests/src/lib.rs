//! Real PKCS#11 tokens for tests.
//!
//! Out: a throw-away token, SoftHSM or kryoptic ([`TestToken`]), the same behind a socket ([`RemoteHsm`]), NSS's token
//! ([`NssToken`]), a way to run a test in a
//! process of its own ([`Case`]), and what any module must keep for us ([`laws`]). The library depends on no other
//! crate of the workspace, so that each of them can use it. It panics with a clear message when the machine lacks
//! something: a test that cannot run must not pass.
//!
//! `tests/contract` is what Sealkeep's backend promises, on a real module and on one that breaks; `tests/laws` tries
//! the laws on every token that can be had here.

mod case;
pub mod laws;
mod nss;
mod remote;
mod token;

pub use case::{Case, Value};
pub use nss::NssToken;
pub use remote::RemoteHsm;
pub use token::{Kind, TestToken};
