//! Whose step is due, and what came of it.
//!
//! In: submitted enrolments, the ways to QTSPs. Out: certificates installed, failures recorded. Never: a step while the one
//! before is not stored; an installation that skips a check.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::decide::{Waiting, after};
use super::{EnrolError, Order, Progress};
use crate::audit::Event;
use crate::clock;
use crate::credential::CredentialError;
use crate::credential::csr::armour;
use crate::credential::install;
use crate::credential::state::Happening;
use crate::domain::{CallerName, Enrolment, EnrolmentState, Name, Version, VersionState};
use crate::registry::{ChangeError, Registry};
use crate::world::Snapshot;

/// Longest wait between two looks for what is due, seconds: the wall clock may be set.
const LOOK_INTERVAL_MAX_S: i64 = 30;
/// How long installing may take, seconds.
const INSTALL_TIMEOUT_S: u64 = 30;

/// What the version of an open enrolment says about it.
#[derive(Debug)]
enum Standing<'a> {
    /// It has no certificate yet.
    Wanted(&'a Version),
    /// Somebody installed one meanwhile.
    Installed,
    /// Nobody will need one.
    Gone,
}

fn standing<'a>(snapshot: &'a Snapshot, enrolment: &Enrolment) -> Standing<'a> {
    let id = &enrolment.version;
    let credential = snapshot.credentials.get(&id.credential);
    let version = credential.and_then(|credential| credential.version(id.number));
    match version {
        Some(version) if version.state == VersionState::Requested => Standing::Wanted(version),
        Some(version) if version.issued.is_some() => Standing::Installed,
        _ => Standing::Gone,
    }
}

impl Registry {
    /// Has the request of a version carried to a QTSP.
    pub async fn submit(
        &self,
        who: &CallerName,
        name: &str,
        enroller: &str,
    ) -> Result<Enrolment, CredentialError> {
        let _turn = self.turn().await?;
        let version = self.numbered(name)?;
        install::next(&version, Happening::Installed)?;
        let known = self.enrollers.get_key_value(enroller);
        let Some((enroller, way)) = known else {
            let names = self.enrollers.keys().map(Name::as_str).collect::<Vec<_>>();
            let asked = enroller.chars().take(80).collect();
            return Err(CredentialError::EnrollerUnknown {
                asked,
                known: names.join(", "),
            });
        };
        if let Some(other) = self.open_enrolment(&version).await? {
            return Err(CredentialError::EnrolmentOpen {
                version: version.id.clone(),
                enroller: other.enroller,
            });
        }
        let now = self.clock.now();
        let enrolment = Enrolment {
            version: version.id.clone(),
            enroller: enroller.clone(),
            author: who.clone(),
            state: EnrolmentState::Pending,
            ticket: None,
            attempts: 0,
            next: now,
            detail: "not sent yet".to_owned(),
            created: now,
            due: now.saturating_add(way.patience()).unwrap_or(now),
        };
        let data = json!({
            "version": version.id.to_string(),
            "enroller": enroller.as_str(),
        });
        let write = self.world.store().put_enrolment(&enrolment);
        self.change(who, Event::CredentialSubmit, data, write)
            .await?;
        self.submitted.notify_one();
        Ok(enrolment)
    }

    /// Gives an open enrolment up, so that another way can be taken. The QTSP is not told.
    pub async fn withdraw(
        &self,
        who: &CallerName,
        name: &str,
    ) -> Result<Enrolment, CredentialError> {
        let _turn = self.turn().await?;
        let version = self.numbered(name)?;
        let Some(mut enrolment) = self.open_enrolment(&version).await? else {
            return Err(CredentialError::EnrolmentClosed(version.id.clone()));
        };
        enrolment.state = EnrolmentState::Withdrawn;
        enrolment.detail = "the QTSP was not told".to_owned();
        let data = json!({
            "version": version.id.to_string(),
            "enroller": enrolment.enroller.as_str(),
        });
        let write = self.world.store().put_enrolment(&enrolment);
        self.change(who, Event::EnrolmentWithdraw, data, write)
            .await?;
        Ok(enrolment)
    }

    async fn open_enrolment(&self, version: &Version) -> Result<Option<Enrolment>, ChangeError> {
        let all = self.world.store().unsettled_enrolments().await?;
        let mut all = all.into_iter();
        Ok(all.find(|e| e.version == version.id && e.state == EnrolmentState::Pending))
    }

    /// All enrolments, newest first.
    pub async fn enrolments(&self) -> Result<Vec<Enrolment>, ChangeError> {
        Ok(self.world.store().enrolments().await?)
    }

    /// Takes every step that is due; answers when the next one is.
    async fn take_steps(&self) -> Result<Option<Timestamp>, ChangeError> {
        let mut next: Option<Timestamp> = None;
        let all = self.world.store().unsettled_enrolments().await?;
        for enrolment in all {
            if enrolment.state != EnrolmentState::Pending {
                continue;
            }
            let settled = !matches!(
                standing(&self.world.load(), &enrolment),
                Standing::Wanted(_)
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
            Ok(None) => installed(enrolment, "installed by hand"),
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
            Err(error) => after(enrolment, Err(error), now),
        };
        if !self.world.store().step_enrolment(&done).await? {
            // Withdrawn while the step was under way.
            let state = EnrolmentState::Withdrawn;
            return Ok(Enrolment { state, ..done });
        }
        if done.state == EnrolmentState::Failed {
            let data = json!({ "version": done.version.to_string(), "why": done.detail });
            let who = Some(done.author.as_str());
            self.audit.append(Event::EnrolmentFailed, who, data).await?;
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
        let version = match standing(&snapshot, enrolment) {
            Standing::Wanted(version) => version,
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
        let Some(csr_der) = version.csr_der.clone() else {
            let none = "a decryption key has no certificate, so nothing is asked for";
            return Err(EnrolError::Never(none.to_owned()));
        };
        let order = Order {
            version: version.id.clone(),
            csr_der,
            spki_sha256: version.key.spki_sha256,
            ticket: enrolment.ticket.clone(),
        };
        enroller.step(order).await.map(Some)
    }

    /// Installs what came, through the same checks as what a person brings.
    async fn install_issued(&self, enrolment: Enrolment, chain: &[Vec<u8>]) -> Enrolment {
        let pem: String = chain.iter().map(|der| armour("CERTIFICATE", der)).collect();
        let name = enrolment.version.resource();
        let deadline = clock::monotonic() + Duration::from_secs(INSTALL_TIMEOUT_S);
        let author = enrolment.author.clone();
        let done = self.install(&author, &name, pem.as_bytes(), false, deadline);
        let error = match done.await {
            Ok(_) => return installed(enrolment, "installed; activate it"),
            Err(CredentialError::Change(error)) => EnrolError::Later(error.to_string()),
            Err(error) => EnrolError::Never(error.to_string()),
        };
        after(enrolment, Err(error), self.clock.now())
    }
}

fn installed(mut enrolment: Enrolment, how: &str) -> Enrolment {
    enrolment.state = EnrolmentState::Installed;
    enrolment.detail = how.to_owned();
    enrolment
}

/// Takes the steps of enrolments when they are due. Never ends.
pub async fn carry_on(registry: Registry) {
    let mut changed = registry.world.subscribe();
    loop {
        let next = registry.take_steps().await.unwrap_or_else(|error| {
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
            () = registry.submitted.notified() => {}
            // A certificate may have been installed by hand.
            Ok(()) = changed.changed() => {}
        }
    }
}
