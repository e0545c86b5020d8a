//! What a certificate says about being qualified: its QcStatements extension.
//!
//! In: the extension's bytes and the subject's organizationIdentifier. Out: [`Qualified`], which holds everything
//! that was readable and a [`Finding`] for everything that was not as the standards say. Never fails as a whole and
//! never panics: a bad extension is something to report about a certificate, not a reason to lose it. Reads strictly
//! first; the two deviations banks' sandboxes deploy (outer SEQUENCE missing, flattened roles) are recovered and
//! reported. Serves RFC 3739 section 3.2.6, ETSI EN 319 412-5, ETSI TS 119 495 clause 5.

mod encode;
mod finding;
mod org_id;
mod psd2;

use der::asn1::ObjectIdentifier;
use der::oid::ObjectIdentifier as Oid;

pub use self::encode::{EncodeError, QcStatements, encode_qc_statements};
pub use self::finding::{Finding, Severity};
pub use self::psd2::Psd2Statement;

use crate::certificate::tlv::{Elements, Malformed, Tlv};

/// Object identifier of the QcStatements extension (RFC 3739 section 3.2.6), dotted.
pub const QC_STATEMENTS_OID: &str = "1.3.6.1.5.5.7.1.3";

/// The longest extension value that is read, in bytes. Real ones stay under 600.
pub const QC_STATEMENTS_BYTES_MAX: usize = 16 * 1024;
/// The most statements that are read. Real certificates carry at most six.
pub const QC_STATEMENTS_COUNT_MAX: usize = 32;

const QC_COMPLIANCE: Oid = ObjectIdentifier::new_unwrap("0.4.0.1862.1.1");
const QC_SSCD: Oid = ObjectIdentifier::new_unwrap("0.4.0.1862.1.4");
const QC_PDS: Oid = ObjectIdentifier::new_unwrap("0.4.0.1862.1.5");
const QC_TYPE: Oid = ObjectIdentifier::new_unwrap("0.4.0.1862.1.6");
const QC_LEGISLATION: Oid = ObjectIdentifier::new_unwrap("0.4.0.1862.1.7");
const QC_SYNTAX_V2: Oid = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.11.2");
const SEMANTICS_LEGAL: Oid = ObjectIdentifier::new_unwrap("0.4.0.194121.1.2");
const PSD2: Oid = ObjectIdentifier::new_unwrap("0.4.0.19495.2");

const TYPE_ESIGN: Oid = ObjectIdentifier::new_unwrap("0.4.0.1862.1.6.1");
const TYPE_ESEAL: Oid = ObjectIdentifier::new_unwrap("0.4.0.1862.1.6.2");
const TYPE_WEB: Oid = ObjectIdentifier::new_unwrap("0.4.0.1862.1.6.3");

/// What the certificate is qualified for (EN 319 412-5 clause 4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QcType {
    /// Electronic signatures of a natural person.
    Esign,
    /// Electronic seals of a legal person: QSealC.
    Eseal,
    /// Website authentication: QWAC.
    Web,
    /// An identifier outside EN 319 412-5.
    Other(
        /// The identifier.
        ObjectIdentifier,
    ),
}

/// The readable content of a certificate's QcStatements, and what was found wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Qualified {
    statements: Vec<ObjectIdentifier>,
    types: Vec<QcType>,
    legislation: Vec<String>,
    pds: Vec<(String, String)>,
    psd2: Option<Psd2Statement>,
    findings: Vec<Finding>,
}

impl Qualified {
    /// Reads the extension value `bytes`. `critical` is the extension's flag (GEN-5.1-1: never), `org_id` the
    /// subject's organizationIdentifier.
    pub fn read(bytes: &[u8], critical: bool, org_id: Option<&str>) -> Self {
        let mut qualified = Self::default();
        if critical {
            qualified.findings.push(Finding::Critical);
        }
        qualified.read_list(bytes);
        if let Some(psd2) = &qualified.psd2 {
            org_id::check(psd2, org_id, &mut qualified.findings);
        }
        qualified.findings.sort();
        qualified.findings.dedup();
        qualified
    }

    /// Whether QcCompliance is stated: an EU qualified certificate.
    pub fn compliance(&self) -> bool {
        self.statements.contains(&QC_COMPLIANCE)
    }

    /// Whether QcSSCD is stated: the key lives in a qualified creation device.
    pub fn sscd(&self) -> bool {
        self.statements.contains(&QC_SSCD)
    }

    /// The single QcType; `None` when absent or when several are stated (see [`Finding::QcTypeMultiple`]).
    pub fn qc_type(&self) -> Option<QcType> {
        match self.types.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Every QcType stated, in order.
    pub fn qc_types(&self) -> &[QcType] {
        &self.types
    }

    /// Countries of QcCClegislation; not empty means that the certificate is not an EU qualified one.
    pub fn legislation(&self) -> &[String] {
        &self.legislation
    }

    /// PKI disclosure statements as (URL, language).
    pub fn pds(&self) -> &[(String, String)] {
        &self.pds
    }

    /// The PSD2 statement, as far as readable.
    pub fn psd2(&self) -> Option<&Psd2Statement> {
        self.psd2.as_ref()
    }

    /// The identifiers of all statements, dotted, in the order they are written.
    pub fn statements(&self) -> impl Iterator<Item = String> {
        self.statements.iter().map(ToString::to_string)
    }

    /// What is not as the standards say: ordered, each once.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn read_list(&mut self, bytes: &[u8]) {
        if bytes.len() > QC_STATEMENTS_BYTES_MAX {
            return self.findings.push(Finding::TooLarge);
        }
        let Ok(outer) = Tlv::read(bytes) else {
            return self.findings.push(Finding::Malformed);
        };
        if outer.tag != der::Tag::Sequence {
            return self.findings.push(Finding::Malformed);
        }
        // Deployed deviation: the value is one QCStatement instead of a SEQUENCE OF them.
        let first = Elements::of(outer.value).next();
        if first
            .and_then(Result::ok)
            .is_some_and(|tlv| tlv.oid().is_some())
        {
            self.findings.push(Finding::OuterSequenceMissing);
            return self.read_statement(&outer);
        }
        for (index, element) in Elements::of(outer.value).enumerate() {
            match element {
                Err(Malformed) => self.findings.push(Finding::Malformed),
                Ok(_) if index >= QC_STATEMENTS_COUNT_MAX => {
                    return self.findings.push(Finding::TooLarge);
                }
                Ok(statement) if statement.tag == der::Tag::Sequence => {
                    self.read_statement(&statement);
                }
                Ok(_) => self.findings.push(Finding::BareStatement),
            }
        }
    }

    /// `QCStatement ::= SEQUENCE { statementId OBJECT IDENTIFIER, statementInfo ANY OPTIONAL }`.
    fn read_statement(&mut self, statement: &Tlv<'_>) {
        let mut elements = Elements::of(statement.value);
        let Some(Ok(id)) = elements.next() else {
            return self.findings.push(Finding::Malformed);
        };
        let Some(id) = id.oid() else {
            return self.findings.push(Finding::BareStatement);
        };
        let info = match elements.next() {
            Some(Err(Malformed)) => return self.findings.push(Finding::Malformed),
            Some(Ok(info)) => Some(info),
            None => None,
        };
        if elements.next().is_some() {
            self.findings.push(Finding::Malformed);
        }
        let repeated = self.statements.contains(&id);
        self.statements.push(id);
        if repeated && id == PSD2 {
            // The first one counts; two may contradict each other.
            return self.findings.push(Finding::Psd2Repeated);
        }
        self.read_info(id, info);
    }

    fn read_info(&mut self, id: Oid, info: Option<Tlv<'_>>) {
        match id {
            QC_TYPE => self.read_types(info),
            QC_LEGISLATION => self.legislation.extend(texts(info)),
            QC_PDS => self.pds.extend(disclosures(info)),
            PSD2 => {
                self.psd2 = Some(match info {
                    Some(info) => psd2::read(&info, &mut self.findings),
                    None => {
                        self.findings.push(Finding::Psd2InfoNotSequence);
                        Psd2Statement::default()
                    }
                });
            }
            _ => {}
        }
    }

    /// `QcType ::= SEQUENCE OF OBJECT IDENTIFIER`, exactly one in a conformant certificate.
    fn read_types(&mut self, info: Option<Tlv<'_>>) {
        let oids: Option<Vec<Oid>> = info
            .and_then(|info| info.sequence().ok())
            .and_then(|items| items.iter().map(Tlv::oid).collect());
        let Some(oids) = oids.filter(|oids| !oids.is_empty()) else {
            return self.findings.push(Finding::QcTypeMalformed);
        };
        self.types.extend(oids.into_iter().map(qc_type));
        if self.types.len() > 1 {
            self.findings.push(Finding::QcTypeMultiple);
        }
    }
}

fn qc_type(oid: Oid) -> QcType {
    match oid {
        TYPE_ESIGN => QcType::Esign,
        TYPE_ESEAL => QcType::Eseal,
        TYPE_WEB => QcType::Web,
        other => QcType::Other(other),
    }
}

fn texts(info: Option<Tlv<'_>>) -> Vec<String> {
    let items = info
        .and_then(|info| info.sequence().ok())
        .unwrap_or_default();
    items.iter().filter_map(Tlv::text).collect()
}

/// `QcEuPDS ::= SEQUENCE OF SEQUENCE { url IA5String, language PrintableString (SIZE(2)) }`.
fn disclosures(info: Option<Tlv<'_>>) -> Vec<(String, String)> {
    let items = info
        .and_then(|info| info.sequence().ok())
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| match item.sequence().ok()?.as_slice() {
            [url, language] => Some((url.text()?, language.text()?)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
