//! What can be wrong with QcStatements, each under a stable code.
//!
//! In: nothing. Out: [`Finding`], ordered and comparable, with [`Finding::code`] for reports and
//! [`Finding::severity`] for the check before activation. Never decides by itself: whether an error blocks is the
//! service's policy.

use std::fmt;

/// How much a finding matters when a certificate is to be activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Cosmetic, or a deviation that banks are known to accept.
    Warning,
    /// The structure or the meaning is broken: a bank may read it otherwise than we do.
    Error,
}

/// One deviation. Types of ASN.1 strings are written as in the code: `UTF8`, `PRT`, `IA5`, `NULL`, ...
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// The extension is critical (GEN-5.1-1 forbids it).
    Critical,
    /// Bytes that are not DER, or that follow where nothing may.
    Malformed,
    /// Over the size or count that is read.
    TooLarge,
    /// The value is one statement instead of a list of them: recovered.
    OuterSequenceMissing,
    /// An entry of the list is not a statement.
    BareStatement,
    /// QcType is not a list of object identifiers.
    QcTypeMalformed,
    /// More than one QcType.
    QcTypeMultiple,
    /// More than one PSD2 statement: the first was read.
    Psd2Repeated,
    /// The PSD2 statement's content is not a SEQUENCE.
    Psd2InfoNotSequence,
    /// The PSD2 statement does not have exactly roles, NCA name and NCA identifier.
    Psd2FieldCount(usize),
    /// No role at all (GEN-5.2.2-1).
    RolesEmpty,
    /// More roles than are read.
    RolesTooMany,
    /// The list of roles is not a SEQUENCE, or an entry of it is not.
    RoleNotSequence,
    /// A role has not exactly identifier and name. Even counts from 4 are flattened lists and recovered.
    RoleArity(usize),
    /// A role's identifier is not an OBJECT IDENTIFIER.
    RoleOidWrongType(String),
    /// A role's name is not a UTF8String.
    RoleNameType(String),
    /// A role's name is empty.
    RoleNameEmpty,
    /// A role's name is not the one of its identifier (REG-5.2.2-5). The identifier counts.
    RoleNameMismatch,
    /// A role's name is the standard's name of another role: a bank that reads names sees another role than we do.
    RoleNameContradicts,
    /// A role identifier outside the table of TS 119 495.
    RoleUnknown,
    /// The same role twice.
    DuplicateRole,
    /// `Unspecified` beside other roles (GEN-5.2.2-1 wants it alone).
    UnspecifiedNotAlone,
    /// The NCA name is not a UTF8String.
    NcaNameType(String),
    /// The NCA identifier is not a UTF8String.
    NcaIdType(String),
    /// The NCA name is empty.
    NcaNameEmpty,
    /// The NCA identifier is empty.
    NcaIdEmpty,
    /// The NCA identifier is not a country, a hyphen and two to eight capital letters (GEN-5.2.3-2).
    NcaIdSyntax,
    /// The NCA identifier is not the one inside the organizationIdentifier.
    NcaIdVsOrgIdMismatch,
    /// A PSD2 statement without an organizationIdentifier in the subject.
    OrgIdMissing,
    /// The organizationIdentifier is not `PSDCC-NCA-number` (GEN-5.2.1-3, a recommendation since V1.5.1).
    OrgIdNotPsdSyntax,
}

impl Finding {
    /// The stable code, as in logs, reports and metrics.
    pub fn code(&self) -> String {
        self.to_string()
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        use Finding::*;
        match self {
            OuterSequenceMissing | QcTypeMultiple | RoleNameType(_) | RoleNameEmpty
            | RoleNameMismatch | RoleUnknown | DuplicateRole | NcaNameType(_) | NcaIdType(_)
            | NcaNameEmpty | NcaIdVsOrgIdMismatch | OrgIdMissing | OrgIdNotPsdSyntax => {
                Severity::Warning
            }
            Critical | Malformed | TooLarge | BareStatement | QcTypeMalformed | Psd2Repeated
            | Psd2InfoNotSequence | Psd2FieldCount(_) | RolesEmpty | RolesTooMany
            | RoleNotSequence | RoleArity(_) | RoleOidWrongType(_) | RoleNameContradicts
            | UnspecifiedNotAlone | NcaIdEmpty | NcaIdSyntax => Severity::Error,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self {
            Self::Critical => "qcstatements_critical",
            Self::Malformed => "qcstatements_malformed",
            Self::TooLarge => "qcstatements_too_large",
            Self::OuterSequenceMissing => "qcstatements_outer_sequence_missing",
            Self::BareStatement => "bare_statement",
            Self::QcTypeMalformed => "qc_type_malformed",
            Self::QcTypeMultiple => "qc_type_multiple",
            Self::Psd2Repeated => "psd2_repeated",
            Self::Psd2InfoNotSequence => "psd2_info_not_sequence",
            Self::Psd2FieldCount(count) => return write!(f, "psd2_field_count_{count}"),
            Self::RolesEmpty => "roles_empty",
            Self::RolesTooMany => "roles_too_many",
            Self::RoleNotSequence => "role_not_sequence",
            Self::RoleArity(count) => return write!(f, "role_arity_{count}"),
            Self::RoleOidWrongType(tag) => return write!(f, "role_oid_wrong_type_{tag}"),
            Self::RoleNameType(tag) => return write!(f, "role_name_type_{tag}"),
            Self::RoleNameEmpty => "role_name_empty",
            Self::RoleNameMismatch => "role_name_mismatch",
            Self::RoleNameContradicts => "role_name_contradicts",
            Self::RoleUnknown => "role_unknown",
            Self::DuplicateRole => "duplicate_role",
            Self::UnspecifiedNotAlone => "unspecified_not_alone",
            Self::NcaNameType(tag) => return write!(f, "nca_name_type_{tag}"),
            Self::NcaIdType(tag) => return write!(f, "nca_id_type_{tag}"),
            Self::NcaNameEmpty => "nca_name_empty",
            Self::NcaIdEmpty => "nca_id_empty",
            Self::NcaIdSyntax => "nca_id_syntax",
            Self::NcaIdVsOrgIdMismatch => "nca_id_vs_org_id_mismatch",
            Self::OrgIdMissing => "org_id_missing",
            Self::OrgIdNotPsdSyntax => "org_id_not_psd_syntax",
        };
        f.write_str(code)
    }
}
