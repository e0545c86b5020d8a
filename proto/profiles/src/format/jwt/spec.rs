//! The parameters of JWTs that authorisation servers disagree on.
//!
//! Comes in: the `jwt` table of a profile. Goes out: [`JwtSpec`], checked. A kind of JWT whose table is not there is not
//! signed. Unknown keys and combinations that make no sense are refused when the profile is loaded.

use jiff::Timestamp;
use serde::Deserialize;

use super::body::BodySpec;
use super::claims::Moment;
use super::client_assertion::ClientAssertionSpec;
use super::registration::RegistrationSpec;
use super::request_object::RequestObjectSpec;
use super::{JwtKind, dpop_proof};
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

/// A table of `[jwt]`, as far as they are alike.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) kind: JwtKind,
    /// As it stands in the profile.
    pub(super) name: &'static str,
    /// `typ` of the header; none when not set.
    pub(super) typ: Option<&'a str>,
    /// The settings with the audiences taken, for kinds that have them there.
    pub(super) audience: Option<&'a [String]>,
    /// `exp` less `iat` and the most it may be, for kinds that end.
    pub(super) lifetime_seconds: Option<(u32, u32)>,
}

/// The table of a kind of JWT; a kind without one is not signed.
pub(super) fn own<T>(table: &Option<T>, kind: JwtKind) -> Result<&T, Refusal> {
    let not_allowed = Refusal::FormatNotAllowed { what: kind.name() };
    table.as_ref().ok_or(not_allowed)
}

impl JwtSpec {
    /// The scheme for keys of this type.
    pub(super) fn scheme(&self, key: KeyType) -> Result<SignatureScheme, Refusal> {
        let scheme = self.schemes.iter().copied().find(|s| s.fits(&key));
        scheme.ok_or(Refusal::AlgorithmNotAllowed { key })
    }

    /// `iat`, in seconds since 1970.
    pub(crate) fn issued(&self, now: Timestamp) -> i64 {
        now.as_second() + self.iat_offset_seconds
    }

    /// When claims are judged at `now`.
    pub(super) fn moment(&self, now: Timestamp) -> Moment {
        Moment {
            now,
            skew_seconds_max: self.skew_seconds_max,
        }
    }

    /// `typ` of the header of this kind.
    pub(super) fn typ(&self, kind: JwtKind) -> Result<Option<&str>, Refusal> {
        if kind == JwtKind::DpopProof {
            return Ok(self.dpop_proof.then_some(dpop_proof::TYP));
        }
        let table = self.tables().find(|table| table.kind == kind);
        Ok(own(&table, kind)?.typ)
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

    fn audiences(&self) -> impl Iterator<Item = &[String]> {
        self.tables().filter_map(|table| table.audience)
    }

    /// The tables that are there.
    fn tables(&self) -> impl Iterator<Item = Table<'_>> {
        let assertion = self.client_assertion.as_ref().map(|own| own.table());
        let request = self.request_object.as_ref().map(|own| own.table());
        let registration = self.registration.as_ref().map(|own| own.table());
        let body = self.body.as_ref().map(|own| own.table());
        [assertion, request, registration, body]
            .into_iter()
            .flatten()
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
        if !self.dpop_proof && self.tables().next().is_none() {
            return Some("name a kind of JWT, for example [jwt.client_assertion]".into());
        }
        if self.audiences().any(<[String]>::is_empty) {
            return Some("audience: name the setting with it, for example \"issuer\"".into());
        }
        let own = self.request_object.as_ref();
        self.typ_complaint()
            .or_else(|| self.lifetime_complaint())
            .or_else(|| own.and_then(RequestObjectSpec::complaint))
    }

    /// The kinds of JWTs it signs, in a line.
    pub(crate) fn summary(&self) -> Summary {
        let kinds = self.tables().map(|table| table.name);
        let proofs = self.dpop_proof.then_some("dpop_proof");
        let key_id = self.key_id.as_ref().map(KeyId::spelled);
        Summary {
            carrier: "JWT".into(),
            signed: kinds.chain(proofs).map(str::to_owned).collect(),
            key_id: key_id.unwrap_or_else(|| "none".into()),
            algorithms: self.schemes.iter().map(|s| s.name().to_owned()).collect(),
        }
    }

    fn typ_complaint(&self) -> Option<String> {
        let mut earlier: Vec<&str> = Vec::new();
        for Table { name, typ, .. } in self.tables() {
            let Some(typ) = typ else { continue };
            let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            if typ.is_empty() || !typ.bytes().all(byte) {
                return Some(format!("{name}.typ: a media subtype like `JWT`"));
            }
            if typ == dpop_proof::TYP || (typ != "JWT" && earlier.contains(&typ)) {
                return Some(format!(
                    "{name}.typ: `{typ}` is that of another kind of JWT"
                ));
            }
            earlier.push(typ);
        }
        None
    }

    fn lifetime_complaint(&self) -> Option<String> {
        self.tables().find_map(|table| {
            let (lifetime, max) = table.lifetime_seconds?;
            let fits = (1..=max).contains(&lifetime);
            (!fits).then(|| format!("{}.lifetime_seconds: 1 to {max} seconds", table.name))
        })
    }
}
