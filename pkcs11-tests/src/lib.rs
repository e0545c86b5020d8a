//! Real PKCS#11 tokens for tests.
//!
//! Out: a throw-away SoftHSM token ([`SoftHsm`]) and a way to run a test in a process of its own ([`Case`]). The
//! library depends on no other crate of the workspace, so that each of them can use it. It panics with a clear message
//! when the machine lacks something: a test that cannot run must not pass.
//!
//! The suite itself is in `tests/contract`: what Sealkeep's backend promises, on a real module.

mod case;
mod softhsm;

pub use case::{Case, Value};
pub use softhsm::SoftHsm;
