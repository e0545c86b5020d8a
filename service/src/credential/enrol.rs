//! Enrolment: a key in the token and a request for its certificate; for decryption the key alone.

use std::time::Instant;

use sealkeep_profiles::format::certificate_verify::schemes_for;
use sealkeep_profiles::format::jwe::KeyManagement;
use serde_json::json;

use super::csr::{self, Subject};
use super::{CredentialError, CsrError};
use crate::audit::Event;
use crate::backend::{BackendError, GeneratedKey, KeyId, KeySpec, KeyUsage};
use crate::domain::{CallerName, KeyOrigin, Name, Purpose, VersionId};
use crate::registry::{ChangeError, Registry};
use crate::store::NewVersion;

/// What an officer wants.
#[derive(Debug)]
pub struct EnrolRequest {
    /// The credential; made when absent.
    pub credential: Name,
    /// What it is for.
    pub purpose: Purpose,
    /// The key pair to make.
    pub key: KeySpec,
    /// The subject of the request.
    pub subject: Subject,
    /// The set of tokens that is to hold the key; the first one when nobody says.
    pub token_set: Option<String>,
}

/// What was made.
#[derive(Debug)]
pub struct Enrolled {
    /// The new version, in state `Requested`.
    pub version: VersionId,
    /// The request, PEM; none for decryption.
    pub csr_pem: Option<String>,
    /// What the token was seen to decrypt with the key; empty unless it is for that.
    pub decrypts: Vec<KeyManagement>,
}

impl Registry {
    /// Makes a key in the token and a version around it. The key's identity is in the log before the key exists, so
    /// that a crash in between leaves no key that nobody knows of.
    pub async fn enrol(
        &self,
        who: &CallerName,
        request: EnrolRequest,
        deadline: Instant,
    ) -> Result<Enrolled, CredentialError> {
        let _turn = self.turn().await?;
        let (purpose, spec) = (request.purpose, request.key);
        let credential = request.credential.clone();
        let token_set = request.token_set.as_deref();
        let token_set = token_set.unwrap_or_else(|| self.tokens.first_set());
        request.subject.check(purpose)?;
        if !self.tokens.has_set(token_set) {
            let unknown = BackendError::SetUnknown(token_set.to_owned());
            return Err(ChangeError::from(unknown).into());
        }
        if purpose == Purpose::Transport && schemes_for(&spec.key_type()).is_empty() {
            let unsupported = BackendError::SpecUnsupported(format!("{spec} for TLS"));
            return Err(ChangeError::from(unsupported).into());
        }
        let snapshot = self.world.load();
        let known = snapshot.credentials.get(&credential);
        if let Some(other) = known.filter(|known| known.purpose != purpose) {
            return Err(CredentialError::purpose(
                &credential,
                other.purpose,
                purpose,
            ));
        }
        let id = KeyId::random();
        let about = json!({
            "credential": credential.as_str(),
            "key_id": id.to_string(),
            "key_algorithm": spec.to_string(),
            "token": token_set,
        });
        let announced = self
            .audit
            .append(Event::KeyGenerate, Some(who.as_str()), about)
            .await;
        let announced = announced.map_err(ChangeError::from)?;
        let made = self.generate(token_set, id, &request, deadline).await;
        let (key, csr_der) = match made {
            Ok(made) => made,
            Err(error) => {
                let recorded = self.failed(who, announced, &error.to_string()).await;
                recorded.map_err(ChangeError::from)?;
                return Err(error);
            }
        };
        let csr_pem = csr_der.as_deref().map(csr::pem);
        let data = json!({
            "credential": credential.as_str(),
            "purpose": purpose.as_str(),
            "key_id": id.to_string(),
            "spki_sha256": hex::encode(key.key.spki_sha256),
            "local": key.evidence.local,
            "decrypts": key.decrypts.iter().map(|a| a.name()).collect::<Vec<_>>(),
        });
        let new = NewVersion {
            credential: credential.clone(),
            purpose,
            token_set: token_set.to_owned(),
            key_id: id,
            spki_der: key.spki_der,
            origin: KeyOrigin::Generated,
            key_algorithm: spec.to_string(),
            evidence: key.evidence,
            csr_der,
            created: self.clock.now(),
        };
        let write = self.world.store().insert_version(&new);
        match self.change(who, Event::CredentialEnrol, data, write).await {
            Ok(number) => Ok(Enrolled {
                version: VersionId { credential, number },
                csr_pem,
                decrypts: key.decrypts,
            }),
            Err(error) => {
                self.discard(&key.key, deadline).await;
                Err(error.into())
            }
        }
    }

    async fn generate(
        &self,
        token_set: &str,
        id: KeyId,
        request: &EnrolRequest,
        deadline: Instant,
    ) -> Result<(GeneratedKey, Option<Vec<u8>>), CredentialError> {
        let (purpose, label) = (request.purpose, request.credential.as_str());
        let usage = match purpose {
            Purpose::Transport | Purpose::Seal => KeyUsage::Sign,
            Purpose::Decryption => KeyUsage::Decrypt,
        };
        let generated = self
            .tokens
            .generate(token_set, id, label, request.key, usage, deadline)
            .await;
        let key = generated.map_err(ChangeError::from)?;
        if usage == KeyUsage::Decrypt {
            return Ok((key, None));
        }
        let sign = |scheme, digest: Vec<u8>| {
            let answer = self.tokens.sign(&key.key, scheme, &digest, deadline);
            async move { answer.await.map(|raw| raw.bytes) }
        };
        match csr::build(&request.subject, purpose, &key.spki_der, sign).await {
            Ok(csr_der) => Ok((key, Some(csr_der))),
            Err(error) => {
                self.discard(&key.key, deadline).await;
                Err(match error {
                    CsrError::Backend(error) => ChangeError::from(error).into(),
                    other => other.into(),
                })
            }
        }
    }

    /// Destroys a key that no version was made for.
    pub(super) async fn discard(&self, key: &crate::backend::KeyRef, deadline: Instant) {
        let destroyed: Result<(), BackendError> = self.tokens.destroy(key, deadline).await;
        if let Err(error) = destroyed {
            tracing::error!(key = %key.id, %error, "a key without a version stays in the token");
        }
    }
}
