//! HTTP bodies that are one JWT: the members of the body beside the claims that sign it.
//!
//! Comes in: an HTTP request whose body is a JSON object. Goes out: `aud` (where the request goes), `iss` (who we are),
//! `jti`, `iat`, then the members of the body; in an answer, `aud` is who we are. The body must not bring such claims
//! itself. Serves the message signing of Open Finance Brasil (`Content-Type: application/jwt`).

use jiff::Timestamp;
use serde::Deserialize;

use super::claims::{Claims, Moment, invalid};
use super::spec::Table;
use super::{Facts, JwtKind, endpoint};
use crate::profile::Settings;
use crate::refusal::Refusal;
use crate::request::HttpRequest;

/// The claims that sign; a body brings none of them, nor the others RFC 7519 §4.1 registers.
const RESERVED: [&str; 7] = ["aud", "iss", "jti", "iat", "sub", "exp", "nbf"];

/// `[jwt.body]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BodySpec {
    /// `typ` of the header; none when not set.
    typ: Option<String>,
    /// The setting that says who we are.
    pub(super) issuer: String,
    /// The setting that says who the bank is, to check its answers; anybody when it is not set.
    pub(super) answer_issuer: Option<String>,
}

impl BodySpec {
    pub(super) fn table(&self) -> Table<'_> {
        Table {
            kind: JwtKind::Body,
            name: "body",
            typ: self.typ.as_deref(),
            audience: None,
            lifetime_seconds: None,
        }
    }

    pub(super) fn claims(
        &self,
        request: &HttpRequest,
        facts: Facts<'_>,
    ) -> Result<Claims, Refusal> {
        let bytes = request.body().bytes().ok_or(Refusal::BodyRequired)?;
        if bytes.is_empty() {
            return Err(Refusal::NothingToSign);
        }
        let malformed = || invalid("body", "a JSON object without doubled members");
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let body = super::verify::object(bytes).map_err(|_| malformed())?;
        if let Some(name) = RESERVED.iter().find(|name| body.contains_key(**name)) {
            return Err(Refusal::ClaimUnknown {
                name: (*name).into(),
            });
        }
        let mut claims = Claims::default();
        claims.set("aud", endpoint(request));
        claims.set("iss", facts.settings.require(&self.issuer)?);
        claims.set("jti", facts.jti);
        claims.set("iat", facts.issued);
        Ok(claims.followed_by(text.to_owned()))
    }

    /// A request that came to a bank for this audience; answers with `iat`.
    pub(super) fn check_request(
        &self,
        claims: &Claims,
        audience: &str,
        settings: &Settings,
        moment: Moment,
    ) -> Result<Timestamp, Refusal> {
        claims.exactly("aud", audience)?;
        claims.exactly("iss", settings.require(&self.issuer)?)?;
        claims.check_jti()?;
        claims.check_issued(moment)
    }

    /// An answer of the bank to us; answers with `iat`.
    pub(super) fn check_answer(
        &self,
        claims: &Claims,
        settings: &Settings,
        moment: Moment,
    ) -> Result<Timestamp, Refusal> {
        claims.exactly("aud", settings.require(&self.issuer)?)?;
        let bank = self.answer_issuer.as_ref();
        match bank.and_then(|name| settings.get(name)) {
            Some(bank) => claims.exactly("iss", bank)?,
            None => claims.text("iss").map(|_| ())?,
        }
        claims.check_jti()?;
        claims.check_issued(moment)
    }
}
