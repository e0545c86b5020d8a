//! What the operator wrote about the ways to QTSPs, checked.
//!
//! In: `[[enroller]]` tables. Out: the same, with values that can be; `open` makes ways of them. Never: a secret;
//! tables name files.

use std::path::PathBuf;

use serde::Deserialize;

use crate::domain::Name;

/// Longest reference of an account, bytes.
const REFERENCE_BYTES_MAX: usize = 128;
/// How long people may take before somebody should ask, hours: two weeks.
const OVERDUE_AFTER_MANUAL_H: u32 = 14 * 24;
/// How long a server may take before somebody should ask, hours.
const OVERDUE_AFTER_H: u32 = 24;
/// Longest such time, hours: a year.
const OVERDUE_AFTER_H_MAX: u32 = 366 * 24;

/// `[[enroller]]`; `kind` says which.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EnrollerConfig {
    /// People carry request and certificate.
    Manual(ManualConfig),
    /// CMP (RFC 9810) with a shared secret.
    Cmp(CmpConfig),
    /// ACME (RFC 8555), for QWACs.
    Acme(AcmeConfig),
}

/// `[[enroller]]` of kind `manual`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManualConfig {
    /// What officers call it.
    pub name: Name,
    /// How long it may take before somebody should ask, hours.
    #[serde(default = "overdue_after_manual")]
    pub overdue_after_h: u32,
}

/// `[[enroller]]` of kind `cmp`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CmpConfig {
    /// What officers call it.
    pub name: Name,
    /// Where the QTSP takes messages, `http://host:port/path`. They are protected by the shared secret.
    pub url: String,
    /// The reference that the QTSP gave out with the secret.
    pub reference: String,
    /// A file that holds the shared secret, mode 0400.
    pub secret_file: PathBuf,
    /// The certificates by which the server signs its answers, PEM; without it only answers under the secret are believed.
    pub server_certificate_file: Option<PathBuf>,
    /// How renewals are asked for.
    #[serde(default)]
    pub renewal: Renewal,
    /// How long it may take before somebody should ask, hours.
    #[serde(default = "overdue_after")]
    pub overdue_after_h: u32,
}

/// How renewals are asked for by CMP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Renewal {
    /// As the first certificate: by p10cr, under the secret.
    #[default]
    Request,
    /// By kur, signed by the key of the version before.
    Update,
}

/// `[[enroller]]` of kind `acme`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeConfig {
    /// What officers call it.
    pub name: Name,
    /// The directory of the CA, `https://...`.
    pub directory_url: String,
    /// The CAs that may have issued the server's certificate, PEM; those of the system when absent.
    pub ca_file: Option<PathBuf>,
    /// Whether you agree to the CA's terms of service. It opens no account for those who do not.
    pub terms_agreed: bool,
    /// Whom the CA may write to, e-mail addresses.
    #[serde(default)]
    pub contacts: Vec<String>,
    /// Where the account and its key are kept, mode 0400; made when the account is opened.
    pub account_file: PathBuf,
    /// The CA's name for the key of the external account binding.
    pub eab_key_id: Option<String>,
    /// A file that holds that key, base64url, mode 0400.
    pub eab_secret_file: Option<PathBuf>,
    /// The directory that a web server shows as `/.well-known/acme-challenge/` under the names of the certificates.
    pub challenge_directory: Option<PathBuf>,
    /// How long it may take before somebody should ask, hours.
    #[serde(default = "overdue_after")]
    pub overdue_after_h: u32,
}

fn overdue_after_manual() -> u32 {
    OVERDUE_AFTER_MANUAL_H
}
fn overdue_after() -> u32 {
    OVERDUE_AFTER_H
}

impl EnrollerConfig {
    /// What officers call it.
    pub fn name(&self) -> &Name {
        match self {
            Self::Manual(config) => &config.name,
            Self::Cmp(config) => &config.name,
            Self::Acme(config) => &config.name,
        }
    }

    /// The files it names; relative ones are resolved by whoever read the configuration.
    pub fn files_mut(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Manual(_) => Vec::new(),
            Self::Cmp(config) => std::iter::once(&mut config.secret_file)
                .chain(&mut config.server_certificate_file)
                .collect(),
            Self::Acme(config) => std::iter::once(&mut config.account_file)
                .chain(&mut config.ca_file)
                .chain(&mut config.eab_secret_file)
                .chain(&mut config.challenge_directory)
                .collect(),
        }
    }

    /// The first key whose value cannot be, and what it must be.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let overdue_after_h = match self {
            Self::Manual(config) => config.overdue_after_h,
            Self::Cmp(config) => {
                config.check()?;
                config.overdue_after_h
            }
            Self::Acme(config) => {
                config.check()?;
                config.overdue_after_h
            }
        };
        match (1..=OVERDUE_AFTER_H_MAX).contains(&overdue_after_h) {
            true => Ok(()),
            false => Err(("enroller.overdue_after_h", "1 to 8784")),
        }
    }
}

impl CmpConfig {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.address().is_none() {
            return Err(("enroller.url", "http://host:port/path"));
        }
        if !(1..=REFERENCE_BYTES_MAX).contains(&self.reference.len()) {
            return Err(("enroller.reference", "1 to 128 bytes"));
        }
        if self.renewal == Renewal::Update && self.server_certificate_file.is_none() {
            return Err((
                "enroller.server_certificate_file",
                "renewal = \"update\" is answered under the server's certificate: name it",
            ));
        }
        Ok(())
    }

    /// Where its messages go; none when the URL is no such address.
    pub(super) fn address(&self) -> Option<http::Uri> {
        let url: http::Uri = self.url.parse().ok()?;
        (url.scheme_str() == Some("http") && url.host().is_some()).then_some(url)
    }
}

impl AcmeConfig {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let url: Option<http::Uri> = self.directory_url.parse().ok();
        let secure = |url: http::Uri| url.scheme_str() == Some("https") && url.host().is_some();
        if !url.is_some_and(secure) {
            return Err(("enroller.directory_url", "https://host/path"));
        }
        if !self.terms_agreed {
            return Err((
                "enroller.terms_agreed",
                "read the CA's terms of service, then say true",
            ));
        }
        if self.eab_key_id.is_some() != self.eab_secret_file.is_some() {
            return Err((
                "enroller.eab_key_id",
                "eab_key_id and eab_secret_file go together",
            ));
        }
        if self.contacts.iter().any(|contact| !contact.contains('@')) {
            return Err(("enroller.contacts", "e-mail addresses"));
        }
        Ok(())
    }
}
