//! Keys, what a token says of them, and what became of them.

use sealkeep_profiles::format::jwe::KeyManagement;

use super::super::{Entry, Evidence, Generated, Key, Limits, Report};
use super::{error_json, error_of_json, place_of};
use crate::backend::{Adopted, GeneratedKey, KeyEvidence, KeyId, KeyLimits, KeyRef};

pub(super) fn key_id(bytes: &[u8]) -> Option<KeyId> {
    Some(KeyId::from_bytes(bytes.try_into().ok()?))
}

impl From<&KeyRef> for Key {
    fn from(key: &KeyRef) -> Self {
        Self {
            id: key.id.as_bytes().to_vec(),
            spki_sha256: key.spki_sha256.to_vec(),
        }
    }
}

impl Key {
    pub(in crate::backend::worker) fn key_ref(&self) -> Option<KeyRef> {
        Some(KeyRef {
            id: key_id(&self.id)?,
            spki_sha256: self.spki_sha256.as_slice().try_into().ok()?,
        })
    }
}

impl From<KeyEvidence> for Evidence {
    fn from(evidence: KeyEvidence) -> Self {
        Self {
            sensitive: evidence.sensitive,
            extractable: evidence.extractable,
            always_sensitive: evidence.always_sensitive,
            never_extractable: evidence.never_extractable,
            local: evidence.local,
            limits: Some(evidence.limits.into()),
        }
    }
}

impl From<Evidence> for KeyEvidence {
    fn from(evidence: Evidence) -> Self {
        Self {
            sensitive: evidence.sensitive,
            extractable: evidence.extractable,
            always_sensitive: evidence.always_sensitive,
            never_extractable: evidence.never_extractable,
            local: evidence.local,
            limits: evidence.limits.map(KeyLimits::from).unwrap_or_default(),
        }
    }
}

impl From<KeyLimits> for Limits {
    fn from(limits: KeyLimits) -> Self {
        Self {
            sign: limits.sign,
            decrypt: limits.decrypt,
            unwrap: limits.unwrap,
            derive: limits.derive,
            modifiable: limits.modifiable,
            copyable: limits.copyable,
            mechanisms: limits.mechanisms,
        }
    }
}

impl From<Limits> for KeyLimits {
    fn from(limits: Limits) -> Self {
        Self {
            sign: limits.sign,
            decrypt: limits.decrypt,
            unwrap: limits.unwrap,
            derive: limits.derive,
            modifiable: limits.modifiable,
            copyable: limits.copyable,
            mechanisms: limits.mechanisms,
        }
    }
}

impl From<GeneratedKey> for Generated {
    fn from(made: GeneratedKey) -> Self {
        Self {
            key: Some((&made.key).into()),
            spki_der: made.spki_der,
            evidence: Some(made.evidence.into()),
            decrypts: made.decrypts.iter().filter_map(place_of).collect(),
        }
    }
}

impl Generated {
    pub(in crate::backend::worker) fn generated_key(self) -> Option<GeneratedKey> {
        Some(GeneratedKey {
            key: self.key?.key_ref()?,
            spki_der: self.spki_der,
            evidence: self.evidence?.into(),
            decrypts: self
                .decrypts
                .iter()
                .map(|place| KeyManagement::ALL.get(*place as usize).copied())
                .collect::<Option<_>>()?,
        })
    }
}

impl From<Vec<Adopted>> for Report {
    fn from(report: Vec<Adopted>) -> Self {
        let entry = |adopted: Adopted| {
            let (evidence, error) = match adopted.outcome {
                Ok(evidence) => (Some(evidence.into()), String::new()),
                Err(error) => (None, error_json(&error)),
            };
            Entry {
                key: Some((&adopted.key).into()),
                evidence,
                error,
            }
        };
        Self {
            entries: report.into_iter().map(entry).collect(),
        }
    }
}

impl Report {
    pub(in crate::backend::worker) fn adopted(self) -> Option<Vec<Adopted>> {
        let entry = |entry: Entry| {
            Some(Adopted {
                key: entry.key?.key_ref()?,
                outcome: match entry.evidence {
                    Some(evidence) => Ok(evidence.into()),
                    None => Err(error_of_json(&entry.error)),
                },
            })
        };
        self.entries.into_iter().map(entry).collect()
    }
}
