//! One replica among others: it hears what they change, and one of them leads.
//!
//! In: word from the store. Out: a new snapshot within the time of a `NOTIFY`; the tasks that must run once. Never: a
//! signature by a replica that does not hear the others, because one of them may have frozen the key.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::backend::KeyRef;
use crate::backend::tokens::Tokens;
use crate::clock;
use crate::domain::{Version, VersionState};
use crate::store::Store;
use crate::world::{Snapshot, World, WorldError};

/// The pause before the database is tried again, milliseconds.
const PAUSE_MS: u64 = 250;
/// How long finding the keys that another replica generated may take, seconds.
const ADOPT_TIMEOUT_S: u64 = 30;

/// Reads again whatever another replica changes, for as long as the service runs. Ends at once when there are no others.
pub async fn follow(world: Arc<World>, tokens: Tokens) {
    while let Err(error) = follow_session(&world, &tokens).await {
        tracing::error!(%error, "what other replicas change is not heard");
        tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
    }
}

/// Follows until the session of the database is lost.
async fn follow_session(world: &World, tokens: &Tokens) -> Result<(), WorldError> {
    let Some(mut changes) = world.store().changes().await? else {
        return Ok(());
    };
    loop {
        if changes.next().await? {
            let before = world.load();
            world.refresh().await?;
            // Nobody waits for a slow token: what others change is heard meanwhile.
            tokio::spawn(adopt_new(tokens.clone(), before, world.load()));
        }
        world.in_touch();
    }
}

/// Makes keys ready that another replica generated.
async fn adopt_new(tokens: Tokens, before: Arc<Snapshot>, now: Arc<Snapshot>) {
    let known: HashSet<_> = versions(&before).map(|version| version.key.id).collect();
    let mut new: BTreeMap<&str, Vec<KeyRef>> = BTreeMap::new();
    for version in versions(&now).filter(|version| !known.contains(&version.key.id)) {
        new.entry(&version.token_set).or_default().push(version.key);
    }
    for (set, keys) in new {
        let deadline = clock::monotonic() + Duration::from_secs(ADOPT_TIMEOUT_S);
        let adopted = tokens.adopt(set, &keys, deadline).await;
        let failed = match adopted {
            Ok(adopted) => adopted
                .into_iter()
                .filter_map(|one| one.outcome.err())
                .collect(),
            Err(error) => vec![error],
        };
        for error in failed {
            tracing::error!(set, reason = error.reason(), %error, "a key of another replica is not ready here");
        }
    }
}

fn versions(snapshot: &Snapshot) -> impl Iterator<Item = &Version> {
    let versions = snapshot.credentials.values().flat_map(|c| &c.versions);
    let versions = versions.map(|version| &**version);
    versions.filter(|version| version.state != VersionState::Destroyed)
}

/// Runs the tasks that must run once among all replicas, while this one leads; again when it leads again. Never ends.
pub async fn lead(store: Store, begin: impl Fn() -> JoinSet<()>) {
    loop {
        match store.lead().await {
            Ok(leadership) => {
                let mut tasks = begin();
                leadership.lost().await;
                tasks.shutdown().await;
            }
            Err(error) => tracing::error!(%error, "whether this replica leads is not known"),
        }
        tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
    }
}
