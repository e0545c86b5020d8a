//! `sealkeepd token doctor`: what works on the configured token, what is degraded, what to do about it.
//!
//! In: a configuration. Out: a report for people or programs, and whether the token can sign. It needs no running
//! service and disturbs none: it opens the token with a login of its own, not the store. Never: a list of what the token
//! claims; everything was tried.

mod diagnosis;
mod shown;

use sealkeep_quirks::Quirks;
use secrecy::SecretString;
use serde_json::json;

use crate::backend::pkcs11::doctor;
use crate::config::Config;
use crate::pin;
use crate::run::RunError;

pub use diagnosis::{Diagnosis, Finding, diagnose};

/// How the report looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// A report, and what it comes to.
#[derive(Debug)]
pub struct Report {
    /// What to print.
    pub text: String,
    /// At least one kind of key signs.
    pub signs: bool,
}

/// Examines the token of a configuration, or the named one of several. Blocks, for RSA keys of 4096 bits for many seconds.
///
/// # Errors
/// When the token cannot be logged in to, or it is not said which one is meant.
pub fn run(
    config: &Config,
    token: Option<&str>,
    pin_env: Option<&str>,
    output: Output,
) -> Result<Report, RunError> {
    let token = config.token(token)?;
    let pin: SecretString = pin::read(token, pin_env)?;
    let seen = doctor::examine(&config.pkcs11(token), &pin, &config.pin_marker(token))?;
    let diagnosis = diagnose(&seen, Quirks::shipped());
    let text = match output {
        Output::Table => shown::text(&seen, &diagnosis),
        Output::Json => format!("{:#}\n", json!({ "seen": seen, "diagnosis": diagnosis })),
    };
    Ok(Report {
        text,
        signs: diagnosis.signs,
    })
}
