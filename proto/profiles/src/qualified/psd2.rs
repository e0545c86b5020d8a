//! The PSD2 statement: roles, NCA name, NCA identifier.
//!
//! In: the statement's content. Out: [`Psd2Statement`] with what could be read, findings for the rest. Never takes a
//! role from its name. Serves TS 119 495 clause 5.1:
//! `PSD2QcType ::= SEQUENCE { rolesOfPSP SEQUENCE OF SEQUENCE { oid, name UTF8String }, nCAName UTF8String,
//! nCAId UTF8String }`.

use der::Tag;

use super::Finding;
use crate::certificate::tlv::Tlv;
use crate::roles::{Role, RoleSet};

/// The most entries read in the list of roles; the standard knows nine.
const ROLES_COUNT_MAX: usize = 64;

/// What the PSD2 statement says, as far as readable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Psd2Statement {
    pub(super) roles: Vec<(Role, String)>,
    pub(super) nca_name: Option<String>,
    pub(super) nca_id: Option<String>,
}

impl Psd2Statement {
    /// The roles, by object identifier: what authorisation goes by.
    pub fn roles(&self) -> RoleSet {
        self.roles.iter().map(|(role, _)| *role).collect()
    }

    /// The roles as printed, with the names written beside them. For display only.
    pub fn printed_roles(&self) -> &[(Role, String)] {
        &self.roles
    }

    /// Name of the national competent authority; `None` when unreadable.
    pub fn nca_name(&self) -> Option<&str> {
        self.nca_name.as_deref()
    }

    /// Identifier of the national competent authority, `DE-BAFIN`; `None` when unreadable.
    pub fn nca_id(&self) -> Option<&str> {
        self.nca_id.as_deref()
    }
}

/// Reads the statement's content.
pub(super) fn read(info: &Tlv<'_>, findings: &mut Vec<Finding>) -> Psd2Statement {
    let mut statement = Psd2Statement::default();
    if info.tag != Tag::Sequence {
        findings.push(Finding::Psd2InfoNotSequence);
        return statement;
    }
    let Ok(fields) = info.sequence() else {
        findings.push(Finding::Malformed);
        return statement;
    };
    if fields.len() != 3 {
        findings.push(Finding::Psd2FieldCount(fields.len()));
    }
    if let Some(roles) = fields.first() {
        statement.roles = read_roles(roles, findings);
    }
    // With a field missing it cannot be told which one is left: no field is optional.
    if let [_, name, id] = fields.as_slice() {
        statement.nca_name = read_text(name, findings, Finding::NcaNameType, Finding::NcaNameEmpty);
        statement.nca_id = read_text(id, findings, Finding::NcaIdType, Finding::NcaIdEmpty);
    }
    statement
}

fn read_roles(roles: &Tlv<'_>, findings: &mut Vec<Finding>) -> Vec<(Role, String)> {
    if roles.tag != Tag::Sequence {
        findings.push(Finding::RoleNotSequence);
        return Vec::new();
    }
    let Ok(entries) = roles.sequence() else {
        findings.push(Finding::Malformed);
        return Vec::new();
    };
    if entries.is_empty() {
        findings.push(Finding::RolesEmpty);
    }
    if entries.len() > ROLES_COUNT_MAX {
        findings.push(Finding::RolesTooMany);
    }
    let mut read: Vec<(Role, String)> = Vec::new();
    for entry in entries.iter().take(ROLES_COUNT_MAX) {
        for (role, name) in read_entry(entry, findings) {
            if read.iter().any(|(known, _)| *known == role) {
                findings.push(Finding::DuplicateRole);
            }
            read.push((role, name));
        }
    }
    if read.len() > 1 && read.iter().any(|(role, _)| *role == Role::UNSPECIFIED) {
        findings.push(Finding::UnspecifiedNotAlone);
    }
    read
}

/// One entry: a pair, or (deployed deviation of the OB profile 2.1) several pairs in a row.
fn read_entry(entry: &Tlv<'_>, findings: &mut Vec<Finding>) -> Vec<(Role, String)> {
    if entry.tag != Tag::Sequence {
        findings.push(Finding::RoleNotSequence);
        return Vec::new();
    }
    let Ok(parts) = entry.sequence() else {
        findings.push(Finding::Malformed);
        return Vec::new();
    };
    if parts.len() != 2 {
        findings.push(Finding::RoleArity(parts.len()));
    }
    if parts.len() % 2 == 1 || parts.len() > 2 * ROLES_COUNT_MAX {
        return Vec::new();
    }
    parts
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [oid, name] => read_pair(oid, name, findings),
            _ => None,
        })
        .collect()
}

fn read_pair(oid: &Tlv<'_>, name: &Tlv<'_>, findings: &mut Vec<Finding>) -> Option<(Role, String)> {
    let Some(identifier) = oid.oid() else {
        findings.push(Finding::RoleOidWrongType(tag_code(oid.tag)));
        return None;
    };
    let role = Role::from_identifier(identifier);
    let text = read_text(
        name,
        findings,
        Finding::RoleNameType,
        Finding::RoleNameEmpty,
    );
    let text = text.unwrap_or_default();
    check_name(role, &text, findings);
    Some((role, text))
}

/// REG-5.2.2-5: the name is that of the identifier. A role registered elsewhere may carry a name of its own, but not
/// one that the standard gives to another role.
fn check_name(role: Role, name: &str, findings: &mut Vec<Finding>) {
    let contradicts = Role::named(name).is_some_and(|other| other != role);
    if contradicts {
        findings.push(Finding::RoleNameContradicts);
    }
    if role.name().is_none() {
        findings.push(Finding::RoleUnknown);
    }
    if contradicts || role.name().is_some_and(|known| known != name) {
        findings.push(Finding::RoleNameMismatch);
    }
}

/// A text that shall be a UTF8String and not empty; other string types are decoded and reported.
fn read_text(
    tlv: &Tlv<'_>,
    findings: &mut Vec<Finding>,
    wrong_type: fn(String) -> Finding,
    empty: Finding,
) -> Option<String> {
    if tlv.tag != Tag::Utf8String {
        findings.push(wrong_type(tag_code(tlv.tag)));
    }
    let text = tlv.text();
    match text.as_deref() {
        Some("") => findings.push(empty),
        None if tlv.tag == Tag::Utf8String => findings.push(Finding::Malformed),
        _ => {}
    }
    text
}

/// The short name of a type inside a finding's code.
fn tag_code(tag: Tag) -> String {
    match tag {
        Tag::Utf8String => "UTF8".into(),
        Tag::PrintableString => "PRT".into(),
        Tag::Ia5String => "IA5".into(),
        Tag::TeletexString => "T61".into(),
        Tag::BmpString => "BMP".into(),
        Tag::Null => "NULL".into(),
        Tag::ObjectIdentifier => "OID".into(),
        Tag::Sequence => "SEQ".into(),
        Tag::OctetString => "OCT".into(),
        other => format!("TAG{}", other.number().value()),
    }
}
