//! What the service and a token worker say to each other: protobuf messages, written as Rust.
//!
//! Both ends are the same program, so the messages are no public agreement and have no `.proto`. Times are spans, not
//! instants. Errors travel as JSON of [`BackendError`](crate::backend::BackendError): they are rare, and no variant may lose its facts on the way.

mod convert;

pub(super) use convert::{error_json, error_of_json};

/// From the service to the worker.
#[derive(PartialEq, prost::Message)]
pub(super) struct ToWorker {
    /// Chosen by the service; the answer has the same.
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    /// How long somebody waits for the answer, microseconds.
    #[prost(uint64, tag = "2")]
    pub(super) patience_us: u64,
    #[prost(oneof = "Request", tags = "3, 4, 5, 6, 7, 8, 9, 10, 11")]
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
    #[prost(message, tag = "11")]
    Decrypt(Decrypt),
}

/// From the worker to the service. Id 0 is said unasked.
#[derive(PartialEq, prost::Message)]
pub(super) struct FromWorker {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(oneof = "Answer", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub(super) answer: Option<Answer>,
}

/// What is answered.
#[derive(PartialEq, prost::Oneof)]
pub(super) enum Answer {
    #[prost(bytes, tag = "2")]
    Signature(Vec<u8>),
    /// JSON of a [`BackendError`](crate::backend::BackendError).
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
    #[prost(message, tag = "11")]
    Unwrapped(Secret),
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
    #[prost(string, optional, tag = "10")]
    pub(super) init_string: Option<String>,
    /// Absent: the worker is not confined.
    #[prost(message, optional, tag = "11")]
    confinement: Option<ConfinementMessage>,
}

/// See [`Confinement`](super::Confinement).
#[derive(Clone, PartialEq, prost::Message)]
struct ConfinementMessage {
    #[prost(string, repeated, tag = "1")]
    read_paths: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    write_paths: Vec<String>,
    #[prost(bool, tag = "3")]
    network: bool,
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
    /// Places in `Protection::ALL`.
    #[prost(uint32, repeated, tag = "4")]
    protections: Vec<u32>,
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
    /// JSON of what it has done ([`Tally`](crate::backend::Tally)); none when nothing changed since it was last said.
    #[prost(string, optional, tag = "8")]
    pub(super) tally: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Nothing {}

/// See [`KeyRef`](crate::backend::KeyRef).
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
    /// Place of the scheme in `SignatureScheme::ALL`.
    #[prost(uint32, tag = "2")]
    scheme: u32,
    #[prost(bytes, tag = "3")]
    pub(super) input: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Generate {
    #[prost(bytes, tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) label: String,
    /// As [`KeySpec`](crate::backend::KeySpec) prints itself, without the length.
    #[prost(string, tag = "3")]
    spec: String,
    #[prost(uint32, tag = "4")]
    rsa_bits: u32,
    /// The key is for decryption, not for signatures.
    #[prost(bool, tag = "5")]
    decrypts: bool,
}

/// The private key's part of a decryption.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Decrypt {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<Key>,
    #[prost(oneof = "Work", tags = "2, 3, 4")]
    work: Option<Work>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Work {
    /// RSA-OAEP with SHA-1.
    #[prost(bytes, tag = "2")]
    OaepSha1(Vec<u8>),
    /// RSA-OAEP with SHA-256.
    #[prost(bytes, tag = "3")]
    OaepSha256(Vec<u8>),
    /// ECDH with this public key (SubjectPublicKeyInfo, DER).
    #[prost(bytes, tag = "4")]
    Ecdh(Vec<u8>),
}

/// An unwrapped key or a shared secret. Wiped when dropped, never printed.
#[derive(PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct Secret {
    /// None: the encrypted key did not fit.
    #[prost(bytes, optional, tag = "1")]
    bytes: Option<Vec<u8>>,
}

/// See [`GeneratedKey`](crate::backend::GeneratedKey).
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Generated {
    #[prost(message, optional, tag = "1")]
    key: Option<Key>,
    #[prost(bytes, tag = "2")]
    spki_der: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    evidence: Option<Evidence>,
    /// Places in `KeyManagement::ALL`.
    #[prost(uint32, repeated, tag = "4")]
    decrypts: Vec<u32>,
}

/// See [`KeyEvidence`](crate::backend::KeyEvidence).
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
    #[prost(message, optional, tag = "6")]
    limits: Option<Limits>,
}

/// See [`KeyLimits`](crate::backend::KeyLimits).
#[derive(Clone, PartialEq, prost::Message)]
struct Limits {
    #[prost(bool, optional, tag = "1")]
    sign: Option<bool>,
    #[prost(bool, optional, tag = "2")]
    decrypt: Option<bool>,
    #[prost(bool, optional, tag = "3")]
    unwrap: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    derive: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    modifiable: Option<bool>,
    #[prost(bool, optional, tag = "6")]
    copyable: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    mechanisms: Option<bool>,
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
    /// JSON of a [`BackendError`](crate::backend::BackendError), where there is no evidence.
    #[prost(string, tag = "3")]
    error: String,
}

/// See [`Counts`](crate::backend::pkcs11::Counts), as JSON: asked for by tests and metrics only.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CountsMessage {
    #[prost(string, tag = "1")]
    json: String,
}
