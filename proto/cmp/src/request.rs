//! The bodies that ask a QTSP for something.
//!
//! In: a PKCS#10 request, certificates. Out: DER of PKIBody. A renewal repeats the PKCS#10 request as a CRMF template (RFC
//! 4211), whose proof of possession is a signature of its own: [`Update::input`].

use der::asn1::ObjectIdentifier;

use crate::CmpError;
use crate::body::{KUR, P10CR, RR};
use crate::quoted::{Certification, certificate_issuer, certificate_serial};
use crate::server::serial_of;
use crate::wire::{
    bits, explicit, implicit, implicit_bytes, integer, object, octets, sequence, tlv,
};

/// id-regCtrl-oldCertID, RFC 4211 section 6.5.
const OLD_CERT_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.5.1.5");
/// id-ce-cRLReasons, RFC 5280 section 5.3.1.
pub(crate) const REASON_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const ENUMERATED: u8 = 0x0a;

/// Something to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body(pub(crate) Vec<u8>);

/// A certificate for a PKCS#10 request (p10cr, RFC 9810 section 5.3.4).
pub fn certificate(csr_der: &[u8]) -> Body {
    Body(explicit(P10CR, csr_der))
}

/// A renewal that lacks the proof that somebody has the new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    request: Vec<u8>,
}

impl Update {
    /// A certificate for another key in place of an old one (kur, RFC 9810 section 5.3.5), with the names and extensions
    /// of a PKCS#10 request.
    ///
    /// # Errors
    /// The request or the certificate cannot be read.
    pub fn new(csr_der: &[u8], old_certificate: &[u8]) -> Result<Self, CmpError> {
        let csr = Certification::read(csr_der)?;
        let mut template = vec![
            explicit(5, csr.subject),
            implicit(6, csr.public_key_content()),
        ];
        template.extend(csr.extensions.map(|content| implicit(9, content)));
        let old = sequence(&[
            explicit(4, certificate_issuer(old_certificate)?),
            certificate_serial(old_certificate)?.to_vec(),
        ]);
        let controls = sequence(&[sequence(&[object(&OLD_CERT_ID), old])]);
        Ok(Self {
            request: sequence(&[integer(0), sequence(&template), controls]),
        })
    }

    /// What the new key has to sign: the CertRequest (RFC 4211 section 4.1).
    pub fn input(&self) -> &[u8] {
        &self.request
    }

    /// The whole request; the signature is as X.509 carries it, with its AlgorithmIdentifier.
    pub fn proven(self, algorithm: &[u8], signature: &[u8]) -> Body {
        let proof = implicit(1, &[algorithm.to_vec(), bits(signature)].concat());
        let message = sequence(&[self.request, proof]);
        Body(explicit(KUR, &sequence(&[message])))
    }
}

/// Why a certificate is to be revoked, RFC 5280 section 5.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No reason is given.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// Names or roles have changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// It is not used any more.
    CessationOfOperation,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
    ];

    /// The CRLReason.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
        }
    }
}

/// That a certificate is revoked (rr, RFC 9810 section 5.3.9).
///
/// # Errors
/// The certificate cannot be read.
pub fn revocation(certificate: &[u8], reason: Reason) -> Result<Body, CmpError> {
    let template = sequence(&[
        implicit_bytes(1, &serial_of(certificate)?),
        explicit(3, certificate_issuer(certificate)?),
    ]);
    let mut details = vec![template];
    if reason != Reason::Unspecified {
        let code = octets(&tlv(ENUMERATED, &[reason.code()]));
        details.push(sequence(&[sequence(&[object(&REASON_CODE), code])]));
    }
    Ok(Body(explicit(RR, &sequence(&[sequence(&details)]))))
}
