//! The parameters of draft-cavage signatures that banks disagree on.
//!
//! Comes in: the `cavage` table of a profile. Goes out: [`CavageSpec`], checked. Unknown keys and combinations that make no
//! sense are refused when the profile is loaded, never ignored.

use serde::Deserialize;

use crate::algorithm::{HashAlgorithm, KeyType, SignatureScheme};
use crate::format::body_digest::OnEmpty;
use crate::format::certificate_header::CertificateHeader;
use crate::format::key_id::KeyId;
use crate::profile::Summary;
use crate::refusal::Refusal;

use super::carrier::Carrier;
use super::created::CreatedSpec;
use super::date::{DateForm, DateSpec};
use super::field::{Names, Order, RequestTarget, SignedField};
use super::lines::LineRules;

/// `[request.cavage]` or `[response.cavage]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CavageSpec {
    /// Which header carries the signature.
    #[serde(default)]
    pub(crate) carrier: Carrier,
    /// How the parameter with the key id is spelled.
    #[serde(default)]
    pub(crate) key_id_parameter: KeyIdParameter,
    /// How the key is named.
    pub(crate) key_id: KeyId,
    /// What stands between parameters.
    #[serde(default)]
    pub(crate) separator: Separator,
    /// The schemes, at most one a key type.
    pub(crate) scheme: Vec<SchemeRow>,
    /// The digest header; without it the body is not covered.
    pub(crate) digest: Option<DigestSpec>,
    /// The header with the certificate.
    pub(crate) certificate: Option<CertificateHeader>,
    /// The header with the date, when the profile signs one.
    pub(crate) date: Option<DateSpec>,
    /// When the signature was made, and how long it holds, as parameters of its own.
    pub(crate) created: Option<CreatedSpec>,
    /// A header that says the request's authority, for banks that do not read `Host`.
    pub(crate) authority_header: Option<String>,
    /// What is signed.
    pub(crate) signed: Vec<SignedField>,
    /// Header names that a wildcard in `signed` leaves out.
    #[serde(default)]
    pub(crate) never_signed: Vec<String>,
    /// The order of the lines.
    #[serde(default)]
    pub(crate) order: Order,
    /// The case of header names.
    #[serde(default)]
    pub(crate) names: Names,
    /// What the line of the request target says.
    #[serde(default)]
    pub(crate) request_target: RequestTarget,
    /// Whether the string to sign ends with a line feed.
    #[serde(default)]
    pub(crate) trailing_line_feed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum KeyIdParameter {
    #[default]
    #[serde(rename = "keyId")]
    KeyId,
    #[serde(rename = "keyid")]
    Keyid,
}

impl KeyIdParameter {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KeyId => "keyId",
            Self::Keyid => "keyid",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Separator {
    #[default]
    #[serde(rename = ",")]
    Comma,
    #[serde(rename = ", ")]
    CommaSpace,
}

impl Separator {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::CommaSpace => ", ",
        }
    }
}

/// One scheme and how it is called.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemeRow {
    pub(crate) scheme: SignatureScheme,
    /// The `algorithm` parameter; without it the parameter is not sent.
    pub(crate) label: Option<String>,
    /// How an ECDSA signature is written; the draft does not say.
    pub(crate) ecdsa: Option<EcdsaForm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EcdsaForm {
    Der,
    Raw,
}

/// The digest header (RFC 3230).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DigestSpec {
    /// The header as it is spelled when set.
    #[serde(default = "digest_header")]
    pub(crate) header: String,
    pub(crate) hash: HashAlgorithm,
    /// What stands before `=`; without it the value is base64 alone.
    pub(crate) label: Option<String>,
    #[serde(default)]
    pub(crate) on_empty: OnEmpty,
}

fn digest_header() -> String {
    "Digest".into()
}

impl DigestSpec {
    pub(crate) fn lower(&self) -> String {
        self.header.to_ascii_lowercase()
    }
}

impl CavageSpec {
    /// What decides which lines there are. The carrier and the certificate are set after the lines are known.
    pub(super) fn line_rules(&self) -> LineRules<'_> {
        let certificate = self.certificate.iter().map(|c| c.header.as_str());
        let never_signed = self.never_signed.iter().map(String::as_str);
        LineRules {
            signed: &self.signed,
            order: self.order,
            names: self.names,
            request_target: &self.request_target,
            trailing_line_feed: self.trailing_line_feed,
            excluded: certificate
                .chain(never_signed)
                .chain([self.carrier.header()])
                .collect(),
        }
    }

    /// The row for keys of this type.
    pub(crate) fn row(&self, key: KeyType) -> Result<&SchemeRow, Refusal> {
        self.scheme
            .iter()
            .find(|row| row.scheme.fits(&key))
            .ok_or(Refusal::AlgorithmNotAllowed { key })
    }

    /// What it wants, in short.
    pub(crate) fn summary(&self) -> Summary {
        let algorithms = self.scheme.iter().map(|row| match &row.label {
            Some(label) => format!("{} as {label}", row.scheme),
            None => row.scheme.to_string(),
        });
        Summary {
            carrier: self.carrier.title().into(),
            signed: self.signed.iter().map(SignedField::to_string).collect(),
            key_id: self.key_id.spelled(),
            algorithms: algorithms.collect(),
        }
    }

    /// How a header that is a date is spelled.
    pub(crate) fn date_form(&self, header: &str) -> DateForm {
        let date = self.date.as_ref();
        date.filter(|date| date.header.eq_ignore_ascii_case(header))
            .map_or(DateForm::default(), |date| date.form)
    }
}
