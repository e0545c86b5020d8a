//! The way of one decryption: the same bracket as that of a signature, with plaintext where the signature stands.
//!
//! In: a JWE that a bank encrypted to us. Out: its content, after the record that somebody got it is durable. Never: the
//! content's key, what the token answered, or a hint at the step that failed.

use std::sync::Arc;
use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};
use sealkeep_profiles::algorithm::{HashAlgorithm, PublicKey};
use sealkeep_profiles::format::jwe::{CEK_BYTES_MAX, Jwe, JweError};
use serde_json::json;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::{Asked, Signing, SigningError};
use crate::backend::Unwrapped;
use crate::domain::{CallerName, Operation, Version};
use crate::policy::{self, Permit};

/// A JWE to be decrypted.
#[allow(missing_docs, reason = "the fields are those of DecryptJweRequest")]
pub struct JweInput {
    pub bank: String,
    pub credential: String,
    pub jwe: String,
}

/// Content that may leave.
pub struct Opened {
    /// The content.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// `cty`.
    pub content_type: Option<String>,
    /// `alg`.
    pub algorithm: &'static str,
    /// `enc`.
    pub encryption: &'static str,
    /// Who decrypted.
    pub version: Arc<Version>,
    /// The record, `{log}/{sequence}`.
    pub audit_record: String,
}

/// A permitted decryption.
struct Ready<'a> {
    permit: Permit,
    jwe: Jwe<'a>,
    version: Arc<Version>,
}

type Reply = oneshot::Sender<Result<Opened, SigningError>>;

impl Signing {
    /// Decrypts what a bank encrypted to us.
    pub async fn decrypt(
        &self,
        caller: &CallerName,
        input: JweInput,
        deadline: Instant,
    ) -> Result<Opened, SigningError> {
        let (reply, opened) = oneshot::channel();
        let (signing, caller) = (self.clone(), caller.clone());
        tokio::spawn(async move { signing.open(&caller, &input, deadline, reply).await });
        match tokio::time::timeout_at(deadline.into(), opened).await {
            Err(_) => Err(SigningError::Late),
            Ok(Err(_)) => Err(SigningError::Broken),
            Ok(Ok(result)) => result,
        }
    }

    /// Records a refusal, or lets the key work.
    async fn open(&self, caller: &CallerName, input: &JweInput, deadline: Instant, reply: Reply) {
        let (bank, credential) = (&input.bank, &input.credential);
        let asked = Asked::new(caller, Operation::DecryptJwe, bank, credential);
        match self.prepare_decryption(&asked, &input.jwe) {
            Ok(ready) => {
                let jwe_sha256 = HashAlgorithm::Sha256.digest(input.jwe.as_bytes());
                self.perform_decryption(ready, &jwe_sha256, deadline, reply)
                    .await;
            }
            Err(refused) => {
                let _ = reply.send(Err(self.record_refusal(&asked, refused).await));
            }
        }
    }

    fn prepare_decryption<'a>(
        &self,
        asked: &Asked<'_>,
        jwe: &'a str,
    ) -> Result<Ready<'a>, SigningError> {
        let snapshot = self.world.current()?;
        let grant = asked.grant(&snapshot)?;
        let bound = grant.destination().bound.get(grant.credential());
        let credential = snapshot.credentials.get(grant.credential());
        let (Some(version), Some(credential)) = (bound, credential) else {
            return Err(SigningError::NotBound(grant.not_bound()));
        };
        let version = version.clone();
        let permit = policy::decide_decryption(grant, &version, credential.purpose)?;
        let key = PublicKey::from_spki_der(&version.spki_der).map_err(|_| JweError::Malformed {
            what: "the key of the version cannot be read",
        })?;
        let jwe = Jwe::parse(jwe, &key)?;
        Ok(Ready {
            permit,
            jwe,
            version,
        })
    }

    /// The bracket: the intent becomes durable while the token works; nothing leaves unless both succeeded and the content
    /// is what its sender authenticated.
    async fn perform_decryption(
        &self,
        ready: Ready<'_>,
        jwe_sha256: &[u8],
        deadline: Instant,
        reply: Reply,
    ) {
        let Ready {
            permit,
            jwe,
            version,
        } = ready;
        let (algorithm, encryption) = (jwe.algorithm().name(), jwe.encryption().name());
        let content_type = jwe.content_type().map(str::to_owned);
        let about = json!({
            "operation": permit.operation().as_str(),
            "bank": permit.bank(),
            "version": version.id.to_string(),
            "algorithm": algorithm,
            "encryption": encryption,
            "jwe_sha256": hex::encode(jwe_sha256),
        });
        let (intent, unwrapped) = tokio::join!(
            self.audit.intend(permit, about),
            self.tokens
                .decrypt(&version.key, jwe.token_work(), deadline),
        );
        let intent = match intent {
            Ok(intent) => intent,
            Err(error) => {
                let _ = reply.send(Err(error.into()));
                return;
            }
        };
        let plaintext = unwrapped.map_err(SigningError::from);
        let plaintext = plaintext.and_then(|unwrapped| content(jwe, &unwrapped));
        let plaintext = plaintext.and_then(|plain| self.still_signs(&version).map(|()| plain));
        match plaintext {
            Err(error) => {
                intent.failed(error.reason()).await;
                let _ = reply.send(Err(error));
            }
            Ok(_) if reply.is_closed() => intent.failed("CALLER_GONE").await,
            Ok(plaintext) => {
                let audit_record = intent.record_name();
                // Written before the plaintext is handed over, so that what leaves is never called failed.
                intent.released().await;
                let _ = reply.send(Ok(Opened {
                    plaintext,
                    content_type,
                    algorithm,
                    encryption,
                    version,
                    audit_record,
                }));
            }
        }
    }
}

/// Goes on with random bytes where the token gave nothing (RFC 7516 section 11.5).
fn content(jwe: Jwe<'_>, unwrapped: &Unwrapped) -> Result<Zeroizing<Vec<u8>>, SigningError> {
    let mut random = Zeroizing::new([0; CEK_BYTES_MAX]);
    let filled = SystemRandom::new().fill(random.as_mut_slice());
    filled.map_err(|_| SigningError::Broken)?;
    let unwrapped = unwrapped.as_ref().map(|key| key.as_slice());
    Ok(jwe.decrypt(unwrapped, &random)?)
}
