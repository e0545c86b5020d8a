//! Registrations: what a client tells an authorisation server about itself, around the directory's software statement.
//!
//! Comes in: the software statement as the directory issued it, and metadata in typed fields. Goes out: `iss` (the software),
//! `aud`, `jti`, `iat`, `exp`, the metadata, `software_statement`. The statement's own signature is for the bank to check; that it
//! is about this software, and lists the redirect URIs, is checked here. Serves RFC 7591 §2, §3.1.1, OBIE DCR 3.x.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::{
    Claims, LIFETIME_SECONDS_MAX, Moment, invalid, is_https_url, is_printable, is_scope, missing,
};
use super::spec::Table;
use super::{Facts, JwtKind};
use crate::algorithm::SignatureScheme;
use crate::profile::Settings;
use crate::refusal::Refusal;

/// The longest software statement, in bytes.
const STATEMENT_BYTES_MAX: usize = 64 * 1024;
/// The most entries of a list.
const LIST_COUNT_MAX: usize = 64;
/// Where a metadatum of one text stands, and where a list does.
type Text = fn(&Registration) -> &Option<String>;
type List = fn(&Registration) -> &[String];

/// The metadata that are one text, by their claim (RFC 7591 §2, OpenID Connect Registration §2, RFC 8705 §2.1.2).
const TEXTS: [(&str, Text); 9] = [
    ("application_type", |asked| &asked.application_type),
    ("client_id", |asked| &asked.client_id),
    ("id_token_signed_response_alg", |asked| {
        &asked.id_token_signed_response_alg
    }),
    ("request_object_signing_alg", |asked| {
        &asked.request_object_signing_alg
    }),
    ("scope", |asked| &asked.scope),
    ("software_id", |asked| &asked.software_id),
    ("tls_client_auth_subject_dn", |asked| {
        &asked.tls_client_auth_subject_dn
    }),
    ("token_endpoint_auth_method", |asked| {
        &asked.token_endpoint_auth_method
    }),
    ("token_endpoint_auth_signing_alg", |asked| {
        &asked.token_endpoint_auth_signing_alg
    }),
];
/// The metadata that are lists of texts.
const LISTS: [(&str, List); 3] = [
    ("redirect_uris", |asked| &asked.redirect_uris),
    ("grant_types", |asked| &asked.grant_types),
    ("response_types", |asked| &asked.response_types),
];
/// The claims every registration has.
const COMMON: [&str; 6] = ["iss", "aud", "jti", "iat", "exp", "software_statement"];

/// `[jwt.registration]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistrationSpec {
    /// `typ` of the header; none when not set.
    typ: Option<String>,
    /// The setting that names the software.
    pub(super) issuer: String,
    /// The settings with the audiences the server takes; the first that is set is the default.
    audience: Vec<String>,
    /// `exp` less `iat`, in seconds.
    lifetime_seconds: u32,
}

/// Asks for a registration. What is empty is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the fields are the metadata of RFC 7591 §2 and its extensions"
)]
pub struct Registration {
    /// Which audience of the bank's settings; `None` for the first.
    pub audience: Option<String>,
    /// The directory's signed statement, a compact JWS.
    pub software_statement: String,
    pub redirect_uris: Vec<String>,
    pub grant_types: Vec<String>,
    pub response_types: Vec<String>,
    pub application_type: Option<String>,
    /// Of an earlier registration that this one changes.
    pub client_id: Option<String>,
    pub id_token_signed_response_alg: Option<String>,
    pub request_object_signing_alg: Option<String>,
    pub scope: Option<String>,
    pub software_id: Option<String>,
    pub tls_client_auth_subject_dn: Option<String>,
    pub token_endpoint_auth_method: Option<String>,
    pub token_endpoint_auth_signing_alg: Option<String>,
}

impl RegistrationSpec {
    pub(super) fn table(&self) -> Table<'_> {
        Table {
            kind: JwtKind::Registration,
            name: "registration",
            typ: self.typ.as_deref(),
            audience: Some(&self.audience),
            lifetime_seconds: Some((self.lifetime_seconds, LIFETIME_SECONDS_MAX)),
        }
    }

    pub(super) fn claims(&self, asked: &Registration, facts: Facts<'_>) -> Result<Claims, Refusal> {
        let mut claims = Claims::default();
        claims.set("iss", facts.settings.require(&self.issuer)?);
        claims.set(
            "aud",
            facts.audience(asked.audience.as_deref(), &self.audience)?,
        );
        claims.set("jti", facts.jti);
        claims.set("iat", facts.issued);
        claims.set("exp", facts.ends(self.lifetime_seconds));
        for (name, text) in TEXTS {
            claims.set_some(name, text(asked).as_deref());
        }
        for (name, list) in LISTS {
            let list = list(asked);
            claims.set_some(name, (!list.is_empty()).then(|| list.to_vec()));
        }
        claims.set("software_statement", asked.software_statement.as_str());
        Ok(claims)
    }

    /// What holds for every registration; answers with `iat`.
    pub(super) fn check(
        &self,
        claims: &Claims,
        settings: &Settings,
        moment: Moment,
    ) -> Result<Timestamp, Refusal> {
        let texts = TEXTS.map(|(name, _)| name);
        let lists = LISTS.map(|(name, _)| name);
        claims.only(&[&COMMON[..], &texts[..], &lists[..]].concat())?;
        let software = settings.require(&self.issuer)?;
        claims.exactly("iss", software)?;
        claims.check_audience(&self.audience, settings)?;
        claims.check_jti()?;
        for name in texts {
            check_text(name, claims)?;
        }
        for name in lists {
            check_list(name, claims)?;
        }
        check_statement(claims, software)?;
        claims.check_times(moment)
    }
}

fn check_text(name: &'static str, claims: &Claims) -> Result<(), Refusal> {
    if claims.get(name).is_none() {
        return Ok(());
    }
    let text = claims.text(name)?;
    let weak = |name: &str| name.ends_with("_alg");
    let is_algorithm = |text: &str| {
        let mut schemes = SignatureScheme::ALL.iter();
        schemes.any(|scheme| scheme.jws_name() == text)
    };
    match name {
        name if weak(name) && !is_algorithm(text) => {
            Err(invalid(name, "a JWS algorithm with a private key"))
        }
        "scope" if !is_scope(text) => Err(invalid(name, "scopes with single spaces between")),
        // A subject may have names outside of ASCII; all else is a word.
        "tls_client_auth_subject_dn" => Ok(()),
        name if !is_printable(text) => Err(invalid(name, "printable ASCII")),
        _ => Ok(()),
    }
}

fn check_list(name: &'static str, claims: &Claims) -> Result<(), Refusal> {
    let Some(value) = claims.get(name) else {
        return match name {
            "redirect_uris" => Err(missing(name)),
            _ => Ok(()),
        };
    };
    let entry = |entry: &Value| match entry.as_str() {
        Some(url) if name == "redirect_uris" => is_https_url(url),
        Some(word) => is_scope(word),
        None => false,
    };
    let list = value
        .as_array()
        .filter(|list| (1..=LIST_COUNT_MAX).contains(&list.len()));
    match list.is_some_and(|list| list.iter().all(entry)) {
        true => Ok(()),
        false if name == "redirect_uris" => Err(invalid(name, "1 to 64 https URLs")),
        false => Err(invalid(name, "1 to 64 words")),
    }
}

/// A JWS about this software that lists the redirect URIs, where the statement says so at all.
fn check_statement(claims: &Claims, software: &str) -> Result<(), Refusal> {
    const NAME: &str = "software_statement";
    let statement = claims.get(NAME).ok_or_else(|| missing(NAME))?;
    let inside = statement
        .as_str()
        .and_then(claims_of)
        .ok_or_else(|| invalid(NAME, "a compact JWS of at most 65536 bytes"))?;
    let about = inside.get("software_id").and_then(Value::as_str);
    if about.is_some_and(|about| about != software) {
        return Err(invalid(NAME, "about the software of the bank's settings"));
    }
    let registered = inside
        .get("software_redirect_uris")
        .and_then(Value::as_array);
    let asked = claims.get("redirect_uris").and_then(Value::as_array);
    let (Some(registered), Some(asked)) = (registered, asked) else {
        return Ok(());
    };
    match asked.iter().all(|uri| registered.contains(uri)) {
        true => Ok(()),
        false => Err(invalid(
            "redirect_uris",
            "among those of the software statement",
        )),
    }
}

fn claims_of(statement: &str) -> Option<Map<String, Value>> {
    if statement.len() > STATEMENT_BYTES_MAX {
        return None;
    }
    let parts: Vec<&str> = statement.split('.').collect();
    let [protected, payload, signature] = parts.as_slice() else {
        return None;
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok().filter(|b| !b.is_empty());
    decode(signature)?;
    super::verify::object(&decode(protected)?).ok()?;
    super::verify::object(&decode(payload)?).ok()
}
