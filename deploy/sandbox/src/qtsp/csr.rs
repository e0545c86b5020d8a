//! What a certificate signing request (PKCS#10, RFC 2986) asks for, believed only after its own signature was checked.
//!
//! In: PEM or DER. Out: the public key and the subject wishes. Read with x509-parser, because requests of PSD2 providers
//! carry extensions that rcgen's own reader refuses.

use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

/// Least RSA modulus a certificate is issued for, in bits (ETSI TS 119 312).
const RSA_MODULUS_BITS_MIN: usize = 2048;

/// A request whose signature was verified under the key it carries (proof of possession).
#[derive(Debug)]
pub struct SigningRequest {
    pub(super) key: rcgen::SubjectPublicKeyInfo,
    pub(super) is_rsa: bool,
    pub(super) wishes: Wishes,
}

/// The identity as the requester wrote it; a QTSP takes it from the order instead where the order says something.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    pub(super) country: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) organization_identifier: Option<String>,
    pub(super) common_name: Option<String>,
    pub(super) dns_names: Vec<String>,
}

/// A request no certificate is issued for.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Neither PEM with a `CERTIFICATE REQUEST` block nor DER.
    #[error("not a certificate signing request: {0}")]
    Malformed(String),
    /// The request is not signed by the key it carries, so nobody proved to hold that key.
    #[error("the request is not signed by its own key")]
    Signature,
    /// The key is too short or of a kind that PSD2 certificates do not use.
    #[error("the key of the request is refused: {0}")]
    Key(String),
}

impl SigningRequest {
    /// Reads PEM.
    pub fn from_pem(text: &[u8]) -> Result<Self, RequestError> {
        let der = CertificateSigningRequestDer::from_pem_slice(text)
            .map_err(|error| RequestError::Malformed(error.to_string()))?;
        Self::from_der(&der)
    }

    /// Reads DER.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let (rest, request) = X509CertificationRequest::from_der(der)
            .map_err(|error| RequestError::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(RequestError::Malformed(
                "bytes after the request".to_owned(),
            ));
        }
        let info = &request.certification_request_info;
        let (key, is_rsa) = key(&info.subject_pki)?;
        request
            .verify_signature()
            .map_err(|_| RequestError::Signature)?;
        let extensions = request.requested_extensions().into_iter().flatten();
        Ok(Self {
            key,
            is_rsa,
            wishes: wishes(&info.subject, extensions),
        })
    }

    /// From the parts of a CRMF template (RFC 4211 §5), whose proof of possession was checked before: a Name, a
    /// SubjectPublicKeyInfo, the content of Extensions; all DER.
    pub fn from_template(
        subject: &[u8],
        public_key: &[u8],
        extensions: Option<&[u8]>,
    ) -> Result<Self, RequestError> {
        let malformed = |what: &str| RequestError::Malformed(what.to_owned());
        let (_, subject) = X509Name::from_der(subject).map_err(|_| malformed("subject"))?;
        let (_, public_key) =
            SubjectPublicKeyInfo::from_der(public_key).map_err(|_| malformed("key"))?;
        let (key, is_rsa) = key(&public_key)?;
        let mut rest = extensions.unwrap_or_default();
        let mut asked = Vec::new();
        while !rest.is_empty() {
            let (after, extension) =
                X509Extension::from_der(rest).map_err(|_| malformed("extensions"))?;
            asked.push(extension);
            rest = after;
        }
        let extensions = asked.iter().map(X509Extension::parsed_extension);
        Ok(Self {
            key,
            is_rsa,
            wishes: wishes(&subject, extensions),
        })
    }

    /// Whether it asks for hosts to be certified, as a QWAC does.
    pub fn names_hosts(&self) -> bool {
        !self.wishes.dns_names.is_empty()
    }
}

fn key(
    public_key: &SubjectPublicKeyInfo<'_>,
) -> Result<(rcgen::SubjectPublicKeyInfo, bool), RequestError> {
    let key = rcgen::SubjectPublicKeyInfo::from_der(public_key.raw)
        .map_err(|error| RequestError::Key(error.to_string()))?;
    let is_rsa = match public_key.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() < RSA_MODULUS_BITS_MIN => {
            let bits = rsa.key_size();
            return Err(RequestError::Key(format!(
                "RSA of {bits} bits is too short"
            )));
        }
        Ok(PublicKey::RSA(_)) => true,
        Ok(PublicKey::EC(_)) => false,
        _ => return Err(RequestError::Key("neither RSA nor EC".to_owned())),
    };
    Ok((key, is_rsa))
}

fn wishes<'a>(
    subject: &X509Name<'_>,
    extensions: impl Iterator<Item = &'a ParsedExtension<'a>>,
) -> Wishes {
    let dns_names = extensions
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(dns) => Some((*dns).to_owned()),
            _ => None,
        })
        .collect();
    Wishes {
        country: attribute(subject, &[2, 5, 4, 6]),
        organization: attribute(subject, &[2, 5, 4, 10]),
        organization_identifier: attribute(subject, &[2, 5, 4, 97]),
        common_name: attribute(subject, &[2, 5, 4, 3]),
        dns_names,
    }
}

fn attribute(name: &X509Name<'_>, oid: &[u64]) -> Option<String> {
    let oid = Oid::from(oid).ok()?;
    let value = name.iter_by_oid(&oid).next()?.as_str().ok()?;
    Some(value.to_owned())
}
