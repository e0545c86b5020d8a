//! Where a token is and how much of it to use, checked.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::backend::BackendError;

/// Signing threads if the configuration does not say: soft tokens and small HSMs gain nothing from more.
pub const SESSION_COUNT_DEFAULT: u16 = 4;
/// Most signing threads: beyond the concurrency of the largest network HSMs.
pub const SESSION_COUNT_MAX: u16 = 128;
/// Signatures that may wait if the configuration does not say: about 0.1 s of work of a fast token.
pub const QUEUE_LENGTH_MAX_DEFAULT: usize = 1024;
/// Longest queue that may be configured.
pub const QUEUE_LENGTH_MAX_MAX: usize = 65_536;

/// Where a token is and how much of it to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Config {
    /// Our name for the token; for people and metrics.
    pub name: String,
    /// File of the PKCS#11 module.
    pub module: PathBuf,
    /// `CKA_LABEL` of the token.
    pub token_label: String,
    /// Serial number of the token; needed if several have the label.
    pub token_serial: Option<String>,
    /// Sessions that sign, each on a thread of its own.
    pub session_count: u16,
    /// Signatures that may wait for a session; more are refused as busy.
    pub queue_length_max: usize,
    /// Lets the module be pkcs11-spy, which logs the PIN. For tests only.
    pub allow_spy: bool,
}

impl Pkcs11Config {
    pub(in crate::backend) fn check(&self) -> Result<(), BackendError> {
        let must = |holds: bool, field, rule: String| {
            if holds {
                Ok(())
            } else {
                let field = Cow::Borrowed(field);
                Err(BackendError::ConfigInvalid { field, rule })
            }
        };
        must(
            (1..=SESSION_COUNT_MAX).contains(&self.session_count),
            "session_count",
            format!("between 1 and {SESSION_COUNT_MAX}"),
        )?;
        must(
            (1..=QUEUE_LENGTH_MAX_MAX).contains(&self.queue_length_max),
            "queue_length_max",
            format!("between 1 and {QUEUE_LENGTH_MAX_MAX}"),
        )?;
        must(
            !self.token_label.is_empty(),
            "token_label",
            "given".to_owned(),
        )
    }
}
