//! Banks and their bindings.
//!
//! In: banks as an officer describes them. Out: banks in the store, bound to the newest active version of each
//! credential they list. Never: a bank whose profile, settings or credentials do not exist.

pub mod rotation;

use sealkeep_profiles::profile::{Profile, Settings};
use serde_json::json;

use crate::audit::Event;
use crate::domain::{Bank, BankError, CallerName, Name, VersionId};
use crate::registry::{ChangeError, Registry};
use crate::world::Snapshot;

/// Most banks in one call.
pub const BANKS_PER_CALL_MAX: usize = 256;

/// Why banks did not change.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Nothing, or too much, in one call.
    #[error("banks: 1 to {BANKS_PER_CALL_MAX} in one call")]
    Count,
    /// The same name twice in one call.
    #[error("banks[{0}]: named twice")]
    Twice(Name),
    /// A bank is not well-formed.
    #[error("banks[{bank}].{source}")]
    Malformed {
        /// Which one.
        bank: Name,
        /// What is wrong.
        source: BankError,
    },
    /// There is no such profile.
    #[error("banks[{bank}].profile: no profile {profile:?}; there are {known}")]
    ProfileUnknown {
        /// Which bank.
        bank: Name,
        /// What it names.
        profile: String,
        /// What exists.
        known: String,
    },
    /// The OAuth profile has no JWTs.
    #[error("banks[{bank}].oauth_profile: {profile} signs no JWTs; name one with a [jwt] table")]
    NotOauth {
        /// Which bank.
        bank: Name,
        /// What it names.
        profile: String,
    },
    /// The profile asks for other settings.
    #[error("banks[{bank}].settings: {problem}")]
    Settings {
        /// Which bank.
        bank: Name,
        /// What is wrong.
        problem: String,
    },
    /// There is no such credential.
    #[error("banks[{bank}].credentials: {credential} does not exist; enrol it first")]
    CredentialUnknown {
        /// Which bank.
        bank: Name,
        /// What it lists.
        credential: Name,
    },
    /// Store or log.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Registry {
    /// Makes or replaces banks, all or none.
    pub async fn apply_banks(
        &self,
        who: &CallerName,
        banks: Vec<Bank>,
        validate_only: bool,
    ) -> Result<Vec<Name>, ApplyError> {
        let _turn = self.turn().await?;
        if banks.is_empty() || banks.len() > BANKS_PER_CALL_MAX {
            return Err(ApplyError::Count);
        }
        let snapshot = self.world.load();
        for (at, bank) in banks.iter().enumerate() {
            if banks[..at].iter().any(|other| other.name == bank.name) {
                return Err(ApplyError::Twice(bank.name.clone()));
            }
            self.check_bank(bank, &snapshot)?;
        }
        let names: Vec<Name> = banks.iter().map(|bank| bank.name.clone()).collect();
        if validate_only {
            return Ok(names);
        }
        let bindings: Vec<_> = banks
            .iter()
            .flat_map(|b| new_bindings(b, &snapshot))
            .collect();
        let data = json!({
            "banks": banks,
            "bindings": bindings
                .iter()
                .map(|(bank, version)| format!("{bank}: {version}"))
                .collect::<Vec<_>>(),
        });
        let write = self.world.store().put_banks(&banks, &bindings);
        self.change(who, Event::BankApply, data, write).await?;
        Ok(names)
    }

    fn check_bank(&self, bank: &Bank, snapshot: &Snapshot) -> Result<(), ApplyError> {
        let name = || bank.name.clone();
        bank.check().map_err(|source| ApplyError::Malformed {
            bank: name(),
            source,
        })?;
        let mut profiles = vec![profile_of(bank, &bank.profile, snapshot)?];
        if !bank.oauth_profile.is_empty() {
            let oauth = profile_of(bank, &bank.oauth_profile, snapshot)?;
            if !oauth.signs_jwt() {
                let profile = bank.oauth_profile.clone();
                return Err(ApplyError::NotOauth {
                    bank: name(),
                    profile,
                });
            }
            profiles.push(oauth);
        }
        let settings: Settings = bank.settings.clone().into();
        settings
            .check(&profiles)
            .map_err(|e| ApplyError::Settings {
                bank: name(),
                problem: e.to_string(),
            })?;
        let absent = bank
            .credentials
            .iter()
            .find(|c| !snapshot.credentials.contains_key(*c));
        match absent {
            Some(credential) => Err(ApplyError::CredentialUnknown {
                bank: name(),
                credential: credential.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// A profile that a bank names.
fn profile_of<'a>(
    bank: &Bank,
    name: &str,
    snapshot: &'a Snapshot,
) -> Result<&'a Profile, ApplyError> {
    let catalog = &snapshot.catalog;
    let known = || catalog.iter().map(Profile::name).collect::<Vec<_>>();
    catalog.get(name).ok_or_else(|| ApplyError::ProfileUnknown {
        bank: bank.name.clone(),
        profile: name.to_owned(),
        known: known().join(", "),
    })
}

/// A credential that the bank has no version of yet is bound to its newest active one.
fn new_bindings(bank: &Bank, snapshot: &Snapshot) -> Vec<(Name, VersionId)> {
    let known = snapshot.banks.get(&bank.name);
    bank.credentials
        .iter()
        .filter(|credential| !known.is_some_and(|d| d.bound.contains_key(*credential)))
        .filter_map(|credential| snapshot.credentials.get(credential)?.newest_active())
        .map(|version| (bank.name.clone(), version.id.clone()))
        .collect()
}
