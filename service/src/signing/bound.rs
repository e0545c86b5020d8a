//! Who asks, and the version that the bank accepts now.

use std::sync::Arc;

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::Profile;
use sealkeep_profiles::request::HttpRequest;
use serde_json::json;

use super::{Ready, SigningError};
use crate::authz::{self, Denied, Grant};
use crate::bank::rotation::moving::{Pick, share};
use crate::domain::{CallerName, Issued, Operation, Purpose, Version};
use crate::policy::{self, Facts, Permit, Unfit};
use crate::world::Snapshot;

/// What a caller asked for, in the caller's words.
pub(super) struct Asked<'a> {
    pub(super) caller: &'a CallerName,
    pub(super) operation: Operation,
    pub(super) bank: &'a str,
    pub(super) credential: &'a str,
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        caller: &'a CallerName,
        operation: Operation,
        bank: &'a str,
        credential: &'a str,
    ) -> Self {
        Self {
            caller,
            operation,
            bank,
            credential,
        }
    }

    pub(super) fn grant(&self, snapshot: &Snapshot) -> Result<Grant, Denied> {
        authz::grant(
            snapshot,
            self.caller,
            self.operation,
            self.credential,
            self.bank,
        )
    }

    /// The record of a refusal. Names come from outside: they are cut, and JSON escapes the rest.
    pub(super) fn refused(&self, error: &SigningError) -> serde_json::Value {
        let cut = |text: &str| text.chars().take(80).collect::<String>();
        let field = match error {
            SigningError::Refused(refusal) => Some(cut(&refusal.field())),
            _ => None,
        };
        json!({
            "operation": self.operation.as_str(),
            "bank": cut(self.bank),
            "credential": cut(self.credential),
            "reason": error.reason(),
            "field": field,
        })
    }
}

/// The version that a bank accepts now, with its chain.
pub(super) struct Bound<'a> {
    pub(super) version: &'a Arc<Version>,
    pub(super) issued: &'a Issued,
    pub(super) purpose: Purpose,
}

impl<'a> Bound<'a> {
    pub(super) fn of(
        grant: &Grant,
        snapshot: &'a Snapshot,
        now: Timestamp,
        share: impl FnOnce() -> u8,
    ) -> Result<Self, SigningError> {
        let not_bound = || SigningError::NotBound(grant.not_bound());
        let destination = snapshot.banks.get(&grant.destination().bank.name);
        let pick = destination.and_then(|d| d.pick(grant.credential().as_str(), now, share));
        let version = match pick.ok_or_else(not_bound)? {
            Pick::Version(version) => version,
            Pick::Held { until } => {
                let bank = grant.destination().bank.name.to_string();
                return Err(SigningError::Held { bank, until });
            }
        };
        let credential = snapshot
            .credentials
            .get(grant.credential())
            .ok_or_else(not_bound)?;
        // A version without certificate is one for decryption, which this names.
        policy::usable(grant, version, credential.purpose)?;
        let issued = version.issued.as_ref().ok_or_else(not_bound)?;
        Ok(Self {
            version,
            issued,
            purpose: credential.purpose,
        })
    }

    /// Whether the request is fit to be signed by this version now.
    pub(super) fn permit(
        &self,
        grant: Grant,
        facts: Facts<'_>,
        now: Timestamp,
    ) -> Result<Permit, Unfit> {
        policy::decide(grant, self.version, self.issued, self.purpose, facts, now)
    }

    /// What is permitted and prepared, for the key.
    pub(super) fn ready(
        &self,
        permit: Permit,
        prepared: Prepared,
        profile: Option<Arc<Profile>>,
    ) -> Ready {
        Ready {
            permit,
            prepared,
            version: self.version.clone(),
            profile,
        }
    }

    pub(super) fn certificate(&self) -> &'a Certificate {
        self.issued.leaf()
    }
}

/// The share of a request in a canary: by its request id, so that a repetition gets the same version; without one by
/// what it asks for.
pub(super) fn http_share(grant: &Grant, request: &HttpRequest) -> u8 {
    let profile = &grant.destination().profile;
    let id = profile
        .request_id()
        .and_then(|id| request.header(id.header).first().copied());
    share(id.unwrap_or_else(|| request.target()).as_bytes())
}

/// A transport credential has no canary.
pub(super) fn no_share() -> u8 {
    u8::MAX
}
