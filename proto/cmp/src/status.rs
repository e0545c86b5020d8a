//! PKIStatusInfo in words (RFC 9810 section 5.2.3).
//!
//! In: a frame that a server sent. Out: what it says, and whether asking again may help.

use der::Tag;

use crate::CmpError;
use crate::wire::{Frame, bits, integer, sequence, tlv};

/// Most words of a server that are kept, characters.
const WORDS_CHARS_MAX: usize = 300;
/// PKIStatus: granted, with or without changes.
pub(crate) const GRANTED: [i64; 2] = [0, 1];
/// PKIStatus: no.
pub(crate) const REJECTION: i64 = 2;
/// PKIStatus: not yet.
pub(crate) const WAITING: i64 = 3;

/// PKIFailureInfo by bit.
const FAILURES: [&str; 27] = [
    "badAlg",
    "badMessageCheck",
    "badRequest",
    "badTime",
    "badCertId",
    "badDataFormat",
    "wrongAuthority",
    "incorrectData",
    "missingTimeStamp",
    "badPOP",
    "certRevoked",
    "certConfirmed",
    "wrongIntegrity",
    "badRecipientNonce",
    "timeNotAvailable",
    "unacceptedPolicy",
    "unacceptedExtension",
    "addInfoNotAvailable",
    "badSenderNonce",
    "badCertTemplate",
    "signerNotTrusted",
    "transactionIdInUse",
    "unsupportedVersion",
    "notAuthorized",
    "systemUnavail",
    "systemFailure",
    "duplicateCertReq",
];
/// Failures that pass by themselves.
const PASSING: [&str; 3] = ["timeNotAvailable", "systemUnavail", "systemFailure"];

/// The failure that is none to whoever wants a certificate revoked.
const REVOKED: &str = "certRevoked";

/// What a status says.
#[derive(Debug)]
pub(crate) enum Status {
    Granted,
    Waiting,
    Refused(Refusal),
}

/// A no.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) words: String,
    /// Whether asking again may help.
    pub(crate) passes: bool,
    /// The certificate is revoked already.
    pub(crate) is_revoked: bool,
}

impl Refusal {
    pub(crate) fn into_error(self) -> CmpError {
        let words = self.words;
        match self.passes {
            true => CmpError::Unavailable { words },
            false => CmpError::Rejected { words },
        }
    }
}

/// Reads a PKIStatusInfo.
pub(crate) fn read(status: &Frame<'_>) -> Result<Status, CmpError> {
    let fields = status.fields()?;
    let code = fields.first().ok_or(CmpError::Malformed("status"))?;
    Ok(match code.number()? {
        WAITING => Status::Waiting,
        granted if GRANTED.contains(&granted) => Status::Granted,
        _ => Status::Refused(refusal(Some(status))),
    })
}

/// The server's own words, then the names of the failure bits.
pub(crate) fn refusal(status: Option<&Frame<'_>>) -> Refusal {
    let fields = status.and_then(|status| status.fields().ok());
    let fields = fields.unwrap_or_default();
    let mut words = Vec::new();
    for field in fields.iter().filter(|field| field.is(Tag::Sequence)) {
        for text in field.fields().unwrap_or_default() {
            words.push(String::from_utf8_lossy(text.any.value()).into_owned());
        }
    }
    let (mut passes, mut is_revoked) = (false, false);
    for field in fields.iter().filter(|field| field.is(Tag::BitString)) {
        let bits = field.any.value().get(1..).unwrap_or_default();
        let set = |at: &usize| {
            bits.get(at / 8)
                .is_some_and(|b| b & (0x80 >> (at % 8)) != 0)
        };
        for at in (0..FAILURES.len()).filter(set) {
            passes |= PASSING.contains(&FAILURES[at]);
            is_revoked |= FAILURES[at] == REVOKED;
            words.push(FAILURES[at].to_owned());
        }
    }
    if words.is_empty() {
        words.push("without a reason".to_owned());
    }
    let words = words.join(", ").replace(char::is_control, " ");
    let words = words.chars().take(WORDS_CHARS_MAX).collect();
    Refusal {
        words,
        passes,
        is_revoked,
    }
}

/// Writes a PKIStatusInfo that grants or says to wait.
pub(crate) fn plain(code: i64) -> Vec<u8> {
    sequence(&[integer(code)])
}

/// Writes a no, with one of [`FAILURES`].
pub(crate) fn refuse(words: &str, failure: &str) -> Vec<u8> {
    const UTF8_STRING: u8 = 0x0c;
    let mut mask = [0; 4];
    if let Some(at) = FAILURES.iter().position(|known| *known == failure) {
        mask[at / 8] |= 0x80 >> (at % 8);
    }
    sequence(&[
        integer(REJECTION),
        sequence(&[tlv(UTF8_STRING, words.as_bytes())]),
        bits(&mask),
    ])
}
