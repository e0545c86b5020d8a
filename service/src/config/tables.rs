//! The tables of the configuration file, as they are written.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::approval;
use crate::domain::Name;
use crate::publication::UrlTemplate;
use crate::trust::Demand;
use crate::watch::SECRET_DAYS_DEFAULT;
use crate::watch::sink::WebhookConfig;

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

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The SQLite database, for one service; made by `sealkeepd init`.
    pub sqlite_file: Option<PathBuf>,
    /// A PostgreSQL database, for any number of replicas.
    pub postgres: Option<PostgresConfig>,
}

/// `[store.postgres]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// A file that holds the URL, with its password, mode 0400: `postgres://user:password@host/database?sslmode=verify-full`.
    /// Another `sslmode` is taken only for a Unix socket (`?host=/run/postgresql`).
    pub url_file: PathBuf,
    /// The name of this replica, which is also that of its audit log; each running one has its own, and keeps it.
    pub replica: Name,
    /// A directory of this machine, where the mark of a refused PIN is kept.
    pub local_directory: PathBuf,
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
    /// Who may sign the list of the lists of a sandbox, PEM files of certificates.
    #[serde(default)]
    pub sandbox_lotl_signer_files: Vec<PathBuf>,
    /// Who may sign the EU's list of the lists, PEM files of certificates, as the Official Journal publishes them.
    #[serde(default)]
    pub production_lotl_signer_files: Vec<PathBuf>,
    /// What production makes of a certificate that no imported list confirms.
    #[serde(default)]
    pub production_trusted_list: Demand,
}

/// `[profiles]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfilesConfig {
    /// A directory of profiles, one TOML file each.
    pub directory: Option<PathBuf>,
}

/// `[watch]`. The service's own log is always told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// After how many days a shared secret should be changed.
    pub secret_days_max: u32,
    /// Receivers of alerts.
    pub webhook: Vec<WebhookConfig>,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            secret_days_max: SECRET_DAYS_DEFAULT,
            webhook: Vec::new(),
        }
    }
}

/// `[metrics]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// Address and port of `/metrics`, plain HTTP without authentication: loopback, or a network of monitoring alone.
    /// Port 0 takes a free one.
    pub address: SocketAddr,
}

/// `[publication]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicationConfig {
    /// Address and port of the public HTTPS door; port 0 takes a free one.
    pub address: SocketAddr,
    /// Its certificate chain, PEM: one that banks believe.
    pub certificate_file: PathBuf,
    /// Its private key, PEM. It is no PSD2 key.
    pub key_file: PathBuf,
    /// Where banks are told to fetch, as in their setting `certificate_url`; `{sha256}` stands for the fingerprint.
    pub urls: Vec<UrlTemplate>,
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
fn default_drain() -> u64 {
    10
}
