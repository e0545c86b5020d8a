//! Ways to QTSPs, made from what the operator wrote.
//!
//! In: a table, the files it names. Out: a way. Never: a connection; the service starts without any QTSP.

use std::sync::Arc;

use jiff::SignedDuration;
use sealkeep_cmp::Account;
use sealkeep_profiles::certificate::Certificate;

use super::acme::{AccountFile, Binding};
use super::config::{AcmeConfig, CmpConfig, EnrollerConfig, Renewal};
use super::{AcmeEnroller, AcmeServer, CmpAccount, CmpEnroller, Enroller, ManualEnroller};
use crate::domain::Name;
use crate::outgoing::trusting;
use crate::pin::{self, PinError};

/// Why a way to a QTSP cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnrollerError {
    /// Its secret cannot be read.
    #[error("enroller {name}: {source}")]
    Secret {
        /// Which way.
        name: Name,
        /// Why not.
        source: PinError,
    },
    /// The certificates of its server, or the CAs above them, cannot be read.
    #[error("enroller {name}: {path}: {problem}")]
    Certificates {
        /// Which way.
        name: Name,
        /// Which file; `the system's` when none is configured.
        path: String,
        /// Why not.
        problem: String,
    },
}

impl EnrollerConfig {
    /// The way, its secret read.
    ///
    /// # Errors
    /// [`EnrollerError`].
    pub fn open(&self) -> Result<Arc<dyn Enroller>, EnrollerError> {
        Ok(match self {
            Self::Manual(config) => Arc::new(ManualEnroller::new(hours(config.overdue_after_h))),
            Self::Cmp(config) => Arc::new(CmpEnroller::new(config.account()?)),
            Self::Acme(config) => Arc::new(AcmeEnroller::new(config.server()?)),
        })
    }
}

impl CmpConfig {
    fn account(&self) -> Result<CmpAccount, EnrollerError> {
        let secret = |source| EnrollerError::Secret {
            name: self.name.clone(),
            source,
        };
        Ok(CmpAccount {
            // Checked before; an empty address reaches nobody.
            url: self.address().unwrap_or_default(),
            account: Account {
                reference: self.reference.clone(),
                secret: pin::from_file(&self.secret_file).map_err(secret)?,
            },
            server_certificates: self.server_certificates()?,
            updates: self.renewal == Renewal::Update,
            patience: hours(self.overdue_after_h),
        })
    }

    fn server_certificates(&self) -> Result<Vec<Certificate>, EnrollerError> {
        let Some(path) = &self.server_certificate_file else {
            return Ok(Vec::new());
        };
        let fault = |problem: String| EnrollerError::Certificates {
            name: self.name.clone(),
            path: path.display().to_string(),
            problem,
        };
        let pem = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
        Certificate::chain_from_pem(&pem).map_err(|error| fault(error.to_string()))
    }
}

impl AcmeConfig {
    fn server(&self) -> Result<AcmeServer, EnrollerError> {
        let name = || self.name.clone();
        let tls =
            trusting(self.ca_file.as_deref()).map_err(|problem| EnrollerError::Certificates {
                name: name(),
                path: match &self.ca_file {
                    Some(path) => path.display().to_string(),
                    None => "the system's".to_owned(),
                },
                problem,
            })?;
        let binding = match (&self.eab_key_id, &self.eab_secret_file) {
            (Some(key_id), Some(file)) => Some(Binding {
                key_id: key_id.clone(),
                secret: pin::from_file(file).map_err(|source| EnrollerError::Secret {
                    name: name(),
                    source,
                })?,
            }),
            _ => None,
        };
        Ok(AcmeServer {
            directory_url: self.directory_url.clone(),
            tls,
            account: AccountFile {
                path: self.account_file.clone(),
                contacts: self
                    .contacts
                    .iter()
                    .map(|c| format!("mailto:{c}"))
                    .collect(),
                binding,
            },
            challenge_directory: self.challenge_directory.clone(),
            patience: hours(self.overdue_after_h),
        })
    }
}

fn hours(hours: u32) -> SignedDuration {
    SignedDuration::from_hours(hours.into())
}
