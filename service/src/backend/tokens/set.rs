//! Tokens that hold the same keys and act as one.
//!
//! In: requests for a key. Out: the answer of a token that has proven it. A key counts as present at a token when its
//! public key is the pinned one and a signature by it verified there; how it came there (the vendor's replication, a
//! cloned HSM, a backup) is none of its business.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sealkeep_profiles::format::jwe::TokenWork;

use super::TokenStatus;
use super::failover::Asking;
use super::health;
use super::member::{Member, MemberConfig};
use super::replicas::{Entry, Replica, Replicas};
use super::suspicion::Suspicions;
use super::work::OwnedWork;
use crate::backend::{
    BackendError, BoxFuture, GeneratedKey, KeyBackend, KeyId, KeyRef, KeySpec, KeyUsage, Unwrapped,
};
use crate::clock::monotonic;

/// Most tokens of a set.
pub const TOKENS_PER_SET_MAX: usize = 8;

/// One or several tokens that hold the same keys.
pub struct TokenSet {
    name: String,
    members: Vec<Arc<Member>>,
    pub(super) keys: Replicas,
    pub(super) suspicions: Suspicions,
    /// Counts requests, so that equals share them.
    turn: AtomicUsize,
}

impl TokenSet {
    /// A set of tokens that are not open yet.
    ///
    /// # Errors
    /// [`BackendError::ConfigInvalid`] without a token, or with more than [`TOKENS_PER_SET_MAX`].
    pub fn new(name: &str, members: Vec<MemberConfig>) -> Result<Self, BackendError> {
        if !(1..=TOKENS_PER_SET_MAX).contains(&members.len()) {
            return Err(BackendError::ConfigInvalid {
                field: "token.set".into(),
                rule: format!("of 1 to {TOKENS_PER_SET_MAX} tokens"),
            });
        }
        let members = members.into_iter().map(Member::new).map(Arc::new);
        Ok(Self::with(name.to_owned(), members.collect()))
    }

    /// A set of one token that is open already.
    pub(super) fn of(backend: Arc<dyn KeyBackend>) -> Self {
        Self::with("main".to_owned(), vec![Arc::new(Member::of(backend))])
    }

    fn with(name: String, members: Vec<Arc<Member>>) -> Self {
        Self {
            name,
            keys: Replicas::new(members.len()),
            suspicions: Suspicions::default(),
            turn: AtomicUsize::new(0),
            members,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    pub(super) fn member(&self, place: usize) -> &Arc<Member> {
        &self.members[place]
    }

    pub(super) fn knows(&self, id: KeyId) -> bool {
        self.keys.has(id)
    }

    /// Asks a token that has proven the key; another one if it fails. The work starts now. Answers also which one it was.
    pub(super) fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        key: &KeyRef,
        deadline: Instant,
        work: impl Fn(&dyn KeyBackend) -> BoxFuture<Result<T, BackendError>> + Send + 'static,
    ) -> BoxFuture<Result<(T, usize), BackendError>> {
        let order = match self.order(key) {
            Ok(order) => order,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        if let [only] = self.members.as_slice() {
            let (answer, set, key) = (only.ask(work), Arc::clone(self), *key);
            return Box::pin(async move {
                let outcome = answer.await;
                if let Err(error) = &outcome {
                    set.learn_from(0, &key, error);
                }
                Ok((outcome?, 0))
            });
        }
        let asking = Asking::begin(Arc::clone(self), *key, order, deadline, work);
        Box::pin(asking.answer())
    }

    /// The places to ask for a key, the best first. A token alone knows best itself what it has.
    fn order(&self, key: &KeyRef) -> Result<Vec<usize>, BackendError> {
        let entry = self.keys.get(key.id);
        let entry = entry.ok_or(BackendError::KeyUnknown(key.id))?;
        if entry.key.spki_sha256 != key.spki_sha256 {
            return Err(BackendError::KeyMismatch(key.id));
        }
        let may = |replica: &Replica| match self.members.len() {
            1 => !matches!(replica, Replica::Suspect | Replica::Unknown),
            _ => replica.is_proven(),
        };
        let candidates = entry.replicas.iter().enumerate();
        let candidates = candidates.filter(|(_, replica)| may(replica));
        let candidates: Vec<_> = candidates
            .map(|(place, _)| self.members[place].candidate(place))
            .collect();
        if candidates.is_empty() {
            return Err(why_nowhere(&entry));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Ok(health::order(candidates, turn, monotonic()))
    }

    /// What an error of a token says about a key there.
    pub(super) fn learn_from(&self, place: usize, key: &KeyRef, error: &BackendError) {
        if let BackendError::KeyUnknown(_)
        | BackendError::KeyAmbiguous(_)
        | BackendError::KeyMismatch(_)
        | BackendError::KeyUnprotected(_) = error
        {
            let token = self.members[place].name();
            tracing::error!(token, key = %key.id, %error, "a token has lost a key");
            self.keys
                .learn(place, &[(*key, Replica::of(&Err(error.clone())))]);
        }
    }

    /// See [`super::Tokens::generate`].
    pub(super) fn generate(
        self: &Arc<Self>,
        id: KeyId,
        label: &str,
        spec: KeySpec,
        usage: KeyUsage,
        deadline: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>> {
        let members = self.members.iter().enumerate();
        let ready = members.filter(|(_, member)| member.is_ready());
        let candidates: Vec<_> = ready.map(|(at, member)| member.candidate(at)).collect();
        let best = health::order(candidates, 0, monotonic()).into_iter().next();
        // Not again elsewhere when it fails: it may have made the key all the same.
        let place = best.unwrap_or(0);
        let member = &self.members[place];
        let answer = member.task(|token| token.generate(id, label, spec, usage, deadline));
        let set = Arc::clone(self);
        Box::pin(async move {
            let made = answer.await?;
            let proven = Replica::Proven(made.evidence);
            set.keys.learn(place, &[(made.key, proven)]);
            for other in (0..set.members.len()).filter(|other| *other != place) {
                set.keys.learn(other, &[(made.key, Replica::Missing)]);
            }
            Ok(made)
        })
    }

    /// See [`super::Tokens::decrypt`].
    pub(super) fn decrypt(
        self: &Arc<Self>,
        key: &KeyRef,
        work: TokenWork<'_>,
        deadline: Instant,
    ) -> BoxFuture<Result<Unwrapped, BackendError>> {
        let (asked, work) = (*key, OwnedWork::from(work));
        let answer = self.ask(key, deadline, move |token| {
            token.decrypt(&asked, work.borrowed(), deadline)
        });
        Box::pin(async move { Ok(answer.await?.0) })
    }

    /// See [`super::Tokens::doubt`].
    pub(super) fn doubt(&self, key: &KeyRef, place: usize) -> Option<String> {
        if !self.suspicions.add(place, key.id, monotonic()) {
            return None;
        }
        self.keys.overrule(place, &[(*key, Replica::Suspect)]);
        Some(self.members[place].name().to_owned())
    }

    /// See [`super::Tokens::suspect`].
    pub(super) fn suspect(&self, token: &str, id: KeyId) {
        let place = self.members.iter().position(|it| it.name() == token);
        if let (Some(place), Some(entry)) = (place, self.keys.get(id)) {
            self.keys.overrule(place, &[(entry.key, Replica::Suspect)]);
        }
    }

    pub(super) fn statuses(&self) -> Vec<TokenStatus> {
        let keys = self.keys.all();
        let count = |place: usize, is: fn(&Replica) -> bool| {
            let those = keys.iter().filter(|entry| is(&entry.replicas[place]));
            u32::try_from(those.count()).unwrap_or(u32::MAX)
        };
        let members = self.members.iter().enumerate();
        let status = |(place, member): (usize, &Arc<Member>)| TokenStatus {
            set: self.name.clone(),
            info: member.info(),
            missing_key_count: count(place, Replica::is_missing),
            suspect_key_count: count(place, |replica| *replica == Replica::Suspect),
            failover_count: member.failovers.load(Ordering::Relaxed),
            tally: member.backend().map(|it| it.tally()).unwrap_or_default(),
        };
        members.map(status).collect()
    }
}

/// Why a key can be used nowhere: the reason that a person must act on comes before one that passes by itself.
pub(super) fn why_nowhere(entry: &Entry) -> BackendError {
    let (id, replicas) = (entry.key.id, &entry.replicas);
    let refused = replicas.iter().find_map(|replica| match replica {
        Replica::Refused(error) => Some(error.clone()),
        _ => None,
    });
    if replicas.contains(&Replica::Suspect) {
        return BackendError::KeySuspect(id);
    }
    if let Some(error) = refused {
        return error;
    }
    match replicas.contains(&Replica::Unknown) {
        true => BackendError::Unavailable {
            function: "token-set".to_owned(),
            rv: "no token that may have the key can be asked".to_owned(),
        },
        false => BackendError::KeyUnknown(id),
    }
}
