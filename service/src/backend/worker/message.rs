//! What the service and a token worker say to each other: protobuf messages, written as Rust.
//!
//! Both ends are the same program, so the messages are no public agreement and have no `.proto`. Times are spans, not
//! instants. Errors travel as JSON of [`BackendError`]: they are rare, and no variant may lose its facts on the way.

use sealkeep_profiles::algorithm::SignatureScheme;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

use crate::backend::pkcs11::{Counts, Pkcs11Config};
use crate::backend::{
    Adopted, BackendError, GeneratedKey, KeyEvidence, KeyId, KeyRef, KeySpec, TokenInfo,
};

/// From the service to the worker.
#[derive(PartialEq, prost::Message)]
pub(super) struct ToWorker {
    /// Chosen by the service; the answer has the same.
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    /// How long somebody waits for the answer, microseconds.
    #[prost(uint64, tag = "2")]
    pub(super) patience_us: u64,
    #[prost(oneof = "Request", tags = "3, 4, 5, 6, 7, 8, 9, 10")]
    pub(super) request: Option<Request>,
}

/// What is asked.
#[derive(PartialEq, prost::Oneof)]
pub(super) enum Request {
    #[prost(message, tag = "3")]
    Start(Start),
    #[prost(message, tag = "4")]
    Sign(Sign),
    #[prost(message, tag = "5")]
    Generate(Generate),
    #[prost(message, tag = "6")]
    Adopt(Keys),
    #[prost(message, tag = "7")]
    PublicKey(Key),
    #[prost(message, tag = "8")]
    Destroy(Key),
    /// Nobody waits for the request with this id any more.
    #[prost(message, tag = "9")]
    Withdraw(Nothing),
    #[prost(message, tag = "10")]
    Counts(Nothing),
}

/// From the worker to the service. Id 0 is said unasked.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FromWorker {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(oneof = "Answer", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub(super) answer: Option<Answer>,
}

/// What is answered.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Answer {
    #[prost(bytes, tag = "2")]
    Signature(Vec<u8>),
    /// JSON of a [`BackendError`].
    #[prost(string, tag = "3")]
    Error(String),
    #[prost(message, tag = "4")]
    Started(Started),
    #[prost(message, tag = "5")]
    Generated(Generated),
    #[prost(message, tag = "6")]
    Adopted(Report),
    /// SubjectPublicKeyInfo, DER.
    #[prost(bytes, tag = "7")]
    PublicKey(Vec<u8>),
    #[prost(message, tag = "8")]
    Destroyed(Nothing),
    #[prost(message, tag = "9")]
    Counts(CountsMessage),
    #[prost(message, tag = "10")]
    Status(Status),
}

/// The first request: everything the worker needs, once.
#[derive(PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct Start {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) module: String,
    #[prost(string, tag = "3")]
    pub(super) token_label: String,
    #[prost(string, optional, tag = "4")]
    pub(super) token_serial: Option<String>,
    #[prost(uint32, tag = "5")]
    pub(super) session_count: u32,
    #[prost(uint64, tag = "6")]
    pub(super) queue_length_max: u64,
    #[prost(bool, tag = "7")]
    pub(super) allow_spy: bool,
    #[prost(string, tag = "8")]
    pub(super) pin_marker: String,
    #[prost(string, tag = "9")]
    pin: String,
}

impl Start {
    pub(super) fn new(config: &Pkcs11Config, pin_marker: String, pin: &SecretString) -> Self {
        let mut start = Self::default();
        start.name.clone_from(&config.name);
        // The path was read from a configuration that is UTF-8 (TOML).
        start.module = config.module.to_string_lossy().into_owned();
        start.token_label.clone_from(&config.token_label);
        start.token_serial.clone_from(&config.token_serial);
        start.session_count = config.session_count.into();
        start.queue_length_max = config.queue_length_max as u64;
        start.allow_spy = config.allow_spy;
        start.pin_marker = pin_marker;
        pin.expose_secret().clone_into(&mut start.pin);
        start
    }

    /// Takes the PIN out; none is left behind.
    pub(super) fn take_pin(&mut self) -> SecretString {
        SecretString::from(std::mem::take(&mut self.pin))
    }

    pub(super) fn config(&self) -> Pkcs11Config {
        Pkcs11Config {
            name: self.name.clone(),
            module: self.module.clone().into(),
            token_label: self.token_label.clone(),
            token_serial: self.token_serial.clone(),
            // Out of range is refused by the backend, as a configured value would be.
            session_count: self.session_count.try_into().unwrap_or(u16::MAX),
            queue_length_max: self.queue_length_max.try_into().unwrap_or(usize::MAX),
            allow_spy: self.allow_spy,
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

/// The worker is logged in.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Started {
    #[prost(string, tag = "1")]
    pub(super) serial: String,
    #[prost(string, tag = "2")]
    pub(super) manufacturer: String,
    #[prost(string, tag = "3")]
    pub(super) module: String,
}

/// How the worker is, said unasked and often.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(uint32, tag = "1")]
    pub(super) session_count: u32,
    #[prost(uint32, tag = "2")]
    pub(super) key_count: u32,
    #[prost(string, optional, tag = "3")]
    pub(super) problem: Option<String>,
    /// `C_Login` is about to be called, or runs.
    #[prost(bool, tag = "4")]
    pub(super) in_login: bool,
    /// Signing threads whose call takes far too long.
    #[prost(uint32, tag = "5")]
    pub(super) stuck_sessions: u32,
    /// The longest call of a signing thread that runs now, milliseconds.
    #[prost(uint64, tag = "6")]
    pub(super) longest_call_ms: u64,
    /// How long the keeper has been at its task, milliseconds.
    #[prost(uint64, tag = "7")]
    pub(super) keeper_busy_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Nothing {}

/// See [`KeyRef`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Key {
    #[prost(bytes, tag = "1")]
    id: Vec<u8>,
    #[prost(bytes, tag = "2")]
    spki_sha256: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Keys {
    #[prost(message, repeated, tag = "1")]
    pub(super) keys: Vec<Key>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Sign {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<Key>,
    /// Place of the scheme in [`SignatureScheme::ALL`].
    #[prost(uint32, tag = "2")]
    scheme: u32,
    #[prost(bytes, tag = "3")]
    pub(super) input: Vec<u8>,
}

impl Sign {
    pub(super) fn new(key: &KeyRef, scheme: SignatureScheme, input: &[u8]) -> Self {
        let place = SignatureScheme::ALL.iter().position(|s| *s == scheme);
        Self {
            key: Some(key.into()),
            scheme: place.map_or(u32::MAX, |place| place as u32),
            input: input.to_vec(),
        }
    }

    pub(super) fn scheme(&self) -> Option<SignatureScheme> {
        SignatureScheme::ALL.get(self.scheme as usize).copied()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Generate {
    #[prost(bytes, tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) label: String,
    /// As [`KeySpec`] prints itself, without the length.
    #[prost(string, tag = "3")]
    spec: String,
    #[prost(uint32, tag = "4")]
    rsa_bits: u32,
}

impl Generate {
    pub(super) fn new(id: KeyId, label: &str, spec: KeySpec) -> Self {
        let rsa_bits = match spec {
            KeySpec::Rsa { bits } => bits,
            _ => 0,
        };
        Self {
            id: id.as_bytes().to_vec(),
            label: label.to_owned(),
            spec: spec.to_string(),
            rsa_bits,
        }
    }

    pub(super) fn id(&self) -> Option<KeyId> {
        key_id(&self.id)
    }

    pub(super) fn spec(&self) -> Option<KeySpec> {
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

/// See [`GeneratedKey`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Generated {
    #[prost(message, optional, tag = "1")]
    key: Option<Key>,
    #[prost(bytes, tag = "2")]
    spki_der: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    evidence: Option<Evidence>,
}

/// See [`KeyEvidence`].
#[derive(Clone, PartialEq, prost::Message)]
struct Evidence {
    #[prost(bool, tag = "1")]
    sensitive: bool,
    #[prost(bool, tag = "2")]
    extractable: bool,
    #[prost(bool, tag = "3")]
    always_sensitive: bool,
    #[prost(bool, tag = "4")]
    never_extractable: bool,
    #[prost(bool, tag = "5")]
    local: bool,
}

/// What became of several keys.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Report {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    key: Option<Key>,
    #[prost(message, optional, tag = "2")]
    evidence: Option<Evidence>,
    /// JSON of a [`BackendError`], where there is no evidence.
    #[prost(string, tag = "3")]
    error: String,
}

/// See [`Counts`], as JSON: asked for by tests and metrics only.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CountsMessage {
    #[prost(string, tag = "1")]
    json: String,
}

fn key_id(bytes: &[u8]) -> Option<KeyId> {
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
    pub(super) fn key_ref(&self) -> Option<KeyRef> {
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
        }
    }
}

impl From<GeneratedKey> for Generated {
    fn from(made: GeneratedKey) -> Self {
        Self {
            key: Some((&made.key).into()),
            spki_der: made.spki_der,
            evidence: Some(made.evidence.into()),
        }
    }
}

impl Generated {
    pub(super) fn generated_key(self) -> Option<GeneratedKey> {
        Some(GeneratedKey {
            key: self.key?.key_ref()?,
            spki_der: self.spki_der,
            evidence: self.evidence?.into(),
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
    pub(super) fn adopted(self) -> Option<Vec<Adopted>> {
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

impl From<Counts> for CountsMessage {
    fn from(counts: Counts) -> Self {
        Self {
            json: serde_json::to_string(&counts).unwrap_or_default(),
        }
    }
}

impl CountsMessage {
    pub(super) fn counts(&self) -> Option<Counts> {
        serde_json::from_str(&self.json).ok()
    }
}

impl From<&TokenInfo> for Started {
    fn from(info: &TokenInfo) -> Self {
        Self {
            serial: info.serial.clone(),
            manufacturer: info.manufacturer.clone(),
            module: info.module.clone(),
        }
    }
}

/// An error, ready to travel.
pub(super) fn error_json(error: &BackendError) -> String {
    // A path that is not UTF-8 does not serialise; its text still says what happened.
    serde_json::to_string(error).unwrap_or_else(|_| error.to_string())
}

/// An error that has travelled.
pub(super) fn error_of_json(json: &str) -> BackendError {
    serde_json::from_str(json).unwrap_or_else(|_| BackendError::Malformed(json.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use prost::Message;

    use super::*;

    #[test]
    fn errors_arrive_as_they_were_sent() {
        let id = KeyId::random();
        for error in [
            BackendError::KeyMismatch(id),
            BackendError::DigestLength {
                expected: 32,
                found: 31,
            },
            BackendError::SchemeUnfit {
                key_type: "ec-p256".to_owned(),
                scheme: "rsa-pss-sha256".into(),
            },
            BackendError::Unavailable {
                function: "C_Sign".to_owned(),
                rv: "CKR_DEVICE_ERROR".to_owned(),
            },
            BackendError::PinRefused {
                marker: PathBuf::from("/var/lib/sealkeep/x.pin-refused"),
            },
            BackendError::ConfigInvalid {
                field: "session_count".into(),
                rule: "between 1 and 2".to_owned(),
            },
            BackendError::Deadline,
        ] {
            assert_eq!(error_of_json(&error_json(&error)), error);
        }
        assert_eq!(error_of_json("{").reason(), "TOKEN_MALFORMED_ANSWER");
    }

    #[test]
    fn specs_and_schemes_arrive_as_they_were_sent() {
        let id = KeyId::random();
        for spec in [
            KeySpec::Rsa { bits: 3072 },
            KeySpec::EcP256,
            KeySpec::EcP384,
            KeySpec::EcP521,
            KeySpec::Ed25519,
        ] {
            let sent = Generate::new(id, "label", spec).encode_to_vec();
            let arrived = Generate::decode(sent.as_slice()).unwrap();
            assert_eq!((arrived.id(), arrived.spec()), (Some(id), Some(spec)));
        }
        let key = KeyRef {
            id,
            spki_sha256: [3; 32],
        };
        for scheme in SignatureScheme::ALL {
            let sent = Sign::new(&key, scheme, b"input").encode_to_vec();
            let arrived = Sign::decode(sent.as_slice()).unwrap();
            assert_eq!(arrived.scheme(), Some(scheme));
            assert_eq!(arrived.key.unwrap().key_ref(), Some(key));
        }
    }

    #[test]
    fn the_pin_travels_and_is_never_printed() {
        let config = Pkcs11Config {
            name: "main".to_owned(),
            module: "/m.so".into(),
            token_label: "t".to_owned(),
            token_serial: None,
            session_count: 4,
            queue_length_max: 8,
            allow_spy: false,
        };
        let start = Start::new(&config, "/x".to_owned(), &SecretString::from("648219"));
        let message = ToWorker {
            id: 1,
            patience_us: 0,
            request: Some(Request::Start(start)),
        };
        assert!(!format!("{message:?}").contains("648219"));
        let sent = message.encode_to_vec();
        let arrived = ToWorker::decode(sent.as_slice()).unwrap();
        let Some(Request::Start(mut start)) = arrived.request else {
            panic!("{arrived:?}")
        };
        assert_eq!(start.config(), config);
        assert_eq!(start.take_pin().expose_secret(), "648219");
        assert_eq!(start.take_pin().expose_secret(), "");
    }
}
