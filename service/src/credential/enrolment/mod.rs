//! Requests for certificates, carried to a QTSP and back.
//!
//! In: an officer's wish to have a version certified by one of the configured ways. Out: the certificate, installed through
//! the same checks as one that a person brings; or the reason why not. Never: a key, which an [`Enroller`] cannot see; a
//! step that is not written down before the next one begins.
//!
//! An enrolment takes milliseconds or weeks. After every step its ticket is stored, and [`carry_on`] takes the next step
//! when it is due, after a restart too.

mod cmp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

pub use cmp::{CmpAccount, CmpEnroller};

use super::csr::armour;
use crate::audit::Event;
use crate::backend::BoxFuture;
use crate::clock;
use crate::credential::CredentialError;
use crate::domain::{CallerName, Enrolment, EnrolmentState, Name, VersionState};
use crate::registry::{ChangeError, Registry};

/// Steps that may fail in a row before an enrolment ends.
const ATTEMPTS_MAX: u32 = 20;
/// First pause after a failed step, and the longest one, seconds; doubled in between.
const RETRY_FIRST_S: u32 = 2;
const RETRY_LAST_S: u32 = 3_600;
/// Longest wait between two looks for what is due, seconds: the wall clock may be set.
const LOOK_INTERVAL_MAX_S: i64 = 30;
/// How long installing may take, seconds.
const INSTALL_TIMEOUT_S: u64 = 30;

/// A way to a QTSP. Strangers plug in here: every QTSP has its own.
pub trait Enroller: std::fmt::Debug + Send + Sync + 'static {
    /// Takes one step: the first for a request without a ticket, else the one that the ticket stands before.
    fn step(&self, order: Order) -> BoxFuture<Result<Progress, EnrolError>>;
}

/// What an enroller gets.
#[derive(Debug, Clone)]
pub struct Order {
    /// The request, DER; its signature proves possession of the key.
    pub csr_der: Vec<u8>,
    /// SHA-256 of the SubjectPublicKeyInfo that has to come back.
    pub spki_sha256: [u8; 32],
    /// What the step before gave out.
    pub ticket: Option<String>,
}

/// How far a step got.
#[derive(Debug)]
pub enum Progress {
    /// Come back.
    Pending {
        /// To be stored and given to the next step.
        ticket: String,
        /// When, seconds from now.
        check_after_s: u32,
    },
    /// Certificates, DER.
    Issued(Vec<Vec<u8>>),
}

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// It may succeed later.
    #[error("{0}")]
    Later(String),
    /// It may succeed from the beginning: the QTSP forgot how far it was.
    #[error("{0}")]
    Anew(String),
    /// It will not.
    #[error("{0}")]
    Never(String),
}

/// The ways that the operator configured, by name.
pub type Enrollers = BTreeMap<Name, Arc<dyn Enroller>>;

/// When to try again after this many failures in a row, seconds; none when it was tried often enough.
fn pause_s(attempts: u32) -> Option<u32> {
    let doubled = RETRY_FIRST_S.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1)));
    (attempts < ATTEMPTS_MAX).then(|| doubled.min(RETRY_LAST_S))
}

/// What becomes of an enrolment after a step. Pure; issued certificates are the caller's to install.
fn after(
    mut enrolment: Enrolment,
    step: Result<(String, u32), EnrolError>,
    now: Timestamp,
) -> Enrolment {
    let wait = |seconds: u32| {
        let pause = SignedDuration::from_secs(seconds.into());
        now.saturating_add(pause).unwrap_or(now)
    };
    match step {
        Ok((ticket, seconds)) => {
            enrolment.ticket = Some(ticket);
            enrolment.attempts = 0;
            enrolment.next = wait(seconds);
            enrolment.detail = "the QTSP has the request".to_owned();
        }
        Err(error) => {
            enrolment.attempts += 1;
            enrolment.detail = error.to_string();
            if matches!(error, EnrolError::Anew(_)) {
                enrolment.ticket = None;
            }
            let again = match error {
                EnrolError::Later(_) | EnrolError::Anew(_) => pause_s(enrolment.attempts),
                EnrolError::Never(_) => None,
            };
            match again {
                Some(seconds) => enrolment.next = wait(seconds),
                None => enrolment.state = EnrolmentState::Failed,
            }
        }
    }
    enrolment
}

impl Registry {
    /// Has the request of a version carried to a QTSP.
    pub async fn submit(
        &self,
        who: &CallerName,
        name: &str,
        enroller: &str,
    ) -> Result<Enrolment, CredentialError> {
        let _turn = self.turn().await;
        let version = self.numbered(name)?;
        super::install::next(&version, super::state::Happening::Installed)?;
        let known = self.enrollers.get_key_value(enroller);
        let Some((enroller, _)) = known else {
            let names = self.enrollers.keys().map(Name::as_str).collect::<Vec<_>>();
            let asked = enroller.chars().take(80).collect();
            return Err(CredentialError::EnrollerUnknown {
                asked,
                known: names.join(", "),
            });
        };
        let all = self.world.store().enrolments().await;
        let all = all.map_err(ChangeError::from)?;
        let pending =
            |e: &&Enrolment| e.version == version.id && e.state == EnrolmentState::Pending;
        if let Some(other) = all.iter().find(pending) {
            return Err(CredentialError::EnrolmentOpen {
                version: version.id.clone(),
                enroller: other.enroller.clone(),
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

    /// All enrolments, newest first.
    pub async fn enrolments(&self) -> Result<Vec<Enrolment>, ChangeError> {
        Ok(self.world.store().enrolments().await?)
    }

    /// Takes every step that is due; answers when the next one is.
    async fn take_steps(&self) -> Result<Option<Timestamp>, ChangeError> {
        let mut next: Option<Timestamp> = None;
        for enrolment in self.enrolments().await? {
            if enrolment.state != EnrolmentState::Pending {
                continue;
            }
            let mut done = enrolment;
            if done.next <= self.clock.now() {
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
        let done = match step {
            Ok(Progress::Pending {
                ticket,
                check_after_s,
            }) => after(enrolment, Ok((ticket, check_after_s)), now),
            Ok(Progress::Issued(chain)) => self.install_issued(enrolment, &chain).await,
            Err(error) => after(enrolment, Err(error), now),
        };
        self.world.store().put_enrolment(&done).await?;
        if done.state == EnrolmentState::Failed {
            let data = json!({ "version": done.version.to_string(), "why": done.detail });
            let who = Some(done.author.as_str());
            self.audit.append(Event::EnrolmentFailed, who, data).await?;
        }
        Ok(done)
    }

    async fn ask_enroller(&self, enrolment: &Enrolment) -> Result<Progress, EnrolError> {
        let snapshot = self.world.load();
        let id = &enrolment.version;
        let version = snapshot.credentials.get(&id.credential);
        let version = version.and_then(|credential| credential.version(id.number));
        let version = version.filter(|version| version.state == VersionState::Requested);
        let Some(version) = version else {
            let gone = "its certificate was installed by hand, or the version is out of use";
            return Err(EnrolError::Never(gone.to_owned()));
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
            csr_der,
            spki_sha256: version.key.spki_sha256,
            ticket: enrolment.ticket.clone(),
        };
        enroller.step(order).await
    }

    /// Installs what came, through the same checks as what a person brings.
    async fn install_issued(&self, mut enrolment: Enrolment, chain: &[Vec<u8>]) -> Enrolment {
        let pem: String = chain.iter().map(|der| armour("CERTIFICATE", der)).collect();
        let name = enrolment.version.resource();
        let deadline = clock::monotonic() + Duration::from_secs(INSTALL_TIMEOUT_S);
        let author = enrolment.author.clone();
        let installed = self.install(&author, &name, pem.as_bytes(), false, deadline);
        match installed.await {
            Ok(_) => {
                enrolment.state = EnrolmentState::Installed;
                enrolment.detail = "installed; activate it".to_owned();
                enrolment
            }
            Err(CredentialError::Change(error)) => after(
                enrolment,
                Err(EnrolError::Later(error.to_string())),
                self.clock.now(),
            ),
            Err(error) => after(
                enrolment,
                Err(EnrolError::Never(error.to_string())),
                self.clock.now(),
            ),
        }
    }
}

/// Takes the steps of enrolments when they are due. Never ends.
pub async fn carry_on(registry: Registry) {
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
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::VersionId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn enrolment() -> Enrolment {
        Enrolment {
            version: VersionId {
                credential: Name::try_from("seal").unwrap(),
                number: 1,
            },
            enroller: Name::try_from("qtsp").unwrap(),
            author: CallerName::try_from("alice.example".to_owned()).unwrap(),
            state: EnrolmentState::Pending,
            ticket: None,
            attempts: 0,
            next: at(0),
            detail: String::new(),
            created: at(0),
        }
    }

    #[test]
    fn a_ticket_is_kept_and_the_failures_before_are_forgotten() {
        let failed = after(
            enrolment(),
            Err(EnrolError::Later("down".to_owned())),
            at(0),
        );
        assert_eq!((failed.attempts, failed.next), (1, at(2)));
        assert_eq!(failed.detail, "down");
        let back = after(failed, Ok(("t".to_owned(), 60)), at(10));
        assert_eq!((back.attempts, back.next), (0, at(70)));
        assert_eq!(back.ticket.as_deref(), Some("t"));
        assert_eq!(back.state, EnrolmentState::Pending);
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_end() {
        let pauses: Vec<_> = (1..=13).map_while(pause_s).collect();
        assert_eq!(pauses[..4], [2, 4, 8, 16]);
        assert_eq!(pauses[12], 3_600);
        assert_eq!(pause_s(ATTEMPTS_MAX), None);
        let mut last = enrolment();
        last.attempts = ATTEMPTS_MAX - 1;
        let ended = after(last, Err(EnrolError::Later("down".to_owned())), at(0));
        assert_eq!(ended.state, EnrolmentState::Failed);
    }

    #[test]
    fn an_exchange_that_the_qtsp_forgot_begins_anew() {
        let pending = after(enrolment(), Ok(("t".to_owned(), 60)), at(0));
        let anew = after(pending, Err(EnrolError::Anew("forgot".to_owned())), at(60));
        assert_eq!((anew.ticket, anew.attempts, anew.next), (None, 1, at(62)));
        assert_eq!(anew.state, EnrolmentState::Pending);
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_again() {
        let ended = after(enrolment(), Err(EnrolError::Never("no".to_owned())), at(0));
        assert_eq!(ended.state, EnrolmentState::Failed);
        assert_eq!(ended.detail, "no");
    }
}
