//! What the operator wrote, checked.
//!
//! In: one TOML file. Out: a [`Config`] whose paths are absolute and whose limits are in range. Unknown keys are errors:
//! a misspelt limit must not become the default. Never: a secret; the file names where the PIN lies.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use serde::Deserialize;

use crate::approval::{self, ApprovalRules};
use crate::backend::pkcs11::Pkcs11Config;
use crate::backend::worker::{CRASHES_PER_MINUTE_MAX_DEFAULT, ENVIRONMENT_DEFAULT, WorkerConfig};
use crate::credential::TrustAnchors;
use crate::credential::cmp::Account;
use crate::credential::enrolment::{CmpAccount, CmpEnroller, Enrollers};
use crate::domain::{Environment, Name};
use crate::pin::{self, PinError};
use crate::watch::sink::WebhookConfig;

/// Receivers of alerts, at most.
const WEBHOOKS_MAX: usize = 16;
/// Longest reference of an enroller, bytes.
const REFERENCE_BYTES_MAX: usize = 128;

/// The configuration file. Relative paths in it are relative to its own directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where callers connect, and how the service shows itself.
    pub listen: ListenConfig,
    /// The PKCS#11 token.
    pub token: TokenConfig,
    /// Where state is kept.
    pub store: StoreConfig,
    /// Which CAs may have issued our certificates.
    #[serde(default)]
    pub trust: TrustConfig,
    /// How banks want to be signed for, beside what is shipped.
    #[serde(default)]
    pub profiles: ProfilesConfig,
    /// Who is told of what ends soon.
    #[serde(default)]
    pub watch: WatchConfig,
    /// Where monitoring reads; nowhere when absent.
    pub metrics: Option<MetricsConfig>,
    /// What takes two persons.
    #[serde(default)]
    pub approval: ApprovalConfig,
    /// Ways to QTSPs.
    #[serde(default)]
    pub enroller: Vec<EnrollerConfig>,
    /// What is logged about running.
    #[serde(default)]
    pub log: LogConfig,
    /// The shape of the process.
    #[serde(default)]
    pub runtime: RuntimeConfig,
}

/// `[listen]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// The service's certificate chain, PEM.
    pub certificate_file: PathBuf,
    /// Its private key, PEM. This key authenticates the service to callers; it is no PSD2 key.
    pub key_file: PathBuf,
    /// The CAs of callers, PEM.
    pub caller_ca_file: PathBuf,
    /// Whether gRPC reflection answers. Callers are authenticated all the same.
    #[serde(default = "yes")]
    pub reflection: bool,
}

/// `[token]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// What the service calls it.
    pub name: String,
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

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The SQLite database; made by `sealkeepd init`.
    pub sqlite_file: PathBuf,
}

/// `[trust]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustConfig {
    /// CAs whose certificates are for sandboxes, PEM files.
    #[serde(default)]
    pub sandbox_anchor_files: Vec<PathBuf>,
    /// CAs whose certificates are for production, PEM files.
    #[serde(default)]
    pub production_anchor_files: Vec<PathBuf>,
}

/// `[profiles]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfilesConfig {
    /// A directory of profiles, one TOML file each.
    pub directory: Option<PathBuf>,
}

/// `[watch]`. The service's own log is always told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchConfig {
    /// Receivers of alerts.
    #[serde(default)]
    pub webhook: Vec<WebhookConfig>,
}

/// `[metrics]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// Address and port of `/metrics`, plain HTTP without authentication: loopback, or a network of monitoring alone.
    /// Port 0 takes a free one.
    pub address: SocketAddr,
}

/// `[approval]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalConfig {
    /// How long a second person has to confirm a change, seconds.
    pub expiry_s: u32,
    /// How long a confirmed destruction of a key waits, so that somebody can object, seconds.
    pub destroy_delay_s: u32,
}

impl Default for ApprovalConfig {
    fn default() -> Self {
        Self {
            expiry_s: approval::EXPIRY_DEFAULT_S,
            destroy_delay_s: approval::DESTROY_DELAY_DEFAULT_S,
        }
    }
}

/// `[[enroller]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrollerConfig {
    /// What officers call it.
    pub name: Name,
    /// How it talks.
    pub kind: EnrollerKind,
    /// Where the QTSP takes messages, `http://host:port/path`. They are protected by the shared secret.
    pub url: String,
    /// The reference that the QTSP gave out with the secret.
    pub reference: String,
    /// A file that holds the shared secret, mode 0400.
    pub secret_file: PathBuf,
}

/// The protocols of enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrollerKind {
    /// CMP (RFC 9810) with a shared secret.
    Cmp,
}

impl EnrollerConfig {
    fn address(&self) -> Option<http::Uri> {
        let url: http::Uri = self.url.parse().ok()?;
        (url.scheme_str() == Some("http") && url.host().is_some()).then_some(url)
    }
}

/// `[log]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// How lines look.
    #[serde(default)]
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// `[runtime]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Threads that serve requests, beside one for each session of the token. Half of the cores when absent: the
    /// token's threads need the rest.
    pub worker_threads: Option<usize>,
    /// How long requests in flight may take to finish after SIGTERM, seconds.
    #[serde(default = "default_drain")]
    pub drain_timeout_s: u64,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            worker_threads: None,
            drain_timeout_s: default_drain(),
        }
    }
}

fn yes() -> bool {
    true
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
fn default_drain() -> u64 {
    10
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not what it should be; the message has line and column.
    #[error("{path}: {problem}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A value is out of range.
    #[error("{path}: {field}: {rule}")]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key.
        field: &'static str,
        /// What it must be.
        rule: String,
    },
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File {
            path: path.to_owned(),
            source,
        })?;
        let mut config = Self::parse(path, &text)?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.resolve(base);
        Ok(config)
    }

    /// Checks a text; paths stay as they are.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        config.check().map_err(|(field, rule)| ConfigError::Value {
            path: path.to_owned(),
            field,
            rule: rule.to_owned(),
        })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let token = &self.token;
        if token.name.is_empty() || token.name.len() > 63 {
            return Err(("token.name", "1 to 63 bytes"));
        }
        if !token.module.is_absolute() {
            return Err((
                "token.module",
                "must be an absolute path: it is code that will run",
            ));
        }
        if !(1..=64).contains(&token.session_count) {
            return Err(("token.session_count", "1 to 64"));
        }
        if !(1..=65_536).contains(&token.queue_length_max) {
            return Err(("token.queue_length_max", "1 to 65536"));
        }
        if !(1..=1_000_000).contains(&token.worker_crashes_per_minute_max) {
            return Err(("token.worker_crashes_per_minute_max", "1 to 1000000"));
        }
        if token.pin_file.is_some() && token.pin_credential.is_some() {
            return Err((
                "token.pin_file",
                "give pin_file or pin_credential, not both",
            ));
        }
        let webhooks = &self.watch.webhook;
        if webhooks.len() > WEBHOOKS_MAX {
            return Err(("watch.webhook", "at most 16"));
        }
        for (at, webhook) in webhooks.iter().enumerate() {
            let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            if !(1..=63).contains(&webhook.name.len()) || !webhook.name.bytes().all(is_name) {
                return Err(("watch.webhook.name", "1 to 63 of a-z, 0-9 and hyphens"));
            }
            if webhook.name == "log" || webhooks[..at].iter().any(|w| w.name == webhook.name) {
                return Err((
                    "watch.webhook.name",
                    "each its own, and none `log`: what was delivered is remembered by it",
                ));
            }
        }
        if self
            .runtime
            .worker_threads
            .is_some_and(|count| !(1..=64).contains(&count))
        {
            return Err(("runtime.worker_threads", "1 to 64"));
        }
        if !(1..=300).contains(&self.runtime.drain_timeout_s) {
            return Err(("runtime.drain_timeout_s", "1 to 300"));
        }
        for (at, enroller) in self.enroller.iter().enumerate() {
            if self.enroller[..at]
                .iter()
                .any(|other| other.name == enroller.name)
            {
                return Err(("enroller.name", "each name once"));
            }
            if enroller.address().is_none() {
                return Err(("enroller.url", "http://host:port/path"));
            }
            if !(1..=REFERENCE_BYTES_MAX).contains(&enroller.reference.len()) {
                return Err(("enroller.reference", "1 to 128 bytes"));
            }
        }
        if !(60..=86_400).contains(&self.approval.expiry_s) {
            return Err(("approval.expiry_s", "60 to 86400"));
        }
        if !(1..=30 * 86_400).contains(&self.approval.destroy_delay_s) {
            return Err(("approval.destroy_delay_s", "1 to 2592000"));
        }
        Ok(())
    }

    fn resolve(&mut self, base: &Path) {
        let files = [
            &mut self.listen.certificate_file,
            &mut self.listen.key_file,
            &mut self.listen.caller_ca_file,
            &mut self.store.sqlite_file,
        ];
        let anchors = self
            .trust
            .sandbox_anchor_files
            .iter_mut()
            .chain(&mut self.trust.production_anchor_files);
        let webhooks = self.watch.webhook.iter_mut();
        let webhooks =
            webhooks.flat_map(|w| std::iter::once(&mut w.secret_file).chain(&mut w.ca_file));
        for path in files
            .into_iter()
            .chain(anchors)
            .chain(webhooks)
            .chain(&mut self.token.pin_file)
            .chain(&mut self.profiles.directory)
            .chain(
                self.enroller
                    .iter_mut()
                    .map(|enroller| &mut enroller.secret_file),
            )
        {
            *path = base.join(&*path);
        }
    }

    /// The trust anchors, read.
    pub fn trust_anchors(&self) -> Result<TrustAnchors, ConfigError> {
        let mut anchors = TrustAnchors::default();
        let sandbox = self
            .trust
            .sandbox_anchor_files
            .iter()
            .map(|p| (Environment::Sandbox, p));
        let production = self
            .trust
            .production_anchor_files
            .iter()
            .map(|p| (Environment::Production, p));
        for (environment, path) in sandbox.chain(production) {
            let pem = std::fs::read(path).map_err(|source| ConfigError::File {
                path: path.clone(),
                source,
            })?;
            anchors
                .add_pem(environment, &pem)
                .map_err(|error| ConfigError::Syntax {
                    path: path.clone(),
                    problem: error.to_string(),
                })?;
        }
        Ok(anchors)
    }

    /// The part that the PKCS#11 backend takes.
    pub fn pkcs11(&self) -> Pkcs11Config {
        let token = &self.token;
        Pkcs11Config {
            name: token.name.clone(),
            module: token.module.clone(),
            token_label: token.label.clone(),
            token_serial: token.serial.clone(),
            session_count: token.session_count,
            queue_length_max: token.queue_length_max as usize,
            allow_spy: token.allow_spy,
        }
    }

    /// The ways to QTSPs, with their secrets read.
    pub fn enrollers(&self) -> Result<Enrollers, PinError> {
        let mut enrollers = Enrollers::new();
        for config in &self.enroller {
            let Some(url) = config.address() else {
                continue;
            };
            let EnrollerKind::Cmp = config.kind;
            let account = Account {
                reference: config.reference.clone(),
                secret: pin::from_file(&config.secret_file)?,
            };
            let enroller = CmpEnroller::new(CmpAccount { url, account });
            enrollers.insert(config.name.clone(), Arc::new(enroller));
        }
        Ok(enrollers)
    }

    /// The rules for changes that take two persons.
    pub fn approval_rules(&self) -> ApprovalRules {
        ApprovalRules {
            expiry: SignedDuration::from_secs(self.approval.expiry_s.into()),
            destroy_delay: SignedDuration::from_secs(self.approval.destroy_delay_s.into()),
        }
    }

    /// The part that the token worker takes.
    pub fn worker(&self) -> WorkerConfig {
        let log = match self.log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        WorkerConfig {
            token: self.pkcs11(),
            pin_marker: self.pin_marker(),
            arguments: ["token-worker", "--log-format", log]
                .map(Into::into)
                .to_vec(),
            environment: self.token.worker_environment.clone(),
            crashes_per_minute_max: self.token.worker_crashes_per_minute_max,
        }
    }

    /// Where a refused PIN is remembered.
    pub fn pin_marker(&self) -> PathBuf {
        let mut path = self.store.sqlite_file.clone().into_os_string();
        path.push(".pin-refused");
        path.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../deploy/sealkeep.toml");

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("c.toml"), text).map_err(|error| error.to_string())
    }

    /// The sample with what stands in it as comments.
    fn with_webhook() -> String {
        let text = SAMPLE.replace("# [[watch.webhook]]", "[[watch.webhook]]");
        let lines = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") && rest.ends_with("# webhook") => rest,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_sample_parses() {
        parse(SAMPLE).unwrap();
        let config = parse(&with_webhook()).unwrap();
        assert_eq!(config.watch.webhook.len(), 1);
    }

    #[test]
    fn refuses_unknown_keys_by_name() {
        let error = parse(&SAMPLE.replace("session_count", "sesion_count")).unwrap_err();
        assert!(
            error.contains("sesion_count") && error.contains("line"),
            "{error}"
        );
    }

    #[test]
    fn refuses_values_out_of_range_by_name() {
        for (from, to, field) in [
            (
                "session_count = 4",
                "session_count = 0",
                "token.session_count",
            ),
            (
                "destroy_delay_s = 86400",
                "destroy_delay_s = 0",
                "approval.destroy_delay_s",
            ),
            ("module = \"/", "module = \"", "token.module"),
            (
                "drain_timeout_s = 10",
                "drain_timeout_s = 0",
                "runtime.drain_timeout_s",
            ),
            ("name = \"oncall\"", "name = \"log\"", "watch.webhook.name"),
            (
                "pin_file = ",
                "pin_credential = \"p\"\npin_file = ",
                "token.pin_file",
            ),
        ] {
            let sample = with_webhook();
            assert!(sample.contains(from), "{from}");
            let error = parse(&sample.replace(from, to)).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
    }
}
