//! What differs between a message and what its sender should have signed: one variant a difference, the guilty part named.
//!
//! Comes in: differences the formats find. Goes out: a stable reason word and a sentence for people. Never repeats a value
//! from outside, only names.

use crate::algorithm::BadSignature;
use crate::refusal::Refusal;

/// Why a message is not what its sender signed, or not signed as the profile says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The profile does not sign such messages, or the message lacks what has to be signed.
    #[error(transparent)]
    Unfit(#[from] Refusal),
    /// The header that carries the signature is not there.
    #[error("header {header} with the signature is missing")]
    SignatureMissing {
        /// The header.
        header: String,
    },
    /// The signature header is no list of parameters, or the JWS has not three parts.
    #[error("the signature's parameters are malformed")]
    ParameterMalformed,
    /// A parameter or JOSE member occurs twice.
    #[error("parameter {name} occurs more than once")]
    ParameterRepeated {
        /// The parameter.
        name: String,
    },
    /// A parameter or JOSE member the profile demands is not there.
    #[error("parameter {name} is missing")]
    ParameterMissing {
        /// The parameter.
        name: &'static str,
    },
    /// The algorithm is not the profile's for this key.
    #[error("the algorithm is not the profile's for this key, which is {expected}")]
    AlgorithmLabel {
        /// What the profile calls it.
        expected: String,
    },
    /// The key id is not that of the certificate or of the settings.
    #[error("the key id names another key")]
    KeyId,
    /// A header that has to be signed is not in the list of signed headers.
    #[error("{name} is not signed")]
    FieldNotSigned {
        /// The header.
        name: String,
    },
    /// A header is signed that the profile does not sign.
    #[error("{name} is signed and the profile does not sign it")]
    FieldUnexpected {
        /// The header.
        name: String,
    },
    /// The signed headers stand in another order.
    #[error("the signed headers stand in another order: at {position} should be {expected}")]
    FieldOrder {
        /// Position in the list, from 0.
        position: usize,
        /// The header that belongs there.
        expected: String,
    },
    /// The digest header has another algorithm or another spelling of it.
    #[error("the digest is not labelled {expected}")]
    DigestLabel {
        /// The label the profile has.
        expected: String,
    },
    /// The body is not the one that was digested.
    #[error("the digest is not the digest of the body")]
    DigestMismatch,
    /// The header with the certificate is not there.
    #[error("header {header} with the certificate is missing")]
    CertificateMissing {
        /// The header.
        header: String,
    },
    /// The certificate that came cannot be read.
    #[error("the certificate that came with the message cannot be read")]
    CertificateMalformed,
    /// Another certificate came than the sender should have.
    #[error("another certificate came with the message")]
    CertificateMismatch,
    /// The date is too far from now.
    #[error("{name} is more than {skew_seconds_max} seconds from now")]
    Stale {
        /// The header or member.
        name: String,
        /// Seconds allowed.
        skew_seconds_max: u32,
    },
    /// `expires` has passed.
    #[error("the signature has expired")]
    Expired,
    /// A signature parameter, or a header the settings say, with another value.
    #[error("{name} has another value than the profile or the settings say")]
    ParameterMismatch {
        /// The parameter or header.
        name: String,
    },
    /// A JOSE member the profile demands is not there.
    #[error("member {name} is missing")]
    MemberMissing {
        /// The member.
        name: String,
    },
    /// A JOSE member that the profile does not have.
    #[error("member {name} is not the profile's")]
    MemberUnexpected {
        /// The member.
        name: String,
    },
    /// A JOSE member with another value than the profile or the settings say.
    #[error("member {name} has another value")]
    MemberMismatch {
        /// The member.
        name: String,
    },
    /// The payload belongs inside and is not there, or outside and is inside, or differs from the one given.
    #[error("the payload is not where the profile has it")]
    Payload,
    /// The signature does not verify: another key, or something signed was changed.
    #[error("the signature does not verify")]
    Signature,
}

impl VerifyError {
    /// The stable reason word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unfit(refusal) => refusal.reason(),
            Self::SignatureMissing { .. } => "SIGNATURE_MISSING",
            Self::ParameterMalformed => "PARAMETER_MALFORMED",
            Self::ParameterRepeated { .. } => "PARAMETER_REPEATED",
            Self::ParameterMissing { .. } => "PARAMETER_MISSING",
            Self::AlgorithmLabel { .. } => "ALGORITHM_LABEL",
            Self::KeyId => "KEY_ID_MISMATCH",
            Self::FieldNotSigned { .. } => "FIELD_NOT_SIGNED",
            Self::FieldUnexpected { .. } => "FIELD_UNEXPECTED",
            Self::FieldOrder { .. } => "FIELD_ORDER",
            Self::DigestLabel { .. } => "DIGEST_LABEL",
            Self::DigestMismatch => "DIGEST_MISMATCH",
            Self::CertificateMissing { .. } => "CERTIFICATE_MISSING",
            Self::CertificateMalformed => "CERTIFICATE_MALFORMED",
            Self::CertificateMismatch => "CERTIFICATE_MISMATCH",
            Self::Stale { .. } => "STALE",
            Self::Expired => "EXPIRED",
            Self::ParameterMismatch { .. } => "PARAMETER_MISMATCH",
            Self::MemberMissing { .. } => "MEMBER_MISSING",
            Self::MemberUnexpected { .. } => "MEMBER_UNEXPECTED",
            Self::MemberMismatch { .. } => "MEMBER_MISMATCH",
            Self::Payload => "PAYLOAD_PLACE",
            Self::Signature => "SIGNATURE_INVALID",
        }
    }
}

impl From<BadSignature> for VerifyError {
    fn from(_: BadSignature) -> Self {
        Self::Signature
    }
}
