//! Whose step is due, and what came of it.
//!
//! In: submitted enrolments, the ways to QTSPs. Out: certificates installed, failures recorded. Never: a step while the one
//! before is not stored; an installation that skips a check.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use sealkeep_cmp::request::Reason;
use serde_json::json;

use super::decide::{Waiting, after};
use super::signer::speaker;
use super::{EnrolError, Errand, Order, Progress};
use crate::audit::Event;
use crate::clock;
use crate::credential::CredentialError;
use crate::credential::csr::armour;
use crate::domain::{
    Credential, Enrolment, EnrolmentState, Name, RevocationReason, Version, VersionState, Wish,
};
use crate::registry::{ChangeError, Registry};
use crate::world::Snapshot;

/// Longest wait between two looks for what is due, seconds: the wall clock may be set.
const LOOK_INTERVAL_MAX_S: i64 = 30;
/// How long installing may take, seconds.
const INSTALL_TIMEOUT_S: u64 = 30;

/// What the version of an open enrolment says about it.
#[derive(Debug)]
enum Standing<'a> {
    /// What is asked for is wanted still.
    Wanted(&'a Credential, &'a Version),
    /// Somebody installed a certificate meanwhile.
    Installed,
    /// Nobody will need one.
    Gone,
}

fn standing<'a>(snapshot: &'a Snapshot, enrolment: &Enrolment) -> Standing<'a> {
    let id = &enrolment.version;
    let credential = snapshot.credentials.get(&id.credential);
    let found =
        credential.and_then(|credential| Some((credential, credential.version(id.number)?)));
    let Some((credential, version)) = found else {
        return Standing::Gone;
    };
    let wanted = match enrolment.wish {
        Wish::Certificate => version.state == VersionState::Requested,
        Wish::Revocation(_) => version.issued.is_some(),
    };
    match (wanted, version.issued.is_some()) {
        (true, _) => Standing::Wanted(credential, version),
        (false, true) => Standing::Installed,
        (false, false) => Standing::Gone,
    }
}

impl Registry {
    /// Takes every step that is due on this way to a QTSP; answers when the next one is. `None` is for what was asked
    /// for on a way that is not configured any more.
    async fn take_steps(&self, way: Option<&Name>) -> Result<Option<Timestamp>, ChangeError> {
        let mut next: Option<Timestamp> = None;
        let all = self.world.store().unsettled_enrolments().await?;
        for enrolment in all {
            let asked = self.enrollers.get_key_value(&enrolment.enroller);
            let is_ours = asked.map(|(name, _)| name) == way;
            if !is_ours || enrolment.state != EnrolmentState::Pending {
                continue;
            }
            let settled = !matches!(
                standing(&self.world.load(), &enrolment),
                Standing::Wanted(..)
            );
            let mut done = enrolment;
            if settled || done.next <= self.clock.now() {
                done = self.take_step(done).await?;
            }
            if done.state == EnrolmentState::Pending {
                next = next.into_iter().chain([done.next]).min();
            }
        }
        Ok(next)
    }

    async fn take_step(&self, enrolment: Enrolment) -> Result<Enrolment, ChangeError> {
        let step = self.ask_enroller(&enrolment).await;
        let now = self.clock.now();
        if let Err(EnrolError::Later(_) | EnrolError::Anew(_)) = &step {
            self.enrolling.step_failed(&enrolment.enroller);
        }
        let done = match step {
            Ok(None) => ended(enrolment, EnrolmentState::Installed, "installed by hand"),
            Ok(Some(Progress::Pending {
                ticket,
                check_after_s,
                detail,
            })) => {
                let waiting = Waiting {
                    ticket,
                    check_after_s,
                    detail,
                };
                after(enrolment, Ok(waiting), now)
            }
            Ok(Some(Progress::Issued(chain))) => self.install_issued(enrolment, &chain).await,
            Ok(Some(Progress::Revoked)) => ended(enrolment, EnrolmentState::Revoked, "revoked"),
            Err(error) => after(enrolment, Err(error), now),
        };
        // What the QTSP has said is true whether or not it is wanted still, and recorded before anybody sees it.
        let event = match done.state {
            EnrolmentState::Failed => Some(Event::EnrolmentFailed),
            EnrolmentState::Revoked => Some(Event::EnrolmentRevoked),
            // Installation and withdrawal have records of their own.
            EnrolmentState::Pending | EnrolmentState::Installed | EnrolmentState::Withdrawn => None,
        };
        if let Some(event) = event {
            let data = json!({ "version": done.version.to_string(), "why": done.detail });
            let who = Some(done.author.as_str());
            self.audit.append(event, who, data).await?;
        }
        if !self.world.store().step_enrolment(&done).await? {
            // Withdrawn while the step was under way.
            let state = EnrolmentState::Withdrawn;
            return Ok(Enrolment { state, ..done });
        }
        if done.state != EnrolmentState::Pending {
            // What is open is part of the snapshot.
            self.world.refresh().await?;
        }
        Ok(done)
    }

    /// None when the version has a certificate already.
    async fn ask_enroller(&self, enrolment: &Enrolment) -> Result<Option<Progress>, EnrolError> {
        let snapshot = self.world.load();
        let (credential, version) = match standing(&snapshot, enrolment) {
            Standing::Wanted(credential, version) => (credential, version),
            Standing::Installed => return Ok(None),
            Standing::Gone => {
                let gone = "the version is out of use";
                return Err(EnrolError::Never(gone.to_owned()));
            }
        };
        let Some(enroller) = self.enrollers.get(&enrolment.enroller) else {
            let gone = format!("enroller {} is not configured any more", enrolment.enroller);
            return Err(EnrolError::Later(gone));
        };
        let order = self.order(enrolment, credential, version)?;
        enroller.step(order).await.map(Some)
    }

    fn order(
        &self,
        enrolment: &Enrolment,
        credential: &Credential,
        version: &Version,
    ) -> Result<Order, EnrolError> {
        let never = |why: &str| EnrolError::Never(why.to_owned());
        let (id, author) = (&version.id, &enrolment.author);
        let without = || never("a decryption key has no certificate, so nothing is asked for");
        let errand = match enrolment.wish {
            Wish::Certificate => {
                let old = speaker(credential, id.number, self.clock.now());
                let renews = old.and_then(|old| self.signer(old, id, author));
                Errand::Certificate { renews }
            }
            Wish::Revocation(reason) => {
                let issued = version.issued.as_ref().ok_or_else(without)?;
                let certificate = issued.leaf().der().to_vec();
                Errand::Revocation {
                    certificate,
                    reason: given(reason),
                }
            }
        };
        let signer = self.signer(version, id, author);
        Ok(Order {
            errand,
            version: id.clone(),
            key: signer.ok_or_else(|| never("a key of this kind cannot prove anything"))?,
            csr_der: version.csr_der.clone().ok_or_else(without)?,
            spki_sha256: version.key.spki_sha256,
            ticket: enrolment.ticket.clone(),
        })
    }

    /// Installs what came, through the same checks as what a person brings.
    async fn install_issued(&self, enrolment: Enrolment, chain: &[Vec<u8>]) -> Enrolment {
        let pem: String = chain.iter().map(|der| armour("CERTIFICATE", der)).collect();
        let name = enrolment.version.resource();
        let deadline = clock::monotonic() + Duration::from_secs(INSTALL_TIMEOUT_S);
        let author = enrolment.author.clone();
        let done = self.install(&author, &name, pem.as_bytes(), false, deadline);
        let error = match done.await {
            Ok(_) => {
                let how = "installed; activate it";
                return ended(enrolment, EnrolmentState::Installed, how);
            }
            Err(CredentialError::Change(error)) => EnrolError::Later(error.to_string()),
            Err(error) => EnrolError::Never(error.to_string()),
        };
        after(enrolment, Err(error), self.clock.now())
    }
}

/// The reasons that a TPP may give; what an issuer alone can know is left unsaid.
fn given(reason: RevocationReason) -> Reason {
    match reason {
        RevocationReason::KeyCompromise => Reason::KeyCompromise,
        RevocationReason::AffiliationChanged => Reason::AffiliationChanged,
        RevocationReason::Superseded => Reason::Superseded,
        RevocationReason::CessationOfOperation => Reason::CessationOfOperation,
        RevocationReason::Unspecified
        | RevocationReason::CaCompromise
        | RevocationReason::CertificateHold
        | RevocationReason::PrivilegeWithdrawn
        | RevocationReason::AaCompromise => Reason::Unspecified,
    }
}

fn ended(mut enrolment: Enrolment, state: EnrolmentState, how: &str) -> Enrolment {
    enrolment.state = state;
    enrolment.detail = how.to_owned();
    enrolment
}

/// Takes the steps of enrolments when they are due; a QTSP that answers slowly keeps no other one waiting. Never ends.
pub async fn carry_on(registry: Registry) {
    let ways = registry.enrollers.keys().map(Some).chain([None]);
    join_all(ways.map(|way| carry_on_by(&registry, way))).await;
}

async fn carry_on_by(registry: &Registry, way: Option<&Name>) {
    let mut changed = registry.world.subscribe();
    loop {
        let next = registry.take_steps(way).await.unwrap_or_else(|error| {
            tracing::error!(%error, "enrolments cannot go on");
            None
        });
        let wait_ms = next.map_or(LOOK_INTERVAL_MAX_S * 1_000, |due| {
            let left_ms = due.as_millisecond() - registry.clock.now().as_millisecond();
            (left_ms + 1).clamp(1, LOOK_INTERVAL_MAX_S * 1_000)
        });
        let until = clock::monotonic() + Duration::from_millis(wait_ms.unsigned_abs());
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            // Something was submitted, or a certificate installed by hand.
            Ok(()) = changed.changed() => {}
        }
    }
}
