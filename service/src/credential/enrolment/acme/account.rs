//! The account at an ACME server.
//!
//! In: a file, or what the CA gave out to open an account with (EAB, RFC 8555 section 7.3.4). Out: the account. Never: a
//! PSD2 key; losing the account's key costs a new account and signs nothing for a bank.
//!
//! The key of the account is made here, of P-256, and lies in a file of its own of mode 0400, made once: the ACME
//! library signs with keys in memory only. Where a CA gives out each binding once, a crash between its answer and the
//! file costs one binding.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, Error, ExternalAccountKey, NewAccount};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::super::EnrolError;
use super::judge::{judge, never};
use super::transport::Https;
use crate::pin;

/// Largest account file, bytes.
const FILE_BYTES_MAX: usize = 8 * 1024;

/// What the CA gave out to open an account with.
#[derive(Debug)]
pub struct Binding {
    /// Its name for the key.
    pub key_id: String,
    /// The key, base64url.
    pub secret: SecretString,
}

/// Where the account is kept, and how it is opened when there is none.
#[derive(Debug)]
pub struct AccountFile {
    /// The file.
    pub path: PathBuf,
    /// Whom the CA may write to, `mailto:` URLs.
    pub contacts: Vec<String>,
    /// The external account binding; none when the CA wants none.
    pub binding: Option<Binding>,
}

impl AccountFile {
    /// Takes the account from the file; without a file one is opened at the CA and written down.
    pub(super) async fn open(
        &self,
        https: Box<Https>,
        directory_url: String,
    ) -> Result<Account, EnrolError> {
        let builder = Account::builder_with_http(https);
        if let Some(credentials) = self.read()? {
            let account = builder.from_credentials(credentials).await;
            return account.map_err(|error| judge(&error));
        }
        // Asked for before, so that no binding is spent on an account that cannot be kept.
        let mut file = create(&self.path).map_err(|error| self.fault(error))?;
        let opened = self.register(builder, directory_url).await;
        let written = opened.and_then(|(account, credentials)| {
            let json = serde_json::to_vec(&credentials).map(Zeroizing::new);
            let json = json.map_err(never)?;
            file.write_all(&json)
                .and_then(|()| file.sync_all())
                .map_err(|error| self.fault(error))?;
            Ok(account)
        });
        if written.is_err() {
            // An empty file would look like an account. Nothing was written, so nothing is lost.
            let _ = std::fs::remove_file(&self.path);
        }
        written
    }

    async fn register(
        &self,
        builder: instant_acme::AccountBuilder,
        directory_url: String,
    ) -> Result<(Account, AccountCredentials), EnrolError> {
        let binding = match &self.binding {
            Some(binding) => Some(binding.key()?),
            None => None,
        };
        let contacts: Vec<_> = self.contacts.iter().map(String::as_str).collect();
        let account = NewAccount {
            contact: &contacts,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let opened = builder.create(&account, directory_url, binding.as_ref());
        opened.await.map_err(|error: Error| judge(&error))
    }

    fn read(&self) -> Result<Option<AccountCredentials>, EnrolError> {
        if !self.path.try_exists().map_err(|error| self.fault(error))? {
            return Ok(None);
        }
        let json = pin::private_file(&self.path, FILE_BYTES_MAX).map_err(never)?;
        if json.is_empty() {
            // We died before there was an account to write down.
            std::fs::remove_file(&self.path).map_err(|error| self.fault(error))?;
            return Ok(None);
        }
        let unreadable = |_| {
            let path = self.path.display();
            never(format!(
                "{path}: no ACME account in it; move it away to open a new one"
            ))
        };
        serde_json::from_slice(&json).map(Some).map_err(unreadable)
    }

    fn fault(&self, error: io::Error) -> EnrolError {
        never(format!("{}: {error}", self.path.display()))
    }
}

impl Binding {
    fn key(&self) -> Result<ExternalAccountKey, EnrolError> {
        let encoded = self.secret.expose_secret().trim_end_matches('=');
        let key = URL_SAFE_NO_PAD.decode(encoded).map(Zeroizing::new);
        let key = key.map_err(|_| never("the secret of the account binding is not base64url"))?;
        Ok(ExternalAccountKey::new(self.key_id.clone(), &key))
    }
}

fn create(path: &Path) -> io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o400).open(path)
}
