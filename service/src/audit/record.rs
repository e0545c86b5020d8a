//! One line of the log.
//!
//! `{"v":1,"log":L,"seq":N,"prev":H,"t":T,"ev":E,"who":W,"data":{...}}`, UTF-8, no spaces, keys in this order. `prev`
//! is the leaf hash of the record before, as in RFC 6962 section 2.1, so that a Merkle tree can be built over the same
//! lines. Data holds names, digests and reasons, never bodies, header values or PSU data.

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the events say it")]
pub enum Event {
    Start,
    Stop,
    SignIntent,
    SignClosed,
    SignFailed,
    SignRefused,
    SignUnknown,
    KeyGenerate,
    KeyAttest,
    KeyImport,
    CredentialEnrol,
    CredentialInstall,
    CredentialActivate,
    CredentialSubmit,
    EnrolmentFailed,
    EnrolmentSign,
    EnrolmentRevoked,
    EnrolmentWithdraw,
    CredentialRetire,
    CredentialFreeze,
    CredentialUnfreeze,
    CredentialRevoke,
    /// An issuer says that a certificate is revoked; the version was stopped.
    RevocationFound,
    CredentialDestroy,
    KeyDestroy,
    /// A token is not asked to use a key any more: its signatures did not verify.
    KeySuspect,
    /// An officer had every token of a set prove a key.
    KeyProve,
    ApprovalPropose,
    ApprovalApprove,
    ApprovalReject,
    ApprovalVoid,
    BankApply,
    RotationStart,
    RotationAttach,
    RotationStep,
    RotationVerify,
    RotationEnd,
    TrustImport,
    TrustRemove,
    ProfilesLoad,
    AccessApply,
    /// An administrative change that was announced by an earlier record did not happen.
    ChangeFailed,
    /// Somebody asked for what their role does not allow.
    AccessRefused,
    AuditVerify,
}

impl Event {
    /// The word in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::SignIntent => "sign.intent",
            Self::SignClosed => "sign.closed",
            Self::SignFailed => "sign.failed",
            Self::SignRefused => "sign.refused",
            Self::SignUnknown => "sign.unknown",
            Self::KeyGenerate => "key.generate",
            Self::KeyAttest => "key.attest",
            Self::KeyImport => "key.import",
            Self::CredentialEnrol => "credential.enrol",
            Self::CredentialInstall => "credential.install",
            Self::CredentialActivate => "credential.activate",
            Self::CredentialSubmit => "credential.submit",
            Self::EnrolmentFailed => "enrolment.failed",
            Self::EnrolmentSign => "enrolment.sign",
            Self::EnrolmentRevoked => "enrolment.revoked",
            Self::EnrolmentWithdraw => "enrolment.withdraw",
            Self::CredentialRetire => "credential.retire",
            Self::CredentialFreeze => "credential.freeze",
            Self::CredentialUnfreeze => "credential.unfreeze",
            Self::CredentialRevoke => "credential.revoke",
            Self::RevocationFound => "revocation.found",
            Self::CredentialDestroy => "credential.destroy",
            Self::KeyDestroy => "key.destroy",
            Self::KeySuspect => "key.suspect",
            Self::KeyProve => "key.prove",
            Self::ApprovalPropose => "approval.propose",
            Self::ApprovalApprove => "approval.approve",
            Self::ApprovalReject => "approval.reject",
            Self::ApprovalVoid => "approval.void",
            Self::BankApply => "bank.apply",
            Self::RotationStart => "rotation.start",
            Self::RotationAttach => "rotation.attach",
            Self::RotationStep => "rotation.step",
            Self::RotationVerify => "rotation.verify",
            Self::RotationEnd => "rotation.end",
            Self::TrustImport => "trust.import",
            Self::TrustRemove => "trust.remove",
            Self::ProfilesLoad => "profiles.load",
            Self::AccessApply => "access.apply",
            Self::ChangeFailed => "change.failed",
            Self::AccessRefused => "access.refused",
            Self::AuditVerify => "audit.verify",
        }
    }
}

/// A record that has no position yet.
#[derive(Debug)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// Who caused it; none for the service itself.
    pub who: Option<String>,
    /// Facts, a JSON object already serialised.
    pub data: String,
}

/// The hash that the next record carries, RFC 6962 section 2.1.
pub(super) type LeafHash = [u8; 32];

/// SHA-256(0x00 ‖ line), RFC 6962 section 2.1.
pub fn leaf_hash(line: &str) -> LeafHash {
    let mut hash = Sha256::new();
    hash.update([0x00]);
    hash.update(line.as_bytes());
    hash.finalize().into()
}

impl Record {
    /// The line of this record at its position.
    pub(super) fn line(&self, log: &str, seq: u64, prev: &LeafHash, now: Timestamp) -> String {
        let who = serde_json::Value::from(self.who.as_deref().unwrap_or_default());
        format!(
            r#"{{"v":1,"log":"{log}","seq":{seq},"prev":"{prev}","t":"{now:.6}","ev":"{event}","who":{who},"data":{data}}}"#,
            prev = hex::encode(prev),
            event = self.event.as_str(),
            data = self.data,
        )
    }
}

/// A line read back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParsedRecord {
    /// Format version, 1.
    pub v: u32,
    /// The log.
    pub log: String,
    /// Its position.
    pub seq: u64,
    /// Hex leaf hash of the record before.
    pub prev: String,
    /// When, UTC.
    pub t: Timestamp,
    /// What happened.
    pub ev: String,
    /// Who caused it; empty for the service itself.
    pub who: String,
    /// Facts.
    pub data: serde_json::Value,
}

impl ParsedRecord {
    /// Reads a line.
    pub fn parse(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }
}
