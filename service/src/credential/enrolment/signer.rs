//! Keys in the token that sign for an enroller: to prove that we have them, or to speak for us.
//!
//! In: a message that a protocol of enrolment laid out. Out: its signature, verified, after a record of it. Never: a key; a
//! signature without a record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealkeep_cmp::signature::{identifier, plain_scheme, to_wire};
use sealkeep_profiles::algorithm::PublicKey;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::EnrolError;
use crate::audit::Event;
use crate::backend::BoxFuture;
use crate::clock;
use crate::domain::{CallerName, Credential, Version, VersionId};
use crate::registry::Registry;

/// How long a signature may take, seconds.
const SIGN_TIMEOUT_S: u64 = 30;

type Sign = Arc<dyn Fn(Vec<u8>) -> BoxFuture<Result<Vec<u8>, EnrolError>> + Send + Sync>;

/// A key in the token, for what an enroller has to have signed.
#[derive(Clone)]
pub struct Signer {
    /// Whose key.
    pub version: VersionId,
    /// Its certificate and the issuers, DER; empty when it has none yet.
    pub chain: Vec<Vec<u8>>,
    /// The AlgorithmIdentifier of its signatures, DER.
    pub algorithm: &'static [u8],
    sign: Sign,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// A key that signs nothing, for ways that ask for no signature.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self {
            version: VersionId::from_resource("credentials/none/versions/1").unwrap(),
            chain: Vec::new(),
            algorithm: &[],
            sign: Arc::new(|_| Box::pin(std::future::pending())),
        }
    }

    /// Signs a message; the signature is as X.509 carries it.
    ///
    /// # Errors
    /// [`EnrolError::Later`] when token or log do not answer.
    pub async fn sign(&self, message: Vec<u8>) -> Result<Vec<u8>, EnrolError> {
        (self.sign)(message).await
    }
}

/// The version before this one whose certificate may speak for us now: in use, valid, and with digitalSignature (RFC 9483
/// section 1.5 asks for it).
pub(super) fn speaker(credential: &Credential, number: u32, now: Timestamp) -> Option<&Version> {
    let older = credential.versions.iter().rev().map(|version| &**version);
    let mut older = older.filter(|version| version.id.number < number);
    older.find(|version| {
        let leaf = version.issued.as_ref().map(|issued| issued.leaf());
        version.state.signs()
            && leaf.is_some_and(|leaf| {
                (leaf.not_before()..=leaf.not_after()).contains(&now)
                    && leaf
                        .key_usage()
                        .is_none_or(|usage| usage.digital_signature())
            })
    })
}

impl Registry {
    /// The key of a version as a signer for the enrolment of `wanted`; none for kinds of keys that prove nothing.
    pub(super) fn signer(
        &self,
        version: &Version,
        wanted: &VersionId,
        author: &CallerName,
    ) -> Option<Signer> {
        let public = PublicKey::from_spki_der(&version.spki_der).ok()?;
        let scheme = plain_scheme(public.key_type())?;
        let (audit, tokens) = (self.audit.clone(), self.tokens.clone());
        let (key, id) = (version.key, version.id.clone());
        let (wanted, author) = (wanted.to_string(), author.clone());
        let sign: Sign = Arc::new(move |message| {
            let (audit, tokens) = (audit.clone(), tokens.clone());
            let (public, author) = (public.clone(), author.clone());
            let data = json!({
                "version": id.to_string(),
                "for": wanted,
                "scheme": scheme.name(),
                "message_sha256": hex::encode(Sha256::digest(&message)),
            });
            Box::pin(async move {
                let later = |why: &dyn std::fmt::Display| EnrolError::Later(why.to_string());
                let recorded = audit.append(Event::EnrolmentSign, Some(author.as_str()), data);
                recorded.await.map_err(|error| later(&error))?;
                let deadline = clock::monotonic() + Duration::from_secs(SIGN_TIMEOUT_S);
                let input = scheme.token_input(&message);
                let raw = tokens.sign(&key, scheme, &input, deadline).await;
                let raw = raw.map_err(|error| later(&error))?.bytes;
                let verified = public.verify(scheme, &message, &raw);
                verified.map_err(|_| later(&"the token signed with another key"))?;
                to_wire(scheme, &raw).map_err(|error| later(&error))
            })
        });
        let issued = version.issued.iter().flat_map(|issued| issued.chain.iter());
        Some(Signer {
            version: version.id.clone(),
            chain: issued
                .map(|certificate| certificate.der().to_vec())
                .collect(),
            algorithm: identifier(scheme)?,
            sign,
        })
    }
}
