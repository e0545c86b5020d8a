//! Request objects: authorisation requests that cannot be changed on their way through the browser.
//!
//! Comes in: the parameters of the request in typed fields. Goes out: `iss`, `aud`, `iat`, `nbf`, `exp`, `client_id`, and the
//! parameters the profile requires or allows; never `sub`, so that no request object passes for a client assertion.
//! Serves RFC 9101 §4, RFC 9396, FAPI 1.0 part 2 §5.2.3, FAPI 2.0 message signing §5.3.2, the OBIE security profile (`claims`).

mod parameter;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::claims::{Claims, LIFETIME_SECONDS_MAX, Moment, invalid, missing};
use super::spec::{CLIENT_ID, Table};
use super::{Facts, JwtKind};
use crate::profile::Settings;
use crate::refusal::Refusal;

use parameter::Parameter;

/// The claims every request object may have.
const COMMON: [&str; 8] = [
    "iss",
    "aud",
    "iat",
    "nbf",
    "exp",
    "jti",
    "client_id",
    "response_type",
];

/// `[jwt.request_object]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestObjectSpec {
    /// `typ` of the header; none when not set.
    typ: Option<String>,
    /// The settings with the audiences the server takes; the first that is set is the default.
    audience: Vec<String>,
    /// `exp` less `nbf`, in seconds.
    lifetime_seconds: u32,
    /// Whether `jti` is sent.
    #[serde(default)]
    jti: bool,
    /// The values `response_type` may have.
    response_types: Vec<String>,
    /// The values `response_mode` may have.
    #[serde(default)]
    response_modes: Vec<String>,
    /// The `response_mode` that a `response_type` is only allowed with.
    #[serde(default)]
    response_mode_of: BTreeMap<String, String>,
    /// The parameters that have to be there.
    required: Vec<Parameter>,
    /// The parameters that may be there.
    #[serde(default)]
    optional: Vec<Parameter>,
}

/// Asks for a request object. What is `None` is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the fields are the parameters of RFC 6749, OpenID Connect Core §3.1.2.1 and RFC 9396"
)]
pub struct RequestObject {
    /// Which audience of the bank's settings; `None` for the first.
    pub audience: Option<String>,
    pub response_type: String,
    pub response_mode: Option<String>,
    pub redirect_uri: Option<String>,
    pub scope: Option<String>,
    pub state: Option<String>,
    pub nonce: Option<String>,
    /// S256 (RFC 7636 §4.2).
    pub code_challenge: Option<String>,
    /// In seconds.
    pub max_age: Option<u32>,
    pub acr_values: Option<String>,
    pub prompt: Option<String>,
    pub login_hint: Option<String>,
    pub ui_locales: Option<String>,
    /// A JSON array of objects that each have a `type`.
    pub authorization_details: Option<String>,
    pub dpop_jkt: Option<String>,
    /// The consent at an OBIE bank.
    pub intent_id: Option<String>,
    /// The authentication an OBIE bank has to do for it: one of these.
    pub intent_acr: Vec<String>,
}

impl RequestObjectSpec {
    pub(super) fn table(&self) -> Table<'_> {
        Table {
            kind: JwtKind::RequestObject,
            name: "request_object",
            typ: self.typ.as_deref(),
            audience: Some(&self.audience),
            lifetime_seconds: Some((self.lifetime_seconds, LIFETIME_SECONDS_MAX)),
        }
    }

    pub(super) fn claims(
        &self,
        asked: &RequestObject,
        facts: Facts<'_>,
    ) -> Result<Claims, Refusal> {
        let client = facts.settings.require(CLIENT_ID)?;
        let mut claims = Claims::default();
        claims.set("iss", client);
        claims.set(
            "aud",
            facts.audience(asked.audience.as_deref(), &self.audience)?,
        );
        claims.set("iat", facts.issued);
        claims.set("nbf", facts.issued);
        claims.set("exp", facts.ends(self.lifetime_seconds));
        claims.set_some("jti", self.jti.then_some(facts.jti));
        claims.set("client_id", client);
        claims.set("response_type", asked.response_type.as_str());
        for parameter in Parameter::ALL {
            claims.set_some(parameter.claim(), parameter.value(asked)?);
            if parameter == Parameter::CodeChallenge && asked.code_challenge.is_some() {
                claims.set("code_challenge_method", "S256");
            }
        }
        Ok(claims)
    }

    /// What holds for every request object; answers with `iat`.
    pub(super) fn check(
        &self,
        claims: &Claims,
        settings: &Settings,
        moment: Moment,
    ) -> Result<Timestamp, Refusal> {
        let client = settings.require(CLIENT_ID)?;
        claims.exactly("iss", client)?;
        claims.exactly("client_id", client)?;
        claims.check_audience(&self.audience, settings)?;
        claims.seconds("nbf")?;
        let issued = claims.check_times(moment)?;
        if claims.get("jti").is_some() {
            claims.check_jti()?;
        }
        claims.only(&self.known())?;
        self.check_response_type(claims)?;
        self.check_parameters(claims)?;
        check_challenge_method(claims)?;
        Ok(issued)
    }

    fn parameters(&self) -> impl Iterator<Item = Parameter> {
        self.required.iter().chain(&self.optional).copied()
    }

    fn known(&self) -> Vec<&'static str> {
        let challenge = |parameter| parameter == Parameter::CodeChallenge;
        let method = self.parameters().any(challenge);
        let method = method.then_some("code_challenge_method");
        let parameters = self.parameters().map(Parameter::claim);
        COMMON.into_iter().chain(parameters).chain(method).collect()
    }

    /// The response type is the profile's, and so is the response mode that comes with it.
    fn check_response_type(&self, claims: &Claims) -> Result<(), Refusal> {
        let asked = claims.text("response_type")?;
        if !self.response_types.iter().any(|known| known == asked) {
            return Err(invalid("response_type", "one that the profile allows"));
        }
        match self.response_mode_of.get(asked) {
            Some(mode) if claims.text("response_mode")? != mode => {
                Err(invalid("response_mode", "the one of this response_type"))
            }
            _ => Ok(()),
        }
    }

    /// What is required is there, and what is there is well-formed.
    fn check_parameters(&self, claims: &Claims) -> Result<(), Refusal> {
        let absent = |name: &str| claims.get(name).is_none();
        let mut required = self.required.iter().map(|parameter| parameter.claim());
        if let Some(name) = required.find(|name| absent(name)) {
            return Err(missing(name));
        }
        // OpenID Connect Core §3.2.2.1.
        if claims.text("response_type")?.contains("id_token") && absent("nonce") {
            return Err(missing("nonce"));
        }
        let there = Parameter::ALL.into_iter();
        for parameter in there.filter(|parameter| !absent(parameter.claim())) {
            parameter.check(claims, &self.response_modes)?;
        }
        Ok(())
    }

    /// What makes no sense, in words.
    pub(super) fn complaint(&self) -> Option<String> {
        let wrong = |what: &str| Some(format!("request_object.{what}"));
        if self.response_types.is_empty() {
            return wrong("response_types: list at least one, for example \"code\"");
        }
        let all: Vec<_> = self.parameters().collect();
        for (index, parameter) in all.iter().enumerate() {
            if all.iter().take(index).any(|earlier| earlier == parameter) {
                return wrong(&format!(
                    "required: `{}` is listed twice",
                    parameter.claim()
                ));
            }
        }
        let mode = all.contains(&Parameter::ResponseMode);
        if mode == self.response_modes.is_empty() {
            return wrong(
                "response_modes: the list and the parameter `response_mode` belong together",
            );
        }
        for (response_type, mode) in &self.response_mode_of {
            if !self.response_types.contains(response_type) || !self.response_modes.contains(mode) {
                return wrong(
                    "response_mode_of: a response type of the list, and a response mode of the list",
                );
            }
        }
        None
    }
}

/// `code_challenge` and its method come together (RFC 7636 §4.3).
fn check_challenge_method(claims: &Claims) -> Result<(), Refusal> {
    match claims.get("code_challenge_method") {
        Some(method) if method != "S256" => Err(invalid("code_challenge_method", "S256")),
        Some(_) if claims.get("code_challenge").is_none() => Err(missing("code_challenge")),
        None if claims.get("code_challenge").is_some() => Err(missing("code_challenge_method")),
        _ => Ok(()),
    }
}
