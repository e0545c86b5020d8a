//! Verifies what a bank answers.
//!
//! In: an answer with its body or a JWS, the bank's profile, roots that may issue bank seals, the time. Out: [`VerifiedAnswer`],
//! or which of the promises does not hold. Never: trust in a certificate because it came along; it has to chain to a
//! root, be valid now, be a seal, and belong to the bank that is expected.
//!
//! The chain is built with any extended key usage, because seals carry none or a foreign one (ETSI EN 319 412-3).

use crate::error::Error;
use crate::target::RequestHead;
use http::{Request, Response};
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, UnixTime};
use sealkeep_profiles::certificate::{Certificate, CertificateError, CertificateKind};
use sealkeep_profiles::profile::{Catalog, Profile, Settings};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse, RequestParts};
use sealkeep_profiles::verify::{self, Verified, VerifyError};
use std::sync::Arc;
use std::time::Duration;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

/// Verifies what one bank signs: its answers, and JWS it sends. Cloning is cheap enough to keep one for each bank.
///
/// ```
/// use sealkeep_client::rustls::RootCertStore;
/// use sealkeep_client::{AnswerError, AnswerVerifier, clock, http};
///
/// // Roots that may issue bank seals; none here, so nothing is believed.
/// let roots = RootCertStore::empty();
/// let verifier = AnswerVerifier::new("berlin-group-1.3.4", &roots)?.only_from("PSDDE-BAFIN-100001");
/// let answer = http::Response::builder().status(201).body("{}")?;
/// let error = verifier.verify(&answer, clock::now()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the signature of the answer: header ASPSP-Signature-Certificate with the certificate is missing"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AnswerVerifier {
    profile: Arc<Profile>,
    roots: Arc<RootCertStore>,
    intermediates: Vec<CertificateDer<'static>>,
    settings: Settings,
    organization: Option<String>,
    certificate: Option<Arc<Certificate>>,
}

/// What is proven about an answer or a JWS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedAnswer {
    /// Who sealed it: the organisation identifier of the certificate; empty when it has none.
    pub organization: String,
    /// Hex SHA-256 of the certificate.
    pub certificate_sha256: String,
    /// The algorithm, for example `rsa-pkcs1-sha256`.
    pub algorithm: &'static str,
    /// What the seal covers, in order. Only this is proven; the status and other headers are not.
    pub signed_fields: Vec<String>,
    /// The request the bank says it answers, from the sealed request id header. Compare it with yours. A JWS has none.
    pub request_id: Option<String>,
}

impl AnswerVerifier {
    /// Verifies by a shipped profile, with seals under `roots`.
    ///
    /// # Errors
    /// [`AnswerError::ProfileUnknown`], or [`AnswerError::NoResponses`].
    pub fn new(profile: &str, roots: &RootCertStore) -> Result<Self, AnswerError> {
        let known = Catalog::embedded().get(profile);
        let profile = known.ok_or_else(|| AnswerError::ProfileUnknown {
            profile: profile.to_owned(),
        })?;
        Self::with_profile(profile.clone(), roots)
    }

    /// Verifies by a profile of one's own, as [`Catalog::beside_shipped`] reads them.
    ///
    /// # Errors
    /// [`AnswerError::NoResponses`].
    pub fn with_profile(profile: Profile, roots: &RootCertStore) -> Result<Self, AnswerError> {
        if !profile.signs_responses() {
            return Err(AnswerError::NoResponses {
                profile: profile.name().to_owned(),
            });
        }
        Ok(Self {
            profile: Arc::new(profile),
            roots: Arc::new(roots.clone()),
            intermediates: Vec::new(),
            settings: Settings::default(),
            organization: None,
            certificate: None,
        })
    }

    /// Believes only seals of this organisation, for example `PSDDE-BAFIN-100001`. Without it any seal under the roots
    /// will do, also another bank's.
    #[must_use]
    pub fn only_from(mut self, organization: &str) -> Self {
        self.organization = Some(organization.to_owned());
        self
    }

    /// Issuing certificates between the roots and the bank's seal; answers carry only the seal's own.
    #[must_use]
    pub fn intermediates(mut self, certificates: Vec<CertificateDer<'static>>) -> Self {
        self.intermediates = certificates;
        self
    }

    /// The bank's certificate, for profiles whose answers carry none.
    ///
    /// # Errors
    /// [`AnswerError::CertificateUnreadable`].
    pub fn certificate(mut self, der: &CertificateDer<'_>) -> Result<Self, AnswerError> {
        self.certificate = Some(Arc::new(Certificate::from_der(der)?));
        Ok(self)
    }

    /// Values the profile needs to verify, for example `kid`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name, value);
        self
    }

    /// Verifies an answer with its whole body, as received. Profiles whose answers sign parts of the request need
    /// [`Self::verify_answer_to`].
    ///
    /// # Errors
    /// [`AnswerError`]: the first promise that does not hold.
    pub fn verify<B: AsRef<[u8]>>(
        &self,
        answer: &Response<B>,
        now: Timestamp,
    ) -> Result<VerifiedAnswer, AnswerError> {
        self.verify_parsed(&parse(answer)?, now)
    }

    /// Verifies an answer together with the request it answers, as it was sent, signature headers included. Profiles whose
    /// answers sign parts of the request (RFC 9421 section 2.4) need it: it proves that this is the answer to that request.
    ///
    /// # Errors
    /// [`AnswerError`]: the first promise that does not hold.
    pub fn verify_answer_to<Q: AsRef<[u8]>, B: AsRef<[u8]>>(
        &self,
        request: &Request<Q>,
        answer: &Response<B>,
        now: Timestamp,
    ) -> Result<VerifiedAnswer, AnswerError> {
        let parsed = parse(answer)?.answering(parse_request(request)?);
        self.verify_parsed(&parsed, now)
    }

    fn verify_parsed(
        &self,
        parsed: &HttpResponse,
        now: Timestamp,
    ) -> Result<VerifiedAnswer, AnswerError> {
        let certificate = match &self.certificate {
            Some(given) => given.clone(),
            None => {
                let carried = verify::certificate_of_response(&self.profile, parsed)?;
                Arc::new(carried.ok_or(AnswerError::CertificateMissing)?)
            }
        };
        self.check_certificate(&certificate, now)?;
        let verified =
            verify::http_response(&self.profile, parsed, &certificate, &self.settings, now)?;
        let request_id = self.request_id(parsed, &verified.signed_fields);
        Ok(VerifiedAnswer {
            request_id,
            ..proven(&certificate, verified)
        })
    }

    /// Verifies a JWS of the bank, compact or detached as the profile's are: a notification, a signed resource. A detached
    /// one needs its payload. The bank's certificate has to be given with [`Self::certificate`]: what a JWS says about its
    /// own key proves nothing.
    ///
    /// # Errors
    /// [`AnswerError`]: the first promise that does not hold.
    pub fn verify_jws(
        &self,
        jws: &str,
        detached_payload: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<VerifiedAnswer, AnswerError> {
        let certificate = self.certificate.as_ref();
        let certificate = certificate.ok_or(AnswerError::CertificateMissing)?;
        self.check_certificate(certificate, now)?;
        let (profile, settings) = (&self.profile, &self.settings);
        let verified = verify::jws(profile, jws, detached_payload, certificate, settings, now)?;
        Ok(proven(certificate, verified))
    }

    fn check_certificate(
        &self,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<(), AnswerError> {
        let untrusted = |error: webpki::Error| AnswerError::Untrusted {
            detail: error.to_string(),
        };
        let der = CertificateDer::from(certificate.der());
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        EndEntityCert::try_from(&der)
            .map_err(untrusted)?
            .verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &self.roots.roots,
                &self.intermediates,
                UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                AnyUsage,
                None,
                None,
            )
            .map_err(untrusted)?;
        // A transport certificate that signs messages is a key used for two purposes.
        if matches!(
            certificate.kind(),
            CertificateKind::Qwac | CertificateKind::TlsBinding
        ) {
            return Err(AnswerError::NotASeal);
        }
        let found = certificate.organization_identifier().unwrap_or_default();
        match &self.organization {
            Some(expected) if expected != found => Err(AnswerError::OtherOrganization {
                expected: expected.clone(),
                found: found.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The request id, when the profile has one and the seal covers it.
    fn request_id(&self, answer: &HttpResponse, signed: &[String]) -> Option<String> {
        let header = self.profile.request_id()?.header;
        let covered = signed
            .iter()
            .any(|field| field.eq_ignore_ascii_case(header));
        answer
            .header(header)
            .first()
            .filter(|_| covered)
            .map(|value| (*value).to_owned())
    }
}

fn proven(certificate: &Certificate, verified: Verified) -> VerifiedAnswer {
    let organization = certificate.organization_identifier();
    VerifiedAnswer {
        organization: organization.unwrap_or_default().to_owned(),
        certificate_sha256: hex::encode(certificate.sha256()),
        algorithm: verified.scheme.name(),
        signed_fields: verified.signed_fields,
        request_id: None,
    }
}

fn parse<B: AsRef<[u8]>>(answer: &Response<B>) -> Result<HttpResponse, AnswerError> {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let headers: Vec<(String, Vec<u8>)> = answer.headers().iter().map(header).collect();
    let body = BodyParts {
        bytes: Some(answer.body().as_ref()),
        digests: &[],
    };
    Ok(HttpResponse::parse(
        answer.status().as_u16(),
        &headers,
        body,
    )?)
}

fn parse_request<B: AsRef<[u8]>>(request: &Request<B>) -> Result<HttpRequest, AnswerError> {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    let head = RequestHead::from_parts(&copy.into_parts().0)
        .map_err(|error| AnswerError::Request(Box::new(error)))?;
    Ok(HttpRequest::parse(RequestParts {
        method: &head.method,
        authority: &head.authority,
        target: &head.target,
        headers: &head.headers,
        body: BodyParts {
            bytes: Some(request.body().as_ref()),
            digests: &[],
        },
    })?)
}

/// Any extended key usage, as long as the extension can be read.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        for usage in usages {
            usage?;
        }
        Ok(())
    }
}

/// Which promise an answer does not keep.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No shipped profile has this name.
    #[error("there is no profile `{profile}`")]
    ProfileUnknown {
        /// The name.
        profile: String,
    },
    /// Banks of this profile do not sign their answers.
    #[error("banks of profile `{profile}` do not sign answers")]
    NoResponses {
        /// The profile.
        profile: String,
    },
    /// The answer, or the request it was given with, is no well-formed HTTP message: a control byte in a header, say.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] Refusal),
    /// The request has no host, or two that differ, or no target.
    #[error("the request cannot have been sent: {0}")]
    Request(#[source] Box<Error>),
    /// Neither the answer nor the verifier has a certificate.
    #[error("the answer carries no certificate")]
    CertificateMissing,
    /// The given certificate cannot be read.
    #[error("the certificate cannot be read: {0}")]
    CertificateUnreadable(#[from] CertificateError),
    /// The certificate does not chain to a root or is not valid now.
    #[error("the bank's certificate is not trusted: {detail}")]
    Untrusted {
        /// What webpki said.
        detail: String,
    },
    /// The certificate is for TLS.
    #[error("the bank's certificate is for TLS, not for seals")]
    NotASeal,
    /// Somebody else's seal.
    #[error("sealed by `{found}`, expected `{expected}`")]
    OtherOrganization {
        /// Who was expected.
        expected: String,
        /// Who it is.
        found: String,
    },
    /// Not signed, or not as the profile says, or changed on the way.
    #[error("the signature of the answer: {0}")]
    Signature(#[from] VerifyError),
}
