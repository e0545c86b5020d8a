//! All the tokens of the house, and which of them hold which key.
//!
//! In: requests for a key. Out: an answer of a token that has it. Tokens that hold the same keys form a set and act as
//! one: the healthiest is asked first, and another one when it fails or says nothing, within the caller's deadline.
//! Tokens with keys of their own are sets of one. It never uses a key at a token that has not proven it, and never a
//! token whose signatures by that key did not verify, until an operator says so.
//!
//! ```text
//! Tokens: key -> TokenSet: order by health -> Member: a token, opened or opened again -> KeyBackend
//! ```

mod failover;
mod health;
mod member;
mod proof;
mod replicas;
mod set;
mod suspicion;
mod tend;
mod work;

use std::sync::Arc;
use std::time::Instant;

use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_profiles::format::jwe::TokenWork;

pub use member::{MemberConfig, Opener};
pub use replicas::{Replica, ReplicaReport};
pub use set::{TOKENS_PER_SET_MAX, TokenSet};

use super::{
    Adopted, BackendError, BoxFuture, GeneratedKey, KeyBackend, KeyId, KeyRef, KeySpec, KeyUsage,
    Tally, TokenInfo, Unwrapped,
};

/// A signature as a token made it, not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSignature {
    /// RSA and Ed25519 as the token gave it, ECDSA as `r || s` of fixed width.
    pub bytes: Vec<u8>,
    by: Origin,
}

/// Which token of the key's set made a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    key: KeyRef,
    place: usize,
}

/// One token as operators and monitoring see it.
#[derive(Debug, Clone)]
pub struct TokenStatus {
    /// The set that it belongs to; its own name when it has no other.
    pub set: String,
    /// The token's own word.
    pub info: TokenInfo,
    /// Keys of the set that it should have and has not, or has in another form.
    pub missing_key_count: u32,
    /// Keys that it is not asked to use, because its signatures by them did not verify.
    pub suspect_key_count: u32,
    /// Requests that went on to another token of the set after this one.
    pub failover_count: u64,
    /// What it has done since the service opened it.
    pub tally: Tally,
}

/// The tokens of the service. Clones are the same tokens.
#[derive(Clone)]
pub struct Tokens(Arc<[Arc<TokenSet>]>);

impl Tokens {
    /// The first set is where keys are made when nobody says where.
    ///
    /// # Errors
    /// [`BackendError::ConfigInvalid`] without any set, or when two have one name.
    pub fn new(sets: Vec<TokenSet>) -> Result<Self, BackendError> {
        let invalid = |rule: &str| BackendError::ConfigInvalid {
            field: "token".into(),
            rule: rule.to_owned(),
        };
        if sets.is_empty() {
            return Err(invalid("given at least once"));
        }
        for (at, set) in sets.iter().enumerate() {
            if sets[..at].iter().any(|other| other.name() == set.name()) {
                return Err(invalid("of one name each"));
            }
        }
        Ok(Self(sets.into_iter().map(Arc::new).collect()))
    }

    /// One token that is open already.
    pub fn of(backend: Arc<dyn KeyBackend>) -> Self {
        Self(Arc::new([Arc::new(TokenSet::of(backend))]))
    }

    /// Opens all tokens, each beside the others. Blocks as long as they take; call it where blocking is allowed.
    ///
    /// Those that do not open today are tried again by [`tend`](Self::tend).
    ///
    /// # Errors
    /// When none opens: why the first one did not.
    pub fn open(&self) -> Result<(), BackendError> {
        tend::open(&self.0)
    }

    /// Opens again what did not open, and looks again for keys that a token should have. Never ends by itself.
    pub async fn tend(self) {
        tend::tend(self.0).await;
    }

    /// The set where keys are made when nobody says where.
    pub fn first_set(&self) -> &str {
        // Cannot fail: there is at least one set.
        self.0[0].name()
    }

    /// Whether there is a set of this name.
    pub fn has_set(&self, name: &str) -> bool {
        self.0.iter().any(|set| set.name() == name)
    }

    fn set(&self, name: &str) -> Result<&Arc<TokenSet>, BackendError> {
        let set = self.0.iter().find(|set| set.name() == name);
        set.ok_or_else(|| BackendError::SetUnknown(name.to_owned()))
    }

    fn of_key(&self, key: &KeyRef) -> Result<&Arc<TokenSet>, BackendError> {
        let set = self.0.iter().find(|set| set.knows(key.id));
        set.ok_or(BackendError::KeyUnknown(key.id))
    }

    /// As [`KeyBackend::generate`], in one token of the set that works. The others do not have the key until somebody
    /// copies it with the vendor's tools; [`prove`](Self::prove) tells who has it.
    pub fn generate(
        &self,
        set: &str,
        id: KeyId,
        label: &str,
        spec: KeySpec,
        usage: KeyUsage,
        deadline: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>> {
        match self.set(set) {
            Ok(set) => set.generate(id, label, spec, usage, deadline),
            Err(error) => refused(error),
        }
    }

    /// As [`KeyBackend::sign`], by any token that has proven the key.
    ///
    /// # Errors
    /// Those of the token that was asked last, or of the first that was out of order; [`BackendError::KeySuspect`].
    pub fn sign(
        &self,
        key: &KeyRef,
        scheme: SignatureScheme,
        input: &[u8],
        deadline: Instant,
    ) -> BoxFuture<Result<RawSignature, BackendError>> {
        let set = match self.of_key(key) {
            Ok(set) => set,
            Err(error) => return refused(error),
        };
        let (asked, input) = (*key, input.to_vec());
        let answer = set.ask(key, deadline, move |token| {
            token.sign(&asked, scheme, &input, deadline)
        });
        Box::pin(async move {
            let (bytes, place) = answer.await?;
            let by = Origin { key: asked, place };
            Ok(RawSignature { bytes, by })
        })
    }

    /// As [`KeyBackend::decrypt`], by any token that has proven the key.
    pub fn decrypt(
        &self,
        key: &KeyRef,
        work: TokenWork<'_>,
        deadline: Instant,
    ) -> BoxFuture<Result<Unwrapped, BackendError>> {
        match self.of_key(key) {
            Ok(set) => set.decrypt(key, work, deadline),
            Err(error) => refused(error),
        }
    }

    /// Has the tokens of a set find keys and prove them. A key is ready when one token of the set has proven it.
    ///
    /// # Errors
    /// When no token of the set could be asked; [`BackendError::SetUnknown`].
    pub fn adopt(
        &self,
        set: &str,
        keys: &[KeyRef],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<Adopted>, BackendError>> {
        match self.set(set) {
            Ok(set) => set.adopt(keys, deadline),
            Err(error) => refused(error),
        }
    }

    /// Has every token of the key's set prove it now. What a token was suspected of is forgotten if it does: only an
    /// operator may ask for this.
    ///
    /// # Errors
    /// [`BackendError::KeyUnknown`] when the key belongs to no set.
    pub fn prove(
        &self,
        key: &KeyRef,
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<ReplicaReport>, BackendError>> {
        match self.of_key(key) {
            Ok(set) => set.prove(key, deadline),
            Err(error) => refused(error),
        }
    }

    /// Has those tokens of the key's set prove it now that have not; a suspicion stays.
    ///
    /// # Errors
    /// [`BackendError::KeyUnknown`] when the key belongs to no set.
    pub fn prove_unproven(
        &self,
        key: &KeyRef,
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<ReplicaReport>, BackendError>> {
        match self.of_key(key) {
            Ok(set) => set.prove_unproven(key, deadline),
            Err(error) => refused(error),
        }
    }

    /// What the tokens of the key's set have proven, without asking them.
    pub fn replicas(&self, key: &KeyRef) -> Vec<ReplicaReport> {
        self.of_key(key)
            .map_or_else(|_| Vec::new(), |set| set.replicas(key.id))
    }

    /// As [`KeyBackend::destroy`], at every token of the set.
    ///
    /// # Errors
    /// [`BackendError::KeyUnknown`] when no token has it and all are well. With any other error the key may be gone at
    /// some tokens and not at others; ask again.
    pub fn destroy(&self, key: &KeyRef, deadline: Instant) -> BoxFuture<Result<(), BackendError>> {
        match self.of_key(key) {
            Ok(set) => set.destroy(key, deadline),
            Err(error) => refused(error),
        }
    }

    /// A signature did not verify. The name of the token that made it, if that was once too often: it is not asked to
    /// use that key any more.
    pub fn doubt(&self, signature: &RawSignature) -> Option<String> {
        let Origin { key, place } = signature.by;
        self.of_key(&key).ok()?.doubt(&key, place)
    }

    /// Takes up a suspicion of an earlier run.
    pub fn suspect(&self, token: &str, key: KeyId) {
        for set in self.0.iter() {
            set.suspect(token, key);
        }
    }

    /// Every token, in the order of the configuration, by sets.
    pub fn statuses(&self) -> Vec<TokenStatus> {
        self.0.iter().flat_map(|set| set.statuses()).collect()
    }
}

fn refused<T: Send + 'static>(error: BackendError) -> BoxFuture<Result<T, BackendError>> {
    Box::pin(std::future::ready(Err(error)))
}
