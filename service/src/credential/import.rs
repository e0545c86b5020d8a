//! Import: a key that exists outside comes into the token, with its certificate, and is marked for ever.
//!
//! In: a PKCS#12 file that was opened, a credential, an officer. Out: a `Staged` version whose origin is `imported`. Never:
//! a step that is not in the log before it is made, a key in the token whose certificate a check blocks, an import while a
//! service runs (the store is held by one process).
//!
//! The certificate is checked before the token is touched; the key is proven under it in the token, and again by the
//! installation.

use std::sync::Arc;
use std::time::Instant;

use sealkeep_profiles::certificate::Certificate;
use serde_json::json;
use zeroize::Zeroizing;

use super::csr::armour;
use super::install::Found;
use super::pkcs12::Contents;
use super::reading;
use super::{CredentialError, Installed};
use crate::audit::Event;
use crate::backend::pkcs11::Pkcs11Backend;
use crate::backend::{
    BackendError, GeneratedKey, KeyBackend, KeyEvidence, KeyId, KeyLimits, KeyRef,
};
use crate::domain::{
    CallerName, Credential, KeyOrigin, Name, Purpose, Version, VersionId, VersionState,
};
use crate::registry::{ChangeError, Registry};
use crate::store::NewVersion;

/// What is to become of a key.
#[derive(Debug)]
pub struct ImportRequest {
    /// The credential; made when absent.
    pub credential: Name,
    /// The set of the token.
    pub token_set: String,
    /// What it is for: transport or seal.
    pub purpose: Purpose,
    /// The key and its certificates.
    pub contents: Contents,
}

/// The same, seen from within.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    credential: &'a Name,
    token_set: &'a str,
    purpose: Purpose,
    leaf: &'a Certificate,
}

impl Registry {
    /// Brings a key in and installs its certificate.
    ///
    /// # Errors
    /// [`CredentialError::Blocked`] and whatever the certificate lacks, before anything changed; what the token refuses,
    /// after which nothing stays in it.
    pub async fn import(
        &self,
        who: &CallerName,
        token: &Pkcs11Backend,
        request: ImportRequest,
        deadline: Instant,
    ) -> Result<Installed, CredentialError> {
        let ImportRequest {
            credential,
            token_set,
            purpose,
            contents,
        } = request;
        // Cannot fail: a file without a certificate for its key is not opened.
        let leaf = Certificate::from_der(&contents.certificates[0]);
        let leaf = leaf.map_err(|error| CredentialError::Unreadable(error.into()))?;
        let delivered: String = contents
            .certificates
            .iter()
            .map(|der| armour("CERTIFICATE", der))
            .collect();
        let id = KeyId::random();
        let wanted = Wanted {
            credential: &credential,
            token_set: &token_set,
            purpose,
            leaf: &leaf,
        };
        self.check_import(&wanted, id, delivered.as_bytes())?;
        let about = json!({
            "credential": credential.as_str(),
            "purpose": purpose.as_str(),
            "key_id": id.to_string(),
            "certificate_sha256": hex::encode(leaf.sha256()),
            "spki_sha256": hex::encode(leaf.public_key().spki_sha256()),
        });
        let announced = self
            .audit
            .append(Event::KeyImport, Some(who.as_str()), about)
            .await;
        let announced = announced.map_err(ChangeError::from)?;
        let brought = self
            .bring_in(token, id, &wanted, contents.key, deadline)
            .await;
        let key = match brought {
            Ok(key) => key,
            Err(error) => {
                let recorded = self.failed(who, announced, &error.to_string()).await;
                recorded.map_err(ChangeError::from)?;
                return Err(ChangeError::from(error).into());
            }
        };
        let version = self.write(who, &wanted, &key, deadline).await?;
        let name = version.resource();
        self.install(who, &name, delivered.as_bytes(), false, deadline)
            .await
    }

    /// Brings the key into the token and lets it sign there: the installation asks for that. Or leaves nothing.
    async fn bring_in(
        &self,
        token: &Pkcs11Backend,
        id: KeyId,
        wanted: &Wanted<'_>,
        private_key_info: Zeroizing<Vec<u8>>,
        deadline: Instant,
    ) -> Result<GeneratedKey, BackendError> {
        let (label, public) = (wanted.credential.as_str(), wanted.leaf.public_key().clone());
        let key = token
            .import(id, label, public, private_key_info, deadline)
            .await?;
        let set = self.tokens.first_set();
        let asked = self.tokens.adopt(set, &[key.key], deadline).await;
        let unknown = Err(BackendError::KeyUnknown(id));
        let adopted = asked.and_then(|mut it| it.pop().map_or(unknown, |it| it.outcome));
        if let Err(error) = adopted {
            if let Err(left) = token.destroy(&key.key, deadline).await {
                tracing::error!(key = %id, error = %left, "a key without a version stays in the token");
            }
            return Err(error);
        }
        Ok(key)
    }

    /// Everything that can be refused before the token is touched.
    fn check_import(
        &self,
        wanted: &Wanted<'_>,
        id: KeyId,
        delivered: &[u8],
    ) -> Result<(), CredentialError> {
        let Wanted {
            credential,
            token_set,
            purpose,
            leaf,
        } = *wanted;
        let snapshot = self.world.load();
        let known = snapshot.credentials.get(credential);
        if let Some(other) = known.filter(|known| known.purpose != purpose) {
            return Err(CredentialError::purpose(credential, other.purpose, purpose));
        }
        let spki_sha256 = leaf.public_key().spki_sha256();
        let mut versions = snapshot.credentials.values().flat_map(|it| &it.versions);
        let same = |version: &&Arc<Version>| {
            version.key.spki_sha256 == spki_sha256 && version.state != VersionState::Destroyed
        };
        if let Some(same) = versions.find(same) {
            return Err(CredentialError::KeyKnown(same.id.clone()));
        }
        let newest = known.and_then(|it| it.newest());
        let version = Version {
            id: VersionId {
                credential: credential.clone(),
                number: newest.map_or(1, |version| version.id.number + 1),
            },
            state: VersionState::Requested,
            frozen_from: None,
            key: KeyRef { id, spki_sha256 },
            token_set: token_set.to_owned(),
            origin: KeyOrigin::Imported,
            key_algorithm: leaf.public_key().key_type().to_string(),
            spki_der: leaf.public_key().spki_der().to_vec(),
            evidence: expected(),
            csr_der: None,
            issued: None,
            created: self.clock.now(),
        };
        let delivery = reading::read(delivered, &spki_sha256)?;
        let owner = Credential {
            name: credential.clone(),
            purpose,
            versions: known.map(|it| it.versions.clone()).unwrap_or_default(),
        };
        let found = Found {
            credential: owner.into(),
            version: version.into(),
        };
        let (findings, environment) = self.examine(&found, &delivery);
        match environment {
            Some(_) if !findings.iter().any(|finding| finding.blocking) => Ok(()),
            _ => Err(CredentialError::Blocked(findings)),
        }
    }

    /// The version around a key that is in the token.
    async fn write(
        &self,
        who: &CallerName,
        wanted: &Wanted<'_>,
        key: &GeneratedKey,
        deadline: Instant,
    ) -> Result<VersionId, CredentialError> {
        let Wanted {
            credential,
            token_set,
            purpose,
            leaf,
        } = *wanted;
        let data = json!({
            "credential": credential.as_str(),
            "purpose": purpose.as_str(),
            "token": token_set,
            "key_id": key.key.id.to_string(),
            "spki_sha256": hex::encode(key.key.spki_sha256),
            "key_origin": KeyOrigin::Imported.as_str(),
            "attributes": key.evidence,
        });
        let new = NewVersion {
            credential: credential.clone(),
            purpose,
            token_set: token_set.to_owned(),
            key_id: key.key.id,
            spki_der: key.spki_der.clone(),
            origin: KeyOrigin::Imported,
            key_algorithm: leaf.public_key().key_type().to_string(),
            evidence: key.evidence,
            csr_der: None,
            created: self.clock.now(),
        };
        let write = self.world.store().insert_version(&new);
        match self.change(who, Event::CredentialEnrol, data, write).await {
            Ok(number) => Ok(VersionId {
                credential: credential.clone(),
                number,
            }),
            Err(error) => {
                self.discard(&key.key, deadline).await;
                Err(error.into())
            }
        }
    }
}

/// What a token says at best of a key that it did not make.
fn expected() -> KeyEvidence {
    KeyEvidence {
        sensitive: true,
        extractable: false,
        always_sensitive: false,
        never_extractable: false,
        local: false,
        limits: KeyLimits::default(),
    }
}
