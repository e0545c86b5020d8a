//! What holds keys: the seam between the service and the tokens.
//!
//! In: a key by its [`KeyRef`] and a digest (or message) the service computed itself. Out: raw signatures, unwrapped keys of others' contents, public keys and
//! evidence of how a key is protected. It never sees a request, a bank or a caller, never hashes a message, never hands out
//! private key material, and never decides whether a signature is allowed: that was decided before it is asked.
//!
//! [`KeyBackend`] is a trait because strangers plug in here: a PKCS#11 module in this process ([`pkcs11`]), or the
//! same module in a process of its own ([`worker`]). Both pass the suite of `pkcs11-tests`. The service speaks to all of
//! them through [`tokens`].

mod error;
mod key;
pub mod pkcs11;
mod protection;
mod tally;
pub mod tokens;
pub mod worker;

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_profiles::format::jwe::TokenWork;
use zeroize::Zeroizing;

pub use error::BackendError;
pub use key::{
    Adopted, GeneratedKey, KeyEvidence, KeyId, KeyLimits, KeyRef, KeySpec, KeyUsage, RSA_BITS_MAX,
    RSA_BITS_MIN, TokenInfo,
};
pub use protection::Protection;
pub use tally::{FaultKind, Tally};

/// What a private key made of an encrypted key; `None` when it did not fit.
pub type Unwrapped = Option<Zeroizing<Vec<u8>>>;

/// What the methods of [`KeyBackend`] return: an answer that is being worked on elsewhere.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Something that holds private keys and uses them on request.
///
/// Work starts at the call, not at the first poll. Every future ends at its deadline at the latest, with
/// [`BackendError::Deadline`]; dropping a future withdraws work that has not reached the token yet.
pub trait KeyBackend: Send + Sync + 'static {
    /// Makes a key pair inside the token under `id` and proves how it is protected.
    ///
    /// The caller chooses (and persists) `id` first, so that a crash between here and its own commit leaves a key it
    /// can find again. `label` is for people only. Runs beside the signatures, not among them: an RSA-4096 key may
    /// take several seconds. If nobody waits for the answer any more when the key is ready, the key is destroyed.
    ///
    /// # Errors
    /// [`BackendError::KeyExists`] if the token has an object under `id`; [`BackendError::SpecUnsupported`], also when
    /// the token does not make such keys;
    /// [`BackendError::KeyUnprotected`] if the token made a key that can be read (it is destroyed again).
    fn generate(
        &self,
        id: KeyId,
        label: &str,
        spec: KeySpec,
        usage: KeyUsage,
        deadline: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>>;

    /// Signs `input`, which is as [`SignatureScheme::token_input`] makes it: a digest as long as the scheme's hash, or
    /// the message itself where the scheme signs it whole.
    ///
    /// The answer is raw: RSA and Ed25519 as the token gave it, ECDSA as `r || s` of fixed width. It has not been
    /// verified.
    ///
    /// # Errors
    /// [`BackendError::Busy`] at once when the queue is full; [`BackendError::KeyUnknown`] unless the key was
    /// generated or adopted by this backend; [`BackendError::DigestLength`], [`BackendError::MessageTooLong`],
    /// [`BackendError::SchemeUnfit`] before the token is asked; [`BackendError::SchemeUnsupported`] when the token has
    /// no such mechanism.
    fn sign(
        &self,
        key: &KeyRef,
        scheme: SignatureScheme,
        input: &[u8],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>>;

    /// Does the private key's part of a decryption. The answer is the unwrapped key or the shared secret; `None` when the
    /// token looked at the encrypted key and did not take it, which nobody outside may learn apart from other failures.
    /// Runs beside the signatures, among what is rare.
    ///
    /// # Errors
    /// As [`KeyBackend::sign`]; none of them depends on what the encrypted key holds.
    fn decrypt(
        &self,
        key: &KeyRef,
        work: TokenWork<'_>,
        deadline: Instant,
    ) -> BoxFuture<Result<Unwrapped, BackendError>>;

    /// Finds the given keys in the token and makes them ready; call it at start with every key that is known.
    ///
    /// A key is ready when exactly one private key has its id, the public key has the pinned hash, the token says it
    /// is sensitive and not extractable, and a test signature verifies or a test message decrypts. The report has one entry for each key asked
    /// for, in the same order; a key with an error there does nothing.
    ///
    /// # Errors
    /// Only when the token could not be asked at all.
    fn adopt(
        &self,
        keys: &[KeyRef],
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<Adopted>, BackendError>>;

    /// Reads the public key from the token (SubjectPublicKeyInfo, DER) and compares it with the pin.
    ///
    /// # Errors
    /// [`BackendError::KeyUnknown`], [`BackendError::KeyAmbiguous`], [`BackendError::KeyMismatch`].
    fn public_key(
        &self,
        key: &KeyRef,
        deadline: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>>;

    /// Destroys the key pair for ever, after checking that it is the pinned one.
    ///
    /// # Errors
    /// As [`KeyBackend::public_key`]; the key is still there then.
    fn destroy(&self, key: &KeyRef, deadline: Instant) -> BoxFuture<Result<(), BackendError>>;

    /// What is known about the token without asking it.
    fn info(&self) -> TokenInfo;

    /// What the token has done since this backend was opened, without asking it. Nothing, where nobody counts.
    fn tally(&self) -> Tally {
        Tally::default()
    }
}
