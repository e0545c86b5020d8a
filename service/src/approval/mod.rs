//! Changes that take two persons.
//!
//! In: what one officer wants done to a version, and what another says to it. Out: the change, made once, after its
//! delay; or nothing. Never: a change confirmed by its own author, one that is made after it expired, one that is lost
//! when the service dies between two steps.
//!
//! An approval is written before anything happens, and every step after it (confirmed, begun, done) is written before
//! the next one begins. What a crash leaves open is finished by [`carry_out_when_due`] at the next start.

mod decide;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

pub use decide::{Decision, Turn, Undecided, Wish, decide, delay, turn};

use crate::audit::Event;
use crate::clock;
use crate::credential::state::Forbidden;
use crate::domain::{Approval, ApprovalId, CallerName, Role, Standing, Verb, VersionId};
use crate::registry::{ChangeError, Registry};

/// Longest reason, characters.
pub const REASON_CHARS_MAX: usize = 500;
/// Most approvals that may be open at once.
pub const OPEN_APPROVALS_MAX: usize = 256;
/// How long a second person has, by default, seconds.
pub const EXPIRY_DEFAULT_S: u32 = 600;
/// How long a confirmed destruction waits, by default, seconds.
pub const DESTROY_DELAY_DEFAULT_S: u32 = 24 * 3_600;
/// Longest wait between two looks for what is due, seconds: the wall clock may be set.
const LOOK_INTERVAL_MAX_S: i64 = 30;
/// How long the token may take to destroy a key, seconds.
pub(crate) const DESTROY_TIMEOUT_S: u64 = 30;

/// The operator's rules for approvals.
#[derive(Debug, Clone, Copy)]
pub struct ApprovalRules {
    /// How long a second person has.
    pub expiry: SignedDuration,
    /// How long a confirmed destruction waits, so that somebody can object.
    pub destroy_delay: SignedDuration,
}

impl Default for ApprovalRules {
    fn default() -> Self {
        Self {
            expiry: SignedDuration::from_secs(EXPIRY_DEFAULT_S.into()),
            destroy_delay: SignedDuration::from_secs(DESTROY_DELAY_DEFAULT_S.into()),
        }
    }
}

/// Why there is no approval, or no decision.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// There is no such approval.
    #[error("approval {0:?} does not exist")]
    Unknown(String),
    /// Something is pending for the version already.
    #[error(
        "{version}: {verb} is asked for already, see approval {id}; approve or reject it first"
    )]
    Open {
        /// Which version.
        version: VersionId,
        /// What is pending.
        verb: &'static str,
        /// The approval.
        id: ApprovalId,
    },
    /// Too many.
    #[error("{OPEN_APPROVALS_MAX} approvals are open; decide some first")]
    Full,
    /// The reason is missing or too long.
    #[error("reason: 1 to {REASON_CHARS_MAX} characters, no control characters")]
    Reason,
    /// The wish has no effect.
    #[error("approval {id}: {source}")]
    Undecided {
        /// The approval.
        id: ApprovalId,
        /// Why not.
        source: Undecided,
    },
    /// The version cannot be changed this way any more.
    #[error("approval {id}: {version} {source}")]
    State {
        /// The approval.
        id: ApprovalId,
        /// Which version.
        version: VersionId,
        /// What the state machine says.
        source: Forbidden,
    },
    /// Store, log or token.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Refuses a reason that explains nothing or would not fit a line.
pub(crate) fn check_reason(reason: &str) -> Result<(), ApprovalError> {
    let length = reason.chars().count();
    let blank = reason.trim().is_empty();
    if blank || length > REASON_CHARS_MAX || reason.chars().any(char::is_control) {
        return Err(ApprovalError::Reason);
    }
    Ok(())
}

impl Registry {
    /// Approvals, newest first: all, or those that something may still come of.
    pub async fn approvals(&self, open_only: bool) -> Result<Vec<Approval>, ChangeError> {
        let now = self.clock.now();
        let mut found = self.world.store().approvals(open_only).await?;
        found.retain(|approval| !open_only || approval.standing(now).is_open());
        Ok(found)
    }

    /// Writes a wish down for a second person. The caller holds the turn and has checked that the state allows it.
    pub(crate) async fn propose(
        &self,
        who: &CallerName,
        verb: Verb,
        version: &VersionId,
        reason: &str,
    ) -> Result<Approval, ApprovalError> {
        check_reason(reason)?;
        let open = self.approvals(true).await?;
        if let Some(other) = open.iter().find(|other| other.version == *version) {
            return Err(ApprovalError::Open {
                version: version.clone(),
                verb: other.verb.as_str(),
                id: other.id.clone(),
            });
        }
        if open.len() >= OPEN_APPROVALS_MAX {
            return Err(ApprovalError::Full);
        }
        let now = self.clock.now();
        let approval = Approval {
            id: ApprovalId::random(),
            verb,
            version: version.clone(),
            author: who.clone(),
            reason: reason.to_owned(),
            created: now,
            expires: now.saturating_add(self.approvals.expiry).unwrap_or(now),
            stored: Standing::Pending,
            decided_by: None,
            due: None,
            outcome: String::new(),
        };
        let data = json!({
            "approval": approval.id.as_str(),
            "verb": verb.as_str(),
            "version": version.to_string(),
            "reason": reason,
            "expires": approval.expires.to_string(),
        });
        let write = self.world.store().insert_approval(&approval);
        self.change(who, Event::ApprovalPropose, data, write)
            .await?;
        Ok(approval)
    }

    /// Confirms or rejects an approval. What has no delay is carried out at once.
    pub async fn decide(
        &self,
        who: &CallerName,
        name: &str,
        wish: Wish,
        reason: &str,
    ) -> Result<Approval, ApprovalError> {
        let _turn = self.turn().await?;
        let mut approval = self.find_approval(name).await?;
        let (now, author) = (self.clock.now(), self.is_officer(&approval.author));
        let delay = delay(approval.verb, self.approvals.destroy_delay);
        let decision = decide(&approval, wish, who, author, delay, now);
        let decision = decision.map_err(|source| ApprovalError::Undecided {
            id: approval.id.clone(),
            source,
        })?;
        let from = approval.stored;
        let event = match decision {
            Decision::Approved { due } => {
                self.check_state(&approval)?;
                approval.stored = Standing::Approved;
                approval.due = Some(due);
                Event::ApprovalApprove
            }
            Decision::Rejected => {
                check_reason(reason)?;
                approval.stored = Standing::Rejected;
                approval.outcome = reason.to_owned();
                Event::ApprovalReject
            }
        };
        approval.decided_by = Some(who.clone());
        let data = json!({
            "approval": approval.id.as_str(),
            "verb": approval.verb.as_str(),
            "version": approval.version.to_string(),
            "author": approval.author.as_str(),
            "reason": approval.outcome,
            "due": approval.due.map(|due| due.to_string()),
        });
        let store = self.world.store();
        let write = store.advance_approval(from, &approval, None);
        self.change(who, event, data, write).await?;
        self.carry_out_if_due(&mut approval).await?;
        Ok(approval)
    }

    /// Carries out everything that is due; answers when the next one will be.
    async fn carry_out_due(&self) -> Result<Option<Timestamp>, ApprovalError> {
        let _turn = self.turn().await?;
        let mut next: Option<Timestamp> = None;
        for mut approval in self
            .world
            .store()
            .approvals(true)
            .await
            .map_err(ChangeError::from)?
        {
            if let Err(error) = self.carry_out_if_due(&mut approval).await {
                tracing::error!(approval = %approval.id, %error, "an approved change could not be made; it is tried again");
            }
            if approval.stored == Standing::Approved {
                next = next.into_iter().chain(approval.due).min();
            }
        }
        Ok(next)
    }

    async fn carry_out_if_due(&self, approval: &mut Approval) -> Result<(), ApprovalError> {
        match turn(approval, |who| self.is_officer(who), self.clock.now()) {
            Turn::Wait => Ok(()),
            Turn::Never(gone) => {
                self.void(approval, format!("{gone} is no officer any more"))
                    .await
            }
            Turn::Now => match self.check_state(approval) {
                Ok(()) => self.carry_out(approval).await,
                Err(error) => self.void(approval, error.to_string()).await,
            },
        }
    }

    /// Nothing can come of it any more.
    async fn void(&self, approval: &mut Approval, why: String) -> Result<(), ApprovalError> {
        let from = approval.stored;
        let data = json!({ "approval": approval.id.as_str(), "why": why });
        approval.stored = Standing::Void;
        approval.outcome = why;
        let write = self.world.store().advance_approval(from, approval, None);
        let author = approval.author.clone();
        Ok(self
            .change(&author, Event::ApprovalVoid, data, write)
            .await?)
    }

    async fn find_approval(&self, name: &str) -> Result<Approval, ApprovalError> {
        let unknown = || ApprovalError::Unknown(name.chars().take(80).collect());
        let id = name.strip_prefix("approvals/").and_then(ApprovalId::parse);
        let found = self.world.store().approval(&id.ok_or_else(unknown)?).await;
        found.map_err(ChangeError::from)?.ok_or_else(unknown)
    }

    fn is_officer(&self, who: &CallerName) -> bool {
        let snapshot = self.world.load();
        snapshot
            .callers
            .get(who)
            .is_some_and(|caller| caller.role == Role::Officer)
    }
}

/// Carries out approved changes when their delay is over, and at start what a crash left half done. Never ends.
pub async fn carry_out_when_due(registry: Registry) {
    let mut changed = registry.world.subscribe();
    loop {
        let next = registry.carry_out_due().await;
        let next = next.unwrap_or_else(|error| {
            tracing::error!(%error, "approvals cannot be read");
            None
        });
        let wait_s = next.map_or(LOOK_INTERVAL_MAX_S, |due| {
            let left_ms = due.as_millisecond() - registry.clock.now().as_millisecond();
            (left_ms / 1_000 + 1).clamp(1, LOOK_INTERVAL_MAX_S)
        });
        let until = clock::monotonic() + Duration::from_secs(wait_s.unsigned_abs());
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            // Something may have been approved.
            Ok(()) = changed.changed() => {}
        }
    }
}
