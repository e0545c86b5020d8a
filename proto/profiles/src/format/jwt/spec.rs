//! The parameters of JWTs that authorisation servers disagree on.
//!
//! Comes in: the `jwt` table of a profile. Goes out: [`JwtSpec`], checked. A kind of JWT whose table is not there is not
//! signed. Unknown keys and combinations that make no sense are refused when the profile is loaded.

use jiff::Timestamp;
use serde::Deserialize;

use super::body::BodySpec;
use super::claims::LIFETIME_SECONDS_MAX;
use super::client_assertion::{self, ClientAssertionSpec};
use super::dpop_proof;
use super::registration::RegistrationSpec;
use super::request_object::RequestObjectSpec;
use super::{JwtKind, request_object};
use crate::algorithm::{KeyType, SignatureScheme};
use crate::format::key_id::KeyId;
use crate::profile::Summary;
use crate::refusal::Refusal;

/// The setting with the name we are registered under at the authorisation server.
pub(super) const CLIENT_ID: &str = "client_id";
/// Clocks of banks and of this house agree within this, in seconds, unless a profile says otherwise (FAPI 2.0 §5.3.2.1).
const SKEW_SECONDS_MAX: u32 = 10;
/// The farthest `iat` may be moved, in seconds (FAPI 2.0 §5.3.2.1: servers refuse more than 60 in the future).
const IAT_OFFSET_SECONDS_MAX: i64 = 60;

/// `[jwt]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwtSpec {
    /// The schemes, at most one a key type.
    pub(super) schemes: Vec<SignatureScheme>,
    /// `kid` of the header; none when not set. DPoP proofs carry the key itself.
    pub(super) key_id: Option<KeyId>,
    /// Seconds added to the time of signing in `iat` and `nbf`.
    #[serde(default)]
    pub(super) iat_offset_seconds: i64,
    /// How far the clocks of the two sides may be apart, in seconds.
    #[serde(default = "skew")]
    pub(super) skew_seconds_max: u32,
    pub(super) client_assertion: Option<ClientAssertionSpec>,
    pub(super) request_object: Option<RequestObjectSpec>,
    pub(super) registration: Option<RegistrationSpec>,
    pub(super) body: Option<BodySpec>,
    /// Whether DPoP proofs are signed; RFC 9449 leaves nothing to choose.
    #[serde(default)]
    pub(super) dpop_proof: bool,
}

fn skew() -> u32 {
    SKEW_SECONDS_MAX
}

impl JwtSpec {
    /// The scheme for keys of this type.
    pub(super) fn scheme(&self, key: KeyType) -> Result<SignatureScheme, Refusal> {
        let scheme = self.schemes.iter().copied().find(|s| s.fits(&key));
        scheme.ok_or(Refusal::AlgorithmNotAllowed { key })
    }

    /// `iat`, in seconds since 1970.
    pub(super) fn issued(&self, now: Timestamp) -> i64 {
        now.as_second() + self.iat_offset_seconds
    }

    /// `typ` of the header of this kind.
    pub(super) fn typ(&self, kind: JwtKind) -> Result<Option<&str>, Refusal> {
        let typ = match kind {
            JwtKind::ClientAssertion => self.client_assertion.as_ref().map(|own| &own.typ),
            JwtKind::RequestObject => self.request_object.as_ref().map(|own| &own.typ),
            JwtKind::Registration => self.registration.as_ref().map(|own| &own.typ),
            JwtKind::Body => self.body.as_ref().map(|own| &own.typ),
            JwtKind::DpopProof => return Ok(self.dpop_proof.then_some(dpop_proof::TYP)),
        };
        let not_allowed = Refusal::FormatNotAllowed { what: kind.name() };
        typ.map(Option::as_deref).ok_or(not_allowed)
    }

    /// The settings it reads, and whether it goes without. Where several audiences are taken, any one is enough.
    pub(crate) fn settings(&self) -> Vec<(&str, bool)> {
        let mut settings = Vec::new();
        let key_id = self.key_id.as_ref().and_then(KeyId::setting);
        settings.extend(key_id.map(|name| (name, false)));
        if self.client_assertion.is_some() || self.request_object.is_some() {
            settings.push((CLIENT_ID, false));
        }
        for audiences in self.audiences() {
            let optional = audiences.len() > 1;
            settings.extend(audiences.iter().map(|name| (name.as_str(), optional)));
        }
        if let Some(registration) = &self.registration {
            settings.push((&registration.issuer, false));
        }
        if let Some(body) = &self.body {
            settings.push((&body.issuer, false));
            settings.extend(body.answer_issuer.iter().map(|name| (name.as_str(), true)));
        }
        settings
    }

    fn audiences(&self) -> impl Iterator<Item = &Vec<String>> {
        let assertion = self.client_assertion.iter().map(|own| &own.audience);
        let request = self.request_object.iter().map(|own| &own.audience);
        let registration = self.registration.iter().map(|own| &own.audience);
        assertion.chain(request).chain(registration)
    }

    /// What makes no sense, in words.
    pub(crate) fn complaint(&self) -> Option<String> {
        let rivals = |key: &KeyType| self.schemes.iter().filter(|s| s.fits(key)).count();
        if self.schemes.is_empty() || KeyType::FAMILIES.iter().any(|key| rivals(key) > 1) {
            return Some("schemes: list at least one, and one a key type".into());
        }
        if self.iat_offset_seconds.abs() > IAT_OFFSET_SECONDS_MAX {
            return Some("iat_offset_seconds: at most 60 seconds either way".into());
        }
        if self.skew_seconds_max > 60 {
            return Some("skew_seconds_max: at most 60 seconds".into());
        }
        if !self.dpop_proof && self.kinds().is_empty() {
            return Some("name a kind of JWT, for example [jwt.client_assertion]".into());
        }
        if self.audiences().any(Vec::is_empty) {
            return Some("audience: name the setting with it, for example \"issuer\"".into());
        }
        let own = self.request_object.as_ref();
        self.typ_complaint()
            .or_else(|| self.lifetime_complaint())
            .or_else(|| own.and_then(request_object::RequestObjectSpec::complaint))
    }

    /// The kinds of JWTs it signs, in a line.
    pub(crate) fn summary(&self) -> Summary {
        let kinds = self.kinds().into_iter().map(|(name, _)| name);
        let proofs = self.dpop_proof.then_some("dpop_proof");
        let key_id = self.key_id.as_ref().map(KeyId::spelled);
        Summary {
            carrier: "JWT".into(),
            signed: kinds.chain(proofs).map(str::to_owned).collect(),
            key_id: key_id.unwrap_or_else(|| "none".into()),
            algorithms: self.schemes.iter().map(|s| s.name().to_owned()).collect(),
        }
    }

    fn kinds(&self) -> Vec<(&'static str, Option<&str>)> {
        let assertion = self.client_assertion.as_ref().map(|own| &own.typ);
        let request = self.request_object.as_ref().map(|own| &own.typ);
        let registration = self.registration.as_ref().map(|own| &own.typ);
        let body = self.body.as_ref().map(|own| &own.typ);
        let kinds = [
            ("client_assertion", assertion),
            ("request_object", request),
            ("registration", registration),
            ("body", body),
        ];
        let there = kinds.into_iter();
        there
            .filter_map(|(name, typ)| Some((name, typ?.as_deref())))
            .collect()
    }

    fn typ_complaint(&self) -> Option<String> {
        let kinds = self.kinds();
        for (index, (name, typ)) in kinds.iter().enumerate() {
            let Some(typ) = typ else { continue };
            let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            if typ.is_empty() || !typ.bytes().all(byte) {
                return Some(format!("{name}.typ: a media subtype like `JWT`"));
            }
            let rival = |(_, other): &&(_, Option<&str>)| *other == Some(*typ);
            let taken = kinds.iter().take(index).find(rival);
            if *typ == dpop_proof::TYP || (*typ != "JWT" && taken.is_some()) {
                return Some(format!(
                    "{name}.typ: `{typ}` is that of another kind of JWT"
                ));
            }
        }
        None
    }

    fn lifetime_complaint(&self) -> Option<String> {
        let assertion = self
            .client_assertion
            .as_ref()
            .map(|own| own.lifetime_seconds);
        let request = self.request_object.as_ref().map(|own| own.lifetime_seconds);
        let registration = self.registration.as_ref().map(|own| own.lifetime_seconds);
        let limits = [
            (
                "client_assertion",
                assertion,
                client_assertion::LIFETIME_SECONDS_MAX,
            ),
            ("request_object", request, LIFETIME_SECONDS_MAX),
            ("registration", registration, LIFETIME_SECONDS_MAX),
        ];
        let fits = |lifetime: u32, max: u32| (1..=max).contains(&lifetime);
        let wrong =
            |(_, lifetime, max): &(_, Option<u32>, u32)| !lifetime.is_none_or(|l| fits(l, *max));
        let (name, _, max) = limits.into_iter().find(wrong)?;
        Some(format!("{name}.lifetime_seconds: 1 to {max} seconds"))
    }
}
