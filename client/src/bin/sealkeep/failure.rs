//! What went wrong, for people (stderr) and for scripts (the exit code).
//!
//! In: errors of the library, of files, of usage. Out: one line, the way out when there is one, an exit code. Never: a
//! refusal dressed up as a failure; a refusal says which rule.

use crate::report::{Output, printable, talk};
use sealkeep_client::{ConfigError, Error, Facts};
use sealkeep_profiles::refusal::{Guilty, Refusal};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const DENIED: u8 = 4;
const NOT_FOUND: u8 = 5;
const NOT_NOW: u8 = 6;
const TIMED_OUT: u8 = 124;

/// Why there is nothing on stdout.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line or a file given with it is wrong.
    #[error("{0}")]
    Usage(String),
    /// Something on this side did not work.
    #[error("{0}")]
    Failed(String),
    /// The service said no, or said nothing.
    #[error(transparent)]
    Call(#[from] Error),
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// A file could not be read or written.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Failed(_) => FAILED,
            Self::Call(error) => match error {
                Error::Denied { .. } | Error::Unauthenticated { .. } => DENIED,
                Error::NotFound { .. } => NOT_FOUND,
                Error::NotNow { .. } => NOT_NOW,
                Error::TooMuch { .. } | Error::Unavailable { .. } | Error::Unreachable { .. } => {
                    UNREACHABLE
                }
                Error::Timeout => TIMED_OUT,
                _ => FAILED,
            },
        }
    }

    /// Tells it on stderr, as text or as JSON.
    pub(crate) fn print(&self, output: Output) -> ExitCode {
        match output {
            Output::Table => talk(&self.text()),
            Output::Json => talk(&self.json().to_string()),
        }
        ExitCode::from(self.exit_code())
    }

    fn text(&self) -> String {
        let Self::Call(error) = self else {
            return format!("sealkeep: {self}");
        };
        let (field, message) = parts(error);
        let mut text = match error {
            Error::Unreachable { detail } => format!("unreachable: {}", printable(detail)),
            Error::Timeout => "timed out".to_owned(),
            _ => {
                let word = if self.is_refusal() {
                    "refused"
                } else {
                    "failed"
                };
                let bare = message
                    .strip_prefix(field)
                    .and_then(|rest| rest.strip_prefix(": "));
                let columns = [error.reason(), field, bare.unwrap_or(message)].map(printable);
                let columns: Vec<_> = columns
                    .into_iter()
                    .filter(|text| !text.is_empty())
                    .collect();
                format!("{word}: {}", columns.join("  "))
            }
        };
        if let Some(way) = way_out(error) {
            text.push_str("\n  way out: ");
            text.push_str(way);
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let exit = self.exit_code();
        let Self::Call(error) = self else {
            return json!({ "error": { "message": self.to_string(), "exit": exit } });
        };
        let (field, message) = parts(error);
        json!({ "error": {
            "reason": error.reason(),
            "field": field,
            "message": message,
            "facts": facts(error),
            "way_out": way_out(error),
            "exit": exit,
        }})
    }

    fn is_refusal(&self) -> bool {
        use Error::{Denied, Invalid, NotFound, NotNow, Unauthenticated};
        let Self::Call(error) = self else {
            return false;
        };
        matches!(
            error,
            Denied { .. }
                | Invalid { .. }
                | NotFound { .. }
                | NotNow { .. }
                | Unauthenticated { .. }
        )
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::File { .. } => Self::Failed(error.to_string()),
            _ => Self::Usage(error.to_string()),
        }
    }
}

/// What a profile refuses here is told as the service would tell it.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (reason, field) = (refusal.reason().to_owned(), refusal.field());
        let (message, facts) = (refusal.to_string(), Facts::new());
        Self::Call(match refusal.guilty() {
            Guilty::Request => Error::Invalid {
                reason,
                field,
                message,
                facts,
            },
            Guilty::Bank | Guilty::Credential => Error::NotNow {
                reason,
                field,
                message,
                facts,
                retry_after: None,
            },
        })
    }
}

/// Field and message.
fn parts(error: &Error) -> (&str, &str) {
    match error {
        Error::Invalid { field, message, .. } | Error::NotNow { field, message, .. } => {
            (field, message)
        }
        Error::Denied { message, .. }
        | Error::Unauthenticated { message, .. }
        | Error::NotFound { message, .. }
        | Error::TooMuch { message, .. }
        | Error::Unavailable { message, .. }
        | Error::Broken { message, .. } => ("", message),
        Error::Unreachable { detail } => ("", detail),
        _ => ("", "the deadline passed"),
    }
}

fn facts(error: &Error) -> Option<&Facts> {
    match error {
        Error::Denied { facts, .. }
        | Error::Invalid { facts, .. }
        | Error::NotNow { facts, .. } => Some(facts),
        _ => None,
    }
}

/// What a person can do about it.
fn way_out(error: &Error) -> Option<&'static str> {
    Some(match error.reason() {
        "NOT_GRANTED" => "an officer grants it: sealkeep access apply -f access.toml",
        "ROLE_REQUIRED" => "`sealkeep whoami` shows your role; ask somebody who has the right one",
        "ROLE_NOT_IN_CERTIFICATE" => {
            "sign with a credential whose certificate has the role, or have one issued with it"
        }
        "HOST_NOT_ALLOWED" => "`sealkeep bank list` shows the hosts of the bank",
        "OPERATION_UNKNOWN" => "the bank's profile knows no such method and path; check both",
        "ENVIRONMENT_MISMATCH" => {
            "sandbox certificates are for sandbox banks only, production ones for production"
        }
        "HEADER_MISSING" => "add the header and sign again",
        "HEADER_LINE_BREAK" | "HEADER_CONTROL" | "HEADER_NUL" | "HEADER_NOT_ASCII" => {
            "take the byte out of the value; it would change what is signed"
        }
        "SETTING_MISSING" | "SETTING_UNKNOWN" => {
            "`sealkeep profile show` lists the settings of the profile"
        }
        "REQUEST_NOT_FRESH" => "set the date header to now and sign again",
        "CERTIFICATE_EXPIRED" => "enrol a new version: sealkeep credential enrol",
        "CERTIFICATE_NOT_YET_VALID" | "CERTIFICATE_NOT_VALID_NOW" => {
            "`sealkeep credential show` says when it begins"
        }
        "VERSION_NOT_BOUND" | "VERSION_NOT_ACTIVE" => {
            "activate a version of the credential: sealkeep credential activate NAME"
        }
        "CERTIFICATE_BLOCKED" => "nothing was changed; each finding says what to ask the QTSP for",
        "ENROLLER_UNKNOWN" => "the service's configuration names the ways under [[enroller]]",
        "ENROLMENT_OPEN" => {
            "`sealkeep enrolment list` tells how far it is; `sealkeep enrolment withdraw` frees the way for another"
        }
        "ENROLMENT_CLOSED" => "`sealkeep enrolment list` tells what became of it",
        "NOT_REVOKED" => "two officers revoke it here first: sealkeep credential revoke",
        "VERSION_FROZEN" => {
            "an officer stopped it: use another version (sealkeep credential activate NAME@N --rebind), or unfreeze it"
        }
        "VERSION_REVOKED" => "its certificate is revoked: activate another version, or enrol one",
        "VERSION_STILL_BOUND" => {
            "move the banks first: sealkeep credential activate NAME@N --rebind"
        }
        "CHANGED_MEANWHILE" => "look at it again, and repeat what is still wanted",
        "APPROVAL_OWN" => "four eyes: ask another officer to run `sealkeep approval approve ID`",
        "APPROVAL_EXPIRED" | "APPROVAL_AUTHOR_GONE" => "ask for the change again",
        "APPROVAL_OPEN" | "APPROVALS_FULL" | "APPROVAL_UNKNOWN" | "APPROVAL_DECIDED" => {
            "`sealkeep approval list --all` shows what is asked for and decided"
        }
        "STATE_FORBIDS" => "`sealkeep credential show` says in which state the version is",
        "CUTOVER_IN_PROGRESS" => {
            "the bank takes the new certificate right now; try again when the window is over"
        }
        "ROTATION_NOT_OPEN" => "begin one: sealkeep rotation start NAME --reason WHY",
        "KEY_DESTROYED" => "`sealkeep audit list` shows what was attested before",
        "ROTATION_OPEN" => "`sealkeep rotation status` shows how far it is",
        "ROTATION_WITHOUT_VERSION" => {
            "enrol and install a version, then: sealkeep rotation attach NAME@N"
        }
        "VERIFY_NOT_CONFIGURED" => {
            "an officer adds it: [bank.rotation.verify] with target and statuses, then sealkeep bank apply"
        }
        "VERIFICATION_ENDED" => "it took too long, or somebody began another one: run it again",
        "NOT_HARMLESS" => "`sealkeep bank show` shows the request that a verification may send",
        "NOT_ANNOUNCED" => "tell the bank first: sealkeep rotation announce NAME BANK --bundle DIR",
        "NOT_ACCEPTED" => "when the bank says yes: sealkeep rotation accept NAME BANK",
        "MOMENT_MISSING" => "say --replaces-old --at TIME --window MINUTES as agreed with the bank",
        "BANKS_NOT_MOVED" => "`sealkeep rotation status` shows which banks and what they wait for",
        "CREDENTIAL_UNKNOWN" => "`sealkeep credential list` shows the credentials",
        "PIN_REFUSED" | "PIN_LOCKED" | "PIN_FINAL_TRY" => {
            "the PIN is not tried again until an operator acts; `sealkeep status` tells more"
        }
        "TOKEN_UNAVAILABLE" | "TOKEN_NOT_FOUND" | "MODULE_MISSING" => {
            "`sealkeep status` tells how the token is"
        }
        "UNREACHABLE" => {
            "is sealkeepd running there, and do --addr, --ca and the client certificate belong to it?"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid() -> Failure {
        Failure::Call(Error::Invalid {
            reason: "HEADER_LINE_BREAK".to_owned(),
            field: "headers[\"x-request-id\"]".to_owned(),
            message: "line break\r\nat byte 3".to_owned(),
            facts: Facts::new(),
        })
    }

    #[test]
    fn a_refusal_says_reason_field_text_and_the_way_out() {
        let text = invalid().text();
        assert_eq!(
            text,
            "refused: HEADER_LINE_BREAK  headers[\"x-request-id\"]  line break\\r\\nat byte 3\n  \
             way out: take the byte out of the value; it would change what is signed"
        );
    }

    #[test]
    fn every_family_has_its_exit_code() {
        let text = String::new;
        let (reason, message, field, facts) = (text, text, text, Facts::new);
        let code = |error| Failure::Call(error).exit_code();
        let denied = Error::Denied {
            reason: reason(),
            message: message(),
            facts: facts(),
        };
        assert_eq!(code(denied), 4);
        assert_eq!(
            code(Error::Unauthenticated {
                reason: reason(),
                message: message()
            }),
            4
        );
        assert_eq!(
            code(Error::NotFound {
                reason: reason(),
                message: message()
            }),
            5
        );
        let not_now = Error::NotNow {
            reason: reason(),
            field: field(),
            message: message(),
            facts: facts(),
            retry_after: None,
        };
        assert_eq!(code(not_now), 6);
        assert_eq!(code(Error::Unreachable { detail: text() }), 3);
        assert_eq!(code(Error::Timeout), 124);
        assert_eq!(
            code(Error::Broken {
                reason: reason(),
                message: message()
            }),
            1
        );
        assert_eq!(invalid().exit_code(), 1);
        assert_eq!(Failure::usage("x").exit_code(), 2);
    }

    #[test]
    fn scripts_get_the_reason_as_json() {
        let json = invalid().json();
        assert_eq!(json["error"]["reason"], "HEADER_LINE_BREAK");
        assert_eq!(json["error"]["exit"], 1);
    }
}
