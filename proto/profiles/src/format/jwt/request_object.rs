//! Request objects: authorisation requests that cannot be changed on their way through the browser.
//!
//! Comes in: the parameters of the request in typed fields. Goes out: `iss`, `aud`, `iat`, `nbf`, `exp`, `client_id`, and the
//! parameters the profile requires or allows; never `sub`, so that no request object passes for a client assertion.
//! Serves RFC 9101 §4, RFC 9396, FAPI 1.0 part 2 §5.2.3, FAPI 2.0 message signing §5.3.2, the OBIE security profile (`claims`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::claims::{Claims, audience, invalid, is_https_url, is_printable, is_scope, missing};
use super::spec::{CLIENT_ID, JwtSpec};
use super::{Facts, JwtKind};
use crate::profile::Settings;
use crate::refusal::Refusal;

/// The longest `state`, `nonce` and the like, in bytes.
const OPAQUE_BYTES_MAX: usize = 512;
/// The longest `authorization_details`, in bytes of JSON.
const DETAILS_BYTES_MAX: usize = 16 * 1024;
/// The most values of `acr`.
const ACR_COUNT_MAX: usize = 8;

/// `[jwt.request_object]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestObjectSpec {
    /// `typ` of the header; none when not set.
    pub(super) typ: Option<String>,
    /// The settings with the audiences the server takes; the first that is set is the default.
    pub(super) audience: Vec<String>,
    /// `exp` less `nbf`, in seconds.
    pub(super) lifetime_seconds: u32,
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

/// A parameter of an authorisation request besides `response_type` and `client_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Parameter {
    ResponseMode,
    RedirectUri,
    Scope,
    State,
    Nonce,
    /// With `code_challenge_method`, which is always S256 (RFC 7636 §4.2).
    CodeChallenge,
    MaxAge,
    AcrValues,
    Prompt,
    LoginHint,
    UiLocales,
    AuthorizationDetails,
    DpopJkt,
    /// OBIE's `claims.id_token.openbanking_intent_id`, with `acr` beside it.
    Claims,
}

impl Parameter {
    const ALL: [Self; 14] = [
        Self::ResponseMode,
        Self::RedirectUri,
        Self::Scope,
        Self::State,
        Self::Nonce,
        Self::CodeChallenge,
        Self::MaxAge,
        Self::AcrValues,
        Self::Prompt,
        Self::LoginHint,
        Self::UiLocales,
        Self::AuthorizationDetails,
        Self::DpopJkt,
        Self::Claims,
    ];

    const fn claim(self) -> &'static str {
        match self {
            Self::ResponseMode => "response_mode",
            Self::RedirectUri => "redirect_uri",
            Self::Scope => "scope",
            Self::State => "state",
            Self::Nonce => "nonce",
            Self::CodeChallenge => "code_challenge",
            Self::MaxAge => "max_age",
            Self::AcrValues => "acr_values",
            Self::Prompt => "prompt",
            Self::LoginHint => "login_hint",
            Self::UiLocales => "ui_locales",
            Self::AuthorizationDetails => "authorization_details",
            Self::DpopJkt => "dpop_jkt",
            Self::Claims => "claims",
        }
    }
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

pub(super) fn claims(
    spec: &JwtSpec,
    asked: &RequestObject,
    facts: Facts<'_>,
) -> Result<Claims, Refusal> {
    let own = spec.request_object()?;
    let client = facts.settings.require(CLIENT_ID)?;
    let issued = spec.issued(facts.now);
    let mut claims = Claims::default();
    claims.set("iss", client);
    let aud = audience(asked.audience.as_deref(), &own.audience, facts.settings)?;
    claims.set("aud", aud);
    claims.set("iat", issued);
    claims.set("nbf", issued);
    claims.set("exp", issued + i64::from(own.lifetime_seconds));
    claims.set_some("jti", own.jti.then_some(facts.jti));
    claims.set("client_id", client);
    claims.set("response_type", asked.response_type.as_str());
    for parameter in Parameter::ALL {
        claims.set_some(parameter.claim(), value(parameter, asked)?);
        if parameter == Parameter::CodeChallenge && asked.code_challenge.is_some() {
            claims.set("code_challenge_method", "S256");
        }
    }
    check(spec, &claims, facts.settings, facts.now)?;
    Ok(claims)
}

fn value(parameter: Parameter, asked: &RequestObject) -> Result<Option<Value>, Refusal> {
    let text = match parameter {
        Parameter::ResponseMode => &asked.response_mode,
        Parameter::RedirectUri => &asked.redirect_uri,
        Parameter::Scope => &asked.scope,
        Parameter::State => &asked.state,
        Parameter::Nonce => &asked.nonce,
        Parameter::CodeChallenge => &asked.code_challenge,
        Parameter::AcrValues => &asked.acr_values,
        Parameter::Prompt => &asked.prompt,
        Parameter::LoginHint => &asked.login_hint,
        Parameter::UiLocales => &asked.ui_locales,
        Parameter::DpopJkt => &asked.dpop_jkt,
        Parameter::MaxAge => return Ok(asked.max_age.map(Value::from)),
        Parameter::AuthorizationDetails => return details(asked),
        Parameter::Claims if asked.intent_id.is_none() && !asked.intent_acr.is_empty() => {
            return Err(missing("claims"));
        }
        Parameter::Claims => {
            let intent = asked.intent_id.as_deref();
            return Ok(intent.map(|id| obie_claims(id, &asked.intent_acr)));
        }
    };
    Ok(text.as_deref().map(Value::from))
}

fn details(asked: &RequestObject) -> Result<Option<Value>, Refusal> {
    let Some(text) = &asked.authorization_details else {
        return Ok(None);
    };
    let expected = "at most 16384 bytes of JSON: an array of objects with a `type`";
    let wrong = || invalid("authorization_details", expected);
    if text.len() > DETAILS_BYTES_MAX {
        return Err(wrong());
    }
    serde_json::from_str(text).map(Some).map_err(|_| wrong())
}

/// The `claims` parameter (OpenID Connect Core §5.5) as OBIE has it.
fn obie_claims(intent_id: &str, acr: &[String]) -> Value {
    let mut id_token = json!({"openbanking_intent_id": {"value": intent_id, "essential": true}});
    if !acr.is_empty() {
        id_token["acr"] = json!({"essential": true, "values": acr});
    }
    json!({"id_token": id_token})
}

/// What holds for every request object; answers with `iat`, or `nbf` where there is none.
pub(super) fn check(
    spec: &JwtSpec,
    claims: &Claims,
    settings: &Settings,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    let own = spec.request_object()?;
    let client = settings.require(CLIENT_ID)?;
    claims.exactly("iss", client)?;
    claims.exactly("client_id", client)?;
    claims.check_audience(&own.audience, settings)?;
    claims.seconds("nbf")?;
    let issued = claims.check_times(now, spec.skew_seconds_max)?;
    if claims.get("jti").is_some() {
        claims.check_jti()?;
    }
    own.check_parameters(claims)?;
    Ok(issued)
}

impl RequestObjectSpec {
    fn check_parameters(&self, claims: &Claims) -> Result<(), Refusal> {
        let common = [
            "iss",
            "aud",
            "iat",
            "nbf",
            "exp",
            "jti",
            "client_id",
            "response_type",
        ];
        let mut known = common.to_vec();
        for parameter in self.required.iter().chain(&self.optional) {
            known.push(parameter.claim());
            if *parameter == Parameter::CodeChallenge {
                known.push("code_challenge_method");
            }
        }
        claims.only(&known)?;
        let response_type = claims.text("response_type")?;
        if !self
            .response_types
            .iter()
            .any(|known| known == response_type)
        {
            return Err(invalid("response_type", "one that the profile allows"));
        }
        if let Some(mode) = self.response_mode_of.get(response_type)
            && claims.text("response_mode")? != mode
        {
            return Err(invalid("response_mode", "the one of this response_type"));
        }
        if let Some(absent) = self
            .required
            .iter()
            .find(|p| claims.get(p.claim()).is_none())
        {
            return Err(missing(absent.claim()));
        }
        if response_type.contains("id_token") && claims.get("nonce").is_none() {
            return Err(missing("nonce"));
        }
        for parameter in Parameter::ALL {
            if claims.get(parameter.claim()).is_some() {
                self.check_parameter(parameter, claims)?;
            }
        }
        match claims.get("code_challenge_method") {
            Some(method) if method != "S256" => Err(invalid("code_challenge_method", "S256")),
            Some(_) if claims.get("code_challenge").is_none() => Err(missing("code_challenge")),
            None if claims.get("code_challenge").is_some() => Err(missing("code_challenge_method")),
            _ => Ok(()),
        }
    }

    fn check_parameter(&self, parameter: Parameter, claims: &Claims) -> Result<(), Refusal> {
        let name = parameter.claim();
        let text = || claims.text(name);
        let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let sha256 = |text: &str| text.len() == 43 && text.bytes().all(base64url);
        let (fits, expected) = match parameter {
            Parameter::ResponseMode => {
                let mode = text()?;
                let fits = self.response_modes.iter().any(|known| known == mode);
                (fits, "one that the profile allows")
            }
            Parameter::RedirectUri => (is_https_url(text()?), "an https URL without fragment"),
            Parameter::Scope => (is_scope(text()?), "scopes with single spaces between"),
            Parameter::State | Parameter::Nonce | Parameter::LoginHint => {
                let text = text()?;
                let fits = text.len() <= OPAQUE_BYTES_MAX && is_printable(text);
                (fits, "1 to 512 printable ASCII characters")
            }
            Parameter::AcrValues | Parameter::Prompt | Parameter::UiLocales => {
                (is_scope(text()?), "words with single spaces between")
            }
            Parameter::CodeChallenge | Parameter::DpopJkt => {
                (sha256(text()?), "base64url of a SHA-256")
            }
            Parameter::MaxAge => {
                let seconds = claims.get(name).and_then(Value::as_u64);
                (seconds.is_some(), "a number of seconds")
            }
            Parameter::AuthorizationDetails => {
                let fits = claims.get(name).is_some_and(are_details);
                (fits, "an array of objects with a `type`")
            }
            Parameter::Claims => {
                let fits = claims.get(name).is_some_and(are_obie_claims);
                (fits, "an openbanking_intent_id and at most 8 acr values")
            }
        };
        if fits {
            Ok(())
        } else {
            Err(invalid(name, expected))
        }
    }

    /// What makes no sense, in words.
    pub(super) fn complaint(&self) -> Option<String> {
        let wrong = |what: &str| Some(format!("request_object.{what}"));
        if self.response_types.is_empty() {
            return wrong("response_types: list at least one, for example \"code\"");
        }
        let all: Vec<_> = self.required.iter().chain(&self.optional).collect();
        for (index, parameter) in all.iter().enumerate() {
            if all.iter().take(index).any(|earlier| earlier == parameter) {
                return wrong(&format!(
                    "required: `{}` is listed twice",
                    parameter.claim()
                ));
            }
        }
        let mode = all.contains(&&Parameter::ResponseMode);
        if mode == self.response_modes.is_empty() {
            return wrong(
                "response_modes: the list and the parameter `response_mode` belong together",
            );
        }
        for (response_type, mode) in &self.response_mode_of {
            let known = |list: &[String], word: &String| list.contains(word);
            if !known(&self.response_types, response_type) || !known(&self.response_modes, mode) {
                return wrong(
                    "response_mode_of: a response type of the list, and a response mode of the list",
                );
            }
        }
        None
    }
}

/// RFC 9396 §2.
fn are_details(value: &Value) -> bool {
    let has_type = |detail: &Value| detail.get("type").is_some_and(Value::is_string);
    value
        .as_array()
        .is_some_and(|details| !details.is_empty() && details.iter().all(has_type))
}

/// Exactly what [`obie_claims`] makes, in any order.
fn are_obie_claims(value: &Value) -> bool {
    let id_token = &value["id_token"];
    let Some(intent) = id_token["openbanking_intent_id"]["value"].as_str() else {
        return false;
    };
    let acr: Vec<String> = id_token["acr"]["values"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|acr| acr.as_str().map(str::to_owned))
        .collect();
    let printable = |text: &String| text.len() <= OPAQUE_BYTES_MAX && is_printable(text);
    intent.len() <= OPAQUE_BYTES_MAX
        && is_printable(intent)
        && acr.len() <= ACR_COUNT_MAX
        && acr.iter().all(printable)
        && *value == obie_claims(intent, &acr)
}

impl JwtSpec {
    fn request_object(&self) -> Result<&RequestObjectSpec, Refusal> {
        self.request_object
            .as_ref()
            .ok_or(Refusal::FormatNotAllowed {
                what: JwtKind::RequestObject.name(),
            })
    }
}
