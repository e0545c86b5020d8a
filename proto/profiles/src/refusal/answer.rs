//! What a refusal says to programs: the reason word, the guilty field, and who has to change something.
//!
//! Comes in: a [`Refusal`]. Goes out: words that stay as they are once they are released. Never a value from outside, but
//! for names of headers, settings, components and claims.

use super::{Guilty, Refusal};

impl Refusal {
    /// The stable reason word, for `google.rpc.ErrorInfo`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MethodUnknown => "METHOD_UNKNOWN",
            Self::MethodCase => "METHOD_NOT_UPPER_CASE",
            Self::AuthorityInvalid { .. } => "AUTHORITY_INVALID",
            Self::HostMismatch => "HOST_MISMATCH",
            Self::TargetInvalid { .. } => "TARGET_INVALID",
            Self::TargetTooLong { .. } => "TARGET_TOO_LONG",
            Self::TooManyHeaders { .. } => "TOO_MANY_HEADERS",
            Self::HeaderNameInvalid { .. } => "HEADER_NAME_INVALID",
            Self::HeaderNameTooLong { .. } => "HEADER_NAME_TOO_LONG",
            Self::HeaderLineBreak { .. } => "HEADER_LINE_BREAK",
            Self::HeaderObsFold { .. } => "HEADER_OBS_FOLD",
            Self::HeaderNul { .. } => "HEADER_NUL",
            Self::HeaderControl { .. } => "HEADER_CONTROL",
            Self::HeaderNotAscii { .. } => "HEADER_NOT_ASCII",
            Self::HeaderTooLong { .. } => "HEADER_TOO_LONG",
            Self::HeaderMissing { .. } => "HEADER_MISSING",
            Self::HeaderRepeated { .. } => "HEADER_REPEATED",
            Self::HeaderMalformed { .. } => "HEADER_MALFORMED",
            Self::HeaderReserved { .. } => "HEADER_RESERVED",
            Self::ComponentMissing { .. } => "COMPONENT_MISSING",
            Self::ComponentUnavailable { .. } => "COMPONENT_UNAVAILABLE",
            Self::QueryParamInvalid { .. } => "QUERY_PARAM_INVALID",
            Self::SignatureLabelTaken { .. } => "SIGNATURE_LABEL_TAKEN",
            Self::RequestRequired => "REQUEST_REQUIRED",
            Self::ContentLengthMismatch => "CONTENT_LENGTH_MISMATCH",
            Self::StatusInvalid => "STATUS_INVALID",
            Self::BodyTooLong { .. } => "BODY_TOO_LONG",
            Self::BodyRequired => "BODY_REQUIRED",
            Self::DigestRequired { .. } => "DIGEST_REQUIRED",
            Self::DigestLength { .. } => "DIGEST_LENGTH_INVALID",
            Self::DigestRepeated { .. } => "DIGEST_REPEATED",
            Self::BodyDigestMismatch { .. } => "BODY_DIGEST_MISMATCH",
            Self::DigestMismatch { .. } => "DIGEST_MISMATCH",
            Self::NothingToSign => "NOTHING_TO_SIGN",
            Self::FormatNotAllowed { .. } => "FORMAT_NOT_ALLOWED",
            Self::SettingMissing { .. } => "SETTING_MISSING",
            Self::SettingUnknown { .. } => "SETTING_UNKNOWN",
            Self::SettingInvalid { .. } => "SETTING_INVALID",
            Self::AlgorithmNotAllowed { .. } | Self::TlsSchemeUnknown { .. } => {
                "ALGORITHM_NOT_ALLOWED"
            }
            Self::KeyIdUnquotable => "KEY_ID_INVALID",
            Self::CertificateChainMissing => "CERTIFICATE_CHAIN_MISSING",
            Self::ProtectedHeaderTooLong { .. } => "PROTECTED_HEADER_TOO_LONG",
            Self::ClaimsInBody => "CLAIMS_IN_BODY",
            Self::FormatConfusion { .. } => "FORMAT_CONFUSION",
            Self::ClaimMissing { .. } => "CLAIM_MISSING",
            Self::ClaimUnknown { .. } => "CLAIM_UNKNOWN",
            Self::ClaimInvalid { .. } => "CLAIM_INVALID",
            Self::TlsTranscript { .. } => "TLS_TRANSCRIPT_INVALID",
            Self::TlsWrongLeaf => "TLS_WRONG_LEAF",
            Self::TlsSniMissing => "TLS_SNI_MISSING",
            Self::TlsExtendedMasterSecretMissing => "TLS_EXTENDED_MASTER_SECRET_MISSING",
        }
    }

    /// The guilty field as a path into the request, for `google.rpc.BadRequest`.
    #[must_use]
    pub fn field(&self) -> String {
        match self {
            Self::MethodUnknown | Self::MethodCase | Self::NothingToSign => "method".into(),
            Self::AuthorityInvalid { .. } => "authority".into(),
            Self::HostMismatch => header_field("host"),
            Self::TargetInvalid { .. }
            | Self::TargetTooLong { .. }
            | Self::QueryParamInvalid { .. } => "target".into(),
            Self::ComponentMissing { name } | Self::ComponentUnavailable { name } => {
                format!("components[{name}]")
            }
            Self::SignatureLabelTaken { .. } => header_field("signature-input"),
            Self::RequestRequired => "request".into(),
            Self::TooManyHeaders { .. } => "headers".into(),
            Self::HeaderNameInvalid { index } | Self::HeaderNameTooLong { index, .. } => {
                format!("headers[{index}].name")
            }
            Self::HeaderLineBreak { name, .. }
            | Self::HeaderObsFold { name, .. }
            | Self::HeaderNul { name, .. }
            | Self::HeaderControl { name, .. }
            | Self::HeaderNotAscii { name, .. }
            | Self::HeaderTooLong { name, .. }
            | Self::HeaderMissing { name }
            | Self::HeaderRepeated { name }
            | Self::HeaderMalformed { name, .. }
            | Self::HeaderReserved { name }
            | Self::DigestMismatch { name } => header_field(name),
            Self::ContentLengthMismatch => header_field("content-length"),
            Self::StatusInvalid => "status".into(),
            Self::BodyTooLong { .. } | Self::BodyRequired | Self::ClaimsInBody => "body".into(),
            Self::DigestRequired { .. }
            | Self::DigestLength { .. }
            | Self::DigestRepeated { .. }
            | Self::BodyDigestMismatch { .. } => "body_digests".into(),
            Self::FormatNotAllowed { .. } => "bank".into(),
            Self::SettingMissing { name }
            | Self::SettingUnknown { name }
            | Self::SettingInvalid { name, .. } => format!("settings[\"{name}\"]"),
            Self::AlgorithmNotAllowed { .. }
            | Self::KeyIdUnquotable
            | Self::CertificateChainMissing
            | Self::ProtectedHeaderTooLong { .. } => "credential".into(),
            Self::FormatConfusion { .. } => "headers".into(),
            Self::ClaimMissing { name }
            | Self::ClaimUnknown { name }
            | Self::ClaimInvalid { name, .. } => claim_field(name),
            Self::TlsSchemeUnknown { .. } => "scheme".into(),
            Self::TlsTranscript { .. }
            | Self::TlsWrongLeaf
            | Self::TlsSniMissing
            | Self::TlsExtendedMasterSecretMissing => "transcript".into(),
        }
    }

    /// Who has to change something.
    #[must_use]
    pub fn guilty(&self) -> Guilty {
        match self {
            Self::SettingMissing { .. }
            | Self::SettingUnknown { .. }
            | Self::SettingInvalid { .. } => Guilty::Bank,
            Self::AlgorithmNotAllowed { .. }
            | Self::KeyIdUnquotable
            | Self::CertificateChainMissing
            | Self::ProtectedHeaderTooLong { .. } => Guilty::Credential,
            _ => Guilty::Request,
        }
    }
}

/// The field of the request that a claim is made from.
fn claim_field(name: &str) -> String {
    match name {
        "aud" => "audience",
        "claims" => "intent_id",
        name => name,
    }
    .to_owned()
}

fn header_field(name: &str) -> String {
    format!("headers[\"{}\"]", name.to_ascii_lowercase())
}
