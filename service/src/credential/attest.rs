//! Attestation: what the token says of a private key, and proof that it holds it.
//!
//! In: a version. Out: the attributes at its birth and now, with where the key is. Never: a use of the key for anybody;
//! the one signature that proves it stays in the backend. What is said is in the log, so that it cannot be said
//! otherwise later.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::json;

use super::CredentialError;
use crate::audit::Event;
use crate::backend::{BackendError, KeyEvidence, TokenInfo};
use crate::domain::{CallerName, Version, VersionState};
use crate::registry::{ChangeError, Registry};

/// What can be said of a private key.
#[derive(Debug)]
pub struct Attestation {
    /// The version, with what was said at its birth.
    pub version: Arc<Version>,
    /// When the token was asked.
    pub at: Timestamp,
    /// What it said.
    pub evidence: KeyEvidence,
    /// Where the key is.
    pub token: TokenInfo,
    /// Where that is written, `{log}/{sequence}`.
    pub audit_record: String,
}

impl Registry {
    /// Asks the token about the key of a version, and lets the key prove itself.
    ///
    /// # Errors
    /// [`CredentialError::KeyDestroyed`]; what the backend finds wrong with the key, which is in the log then too.
    pub async fn attest(
        &self,
        who: &CallerName,
        name: &str,
        deadline: Instant,
    ) -> Result<Attestation, CredentialError> {
        let version = self.find(name)?.version;
        if version.state == VersionState::Destroyed {
            return Err(CredentialError::KeyDestroyed(version.id.clone()));
        }
        let at = self.clock.now();
        let (set, keys) = (&version.token_set, [version.key]);
        let asked = self.tokens.adopt(set, &keys, deadline).await;
        let mut asked = asked.map_err(ChangeError::from)?;
        let unknown = Err(BackendError::KeyUnknown(version.key.id));
        let outcome = asked.pop().map_or(unknown, |adopted| adopted.outcome);
        let token = self.prover(&version).map_err(ChangeError::from)?;
        let data = json!({
            "version": version.id.to_string(),
            "spki_sha256": hex::encode(version.key.spki_sha256),
            "key_origin": version.origin.as_str(),
            "token_serial": token.serial,
            "module": token.module,
            "attributes": outcome.as_ref().ok(),
            "refused": outcome.as_ref().err().map(BackendError::reason),
        });
        let recorded = self
            .audit
            .append(Event::KeyAttest, Some(who.as_str()), data)
            .await;
        let sequence = recorded.map_err(ChangeError::from)?;
        Ok(Attestation {
            version,
            at,
            evidence: outcome.map_err(ChangeError::from)?,
            token,
            audit_record: format!("{}/{sequence}", self.audit.name()),
        })
    }

    /// The token of the version's set that has proven its key; any of the set when none has.
    fn prover(&self, version: &Version) -> Result<TokenInfo, BackendError> {
        let mut reports = self.tokens.replicas(&version.key).into_iter();
        let proven = reports.find(|report| report.replica.is_proven());
        let of_set = self.tokens.statuses().into_iter();
        let mut of_set = of_set.filter(|status| status.set == version.token_set);
        let found = match proven {
            Some(report) => of_set.find(|status| status.info.name == report.token),
            None => of_set.next(),
        };
        let unknown = || BackendError::SetUnknown(version.token_set.clone());
        found.map(|status| status.info).ok_or_else(unknown)
    }
}
