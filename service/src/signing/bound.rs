//! Who asks, and the version that the bank accepts now.

use std::sync::Arc;
use std::time::Duration;

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
    /// The verification it belongs to; empty for everything else.
    pub(super) verification: &'a str,
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
            verification: "",
        }
    }

    /// The same as part of a verification.
    pub(super) fn verifying(self, verification: &'a str) -> Self {
        Self {
            verification,
            ..self
        }
    }

    /// The verification it belongs to, if it belongs to one.
    pub(super) fn in_verification(&self) -> Option<&'a str> {
        Some(self.verification).filter(|id| !id.is_empty())
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
    verification: Option<String>,
}

impl<'a> Bound<'a> {
    pub(super) fn of(
        asked: &Asked<'_>,
        grant: &Grant,
        snapshot: &'a Snapshot,
        now: Timestamp,
        share: impl FnOnce() -> u8,
    ) -> Result<Self, SigningError> {
        let not_bound = || SigningError::NotBound(grant.not_bound());
        let version = chosen(asked, grant, snapshot, now, share)?;
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
            verification: asked.in_verification().map(str::to_owned),
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
            verification: self.verification.clone(),
        }
    }

    pub(super) fn certificate(&self) -> &'a Certificate {
        self.issued.leaf()
    }
}

/// The version that a verification tries, or the one that the bank accepts now.
pub(super) fn chosen<'a>(
    asked: &Asked<'_>,
    grant: &Grant,
    snapshot: &'a Snapshot,
    now: Timestamp,
    share: impl FnOnce() -> u8,
) -> Result<&'a Arc<Version>, SigningError> {
    let bank = &grant.destination().bank.name;
    if let Some(id) = asked.in_verification() {
        let known = snapshot.verifications.get(id);
        let known = known.filter(|verification| verification.serves(asked.caller, bank, now));
        let tried = &known.ok_or(SigningError::VerificationEnded)?.version;
        if tried.credential == *grant.credential() {
            let credential = snapshot.credentials.get(grant.credential());
            let version = credential.and_then(|credential| credential.version(tried.number));
            return version.ok_or_else(|| grant.not_bound().into());
        }
        // The other certificate of the same connection is the one that the bank knows.
    }
    let destination = snapshot.banks.get(bank);
    let pick = destination.and_then(|d| d.pick(grant.credential().as_str(), now, share));
    match pick.ok_or_else(|| grant.not_bound())? {
        Pick::Version(version) => Ok(version),
        Pick::Held { until } => {
            let bank = bank.to_string();
            Err(SigningError::Held {
                bank,
                until,
                retry_after: Duration::try_from(until.duration_since(now)).unwrap_or_default(),
            })
        }
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
