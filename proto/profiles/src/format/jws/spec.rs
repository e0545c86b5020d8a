//! The parameters of JSON Web Signatures that banks disagree on.
//!
//! Comes in: the `jws` table of a profile. Goes out: [`JwsSpec`], checked. Unknown keys and combinations that make no sense
//! are refused when the profile is loaded, never ignored.

use serde::Deserialize;

use super::head::HeadSpec;
use super::member::{HeaderSpec, Member, Source, iat_skew};
use crate::algorithm::SignatureScheme;
use crate::format::cavage::field::SignedField;
use crate::format::certificate_header::CertificateHeader;
use crate::profile::Summary;
use crate::request::is_token;

/// `[request.jws]` or `[response.jws]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwsSpec {
    /// The header that carries it; without one the JWS is only answered.
    pub(crate) carrier: Option<String>,
    /// Compact (RFC 7515 §7.1), detached (RFC 7515 Appendix F), or flattened JSON (RFC 7515 §7.2.2).
    pub(crate) serialization: Serialization,
    /// How the payload stands in the signing input (RFC 7797 §3).
    pub(crate) payload: Payload,
    /// What to do without a body.
    #[serde(default)]
    pub(crate) empty_body: EmptyBody,
    /// What is signed before the body.
    pub(crate) head: Option<HeadSpec>,
    /// The header with the certificate, beside the JWS.
    pub(crate) certificate: Option<CertificateHeader>,
    /// The schemes, at most one a key type.
    pub(crate) schemes: Vec<SignatureScheme>,
    #[serde(default)]
    pub(crate) iat_offset_seconds: i64,
    #[serde(default = "iat_skew")]
    pub(crate) iat_skew_seconds_max: u32,
    pub(crate) iat_age_seconds_max: Option<u32>,
    /// The members of the protected header, in order.
    pub(crate) member: Vec<Member>,
    /// The names in `crit`, in order.
    #[serde(default)]
    pub(crate) crit: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Serialization {
    Compact,
    Detached,
    FlattenedJson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Payload {
    /// `b64` true: base64url of the bytes.
    Base64url,
    /// `b64` false: the bytes.
    Raw,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EmptyBody {
    /// Refuse: the bank wants no signature where there is no body.
    #[default]
    Refuse,
    /// Sign zero bytes.
    Sign,
}

impl JwsSpec {
    /// What it wants, in short.
    pub(crate) fn summary(&self) -> Summary {
        let header = self.header();
        let mut signed = vec!["protected header".to_owned()];
        if let Some(head) = &self.head {
            signed.extend(["method", "path"].map(str::to_owned));
            signed.extend(head.signed.iter().map(SignedField::to_string));
        }
        signed.push("body".into());
        let key_id = match &self.certificate {
            Some(certificate) => format!("certificate in {}", certificate.header),
            None => header.key_named(),
        };
        Summary {
            carrier: self.carrier.clone().unwrap_or_else(|| "none".into()),
            signed,
            key_id,
            algorithms: header.algorithms(),
        }
    }

    /// What it says about the protected header.
    pub(crate) fn header(&self) -> HeaderSpec<'_> {
        HeaderSpec {
            schemes: &self.schemes,
            member: &self.member,
            crit: &self.crit,
            iat_offset_seconds: self.iat_offset_seconds,
            iat_skew_seconds_max: self.iat_skew_seconds_max,
            iat_age_seconds_max: self.iat_age_seconds_max,
        }
    }

    /// The member that lists the headers of the head.
    pub(super) fn head_names(&self) -> Option<&str> {
        let mut members = self.member.iter();
        let member = members.find(|member| member.from == Some(Source::HeadNames))?;
        Some(&member.name)
    }

    /// What makes no sense, in words. `response`: it is for responses.
    pub(crate) fn complaint(&self, response: bool) -> Option<String> {
        let header = self.header();
        if self.carrier.as_ref().is_some_and(|name| !is_token(name)) {
            return Some("carrier: it is no header name".into());
        }
        if self.carrier.is_some() && self.serialization == Serialization::FlattenedJson {
            return Some("carrier: a header carries a compact or detached JWS, not JSON".into());
        }
        if self.certificate.is_some() && self.carrier.is_none() {
            return Some("certificate: its header belongs to a carrier".into());
        }
        if self.payload == Payload::Raw && self.serialization != Serialization::Detached {
            return Some("payload: a raw payload travels detached (RFC 7797 §5.2)".into());
        }
        if header.has(Source::UnencodedPayload) != (self.payload == Payload::Raw) {
            return Some("member: `b64` belongs to payload = \"raw\", and only to it".into());
        }
        if self.head.is_some() != self.head_names().is_some() {
            return Some("head: it belongs to a member from \"head-names\", and only to it".into());
        }
        let head = self.head.as_ref();
        if let Some(what) = head.and_then(|head| head.complaint(self.carrier.as_deref(), response))
        {
            return Some(what);
        }
        if header.has(Source::SigD) || header.has(Source::SigT) {
            return Some("member: `sigD` and `sigT` belong to `jades`".into());
        }
        header.complaint()
    }
}
