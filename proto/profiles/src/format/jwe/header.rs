//! The protected header of a JWE.
//!
//! Comes in: JSON from outside. Goes out: [`Header`], every member known. Never a point that is not on its curve: a token
//! that computed with one would give away its key, bit by bit. Serves RFC 7516 §4, RFC 7518 §4.6.1.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{ContentEncryption, JweError, KeyManagement};
use crate::algorithm::PublicKey;
use crate::format::json;

/// The longest `apu` and `apv`, in bytes.
const PARTY_BYTES_MAX: usize = 512;
/// The longest `kid` and `cty`, in bytes; nothing else in the header is used as text.
const TEXT_BYTES_MAX: usize = 512;
/// The members taken; `x5t#S256` names our certificate and is not needed to find the key.
const KNOWN: [&str; 9] = [
    "alg", "enc", "kid", "typ", "cty", "x5t#S256", "epk", "apu", "apv",
];

/// What a header says.
pub(super) struct Header {
    pub(super) algorithm: KeyManagement,
    pub(super) encryption: ContentEncryption,
    pub(super) key_id: Option<String>,
    pub(super) content_type: Option<String>,
    /// The sender's ephemeral key, for ECDH.
    pub(super) peer: Option<PublicKey>,
    pub(super) party_u: Vec<u8>,
    pub(super) party_v: Vec<u8>,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, JweError> {
        let members = json::object(bytes).map_err(|_| JweError::Malformed {
            what: "the header is no JSON object with single members",
        })?;
        if let Some(name) = members.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(JweError::MemberUnexpected { name: cut(name) });
        }
        let (alg, enc) = (text(&members, "alg")?, text(&members, "enc")?);
        let (alg, enc) = (alg.unwrap_or_default(), enc.unwrap_or_default());
        let algorithm = KeyManagement::from_name(&alg)
            .ok_or_else(|| JweError::AlgorithmNotAllowed { name: cut(&alg) })?;
        let encryption = ContentEncryption::from_name(&enc)
            .ok_or_else(|| JweError::EncryptionNotAllowed { name: cut(&enc) })?;
        let ecdh = algorithm.oaep_hash().is_none();
        let agreement = ["epk", "apu", "apv"];
        if let (false, Some(name)) = (ecdh, agreement.iter().find(|n| members.contains_key(**n))) {
            return Err(JweError::MemberUnexpected {
                name: (*name).to_owned(),
            });
        }
        Ok(Self {
            algorithm,
            encryption,
            key_id: text(&members, "kid")?,
            content_type: text(&members, "cty")?,
            peer: if ecdh { Some(peer(&members)?) } else { None },
            party_u: party(&members, "apu")?,
            party_v: party(&members, "apv")?,
        })
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, JweError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= TEXT_BYTES_MAX => Ok(Some(text.clone())),
        Some(_) => Err(JweError::Malformed {
            what: "a header member is no text, or too long",
        }),
    }
}

fn peer(members: &Map<String, Value>) -> Result<PublicKey, JweError> {
    let malformed = || JweError::Malformed {
        what: "the ephemeral key is no public key on its curve",
    };
    let jwk = members.get("epk").and_then(Value::as_object);
    let key = PublicKey::from_jwk(jwk.ok_or_else(malformed)?).map_err(|_| malformed())?;
    match key.is_on_curve() {
        true => Ok(key),
        false => Err(malformed()),
    }
}

fn party(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JweError> {
    let malformed = || JweError::Malformed {
        what: "apu or apv is not base64url, or too long",
    };
    let text = match members.get(name) {
        None => return Ok(Vec::new()),
        Some(value) => value.as_str().ok_or_else(malformed)?,
    };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
    match bytes.len() <= PARTY_BYTES_MAX {
        true => Ok(bytes),
        false => Err(malformed()),
    }
}

/// What a message may repeat of a name from outside.
fn cut(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_graphic)
        .take(32)
        .collect()
}
