//! Client assertions: `private_key_jwt` at the token, PAR and other endpoints of an authorisation server.
//!
//! Comes in: at most which of the bank's audiences is meant. Goes out: `iss`, `sub`, `aud`, `jti`, `iat`, `nbf`, `exp`. Which
//! audiences a server takes is data: FAPI 1 the token endpoint or the issuer, FAPI 2 the issuer alone, always one text.
//! Serves RFC 7523 §3, OpenID Connect Core §9, FAPI 2.0 security profile §5.3.2.1 and §5.3.3.1.

use jiff::Timestamp;
use serde::Deserialize;

use super::claims::{Claims, Moment};
use super::spec::{CLIENT_ID, Table};
use super::{Facts, JwtKind};
use crate::profile::Settings;
use crate::refusal::Refusal;

/// The longest a client assertion may be valid, in seconds: it is made for one request.
const LIFETIME_SECONDS_MAX: u32 = 600;

/// `[jwt.client_assertion]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientAssertionSpec {
    /// `typ` of the header; none when not set.
    typ: Option<String>,
    /// The settings with the audiences the server takes; the first that is set is the default.
    audience: Vec<String>,
    /// `exp` less `iat`, in seconds.
    lifetime_seconds: u32,
    /// Whether `nbf` is sent.
    #[serde(default)]
    not_before: bool,
}

/// Asks for a client assertion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientAssertion {
    /// Which audience of the bank's settings; `None` for the first.
    pub audience: Option<String>,
}

impl ClientAssertionSpec {
    pub(super) fn table(&self) -> Table<'_> {
        Table {
            kind: JwtKind::ClientAssertion,
            name: "client_assertion",
            typ: self.typ.as_deref(),
            audience: Some(&self.audience),
            lifetime_seconds: Some((self.lifetime_seconds, LIFETIME_SECONDS_MAX)),
        }
    }

    pub(super) fn claims(
        &self,
        asked: &ClientAssertion,
        facts: Facts<'_>,
    ) -> Result<Claims, Refusal> {
        let client = facts.settings.require(CLIENT_ID)?;
        let mut claims = Claims::default();
        claims.set("iss", client);
        claims.set("sub", client);
        claims.set(
            "aud",
            facts.audience(asked.audience.as_deref(), &self.audience)?,
        );
        claims.set("jti", facts.jti);
        claims.set("iat", facts.issued);
        claims.set_some("nbf", self.not_before.then_some(facts.issued));
        claims.set("exp", facts.ends(self.lifetime_seconds));
        Ok(claims)
    }

    /// What holds for every client assertion; answers with `iat`.
    pub(super) fn check(
        &self,
        claims: &Claims,
        settings: &Settings,
        moment: Moment,
    ) -> Result<Timestamp, Refusal> {
        claims.only(&["iss", "sub", "aud", "jti", "iat", "nbf", "exp"])?;
        let client = settings.require(CLIENT_ID)?;
        claims.exactly("iss", client)?;
        claims.exactly("sub", client)?;
        claims.check_audience(&self.audience, settings)?;
        claims.check_jti()?;
        claims.check_times(moment)
    }
}
