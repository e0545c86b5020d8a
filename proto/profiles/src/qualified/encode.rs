//! Writes QcStatements: for certificate requests and for the sandbox's pretend QTSP.
//!
//! In: [`QcStatements`]. Out: the DER value of the extension, statements in the usual order: syntax, compliance,
//! type, disclosure, PSD2. Never writes what [`super::Qualified`] would report as an error. Serves TS 119 495 clause
//! 5.1 and EN 319 412-5.

use der::Encode;
use der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef};

use super::{
    PSD2, QC_COMPLIANCE, QC_PDS, QC_SSCD, QC_SYNTAX_V2, QC_TYPE, QcType, SEMANTICS_LEGAL,
    TYPE_ESEAL, TYPE_ESIGN, TYPE_WEB,
};
use crate::roles::RoleSet;

/// Longest text of the PSD2 statement in characters (`SIZE(1..256)`).
const TEXT_CHARS_MAX: usize = 256;

/// What to state. The minimum of UK directories is type and PSD2; EU QTSPs add compliance, syntax and disclosure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QcStatements {
    /// Declares the legal-person syntax of the organizationIdentifier (EN 319 412-1 clause 5.1.4).
    pub legal_person_syntax: bool,
    /// Declares an EU qualified certificate.
    pub compliance: bool,
    /// Declares a key inside a qualified creation device.
    pub sscd: bool,
    /// What the certificate is for; `None` leaves the statement out.
    pub qc_type: Option<QcType>,
    /// Disclosure statements: https URL and two-letter language.
    pub pds: Vec<(String, String)>,
    /// PSD2 roles, NCA name and NCA identifier; `None` leaves the statement out.
    pub psd2: Option<(RoleSet, String, String)>,
}

/// Why a set of statements cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A PSD2 statement needs a role (GEN-5.2.2-1).
    #[error("a PSD2 statement needs at least one role")]
    NoRole,
    /// A text is empty, too long, or holds what its ASN.1 type cannot.
    #[error("{0} cannot be written: empty, over 256 characters, or not representable")]
    Text(&'static str),
    /// The encoding itself failed: over the size DER writers accept.
    #[error("statements are too large")]
    Size,
}

/// The DER of `QCStatements ::= SEQUENCE OF QCStatement`, ready to be the extension's value.
///
/// # Errors
/// [`EncodeError`]: no role, or a text that its ASN.1 type does not admit.
pub fn encode_qc_statements(statements: &QcStatements) -> Result<Vec<u8>, EncodeError> {
    let mut list = Vec::new();
    if statements.legal_person_syntax {
        list.extend(statement(
            QC_SYNTAX_V2,
            Some(sequence(&encoded(&SEMANTICS_LEGAL)?)?),
        )?);
    }
    if statements.compliance {
        list.extend(statement(QC_COMPLIANCE, None)?);
    }
    if statements.sscd {
        list.extend(statement(QC_SSCD, None)?);
    }
    if let Some(qc_type) = statements.qc_type {
        list.extend(statement(
            QC_TYPE,
            Some(sequence(&encoded(&type_oid(qc_type))?)?),
        )?);
    }
    if !statements.pds.is_empty() {
        list.extend(statement(QC_PDS, Some(disclosures(&statements.pds)?))?);
    }
    if let Some((roles, nca_name, nca_id)) = &statements.psd2 {
        list.extend(statement(PSD2, Some(psd2(roles, nca_name, nca_id)?))?);
    }
    sequence(&list)
}

fn psd2(roles: &RoleSet, nca_name: &str, nca_id: &str) -> Result<Vec<u8>, EncodeError> {
    if roles.is_empty() {
        return Err(EncodeError::NoRole);
    }
    let mut entries = Vec::new();
    for role in roles.iter() {
        // A role without a standard name is printed by its identifier: the name may not be empty.
        let mut entry = encoded(&role.identifier())?;
        entry.extend(utf8(&role.to_string(), "role name")?);
        entries.extend(sequence(&entry)?);
    }
    let mut fields = sequence(&entries)?;
    fields.extend(utf8(nca_name, "NCA name")?);
    fields.extend(utf8(nca_id, "NCA identifier")?);
    sequence(&fields)
}

fn disclosures(pds: &[(String, String)]) -> Result<Vec<u8>, EncodeError> {
    let mut list = Vec::new();
    for (url, language) in pds {
        let bad = || EncodeError::Text("PKI disclosure statement");
        let mut entry = encoded(&Ia5StringRef::new(url).map_err(|_| bad())?)?;
        entry.extend(encoded(
            &PrintableStringRef::new(language).map_err(|_| bad())?,
        )?);
        list.extend(sequence(&entry)?);
    }
    sequence(&list)
}

fn statement(id: ObjectIdentifier, info: Option<Vec<u8>>) -> Result<Vec<u8>, EncodeError> {
    let mut fields = encoded(&id)?;
    fields.extend(info.unwrap_or_default());
    sequence(&fields)
}

fn type_oid(qc_type: QcType) -> ObjectIdentifier {
    match qc_type {
        QcType::Esign => TYPE_ESIGN,
        QcType::Eseal => TYPE_ESEAL,
        QcType::Web => TYPE_WEB,
        QcType::Other(oid) => oid,
    }
}

fn utf8(text: &str, what: &'static str) -> Result<Vec<u8>, EncodeError> {
    if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        return Err(EncodeError::Text(what));
    }
    encoded(&Utf8StringRef::new(text).map_err(|_| EncodeError::Text(what))?)
}

fn sequence(content: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let any = der::asn1::AnyRef::new(der::Tag::Sequence, content);
    encoded(&any.map_err(|_| EncodeError::Size)?)
}

fn encoded(value: &impl Encode) -> Result<Vec<u8>, EncodeError> {
    value.to_der().map_err(|_| EncodeError::Size)
}
