//! A pretend qualified trust service provider (QTSP), a pretend bank and the internal PKI of a demonstration.
//!
//! Three parties a PSD2 third-party provider (TPP) meets, so that everything Sealkeep does can be tried without any of
//! them: [`qtsp`] issues PSD2 certificates for certificate signing requests, [`bank`] takes mutual TLS and signed
//! requests and answers signed, [`pki`] issues the certificates by which callers and `sealkeepd` know each other. And
//! [`postgres`] is the database of one test.
//!
//! Never in here: a key of the TPP. The software keys of [`key`] belong to the pretend parties alone; they lie in files,
//! which is right for a pretence and wrong for everything else. Nothing of this crate runs in production.

use std::io::Write;

pub mod bank;
pub mod clock;
pub mod files;
pub mod key;
pub mod parts;
pub mod pki;
pub mod postgres;
pub mod qtsp;

/// Ends a binary of this crate: an error goes to stderr with its causes, and the exit code is 1.
pub fn exit(outcome: anyhow::Result<()>) -> std::process::ExitCode {
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
