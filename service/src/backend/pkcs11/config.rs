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

/// Longest string for `C_Initialize` (bytes).
const INIT_STRING_BYTES_MAX: usize = 1024;

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
    /// What the module wants to hear at `C_Initialize`; most want nothing.
    pub init_string: Option<String>,
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
        )?;
        must(
            self.init_string.as_deref().is_none_or(is_init_string),
            "init_string",
            format!("1 to {INIT_STRING_BYTES_MAX} bytes without a zero byte"),
        )
    }
}

/// Whether a module can be given the text: a C string ends at its first zero.
pub(crate) fn is_init_string(text: &str) -> bool {
    (1..=INIT_STRING_BYTES_MAX).contains(&text.len()) && !text.contains('\0')
}
