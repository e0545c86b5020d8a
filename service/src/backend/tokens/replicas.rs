//! Which token of a set has proven which key.
//!
//! In: what tokens answered when they were asked for keys. Out: where a key may be used. One immutable map, swapped
//! whole: a signature costs one lookup and no lock. It never forgets a suspicion by itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::backend::{BackendError, KeyEvidence, KeyId, KeyRef};

/// What is known of a key at one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replica {
    /// It is there, it is the pinned one, nobody can take it out, and a signature by it verified.
    Proven(KeyEvidence),
    /// The token works and has no such key.
    Missing,
    /// The token has something under the key's id that is not used.
    Refused(BackendError),
    /// Signatures by it did not verify; it is not used until an operator has it proven again.
    Suspect,
    /// The token could not be asked yet.
    Unknown,
}

/// A key at one token, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaReport {
    /// The token's name in our configuration.
    pub token: String,
    /// No version is put to use before its key is proven there.
    pub is_required: bool,
    /// What is known.
    pub replica: Replica,
}

impl Replica {
    pub(super) fn of(outcome: &Result<KeyEvidence, BackendError>) -> Self {
        match outcome {
            Ok(evidence) => Self::Proven(*evidence),
            Err(BackendError::KeyUnknown(_)) => Self::Missing,
            Err(error) => Self::Refused(error.clone()),
        }
    }

    /// Whether the key may be used there.
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Proven(_))
    }

    /// Whether the token lacks a key that it should have.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing | Self::Refused(_))
    }

    /// The word of the API.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Proven(_) => "proven",
            Self::Missing => "missing",
            Self::Refused(_) => "refused",
            Self::Suspect => "suspect",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "{} ({error})", self.as_str()),
            _ => f.write_str(self.as_str()),
        }
    }
}

/// One key of a set.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: KeyRef,
    /// By the token's place in the set.
    pub(super) replicas: Vec<Replica>,
}

/// The keys of a set.
pub(super) struct Replicas {
    token_count: usize,
    keys: ArcSwap<HashMap<KeyId, Arc<Entry>>>,
}

impl Replicas {
    pub(super) fn new(token_count: usize) -> Self {
        Self {
            token_count,
            keys: ArcSwap::default(),
        }
    }

    pub(super) fn get(&self, id: KeyId) -> Option<Arc<Entry>> {
        self.keys.load().get(&id).cloned()
    }

    pub(super) fn has(&self, id: KeyId) -> bool {
        self.keys.load().contains_key(&id)
    }

    /// Every key of the set.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.keys.load().values().cloned().collect()
    }

    /// Makes keys known to the set, before any token was asked.
    pub(super) fn expect(&self, keys: &[KeyRef]) {
        self.change(|map| {
            for key in keys {
                map.entry(key.id).or_insert_with(|| self.unknown(*key));
            }
        });
    }

    /// Takes what one token answered. A suspicion stays.
    pub(super) fn learn(&self, place: usize, news: &[(KeyRef, Replica)]) {
        self.put(place, news, |known| !matches!(known, Replica::Suspect));
    }

    /// Takes what one token answered to an operator, or a suspicion.
    pub(super) fn overrule(&self, place: usize, news: &[(KeyRef, Replica)]) {
        self.put(place, news, |_| true);
    }

    fn put(&self, place: usize, news: &[(KeyRef, Replica)], may: impl Fn(&Replica) -> bool) {
        self.change(|map| {
            for (key, replica) in news {
                let entry = map.entry(key.id).or_insert_with(|| self.unknown(*key));
                if may(&entry.replicas[place]) {
                    Arc::make_mut(entry).replicas[place] = replica.clone();
                }
            }
        });
    }

    /// The key was destroyed.
    pub(super) fn forget(&self, id: KeyId) {
        self.change(|map| drop(map.remove(&id)));
    }

    fn unknown(&self, key: KeyRef) -> Arc<Entry> {
        let replicas = vec![Replica::Unknown; self.token_count];
        Arc::new(Entry { key, replicas })
    }

    fn change(&self, change: impl Fn(&mut HashMap<KeyId, Arc<Entry>>)) {
        self.keys.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            change(&mut keys);
            keys
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::KeyLimits;

    fn evidence() -> KeyEvidence {
        KeyEvidence {
            sensitive: true,
            extractable: false,
            always_sensitive: true,
            never_extractable: true,
            local: true,
            limits: KeyLimits::default(),
        }
    }

    fn key() -> KeyRef {
        KeyRef {
            id: KeyId::random(),
            spki_sha256: [1; 32],
        }
    }

    #[test]
    fn a_suspicion_ends_only_by_an_operator() {
        let (replicas, key) = (Replicas::new(2), key());
        let at = |place: usize| replicas.get(key.id).unwrap().replicas[place].clone();
        replicas.learn(0, &[(key, Replica::Proven(evidence()))]);
        assert_eq!(
            (at(0), at(1)),
            (Replica::Proven(evidence()), Replica::Unknown)
        );
        replicas.overrule(0, &[(key, Replica::Suspect)]);
        replicas.learn(0, &[(key, Replica::Proven(evidence()))]);
        assert_eq!(at(0), Replica::Suspect);
        replicas.overrule(0, &[(key, Replica::Proven(evidence()))]);
        assert_eq!(at(0), Replica::Proven(evidence()));
    }

    #[test]
    fn a_key_that_is_expected_again_keeps_what_is_known() {
        let (replicas, key) = (Replicas::new(1), key());
        replicas.learn(0, &[(key, Replica::Missing)]);
        replicas.expect(&[key]);
        assert_eq!(replicas.get(key.id).unwrap().replicas, [Replica::Missing]);
        replicas.forget(key.id);
        assert!(!replicas.has(key.id));
    }

    #[test]
    fn what_is_told_of_a_token_that_has_another_key_is_not_that_it_has_none() {
        let id = KeyId::random();
        let other = Replica::of(&Err(BackendError::KeyMismatch(id)));
        assert_eq!(other, Replica::Refused(BackendError::KeyMismatch(id)));
        assert!(other.is_missing() && !other.is_proven());
        assert_eq!(
            Replica::of(&Err(BackendError::KeyUnknown(id))),
            Replica::Missing
        );
    }
}
