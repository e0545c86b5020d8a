//! Client assertions: `private_key_jwt` at the token, PAR and other endpoints of an authorisation server.
//!
//! Comes in: at most which of the bank's audiences is meant. Goes out: `iss`, `sub`, `aud`, `jti`, `iat`, `nbf`, `exp`. Which
//! audiences a server takes is data: FAPI 1 the token endpoint or the issuer, FAPI 2 the issuer alone, always one text.
//! Serves RFC 7523 §3, OpenID Connect Core §9, FAPI 2.0 security profile §5.3.2.1 and §5.3.3.1.

use jiff::Timestamp;
use serde::Deserialize;

use super::claims::{Claims, audience};
use super::spec::{CLIENT_ID, JwtSpec};
use super::{Facts, JwtKind};
use crate::profile::Settings;
use crate::refusal::Refusal;

/// The longest a client assertion may be valid, in seconds: it is made for one request.
pub(super) const LIFETIME_SECONDS_MAX: u32 = 600;

/// `[jwt.client_assertion]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientAssertionSpec {
    /// `typ` of the header; none when not set.
    pub(super) typ: Option<String>,
    /// The settings with the audiences the server takes; the first that is set is the default.
    pub(super) audience: Vec<String>,
    /// `exp` less `iat`, in seconds.
    pub(super) lifetime_seconds: u32,
    /// Whether `nbf` is sent.
    #[serde(default)]
    pub(super) not_before: bool,
}

/// Asks for a client assertion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientAssertion {
    /// Which audience of the bank's settings; `None` for the first.
    pub audience: Option<String>,
}

pub(super) fn claims(
    spec: &JwtSpec,
    asked: &ClientAssertion,
    facts: Facts<'_>,
) -> Result<Claims, Refusal> {
    let own = spec.client_assertion()?;
    let client = facts.settings.require(CLIENT_ID)?;
    let issued = spec.issued(facts.now);
    let mut claims = Claims::default();
    claims.set("iss", client);
    claims.set("sub", client);
    let aud = audience(asked.audience.as_deref(), &own.audience, facts.settings)?;
    claims.set("aud", aud);
    claims.set("jti", facts.jti);
    claims.set("iat", issued);
    claims.set_some("nbf", own.not_before.then_some(issued));
    claims.set("exp", issued + i64::from(own.lifetime_seconds));
    check(spec, &claims, facts.settings, facts.now)?;
    Ok(claims)
}

/// What holds for every client assertion; answers with `iat`.
pub(super) fn check(
    spec: &JwtSpec,
    claims: &Claims,
    settings: &Settings,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    let own = spec.client_assertion()?;
    claims.only(&["iss", "sub", "aud", "jti", "iat", "nbf", "exp"])?;
    let client = settings.require(CLIENT_ID)?;
    claims.exactly("iss", client)?;
    claims.exactly("sub", client)?;
    claims.check_audience(&own.audience, settings)?;
    claims.check_jti()?;
    claims.check_times(now, spec.skew_seconds_max)
}

impl JwtSpec {
    fn client_assertion(&self) -> Result<&ClientAssertionSpec, Refusal> {
        let own = self.client_assertion.as_ref();
        own.ok_or(Refusal::FormatNotAllowed {
            what: JwtKind::ClientAssertion.name(),
        })
    }
}
