//! A signature that does not verify is withheld, and its token is doubted.
//!
//! In: what a token made. Out: the caller's error. Once is a bad moment; three times within a minute stop that token for
//! that key, on record, until an officer has it proven (`sealkeep credential prove`).

use serde_json::json;

use super::{Signing, SigningError};
use crate::audit::Event;
use crate::backend::tokens::RawSignature;
use crate::domain::Version;
use crate::store::Suspicion;

impl Signing {
    /// What the caller of a bad signature is told.
    pub(super) async fn doubt(&self, raw: &RawSignature, version: &Version) -> SigningError {
        let error = SigningError::SelfVerification(version.id.clone());
        tracing::error!(version = %version.id, "a signature does not verify; it is withheld");
        let Some(token) = self.tokens.doubt(raw) else {
            return error;
        };
        tracing::error!(token, version = %version.id, "too many of them: the token is not asked to use this key any more");
        let data = json!({
            "version": version.id.to_string(),
            "key_id": version.key.id.to_string(),
            "token": token,
        });
        if let Err(error) = self.audit.append(Event::KeySuspect, None, data).await {
            tracing::error!(%error, "the suspicion is not on record");
        }
        let suspicion = Suspicion {
            token,
            key: version.key.id,
            since: self.clock.now(),
        };
        // It holds in this process either way.
        if let Err(error) = self.world.store().put_suspicion(&suspicion).await {
            tracing::error!(%error, "the suspicion would be forgotten at the next start");
        }
        error
    }
}
