//! `[token]` or `[[token]]`: one PKCS#11 token, or several, alone or in sets.
//!
//! In: tables as they are written. Out: tokens that can stand beside each other. Tokens of one set hold the same keys;
//! how the keys come there is the vendor's replication.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::backend::pkcs11::is_init_string;
use crate::backend::tokens::TOKENS_PER_SET_MAX;
use crate::backend::worker::{CRASHES_PER_MINUTE_MAX_DEFAULT, Confinement, ENVIRONMENT_DEFAULT};

/// Most tokens of all sets.
const TOKENS_MAX: usize = 32;
/// Longest name of a token or set, bytes.
const NAME_BYTES_MAX: usize = 63;

/// A key of the configuration, and the rule that its value breaks.
type Broken = (&'static str, &'static str);

/// `[token]`, or one of several `[[token]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// What the service calls it.
    pub name: String,
    /// The set that it belongs to: tokens of one set hold the same keys and act as one. Its own name when absent.
    pub set: Option<String>,
    /// What its keys are to the set.
    #[serde(default)]
    pub replica: ReplicaRule,
    /// The vendor's PKCS#11 library.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    /// Its serial number, when the label is not enough.
    pub serial: Option<String>,
    /// A file that holds the PIN, mode 0400.
    pub pin_file: Option<PathBuf>,
    /// The name of a systemd credential that holds the PIN (systemd.exec(5), LoadCredential).
    pub pin_credential: Option<String>,
    /// Sessions, each with a thread of its own.
    #[serde(default = "default_sessions")]
    pub session_count: u16,
    /// Requests that may wait for a session.
    #[serde(default = "default_queue")]
    pub queue_length_max: u32,
    /// Whether `sealkeepd key import` may bring keys from outside into the token.
    #[serde(default)]
    pub import: bool,
    /// What the module wants to hear at `C_Initialize`; most want nothing.
    pub init_string: Option<String>,
    /// Lets the module be pkcs11-spy, which prints the PIN. For tests.
    #[serde(default)]
    pub allow_spy: bool,
    /// Where the module runs.
    #[serde(default)]
    pub isolation: Isolation,
    /// Environment variables that the worker process inherits; a name that ends in `*` stands for all that begin so.
    #[serde(default = "default_worker_environment")]
    pub worker_environment: Vec<String>,
    /// Crashes of the worker in a minute after which none is started for half a minute.
    #[serde(default = "default_worker_crashes")]
    pub worker_crashes_per_minute_max: u32,
    /// Whether the worker gives up what it does not need.
    #[serde(default)]
    pub hardening: Hardening,
    /// The token is reached over a network: the hardened worker may open sockets to it.
    #[serde(default)]
    pub network: bool,
    /// Files and directories that the hardened worker reads beside the system's libraries, the module and the files
    /// that its variables name.
    #[serde(default)]
    pub worker_read_paths: Vec<PathBuf>,
    /// Files and directories that it writes. Where SoftHSM and NSS keep their keys is known from their configuration.
    #[serde(default)]
    pub worker_write_paths: Vec<PathBuf>,
}

/// Whether the worker gives up what it does not need, before it loads the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hardening {
    /// Files, sockets and system calls, as far as the kernel can; what it cannot is said in the log and the status.
    #[default]
    On,
    /// For a module that cannot live with it.
    Off,
}

/// Whether a version waits until its key is proven at a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicaRule {
    /// No version is activated before its key is proven there.
    #[default]
    Required,
    /// A version is activated without it; monitoring tells that the key is missing there.
    Optional,
}

/// Where a vendor's module runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In a process of its own: a crash or a hang of the module costs that process.
    #[default]
    Process,
    /// In the service's process: less to run, and the module can take the service down.
    Thread,
}

fn default_sessions() -> u16 {
    4
}
fn default_queue() -> u32 {
    1_024
}
fn default_worker_environment() -> Vec<String> {
    ENVIRONMENT_DEFAULT.map(str::to_owned).to_vec()
}
fn default_worker_crashes() -> u32 {
    CRASHES_PER_MINUTE_MAX_DEFAULT
}

impl TokenConfig {
    /// The set that it belongs to.
    pub fn set_name(&self) -> &str {
        self.set.as_deref().unwrap_or(&self.name)
    }

    /// What the worker may use; `None`: whatever the service may.
    pub(super) fn confinement(&self) -> Option<Confinement> {
        (self.hardening == Hardening::On).then(|| Confinement {
            read_paths: self.worker_read_paths.clone(),
            write_paths: self.worker_write_paths.clone(),
            network: self.network,
        })
    }

    /// Paths that may be relative to the configuration.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let worker = self.worker_read_paths.iter_mut();
        let worker = worker.chain(&mut self.worker_write_paths);
        worker.chain(&mut self.pin_file)
    }

    fn check(&self) -> Result<(), Broken> {
        if !(1..=NAME_BYTES_MAX).contains(&self.name.len()) {
            return Err(("token.name", "1 to 63 bytes"));
        }
        if !self.module.is_absolute() {
            return Err((
                "token.module",
                "must be an absolute path: it is code that will run",
            ));
        }
        if !(1..=64).contains(&self.session_count) {
            return Err(("token.session_count", "1 to 64"));
        }
        if !(1..=65_536).contains(&self.queue_length_max) {
            return Err(("token.queue_length_max", "1 to 65536"));
        }
        if !(1..=1_000_000).contains(&self.worker_crashes_per_minute_max) {
            return Err(("token.worker_crashes_per_minute_max", "1 to 1000000"));
        }
        if !self.init_string.as_deref().is_none_or(is_init_string) {
            return Err(("token.init_string", "1 to 1024 bytes without a zero byte"));
        }
        if self.pin_file.is_some() && self.pin_credential.is_some() {
            return Err((
                "token.pin_file",
                "give pin_file or pin_credential, not both",
            ));
        }
        Ok(())
    }

    /// Whether the two are one and the same token, as far as the configuration tells.
    fn is_as(&self, other: &Self) -> bool {
        let about = |token: &Self| {
            (
                token.module.clone(),
                token.label.clone(),
                token.serial.clone(),
            )
        };
        about(self) == about(other)
    }
}

/// What no token may be, and what two must not be beside each other.
pub(super) fn check(tokens: &[TokenConfig]) -> Result<(), Broken> {
    if !(1..=TOKENS_MAX).contains(&tokens.len()) {
        return Err(("token", "1 to 32 of them"));
    }
    tokens.iter().try_for_each(TokenConfig::check)?;
    if let [_] = tokens {
        return Ok(());
    }
    for (at, token) in tokens.iter().enumerate() {
        // Names are parts of file names, and of resource names of the API.
        if ![token.name.as_str(), token.set_name()]
            .iter()
            .all(|name| is_name(name))
        {
            return Err((
                "token.name",
                "and token.set: 1 to 63 of a-z, 0-9 and hyphens, when there are several tokens",
            ));
        }
        let of_set = tokens.iter().filter(|it| it.set_name() == token.set_name());
        if of_set.count() > TOKENS_PER_SET_MAX {
            return Err(("token.set", "at most 8 tokens in a set"));
        }
        tokens[..at]
            .iter()
            .try_for_each(|before| check_two(before, token))?;
    }
    Ok(())
}

fn check_two(one: &TokenConfig, other: &TokenConfig) -> Result<(), Broken> {
    if one.name == other.name {
        return Err(("token.name", "each name once"));
    }
    let sets_differ = one.set_name() != other.set_name();
    if sets_differ && (one.set_name() == other.name || other.set_name() == one.name) {
        return Err((
            "token.set",
            "must not be the name of a token of another set",
        ));
    }
    if one.is_as(other) {
        return Err((
            "token.label",
            "two entries mean the same token; tell them apart by serial, or leave one out",
        ));
    }
    let in_service = |token: &TokenConfig| token.isolation == Isolation::Thread;
    if one.module == other.module && in_service(one) && in_service(other) {
        return Err((
            "token.isolation",
            "two tokens of one module need \"process\": initialising it for one would interrupt the other",
        ));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let may = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(may)
}

/// `[token]` is one, `[[token]]` several; either way with the place of what is wrong.
pub(super) fn one_or_several<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<TokenConfig>, D::Error> {
    struct Tables;

    impl<'de> Visitor<'de> for Tables {
        type Value = Vec<TokenConfig>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table [token], or several tables [[token]]")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let token = TokenConfig::deserialize(MapAccessDeserializer::new(map))?;
            Ok(vec![token])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(seq))
        }
    }

    deserializer.deserialize_any(Tables)
}
