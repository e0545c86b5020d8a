//! The keys that can sign and the handles they have in this login.
//!
//! One immutable map, swapped whole: a signature costs one lookup and no lock. An object handle is good in every session
//! of one login (PKCS#11 v2.40 section 4.4) and worthless after it: then it may denote another key. So each key
//! knows its login, and the table is filled again by searching after a new one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use cryptoki::object::ObjectHandle;
use sealkeep_profiles::algorithm::PublicKey;

use super::recovery::Fault;
use crate::backend::{BackendError, KeyId, KeyRef, KeyUsage};

/// A private key whose public key was compared with its pin.
#[derive(Clone)]
pub(super) struct KnownKey {
    pub(super) id: KeyId,
    pub(super) public: PublicKey,
    pub(super) handle: ObjectHandle,
    /// The login in which the handle was found.
    pub(super) login: u64,
    /// What the token lets it do.
    pub(super) usage: KeyUsage,
}

impl KnownKey {
    /// The same key as another login knows it.
    pub(super) fn under(&self, handle: ObjectHandle, login: u64) -> Self {
        Self {
            handle,
            login,
            ..self.clone()
        }
    }

    pub(super) fn key_ref(&self) -> KeyRef {
        KeyRef {
            id: self.id,
            spki_sha256: self.public.spki_sha256(),
        }
    }
}

#[derive(Default)]
pub(super) struct KeyTable {
    ready: ArcSwap<HashMap<KeyId, Arc<KnownKey>>>,
    /// Every key that was asked for and not destroyed: those to look for after a new login, also when they were not
    /// found in this one.
    wanted: Mutex<BTreeMap<KeyId, KeyRef>>,
}

impl KeyTable {
    /// The key, if it is there and the caller means the same one.
    pub(super) fn get(&self, key: &KeyRef) -> Result<Arc<KnownKey>, BackendError> {
        let keys = self.ready.load();
        let known = keys.get(&key.id).ok_or(BackendError::KeyUnknown(key.id))?;
        if known.public.spki_sha256() != key.spki_sha256 {
            return Err(BackendError::KeyMismatch(key.id));
        }
        Ok(Arc::clone(known))
    }

    /// The handle of a key in a login, which need not be the login in which it was asked for.
    pub(super) fn handle_in(
        &self,
        key: &KnownKey,
        login: u64,
    ) -> Result<Result<ObjectHandle, BackendError>, Fault> {
        if key.login == login {
            return Ok(Ok(key.handle));
        }
        match self.get(&key.key_ref()) {
            Ok(known) if known.login == login => Ok(Ok(known.handle)),
            // The login is new and the keys are not found yet: as good as none.
            Ok(_) => Err(Fault::no_key_visible()),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Adds keys and leaves others out, in one step.
    pub(super) fn change(&self, add: &[Arc<KnownKey>], leave_out: &[KeyId]) {
        self.want(add.iter().map(|key| key.key_ref()));
        self.ready.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            for id in leave_out {
                keys.remove(id);
            }
            keys.extend(add.iter().map(|key| (key.id, Arc::clone(key))));
            keys
        });
    }

    /// The keys of a new login. What is not among them cannot sign.
    pub(super) fn refill(&self, ready: Vec<Arc<KnownKey>>) {
        let ready = ready.into_iter().map(|key| (key.id, key)).collect();
        self.ready.store(Arc::new(ready));
    }

    /// Remembers keys to look for.
    pub(super) fn want(&self, keys: impl IntoIterator<Item = KeyRef>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.extend(keys.into_iter().map(|key| (key.id, key)));
    }

    /// The key was destroyed.
    pub(super) fn forget(&self, id: KeyId) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.remove(&id);
        drop(wanted);
        self.change(&[], &[id]);
    }

    /// The keys to look for.
    pub(super) fn wanted(&self) -> Vec<KeyRef> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.values().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.ready.load().len()
    }
}
