//! The certificate signing request (PKCS#10, RFC 2986) for a key that only the token can use.
//!
//! In: subject, purpose, public key, a way to have a digest signed. Out: DER that verifies under that key. The subject
//! goes C, O, organizationIdentifier, CN; the country is a PrintableString, the rest UTF8String (EN 319 412-3). EU
//! QTSPs take the PSD2 statement from the order, not from the CSR, so it is left out.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose,
    KeyUsagePurpose, PublicKeyData, SanType, SigningKey,
};
use sealkeep_profiles::algorithm::{self, KeyType, PublicKey, SignatureScheme};
use std::cell::RefCell;

use crate::backend::BackendError;
use crate::domain::Purpose;

/// Longest value in a subject, characters (X.520 upper bounds are 64; organisation names are longer in practice).
pub(super) const SUBJECT_VALUE_CHARS_MAX: usize = 128;
/// Most DNS names.
pub(super) const DNS_NAMES_MAX: usize = 32;

/// OID 2.5.4.97, organizationIdentifier (X.520; EN 319 412-1 section 5.1.4).
const ORGANIZATION_IDENTIFIER: [u64; 4] = [2, 5, 4, 97];

/// Whose certificate it will be.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields are those of CertificateSubject")]
pub struct Subject {
    pub country: String,
    pub organization: String,
    pub organization_identifier: String,
    pub common_name: String,
    pub dns_names: Vec<String>,
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
///
/// The encoder wants to sign in the middle of its work and cannot wait. So it runs twice: the first run only tells
/// what is to be signed, the second gets the signature over exactly those bytes.
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
    let key = TokenKey::new(spki_der)?;
    let encode = |key: &TokenKey| {
        let params = parameters(subject, purpose)?;
        params
            .serialize_request(key)
            .map_err(|e| CsrError::Encoding(e.to_string()))
    };
    encode(&key)?;
    let to_be_signed = key.seen.take();
    let raw = sign(key.scheme, key.scheme.token_input(&to_be_signed)).await?;
    key.public
        .verify(key.scheme, &to_be_signed, &raw)
        .map_err(|_| CsrError::SelfVerification)?;
    key.signature
        .replace(Some((to_be_signed, wire_form(key.scheme, &raw)?)));
    Ok(encode(&key)?.der().to_vec())
}

/// What X.509 carries: ECDSA as DER, RSA as it is.
fn wire_form(scheme: SignatureScheme, raw: &[u8]) -> Result<Vec<u8>, CsrError> {
    if scheme.is_ecdsa() {
        algorithm::ecdsa_raw_to_der(raw).map_err(|_| CsrError::SelfVerification)
    } else {
        Ok(raw.to_vec())
    }
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
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    match purpose {
        Purpose::Seal => params.key_usages.push(KeyUsagePurpose::ContentCommitment),
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

/// A key that rcgen believes it signs with.
struct TokenKey {
    public: PublicKey,
    scheme: SignatureScheme,
    /// The content of the subjectPublicKey bit string.
    key_bits: Vec<u8>,
    /// What the first run wanted signed.
    seen: RefCell<Vec<u8>>,
    /// What was signed, and its signature.
    signature: RefCell<Option<(Vec<u8>, Vec<u8>)>>,
}

impl TokenKey {
    fn new(spki_der: &[u8]) -> Result<Self, CsrError> {
        let encoding = |e: &dyn std::fmt::Display| CsrError::Encoding(e.to_string());
        let public = PublicKey::from_spki_der(spki_der).map_err(|e| encoding(&e))?;
        let scheme = plain_scheme(public.key_type()).ok_or_else(|| encoding(&"key type"))?;
        use x509_parser::prelude::FromDer;
        let parsed = x509_parser::x509::SubjectPublicKeyInfo::from_der(spki_der);
        let (_, spki) = parsed.map_err(|e| encoding(&e))?;
        let key_bits = spki.subject_public_key.data.to_vec();
        Ok(Self {
            public,
            scheme,
            key_bits,
            seen: RefCell::default(),
            signature: RefCell::default(),
        })
    }
}

impl PublicKeyData for TokenKey {
    fn der_bytes(&self) -> &[u8] {
        &self.key_bits
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.scheme {
            SignatureScheme::EcdsaP256Sha256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            SignatureScheme::EcdsaP384Sha384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            SignatureScheme::Ed25519 => &rcgen::PKCS_ED25519,
            _ => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for TokenKey {
    fn sign(&self, to_be_signed: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match &*self.signature.borrow() {
            None => {
                self.seen.replace(to_be_signed.to_vec());
                Ok(Vec::new())
            }
            Some((signed, signature)) if signed == to_be_signed => Ok(signature.clone()),
            // The second run must not sign other bytes than the first.
            Some(_) => Err(rcgen::Error::RemoteKeyError),
        }
    }
}

/// The scheme that proves possession of a key. PKCS#1 v1.5 for RSA: many QTSPs refuse RSA-PSS requests.
pub(super) fn plain_scheme(key_type: KeyType) -> Option<SignatureScheme> {
    use SignatureScheme::*;
    [
        RsaPkcs1Sha256,
        EcdsaP256Sha256,
        EcdsaP384Sha384,
        EcdsaP521Sha512,
        Ed25519,
    ]
    .into_iter()
    .find(|s| s.fits(&key_type))
}

/// PEM armour for a request.
pub(super) fn pem(csr_der: &[u8]) -> String {
    armour("CERTIFICATE REQUEST", csr_der)
}

/// RFC 7468 armour, 64 characters a line.
pub(super) fn armour(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}
