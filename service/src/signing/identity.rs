//! What a caller presents to a bank in a TLS handshake.
//!
//! In: a caller, a bank. Out: the version whose chain the handshake shows; the same choice as for the signature that
//! follows. Never: a key used. A version that is frozen is presented all the same: its signature is refused, with a
//! reason that says more than a handshake without certificate.

use std::sync::Arc;
use std::time::Instant;

use super::bound::{chosen, no_share};
use super::{Asked, Signing, SigningError};
use crate::domain::{CallerName, Name, Operation, Version};
use crate::world::Destination;

/// Who asks for the identity, and for which bank.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are those of GetTlsIdentityRequest")]
pub struct IdentityInput<'a> {
    pub bank: &'a str,
    pub credential: &'a str,
    pub verification: &'a str,
}

/// What is presented.
#[derive(Debug)]
pub struct Presented {
    /// The credential.
    pub credential: Name,
    /// The version with its chain.
    pub version: Arc<Version>,
    /// The bank.
    pub destination: Arc<Destination>,
}

impl Signing {
    /// The version that a caller presents to a bank now, or when the bank has changed over.
    pub async fn identity(
        &self,
        caller: &CallerName,
        input: IdentityInput<'_>,
        deadline: Instant,
    ) -> Result<Presented, SigningError> {
        self.unless_held(deadline, || self.presented(caller, input))
            .await
    }

    fn presented(
        &self,
        caller: &CallerName,
        input: IdentityInput<'_>,
    ) -> Result<Presented, SigningError> {
        let now = self.clock.now();
        let snapshot = self.world.load();
        let asked = Asked::new(caller, Operation::Tls, input.bank, input.credential)
            .verifying(input.verification);
        let grant = asked.grant(&snapshot)?;
        let version = chosen(&asked, &grant, &snapshot, now, no_share)?.clone();
        Ok(Presented {
            credential: grant.credential().clone(),
            version,
            destination: grant.destination().clone(),
        })
    }
}
