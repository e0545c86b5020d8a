//! Verifies JWTs as an authorisation server or the other side of an API does.
//!
//! Comes in: a compact JWS from outside, the profile, the certificate its maker should have, the time. Goes out: its claims, or
//! a `VerifyError` that names the member or claim. Members and claims that the profile does not have are errors, and so are
//! doubled ones (RFC 7519 §4). Never takes a key from the JWT, but for DPoP proofs, whose key is what they prove.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::claims::Claims;
use super::spec::{JwtSpec, own};
use super::{CLAIMS_BYTES_MAX, JwtKind};
use crate::algorithm::{PublicKey, SignatureScheme};
use crate::format::json;
use crate::verify::{Context, Verified, VerifiedJwt, VerifyError};

/// The longest JWT read, in characters.
const JWT_CHARS_MAX: usize = CLAIMS_BYTES_MAX * 4 / 3 + 16 * 1024;
/// The longest protected header read, in characters of base64url.
const PROTECTED_CHARS_MAX: usize = 8 * 1024;

/// What a JWT should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected<'a> {
    /// One of the kinds that say themselves who they are for.
    Kind(JwtKind),
    /// The body of a request that came to this endpoint.
    RequestBody { url: &'a str },
    /// The body of an answer to us.
    AnswerBody,
}

/// A JWT in its parts; nothing about it is proven.
pub(super) struct Parsed<'a> {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Claims,
    signed: &'a str,
    signature: Vec<u8>,
}

pub(crate) fn verify(
    spec: &JwtSpec,
    jwt: &str,
    expected: Expected<'_>,
    context: Context<'_>,
) -> Result<VerifiedJwt, VerifyError> {
    let jwt = Parsed::parse(jwt)?;
    let key = context.certificate.public_key();
    let scheme = spec.scheme(key.key_type())?;
    check_header(spec, &jwt, expected, scheme, context)?;
    jwt.verify(scheme, key)?;
    let (claims, settings, moment) = (&jwt.claims, context.settings, spec.moment(context.now));
    let body = || own(&spec.body, JwtKind::Body);
    let issued_at = match expected {
        Expected::Kind(kind) => super::check(spec, kind, claims, settings, moment)?,
        Expected::RequestBody { url } => body()?.check_request(claims, url, settings, moment)?,
        Expected::AnswerBody => body()?.check_answer(claims, settings, moment)?,
    };
    let fields = std::iter::once("jws.protected".to_owned()).chain(claims.fields());
    let verified = Verified {
        scheme,
        signed_fields: fields.collect(),
        issued_at: Some(issued_at),
    };
    Ok(VerifiedJwt {
        verified,
        claims: jwt.claims.into_members(),
    })
}

fn check_header(
    spec: &JwtSpec,
    jwt: &Parsed<'_>,
    expected: Expected<'_>,
    scheme: SignatureScheme,
    context: Context<'_>,
) -> Result<(), VerifyError> {
    let kind = match expected {
        Expected::Kind(kind) => kind,
        Expected::RequestBody { .. } | Expected::AnswerBody => JwtKind::Body,
    };
    jwt.header_only(&["alg", "kid", "typ"])?;
    if jwt.header.get("alg").and_then(Value::as_str) != Some(scheme.jws_name()) {
        return Err(VerifyError::AlgorithmLabel {
            expected: scheme.jws_name().into(),
        });
    }
    if let Some(typ) = spec.typ(kind)? {
        jwt.header_is("typ", typ)?;
    }
    // Whose key signs answers is told by the certificate; `key_id` names ours.
    if let (Some(key_id), false) = (&spec.key_id, matches!(expected, Expected::AnswerBody)) {
        jwt.header_is(
            "kid",
            &key_id.encode(context.certificate, context.settings)?,
        )?;
    }
    Ok(())
}

impl<'a> Parsed<'a> {
    pub(super) fn parse(jwt: &'a str) -> Result<Self, VerifyError> {
        let malformed = || VerifyError::ParameterMalformed;
        if jwt.len() > JWT_CHARS_MAX {
            return Err(malformed());
        }
        let (signed, signature) = jwt.rsplit_once('.').ok_or_else(malformed)?;
        let (protected, payload) = signed.split_once('.').ok_or_else(malformed)?;
        if protected.len() > PROTECTED_CHARS_MAX || payload.contains('.') {
            return Err(malformed());
        }
        Ok(Self {
            header: object(&decode(protected)?)?,
            claims: Claims::new(object(&decode(payload)?)?),
            signed,
            signature: decode(signature)?,
        })
    }

    /// Refuses every member but these: `crit`, `jku`, `b64` and their like too.
    pub(super) fn header_only(&self, known: &[&str]) -> Result<(), VerifyError> {
        match self
            .header
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            Some(name) => Err(VerifyError::MemberUnexpected { name: name.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn header_is(&self, name: &str, expected: &str) -> Result<(), VerifyError> {
        match self.header.get(name) {
            None => Err(VerifyError::MemberMissing { name: name.into() }),
            Some(value) if value.as_str() == Some(expected) => Ok(()),
            Some(_) => Err(VerifyError::MemberMismatch { name: name.into() }),
        }
    }

    /// The scheme that `alg` names.
    pub(super) fn scheme(&self) -> Result<SignatureScheme, VerifyError> {
        let name = self.header.get("alg").and_then(Value::as_str);
        let mut schemes = SignatureScheme::ALL.into_iter();
        schemes
            .find(|scheme| name == Some(scheme.jws_name()))
            .ok_or_else(|| VerifyError::MemberMismatch { name: "alg".into() })
    }

    pub(super) fn verify(
        &self,
        scheme: SignatureScheme,
        key: &PublicKey,
    ) -> Result<(), VerifyError> {
        Ok(key.verify(scheme, self.signed.as_bytes(), &self.signature)?)
    }
}

/// Base64url without padding, canonical (RFC 7515 §2).
fn decode(text: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| VerifyError::ParameterMalformed)
}

/// A JSON object; doubled members, at any depth, are errors.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, VerifyError> {
    json::object(bytes).map_err(|_| VerifyError::ParameterMalformed)
}
