//! The signature of a list: XAdES baseline, enveloped.
//!
//! In: a canonical document, a key with its certificate, the time. Out: the Signature element to stand before its last end
//! tag. Serves ETSI TS 119 612 annex B, EN 319 132-1, W3C xmldsig-core.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use sealkeep_profiles::algorithm::SignatureScheme;
use sha2::{Digest, Sha256};

use super::super::QtspError;
use super::xml::XADES;
use crate::key::SoftwareKey;

const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

/// The Signature element for a document that is canonical without it.
pub(super) fn of(
    canonical: &str,
    key: &SoftwareKey,
    certificate: &CertificateDer<'_>,
    now: Timestamp,
) -> Result<String, QtspError> {
    let properties = properties(certificate, now);
    let (method, scheme) = method(key);
    let list = format!(
        "Id=\"reference\" URI=\"\"><ds:Transforms>{}{}</ds:Transforms>",
        transform("http://www.w3.org/2000/09/xmldsig#enveloped-signature"),
        transform(EXCLUSIVE)
    );
    let signed = format!(
        "Type=\"http://uri.etsi.org/01903#SignedProperties\" URI=\"#properties\"><ds:Transforms>{}</ds:Transforms>",
        transform(EXCLUSIVE)
    );
    let info = format!(
        "<ds:SignedInfo xmlns:ds=\"{DS}\"><ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE}\"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm=\"{method}\"></ds:SignatureMethod>{}{}</ds:SignedInfo>",
        reference(&list, canonical),
        reference(&signed, &properties),
    );
    let value = STANDARD.encode(key.sign(scheme, info.as_bytes())?);
    let certificate = STANDARD.encode(certificate);
    Ok(format!(
        "<ds:Signature xmlns:ds=\"{DS}\" Id=\"signature\">{info}<ds:SignatureValue>{value}</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo><ds:Object><xades:QualifyingProperties xmlns:xades=\"{XADES}\" Target=\"#signature\">{properties}</xades:QualifyingProperties></ds:Object></ds:Signature>"
    ))
}

/// SignedProperties as exclusive canonicalization sees it: every namespace declared within.
fn properties(certificate: &CertificateDer<'_>, now: Timestamp) -> String {
    let digest = STANDARD.encode(Sha256::digest(certificate));
    format!(
        "<xades:SignedProperties xmlns:xades=\"{XADES}\" Id=\"properties\"><xades:SignedSignatureProperties><xades:SigningTime>{now:.0}</xades:SigningTime><xades:SigningCertificateV2><xades:Cert><xades:CertDigest><ds:DigestMethod xmlns:ds=\"{DS}\" Algorithm=\"{SHA256}\"></ds:DigestMethod><ds:DigestValue xmlns:ds=\"{DS}\">{digest}</ds:DigestValue></xades:CertDigest></xades:Cert></xades:SigningCertificateV2></xades:SignedSignatureProperties><xades:SignedDataObjectProperties><xades:DataObjectFormat ObjectReference=\"#reference\"><xades:MimeType>text/xml</xades:MimeType></xades:DataObjectFormat></xades:SignedDataObjectProperties></xades:SignedProperties>"
    )
}

fn reference(begin: &str, covered: &str) -> String {
    let digest = STANDARD.encode(Sha256::digest(covered));
    format!(
        "<ds:Reference {begin}<ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
    )
}

fn transform(algorithm: &str) -> String {
    format!("<ds:Transform Algorithm=\"{algorithm}\"></ds:Transform>")
}

fn method(key: &SoftwareKey) -> (&'static str, SignatureScheme) {
    match key.pair().is_compatible(&rcgen::PKCS_RSA_SHA256) {
        true => (
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            SignatureScheme::RsaPkcs1Sha256,
        ),
        false => (
            "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            SignatureScheme::EcdsaP256Sha256,
        ),
    }
}
