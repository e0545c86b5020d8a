//! The keys that can sign and the handles they have in this login.
//!
//! One immutable map, swapped whole: a signature costs one lookup and no lock. An object handle is good in every session
//! of one login (PKCS#11 v2.40 section 4.4) and worthless after it: then it may denote another key, so the
//! table dies with the login and is filled again by searching.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use cryptoki::object::ObjectHandle;
use sealkeep_profiles::algorithm::PublicKey;

use crate::backend::{BackendError, KeyId, KeyRef, KeyUsage};

/// A private key whose public key was compared with its pin.
pub(super) struct KnownKey {
    pub(super) id: KeyId,
    pub(super) public: PublicKey,
    pub(super) handle: ObjectHandle,
    /// What the token lets it do.
    pub(super) usage: KeyUsage,
}

impl KnownKey {
    pub(super) fn key_ref(&self) -> KeyRef {
        KeyRef {
            id: self.id,
            spki_sha256: self.public.spki_sha256(),
        }
    }
}

#[derive(Default)]
pub(super) struct KeyTable(ArcSwap<HashMap<KeyId, Arc<KnownKey>>>);

impl KeyTable {
    /// The key, if it is there and the caller means the same one.
    pub(super) fn get(&self, key: &KeyRef) -> Result<Arc<KnownKey>, BackendError> {
        let keys = self.0.load();
        let known = keys.get(&key.id).ok_or(BackendError::KeyUnknown(key.id))?;
        if known.public.spki_sha256() != key.spki_sha256 {
            return Err(BackendError::KeyMismatch(key.id));
        }
        Ok(Arc::clone(known))
    }

    /// Adds keys and forgets others, in one step.
    pub(super) fn change(&self, add: &[Arc<KnownKey>], forget: &[KeyId]) {
        self.0.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            for id in forget {
                keys.remove(id);
            }
            keys.extend(add.iter().map(|key| (key.id, Arc::clone(key))));
            keys
        });
    }

    pub(super) fn len(&self) -> usize {
        self.0.load().len()
    }
}
