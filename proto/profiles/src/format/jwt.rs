//! JSON Web Tokens of OAuth and FAPI: client assertions, request objects, DPoP proofs, registrations, and HTTP bodies.
//!
//! Comes in: what is asked for in typed fields, `[jwt]` parameters, certificate, settings, a fresh `jti`, the time. Goes out: the
//! signing input of a compact JWS, and on the other side a verdict. The claims are made here, one file a kind of JWT,
//! and nobody adds one: a caller that may have one kind cannot make it serve as another. `typ` tells the kinds apart where
//! banks allow it; where both are plain `JWT`, only a client assertion has `sub` (RFC 9101 §10.8). Serves RFC 7519, RFC 8725.

mod body;
mod claims;
mod client_assertion;
mod dpop_proof;
mod registration;
mod request_object;
mod spec;
mod verify;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::algorithm::SignatureScheme;
use crate::certificate::Certificate;
use crate::prepared::{JwsForm, Layout, Prepared};
use crate::profile::Settings;
use crate::refusal::Refusal;
use crate::request::HttpRequest;

use claims::{Claims, Moment};
use spec::own;

pub use claims::{JTI_BYTES_MAX, LIFETIME_SECONDS_MAX};
pub use client_assertion::ClientAssertion;
pub use dpop_proof::{DpopProof, ExpectedProof, VerifiedProof};
pub use registration::Registration;
pub use request_object::RequestObject;

pub(crate) use dpop_proof::verify as verify_dpop_proof;
pub(crate) use spec::JwtSpec;
pub(crate) use verify::{Expected, verify};

/// The longest set of claims signed or read, in bytes.
pub const CLAIMS_BYTES_MAX: usize = 256 * 1024;

/// A kind of JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwtKind {
    /// Authenticates the client at the authorisation server (RFC 7523 §2.2).
    ClientAssertion,
    /// An authorisation request (RFC 9101).
    RequestObject,
    /// Proves possession of a key for one HTTP request (RFC 9449).
    DpopProof,
    /// Registers the client (RFC 7591).
    Registration,
    /// The body of an HTTP request.
    Body,
}

impl JwtKind {
    /// The word for people and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientAssertion => "client assertions",
            Self::RequestObject => "request objects",
            Self::DpopProof => "DPoP proofs",
            Self::Registration => "registrations",
            Self::Body => "bodies as a JWT",
        }
    }
}

/// A JWT that is asked for.
#[derive(Clone, Debug)]
pub enum JwtRequest<'a> {
    /// See [`JwtKind::ClientAssertion`].
    ClientAssertion(ClientAssertion),
    /// See [`JwtKind::RequestObject`].
    RequestObject(Box<RequestObject>),
    /// See [`JwtKind::DpopProof`].
    DpopProof(DpopProof<'a>),
    /// See [`JwtKind::Registration`].
    Registration(Box<Registration>),
    /// See [`JwtKind::Body`]: the claims of the request's body, a JSON object, with those that sign it.
    Body(&'a HttpRequest),
}

impl JwtRequest<'_> {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> JwtKind {
        match self {
            Self::ClientAssertion(_) => JwtKind::ClientAssertion,
            Self::RequestObject(_) => JwtKind::RequestObject,
            Self::DpopProof(_) => JwtKind::DpopProof,
            Self::Registration(_) => JwtKind::Registration,
            Self::Body(_) => JwtKind::Body,
        }
    }
}

/// What JWTs are made of besides what is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) certificate: &'a Certificate,
    pub(crate) settings: &'a Settings,
    /// Never used before.
    pub(crate) jti: &'a str,
    pub(crate) now: Timestamp,
    /// `iat`, in seconds since 1970.
    pub(crate) issued: i64,
}

impl Facts<'_> {
    /// `exp` of a JWT that lives so long.
    fn ends(&self, lifetime_seconds: u32) -> i64 {
        self.issued + i64::from(lifetime_seconds)
    }

    /// The audience asked for, or the first one in the settings. That it is one of the bank's is checked with the other
    /// claims.
    fn audience(&self, asked: Option<&str>, allowed: &[String]) -> Result<String, Refusal> {
        if let Some(asked) = asked {
            return Ok(asked.to_owned());
        }
        let known = |name: &&String| self.settings.get(name).is_some();
        let name = allowed.iter().find(known).or(allowed.first());
        let name = name.map_or("", String::as_str);
        self.settings.require(name).map(str::to_owned)
    }
}

/// Makes the claims and builds the signing input.
pub(crate) fn prepare(
    spec: &JwtSpec,
    request: &JwtRequest<'_>,
    facts: Facts<'_>,
) -> Result<Prepared, Refusal> {
    let claims = claims(spec, request, facts)?;
    let scheme = spec.scheme(facts.certificate.public_key().key_type())?;
    let header = header(spec, request.kind(), scheme, facts)?;
    sign(scheme, &header, &claims, facts.certificate)
}

/// The claims asked for. They hold on the other side too.
fn claims(spec: &JwtSpec, request: &JwtRequest<'_>, facts: Facts<'_>) -> Result<Claims, Refusal> {
    let kind = request.kind();
    let claims = match request {
        JwtRequest::ClientAssertion(asked) => {
            own(&spec.client_assertion, kind)?.claims(asked, facts)?
        }
        JwtRequest::RequestObject(asked) => {
            own(&spec.request_object, kind)?.claims(asked, facts)?
        }
        JwtRequest::Registration(asked) => own(&spec.registration, kind)?.claims(asked, facts)?,
        JwtRequest::DpopProof(asked) => return dpop_proof::claims(spec, asked, facts),
        JwtRequest::Body(request) => return own(&spec.body, kind)?.claims(request, facts),
    };
    check(spec, kind, &claims, facts.settings, spec.moment(facts.now))?;
    Ok(claims)
}

/// What holds for a JWT that says itself who it is for, whoever made it; answers with `iat`.
fn check(
    spec: &JwtSpec,
    kind: JwtKind,
    claims: &Claims,
    settings: &Settings,
    moment: Moment,
) -> Result<Timestamp, Refusal> {
    match kind {
        JwtKind::ClientAssertion => {
            own(&spec.client_assertion, kind)?.check(claims, settings, moment)
        }
        JwtKind::RequestObject => own(&spec.request_object, kind)?.check(claims, settings, moment),
        JwtKind::Registration => own(&spec.registration, kind)?.check(claims, settings, moment),
        JwtKind::DpopProof | JwtKind::Body => Err(Refusal::FormatNotAllowed { what: kind.name() }),
    }
}

/// The protected header: `alg`, then how the key is named, then `typ`.
fn header(
    spec: &JwtSpec,
    kind: JwtKind,
    scheme: SignatureScheme,
    facts: Facts<'_>,
) -> Result<Map<String, Value>, Refusal> {
    let mut header = Map::new();
    if kind == JwtKind::DpopProof {
        return Ok(dpop_proof::header(scheme, facts.certificate.public_key()));
    }
    header.insert("alg".into(), scheme.jws_name().into());
    if let Some(key_id) = &spec.key_id {
        let key_id = key_id.encode(facts.certificate, facts.settings)?;
        header.insert("kid".into(), key_id.into());
    }
    if let Some(typ) = spec.typ(kind)? {
        header.insert("typ".into(), typ.into());
    }
    Ok(header)
}

/// Where a request goes: its URL without query and fragment, as RFC 9449 §4.2 has it for `htu`.
fn endpoint(request: &HttpRequest) -> String {
    format!("https://{}{}", request.authority(), request.path())
}

fn sign(
    scheme: SignatureScheme,
    header: &Map<String, Value>,
    claims: &Claims,
    certificate: &Certificate,
) -> Result<Prepared, Refusal> {
    let payload = claims.to_json();
    if payload.len() > CLAIMS_BYTES_MAX {
        return Err(Refusal::BodyTooLong {
            len: payload.len(),
            max: CLAIMS_BYTES_MAX,
        });
    }
    let protected = URL_SAFE_NO_PAD.encode(Value::from(header.clone()).to_string());
    let payload = URL_SAFE_NO_PAD.encode(payload);
    let input = format!("{protected}.{payload}").into_bytes();
    let fields = std::iter::once("jws.protected".to_owned()).chain(claims.fields());
    let layout = Layout::Jws {
        before: Vec::new(),
        form: JwsForm::Compact,
        protected,
        payload,
        carrier: None,
    };
    Prepared::seal(
        scheme,
        input,
        fields.collect(),
        certificate.public_key().clone(),
        layout,
    )
}
