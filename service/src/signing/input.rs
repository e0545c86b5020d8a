//! What is asked for, and what is handed over.

use std::sync::Arc;

use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::prepared::Signed;

use crate::domain::{Version, VersionId};

/// An HTTP request as it came over the wire.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "the fields are those of SignHttpRequestRequest"
)]
pub struct HttpInput {
    pub bank: String,
    pub credential: String,
    pub method: String,
    pub authority: String,
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Option<Vec<u8>>,
    pub body_digests: Vec<(HashAlgorithm, Vec<u8>)>,
    pub verification: String,
}

/// A payload to be made a JWS.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of SignJwsRequest")]
pub struct JwsInput {
    pub bank: String,
    pub credential: String,
    pub payload: Vec<u8>,
}

/// What a TLS client CertificateVerify is asked over.
#[derive(Debug)]
pub enum Handshake {
    /// TLS 1.3: the transcript hash.
    Tls13(Vec<u8>),
    /// TLS 1.2: the messages from ClientHello to ClientKeyExchange.
    Tls12(Vec<u8>),
}

/// A TLS handshake to be authenticated.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are those of SignTls13Request")]
pub struct TlsInput {
    pub bank: String,
    pub version: VersionId,
    pub signature_scheme: u16,
    pub handshake: Handshake,
    pub verification: String,
}

/// A signature that may leave.
#[derive(Debug)]
pub struct Released {
    /// The signature in the form the bank wants.
    pub signed: Signed,
    /// Who signed.
    pub version: Arc<Version>,
    /// The profile that was applied; none for TLS.
    pub profile: Option<String>,
    /// The record, `{log}/{sequence}`.
    pub audit_record: String,
}
