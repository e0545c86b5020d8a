//! What the service knows, in memory.
//!
//! In: rows. Out: an immutable [`Snapshot`], swapped whole when something changes. The way of a signature reads one
//! snapshot and never the store. Never: half of a change.

mod reading;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use sealkeep_profiles::profile::{Catalog, Profile, Settings};
use sealkeep_profiles::refusal::Refusal;
use tokio::sync::{Mutex, watch};

use crate::bank::rotation::Rotation;
use crate::bank::rotation::moving::{Move, Pick};
use crate::bank::rotation::plan::SlowestAnswers;
use crate::bank::rotation::verification::Verification;
use crate::clock;
use crate::domain::{
    Bank, Caller, CallerName, Credential, Enrolment, Name, Purpose, Revocation, Version,
};
use crate::store::{Store, StoreError};
use crate::trust::{Imported, ListId};
use reading::read;

/// How long a replica may not hear of the others and still sign, milliseconds. A freeze reaches every signature within a
/// second, so this is less.
const OUT_OF_TOUCH_AFTER_MS: u64 = 800;
/// There are no other replicas.
const ALONE: u64 = u64::MAX;

/// Everything that decides a request, at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Callers by name.
    pub callers: HashMap<CallerName, Caller>,
    /// Banks by name.
    pub banks: BTreeMap<Name, Arc<Destination>>,
    /// The banks that a version of a credential is bound to, by credential.
    pub(crate) bound_to: HashMap<Name, Vec<Arc<Destination>>>,
    /// Credentials by name.
    pub credentials: BTreeMap<Name, Arc<Credential>>,
    /// The profiles that banks may name.
    pub catalog: Arc<Catalog>,
    /// The open rotations, by credential.
    pub rotations: BTreeMap<Name, Arc<Rotation>>,
    /// Enrolments that have not ended with a certificate, as they were submitted or ended; their steps in between are
    /// in the store alone.
    pub enrolments: Vec<Enrolment>,
    /// What issuers say about certificates, by SHA-256.
    pub revocations: HashMap<[u8; 32], Revocation>,
    /// How long banks took to answer in earlier rotations.
    pub answers: SlowestAnswers,
    /// The verifications under way, by name.
    pub verifications: HashMap<String, Verification>,
    /// The trusted lists that were imported.
    pub trusted_lists: BTreeMap<ListId, Arc<Imported>>,
}

/// A bank with all that is needed to sign for it.
#[derive(Debug)]
pub struct Destination {
    /// The bank.
    pub bank: Bank,
    /// Its profile.
    pub profile: Arc<Profile>,
    /// The profile of its authorisation server's JWTs; the same when the bank names no other.
    pub oauth_profile: Arc<Profile>,
    /// Its values for the profile.
    pub settings: Settings,
    /// The version of each credential that it accepts now.
    pub bound: BTreeMap<Name, Arc<Version>>,
    /// The credentials of which it moves from one version to another, with how far it is.
    pub moves: BTreeMap<Name, Move>,
    /// The credential of each purpose that it lists first.
    defaults: HashMap<Purpose, Name>,
}

impl Snapshot {
    /// The banks that a version of a credential is bound to.
    pub fn banks_of(&self, credential: &Name) -> impl Iterator<Item = &Arc<Destination>> {
        self.bound_to.get(credential).into_iter().flatten()
    }
}

impl Destination {
    /// A bank with its profile and bindings.
    pub(crate) fn new(
        bank: Bank,
        profile: Arc<Profile>,
        oauth_profile: Arc<Profile>,
        bound: BTreeMap<Name, Arc<Version>>,
        credentials: &BTreeMap<Name, Arc<Credential>>,
    ) -> Self {
        let mut defaults = HashMap::new();
        for name in &bank.credentials {
            if let Some(credential) = credentials.get(name) {
                defaults
                    .entry(credential.purpose)
                    .or_insert_with(|| name.clone());
            }
        }
        let settings = Settings::from(bank.settings.clone());
        Self {
            profile,
            oauth_profile,
            settings,
            bound,
            moves: BTreeMap::new(),
            defaults,
            bank,
        }
    }

    /// What signs with a credential now; none when no version is bound. In a canary the share of the request decides.
    pub fn pick(
        &self,
        credential: &str,
        now: Timestamp,
        share: impl FnOnce() -> u8,
    ) -> Option<Pick<'_>> {
        match self.moves.get(credential) {
            Some(moving) => Some(moving.pick(now, share)),
            None => self.bound.get(credential).map(Pick::Version),
        }
    }

    /// The credential used when the caller names none.
    pub fn default_credential(&self, purpose: Purpose) -> Option<&Name> {
        self.defaults.get(&purpose)
    }
}

/// The current snapshot, and word of each change.
#[derive(Debug)]
pub struct World {
    store: Store,
    snapshot: ArcSwap<Snapshot>,
    /// Who reads the store later also swaps later: no snapshot is replaced by an older one.
    turn: Mutex<()>,
    changed: watch::Sender<u64>,
    opened: Instant,
    /// When it was last known that no other replica had changed anything unheard, milliseconds after `opened`.
    in_touch_ms: AtomicU64,
}

/// Other replicas may have changed something that this one has not heard of; it does not sign meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this replica lost touch with the others; ask another one")]
pub struct OutOfTouch;

/// Why a snapshot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored bank names a profile that is neither shipped nor the operator's.
    #[error("bank {bank}: there is no profile {profile:?}")]
    ProfileUnknown {
        /// The bank.
        bank: Name,
        /// The name that is not in the catalogue.
        profile: String,
    },
    /// A bank's settings do not fit its profile any more.
    #[error("bank {bank}: profile {profile:?}: {problem}")]
    SettingsUnfit {
        /// The bank.
        bank: Name,
        /// Its profile.
        profile: String,
        /// What is wrong.
        problem: Refusal,
    },
}

impl World {
    /// Reads the store.
    pub async fn open(store: Store, catalog: Arc<Catalog>) -> Result<Self, WorldError> {
        let snapshot = read(&store, catalog, &Snapshot::default()).await?;
        // What the others do is known as of now, and not any longer until it is listened to.
        let in_touch_ms = if store.replica().is_some() { 0 } else { ALONE };
        Ok(Self {
            store,
            snapshot: ArcSwap::from_pointee(snapshot),
            turn: Mutex::default(),
            changed: watch::Sender::new(0),
            opened: clock::monotonic(),
            in_touch_ms: AtomicU64::new(in_touch_ms),
        })
    }

    /// The snapshot now.
    pub fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The snapshot to decide a signature by.
    ///
    /// # Errors
    /// [`OutOfTouch`] while it may be older than what another replica did, for example a freeze.
    pub fn current(&self) -> Result<Arc<Snapshot>, OutOfTouch> {
        let in_touch_ms = self.in_touch_ms.load(Ordering::Acquire);
        match in_touch_ms != ALONE && self.age_ms() > in_touch_ms + OUT_OF_TOUCH_AFTER_MS {
            true => Err(OutOfTouch),
            false => Ok(self.load()),
        }
    }

    /// What other replicas have done is known as of now.
    pub(crate) fn in_touch(&self) {
        self.in_touch_ms.store(self.age_ms(), Ordering::Release);
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(ALONE - 1)
    }

    /// The store behind.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Marked changed after each new snapshot.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Reads the store again and swaps the snapshot whole.
    pub async fn refresh(&self) -> Result<(), WorldError> {
        let _turn = self.turn.lock().await;
        let before = self.load();
        let snapshot = read(&self.store, before.catalog.clone(), &before).await?;
        self.swap(snapshot);
        Ok(())
    }

    /// Whether every bank would have a profile whose settings it has, with these profiles.
    pub async fn check_catalog(&self, catalog: Arc<Catalog>) -> Result<(), WorldError> {
        let snapshot = read(&self.store, catalog, &self.load()).await?;
        for destination in snapshot.banks.values() {
            let profiles = [&*destination.profile, &*destination.oauth_profile];
            let checked = destination.settings.check(&profiles);
            checked.map_err(|problem| WorldError::SettingsUnfit {
                bank: destination.bank.name.clone(),
                profile: destination.bank.profile.clone(),
                problem,
            })?;
        }
        Ok(())
    }

    /// Takes over profiles that [`World::check_catalog`] has passed; the turn of the registry was held meanwhile.
    pub async fn adopt_catalog(&self, catalog: Arc<Catalog>) -> Result<(), WorldError> {
        let _turn = self.turn.lock().await;
        let snapshot = read(&self.store, catalog, &self.load()).await?;
        self.swap(snapshot);
        Ok(())
    }

    fn swap(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        self.changed.send_modify(|generation| *generation += 1);
    }
}
