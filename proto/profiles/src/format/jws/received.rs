//! A JWS as it came, taken apart.
//!
//! Comes in: text from outside. Goes out: [`Received`]: three parts and the members of the header in order, each once.
//! Never believes any of it. Serves RFC 7515 §5.2, §7.1, §7.2.2.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::PROTECTED_CHARS_MAX;
use crate::certificate::Certificate;
use crate::request::Message;
use crate::verify::VerifyError;

/// The most members read.
const MEMBER_COUNT_MAX: usize = 32;

/// A JWS in three parts, its header read.
pub(crate) struct Received<'a> {
    pub(crate) protected: Cow<'a, str>,
    /// Still encoded; empty when detached.
    pub(crate) payload: Cow<'a, str>,
    pub(crate) signature: Vec<u8>,
    pub(crate) members: Vec<(String, Value)>,
}

impl<'a> Received<'a> {
    /// Reads `protected.payload.signature`.
    pub(crate) fn compact(jws: &'a str) -> Result<Self, VerifyError> {
        let mut parts = jws.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(protected), Some(payload), Some(signature), None) => {
                Self::new(protected.into(), payload.into(), signature)
            }
            _ => Err(VerifyError::ParameterMalformed),
        }
    }

    /// Reads `{"payload":..,"protected":..,"signature":..}`: an unprotected header or several signatures are refused.
    pub(crate) fn flattened(jws: &str) -> Result<Self, VerifyError> {
        let (mut payload, mut protected, mut signature) = (None, None, None);
        for (name, value) in members(jws.as_bytes())? {
            let place = match name.as_str() {
                "payload" => &mut payload,
                "protected" => &mut protected,
                "signature" => &mut signature,
                _ => return Err(VerifyError::MemberUnexpected { name }),
            };
            match value {
                Value::String(text) => *place = Some(text),
                _ => return Err(VerifyError::MemberMismatch { name }),
            }
        }
        let given = |part: Option<String>, name: &str| {
            part.ok_or_else(|| VerifyError::MemberMissing { name: name.into() })
        };
        let signature = given(signature, "signature")?;
        let protected = given(protected, "protected")?.into();
        Self::new(protected, given(payload, "payload")?.into(), &signature)
    }

    fn new(
        protected: Cow<'a, str>,
        payload: Cow<'a, str>,
        signature: &str,
    ) -> Result<Self, VerifyError> {
        if protected.len() > PROTECTED_CHARS_MAX {
            return Err(VerifyError::ParameterMalformed);
        }
        Ok(Self {
            members: members(&decode(&protected)?)?,
            signature: decode(signature)?,
            protected,
            payload,
        })
    }

    /// The value of a member.
    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        let mut members = self.members.iter();
        members.find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// The first certificate in `x5c`.
    pub(crate) fn leaf(&self) -> Result<Certificate, VerifyError> {
        let missing = || VerifyError::MemberMissing { name: "x5c".into() };
        let leaf = self.member("x5c").and_then(|x5c| x5c.get(0));
        certificate(leaf.ok_or_else(missing)?)
    }
}

/// The value of the header that carries a JWS.
pub(crate) fn carried<'a>(carrier: &str, message: Message<'a>) -> Result<&'a str, VerifyError> {
    message
        .once(carrier)?
        .ok_or_else(|| VerifyError::SignatureMissing {
            header: carrier.to_owned(),
        })
}

/// An entry of `x5c`.
pub(super) fn certificate(entry: &Value) -> Result<Certificate, VerifyError> {
    let der = entry.as_str().and_then(|text| STANDARD.decode(text).ok());
    der.and_then(|der| Certificate::from_der(&der).ok())
        .ok_or(VerifyError::CertificateMalformed)
}

/// Base64url without padding, canonical (RFC 7515 §2).
pub(super) fn decode(text: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| VerifyError::ParameterMalformed)
}

/// The members of a JSON object, each name once.
fn members(json: &[u8]) -> Result<Vec<(String, Value)>, VerifyError> {
    let Members(members) =
        serde_json::from_slice(json).map_err(|_| VerifyError::ParameterMalformed)?;
    for (index, (name, _)) in members.iter().enumerate() {
        let mut earlier = members.iter().take(index);
        if earlier.any(|(earlier, _)| earlier == name) {
            return Err(VerifyError::ParameterRepeated { name: name.clone() });
        }
    }
    Ok(members)
}

/// The members of a JSON object in order, doubles kept so that they can be refused.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            if members.len() == MEMBER_COUNT_MAX {
                return Err(serde::de::Error::custom("too many members"));
            }
            members.push(member);
        }
        Ok(Members(members))
    }
}
