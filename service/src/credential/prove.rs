//! Which tokens of a set have the key of a version: proven by using it.
//!
//! In: the wish of an officer, or a version that is about to be put to use. Out: what each token has. A set survives the
//! loss of a token only if the others have the key, so no version is activated before every required one has proven it;
//! copying a key from token to token is the vendor's business, not ours.

use std::time::{Duration, Instant};

use serde_json::json;

use super::CredentialError;
use super::checks::Finding;
use crate::audit::Event;
use crate::backend::tokens::{Replica, ReplicaReport};
use crate::clock;
use crate::domain::{CallerName, Version, VersionId};
use crate::registry::{ChangeError, Registry};

/// How long the tokens of a set may take to prove a key before a version is activated, seconds.
const PROVE_TIMEOUT_S: u64 = 10;

impl Registry {
    /// Has every token of the version's set prove its key now. A token that does is no longer suspected.
    pub async fn prove(
        &self,
        who: &CallerName,
        name: &str,
        deadline: Instant,
    ) -> Result<(VersionId, Vec<ReplicaReport>), CredentialError> {
        let _turn = self.turn().await?;
        let version = self.find(name)?.version;
        let key = &version.key;
        let before = self.tokens.replicas(key);
        let suspects = before.iter().filter(|it| it.replica == Replica::Suspect);
        let data = json!({
            "version": version.id.to_string(),
            "key_id": key.id.to_string(),
            "suspect_before": suspects.map(|it| it.token.as_str()).collect::<Vec<_>>(),
        });
        let announced = self.audit.append(Event::KeyProve, Some(who.as_str()), data);
        let announced = announced.await.map_err(ChangeError::from)?;
        let proven = match self.tokens.prove(key, deadline).await {
            Ok(report) => {
                let store = self.world.store();
                let ended = store.end_suspicions(key.id, &proven(&report)).await;
                ended.map(|()| report).map_err(ChangeError::from)
            }
            Err(error) => Err(error.into()),
        };
        match proven {
            Ok(report) => Ok((version.id.clone(), report)),
            Err(error) => {
                let recorded = self.failed(who, announced, &error.to_string()).await;
                recorded.map_err(ChangeError::from)?;
                Err(error.into())
            }
        }
    }

    /// Refuses a version whose key is not proven at every required token of its set; names those that have proven it. A
    /// token alone has been seen to use the key before.
    pub(super) async fn require_replicas(
        &self,
        version: &Version,
    ) -> Result<Vec<String>, CredentialError> {
        let known = self.tokens.replicas(&version.key);
        if known.len() < 2 {
            return Ok(proven(&known));
        }
        let deadline = clock::monotonic() + Duration::from_secs(PROVE_TIMEOUT_S);
        let report = self.tokens.prove_unproven(&version.key, deadline).await;
        let report = report.map_err(ChangeError::from)?;
        match lacking(&report, true) {
            lacking if lacking.is_empty() => Ok(proven(&report)),
            lacking => Err(CredentialError::NotReplicated {
                version: version.id.clone(),
                lacking,
            }),
        }
    }

    /// What an officer who installs a certificate should know: the key has yet to be copied.
    pub(super) fn replica_finding(&self, version: &Version) -> Option<Finding> {
        let lacking = lacking(&self.tokens.replicas(&version.key), false);
        let detail = || format!("the key is not proven everywhere: {}", lacking.join(", "));
        (!lacking.is_empty()).then(|| Finding::warn("key.replicas", detail()))
    }
}

/// The tokens that have proven a key.
fn proven(report: &[ReplicaReport]) -> Vec<String> {
    let proven = report.iter().filter(|it| it.replica.is_proven());
    proven.map(|it| it.token.clone()).collect()
}

/// The tokens that have not proven a key, with what is known: `hsm-b: missing`.
fn lacking(report: &[ReplicaReport], required_only: bool) -> Vec<String> {
    let lacking = report.iter().filter(|it| !it.replica.is_proven());
    let lacking = lacking.filter(|it| it.is_required || !required_only);
    lacking
        .map(|it| format!("{}: {}", it.token, it.replica))
        .collect()
}
