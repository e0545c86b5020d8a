//! What happens to a version whose certificate is revoked.
//!
//! In: a certificate, what its issuer says. Out: the version stopped, with a record that names nobody. Never: a wait for
//! anybody's turn; whoever changes the same version meanwhile finds it stopped.
//!
//! A revoked certificate is a fact that banks can see too: they refuse it, and a seal under it proves nothing. So the
//! version becomes `Revoked` at once and for ever, as if two officers had said so, and signing with it stops. A suspended
//! one (`certificate-hold`) may come back and becomes `Frozen`; officers unfreeze it, and it freezes again as long as the
//! last word is the suspension. A revoked CA above it only raises
//! the alarm: banks may know another way to a root, and whole firms would stop.

use sealkeep_profiles::certificate::Certificate;
use serde_json::json;

use crate::audit::Event;
use crate::credential::state::{self, Happening};
use crate::domain::{CallerName, Revocation, RevocationReason, Version, VersionId, VersionState};
use crate::registry::{ChangeError, Registry};
use crate::store::{StateChange, StoreError};

/// How often stopping a version is tried when somebody else changes it at the same moment.
const ATTEMPTS_MAX: u32 = 4;

impl Registry {
    /// Stops every version in use whose certificate is known to be revoked. What is known is written before, so this is
    /// caught up with when somebody broke off in between.
    pub(super) async fn stop_what_is_revoked(&self) -> Result<(), ChangeError> {
        let snapshot = self.world.load();
        let versions = snapshot.credentials.values().flat_map(|c| &c.versions);
        for version in versions.filter(|version| version.state.is_live()) {
            let leaf = version.issued.as_ref().map(|issued| issued.leaf());
            let known = leaf.and_then(|leaf| snapshot.revocations.get(&leaf.sha256()));
            if let (Some(leaf), Some(known)) = (leaf, known)
                && let Some((_, reason)) = known.revoked()
            {
                self.stop_one(&version.id, leaf, known, reason).await?;
            }
        }
        Ok(())
    }

    async fn stop_one(
        &self,
        id: &VersionId,
        certificate: &Certificate,
        known: &Revocation,
        reason: RevocationReason,
    ) -> Result<(), ChangeError> {
        let happening = match reason {
            RevocationReason::CertificateHold => Happening::Frozen,
            _ => Happening::Revoked,
        };
        for attempt in 1.. {
            let snapshot = self.world.load();
            let version = snapshot.credentials.get(&id.credential);
            let Some(version) = version.and_then(|c| c.version(id.number)) else {
                return Ok(());
            };
            // One that signs no more for another reason stays as it is.
            let Ok(to) = state::next(version.state, happening) else {
                return Ok(());
            };
            let (from, id) = (version.state, id.clone());
            let change = StateChange { id, from, to };
            let data = record(version, certificate, known, to);
            let changes = [change];
            let write = self.world.store().change_states(&changes);
            match self
                .change(None::<&CallerName>, Event::RevocationFound, data, write)
                .await
            {
                Err(ChangeError::Store(StoreError::ChangedMeanwhile(_)))
                    if attempt < ATTEMPTS_MAX =>
                {
                    self.world.refresh().await?;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    tracing::error!(version = %version.id, state = to.as_str(), reason = reason.as_str(),
                        "certificate revoked by its issuer; the version signs no more");
                    return Ok(());
                }
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// What the audit log keeps: enough to ask the issuer why.
fn record(
    version: &Version,
    certificate: &Certificate,
    known: &Revocation,
    to: VersionState,
) -> serde_json::Value {
    let statement = known.statement.as_ref().map(|(statement, _)| statement);
    let at = known.revoked().map(|(at, _)| at);
    json!({
        "version": version.id.to_string(),
        "state": to.as_str(),
        "certificate_sha256": hex::encode(certificate.sha256()),
        "serial_number": certificate.serial_hex(),
        "source": statement.map(|s| s.source.as_str()),
        "revoke_time": at,
        "reason": known.revoked().map(|(_, reason)| reason.as_str()),
        "this_update": statement.map(|s| s.this_update),
    })
}
