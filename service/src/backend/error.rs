//! Everything that can go wrong between the service and a token, named by who has to act.
//!
//! No variant carries a PIN, a digest or key material. `function` and `rv` are the PKCS#11 names (`C_Sign`,
//! `CKR_DEVICE_ERROR`), because that is what the vendor's support asks for.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::KeyId;

/// Why a token did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum BackendError {
    /// The token has no private key with this id, or it was never adopted. It never means that the key was destroyed:
    /// a token that lost its connection also answers "nothing found".
    #[error("no key {0} in the token")]
    KeyUnknown(KeyId),
    /// More than one object has this id; signing with either would be a guess.
    #[error("more than one key {0} in the token")]
    KeyAmbiguous(KeyId),
    /// There is a key with this id, and it is not the pinned one.
    #[error("key {0} in the token is not the pinned key")]
    KeyMismatch(KeyId),
    /// An object has this id already; nothing was generated.
    #[error("key {0} exists in the token already")]
    KeyExists(KeyId),
    /// The token says that the key is not sensitive, or extractable.
    #[error("key {0} is not protected: it is not sensitive, or it is extractable")]
    KeyUnprotected(KeyId),
    /// Signatures by this key did not verify at any token that has it, or at the only one that could be asked.
    #[error(
        "signatures by key {0} did not verify; it is not used until an officer has it proven again"
    )]
    KeySuspect(KeyId),
    /// The configuration has no token or set of this name.
    #[error("no token or set {0:?} is configured")]
    SetUnknown(String),
    /// This kind of key is not offered.
    #[error("keys of type {0} are not supported")]
    SpecUnsupported(String),
    /// The digest does not have the length of the scheme's hash.
    #[error("the digest has {found} bytes, the scheme needs {expected}")]
    DigestLength {
        /// Length of the hash (bytes).
        expected: usize,
        /// Length that was given (bytes).
        found: usize,
    },
    /// The scheme signs the message whole, and it is longer than a token is given.
    #[error("the message has {found} bytes, at most {max} are signed whole")]
    MessageTooLong {
        /// Bytes allowed.
        max: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// This token does not offer the scheme.
    #[error("the token cannot do {scheme}")]
    SchemeUnsupported {
        /// Name of the scheme.
        scheme: Cow<'static, str>,
    },
    /// This type of key cannot sign by this scheme.
    #[error("a key of type {key_type} cannot do {scheme}")]
    SchemeUnfit {
        /// Type of the key.
        key_type: String,
        /// Name of the scheme.
        scheme: Cow<'static, str>,
    },
    /// The queue in front of the token is full.
    #[error("the token's queue is full")]
    Busy,
    /// The deadline passed before the token answered, or before it was asked.
    #[error("the deadline passed before the token answered")]
    Deadline,
    /// The token or its connection failed. The same request may work later.
    #[error("the token failed: {function} answered {rv}")]
    Unavailable {
        /// The PKCS#11 function that failed.
        function: String,
        /// Its return code.
        rv: String,
    },
    /// The token is out of memory or sessions.
    #[error("the token is out of resources: {function} answered {rv}")]
    Exhausted {
        /// The PKCS#11 function that failed.
        function: String,
        /// Its return code.
        rv: String,
    },
    /// The token refuses this very operation; trying again does not help.
    #[error("the token refused: {function} answered {rv}")]
    Rejected {
        /// The PKCS#11 function that failed.
        function: String,
        /// Its return code.
        rv: String,
    },
    /// The token answered something that cannot be right, as a signature of the wrong length.
    #[error("the token answered nonsense: {0}")]
    Malformed(String),
    /// The token refused the PIN, now or at an earlier start. No login is tried until the marker is cleared.
    #[error("the PIN was refused; correct it, then clear the marker {}", .marker.display())]
    PinRefused {
        /// The file that keeps the refusal across restarts.
        marker: PathBuf,
    },
    /// The token says that one more wrong PIN locks it; we do not take that chance.
    #[error("the token allows one last PIN attempt; log in once by other means to reset it")]
    PinFinalTry,
    /// The token says that its PIN is locked.
    #[error("the PIN of the token is locked")]
    PinLocked,
    /// There is no PIN to log in with again; what is missing is said without the PIN.
    #[error("no PIN: {0}")]
    PinUnavailable(String),
    /// The marker of a refused PIN cannot be written or read; without it no login is tried.
    #[error("cannot keep the PIN marker {}: {problem}", .marker.display())]
    PinMarker {
        /// The marker's path.
        marker: PathBuf,
        /// What the operating system said.
        problem: String,
    },
    /// No token has this label (and serial).
    #[error("no token with label {label:?}{}", .serial.as_deref().map(|s| format!(" and serial {s:?}")).unwrap_or_default())]
    TokenNotFound {
        /// The label asked for.
        label: String,
        /// The serial asked for.
        serial: Option<String>,
    },
    /// More than one token has this label (and serial); name the serial.
    #[error("{count} tokens with label {label:?}; configure the serial")]
    TokenAmbiguous {
        /// The label asked for.
        label: String,
        /// How many match.
        count: usize,
    },
    /// There is no file at the module's path.
    #[error("no PKCS#11 module at {}", .0.display())]
    ModuleMissing(PathBuf),
    /// The file is not a PKCS#11 module, or does not load.
    #[error("{} is not a usable PKCS#11 module: {problem}", .module.display())]
    ModuleInvalid {
        /// Path of the module.
        module: PathBuf,
        /// What the loader said.
        problem: String,
    },
    /// The module is pkcs11-spy, which writes every PIN it sees to a log.
    #[error("{} is pkcs11-spy, which logs PINs; it is for tests only", .0.display())]
    ModuleSpies(PathBuf),
    /// A configured value is out of its range.
    #[error("{field} must be {rule}")]
    ConfigInvalid {
        /// Name of the setting.
        field: Cow<'static, str>,
        /// The rule that it breaks.
        rule: String,
    },
}

impl BackendError {
    /// The token as a whole does not work; it says nothing about the key that was asked for.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::Exhausted { .. }
            | Self::Deadline
            | Self::PinRefused { .. }
            | Self::PinFinalTry
            | Self::PinLocked
            | Self::PinUnavailable(_)
            | Self::PinMarker { .. }
            | Self::TokenNotFound { .. }
            | Self::TokenAmbiguous { .. }
            | Self::ModuleMissing(_)
            | Self::ModuleInvalid { .. }
            | Self::ModuleSpies(_) => true,
            Self::KeyUnknown(_)
            | Self::KeyAmbiguous(_)
            | Self::KeyMismatch(_)
            | Self::KeyExists(_)
            | Self::KeyUnprotected(_)
            | Self::KeySuspect(_)
            | Self::SetUnknown(_)
            | Self::SpecUnsupported(_)
            | Self::DigestLength { .. }
            | Self::MessageTooLong { .. }
            | Self::SchemeUnsupported { .. }
            | Self::SchemeUnfit { .. }
            | Self::Busy
            | Self::Rejected { .. }
            | Self::Malformed(_)
            | Self::ConfigInvalid { .. } => false,
        }
    }

    /// Another token with the same key may do what this one did not. No request is wrong at one token and right at
    /// another, and no time is left after a deadline.
    pub(crate) fn is_of_the_token(&self) -> bool {
        !matches!(
            self,
            Self::Deadline
                | Self::DigestLength { .. }
                | Self::MessageTooLong { .. }
                | Self::SchemeUnfit { .. }
                | Self::SpecUnsupported(_)
                | Self::KeyExists(_)
                | Self::ConfigInvalid { .. }
        )
    }

    /// Trying again would try a PIN that may lock the token, or cannot help until a person acts.
    pub(crate) fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::PinRefused { .. }
                | Self::PinLocked
                | Self::PinFinalTry
                | Self::PinMarker { .. }
                | Self::ModuleSpies(_)
        )
    }

    /// A stable word for logs, metrics and `google.rpc.ErrorInfo`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::KeyUnknown(_) => "KEY_UNKNOWN",
            Self::KeyAmbiguous(_) => "KEY_AMBIGUOUS",
            Self::KeyMismatch(_) => "KEY_MISMATCH",
            Self::KeyExists(_) => "KEY_EXISTS",
            Self::KeyUnprotected(_) => "KEY_UNPROTECTED",
            Self::KeySuspect(_) => "KEY_SUSPECT",
            Self::SetUnknown(_) => "TOKEN_NOT_CONFIGURED",
            Self::SpecUnsupported(_) => "KEY_SPEC_UNSUPPORTED",
            Self::DigestLength { .. } => "DIGEST_LENGTH",
            Self::MessageTooLong { .. } => "MESSAGE_TOO_LONG",
            Self::SchemeUnsupported { .. } => "SCHEME_UNSUPPORTED",
            Self::SchemeUnfit { .. } => "SCHEME_UNFIT",
            Self::Busy => "TOKEN_BUSY",
            Self::Deadline => "TOKEN_DEADLINE",
            Self::Unavailable { .. } => "TOKEN_UNAVAILABLE",
            Self::Exhausted { .. } => "TOKEN_EXHAUSTED",
            Self::Rejected { .. } => "TOKEN_REJECTED",
            Self::Malformed(_) => "TOKEN_MALFORMED_ANSWER",
            Self::PinRefused { .. } => "PIN_REFUSED",
            Self::PinFinalTry => "PIN_FINAL_TRY",
            Self::PinLocked => "PIN_LOCKED",
            Self::PinUnavailable(_) => "PIN_UNAVAILABLE",
            Self::PinMarker { .. } => "PIN_MARKER",
            Self::TokenNotFound { .. } => "TOKEN_NOT_FOUND",
            Self::TokenAmbiguous { .. } => "TOKEN_AMBIGUOUS",
            Self::ModuleMissing(_) => "MODULE_MISSING",
            Self::ModuleInvalid { .. } => "MODULE_INVALID",
            Self::ModuleSpies(_) => "MODULE_SPIES",
            Self::ConfigInvalid { .. } => "CONFIG_INVALID",
        }
    }
}
