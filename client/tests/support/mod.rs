//! A service that speaks `sealkeep.v1` with software keys, and a bank that wants client certificates, for tests.
//!
//! In: what a test tells them to do. Out: what they saw. Never: the behaviour of the real service; that is tested
//! end to end elsewhere.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs
)]

pub mod bank;
pub mod io;
pub mod pki;
pub mod service;

use std::future::Future;

/// Runs a test on a current-thread and on a multi-thread runtime.
pub fn on_both_flavours<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for workers in [0, 2] {
        let mut builder = match workers {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        if workers > 0 {
            builder.worker_threads(workers);
        }
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(async {
            let limit = std::time::Duration::from_secs(60);
            tokio::time::timeout(limit, test())
                .await
                .expect("the test hangs");
        });
    }
}
