//! From the words of the backend to messages and back.
//!
//! In: what was asked or answered. Out: the same, or `None` where a message lacks what it must have.

mod key;

use std::path::PathBuf;

use sealkeep_profiles::algorithm::{PublicKey, SignatureScheme};
use sealkeep_profiles::format::jwe::{KeyManagement, OaepHash, TokenWork};
use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

use super::super::Confinement;
use super::{
    ConfinementMessage, CountsMessage, Decrypt, Generate, Secret, Sign, Start, Started, Work,
};
use crate::backend::pkcs11::{Counts, Pkcs11Config};
use crate::backend::{
    BackendError, KeyId, KeyRef, KeySpec, KeyUsage, Protection, TokenInfo, Unwrapped,
};
use key::key_id;

impl Start {
    pub(in super::super) fn new(
        config: &Pkcs11Config,
        confinement: Option<&Confinement>,
        pin_marker: String,
        pin: &SecretString,
    ) -> Self {
        let mut start = Self::default();
        start.name.clone_from(&config.name);
        // The path was read from a configuration that is UTF-8 (TOML).
        start.module = config.module.to_string_lossy().into_owned();
        start.token_label.clone_from(&config.token_label);
        start.token_serial.clone_from(&config.token_serial);
        start.session_count = config.session_count.into();
        start.queue_length_max = config.queue_length_max as u64;
        start.allow_spy = config.allow_spy;
        start.init_string.clone_from(&config.init_string);
        start.pin_marker = pin_marker;
        start.confinement = confinement.map(ConfinementMessage::from);
        pin.expose_secret().clone_into(&mut start.pin);
        start
    }

    /// Takes the PIN out; none is left behind.
    pub(in super::super) fn take_pin(&mut self) -> SecretString {
        SecretString::from(std::mem::take(&mut self.pin))
    }

    /// `None`: the worker keeps what it has.
    pub(in super::super) fn confinement(&self) -> Option<Confinement> {
        let message = self.confinement.as_ref()?;
        let paths = |texts: &[String]| texts.iter().map(Into::into).collect();
        Some(Confinement {
            read_paths: paths(&message.read_paths),
            write_paths: paths(&message.write_paths),
            network: message.network,
        })
    }

    pub(in super::super) fn config(&self) -> Pkcs11Config {
        Pkcs11Config {
            name: self.name.clone(),
            module: self.module.clone().into(),
            token_label: self.token_label.clone(),
            token_serial: self.token_serial.clone(),
            // Out of range is refused by the backend, as a configured value would be.
            session_count: self.session_count.try_into().unwrap_or(u16::MAX),
            queue_length_max: self.queue_length_max.try_into().unwrap_or(usize::MAX),
            allow_spy: self.allow_spy,
            init_string: self.init_string.clone(),
        }
    }
}

impl From<&Confinement> for ConfinementMessage {
    fn from(confinement: &Confinement) -> Self {
        // As the module's path, these are UTF-8.
        let texts = |paths: &[PathBuf]| {
            let texts = paths.iter().map(|path| path.to_string_lossy().into_owned());
            texts.collect()
        };
        Self {
            read_paths: texts(&confinement.read_paths),
            write_paths: texts(&confinement.write_paths),
            network: confinement.network,
        }
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        self.pin.zeroize();
    }
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Start({}, PIN of {} bytes)",
            self.token_label,
            self.pin.len()
        )
    }
}

impl Sign {
    pub(in super::super) fn new(key: &KeyRef, scheme: SignatureScheme, input: &[u8]) -> Self {
        let place = SignatureScheme::ALL.iter().position(|s| *s == scheme);
        Self {
            key: Some(key.into()),
            scheme: place.map_or(u32::MAX, |place| place as u32),
            input: input.to_vec(),
        }
    }

    pub(in super::super) fn scheme(&self) -> Option<SignatureScheme> {
        SignatureScheme::ALL.get(self.scheme as usize).copied()
    }
}

impl Generate {
    pub(in super::super) fn new(id: KeyId, label: &str, spec: KeySpec, usage: KeyUsage) -> Self {
        let rsa_bits = match spec {
            KeySpec::Rsa { bits } => bits,
            _ => 0,
        };
        Self {
            id: id.as_bytes().to_vec(),
            label: label.to_owned(),
            spec: spec.to_string(),
            rsa_bits,
            decrypts: usage == KeyUsage::Decrypt,
        }
    }

    pub(in super::super) fn id(&self) -> Option<KeyId> {
        key_id(&self.id)
    }

    pub(in super::super) fn usage(&self) -> KeyUsage {
        match self.decrypts {
            true => KeyUsage::Decrypt,
            false => KeyUsage::Sign,
        }
    }

    pub(in super::super) fn spec(&self) -> Option<KeySpec> {
        let rsa = KeySpec::Rsa {
            bits: self.rsa_bits,
        };
        [
            rsa,
            KeySpec::EcP256,
            KeySpec::EcP384,
            KeySpec::EcP521,
            KeySpec::Ed25519,
        ]
        .into_iter()
        .find(|spec| spec.to_string() == self.spec)
    }
}

fn place_of(algorithm: &KeyManagement) -> Option<u32> {
    let place = KeyManagement::ALL.iter().position(|it| it == algorithm)?;
    u32::try_from(place).ok()
}

impl Decrypt {
    pub(in super::super) fn new(key: &KeyRef, work: TokenWork<'_>) -> Self {
        let work = match work {
            TokenWork::RsaOaep {
                hash: OaepHash::Sha1,
                encrypted_key,
            } => Work::OaepSha1(encrypted_key.to_vec()),
            TokenWork::RsaOaep {
                hash: OaepHash::Sha256,
                encrypted_key,
            } => Work::OaepSha256(encrypted_key.to_vec()),
            TokenWork::Ecdh { peer } => Work::Ecdh(peer.spki_der().to_vec()),
        };
        Self {
            key: Some(key.into()),
            work: Some(work),
        }
    }

    /// Hands the work on; `None` if there is none, or a public key that is none.
    pub(in super::super) fn with_work<T>(&self, act: impl FnOnce(TokenWork<'_>) -> T) -> Option<T> {
        let oaep = |hash, encrypted_key| TokenWork::RsaOaep {
            hash,
            encrypted_key,
        };
        match self.work.as_ref()? {
            Work::OaepSha1(key) => Some(act(oaep(OaepHash::Sha1, key))),
            Work::OaepSha256(key) => Some(act(oaep(OaepHash::Sha256, key))),
            Work::Ecdh(spki) => {
                let peer = PublicKey::from_spki_der(spki).ok()?;
                Some(act(TokenWork::Ecdh { peer: &peer }))
            }
        }
    }
}

impl From<Unwrapped> for Secret {
    fn from(unwrapped: Unwrapped) -> Self {
        Self {
            bytes: unwrapped.map(|mut secret| std::mem::take(&mut *secret)),
        }
    }
}

impl Secret {
    pub(in super::super) fn unwrapped(mut self) -> Unwrapped {
        self.bytes.take().map(Zeroizing::new)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let length = self.bytes.as_ref().map(Vec::len);
        write!(f, "Secret({length:?} bytes)")
    }
}

impl From<Counts> for CountsMessage {
    fn from(counts: Counts) -> Self {
        Self {
            json: serde_json::to_string(&counts).unwrap_or_default(),
        }
    }
}

impl CountsMessage {
    pub(in super::super) fn counts(&self) -> Option<Counts> {
        serde_json::from_str(&self.json).ok()
    }
}

impl Started {
    pub(in super::super) fn new(info: &TokenInfo, protections: &[Protection]) -> Self {
        let place = |wanted: &Protection| Protection::ALL.iter().position(|it| it == wanted);
        let places = protections.iter().filter_map(place);
        Self {
            serial: info.serial.clone(),
            manufacturer: info.manufacturer.clone(),
            module: info.module.clone(),
            protections: places.map(|place| place as u32).collect(),
        }
    }

    pub(in super::super) fn protections(&self) -> Vec<Protection> {
        let places = self.protections.iter();
        places
            .filter_map(|place| Protection::ALL.get(*place as usize).copied())
            .collect()
    }
}

/// An error, ready to travel.
pub(in super::super) fn error_json(error: &BackendError) -> String {
    // A path that is not UTF-8 does not serialise; its text still says what happened.
    serde_json::to_string(error).unwrap_or_else(|_| error.to_string())
}

/// An error that has travelled.
pub(in super::super) fn error_of_json(json: &str) -> BackendError {
    serde_json::from_str(json).unwrap_or_else(|_| BackendError::Malformed(json.to_owned()))
}

#[cfg(test)]
mod tests;
