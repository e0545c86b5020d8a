//! What is asked of a token, handed to its threads with whoever waits for the answer.
//!
//! In: requests of this process or, in a token worker, of the other end of a socket. Out: jobs and tasks; what can be
//! refused without the token is refused here.

use std::sync::Arc;
use std::time::Instant;

use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_profiles::format::jwe::TokenWork;

use super::Pkcs11Backend;
use super::decrypt::DecryptInput;
use super::keeper::{Keeper, ask};
use super::key_table::KnownKey;
use super::link::Link;
use super::mechanism::SignInput;
use super::signer::SignJob;
use super::waiter::BoxWaiter;
use crate::backend::{
    Adopted, BackendError, GeneratedKey, KeyId, KeyRef, KeySpec, KeyUsage, Unwrapped,
};

/// The methods of [`KeyBackend`] for whoever waits elsewhere: in a token worker, the other end of the socket.
impl Pkcs11Backend {
    pub(in crate::backend) fn generate_for(
        &self,
        id: KeyId,
        label: String,
        spec: KeySpec,
        usage: KeyUsage,
        deadline: Instant,
        waiter: BoxWaiter<GeneratedKey>,
    ) {
        ask(
            &self.tasks,
            deadline,
            waiter,
            move |keeper| keeper.generate(id, &label, spec, usage),
            Keeper::destroy_unwanted,
        );
    }

    pub(in crate::backend) fn decrypt_for(
        &self,
        key: &KeyRef,
        work: TokenWork<'_>,
        deadline: Instant,
        waiter: BoxWaiter<Unwrapped>,
    ) {
        let checked = self.link.keys.get(key).and_then(|known| {
            let input = DecryptInput::new(work, known.public.key_type())?;
            match known.usage {
                KeyUsage::Decrypt => Ok((known, input)),
                KeyUsage::Sign => Err(unfit(&known, input.name())),
            }
        });
        match checked {
            Ok((known, input)) => {
                let work = move |keeper: &mut Keeper| keeper.decrypt(&known, &input);
                ask(&self.tasks, deadline, waiter, work, |_, _| ());
            }
            Err(error) => drop(waiter.answer(Err(error))),
        }
    }

    pub(in crate::backend) fn adopt_for(
        &self,
        keys: Vec<KeyRef>,
        deadline: Instant,
        waiter: BoxWaiter<Vec<Adopted>>,
    ) {
        let work = move |keeper: &mut Keeper| keeper.adopt(&keys, deadline);
        ask(&self.tasks, deadline, waiter, work, |_, _| ());
    }

    pub(in crate::backend) fn public_key_for(
        &self,
        key: KeyRef,
        deadline: Instant,
        waiter: BoxWaiter<Vec<u8>>,
    ) {
        let work = move |keeper: &mut Keeper| keeper.public_key(&key);
        ask(&self.tasks, deadline, waiter, work, |_, _| ());
    }

    pub(in crate::backend) fn destroy_for(
        &self,
        key: KeyRef,
        deadline: Instant,
        waiter: BoxWaiter<()>,
    ) {
        let work = move |keeper: &mut Keeper| keeper.destroy(&key);
        ask(&self.tasks, deadline, waiter, work, |_, ()| ());
    }

    /// Everything that can be refused without the token is refused here.
    pub(in crate::backend) fn sign_for(
        &self,
        key: &KeyRef,
        scheme: SignatureScheme,
        input: &[u8],
        deadline: Instant,
        waiter: BoxWaiter<Vec<u8>>,
    ) {
        let accepted = crate::clock::monotonic();
        let (key, input) = match self.signable(key, scheme, input, accepted, deadline) {
            Ok(fit) => fit,
            Err(error) => {
                waiter.answer(Err(error));
                return;
            }
        };
        let job = SignJob {
            key,
            input,
            accepted,
            deadline,
            waiter,
        };
        if let Err(job) = self.jobs.push(job) {
            self.link.counters.refused_busy.add_one();
            job.waiter.answer(Err(BackendError::Busy));
        }
    }

    fn signable(
        &self,
        key: &KeyRef,
        scheme: SignatureScheme,
        input: &[u8],
        now: Instant,
        deadline: Instant,
    ) -> Result<(Arc<KnownKey>, SignInput), BackendError> {
        let input = SignInput::new(scheme, input)?;
        if let Some(down) = self.link.ladder.refusal() {
            return Err(down);
        }
        let key = usable(&self.link, key, scheme)?;
        if now >= deadline {
            self.link.counters.dropped_late.add_one();
            return Err(BackendError::Deadline);
        }
        Ok((key, input))
    }
}

/// A key that is ready and can sign by the scheme.
pub(super) fn usable(
    link: &Link,
    key: &KeyRef,
    scheme: SignatureScheme,
) -> Result<Arc<KnownKey>, BackendError> {
    let known = link.keys.get(key)?;
    if known.usage == KeyUsage::Sign && scheme.fits(&known.public.key_type()) {
        Ok(known)
    } else {
        Err(unfit(&known, scheme.name()))
    }
}

/// Says what the key is for, since a key may be of the right type and for other work.
fn unfit(known: &KnownKey, scheme: &'static str) -> BackendError {
    let usage = match known.usage {
        KeyUsage::Sign => "signatures",
        KeyUsage::Decrypt => "decryption",
    };
    BackendError::SchemeUnfit {
        key_type: format!("{} for {usage}", known.public.key_type()),
        scheme: scheme.into(),
    }
}
