//! An X.509 certificate as a PSD2 bank sees it.
//!
//! In: DER or PEM from a QTSP, a bank or a message. Out: [`Certificate`], whose accessors say what profiles and
//! policy need: who, when, which key, which usages, which roles. Never validates a chain, never reads the time, never
//! loses the certificate over one malformed extension (each is read by itself, and the unreadable ones are named).
//! Serves RFC 5280 and the profile matrix of ETSI EN 319 412-2/-3/-4 and TS 119 495.

mod chain;
mod extension;
mod issued;
mod kind;
mod known;
mod name;
mod pem;
mod serial;
pub(crate) mod tlv;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::nom::Parser;

pub use self::chain::Chain;
pub use self::extension::KeyUsage;
pub use self::issued::IssuanceError;
pub use self::kind::{CertificateKind, KindRemark};
pub use self::known::KnownCertificates;
pub use self::name::{Attribute, DistinguishedName, NonAscii, UnnamedAttribute};
pub use self::pem::{CHAIN_CERTIFICATES_MAX, PEM_BYTES_MAX};

use self::extension::Extensions;
use self::serial::Serial;
use crate::algorithm::{KeyError, PublicKey};
use crate::qualified::Qualified;

/// The longest certificate that is read, in bytes of DER. QWACs with many names stay under 4 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 32 * 1024;

/// Extended key usages that decide something here, dotted (RFC 5280 section 4.2.1.12, TS 119 411-5).
pub mod eku {
    /// `id-kp-serverAuth`.
    pub const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
    /// `id-kp-clientAuth`: without it a QWAC cannot open mutual TLS.
    pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
    /// `id-kp-tls-binding`: a 2-QWAC, which signs bindings and is no TLS certificate.
    pub const TLS_BINDING: &str = "0.4.0.194115.1.0";
}

/// Why bytes are not a certificate this service can work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Over [`CERTIFICATE_BYTES_MAX`], [`PEM_BYTES_MAX`] or [`CHAIN_CERTIFICATES_MAX`].
    #[error("certificate data is too large: at most {0}")]
    TooLarge(&'static str),
    /// Not one DER certificate from the first to the last byte.
    #[error("not a DER certificate")]
    Malformed,
    /// Two extensions with one identifier, which RFC 5280 section 4.2 forbids: which one counts is open.
    #[error("certificate extension {0} occurs twice")]
    RepeatedExtension(String),
    /// Serial number negative or over 20 octets (RFC 5280 section 4.1.2.2).
    #[error("certificate serial number is negative or longer than 20 octets")]
    Serial,
    /// A validity date outside years 0 to 9999.
    #[error("certificate validity is not a date")]
    Validity,
    /// The public key is of a kind that cannot be used.
    #[error("certificate public key: {0}")]
    Key(#[from] KeyError),
    /// PEM text without a certificate.
    #[error("no certificate in the PEM text")]
    PemEmpty,
    /// PEM frame or base64 inside it is broken.
    #[error("PEM block {0} is damaged")]
    PemDamaged(
        /// Index of the block, from 0.
        usize,
    ),
    /// A PEM block that is no certificate: a request, for instance.
    #[error("PEM block is a `{0}`, not a certificate")]
    PemLabel(String),
    /// A private key among the certificates. It has to be considered disclosed.
    #[error("PEM text holds a private key: keys are made inside the token and never travel")]
    PrivateKey,
}

/// One parsed certificate; clones are the same one. Compares by its DER.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    sha256: [u8; 32],
    serial: Serial,
    issuer: DistinguishedName,
    subject: DistinguishedName,
    not_before: Timestamp,
    not_after: Timestamp,
    public_key: PublicKey,
    extensions: Extensions,
    qualified: Qualified,
}

impl Certificate {
    /// Parses exactly one DER certificate.
    ///
    /// # Errors
    /// [`CertificateError`]: too large, not DER to the last byte, or with a serial number, date or public key that
    /// cannot be used. Bad QcStatements are findings, not errors.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLarge("32 KiB of DER"));
        }
        // x509-parser tolerates some BER; the outermost frame at least has to be DER without anything behind it.
        tlv::Tlv::read(der).map_err(|_| CertificateError::Malformed)?;
        let (rest, x509) = X509CertificateParser::new()
            .with_deep_parse_extensions(false)
            .parse(der)
            .map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        Self::from_parsed(der, &x509)
    }

    /// Parses PEM text: the leaf first, then whatever follows it, in the order given. Accepts frames without line
    /// breaks and with `\n` written out, as they occur in headers, JSON and YAML.
    ///
    /// # Errors
    /// [`CertificateError`]: no certificate at all, a damaged block, a block that is no certificate, a private key.
    pub fn chain_from_pem(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        pem::certificates(pem)?
            .iter()
            .map(|der| Self::from_der(der))
            .collect()
    }

    fn from_parsed(der: &[u8], x509: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let subject = DistinguishedName::from_der(x509.subject().as_raw())?;
        let extensions = Extensions::read(x509.extensions())?;
        let qualified = match extensions.qc_statements() {
            Some((value, critical)) => {
                Qualified::read(value, critical, subject.organization_identifier())
            }
            None => Qualified::default(),
        };
        let validity = x509.validity();
        Ok(Self(Arc::new(Inner {
            der: der.to_vec(),
            sha256: Sha256::digest(der).into(),
            serial: Serial::read(x509.raw_serial())?,
            issuer: DistinguishedName::from_der(x509.issuer().as_raw())?,
            not_before: timestamp(validity.not_before.timestamp())?,
            not_after: timestamp(validity.not_after.timestamp())?,
            public_key: PublicKey::from_spki_der(x509.public_key().raw)?,
            subject,
            extensions,
            qualified,
        })))
    }

    /// The certificate as received.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the DER: the fingerprint, `x5t#S256` before encoding.
    pub fn sha256(&self) -> [u8; 32] {
        self.0.sha256
    }

    /// `x5t#S256`: base64url of [`Self::sha256`], as access tokens bound to a certificate carry it (RFC 8705 §3.1).
    #[must_use]
    pub fn x5t_s256(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.sha256())
    }

    /// Serial number in lower-case hexadecimal digits without leading zeros or sign octet; `0` for zero.
    pub fn serial_hex(&self) -> String {
        self.0.serial.hex()
    }

    /// Serial number in decimal digits, up to 49 of them.
    pub fn serial_decimal(&self) -> String {
        self.0.serial.decimal()
    }

    /// Who issued it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// Whom it names.
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }

    /// First second of validity.
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Last second of validity, inclusive (RFC 5280 section 4.1.2.5).
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// Key usage; `None` when the extension is absent (every use) or unreadable (see [`Self::unreadable`]).
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.extensions.key_usage
    }

    /// Extended key usages, dotted, in order; `None` when the extension is absent or unreadable.
    pub fn extended_key_usage(&self) -> Option<&[String]> {
        self.0.extensions.eku.as_deref()
    }

    /// Whether the extended key usage is stated. `anyExtendedKeyUsage` does not stand for it.
    pub fn has_eku(&self, oid: &str) -> bool {
        self.extended_key_usage()
            .is_some_and(|usages| usages.iter().any(|usage| usage == oid))
    }

    /// The dNSName entries of the subject alternative name, as written.
    pub fn dns_names(&self) -> &[String] {
        &self.0.extensions.dns_names
    }

    /// The URI entries of the subject alternative name, as written: SPIFFE identities, for instance.
    pub fn uris(&self) -> &[String] {
        &self.0.extensions.uris
    }

    /// The subject's organizationIdentifier (2.5.4.97), decoded; the first one when there are several.
    pub fn organization_identifier(&self) -> Option<&str> {
        self.0.subject.organization_identifier()
    }

    /// Certificate policies, dotted, in order.
    pub fn policies(&self) -> &[String] {
        &self.0.extensions.policies
    }

    /// Whether basic constraints make this the certificate of a CA.
    pub fn is_ca(&self) -> bool {
        self.0.extensions.ca
    }

    /// Whether the poison of RFC 6962 section 3.1 is present: a precertificate, never to be used.
    pub fn is_precertificate(&self) -> bool {
        self.0.extensions.poisoned
    }

    /// Identifiers, dotted, of extensions that we should know but cannot read.
    pub fn unreadable(&self) -> &[String] {
        &self.0.extensions.unreadable
    }

    /// Identifiers, dotted, of critical extensions that nothing here reads; a verifier has to refuse them.
    pub fn critical_unknown(&self) -> &[String] {
        &self.0.extensions.critical_unknown
    }

    /// What the QcStatements say; empty when there are none.
    pub fn qualified(&self) -> &Qualified {
        &self.0.qualified
    }

    /// What it can be used as.
    pub fn kind(&self) -> CertificateKind {
        kind::of(self).0
    }

    /// Why [`Self::kind`] is `Other`, or what it had to be inferred from.
    pub fn kind_remark(&self) -> Option<KindRemark> {
        kind::of(self).1
    }

    /// Whether it names itself as its issuer, as trust anchors do.
    pub fn is_self_issued(&self) -> bool {
        self.0.issuer.der() == self.0.subject.der()
    }

    /// Checks that `issuer` made this certificate: the names agree and its key verifies the signature. Says nothing
    /// about validity, constraints or trust.
    ///
    /// # Errors
    /// [`IssuanceError`]: by name what does not fit.
    pub fn verify_issued_by(&self, issuer: &Certificate) -> Result<(), IssuanceError> {
        issued::verify(self, issuer)
    }

    /// Checks that the key of this certificate made `signature` over `message`, as CAs sign lists of revoked certificates
    /// and OCSP responses: `algorithm_der` is the `AlgorithmIdentifier` beside it (RFC 5280 section 4.1.1.2).
    ///
    /// # Errors
    /// [`IssuanceError::Algorithm`] and [`IssuanceError::BadSignature`].
    pub fn verify_signature(
        &self,
        algorithm_der: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), IssuanceError> {
        issued::verify_signature(self, algorithm_der, message, signature)
    }

    /// The issuer's signature algorithm, dotted; `None` when its identifier is over 39 octets.
    pub fn signature_algorithm(&self) -> Option<String> {
        issued::algorithm(&self.0.der)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.0.subject)
            .field("serial", &self.serial_hex())
            .field("sha256", &hex::encode(self.0.sha256))
            .finish_non_exhaustive()
    }
}

fn timestamp(second: i64) -> Result<Timestamp, CertificateError> {
    Timestamp::from_second(second).map_err(|_| CertificateError::Validity)
}

#[cfg(test)]
mod tests;
