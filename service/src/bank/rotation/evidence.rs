//! What was seen of a bank with the version it moves to, and what that proves.
//!
//! In: what the caller saw, what the credential is for, the answer the bank should give. Out: a verdict with a stable
//! word. Pure. The caller opened the connection, so the word for what it saw is its own; that the service made the
//! signatures, its log says.

use serde::{Deserialize, Serialize};

use crate::domain::{HarmlessRequest, Purpose};

/// Longest text of what was seen, bytes; more is cut.
const SEEN_TEXT_BYTES_MAX: usize = 512;

/// How far it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The service signed no request; nothing reached the bank.
    Sign,
    /// No connection.
    Connect,
    /// The bank's own certificate is not believed.
    Server,
    /// The handshake came to no end.
    Handshake,
    /// The request was sent and no answer came.
    Answer,
    /// The answer is here.
    Done,
}

/// What was seen of a bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How far it went.
    pub stage: Stage,
    /// What was said when it went no further.
    pub detail: String,
    /// Host and port.
    pub address: String,
    /// `TLSv1.3` or `TLSv1.2`; empty without a handshake.
    pub tls_version: String,
    /// SHA-256 of the bank's certificate, hex; empty without a handshake.
    pub server_certificate_sha256: String,
    /// Whether the bank asked for a client certificate and got one.
    pub certificate_presented: bool,
    /// Whether the request carried our signature.
    pub request_signed: bool,
    /// The status of the answer; 0 without one.
    pub status: u16,
    /// Whether the answer contained what it should.
    pub contains: bool,
    /// From the first packet to the end of the answer, milliseconds.
    pub duration_ms: u32,
}

impl Seen {
    /// The same with every text no longer than a line.
    pub fn cut(mut self) -> Self {
        for text in [
            &mut self.detail,
            &mut self.address,
            &mut self.tls_version,
            &mut self.server_certificate_sha256,
        ] {
            text.truncate(text.floor_char_boundary(SEEN_TEXT_BYTES_MAX));
        }
        self
    }
}

/// What a verification proved of the new version at a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The bank took it.
    Passed,
    /// It did not, or nothing was proven.
    Failed {
        /// The stable word.
        reason: &'static str,
    },
}

impl Verdict {
    /// The stable word of what went wrong; empty when it passed.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Passed => "",
            Self::Failed { reason } => reason,
        }
    }
}

/// What is proven by what was seen.
pub fn judge(seen: &Seen, purpose: Purpose, wanted: &HarmlessRequest) -> Verdict {
    let failed = |reason| Verdict::Failed { reason };
    match seen.stage {
        Stage::Sign => return failed("NOT_SIGNED"),
        Stage::Connect => return failed("HOST_UNREACHABLE"),
        Stage::Server => return failed("SERVER_CERTIFICATE_REFUSED"),
        Stage::Handshake => return failed("HANDSHAKE_FAILED"),
        Stage::Answer => return failed("NO_ANSWER"),
        Stage::Done => {}
    }
    match purpose {
        // A bank that asks for no certificate has not said that it takes this one.
        Purpose::Transport if !seen.certificate_presented => failed("CERTIFICATE_NOT_ASKED"),
        Purpose::Seal if !seen.request_signed => failed("NOT_SIGNED"),
        _ if !wanted.statuses.contains(&seen.status) => failed("STATUS_UNEXPECTED"),
        _ if !wanted.contains.is_empty() && !seen.contains => failed("TEXT_MISSING"),
        _ => Verdict::Passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SafeMethod;

    fn wanted() -> HarmlessRequest {
        HarmlessRequest {
            host: None,
            method: SafeMethod::Get,
            target: "/v1/accounts".to_owned(),
            headers: [].into(),
            statuses: [200, 401].into(),
            contains: "TOKEN_UNKNOWN".to_owned(),
        }
    }

    fn seen() -> Seen {
        Seen {
            stage: Stage::Done,
            detail: String::new(),
            address: "api.bank.example:443".to_owned(),
            tls_version: "TLSv1.3".to_owned(),
            server_certificate_sha256: "ab".repeat(32),
            certificate_presented: true,
            request_signed: true,
            status: 401,
            contains: true,
            duration_ms: 12,
        }
    }

    #[test]
    fn every_way_to_fail_has_its_word() {
        type Change = fn(&mut Seen);
        let cases: [(Change, Purpose, &str); 12] = [
            (|_| (), Purpose::Transport, ""),
            (|_| (), Purpose::Seal, ""),
            (|s| s.request_signed = false, Purpose::Transport, ""),
            (|s| s.certificate_presented = false, Purpose::Seal, ""),
            (|s| s.stage = Stage::Sign, Purpose::Seal, "NOT_SIGNED"),
            (
                |s| s.stage = Stage::Connect,
                Purpose::Seal,
                "HOST_UNREACHABLE",
            ),
            (
                |s| s.stage = Stage::Server,
                Purpose::Seal,
                "SERVER_CERTIFICATE_REFUSED",
            ),
            (
                |s| s.stage = Stage::Handshake,
                Purpose::Transport,
                "HANDSHAKE_FAILED",
            ),
            (|s| s.stage = Stage::Answer, Purpose::Seal, "NO_ANSWER"),
            (
                |s| s.certificate_presented = false,
                Purpose::Transport,
                "CERTIFICATE_NOT_ASKED",
            ),
            (|s| s.status = 403, Purpose::Seal, "STATUS_UNEXPECTED"),
            (|s| s.contains = false, Purpose::Seal, "TEXT_MISSING"),
        ];
        for (change, purpose, reason) in cases {
            let mut seen = seen();
            change(&mut seen);
            assert_eq!(
                judge(&seen, purpose, &wanted()).reason(),
                reason,
                "{seen:?}"
            );
        }
    }

    #[test]
    fn a_text_to_find_is_asked_for_only_when_one_is_named() {
        let (mut seen, mut wanted) = (seen(), wanted());
        seen.contains = false;
        wanted.contains.clear();
        assert_eq!(judge(&seen, Purpose::Seal, &wanted), Verdict::Passed);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut seen = seen();
        seen.detail = "é".repeat(SEEN_TEXT_BYTES_MAX);
        assert_eq!(seen.cut().detail.len(), SEEN_TEXT_BYTES_MAX);
    }
}
