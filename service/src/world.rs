//! What the service knows, in memory.
//!
//! In: rows. Out: an immutable [`Snapshot`], swapped whole when something changes. The way of a signature reads one
//! snapshot and never the store. Never: half of a change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use sealkeep_profiles::profile::{Catalog, Profile, Settings};
use tokio::sync::watch;

use crate::domain::{Bank, Caller, CallerName, Credential, Name, Purpose, Version};
use crate::store::{Store, StoreError};

/// Everything that decides a request, at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Callers by name.
    pub callers: HashMap<CallerName, Caller>,
    /// Banks by name.
    pub banks: BTreeMap<Name, Arc<Destination>>,
    /// Credentials by name.
    pub credentials: BTreeMap<Name, Arc<Credential>>,
}

/// A bank with all that is needed to sign for it.
#[derive(Debug)]
pub struct Destination {
    /// The bank.
    pub bank: Bank,
    /// Its profile.
    pub profile: Arc<Profile>,
    /// Its values for the profile.
    pub settings: Settings,
    /// The version of each credential that it accepts now.
    pub bound: BTreeMap<Name, Arc<Version>>,
    /// The credential of each purpose that it lists first.
    defaults: HashMap<Purpose, Name>,
}

impl Destination {
    /// A bank with its profile and bindings.
    pub(crate) fn new(
        bank: Bank,
        profile: &Profile,
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
            profile: Arc::new(profile.clone()),
            settings,
            bound,
            defaults,
            bank,
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
    catalog: &'static Catalog,
    snapshot: ArcSwap<Snapshot>,
    changed: watch::Sender<u64>,
}

/// Why a snapshot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored bank names a profile that this software does not have.
    #[error("bank {bank}: unknown profile {profile:?}")]
    ProfileUnknown {
        /// The bank.
        bank: Name,
        /// The name that is not in the catalogue.
        profile: String,
    },
}

impl World {
    /// Reads the store.
    pub async fn open(store: Store, catalog: &'static Catalog) -> Result<Self, WorldError> {
        let snapshot = ArcSwap::from_pointee(Snapshot::default());
        let world = Self {
            store,
            catalog,
            snapshot,
            changed: watch::Sender::new(0),
        };
        world.refresh().await?;
        Ok(world)
    }

    /// The snapshot now.
    pub fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The profiles.
    pub fn catalog(&self) -> &'static Catalog {
        self.catalog
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
        let snapshot = self.read().await?;
        self.snapshot.store(Arc::new(snapshot));
        self.changed.send_modify(|generation| *generation += 1);
        Ok(())
    }

    async fn read(&self) -> Result<Snapshot, WorldError> {
        let credentials: BTreeMap<Name, Arc<Credential>> = self
            .store
            .credentials()
            .await?
            .into_iter()
            .map(|credential| (credential.name.clone(), Arc::new(credential)))
            .collect();
        let mut banks = BTreeMap::new();
        let bindings = self.store.bindings().await?;
        for bank in self.store.banks().await? {
            let bound = bindings
                .iter()
                .filter(|binding| binding.bank == bank.name)
                .filter_map(|binding| {
                    let version = credentials
                        .get(&binding.credential)?
                        .version(binding.version)?;
                    Some((binding.credential.clone(), version.clone()))
                })
                .collect();
            let destination = self.destination(bank, bound, &credentials)?;
            banks.insert(destination.bank.name.clone(), Arc::new(destination));
        }
        let callers = self.store.callers().await?;
        let callers = callers
            .into_iter()
            .map(|caller| (caller.name.clone(), caller))
            .collect();
        Ok(Snapshot {
            callers,
            banks,
            credentials,
        })
    }

    fn destination(
        &self,
        bank: Bank,
        bound: BTreeMap<Name, Arc<Version>>,
        credentials: &BTreeMap<Name, Arc<Credential>>,
    ) -> Result<Destination, WorldError> {
        let profile =
            self.catalog
                .get(&bank.profile)
                .ok_or_else(|| WorldError::ProfileUnknown {
                    bank: bank.name.clone(),
                    profile: bank.profile.clone(),
                })?;
        Ok(Destination::new(bank, profile, bound, credentials))
    }
}
