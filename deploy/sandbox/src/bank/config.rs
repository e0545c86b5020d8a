//! What a bank is made of, and the file it is read from.
//!
//! In: a TOML file, paths in it relative to its folder. Out: a [`BankConfig`] with every key and certificate in memory.
//! Unknown keys are refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustls::SupportedProtocolVersion;
use rustls_pki_types::CertificateDer;
use sealkeep_profiles::profile::Settings;
use serde::Deserialize;

use super::answer::Log;
use super::books::Account;
use super::money::{Cents, Iban};
use crate::clock::Clock;
use crate::files::{self, FileError};
use crate::key::{KeyError, SoftwareKey};

/// The profile when the configuration names none.
pub(super) const PROFILE_DEFAULT: &str = "berlin-group-1.3.4";

/// Everything a bank starts with.
#[derive(Debug)]
pub struct BankConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who issues access tokens; `https://` and the address when not said.
    pub issuer: Option<String>,
    /// Root certificates of the QTSPs that are believed.
    pub roots: Vec<CertificateDer<'static>>,
    /// Their issuing CAs, for seal certificates that come without a chain.
    pub issuing: Vec<CertificateDer<'static>>,
    /// The TLS server.
    pub tls: Identity,
    /// The seal under the answers.
    pub seal: Identity,
    /// TLS versions offered.
    pub tls_versions: Vec<TlsVersion>,
    /// Name of the signing profile.
    pub profile: String,
    /// Its settings.
    pub settings: Settings,
    /// The accounts of the customer.
    pub accounts: Vec<Account>,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where the lines go.
    pub log: Log,
}

/// A key and its certificate chain, leaf first.
#[derive(Debug)]
pub struct Identity {
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: SoftwareKey,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not the TOML it should be.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    listen: SocketAddr,
    issuer: Option<String>,
    qtsp_root: PathBuf,
    qtsp_issuing: PathBuf,
    tls_chain: PathBuf,
    tls_key: PathBuf,
    seal_chain: PathBuf,
    seal_key: PathBuf,
    #[serde(default = "both")]
    tls_versions: Vec<TlsVersion>,
    #[serde(default = "usual")]
    profile: String,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    accounts: Option<Vec<Account>>,
}

impl BankConfig {
    /// Reads a file and everything it names.
    pub fn load(path: &Path, clock: Clock, log: Log) -> Result<Self, ConfigError> {
        let bad = |what: String| ConfigError::Content {
            path: path.to_owned(),
            what,
        };
        let file = parse(&files::read(path)?).map_err(bad)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let identity = |chain: &Path, key: &Path| -> Result<Identity, ConfigError> {
            let chain = files::read_certificates(&folder.join(chain))?;
            Ok(Identity {
                chain,
                key: SoftwareKey::load(&folder.join(key))?,
            })
        };
        Ok(Self {
            listen: file.listen,
            issuer: file.issuer,
            roots: files::read_certificates(&folder.join(&file.qtsp_root))?,
            issuing: files::read_certificates(&folder.join(&file.qtsp_issuing))?,
            tls: identity(&file.tls_chain, &file.tls_key)?,
            seal: identity(&file.seal_chain, &file.seal_key)?,
            tls_versions: file.tls_versions,
            profile: file.profile,
            settings: file.settings.into_iter().collect(),
            accounts: file.accounts.unwrap_or_else(sample_accounts),
            clock,
            log,
        })
    }
}

fn parse(text: &str) -> Result<ConfigFile, String> {
    let file: ConfigFile = toml::from_str(text).map_err(|error| error.to_string())?;
    match file.tls_versions.is_empty() {
        true => Err("tls_versions is empty".to_owned()),
        false => Ok(file),
    }
}

/// Two accounts with money on them, for a configuration that names none.
pub fn sample_accounts() -> Vec<Account> {
    let rows = [
        ("giro-1", "DE89370400440532013000", "Household", 512_345),
        ("savings-1", "DE21500500001234567897", "Savings", 2_000_000),
    ];
    let account = |(id, iban, name, cents): (&str, &str, &str, i64)| {
        Some(Account {
            id: id.to_owned(),
            iban: iban.parse::<Iban>().ok()?,
            currency: "EUR".to_owned(),
            name: name.to_owned(),
            balance: Cents(cents),
        })
    };
    rows.into_iter().filter_map(account).collect()
}

fn both() -> Vec<TlsVersion> {
    vec![TlsVersion::V1_2, TlsVersion::V1_3]
}

fn usual() -> String {
    PROFILE_DEFAULT.to_owned()
}

impl TlsVersion {
    pub(super) fn rustls(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::V1_2 => &rustls::version::TLS12,
            Self::V1_3 => &rustls::version::TLS13,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SAMPLE: &str = include_str!("../../bank.toml");

    #[test]
    fn reads_the_sample_that_is_shipped() {
        let file = parse(SAMPLE).unwrap();
        assert_eq!(file.profile, PROFILE_DEFAULT);
        assert_eq!(file.tls_versions, both());
        assert_eq!(file.accounts.unwrap().len(), 1);
    }

    #[test]
    fn refuses_an_unknown_key() {
        let what = parse(&format!("surprise = 1\n{SAMPLE}")).unwrap_err();
        assert!(what.contains("surprise"), "{what}");
    }

    #[test]
    fn refuses_to_offer_no_tls_at_all() {
        let text = SAMPLE.replace(r#"["1.2", "1.3"]"#, "[]");
        assert!(parse(&text).unwrap_err().contains("tls_versions"));
    }

    #[test]
    fn has_two_sample_accounts() {
        assert_eq!(sample_accounts().len(), 2);
    }
}
