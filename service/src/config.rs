//! What the operator wrote, checked.
//!
//! In: one TOML file. Out: a [`Config`] whose paths are absolute and whose limits are in range. Unknown keys are errors:
//! a misspelt limit must not become the default. Never: a secret; the file names where the PIN lies.

mod check;
mod revocation;
mod tables;
mod token;

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::Deserialize;

use crate::approval::ApprovalRules;
use crate::backend::BackendError;
use crate::backend::pkcs11::Pkcs11Config;
use crate::backend::worker::{THIS_PROGRAM, WorkerConfig};
use crate::credential::TrustAnchors;
use crate::credential::enrolment::{EnrollerConfig, EnrollerError, Enrollers};
use crate::domain::Environment;
use crate::pin::{self, PinError};
use crate::store::Place;
use crate::trust::{ListTerms, Signer};

pub use revocation::{RevocationConfig, RevocationEnvironmentConfig};
pub use tables::{
    ApprovalConfig, ListenConfig, LogConfig, LogFormat, MetricsConfig, PostgresConfig,
    ProfilesConfig, PublicationConfig, RuntimeConfig, StoreConfig, TrustConfig, WatchConfig,
};
pub use token::{Hardening, Isolation, ReplicaRule, TokenConfig};

/// The configuration file. Relative paths in it are relative to its own directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where callers connect, and how the service shows itself.
    pub listen: ListenConfig,
    /// The PKCS#11 token, or several.
    #[serde(rename = "token", deserialize_with = "token::one_or_several")]
    pub tokens: Vec<TokenConfig>,
    /// Where state is kept.
    pub store: StoreConfig,
    /// Which CAs may have issued our certificates.
    #[serde(default)]
    pub trust: TrustConfig,
    /// How issuers are asked what is revoked.
    #[serde(default)]
    pub revocation: RevocationConfig,
    /// How banks want to be signed for, beside what is shipped.
    #[serde(default)]
    pub profiles: ProfilesConfig,
    /// Who is told of what ends soon.
    #[serde(default)]
    pub watch: WatchConfig,
    /// Where monitoring reads; nowhere when absent.
    pub metrics: Option<MetricsConfig>,
    /// Where banks fetch our seal certificates; nowhere when absent.
    pub publication: Option<PublicationConfig>,
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

    fn resolve(&mut self, base: &Path) {
        let files = [
            &mut self.listen.certificate_file,
            &mut self.listen.key_file,
            &mut self.listen.caller_ca_file,
        ];
        let anchors = self
            .trust
            .sandbox_anchor_files
            .iter_mut()
            .chain(&mut self.trust.production_anchor_files)
            .chain(&mut self.trust.sandbox_lotl_signer_files)
            .chain(&mut self.trust.production_lotl_signer_files);
        let webhooks = self.watch.webhook.iter_mut();
        let webhooks =
            webhooks.flat_map(|w| std::iter::once(&mut w.secret_file).chain(&mut w.ca_file));
        let publication = self.publication.iter_mut();
        let publication = publication.flat_map(|p| [&mut p.certificate_file, &mut p.key_file]);
        for path in files
            .into_iter()
            .chain(anchors)
            .chain(webhooks)
            .chain(self.tokens.iter_mut().flat_map(TokenConfig::files_mut))
            .chain(&mut self.store.sqlite_file)
            .chain(
                self.store
                    .postgres
                    .iter_mut()
                    .flat_map(|store| [&mut store.url_file, &mut store.local_directory]),
            )
            .chain(&mut self.profiles.directory)
            .chain(publication)
            .chain(self.enroller.iter_mut().flat_map(|e| e.files_mut()))
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

    /// The token of this name; without a name the only one.
    ///
    /// # Errors
    /// [`BackendError::SetUnknown`] when there is none of this name, [`BackendError::ConfigInvalid`] when a name is needed.
    pub fn token(&self, name: Option<&str>) -> Result<&TokenConfig, BackendError> {
        match (name, self.tokens.as_slice()) {
            (Some(name), tokens) => {
                let found = tokens.iter().find(|token| token.name == name);
                found.ok_or_else(|| BackendError::SetUnknown(name.to_owned()))
            }
            (None, [only]) => Ok(only),
            (None, tokens) => {
                let names: Vec<_> = tokens.iter().map(|token| token.name.as_str()).collect();
                Err(BackendError::ConfigInvalid {
                    field: "--token".into(),
                    rule: format!("one of {}", names.join(", ")),
                })
            }
        }
    }

    /// The terms for trusted lists, with the certificates of signers read.
    pub fn list_terms(&self) -> Result<ListTerms, ConfigError> {
        let trust = &self.trust;
        let sandbox = trust.sandbox_lotl_signer_files.iter();
        let sandbox = sandbox.map(|path| (Environment::Sandbox, path));
        let production = trust.production_lotl_signer_files.iter();
        let production = production.map(|path| (Environment::Production, path));
        let mut terms = ListTerms {
            signers: Vec::new(),
            production: trust.production_trusted_list,
        };
        for (environment, path) in sandbox.chain(production) {
            let pem = std::fs::read(path).map_err(|source| ConfigError::File {
                path: path.clone(),
                source,
            })?;
            let signers = Signer::from_pem(&pem).map_err(|problem| ConfigError::Syntax {
                path: path.clone(),
                problem,
            })?;
            terms
                .signers
                .extend(signers.into_iter().map(|s| (environment, s)));
        }
        Ok(terms)
    }

    /// The part that the PKCS#11 backend takes.
    pub fn pkcs11(&self, token: &TokenConfig) -> Pkcs11Config {
        Pkcs11Config {
            name: token.name.clone(),
            module: token.module.clone(),
            token_label: token.label.clone(),
            token_serial: token.serial.clone(),
            session_count: token.session_count,
            queue_length_max: token.queue_length_max as usize,
            allow_spy: token.allow_spy,
            init_string: token.init_string.clone(),
        }
    }

    /// The ways to QTSPs, with their secrets read.
    pub fn enrollers(&self) -> Result<Enrollers, EnrollerError> {
        let open = |config: &EnrollerConfig| Ok((config.name().clone(), config.open()?));
        self.enroller.iter().map(open).collect()
    }

    /// The rules for changes that take two persons.
    pub fn approval_rules(&self) -> ApprovalRules {
        ApprovalRules {
            expiry: SignedDuration::from_secs(self.approval.expiry_s.into()),
            destroy_delay: SignedDuration::from_secs(self.approval.destroy_delay_s.into()),
        }
    }

    /// The part that the token worker takes.
    pub fn worker(&self, token: &TokenConfig) -> WorkerConfig {
        let log = match self.log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        WorkerConfig {
            token: self.pkcs11(token),
            pin_marker: self.pin_marker(token),
            program: THIS_PROGRAM.into(),
            arguments: ["token-worker", "--log-format", log]
                .map(Into::into)
                .to_vec(),
            environment: token.worker_environment.clone(),
            confinement: token.confinement(),
            crashes_per_minute_max: token.worker_crashes_per_minute_max,
        }
    }

    /// Where state is kept.
    pub fn place(&self) -> Result<Place, PinError> {
        Ok(match &self.store.postgres {
            Some(store) => Place::Postgres {
                url: pin::from_file(&store.url_file)?,
                replica: store.replica.clone(),
            },
            None => Place::Sqlite(self.store.sqlite_file.clone().unwrap_or_default()),
        })
    }

    /// Where a refused PIN is remembered: beside the store, or in the replica's directory; in a directory for each token.
    pub fn pin_marker(&self, token: &TokenConfig) -> PathBuf {
        let mut path = match &self.store.postgres {
            Some(store) => store.local_directory.join("sealkeep").into_os_string(),
            None => self
                .store
                .sqlite_file
                .clone()
                .unwrap_or_default()
                .into_os_string(),
        };
        path.push(".pin");
        if self.tokens.len() > 1 {
            path.push(format!("-{}", token.name));
        }
        Path::new(&path).join("refused")
    }
}

#[cfg(test)]
mod tests;
