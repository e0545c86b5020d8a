//! A snapshot from rows: every reference resolved, or the whole refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sealkeep_profiles::certificate::KnownCertificates;
use sealkeep_profiles::profile::{Catalog, Profile};

use super::{Destination, Snapshot, WorldError};
use crate::bank::rotation::Rotation;
use crate::bank::rotation::moving::Move;
use crate::bank::rotation::progress::Progress;
use crate::domain::{Bank, Credential, Name, Version};
use crate::store::Store;
use crate::trust::{Imported, ListId};

pub(super) async fn read(
    store: &Store,
    catalog: Arc<Catalog>,
    before: &Snapshot,
) -> Result<Snapshot, WorldError> {
    let credentials: BTreeMap<Name, Arc<Credential>> = store
        .credentials(&mut certificates_of(before))
        .await?
        .into_iter()
        .map(|credential| (credential.name.clone(), Arc::new(credential)))
        .collect();
    let mut banks = BTreeMap::new();
    let mut bindings: HashMap<Name, BTreeMap<Name, Arc<Version>>> = HashMap::new();
    for binding in store.bindings().await? {
        let credential = credentials.get(&binding.credential);
        if let Some(version) = credential.and_then(|c| c.version(binding.version)) {
            let bound = bindings.entry(binding.bank).or_default();
            bound.insert(binding.credential, version.clone());
        }
    }
    let mut profiles = SharedProfiles::new(&catalog);
    let rotations: BTreeMap<Name, Arc<Rotation>> = store
        .open_rotations()
        .await?
        .into_iter()
        .map(|rotation| (rotation.credential.clone(), Arc::new(rotation)))
        .collect();
    for bank in store.banks().await? {
        let bound = bindings.remove(&bank.name).unwrap_or_default();
        let mut destination = destination(&mut profiles, bank, bound, &credentials)?;
        destination.moves = moves(&destination, &rotations, &credentials);
        banks.insert(destination.bank.name.clone(), Arc::new(destination));
    }
    let bound_to = bound_to(&banks);
    let callers = store.callers().await?;
    let callers = callers
        .into_iter()
        .map(|caller| (caller.name.clone(), caller))
        .collect();
    let revocations = store.revocations().await?.into_iter();
    let verifications = store.open_verifications().await?.into_iter();
    let verifications = verifications.map(|verification| (verification.id.clone(), verification));
    Ok(Snapshot {
        revocations: revocations.map(|row| (row.certificate, row)).collect(),
        callers,
        banks,
        bound_to,
        credentials,
        catalog,
        rotations,
        enrolments: store.unsettled_enrolments().await?,
        answers: store.slowest_answers().await?,
        verifications: verifications.collect(),
        trusted_lists: trusted_lists(store, before).await?,
    })
}

/// Nearly all of them will be read again.
fn certificates_of(before: &Snapshot) -> KnownCertificates {
    let mut known = KnownCertificates::default();
    let versions = before.credentials.values().flat_map(|c| &c.versions);
    let issued = versions.filter_map(|version| version.issued.as_ref());
    for certificate in issued.flat_map(|issued| &*issued.chain) {
        known.add(certificate);
    }
    known
}

/// The lists, each read from the store only when it is another than before: they are large and seldom change.
async fn trusted_lists(
    store: &Store,
    before: &Snapshot,
) -> Result<BTreeMap<ListId, Arc<Imported>>, WorldError> {
    let mut lists = BTreeMap::new();
    for (id, file_sha256) in store.trusted_list_ids().await? {
        let same = before.trusted_lists.get(&id);
        let list = match same.filter(|list| list.file_sha256 == file_sha256) {
            Some(list) => Some(list.clone()),
            None => store.trusted_list(&id).await?.map(Arc::new),
        };
        lists.extend(list.map(|list| (id, list)));
    }
    Ok(lists)
}

/// A bank moves when it has another version than the one of an open rotation, or had one when it began.
fn moves(
    destination: &Destination,
    rotations: &BTreeMap<Name, Arc<Rotation>>,
    credentials: &BTreeMap<Name, Arc<Credential>>,
) -> BTreeMap<Name, Move> {
    let bank = &destination.bank;
    let moving = |(name, bound): (&Name, &Arc<Version>)| {
        let (rotation, credential) = (rotations.get(name)?, credentials.get(name)?);
        let new = credential.version(rotation.to?)?;
        let row = rotation.banks.get(&bank.name);
        let (old, progress) = match row {
            Some(row) => (credential.version(row.from)?, row.progress.clone()),
            None => (bound, Progress::Pending),
        };
        let moving = Move::new(&bank.rotation, old.clone(), new.clone(), progress);
        (old.id != new.id).then(|| (name.clone(), moving))
    };
    destination.bound.iter().filter_map(moving).collect()
}

fn bound_to(banks: &BTreeMap<Name, Arc<Destination>>) -> HashMap<Name, Vec<Arc<Destination>>> {
    let mut bound_to: HashMap<Name, Vec<_>> = HashMap::new();
    for destination in banks.values() {
        for credential in destination.bound.keys() {
            let banks = bound_to.entry(credential.clone()).or_default();
            banks.push(destination.clone());
        }
    }
    bound_to
}

/// One copy of each profile that banks name, however many banks there are.
struct SharedProfiles<'a> {
    catalog: &'a Catalog,
    shared: HashMap<String, Arc<Profile>>,
}

impl<'a> SharedProfiles<'a> {
    fn new(catalog: &'a Catalog) -> Self {
        let shared = HashMap::new();
        Self { catalog, shared }
    }

    fn get(&mut self, name: &str) -> Option<Arc<Profile>> {
        if !self.shared.contains_key(name) {
            let profile = Arc::new(self.catalog.get(name)?.clone());
            self.shared.insert(name.to_owned(), profile);
        }
        self.shared.get(name).cloned()
    }
}

fn destination(
    profiles: &mut SharedProfiles<'_>,
    bank: Bank,
    bound: BTreeMap<Name, Arc<Version>>,
    credentials: &BTreeMap<Name, Arc<Credential>>,
) -> Result<Destination, WorldError> {
    let mut profile = |name: &String| {
        let unknown = || WorldError::ProfileUnknown {
            bank: bank.name.clone(),
            profile: name.clone(),
        };
        profiles.get(name).ok_or_else(unknown)
    };
    let signing = profile(&bank.profile)?;
    let oauth = match bank.oauth_profile.as_str() {
        "" => signing.clone(),
        _ => profile(&bank.oauth_profile)?,
    };
    Ok(Destination::new(bank, signing, oauth, bound, credentials))
}
