//! What an error of ACME means for an enrolment. Pure.
//!
//! In: what instant-acme reports. Out: whether it is worth trying again, and words for a person. A server that is away or
//! overloaded may do it later; one that says no says no (RFC 8555 section 6.7).

use instant_acme::{Error, Problem};

use super::super::EnrolError;

/// Prefix of the problem types of RFC 8555 section 6.7.
const ERROR_NAMESPACE: &str = "urn:ietf:params:acme:error:";
/// Problem types that pass.
const PASSING: [&str; 5] = [
    "badNonce",
    "connection",
    "orderNotReady",
    "rateLimited",
    "serverInternal",
];
/// Most words of a server that are kept, characters.
const WORDS_CHARS_MAX: usize = 300;
const HTTP_NOT_FOUND: u16 = 404;
const HTTP_SERVER_ERROR: u16 = 500;

pub(super) fn judge(error: &Error) -> EnrolError {
    match error {
        Error::Api(problem) if passes(problem) => later(refused(problem)),
        Error::Api(problem) => never(refused(problem)),
        Error::Crypto | Error::KeyRejected => never("the key of the ACME account cannot be used"),
        Error::Unsupported(what) => never(format!("the ACME server does not support {what}")),
        Error::Other(below) => later(format!(
            "the ACME server cannot be reached: {}",
            chain(&**below)
        )),
        other => later(format!("the ACME server's answer cannot be used: {other}")),
    }
}

/// The same of an order that was placed before: the server may have forgotten it.
pub(super) fn of_order(error: &Error) -> EnrolError {
    match error {
        Error::Api(problem) if problem.status == Some(HTTP_NOT_FOUND) => {
            EnrolError::Anew(refused(problem))
        }
        other => judge(other),
    }
}

/// RFC 8555 section 7.6.
pub(super) fn is_revoked_already(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if kind(problem) == "alreadyRevoked")
}

/// The words of a problem and of what is below it.
pub(super) fn words(problem: &Problem) -> String {
    let below = problem.subproblems.iter().map(|sub| sub.detail.as_deref());
    let words: Vec<&str> = std::iter::once(problem.detail.as_deref())
        .chain(below)
        .flatten()
        .collect();
    let kind = kind(problem);
    let words = match words.is_empty() {
        true => kind.to_owned(),
        false => format!("{} ({kind})", words.join("; ")),
    };
    let words = words.replace(char::is_control, " ");
    words.chars().take(WORDS_CHARS_MAX).collect()
}

fn refused(problem: &Problem) -> String {
    format!("the ACME server refused: {}", words(problem))
}

fn passes(problem: &Problem) -> bool {
    PASSING.contains(&kind(problem))
        || problem
            .status
            .is_some_and(|status| status >= HTTP_SERVER_ERROR)
}

fn kind(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or("no reason");
    kind.strip_prefix(ERROR_NAMESPACE).unwrap_or(kind)
}

/// The errors below an error say what went wrong; the top says only that something did.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        text = format!("{text}: {source}");
        below = source.source();
    }
    text
}

pub(super) fn later(why: impl ToString) -> EnrolError {
    EnrolError::Later(why.to_string())
}

pub(super) fn never(why: impl ToString) -> EnrolError {
    EnrolError::Never(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, status: u16) -> Error {
        let document = serde_json::json!({
            "type": format!("{ERROR_NAMESPACE}{kind}"), "detail": "no\nway", "status": status,
        });
        Error::Api(serde_json::from_value(document).unwrap())
    }

    #[test]
    fn what_passes_is_tried_again_and_a_refusal_is_not() {
        for (kind, status) in [("rateLimited", 429), ("badNonce", 400), ("unheardOf", 503)] {
            let judged = judge(&problem(kind, status));
            assert!(matches!(judged, EnrolError::Later(_)), "{kind}");
        }
        for kind in ["unauthorized", "badCSR", "rejectedIdentifier", "caa"] {
            let judged = judge(&problem(kind, 403));
            assert!(matches!(judged, EnrolError::Never(_)), "{kind}");
        }
        let unreachable = Error::Other("connection refused".into());
        assert!(matches!(judge(&unreachable), EnrolError::Later(_)));
    }

    #[test]
    fn a_forgotten_order_begins_anew() {
        let gone = problem("malformed", HTTP_NOT_FOUND);
        assert!(matches!(of_order(&gone), EnrolError::Anew(_)));
        assert!(matches!(judge(&gone), EnrolError::Never(_)));
    }

    #[test]
    fn words_of_a_server_are_one_line() {
        let said = judge(&problem("badCSR", 403)).to_string();
        assert_eq!(said, "the ACME server refused: no way (badCSR)");
    }
}
