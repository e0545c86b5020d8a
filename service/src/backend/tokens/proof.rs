//! Who has which key: found, proven, destroyed at every token of a set.
//!
//! In: keys that the set should have. Out: what each token proved of them. It never takes the word of one token for
//! another, and never "not found" at a token that is not well.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;

use super::member::Member;
use super::replicas::{Replica, ReplicaReport};
use super::set::{TokenSet, why_nowhere};
use crate::backend::{Adopted, BackendError, BoxFuture, KeyId, KeyRef};

impl TokenSet {
    /// See [`super::Tokens::adopt`].
    pub(super) fn adopt(
        self: &Arc<Self>,
        keys: &[KeyRef],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<Adopted>, BackendError>> {
        self.keys.expect(keys);
        let answers: Vec<_> = (0..self.members().len())
            .map(|place| self.adopt_at(place, keys, deadline))
            .collect();
        let (set, keys) = (Arc::clone(self), keys.to_vec());
        Box::pin(async move {
            let answers = join_all(answers).await;
            if let Some(error) = answers.iter().find_map(|answer| answer.as_ref().err())
                && answers.iter().all(Result::is_err)
            {
                return Err(error.clone());
            }
            Ok(keys.iter().map(|key| set.adopted(key)).collect())
        })
    }

    /// Has one token find and prove keys.
    pub(super) fn adopt_at(
        self: &Arc<Self>,
        place: usize,
        keys: &[KeyRef],
        deadline: Instant,
    ) -> BoxFuture<Result<(), BackendError>> {
        let set = Arc::clone(self);
        let answer = self.member(place).task(|token| token.adopt(keys, deadline));
        Box::pin(async move {
            set.keys.learn(place, &news(&answer.await?));
            Ok(())
        })
    }

    /// What is known of a key after all tokens were asked.
    fn adopted(&self, key: &KeyRef) -> Adopted {
        let entry = self.keys.get(key.id);
        let replicas = entry.as_ref().map_or(&[][..], |entry| &entry.replicas);
        let proven = replicas.iter().find_map(|replica| match replica {
            Replica::Proven(evidence) => Some(*evidence),
            _ => None,
        });
        let unknown = BackendError::KeyUnknown(key.id);
        let why = || entry.as_ref().map_or(unknown, |entry| why_nowhere(entry));
        Adopted {
            key: *key,
            outcome: proven.ok_or_else(why),
        }
    }

    /// See [`super::Tokens::prove`].
    pub(super) fn prove(
        self: &Arc<Self>,
        key: &KeyRef,
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<ReplicaReport>, BackendError>> {
        let (set, key) = (Arc::clone(self), *key);
        let answers = self
            .members()
            .iter()
            .map(|member| member.task(|token| token.adopt(&[key], deadline)));
        let answers: Vec<_> = answers.collect();
        Box::pin(async move {
            for (place, answer) in join_all(answers).await.into_iter().enumerate() {
                match answer {
                    Ok(report) => {
                        let news = news(&report);
                        // Nothing but a proof ends a suspicion.
                        if news.iter().any(|(_, replica)| replica.is_proven()) {
                            set.suspicions.forget(place, key.id);
                            set.keys.overrule(place, &news);
                        } else {
                            set.keys.learn(place, &news);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(token = set.member(place).name(), %error, "the token could not be asked for a key");
                        set.keys.learn(place, &[(key, Replica::Unknown)]);
                    }
                }
            }
            Ok(set.replicas(key.id))
        })
    }

    /// See [`super::Tokens::prove_unproven`].
    pub(super) fn prove_unproven(
        self: &Arc<Self>,
        key: &KeyRef,
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<ReplicaReport>, BackendError>> {
        let (set, key) = (Arc::clone(self), *key);
        let reports = self.replicas(key.id).into_iter().enumerate();
        let unproven = reports.filter(|(_, report)| !report.replica.is_proven());
        let answers: Vec<_> = unproven
            .map(|(place, _)| self.adopt_at(place, &[key], deadline))
            .collect();
        Box::pin(async move {
            for answer in join_all(answers).await {
                if let Err(error) = answer {
                    tracing::warn!(%error, key = %key.id, "a token could not be asked for a key");
                }
            }
            Ok(set.replicas(key.id))
        })
    }

    pub(super) fn replicas(&self, id: KeyId) -> Vec<ReplicaReport> {
        let entry = self.keys.get(id);
        let replicas = entry.map_or_else(Vec::new, |entry| entry.replicas.clone());
        let reports = self.members().iter().zip(replicas);
        let report = |(member, replica): (&Arc<Member>, Replica)| ReplicaReport {
            token: member.name().to_owned(),
            is_required: member.is_required,
            replica,
        };
        reports.map(report).collect()
    }

    /// See [`super::Tokens::destroy`].
    pub(super) fn destroy(
        self: &Arc<Self>,
        key: &KeyRef,
        deadline: Instant,
    ) -> BoxFuture<Result<(), BackendError>> {
        let (set, key) = (Arc::clone(self), *key);
        let answers: Vec<_> = self
            .members()
            .iter()
            .map(|member| member.task(|token| token.destroy(&key, deadline)))
            .collect();
        Box::pin(async move {
            let answers = join_all(answers).await;
            let mut gone = Err(BackendError::KeyUnknown(key.id));
            for (place, answer) in answers.into_iter().enumerate() {
                match answer {
                    Ok(()) => gone = Ok(()),
                    // "Not found" proves nothing but at a token that is well.
                    Err(BackendError::KeyUnknown(_)) if set.member(place).is_ready() => {}
                    Err(error) => return Err(error),
                }
            }
            if gone.is_ok() {
                set.keys.forget(key.id);
            }
            gone
        })
    }
}

fn news(report: &[Adopted]) -> Vec<(KeyRef, Replica)> {
    let news = report.iter();
    news.map(|adopted| (adopted.key, Replica::of(&adopted.outcome)))
        .collect()
}
