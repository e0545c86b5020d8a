//! Errors of calls to the service, sorted by what to do about them.
//!
//! In: the status of a gRPC call with its `google.rpc` details (domain `sealkeep`). Out: [`Error`], each with the
//! service's stable reason word. Never: a bearer token, a body or a key in a message.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The `ErrorInfo.domain` under which reasons are the service's own.
const DOMAIN: &str = "sealkeep";

/// What tonic says when the client's own deadline passed; it arrives as `Cancelled` (and not as a deadline).
const LOCAL_TIMEOUT_TEXT: &str = "Timeout expired";

/// The reason with which the service asks for the body itself instead of its digests.
pub(crate) const BODY_REQUIRED: &str = "BODY_REQUIRED";

/// What tonic says of any failure below it; the cause says more.
const OPAQUE: &str = "transport error";

/// Facts the service gave along with a reason, by name.
pub type Facts = BTreeMap<String, String>;

/// Why a call did not give an answer. One variant for each thing a caller can do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No grant, or not with this credential or bank. Ask an officer; repeating changes nothing.
    #[error("denied ({reason}): {message}")]
    Denied {
        /// Stable reason word.
        reason: String,
        /// In words.
        message: String,
        /// What it was about.
        facts: Facts,
    },
    /// The service does not know who calls: the client certificate is missing, expired or names nobody.
    #[error("not authenticated ({reason}): {message}")]
    Unauthenticated {
        /// Stable reason word.
        reason: String,
        /// In words.
        message: String,
    },
    /// The request itself is wrong. Change the named field.
    #[error("invalid ({reason}) {field}: {message}")]
    Invalid {
        /// Stable reason word.
        reason: String,
        /// The guilty field, for example `headers["x-request-id"]`; empty when it is the whole request.
        field: String,
        /// In words.
        message: String,
        /// What it was about.
        facts: Facts,
    },
    /// Right, but not now: the certificate expired, has no such PSD2 role, no version is bound. Somebody must act first.
    #[error("not now ({reason}): {message}")]
    NotNow {
        /// Stable reason word.
        reason: String,
        /// The field it is about; empty when it is about none.
        field: String,
        /// In words.
        message: String,
        /// What it was about.
        facts: Facts,
        /// How long to wait, when time alone changes it: a bank that changes over to a new certificate.
        retry_after: Option<Duration>,
    },
    /// There is no such thing (only told to callers who may know).
    #[error("not found ({reason}): {message}")]
    NotFound {
        /// Stable reason word.
        reason: String,
        /// In words.
        message: String,
    },
    /// Over a rate or a queue limit. Wait, then send fewer.
    #[error("too much ({reason}): {message}")]
    TooMuch {
        /// Stable reason word.
        reason: String,
        /// In words.
        message: String,
        /// How long to wait, when the service said.
        retry_after: Option<Duration>,
    },
    /// The service, its token or its log cannot work at the moment. Retry later; the library already did within the deadline.
    #[error("unavailable ({reason}): {message}")]
    Unavailable {
        /// Stable reason word.
        reason: String,
        /// In words.
        message: String,
        /// How long to wait, when the service said.
        retry_after: Option<Duration>,
    },
    /// The deadline passed, here or at the service. The request may or may not have been executed.
    #[error("the deadline passed")]
    Timeout,
    /// A bug, here or there, or an answer that makes no sense. Report it.
    #[error("broken ({reason}): {message}")]
    Broken {
        /// Stable reason word.
        reason: String,
        /// In words.
        message: String,
    },
    /// No connection to the service, or it broke.
    #[error("no connection to the service: {detail}")]
    Unreachable {
        /// What the network or TLS said.
        detail: String,
    },
}

impl Error {
    /// The stable reason word of the error.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Denied { reason, .. }
            | Self::Unauthenticated { reason, .. }
            | Self::Invalid { reason, .. }
            | Self::NotNow { reason, .. }
            | Self::NotFound { reason, .. }
            | Self::TooMuch { reason, .. }
            | Self::Unavailable { reason, .. }
            | Self::Broken { reason, .. } => reason,
            Self::Timeout => "TIMEOUT",
            Self::Unreachable { .. } => "UNREACHABLE",
        }
    }

    /// Whether the same call may succeed when it is simply repeated later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Unreachable { .. })
    }

    /// How long the service asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotNow { retry_after, .. }
            | Self::TooMuch { retry_after, .. }
            | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Finds the error of this crate that made a TLS handshake fail: rustls and I/O errors carry it inside.
    #[must_use]
    pub fn behind<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        found(error)
    }

    /// The bank was bound to another version meanwhile: what is asked for with the new one may succeed at once.
    pub(crate) fn is_rebound(&self) -> bool {
        matches!(self, Self::NotNow { facts, .. } if facts.contains_key("bound"))
    }

    pub(crate) fn broken(reason: &str, message: impl Into<String>) -> Self {
        Self::Broken {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn invalid(reason: &str, field: &str, message: impl Into<String>) -> Self {
        Self::Invalid {
            reason: reason.to_owned(),
            field: field.to_owned(),
            message: message.into(),
            facts: Facts::new(),
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let came_from_wire = StdError::source(&status).is_none();
        let message = status.message().to_owned();
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let reason = info.map_or_else(|| code_word(status.code()).to_owned(), |i| i.reason.clone());
        let facts: Facts = info
            .map(|i| {
                i.metadata
                    .iter()
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect()
            })
            .unwrap_or_default();
        let violation = details
            .bad_request()
            .and_then(|bad| bad.field_violations.first());
        let field = violation
            .map(|violation| violation.field.clone())
            .unwrap_or_default();
        let retry_after = details.retry_info().and_then(|retry| retry.retry_delay);
        match status.code() {
            Code::Cancelled if message == LOCAL_TIMEOUT_TEXT => Self::Timeout,
            Code::DeadlineExceeded => Self::Timeout,
            _ if !came_from_wire => Self::Unreachable {
                detail: chain(&status),
            },
            Code::PermissionDenied => Self::Denied {
                reason,
                message,
                facts,
            },
            Code::Unauthenticated => Self::Unauthenticated { reason, message },
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid {
                reason,
                field,
                message,
                facts,
            },
            Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => Self::NotNow {
                reason,
                field,
                message,
                facts,
                retry_after,
            },
            Code::NotFound => Self::NotFound { reason, message },
            Code::ResourceExhausted => Self::TooMuch {
                reason,
                message,
                retry_after,
            },
            Code::Unavailable => Self::Unavailable {
                reason,
                message,
                retry_after,
            },
            _ => Self::Broken { reason, message },
        }
    }
}

/// The first error of a type among an error and what is behind it.
pub(crate) fn found<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = inner(error);
    }
    None
}

/// The error one level below, also where `source` skips a level: an I/O error's payload, rustls's `Other`.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        return io.get_ref().map(|inner| inner as &(dyn StdError + 'static));
    }
    if let Some(rustls::Error::Other(other)) = error.downcast_ref::<rustls::Error>() {
        return Some(other.0.as_ref());
    }
    error.source()
}

/// The error and what is behind it, once each, joined by colons.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => error.to_string(),
    };
    let mut next = inner(error);
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) && more != OPAQUE {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = inner(error);
    }
    text
}

/// The reason when the service gave none.
fn code_word(code: Code) -> &'static str {
    match code {
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::NotFound => "NOT_FOUND",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::Unavailable => "UNAVAILABLE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Cancelled => "CANCELLED",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use tonic_types::ErrorDetails;

    fn status(code: Code, reason: &str) -> Status {
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, DOMAIN, [("bank".to_owned(), "ing-de".to_owned())]);
        Status::with_error_details(code, "text", details)
    }

    #[test]
    fn sorts_statuses_by_what_to_do() {
        let of = |code| Error::from(status(code, "WHY"));
        assert!(matches!(of(Code::PermissionDenied), Error::Denied { .. }));
        assert!(matches!(
            of(Code::Unauthenticated),
            Error::Unauthenticated { .. }
        ));
        assert!(matches!(of(Code::InvalidArgument), Error::Invalid { .. }));
        assert!(matches!(of(Code::FailedPrecondition), Error::NotNow { .. }));
        assert!(matches!(of(Code::NotFound), Error::NotFound { .. }));
        assert!(matches!(of(Code::ResourceExhausted), Error::TooMuch { .. }));
        assert!(matches!(of(Code::Unavailable), Error::Unavailable { .. }));
        assert!(matches!(of(Code::DeadlineExceeded), Error::Timeout));
        assert!(matches!(of(Code::Internal), Error::Broken { .. }));
        assert!(matches!(of(Code::Unimplemented), Error::Broken { .. }));
        assert_eq!(of(Code::PermissionDenied).reason(), "WHY");
    }

    #[test]
    fn takes_facts_field_and_delay_from_the_details() {
        let Error::Denied { facts, .. } = Error::from(status(Code::PermissionDenied, "X")) else {
            panic!("not denied");
        };
        assert_eq!(facts["bank"], "ing-de");

        let mut details = ErrorDetails::new();
        details.set_error_info("HEADER_MISSING", DOMAIN, []);
        details.add_bad_request_violation("headers[\"date\"]", "is missing");
        let bad = Status::with_error_details(Code::InvalidArgument, "no date", details);
        let Error::Invalid { field, .. } = Error::from(bad) else {
            panic!("not invalid")
        };
        assert_eq!(field, "headers[\"date\"]");

        let mut details = ErrorDetails::with_retry_info(Some(Duration::from_millis(250)));
        details.set_error_info("QUEUE_FULL", DOMAIN, []);
        let busy = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        assert_eq!(
            Error::from(busy).retry_after(),
            Some(Duration::from_millis(250))
        );
    }

    #[test]
    fn does_not_believe_reasons_of_another_domain() {
        let details = ErrorDetails::with_error_info("NICE", "other.example", []);
        let status = Status::with_error_details(Code::PermissionDenied, "", details);
        assert_eq!(Error::from(status).reason(), "PERMISSION_DENIED");
    }

    #[test]
    fn the_local_timeout_of_tonic_is_a_timeout() {
        assert!(matches!(
            Error::from(Status::cancelled(LOCAL_TIMEOUT_TEXT)),
            Error::Timeout
        ));
        assert!(matches!(
            Error::from(Status::cancelled("other")),
            Error::Broken { .. }
        ));
    }

    #[test]
    fn is_found_behind_rustls_and_io_errors() {
        let tls = rustls::Error::Other(rustls::OtherError(std::sync::Arc::new(Error::Timeout)));
        let io = std::io::Error::new(std::io::ErrorKind::InvalidData, tls);
        assert!(matches!(Error::behind(&io), Some(Error::Timeout)));
        assert!(Error::behind(&std::io::Error::other("x")).is_none());
    }
}
