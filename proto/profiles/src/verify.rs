//! What the other side does: a bank that gets our requests, we when we get its answers.
//!
//! Comes in: a parsed message or a JWS from outside, the profile, the certificate its sender should have, the time. Goes
//! out: [`Verified`], or a [`VerifyError`] that names what differs: which header, label, order, key, digest. Never judges
//! the certificate (chain, revocation, role): the caller brings one it trusts. Settings that are there are compared,
//! settings that are not are not: who signed is told by the certificate.

mod error;

use jiff::Timestamp;

use crate::algorithm::SignatureScheme;
use crate::certificate::Certificate;
use crate::format::jwt::{Expected, ExpectedProof, JwtKind, VerifiedProof};
use crate::format::{self, jws};
use crate::profile::{Format, Profile, Settings};
use crate::refusal::Refusal;
use crate::request::{HttpRequest, HttpResponse};

pub use error::VerifyError;

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
    profile.request_format()?.verify(request.message(), context)
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
    profile
        .response_format()?
        .verify(response.message(), context)
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
    profile.request_format()?.certificate_of(request.message())
}

/// The certificate a response carries, when the profile makes it carry one. Nothing about it is proven.
///
/// # Errors
/// As [`certificate_of_request`]; also when the profile signs no responses.
pub fn certificate_of_response(
    profile: &Profile,
    response: &HttpResponse,
) -> Result<Option<Certificate>, VerifyError> {
    profile
        .response_format()?
        .certificate_of(response.message())
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
