//! Where administrative changes are made, one at a time.
//!
//! In: a checked wish of an officer. Out: the change in the store, then a new snapshot. Every change is announced in
//! the audit log before it is made, so that none can happen unseen; one that then fails gets a record too. The verbs
//! live in [`crate::credential`], [`crate::bank`], [`crate::access`] and [`crate::trust`]; profiles come from [`crate::profiles`].

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::approval::ApprovalRules;
use crate::audit::{AuditError, AuditLog, Event};
use crate::backend::BackendError;
use crate::backend::tokens::Tokens;
use crate::bank::rotation::canary::Canaries;
use crate::clock::SharedClock;
use crate::credential::TrustAnchors;
use crate::credential::enrolment::{self, Enrollers};
use crate::credential::revocation::Revocations;
use crate::domain::CallerName;
use crate::profiles::Profiles;
use crate::store::{self, StoreError};
use crate::trust::ListTerms;
use crate::world::{World, WorldError};

/// The one door to administrative changes: cheap to clone.
#[derive(Clone)]
pub struct Registry {
    pub(crate) clock: SharedClock,
    pub(crate) world: Arc<World>,
    pub(crate) audit: AuditLog,
    pub(crate) tokens: Tokens,
    pub(crate) trust: Arc<TrustAnchors>,
    pub(crate) lists: Arc<ListTerms>,
    /// What callers report of canaries, by bank and credential.
    pub(crate) outcomes: Canaries,
    pub(crate) approvals: ApprovalRules,
    pub(crate) enrollers: Arc<Enrollers>,
    /// What enrolments did, counted.
    pub(crate) enrolling: enrolment::Meter,
    pub(crate) revocation: Arc<Revocations>,
    turn: Arc<Mutex<()>>,
}

/// Nobody else changes anything, here or on another replica, while it is held.
pub(crate) struct Turn<'a>(
    #[allow(dead_code, reason = "held")] store::Turn,
    #[allow(dead_code, reason = "held")] MutexGuard<'a, ()>,
);

/// What every change may stumble over.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be recorded, so it was not made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The token did not do its part.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The new state could not be read back.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl Registry {
    /// The registry over its neighbours.
    pub fn new(
        clock: SharedClock,
        world: Arc<World>,
        audit: AuditLog,
        tokens: Tokens,
        trust: TrustAnchors,
    ) -> Self {
        Self {
            clock,
            world,
            audit,
            tokens,
            trust: Arc::new(trust),
            lists: Arc::default(),
            outcomes: Arc::default(),
            approvals: ApprovalRules::default(),
            enrollers: Arc::default(),
            enrolling: enrolment::Meter::default(),
            revocation: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// The same registry with the operator's terms for trusted lists.
    pub fn with_lists(mut self, terms: ListTerms) -> Self {
        self.lists = Arc::new(terms);
        self
    }

    /// The same registry with ways to QTSPs.
    pub fn with_enrollers(mut self, enrollers: Enrollers) -> Self {
        self.enrolling.expect(enrollers.keys());
        self.enrollers = Arc::new(enrollers);
        self
    }

    /// The same registry with the operator's rules for revocation.
    pub fn with_revocation(mut self, revocation: Arc<Revocations>) -> Self {
        self.revocation = revocation;
        self
    }

    /// The same registry with the operator's rules for approvals.
    pub fn with_approvals(mut self, rules: ApprovalRules) -> Self {
        self.approvals = rules;
        self
    }

    /// Waits for the turn: what was checked stays true until the change is made. After other replicas have had theirs,
    /// what they did is read first.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, ChangeError> {
        let own = self.turn.lock().await;
        let store = self.world.store();
        let all = store.turn().await?;
        if store.replica().is_some() {
            self.world.refresh().await?;
        }
        Ok(Turn(all, own))
    }

    /// Announces a change, makes it, and swaps the snapshot. Nobody is named for what the service does by itself.
    pub(crate) async fn change<'a, T>(
        &self,
        who: impl Into<Option<&'a CallerName>>,
        event: Event,
        data: Value,
        make: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ChangeError> {
        let who = who.into();
        let name = who.map(CallerName::as_str);
        let announced = self.audit.append(event, name, data).await?;
        match make.await {
            Ok(made) => {
                self.world.refresh().await?;
                Ok(made)
            }
            Err(error) => {
                self.failed(who, announced, &error.to_string()).await?;
                Err(error.into())
            }
        }
    }

    /// Takes over the operator's profiles: recorded first, and only when every bank keeps one that fits.
    pub(crate) async fn adopt_profiles(&self, profiles: &Profiles) -> Result<(), ChangeError> {
        let _turn = self.turn().await?;
        self.world.check_catalog(profiles.catalog.clone()).await?;
        let data = json!({ "profiles_sha256": hex::encode(profiles.fingerprint) });
        self.audit.append(Event::ProfilesLoad, None, data).await?;
        self.world.adopt_catalog(profiles.catalog.clone()).await?;
        Ok(())
    }

    /// Records that an announced change did not happen.
    pub(crate) async fn failed<'a>(
        &self,
        who: impl Into<Option<&'a CallerName>>,
        announced: u64,
        why: &str,
    ) -> Result<(), AuditError> {
        let data = json!({ "announced": announced, "why": why });
        let who = who.into().map(CallerName::as_str);
        self.audit.append(Event::ChangeFailed, who, data).await?;
        Ok(())
    }
}
