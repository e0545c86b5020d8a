//! The certificate signing request (PKCS#10, RFC 2986) for a key that only the token can use.
//!
//! In: subject, purpose, public key, a way to have something signed. Out: DER that verifies under that key. The subject
//! goes C, O, organizationIdentifier, CN; the country is a PrintableString, the rest UTF8String (EN 319 412-3). EU
//! QTSPs take the PSD2 statement from the order, so it is left out; directories that take it from the CSR (Open Banking UK)
//! get it when somebody says what it is.

use std::str::FromStr;

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType,
};
use sealkeep_cmp::signature::{self, plain_scheme};
use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme};
use sealkeep_profiles::qualified::{QcStatements, QcType, encode_qc_statements};
use sealkeep_profiles::roles::{Role, RoleSet};

use crate::backend::BackendError;
use crate::domain::Purpose;

/// Longest value in a subject, characters (X.520 upper bounds are 64; organisation names are longer in practice).
pub(super) const SUBJECT_VALUE_CHARS_MAX: usize = 128;
/// Most DNS names.
pub(super) const DNS_NAMES_MAX: usize = 32;

/// OID 2.5.4.97, organizationIdentifier (X.520; EN 319 412-1 section 5.1.4).
const ORGANIZATION_IDENTIFIER: [u64; 4] = [2, 5, 4, 97];

/// OID id-pe-qcStatements (RFC 3739 section 3.2.6).
const QC_STATEMENTS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 3];

/// Whose certificate it will be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of CertificateSubject")]
pub struct Subject {
    pub country: String,
    pub organization: String,
    pub organization_identifier: String,
    pub common_name: String,
    pub dns_names: Vec<String>,
    pub psd2: Option<Psd2Wish>,
}

/// What the qcStatements of a request say (TS 119 495 section 5.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are those of RequestedPsd2Statement"
)]
pub struct Psd2Wish {
    pub roles: Vec<String>,
    pub nca_name: String,
    pub nca_id: String,
}

/// Why there is no CSR.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// A value of the subject is not acceptable.
    #[error("subject.{field}: {problem}")]
    Subject {
        /// Which value.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The request could not be encoded.
    #[error("the request could not be encoded: {0}")]
    Encoding(String),
    /// The token did not sign it.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// What the token signed does not verify under the public key.
    #[error("the signature of the request does not verify under its key")]
    SelfVerification,
}

impl Subject {
    /// Refuses what no QTSP would take, and what would not encode.
    pub fn check(&self, purpose: Purpose) -> Result<(), CsrError> {
        let refuse = |field, problem: &str| {
            Err(CsrError::Subject {
                field,
                problem: problem.to_owned(),
            })
        };
        if purpose == Purpose::Decryption {
            return match *self == Self::default() {
                true => Ok(()),
                false => refuse(
                    "common_name",
                    "decryption has no certificate, so no subject",
                ),
            };
        }
        let country = self.country.as_bytes();
        if country.len() != 2 || !country.iter().all(u8::is_ascii_uppercase) {
            return refuse("country", "two upper-case letters, ISO 3166-1 alpha-2");
        }
        for (field, value) in [
            ("organization", &self.organization),
            ("organization_identifier", &self.organization_identifier),
            ("common_name", &self.common_name),
        ] {
            let chars = value.chars().count();
            if chars == 0 || chars > SUBJECT_VALUE_CHARS_MAX {
                let problem = format!("1 to {SUBJECT_VALUE_CHARS_MAX} characters");
                return refuse(field, &problem);
            }
            if value.chars().any(char::is_control) {
                return refuse(field, "no control characters");
            }
        }
        match purpose {
            Purpose::Seal if !self.dns_names.is_empty() => {
                refuse("dns_names", "a seal certificate has none")
            }
            Purpose::Transport if self.dns_names.is_empty() => refuse(
                "dns_names",
                "a QWAC has at least one, and its common name is one of them",
            ),
            Purpose::Transport if !self.dns_names.contains(&self.common_name) => refuse(
                "common_name",
                "must be one of dns_names (EN 319 412-4 WEB-4.1.3-4)",
            ),
            _ if self.dns_names.len() > DNS_NAMES_MAX => refuse("dns_names", "too many"),
            _ => Ok(()),
        }
    }
}

/// Builds the request. `sign` gets what goes to the token and answers with the raw signature.
pub(super) async fn build<F>(
    subject: &Subject,
    purpose: Purpose,
    spki_der: &[u8],
    sign: impl FnOnce(SignatureScheme, Vec<u8>) -> F,
) -> Result<Vec<u8>, CsrError>
where
    F: Future<Output = Result<Vec<u8>, BackendError>>,
{
    subject.check(purpose)?;
    let key = PublicKey::from_spki_der(spki_der).map_err(encoding)?;
    let scheme = plain_scheme(key.key_type()).ok_or_else(|| encoding("key type"))?;
    let algorithm = signature::identifier(scheme).ok_or_else(|| encoding("key type"))?;
    let to_be_signed = request_info(subject, purpose, spki_der)?;
    let raw = sign(scheme, scheme.token_input(&to_be_signed)).await?;
    key.verify(scheme, &to_be_signed, &raw)
        .map_err(|_| CsrError::SelfVerification)?;
    let signature = signature::to_wire(scheme, &raw).map_err(encoding)?;
    let request = CertificationRequest {
        info: AnyRef::from_der(&to_be_signed).map_err(encoding)?,
        algorithm: AnyRef::from_der(algorithm).map_err(encoding)?,
        signature: BitStringRef::from_bytes(&signature).map_err(encoding)?,
    };
    request.to_der().map_err(encoding)
}

/// RFC 2986 section 4.2.
#[derive(Sequence)]
struct CertificationRequest<'a> {
    info: AnyRef<'a>,
    algorithm: AnyRef<'a>,
    signature: BitStringRef<'a>,
}

/// RFC 2986 section 4.1; the attributes are `[0]`.
#[derive(Sequence)]
struct CertificationRequestInfo<'a> {
    version: AnyRef<'a>,
    subject: AnyRef<'a>,
    public_key: AnyRef<'a>,
    attributes: AnyRef<'a>,
}

/// What is signed. rcgen writes names and extensions, and wants a key that it can sign with: it gets one for the moment,
/// whose place the token's key takes.
fn request_info(subject: &Subject, purpose: Purpose, spki_der: &[u8]) -> Result<Vec<u8>, CsrError> {
    let stand_in = rcgen::KeyPair::generate().map_err(encoding)?;
    let written = parameters(subject, purpose)?
        .serialize_request(&stand_in)
        .map_err(encoding)?;
    let written = CertificationRequest::from_der(written.der()).map_err(encoding)?;
    let info: CertificationRequestInfo<'_> = written.info.decode_as().map_err(encoding)?;
    let info = CertificationRequestInfo {
        public_key: AnyRef::from_der(spki_der).map_err(encoding)?,
        ..info
    };
    info.to_der().map_err(encoding)
}

fn encoding(problem: impl std::fmt::Display) -> CsrError {
    CsrError::Encoding(problem.to_string())
}

fn parameters(subject: &Subject, purpose: Purpose) -> Result<CertificateParams, CsrError> {
    let fault = |field| {
        move |e: rcgen::Error| CsrError::Subject {
            field,
            problem: e.to_string(),
        }
    };
    let mut name = DistinguishedName::new();
    let country = subject
        .country
        .as_str()
        .try_into()
        .map_err(fault("country"))?;
    name.push(DnType::CountryName, DnValue::PrintableString(country));
    name.push(DnType::OrganizationName, subject.organization.as_str());
    let identifier = DnType::CustomDnType(ORGANIZATION_IDENTIFIER.to_vec());
    name.push(
        identifier,
        DnValue::Utf8String(subject.organization_identifier.clone()),
    );
    name.push(DnType::CommonName, subject.common_name.as_str());
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.custom_extensions = statements(subject, purpose)?.into_iter().collect();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    match purpose {
        Purpose::Seal => params.key_usages.push(KeyUsagePurpose::ContentCommitment),
        // Nothing is requested for it.
        Purpose::Decryption => {}
        Purpose::Transport => {
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            for dns in &subject.dns_names {
                let dns = dns.as_str().try_into().map_err(fault("dns_names"))?;
                params.subject_alt_names.push(SanType::DnsName(dns));
            }
        }
    }
    Ok(params)
}

/// qcStatements, when the request is to have them: PSD2, and what kind of certificate it is (EN 319 412-5).
fn statements(subject: &Subject, purpose: Purpose) -> Result<Option<CustomExtension>, CsrError> {
    let Some(wish) = &subject.psd2 else {
        return Ok(None);
    };
    let fault = |problem: String| CsrError::Subject {
        field: "psd2",
        problem,
    };
    let role = |word: &String| {
        let unknown = || fault(format!("{word:?}: PSP_AS, PSP_PI, PSP_AI or PSP_IC"));
        Role::from_str(word).map_err(|_| unknown())
    };
    let roles: RoleSet = wish.roles.iter().map(role).collect::<Result<_, _>>()?;
    let content = encode_qc_statements(&QcStatements {
        legal_person_syntax: true,
        compliance: true,
        sscd: false,
        qc_type: match purpose {
            Purpose::Transport => Some(QcType::Web),
            Purpose::Seal => Some(QcType::Eseal),
            Purpose::Decryption => None,
        },
        pds: Vec::new(),
        psd2: Some((roles, wish.nca_name.clone(), wish.nca_id.clone())),
    });
    let content = content.map_err(|error| fault(error.to_string()))?;
    Ok(Some(CustomExtension::from_oid_content(
        &QC_STATEMENTS,
        content,
    )))
}

/// PEM armour for a request.
pub(super) fn pem(csr_der: &[u8]) -> String {
    armour("CERTIFICATE REQUEST", csr_der)
}

/// RFC 7468 armour, 64 characters a line.
pub(crate) fn armour(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests;
