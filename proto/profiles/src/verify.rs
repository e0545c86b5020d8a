//! What the other side does: a bank that gets our requests, we when we get its answers.
//!
//! Comes in: a parsed message or a JWS from outside, the profile, the certificate its sender should have, the time. Goes
//! out: [`Verified`], or a [`VerifyError`] that names what differs: which header, label, order, key, digest. Never judges
//! the certificate (chain, revocation, role): the caller brings one it trusts. Settings that are there are compared,
//! settings that are not are not: who signed is told by the certificate.

use jiff::Timestamp;

use crate::algorithm::{BadSignature, SignatureScheme};
use crate::certificate::Certificate;
use crate::format::jwt::{Expected, ExpectedProof, JwtKind, VerifiedProof};
use crate::format::{self, cavage, http_message, jades, jws};
use crate::profile::{Format, Profile, Settings};
use crate::refusal::Refusal;
use crate::request::{HttpRequest, HttpResponse, Message};

/// What was proven about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How it was signed.
    pub scheme: SignatureScheme,
    /// What is covered, by name, in order, as in [`Prepared::signed_fields`](crate::prepared::Prepared::signed_fields).
    pub signed_fields: Vec<String>,
    /// When it says it was signed: the signed date header or `iat`, if there is one.
    pub issued_at: Option<Timestamp>,
}

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

/// Everything a format needs to verify one message.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) certificate: &'a Certificate,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Timestamp,
    /// The signed header that has to be fresh, and by how many seconds.
    pub(crate) freshness: Option<(&'a str, u32)>,
}

/// Verifies a request that came to a bank.
///
/// # Errors
/// [`VerifyError`]: the first difference found.
pub fn http_request(
    profile: &Profile,
    request: &HttpRequest,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Verified, VerifyError> {
    let context = context(profile, certificate, settings, now);
    message(profile.request_format()?, request.message(), context)
}

/// Verifies the answer of a bank.
///
/// # Errors
/// [`VerifyError`]: the first difference found.
pub fn http_response(
    profile: &Profile,
    response: &HttpResponse,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Verified, VerifyError> {
    let context = context(profile, certificate, settings, now);
    message(profile.response_format()?, response.message(), context)
}

/// Verifies a JWS, compact, detached or flattened JSON as the profile's requests are. A detached one needs its payload.
///
/// # Errors
/// [`VerifyError`]: the first difference found.
pub fn jws(
    profile: &Profile,
    jws: &str,
    detached_payload: Option<&[u8]>,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<Verified, VerifyError> {
    let context = context(profile, certificate, settings, now);
    match profile.request_format()? {
        Format::Jws(spec) => jws::verify(spec, jws, detached_payload, context),
        _ => Err(Refusal::FormatNotAllowed { what: "payloads" }.into()),
    }
}

/// A JWT whose signature and claims are good.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedJwt {
    /// What was proven.
    pub verified: Verified,
    /// The claims, in the order they stand in.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// Verifies a client assertion, request object or registration, as an authorisation server does. That its `jti` is new is
/// for the caller to see to.
///
/// # Errors
/// [`VerifyError`]: the first difference found.
pub fn jwt(
    profile: &Profile,
    kind: JwtKind,
    jwt: &str,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<VerifiedJwt, VerifyError> {
    let context = context(profile, certificate, settings, now);
    format::jwt::verify(profile.jwt_format()?, jwt, Expected::Kind(kind), context)
}

/// Verifies the body of a request that came to a bank at `url`, as the bank does.
///
/// # Errors
/// [`VerifyError`]: the first difference found.
pub fn jwt_request_body(
    profile: &Profile,
    jwt: &str,
    url: &str,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<VerifiedJwt, VerifyError> {
    let context = context(profile, certificate, settings, now);
    let expected = Expected::RequestBody { url };
    format::jwt::verify(profile.jwt_format()?, jwt, expected, context)
}

/// Verifies the body of a bank's answer, under the bank's certificate.
///
/// # Errors
/// [`VerifyError`]: the first difference found.
pub fn jwt_answer_body(
    profile: &Profile,
    jwt: &str,
    certificate: &Certificate,
    settings: &Settings,
    now: Timestamp,
) -> Result<VerifiedJwt, VerifyError> {
    let context = context(profile, certificate, settings, now);
    format::jwt::verify(profile.jwt_format()?, jwt, Expected::AnswerBody, context)
}

/// Verifies a DPoP proof, as a server does. Needs no profile and no certificate: the proof brings its key, and RFC 9449
/// leaves nothing to choose. That its `jti` is new and its key the access token's is for the caller to see to.
///
/// # Errors
/// [`VerifyError`]: the first difference found.
pub fn dpop_proof(
    proof: &str,
    expected: ExpectedProof<'_>,
    now: Timestamp,
) -> Result<VerifiedProof, VerifyError> {
    format::jwt::verify_dpop_proof(proof, expected, now)
}

/// The certificate a request carries, when the profile makes it carry one. Nothing about it is proven.
///
/// # Errors
/// [`VerifyError::CertificateMissing`], [`VerifyError::CertificateMalformed`], or a repeated header.
pub fn certificate_of_request(
    profile: &Profile,
    request: &HttpRequest,
) -> Result<Option<Certificate>, VerifyError> {
    certificate_of(profile.request_format()?, request.message())
}

/// The certificate a response carries, when the profile makes it carry one. Nothing about it is proven.
///
/// # Errors
/// As [`certificate_of_request`]; also when the profile signs no responses.
pub fn certificate_of_response(
    profile: &Profile,
    response: &HttpResponse,
) -> Result<Option<Certificate>, VerifyError> {
    certificate_of(profile.response_format()?, response.message())
}

fn context<'a>(
    profile: &'a Profile,
    certificate: &'a Certificate,
    settings: &'a Settings,
    now: Timestamp,
) -> Context<'a> {
    let freshness = profile.freshness().map(|f| (f.header, f.skew_seconds_max));
    Context {
        certificate,
        settings,
        now,
        freshness,
    }
}

fn message(
    format: &Format,
    message: Message<'_>,
    context: Context<'_>,
) -> Result<Verified, VerifyError> {
    match format {
        Format::Cavage(spec) => cavage::verify(spec, message, context),
        Format::HttpMessage(spec) => http_message::verify(spec, message, context),
        Format::Jws(spec) => jws::verify_message(spec, message, context),
        Format::Jades(spec) => jades::verify(spec, message, context),
    }
}

fn certificate_of(
    format: &Format,
    message: Message<'_>,
) -> Result<Option<Certificate>, VerifyError> {
    match format {
        Format::Cavage(spec) => cavage::certificate_of(spec, message),
        // RFC 9421 names a key; no profile carries a certificate beside it.
        Format::HttpMessage(_) => Ok(None),
        Format::Jws(spec) => jws::certificate_of(spec, message),
        Format::Jades(spec) => jades::certificate_of(spec, message),
    }
}
