//! The tokens of the house: opened, and every known key proven.
//!
//! In: the configuration and what the store knows. Out: tokens that serve. The service runs with those that open; a token
//! that is away, or a key that is missing, stops nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::pkcs11::Pkcs11Backend;
use crate::backend::tokens::{MemberConfig, Opener, TokenSet, Tokens};
use crate::backend::worker::{PinSource, TokenWorker};
use crate::backend::{BackendError, KeyBackend, KeyRef, TokenInfo};
use crate::config::{Config, Isolation, ReplicaRule, TokenConfig};
use crate::domain::{Version, VersionState};
use crate::store::{Store, StoreError};
use crate::world::Snapshot;
use crate::{clock, pin};

use super::RunError;

/// How long finding all keys at start may take, seconds.
const ADOPT_TIMEOUT_S: u64 = 60;

/// Reads the PIN each time it is needed, so that it is nowhere in the meantime.
pub(crate) fn pin_source(token: &TokenConfig, env: Option<String>) -> PinSource {
    let token = token.clone();
    Arc::new(move || {
        pin::read(&token, env.as_deref())
            .map_err(|error| BackendError::PinUnavailable(error.to_string()))
    })
}

/// Opens all tokens. Loading a vendor's module and logging in block for as long as they like.
pub(super) async fn open(config: &Config, pin_env: Option<String>) -> Result<Tokens, RunError> {
    let mut sets: Vec<(String, Vec<MemberConfig>)> = Vec::new();
    for token in &config.tokens {
        let member = member(config, token, pin_env.clone());
        match sets.iter_mut().find(|(name, _)| name == token.set_name()) {
            Some((_, members)) => members.push(member),
            None => sets.push((token.set_name().to_owned(), vec![member])),
        }
    }
    let sets = sets
        .into_iter()
        .map(|(name, members)| TokenSet::new(&name, members));
    let tokens = Tokens::new(sets.collect::<Result<_, _>>()?)?;
    let opening = tokens.clone();
    let opened = tokio::task::spawn_blocking(move || opening.open()).await;
    opened.map_err(|error| std::io::Error::other(error.to_string()))??;
    Ok(tokens)
}

fn member(config: &Config, token: &TokenConfig, pin_env: Option<String>) -> MemberConfig {
    let (pin, worker) = (pin_source(token, pin_env), config.worker(token));
    let open: Opener = match token.isolation {
        Isolation::Process => Arc::new(move || {
            let token = TokenWorker::start(worker.clone(), pin.clone())?;
            Ok(Arc::new(token) as Arc<dyn KeyBackend>)
        }),
        Isolation::Thread => Arc::new(move || {
            let (config, marker) = (worker.token.clone(), worker.pin_marker.clone());
            let token = Pkcs11Backend::start(config, pin()?, marker)?;
            Ok(Arc::new(token) as Arc<dyn KeyBackend>)
        }),
    };
    let module = token.module.display().to_string();
    MemberConfig {
        about: TokenInfo::closed(&token.name, &token.label, token.serial.as_deref(), &module),
        is_required: token.replica == ReplicaRule::Required,
        open,
    }
}

/// Has every known key proven; names the versions whose key is ready nowhere. A key that is missing today does not stop
/// the others, nor does a set of which no token can be asked, as long as there is another one.
pub(super) async fn adopt(
    tokens: &Tokens,
    store: &Store,
    snapshot: &Snapshot,
) -> Result<Vec<String>, RunError> {
    let credentials = snapshot.credentials.values();
    let versions = credentials.flat_map(|credential| &credential.versions);
    let mut by_set: BTreeMap<&str, Vec<&Version>> = BTreeMap::new();
    for version in versions.filter(|version| version.state != VersionState::Destroyed) {
        by_set.entry(&version.token_set).or_default().push(version);
    }
    let (mut unready, mut failed, sets) = (Vec::new(), None, by_set.len());
    for (set, versions) in by_set {
        let keys: Vec<KeyRef> = versions.iter().map(|version| version.key).collect();
        let deadline = clock::monotonic() + Duration::from_secs(ADOPT_TIMEOUT_S);
        let outcomes: Vec<Result<_, BackendError>> = match tokens.adopt(set, &keys, deadline).await
        {
            Ok(report) => report.into_iter().map(|adopted| adopted.outcome).collect(),
            Err(error) if sets == 1 && tokens.has_set(set) => return Err(error.into()),
            Err(error) => {
                failed = Some(error.clone());
                keys.iter().map(|_| Err(error.clone())).collect()
            }
        };
        for (version, outcome) in versions.iter().zip(outcomes) {
            if let Err(error) = outcome {
                tracing::error!(version = %version.id, set, reason = error.reason(), %error, "key not ready");
                unready.push(version.id.to_string());
            }
        }
    }
    if let Some(error) = failed {
        tracing::error!(%error, "a set of tokens could not be asked for its keys");
    }
    take_up_suspicions(tokens, store).await?;
    Ok(unready)
}

/// What was found out about a token holds until an officer has it proven wrong, not until the next start.
async fn take_up_suspicions(tokens: &Tokens, store: &Store) -> Result<(), StoreError> {
    for suspicion in store.suspicions().await? {
        let (token, key) = (&suspicion.token, suspicion.key);
        tracing::error!(token, %key, "a token is not asked to use a key: signatures by it did not verify");
        tokens.suspect(token, key);
    }
    Ok(())
}
