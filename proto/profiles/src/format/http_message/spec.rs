//! The parameters of RFC 9421 signatures that banks disagree on.
//!
//! Comes in: the `http_message` table of a profile. Goes out: [`HttpMessageSpec`], checked. Unknown keys and combinations
//! that make no sense are refused when the profile is loaded, never ignored.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::component::Component;
use crate::algorithm::{HashAlgorithm, KeyType, SignatureScheme};
use crate::format::body_digest::OnEmpty;
use crate::format::key_id::KeyId;
use crate::profile::Summary;
use crate::refusal::Refusal;

/// `[request.http_message]` or `[response.http_message]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpMessageSpec {
    /// The label of the signature in both dictionaries.
    pub(super) label: String,
    /// What is covered, in order.
    pub(super) covered: Vec<Covered>,
    /// The signature parameters, in order.
    pub(super) parameters: Vec<Parameter>,
    /// The schemes, at most one a key type.
    pub(super) schemes: Vec<SignatureScheme>,
    /// How far `created` may be from now when a signature is verified, either way.
    pub(super) age_seconds_max: u32,
    /// What `keyid` says.
    pub(super) key_id: Option<KeyId>,
    /// What `tag` says.
    pub(super) tag: Option<String>,
    /// How long after `created` the signature `expires`.
    pub(super) lifetime_seconds: Option<u32>,
    /// The header whose value is the `nonce`: one that the caller makes unique, because nothing here is random.
    pub(super) nonce_from: Option<String>,
    /// The digest field; without it the body is not covered.
    pub(super) digest: Option<DigestField>,
    /// The type of each field covered with `sf`, beyond those that are known.
    #[serde(default)]
    pub(super) structured: BTreeMap<String, StructuredType>,
    /// Fields the signature sets from the bank's settings.
    #[serde(default)]
    pub(super) set: Vec<SetFromSetting>,
}

/// An entry of `covered`: a component in compact form (`@method`, `content-digest`, `@query-param;name="Pet"`,
/// `x-dict;key="a"`, `@path;req`), with `?` after it when it is covered only if the message has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Covered {
    pub(super) component: Component,
    pub(super) if_sent: bool,
}

impl TryFrom<String> for Covered {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (compact, if_sent) = match text.strip_suffix('?') {
            Some(compact) => (compact, true),
            None => (text.as_str(), false),
        };
        match Component::from_compact(compact) {
            Ok(component) => Ok(Self { component, if_sent }),
            Err(what) => Err(format!("covered component `{text}`: {what}")),
        }
    }
}

/// A signature parameter (RFC 9421 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Parameter {
    /// When it was signed.
    Created,
    /// When it ends.
    Expires,
    /// A value that never comes again.
    Nonce,
    /// The algorithm, by its registered name.
    Alg,
    /// The key.
    Keyid,
    /// The application.
    Tag,
}

impl Parameter {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Expires => "expires",
            Self::Nonce => "nonce",
            Self::Alg => "alg",
            Self::Keyid => "keyid",
            Self::Tag => "tag",
        }
    }
}

/// A field with the digest of the body (RFC 9530 §2).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DigestField {
    /// The field as it is spelled when set.
    #[serde(default = "content_digest")]
    pub(super) header: String,
    pub(super) hash: HashAlgorithm,
    #[serde(default)]
    pub(super) on_empty: OnEmpty,
}

fn content_digest() -> String {
    "Content-Digest".into()
}

impl DigestField {
    pub(super) fn lower(&self) -> String {
        self.header.to_ascii_lowercase()
    }
}

/// The type of a structured field (RFC 9651 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StructuredType {
    Dictionary,
    List,
    Item,
}

/// Registered fields that are dictionaries (RFC 9421 §4, RFC 9530 §2 and §3).
const DICTIONARIES: [&str; 4] = [
    "content-digest",
    "repr-digest",
    "signature",
    "signature-input",
];

/// A field with a value from the bank's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetFromSetting {
    /// The field as it is spelled when set.
    pub(super) header: String,
    pub(super) setting: String,
}

impl HttpMessageSpec {
    /// The scheme for keys of this type.
    pub(super) fn scheme(&self, key: KeyType) -> Result<SignatureScheme, Refusal> {
        self.schemes
            .iter()
            .copied()
            .find(|scheme| scheme.fits(&key))
            .ok_or(Refusal::AlgorithmNotAllowed { key })
    }

    /// What it wants, in short.
    pub(crate) fn summary(&self) -> Summary {
        let covered = self.covered.iter().map(|covered| {
            let if_sent = if covered.if_sent { "?" } else { "" };
            format!(
                "{}{if_sent}",
                covered.component.written.replacen('"', "", 2)
            )
        });
        let key_id = self.key_id.as_ref();
        Summary {
            carrier: format!("Signature-Input, Signature: {}", self.label),
            signed: covered.collect(),
            key_id: key_id.map_or_else(|| "none".into(), KeyId::spelled),
            algorithms: self
                .schemes
                .iter()
                .map(SignatureScheme::to_string)
                .collect(),
        }
    }

    /// The settings it reads.
    pub(crate) fn settings(&self) -> impl Iterator<Item = &str> {
        let key_id = self.key_id.as_ref().and_then(KeyId::setting);
        let set = self.set.iter().map(|field| field.setting.as_str());
        key_id.into_iter().chain(set)
    }

    /// The type of a structured field, if it is known.
    pub(super) fn structured_type(&self, name: &str) -> Option<StructuredType> {
        match self.structured.get(name) {
            None if DICTIONARIES.contains(&name) => Some(StructuredType::Dictionary),
            known => known.copied(),
        }
    }
}
