//! DPoP proofs: one signature that binds one HTTP request, and its access token, to a key.
//!
//! Comes in: the request's method, authority and path, the hash of the access token, the server's nonce. Goes out: `jti`,
//! `htm`, `htu`, `iat`, `ath`, `nonce` under a header with the public key itself. The access token stays with the caller. Serves
//! RFC 9449 §4, RFC 7638.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::claims::{Claims, Moment, invalid};
use super::spec::JwtSpec;
use super::verify::Parsed;
use super::{Facts, JwtKind, endpoint};
use crate::algorithm::{PublicKey, SignatureScheme};
use crate::refusal::Refusal;
use crate::request::{HttpRequest, Method};
use crate::verify::VerifyError;

/// `typ` of the header (RFC 9449 §4.2).
pub(super) const TYP: &str = "dpop+jwt";
/// The longest nonce of a server, in bytes.
const NONCE_BYTES_MAX: usize = 512;

/// Asks for a DPoP proof.
#[derive(Clone, Copy, Debug)]
pub struct DpopProof<'a> {
    /// The request it is for; of it, method, authority and path are covered.
    pub request: &'a HttpRequest,
    /// SHA-256 of the access token, at resources; none at the token endpoint.
    pub access_token_sha256: Option<[u8; 32]>,
    /// What the server sent as `DPoP-Nonce`.
    pub nonce: Option<&'a str>,
}

pub(super) fn claims(
    spec: &JwtSpec,
    asked: &DpopProof<'_>,
    facts: Facts<'_>,
) -> Result<Claims, Refusal> {
    if !spec.dpop_proof {
        return Err(Refusal::FormatNotAllowed {
            what: JwtKind::DpopProof.name(),
        });
    }
    let mut claims = Claims::default();
    claims.set("jti", facts.jti);
    claims.set("htm", asked.request.method().as_str());
    claims.set("htu", endpoint(asked.request));
    claims.set("iat", facts.issued);
    claims.set_some("ath", asked.access_token_sha256.map(ath));
    claims.set_some("nonce", asked.nonce);
    check(&claims, spec.moment(facts.now))?;
    Ok(claims)
}

/// `typ`, `alg` and the public key (RFC 9449 §4.2).
pub(super) fn header(scheme: SignatureScheme, key: &PublicKey) -> Map<String, Value> {
    let mut header = Map::new();
    header.insert("typ".into(), TYP.into());
    header.insert("alg".into(), scheme.jws_name().into());
    header.insert("jwk".into(), key.jwk());
    header
}

fn ath(access_token_sha256: [u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(access_token_sha256)
}

/// What holds for every proof; answers with `iat`.
fn check(claims: &Claims, moment: Moment) -> Result<Timestamp, Refusal> {
    claims.only(&["jti", "htm", "htu", "iat", "ath", "nonce"])?;
    claims.check_jti()?;
    Method::parse(claims.text("htm")?)?;
    let url = claims.text("htu")?;
    if !super::claims::is_https_url(url) || url.contains('?') {
        return Err(invalid("htu", "an https URL without query and fragment"));
    }
    if claims.get("ath").is_some() && claims.text("ath")?.len() != 43 {
        return Err(invalid("ath", "base64url of a SHA-256"));
    }
    if claims.get("nonce").is_some() {
        let nonce = claims.text("nonce")?;
        // RFC 9449 §8.1: NQCHAR.
        let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        if nonce.len() > NONCE_BYTES_MAX || !nonce.bytes().all(allowed) {
            return Err(invalid(
                "nonce",
                "1 to 512 characters as RFC 9449 §8.1 has them",
            ));
        }
    }
    claims.check_issued(moment)
}

/// What a server knows about the request that a proof came with.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedProof<'a> {
    /// The request.
    pub request: &'a HttpRequest,
    /// SHA-256 of the access token that came with it.
    pub access_token_sha256: Option<[u8; 32]>,
    /// The nonce that was given out, if one was.
    pub nonce: Option<&'a str>,
    /// How old a proof may be, in seconds.
    pub age_seconds_max: u32,
}

/// What a proof proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedProof {
    /// The key that made it.
    pub key: PublicKey,
    /// Its thumbprint, to compare with `cnf.jkt` of the access token.
    pub jkt: String,
    /// How it was signed.
    pub scheme: SignatureScheme,
    /// To be remembered until the proof is too old.
    pub jti: String,
    /// When it was made.
    pub issued_at: Timestamp,
}

/// Does what a server does (RFC 9449 §4.3), but for remembering `jti` and comparing `jkt`.
pub(crate) fn verify(
    proof: &str,
    expected: ExpectedProof<'_>,
    now: Timestamp,
) -> Result<VerifiedProof, VerifyError> {
    let parsed = Parsed::parse(proof)?;
    parsed.header_only(&["typ", "alg", "jwk"])?;
    parsed.header_is("typ", TYP)?;
    let key = proof_key(&parsed)?;
    let scheme = parsed.scheme()?;
    parsed.verify(scheme, &key)?;
    let claims = &parsed.claims;
    let moment = Moment {
        now,
        skew_seconds_max: expected.age_seconds_max,
    };
    let issued_at = check(claims, moment)?;
    if now.duration_since(issued_at).as_secs() > i64::from(expected.age_seconds_max) {
        return Err(VerifyError::Stale {
            name: "iat".into(),
            skew_seconds_max: expected.age_seconds_max,
        });
    }
    claims.exactly("htm", expected.request.method().as_str())?;
    claims.exactly("htu", &endpoint(expected.request))?;
    same(
        claims,
        "ath",
        expected.access_token_sha256.map(ath).as_deref(),
    )?;
    same(claims, "nonce", expected.nonce)?;
    Ok(VerifiedProof {
        jkt: key.jwk_sha256(),
        key,
        scheme,
        jti: claims.text("jti")?.to_owned(),
        issued_at,
    })
}

fn proof_key(parsed: &Parsed<'_>) -> Result<PublicKey, VerifyError> {
    let jwk = parsed.header.get("jwk").and_then(Value::as_object);
    let jwk = jwk.ok_or_else(|| VerifyError::MemberMissing { name: "jwk".into() })?;
    PublicKey::from_jwk(jwk).map_err(|_| VerifyError::MemberMismatch { name: "jwk".into() })
}

fn same(claims: &Claims, name: &'static str, expected: Option<&str>) -> Result<(), VerifyError> {
    match (claims.get(name), expected) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(VerifyError::MemberUnexpected { name: name.into() }),
        (_, Some(expected)) => Ok(claims.exactly(name, expected)?),
    }
}
