//! What would be signed, without signing it.
//!
//! In: a caller and the input of a signature. Out: an [`Explanation`], made by the very steps of a signature up to its
//! [`Prepared`]: authorisation, binding, policy, profile. Never: the key. The permit ends here unused.
//!
//! A refusal is recorded like that of a signature: who tries out what they may do leaves the same trace. An explanation
//! is not, because the log tells of uses of keys and of refusals, and this is neither.

use std::sync::Arc;

use sealkeep_profiles::prepared::Prepared;
use sealkeep_profiles::profile::Profile;

use super::{Asked, HttpInput, JwsInput, Signing, SigningError};
use crate::domain::{CallerName, Operation, Version};

/// What is to be explained.
#[derive(Debug)]
pub enum Explained {
    /// The signature over an HTTP request.
    Http(HttpInput),
    /// The JWS over a payload.
    Jws(JwsInput),
}

/// What would be signed, and by whom.
#[derive(Debug)]
pub struct Explanation {
    /// The bytes, their digest, and the headers with the signature left open.
    pub prepared: Prepared,
    /// Who would sign.
    pub version: Arc<Version>,
    /// The profile that was applied.
    pub profile: Option<Arc<Profile>>,
}

impl Signing {
    /// Explains the signature that a caller would get.
    pub async fn explain(
        &self,
        caller: &CallerName,
        explained: Explained,
    ) -> Result<Explanation, SigningError> {
        let (asked, ready) = match &explained {
            Explained::Http(input) => {
                let asked = Asked::new(caller, Operation::SignHttp, &input.bank, &input.credential)
                    .verifying(&input.verification);
                let ready = self.prepare_http(&asked, input);
                (asked, ready)
            }
            Explained::Jws(input) => {
                let asked = Asked::new(caller, Operation::SignJws, &input.bank, &input.credential);
                let ready = self.prepare_jws(&asked, input);
                (asked, ready)
            }
        };
        match ready {
            Ok(ready) => Ok(Explanation {
                prepared: ready.prepared,
                version: ready.version,
                profile: ready.profile,
            }),
            Err(refused) => Err(self.record_refusal(&asked, refused).await),
        }
    }
}
