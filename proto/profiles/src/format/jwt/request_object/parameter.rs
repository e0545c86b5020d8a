//! The parameters of an authorisation request: their claims, and what they may say.
//!
//! Comes in: what is asked for in typed fields, or claims from outside. Goes out: claims, and refusals that name the claim.
//! What is made here and what comes from outside is judged by the same rules. Serves RFC 6749 §4.1.1, RFC 7636 §4.3,
//! RFC 9396 §2, RFC 9449 §10, OpenID Connect Core §3.1.2.1 and §5.5.

use serde::Deserialize;
use serde_json::{Value, json};

use super::RequestObject;
use crate::format::jwt::claims::{Claims, invalid, is_https_url, is_printable, is_scope, missing};
use crate::refusal::Refusal;

/// The longest `state`, `nonce` and the like, in bytes.
const OPAQUE_BYTES_MAX: usize = 512;
/// The longest `authorization_details`, in bytes of JSON.
const DETAILS_BYTES_MAX: usize = 16 * 1024;
/// The most values of `acr`.
const ACR_COUNT_MAX: usize = 8;

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
    pub(super) const ALL: [Self; 14] = [
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

    pub(super) const fn claim(self) -> &'static str {
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
    /// What was asked for.
    pub(super) fn value(self, asked: &RequestObject) -> Result<Option<Value>, Refusal> {
        let text = match self {
            Self::ResponseMode => &asked.response_mode,
            Self::RedirectUri => &asked.redirect_uri,
            Self::Scope => &asked.scope,
            Self::State => &asked.state,
            Self::Nonce => &asked.nonce,
            Self::CodeChallenge => &asked.code_challenge,
            Self::AcrValues => &asked.acr_values,
            Self::Prompt => &asked.prompt,
            Self::LoginHint => &asked.login_hint,
            Self::UiLocales => &asked.ui_locales,
            Self::DpopJkt => &asked.dpop_jkt,
            Self::MaxAge => return Ok(asked.max_age.map(Value::from)),
            Self::AuthorizationDetails => return details(asked),
            Self::Claims if asked.intent_id.is_none() && !asked.intent_acr.is_empty() => {
                return Err(missing("claims"));
            }
            Self::Claims => {
                let intent = asked.intent_id.as_deref();
                return Ok(intent.map(|id| obie_claims(id, &asked.intent_acr)));
            }
        };
        Ok(text.as_deref().map(Value::from))
    }

    /// The claim, which is there, is well-formed. `modes`: the response modes the profile allows.
    pub(super) fn check(self, claims: &Claims, modes: &[String]) -> Result<(), Refusal> {
        let name = self.claim();
        let text = || claims.text(name);
        let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let sha256 = |text: &str| text.len() == 43 && text.bytes().all(base64url);
        let (fits, expected) = match self {
            Self::ResponseMode => {
                let mode = text()?;
                let fits = modes.iter().any(|known| known == mode);
                (fits, "one that the profile allows")
            }
            Self::RedirectUri => (is_https_url(text()?), "an https URL without fragment"),
            Self::Scope => (is_scope(text()?), "scopes with single spaces between"),
            Self::State | Self::Nonce | Self::LoginHint => {
                (is_opaque(text()?), "1 to 512 printable ASCII characters")
            }
            Self::AcrValues | Self::Prompt | Self::UiLocales => {
                (is_scope(text()?), "words with single spaces between")
            }
            Self::CodeChallenge | Self::DpopJkt => (sha256(text()?), "base64url of a SHA-256"),
            Self::MaxAge => {
                let seconds = claims.get(name).and_then(Value::as_u64);
                (seconds.is_some(), "a number of seconds")
            }
            Self::AuthorizationDetails => {
                let fits = claims.get(name).is_some_and(are_details);
                (fits, "an array of objects with a `type`")
            }
            Self::Claims => {
                let fits = claims.get(name).is_some_and(are_obie_claims);
                (fits, "an openbanking_intent_id and at most 8 acr values")
            }
        };
        match fits {
            true => Ok(()),
            false => Err(invalid(name, expected)),
        }
    }
}

/// What only the client reads: `state`, `nonce` and the like.
fn is_opaque(text: &str) -> bool {
    text.len() <= OPAQUE_BYTES_MAX && is_printable(text)
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
    is_opaque(intent)
        && acr.len() <= ACR_COUNT_MAX
        && acr.iter().all(|acr| is_opaque(acr))
        && *value == obie_claims(intent, &acr)
}
