//! What is done beside the requests: tokens that did not open are opened again, keys that a token lacked are looked for.
//!
//! In: the sets. Out: tokens that are open and have proven what they have. It never tries a PIN again that was refused,
//! and never ends a suspicion.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::member::Member;
use super::replicas::Replica;
use super::set::TokenSet;
use crate::backend::{BackendError, KeyRef};
use crate::clock::monotonic;

/// Wait between attempts to open a token: the first and the longest. One that is back must be found within two seconds.
const OPEN_WAIT_MIN: Duration = Duration::from_millis(200);
const OPEN_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often a token is asked for keys that it lacked. An operator who does not want to wait asks for the proof.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// How long a token may take to find and prove keys.
const ADOPT_PATIENCE: Duration = Duration::from_secs(60);

/// Opens every token on a thread of its own.
pub(super) fn open(sets: &[Arc<TokenSet>]) -> Result<(), BackendError> {
    let members: Vec<_> = sets.iter().flat_map(|set| set.members()).collect();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let opening: Vec<_> = members
            .iter()
            .map(|member| scope.spawn(|| member.open()))
            .collect();
        let outcomes = opening.into_iter().map(thread::ScopedJoinHandle::join);
        outcomes.collect()
    });
    let mut problems = Vec::new();
    for (member, outcome) in members.iter().zip(outcomes) {
        let outcome = outcome.unwrap_or_else(|_| Err(panicked()));
        if let Err(error) = outcome {
            tracing::error!(token = member.name(), reason = error.reason(), %error, "a token does not open");
            problems.push(error);
        }
    }
    match problems.len() == members.len() {
        true => Err(problems.swap_remove(0)),
        false => Ok(()),
    }
}

fn panicked() -> BackendError {
    BackendError::Unavailable {
        function: "thread".to_owned(),
        rv: "panicked".to_owned(),
    }
}

/// Looks after every token beside the others, for as long as this is polled.
pub(super) async fn tend(sets: Arc<[Arc<TokenSet>]>) {
    let mut tasks = JoinSet::new();
    for set in sets.iter() {
        for place in 0..set.members().len() {
            tasks.spawn(tend_one(Arc::clone(set), place));
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn tend_one(set: Arc<TokenSet>, place: usize) {
    let member = set.member(place);
    if member.backend().is_none() {
        if !open_again(member).await {
            return;
        }
        look(&set, place, |_| true).await;
    }
    loop {
        sleep(LOOK_INTERVAL).await;
        if member.is_ready() {
            let lacks = |replica: &Replica| replica.is_missing() || *replica == Replica::Unknown;
            look(&set, place, lacks).await;
        }
    }
}

/// `false`: a person must act, and nobody tries again.
async fn open_again(member: &Arc<Member>) -> bool {
    let mut wait = OPEN_WAIT_MIN;
    loop {
        sleep(wait).await;
        wait = (wait * 2).min(OPEN_WAIT_MAX);
        let opened = Arc::clone(member);
        match tokio::task::spawn_blocking(move || opened.open()).await {
            Ok(Ok(())) => {
                tracing::info!(token = member.name(), "a token is open at last");
                return true;
            }
            Ok(Err(error)) if error.needs_a_person() => {
                tracing::error!(token = member.name(), %error, "the token is not tried again until the service is started again");
                return false;
            }
            Ok(Err(error)) => {
                tracing::debug!(token = member.name(), %error, "the token does not open yet");
            }
            Err(_) => return false,
        }
    }
}

async fn look(set: &Arc<TokenSet>, place: usize, wanted: fn(&Replica) -> bool) {
    let keys = set.keys.all();
    let keys = keys.iter().filter(|entry| wanted(&entry.replicas[place]));
    let keys: Vec<KeyRef> = keys.map(|entry| entry.key).collect();
    if keys.is_empty() {
        return;
    }
    let adopted = set.adopt_at(place, &keys, monotonic() + ADOPT_PATIENCE);
    let token = set.member(place).name();
    match adopted.await {
        Ok(()) => tracing::debug!(token, keys = keys.len(), "looked for keys"),
        Err(error) => tracing::warn!(token, %error, "the token could not be asked for keys"),
    }
}
