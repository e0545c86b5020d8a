//! The extensions that matter here, each read by itself.
//!
//! In: the extensions of a certificate, values still encoded. Out: [`Extensions`]. Never lets one malformed
//! extension hide another: what cannot be read is listed by its identifier. Serves RFC 5280 section 4.2 and RFC 6962
//! section 3.1.

use der::asn1::ObjectIdentifier;
use der::{Tag, TagNumber};
use x509_parser::extensions::X509Extension;

use super::CertificateError;
use super::tlv::{Malformed, Tlv};

const KEY_USAGE: &str = "2.5.29.15";
const SUBJECT_ALT_NAME: &str = "2.5.29.17";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const POLICIES: &str = "2.5.29.32";
const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
const QC_STATEMENTS: &str = crate::qualified::QC_STATEMENTS_OID;
const CT_POISON: &str = "1.3.6.1.4.1.11129.2.4.3";

/// Critical extensions whose meaning is a verifier's business and known to every verifier: name constraints, policy
/// constraints, policy mappings and inhibit anyPolicy of CA certificates.
const KNOWN_ELSEWHERE: &[&str] = &["2.5.29.30", "2.5.29.33", "2.5.29.36", "2.5.29.54"];

/// What the extensions say.
#[derive(Clone, Default)]
pub(super) struct Extensions {
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) eku: Option<Vec<String>>,
    pub(super) dns_names: Vec<String>,
    pub(super) uris: Vec<String>,
    pub(super) policies: Vec<String>,
    pub(super) ca: bool,
    pub(super) poisoned: bool,
    pub(super) unreadable: Vec<String>,
    pub(super) critical_unknown: Vec<String>,
    qc_statements: Option<(Vec<u8>, bool)>,
}

impl Extensions {
    pub(super) fn read(extensions: &[X509Extension<'_>]) -> Result<Self, CertificateError> {
        let mut read = Self::default();
        let mut seen: Vec<&[u8]> = Vec::new();
        for extension in extensions {
            let oid = dotted(extension);
            if seen.contains(&extension.oid.as_bytes()) {
                return Err(CertificateError::RepeatedExtension(oid));
            }
            seen.push(extension.oid.as_bytes());
            if read.read_one(&oid, extension).is_err() {
                read.unreadable.push(oid);
            }
        }
        Ok(read)
    }

    /// The value of the QcStatements extension and its critical flag.
    pub(super) fn qc_statements(&self) -> Option<(&[u8], bool)> {
        self.qc_statements
            .as_ref()
            .map(|(value, critical)| (value.as_slice(), *critical))
    }

    fn read_one(&mut self, oid: &str, extension: &X509Extension<'_>) -> Result<(), Malformed> {
        let value = extension.value;
        match oid {
            KEY_USAGE => self.key_usage = Some(KeyUsage::read(value)?),
            EXTENDED_KEY_USAGE => self.eku = Some(identifiers(value)?),
            SUBJECT_ALT_NAME => self.read_names(value)?,
            BASIC_CONSTRAINTS => self.ca = is_ca(value)?,
            POLICIES => self.policies = policies(value)?,
            QC_STATEMENTS => self.qc_statements = Some((value.to_vec(), extension.critical)),
            CT_POISON => self.poisoned = true,
            _ if KNOWN_ELSEWHERE.contains(&oid) => {}
            _ if extension.critical => self.critical_unknown.push(oid.to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// `GeneralNames`: dNSName `[2]` and uniformResourceIdentifier `[6]`, both IA5String; the rest is skipped.
    fn read_names(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let names = Tlv::read(value)?.sequence()?;
        let (mut dns_names, mut uris) = (Vec::new(), Vec::new());
        for name in names {
            let list = match name.tag {
                Tag::ContextSpecific {
                    constructed: false,
                    number: TagNumber(2),
                } => &mut dns_names,
                Tag::ContextSpecific {
                    constructed: false,
                    number: TagNumber(6),
                } => &mut uris,
                _ => continue,
            };
            let text = std::str::from_utf8(name.value).map_err(|_| Malformed)?;
            if !text.is_ascii() || text.bytes().any(|b| b.is_ascii_control()) {
                return Err(Malformed);
            }
            list.push(text.to_owned());
        }
        (self.dns_names, self.uris) = (dns_names, uris);
        Ok(())
    }
}

/// The bits of the key usage extension (RFC 5280 section 4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// `digitalSignature`: what TLS and most JOSE libraries ask for.
    pub fn digital_signature(&self) -> bool {
        self.bit(0)
    }

    /// `nonRepudiation`, also called contentCommitment: what seals usually state.
    pub fn non_repudiation(&self) -> bool {
        self.bit(1)
    }

    /// `keyEncipherment`: RSA key transport.
    pub fn key_encipherment(&self) -> bool {
        self.bit(2)
    }

    /// `keyCertSign`: a CA.
    pub fn key_cert_sign(&self) -> bool {
        self.bit(5)
    }

    /// `cRLSign`: lists of revoked certificates.
    pub fn crl_sign(&self) -> bool {
        self.bit(6)
    }

    /// Whether signatures of data are a stated use.
    pub fn signs(&self) -> bool {
        self.digital_signature() || self.non_repudiation()
    }

    /// One bit by its number in RFC 5280: 0 is `digitalSignature`, 8 `decipherOnly`. Higher ones are never set.
    pub fn bit(self, number: u32) -> bool {
        // Bit 0 is the most significant one, as in the BIT STRING.
        self.0 & 0x8000_u16.checked_shr(number).unwrap_or_default() != 0
    }

    fn read(value: &[u8]) -> Result<Self, Malformed> {
        let bits = Tlv::read(value)?;
        match (bits.tag, bits.value) {
            (Tag::BitString, [0..=7, first]) => Ok(Self(u16::from_be_bytes([*first, 0]))),
            (Tag::BitString, [0..=7, first, second]) => {
                Ok(Self(u16::from_be_bytes([*first, *second])))
            }
            _ => Err(Malformed),
        }
    }
}

/// `SEQUENCE OF OBJECT IDENTIFIER`, dotted.
fn identifiers(value: &[u8]) -> Result<Vec<String>, Malformed> {
    let items = Tlv::read(value)?.sequence()?;
    items
        .iter()
        .map(|item| item.oid().map(|oid| oid.to_string()).ok_or(Malformed))
        .collect()
}

/// `SEQUENCE OF SEQUENCE { policyIdentifier OBJECT IDENTIFIER, policyQualifiers OPTIONAL }`.
fn policies(value: &[u8]) -> Result<Vec<String>, Malformed> {
    let items = Tlv::read(value)?.sequence()?;
    items
        .iter()
        .map(|item| {
            let fields = item.sequence()?;
            let oid = fields.first().and_then(Tlv::oid).ok_or(Malformed)?;
            Ok(oid.to_string())
        })
        .collect()
}

/// `SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }`.
fn is_ca(value: &[u8]) -> Result<bool, Malformed> {
    let fields = Tlv::read(value)?.sequence()?;
    Ok(fields
        .first()
        .is_some_and(|field| field.tag == Tag::Boolean && field.value != [0]))
}

fn dotted(extension: &X509Extension<'_>) -> String {
    match ObjectIdentifier::from_bytes(extension.oid.as_bytes()) {
        Ok(oid) => oid.to_string(),
        Err(_) => extension.oid.to_id_string(),
    }
}
