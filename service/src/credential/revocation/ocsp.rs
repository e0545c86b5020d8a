//! OCSP (RFC 6960): a question about one certificate, and its answer.
//!
//! In: a certificate, its issuer, a nonce; a responder's bytes and the time. Out: the question in DER; a [`Statement`] that
//! the issuer or its delegate has signed. Pure. Never: a statement about another certificate, or signed by somebody whom
//! the issuer has not authorised directly (section 4.2.2.2).
//!
//! A delegate is believed for the life of its certificate: whether that was revoked is not asked, as RFC 6960 section
//! 4.2.2.2.1 leaves to us. Most carry id-pkix-ocsp-nocheck, which says the same.

use jiff::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use sealkeep_profiles::certificate::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::der::{Any, Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef};
use x509_ocsp::ext::Nonce;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse,
    OcspResponseStatus, Request, ResponderId, SingleResponse, TbsRequest, Version,
};

use super::frame::Signed;
use super::unproven::{Unproven, check_made, check_period, is_valid_at};
use crate::domain::{RevocationReason, RevocationSource, RevocationStatus, Statement};

/// Bytes of a nonce (RFC 9654 section 2.1).
pub(super) const NONCE_BYTES: usize = 32;
/// The hash of issuer names and keys that every responder knows (RFC 5019 section 2.1.1). It identifies, nothing more.
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
/// id-kp-OCSPSigning.
const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";

/// What a responder is asked.
pub(super) struct Question<'a> {
    certificate: &'a Certificate,
    issuer: &'a Certificate,
    id: CertId,
    nonce: [u8; NONCE_BYTES],
}

impl<'a> Question<'a> {
    pub(super) fn new(
        certificate: &'a Certificate,
        issuer: &'a Certificate,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Self, Unproven> {
        let unfit = |_| Unproven::Malformed("the certificate's serial number or issuer");
        let octets = |bytes: &[u8]| OctetString::new(sha1(bytes)).map_err(unfit);
        let serial = SerialNumber::new(&super::serial(certificate)).map_err(unfit)?;
        let id = CertId {
            hash_algorithm: AlgorithmIdentifierOwned {
                oid: SHA1,
                parameters: Some(Any::null()),
            },
            issuer_name_hash: octets(certificate.issuer().der())?,
            issuer_key_hash: octets(&key_bits(issuer).map_err(unfit)?)?,
            serial_number: serial,
        };
        Ok(Self {
            certificate,
            issuer,
            id,
            nonce,
        })
    }

    /// The request to post.
    pub(super) fn to_der(&self) -> Result<Vec<u8>, Unproven> {
        let request = || {
            let nonce = Extension {
                extn_id: NONCE,
                critical: false,
                extn_value: OctetString::new(Nonce::new(self.nonce)?.to_der()?)?,
            };
            OcspRequest {
                tbs_request: TbsRequest {
                    version: Version::V1,
                    requestor_name: None,
                    request_list: vec![Request {
                        req_cert: self.id.clone(),
                        single_request_extensions: None,
                    }],
                    request_extensions: Some(vec![nonce]),
                },
                optional_signature: None,
            }
            .to_der()
        };
        request().map_err(|_: x509_cert::der::Error| Unproven::Malformed("the question"))
    }

    /// What the responder says.
    pub(super) fn answer(&self, der: &[u8], now: Timestamp) -> Result<Statement, Unproven> {
        let basic = basic_der(der)?;
        let malformed = |_| Unproven::Malformed("BasicOCSPResponse");
        let response = BasicOcspResponse::from_der(&basic).map_err(malformed)?;
        let signer = self.signer(&response, now)?;
        let signed = Signed::read(&basic)?;
        signer
            .verify_signature(signed.algorithm, signed.message, signed.signature)
            .map_err(Unproven::Signature)?;
        // Only now is anything in it worth looking at.
        let data = &response.tbs_response_data;
        refuse_critical(data.response_extensions.as_deref())?;
        match response.nonce() {
            Some(nonce) if nonce.0.as_bytes() != self.nonce => return Err(Unproven::NonceDiffers),
            // Answers that were made before the question have none (RFC 9654 section 2.1).
            Some(_) | None => {}
        }
        check_made(time(data.produced_at)?, now)?;
        let ours = data.responses.iter().filter(|one| self.is_about_us(one));
        let newest = ours.max_by_key(|one| one.this_update.0.to_unix_duration());
        statement(newest.ok_or(Unproven::OtherCertificate)?, now)
    }

    /// The issuer itself, or somebody whom it gave a certificate for nothing but this.
    fn signer(
        &self,
        response: &BasicOcspResponse,
        now: Timestamp,
    ) -> Result<Certificate, Unproven> {
        let id = &response.tbs_response_data.responder_id;
        if is_named(id, self.issuer) {
            return Ok(self.issuer.clone());
        }
        let enclosed = response.certs.iter().flatten();
        let enclosed = enclosed.filter_map(|one| Certificate::from_der(&one.to_der().ok()?).ok());
        let delegate = enclosed.into_iter().find(|one| is_named(id, one));
        let delegate = delegate.ok_or(Unproven::Signer("its certificate is not enclosed"))?;
        if delegate.verify_issued_by(self.issuer).is_err() {
            return Err(Unproven::Signer(
                "its certificate is not issued by the issuer itself",
            ));
        }
        if !delegate.has_eku(OCSP_SIGNING) {
            return Err(Unproven::Signer("its certificate is not for OCSP"));
        }
        if !is_valid_at(&delegate, now) {
            return Err(Unproven::Signer("its certificate is not valid now"));
        }
        match delegate.critical_unknown().first() {
            Some(oid) => Err(Unproven::CriticalUnknown(oid.clone())),
            None => Ok(delegate),
        }
    }

    fn is_about_us(&self, one: &SingleResponse) -> bool {
        let (theirs, ours) = (&one.cert_id, &self.id);
        theirs.hash_algorithm.oid == ours.hash_algorithm.oid
            && theirs.issuer_name_hash == ours.issuer_name_hash
            && theirs.issuer_key_hash == ours.issuer_key_hash
            && super::same_serial(theirs.serial_number.as_bytes(), self.certificate)
    }
}

/// The BasicOCSPResponse within a successful OCSPResponse.
fn basic_der(der: &[u8]) -> Result<Vec<u8>, Unproven> {
    let response = OcspResponse::from_der(der).map_err(|_| Unproven::Malformed("OCSPResponse"))?;
    match response.response_status {
        OcspResponseStatus::Successful => {}
        OcspResponseStatus::MalformedRequest => return Err(Unproven::Declined("malformedRequest")),
        OcspResponseStatus::InternalError => return Err(Unproven::Declined("internalError")),
        OcspResponseStatus::TryLater => return Err(Unproven::Declined("tryLater")),
        OcspResponseStatus::SigRequired => return Err(Unproven::Declined("sigRequired")),
        OcspResponseStatus::Unauthorized => return Err(Unproven::Declined("unauthorized")),
    }
    match response.response_bytes {
        Some(bytes) if bytes.response_type == BASIC => Ok(bytes.response.into_bytes()),
        _ => Err(Unproven::Malformed("another type of response than basic")),
    }
}

fn statement(one: &SingleResponse, now: Timestamp) -> Result<Statement, Unproven> {
    refuse_critical(one.single_extensions.as_deref())?;
    let this_update = time(one.this_update)?;
    let next_update = one.next_update.map(time).transpose()?;
    check_period(this_update, next_update, now)?;
    let status = match one.cert_status {
        CertStatus::Good(_) => RevocationStatus::Good,
        CertStatus::Unknown(_) => RevocationStatus::Unknown,
        CertStatus::Revoked(info) => RevocationStatus::Revoked {
            at: time(info.revocation_time)?,
            reason: reason(info.revocation_reason)?,
        },
    };
    Ok(Statement {
        source: RevocationSource::Ocsp,
        status,
        this_update,
        next_update,
    })
}

/// Why, in our words. What is revoked is not in a delta, so nothing can be removed from the list.
pub(super) fn reason(reason: Option<CrlReason>) -> Result<RevocationReason, Unproven> {
    Ok(match reason.unwrap_or(CrlReason::Unspecified) {
        CrlReason::Unspecified => RevocationReason::Unspecified,
        CrlReason::KeyCompromise => RevocationReason::KeyCompromise,
        CrlReason::CaCompromise => RevocationReason::CaCompromise,
        CrlReason::AffiliationChanged => RevocationReason::AffiliationChanged,
        CrlReason::Superseded => RevocationReason::Superseded,
        CrlReason::CessationOfOperation => RevocationReason::CessationOfOperation,
        CrlReason::CertificateHold => RevocationReason::CertificateHold,
        CrlReason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
        CrlReason::AaCompromise => RevocationReason::AaCompromise,
        CrlReason::RemoveFromCRL => {
            return Err(Unproven::Malformed("removeFromCRL outside a delta CRL"));
        }
    })
}

/// Extensions of an answer are never critical but for those nobody here asked for (RFC 6960 section 4.4).
fn refuse_critical(extensions: Option<&[Extension]>) -> Result<(), Unproven> {
    let mut critical = extensions.unwrap_or_default().iter().filter(|e| e.critical);
    match critical.find(|extension| extension.extn_id != NONCE) {
        Some(unknown) => Err(Unproven::CriticalUnknown(unknown.extn_id.to_string())),
        None => Ok(()),
    }
}

fn is_named(id: &ResponderId, certificate: &Certificate) -> bool {
    match id {
        ResponderId::ByName(name) => {
            let der = name.to_der();
            der.is_ok_and(|der| der == certificate.subject().der())
        }
        ResponderId::ByKey(hash) => {
            let bits = key_bits(certificate);
            bits.is_ok_and(|bits| hash.as_bytes() == sha1(&bits))
        }
    }
}

/// The subjectPublicKey without tag, length and unused bits.
fn key_bits(certificate: &Certificate) -> Result<Vec<u8>, x509_cert::der::Error> {
    let spki = SubjectPublicKeyInfoRef::from_der(certificate.public_key().spki_der())?;
    Ok(spki.subject_public_key.raw_bytes().to_vec())
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

fn time(at: OcspGeneralizedTime) -> Result<Timestamp, Unproven> {
    super::timestamp(at.0.to_unix_duration())
}

#[cfg(test)]
mod tests;
