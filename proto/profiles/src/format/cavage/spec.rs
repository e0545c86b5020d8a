//! The parameters of draft-cavage signatures that banks disagree on.
//!
//! Comes in: the `cavage` table of a profile. Goes out: [`CavageSpec`], checked. Unknown keys and combinations that make no
//! sense are refused when the profile is loaded, never ignored.

use serde::Deserialize;

use crate::algorithm::{HashAlgorithm, KeyType, SignatureScheme};
use crate::format::body_digest::OnEmpty;
use crate::format::certificate_header::CertificateHeader;
use crate::format::key_id::KeyId;
use crate::refusal::Refusal;
use crate::request::{Method, is_token};

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

/// Which header carries the signature (draft-cavage-12 §3.1, §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Carrier {
    /// `Signature: keyId=..`
    #[default]
    Signature,
    /// `Authorization: Signature keyId=..`
    Authorization,
}

impl Carrier {
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Signature => "Signature",
            Self::Authorization => "Authorization",
        }
    }

    /// What stands before the parameters.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Signature => "",
            Self::Authorization => "Signature ",
        }
    }
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

/// The date header.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DateSpec {
    /// The header as it is spelled when set.
    #[serde(default = "date_header")]
    pub(crate) header: String,
    #[serde(default)]
    pub(crate) form: DateForm,
    pub(crate) when_absent: WhenAbsent,
}

fn date_header() -> String {
    "Date".into()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DateForm {
    /// `Tue, 18 Sep 2018 09:51:01 GMT` (RFC 9110 §5.6.7).
    #[default]
    ImfFixdate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenAbsent {
    /// Set it to the time of signing.
    Set,
    /// Leave it out; `signed` decides whether that is refused.
    Leave,
}

/// An entry of `signed`: `digest`, `psu-id?` (if sent), `accept[]` (may occur more than once, joined by `, `), `psu-*`
/// (every header sent with this prefix), `*` (every header sent), `(request-target)`, `request-target` (the same line under a literal name).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum SignedField {
    RequestTarget,
    BareRequestTarget,
    Header {
        name: String,
        if_sent: bool,
        repeats: bool,
    },
    Prefix(String),
    AllSent,
}

impl TryFrom<String> for SignedField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "(request-target)" => return Ok(Self::RequestTarget),
            "request-target" => return Ok(Self::BareRequestTarget),
            "*" => return Ok(Self::AllSent),
            _ => {}
        }
        let usable = |name: &str| is_token(name) && name == name.to_ascii_lowercase();
        if let Some(prefix) = text.strip_suffix('*').filter(|prefix| usable(prefix)) {
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        let (rest, if_sent) = match text.strip_suffix('?') {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        let (name, repeats) = match rest.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        match usable(name) && !name.contains('*') {
            true => Ok(Self::Header {
                name: name.to_owned(),
                if_sent,
                repeats,
            }),
            false => Err(format!(
                "`{text}` is no signed field: write a lower-case header name, with `?` after it when it is signed only \
                 if sent and `[]` when it may repeat, or `prefix-*`, `*`, `(request-target)`, `request-target`"
            )),
        }
    }
}

/// The order of the lines, and of the names in `headers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// As in `signed`; what a wildcard finds, in the order sent.
    #[default]
    Listed,
    /// By code point of the name as it stands in `headers`.
    Sorted,
    /// As sent; the request target first, headers that the signature sets and the caller did not send last.
    Sent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Names {
    /// Lower case in `headers` and in the lines, as the draft says.
    #[default]
    Lower,
    /// As sent in `headers`, lower case in the lines.
    ListAsSent,
    /// As sent in both.
    AsSent,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestTarget {
    /// Whether the query is part of it.
    #[serde(default = "yes")]
    pub(crate) query: bool,
    /// A method that stands there whatever the request's is.
    pub(crate) method: Option<Method>,
}

impl Default for RequestTarget {
    fn default() -> Self {
        Self {
            query: true,
            method: None,
        }
    }
}

fn yes() -> bool {
    true
}

impl CavageSpec {
    /// The row for keys of this type.
    pub(crate) fn row(&self, key: KeyType) -> Result<&SchemeRow, Refusal> {
        self.scheme
            .iter()
            .find(|row| row.scheme.fits(&key))
            .ok_or(Refusal::AlgorithmNotAllowed { key })
    }
}

impl SignedField {
    /// The header it names, if it names one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Header { name, .. } => Some(name),
            _ => None,
        }
    }
}
