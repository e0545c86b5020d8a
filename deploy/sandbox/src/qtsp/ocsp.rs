//! The OCSP responder.
//!
//! In: a request, what was revoked, the time. Out: a response: for certificates of the issuing CA by a delegate with a
//! certificate for nothing else, for that CA itself by the root. It has no list of what was issued, so it calls good what
//! is not revoked.
//!
//! Serves RFC 6960; the nonce is given back (RFC 9654).

use jiff::Timestamp;
use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use sealkeep_profiles::certificate::Certificate;
use x509_cert::der::asn1::{GeneralizedTime, ObjectIdentifier};
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::SubjectPublicKeyInfoRef;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse,
    ResponderId, ResponseData, RevokedInfo, SingleResponse, Version,
};

use super::ca::Ca;
use super::crl::{algorithm, date, octets, sign};
use super::revoked::Revoked;
use super::{QtspError, build};
use crate::key::{KeyKind, SoftwareKey};
use crate::parts::{BuildError, printable, serial, validity};

/// Days the delegate's certificate is valid: it is made anew whenever the responder starts.
const DELEGATE_DAYS: i64 = 30;
/// id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1).
const NO_CHECK: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
/// Certificates a request may ask about.
const REQUESTS_MAX: usize = 16;

/// Who signs in the name of the issuing CA.
#[derive(Debug)]
pub(super) struct Delegate {
    certificate: Certificate,
    key: SoftwareKey,
}

impl Delegate {
    pub(super) fn new(issuing: &Ca<'_>, now: Timestamp) -> Result<Self, QtspError> {
        let key = SoftwareKey::generate(KeyKind::EcP256)?;
        let mut params = CertificateParams::default();
        let mut subject = rcgen::DistinguishedName::new();
        subject.push(DnType::CountryName, printable("FR")?);
        subject.push(DnType::OrganizationName, "Sealkeep Sandbox QTSP");
        subject.push(DnType::CommonName, "Sealkeep Sandbox QTSP OCSP Responder");
        params.distinguished_name = subject;
        params.serial_number = Some(serial()?);
        (params.not_before, params.not_after) = validity(now, DELEGATE_DAYS)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        // NULL.
        params.custom_extensions = vec![CustomExtension::from_oid_content(NO_CHECK, vec![5, 0])];
        let der = issuing.certify(params, key.pair())?;
        let certificate = Certificate::from_der(&der).map_err(build)?;
        Ok(Self { certificate, key })
    }
}

/// What the responder knows at one moment.
pub(super) struct Desk<'a> {
    pub(super) root: Ca<'a>,
    pub(super) issuing: Ca<'a>,
    pub(super) delegate: &'a Delegate,
    pub(super) revoked: &'a [Revoked],
    pub(super) now: Timestamp,
    pub(super) next_update: Timestamp,
}

impl Desk<'_> {
    /// Answers; what cannot be read or is about another CA gets an error status (RFC 6960 §4.2.1).
    pub(super) fn answer(&self, request: &[u8]) -> Result<Vec<u8>, BuildError> {
        let response = match OcspRequest::from_der(request) {
            Err(_) => OcspResponse::malformed_request(),
            Ok(request) if request.tbs_request.request_list.len() > REQUESTS_MAX => {
                OcspResponse::malformed_request()
            }
            Ok(request) => match self.issuer_of(&request) {
                None => OcspResponse::unauthorized(),
                Some(issuer) => {
                    let basic = self.basic(&request, issuer)?;
                    OcspResponse::successful(basic).map_err(BuildError::new)?
                }
            },
        };
        response.to_der().map_err(BuildError::new)
    }

    /// Which of the two CAs the first certificate asked about is from.
    fn issuer_of(&self, request: &OcspRequest) -> Option<&Ca<'_>> {
        let first = &request.tbs_request.request_list.first()?.req_cert;
        [&self.issuing, &self.root]
            .into_iter()
            .find(|ca| is_by(first, ca))
    }

    fn basic(
        &self,
        request: &OcspRequest,
        issuer: &Ca<'_>,
    ) -> Result<BasicOcspResponse, BuildError> {
        let delegated = issuer.certificate == self.issuing.certificate;
        let (signer, key) = match delegated {
            true => (&self.delegate.certificate, &self.delegate.key),
            false => (&issuer.certificate, issuer.key),
        };
        let asked = request.tbs_request.request_list.iter();
        let responses = asked.map(|one| self.single(&one.req_cert, issuer));
        let nonce = request.tbs_request.request_extensions.iter().flatten();
        let nonce: Vec<_> = nonce.filter(|e| e.extn_id == NONCE).cloned().collect();
        let tbs_response_data = ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByKey(octets(&key_hash(signer, sha1)?)?),
            produced_at: time(self.now)?,
            responses: responses.collect::<Result<_, _>>()?,
            response_extensions: (!nonce.is_empty()).then_some(nonce),
        };
        let enclosed = || x509_cert::Certificate::from_der(signer.der()).map_err(BuildError::new);
        Ok(BasicOcspResponse {
            signature_algorithm: algorithm(key)?,
            signature: sign(key, &tbs_response_data)?,
            tbs_response_data,
            certs: delegated.then(enclosed).transpose()?.map(|one| vec![one]),
        })
    }

    fn single(&self, id: &CertId, issuer: &Ca<'_>) -> Result<SingleResponse, BuildError> {
        let serial = hex(id.serial_number.as_bytes());
        let found = self.revoked.iter().find(|one| one.is(&serial, issuer));
        let status = match found {
            _ if !is_by(id, issuer) => CertStatus::unknown(),
            None => CertStatus::good(),
            Some(one) => CertStatus::revoked(RevokedInfo {
                revocation_time: time(one.at)?,
                revocation_reason: one.reason.code(),
            }),
        };
        Ok(SingleResponse {
            cert_id: id.clone(),
            cert_status: status,
            this_update: time(self.now)?,
            next_update: Some(time(self.next_update)?),
            single_extensions: None,
        })
    }
}

fn is_by(id: &CertId, ca: &Ca<'_>) -> bool {
    let hash = match id.hash_algorithm.oid.to_string().as_str() {
        "1.3.14.3.2.26" => sha1,
        "2.16.840.1.101.3.4.2.1" => sha256,
        _ => return false,
    };
    let name = hash(ca.certificate.subject().der());
    let key = key_hash(&ca.certificate, hash);
    id.issuer_name_hash.as_bytes() == name
        && key.is_ok_and(|key| id.issuer_key_hash.as_bytes() == key)
}

fn key_hash(certificate: &Certificate, hash: fn(&[u8]) -> Vec<u8>) -> Result<Vec<u8>, BuildError> {
    let spki = SubjectPublicKeyInfoRef::from_der(certificate.public_key().spki_der());
    let spki = spki.map_err(BuildError::new)?;
    Ok(hash(spki.subject_public_key.raw_bytes()))
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

fn time(at: Timestamp) -> Result<OcspGeneralizedTime, BuildError> {
    Ok(OcspGeneralizedTime(GeneralizedTime::from_date_time(date(
        at,
    )?)))
}

/// As certificates print their serial number: no leading zeros.
fn hex(bytes: &[u8]) -> String {
    let all: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    all.trim_start_matches('0').to_owned()
}
