//! Banks as destinations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::credential::Environment;
use super::harmless::HarmlessError;
use super::names::Name;
use super::procedure::{CONTACT_BYTES_MAX, LEAD_TIME_DAYS_MAX, RotationTerms};

/// Most hosts of one bank.
pub(super) const HOSTS_MAX: usize = 32;
/// Most credentials of one bank.
pub(super) const CREDENTIALS_MAX: usize = 16;
/// Most settings of one bank.
pub(super) const SETTINGS_MAX: usize = 32;
/// Longest value of a setting, bytes.
pub(super) const SETTING_BYTES_MAX: usize = 1024;
/// Longest base path, bytes.
pub(super) const BASE_PATH_BYTES_MAX: usize = 256;

/// A host with optional port, lower case, as it stands in the Host header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

/// A bank: where requests go and how they are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bank {
    /// The name callers use.
    pub name: Name,
    /// Its world.
    pub environment: Environment,
    /// Requests to any other host are refused.
    pub hosts: BTreeSet<Host>,
    /// What stands before the paths of the profile's operations; empty for nothing.
    pub base_path: String,
    /// The signing profile.
    pub profile: String,
    /// The profile of its authorisation server's JWTs; empty when the signing profile has them.
    #[serde(default)]
    pub oauth_profile: String,
    /// Values the profile asks for.
    pub settings: BTreeMap<String, String>,
    /// The credentials that may be used; the first of a purpose is the default.
    pub credentials: Vec<Name>,
    /// Whether transport keys may sign TLS 1.2 handshakes to it.
    pub tls12_allowed: bool,
    /// How it takes new certificates.
    #[serde(default)]
    pub rotation: RotationTerms,
}

/// Which version of a credential a bank accepts now: the only mutable pointer of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The bank.
    pub bank: Name,
    /// The credential.
    pub credential: Name,
    /// The number of the version.
    pub version: u32,
}

/// Why a text does not describe a bank.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BankError {
    /// Not a host name with optional port.
    #[error("{0:?} is not a lower-case host name or address with optional port")]
    Host(String),
    /// A list is empty or too long.
    #[error("{field}: has {count}, allowed are {min} to {max}")]
    Count {
        /// Which list.
        field: &'static str,
        /// How many it has.
        count: usize,
        /// The fewest allowed.
        min: usize,
        /// The most allowed.
        max: usize,
    },
    /// The base path is not empty and not `/segment...` without a slash at the end.
    #[error("base_path: {0:?} must be empty, or begin with a slash and not end with one")]
    BasePath(String),
    /// A value is longer than a setting may be.
    #[error("settings[{0:?}]: longer than {SETTING_BYTES_MAX} bytes")]
    SettingTooLong(String),
    /// The bank cannot need that long.
    #[error("rotation.lead_time_days: {0}, allowed are 0 to {LEAD_TIME_DAYS_MAX}")]
    LeadTime(u32),
    /// The contact is not one short printable line.
    #[error("rotation.contact: one printable line of at most {CONTACT_BYTES_MAX} bytes")]
    Contact,
    /// The request that verifies new certificates is not well-formed.
    #[error("rotation.verify.{0}")]
    Harmless(#[from] HarmlessError),
    /// A credential stands in the list twice.
    #[error("credentials: {0} is listed twice")]
    CredentialTwice(Name),
}

impl Bank {
    /// Checks what a single bank can tell about itself.
    pub fn check(&self) -> Result<(), BankError> {
        count("hosts", self.hosts.len(), 1, HOSTS_MAX)?;
        count("credentials", self.credentials.len(), 1, CREDENTIALS_MAX)?;
        count("settings", self.settings.len(), 0, SETTINGS_MAX)?;
        let long = self
            .settings
            .iter()
            .find(|(_, value)| value.len() > SETTING_BYTES_MAX);
        if let Some((key, _)) = long {
            return Err(BankError::SettingTooLong(key.clone()));
        }
        let path = &self.base_path;
        let well_formed = path.is_empty()
            || (path.len() <= BASE_PATH_BYTES_MAX
                && path.starts_with('/')
                && !path.ends_with('/')
                && path
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#'));
        if !well_formed {
            return Err(BankError::BasePath(path.clone()));
        }
        let RotationTerms {
            lead_time_days,
            contact,
            verify,
            ..
        } = &self.rotation;
        if *lead_time_days > LEAD_TIME_DAYS_MAX {
            return Err(BankError::LeadTime(*lead_time_days));
        }
        if contact.len() > CONTACT_BYTES_MAX || contact.chars().any(char::is_control) {
            return Err(BankError::Contact);
        }
        if let Some(harmless) = verify {
            harmless.check(&self.hosts)?;
        }
        let mut seen = BTreeSet::new();
        match self.credentials.iter().find(|name| !seen.insert(*name)) {
            Some(twice) => Err(BankError::CredentialTwice(twice.clone())),
            None => Ok(()),
        }
    }

    /// The part of a path below the base path; none when the path does not lie below it.
    pub fn path_below_base<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.base_path.as_str())
            .filter(|rest| rest.starts_with('/'))
    }

    /// Whether requests may go to this authority (host and optional port, any case).
    pub fn has_host(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        self.hosts.iter().any(|host| {
            host.0 == authority || authority.strip_suffix(":443") == Some(host.0.as_str())
        })
    }

    /// Whether a TLS server name is that of one of the hosts, whatever the port.
    pub fn has_server_name(&self, name: &str) -> bool {
        self.hosts
            .iter()
            .any(|host| host.name().eq_ignore_ascii_case(name))
    }
}

fn count(field: &'static str, count: usize, min: usize, max: usize) -> Result<(), BankError> {
    if (min..=max).contains(&count) {
        Ok(())
    } else {
        Err(BankError::Count {
            field,
            count,
            min,
            max,
        })
    }
}

impl Host {
    /// The host as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the port.
    fn name(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => &self.0,
        }
    }
}

impl TryFrom<String> for Host {
    type Error = BankError;

    fn try_from(text: String) -> Result<Self, BankError> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text.as_str(), None),
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let name_ok = name.len() <= 253 && name.split('.').all(label);
        let port_ok = port.is_none_or(|p| {
            p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok_and(|n| n > 0)
        });
        if name_ok && port_ok {
            Ok(Self(text))
        } else {
            Err(BankError::Host(text))
        }
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(hosts: &[&str], base_path: &str) -> Bank {
        Bank {
            name: Name::try_from("ing-de").unwrap(),
            environment: Environment::Sandbox,
            hosts: hosts
                .iter()
                .map(|h| Host::try_from((*h).to_owned()).unwrap())
                .collect(),
            base_path: base_path.to_owned(),
            profile: "berlin-group-1.3.4".to_owned(),
            oauth_profile: String::new(),
            settings: BTreeMap::new(),
            credentials: vec![Name::try_from("acme-seal").unwrap()],
            tls12_allowed: false,
            rotation: RotationTerms::default(),
        }
    }

    #[test]
    fn takes_host_names_with_optional_port() {
        for good in ["api.bank.example", "127.0.0.1:8443", "localhost", "a.b:1"] {
            assert!(Host::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "", "API.bank", "a..b", "a:0", "a:99999", "a:", "a/b", "-a.b", "a b", "*.b",
        ] {
            assert!(Host::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn matches_authority_with_and_without_default_port() {
        let bank = bank(&["api.bank.example", "127.0.0.1:8443"], "");
        for good in ["api.bank.example", "API.bank.example:443", "127.0.0.1:8443"] {
            assert!(bank.has_host(good), "{good}");
        }
        for bad in [
            "api.bank.example:8443",
            "127.0.0.1",
            "evil.example",
            "api.bank.example.evil",
        ] {
            assert!(!bank.has_host(bad), "{bad}");
        }
        assert!(bank.has_server_name("127.0.0.1") && !bank.has_server_name("evil.example"));
    }

    #[test]
    fn a_base_path_ends_at_a_segment() {
        let bank = bank(&["b.example"], "/psd2");
        assert_eq!(
            bank.path_below_base("/psd2/v1/accounts"),
            Some("/v1/accounts")
        );
        assert_eq!(bank.path_below_base("/psd2x/v1"), None);
        assert_eq!(bank.path_below_base("/v1"), None);
    }

    #[test]
    fn refuses_empty_lists_and_bad_base_paths() {
        assert!(bank(&["b.example"], "").check().is_ok());
        for path in ["psd2", "/psd2/", "/a?b", "/a b"] {
            assert!(bank(&["b.example"], path).check().is_err(), "{path}");
        }
        let mut without = bank(&["b.example"], "");
        without.credentials.push(without.credentials[0].clone());
        assert!(matches!(
            without.check(),
            Err(BankError::CredentialTwice(_))
        ));
        without.credentials.clear();
        assert!(matches!(
            without.check(),
            Err(BankError::Count {
                field: "credentials",
                ..
            })
        ));
    }

    #[test]
    fn refuses_rotation_terms_beyond_their_limits() {
        let mut bank = bank(&["b.example"], "");
        bank.rotation.lead_time_days = LEAD_TIME_DAYS_MAX;
        bank.rotation.contact = "psd2@bank.example".to_owned();
        assert_eq!(bank.check(), Ok(()));
        bank.rotation.lead_time_days += 1;
        assert_eq!(
            bank.check(),
            Err(BankError::LeadTime(LEAD_TIME_DAYS_MAX + 1))
        );
        bank.rotation.lead_time_days = 0;
        for contact in ["a\nb".to_owned(), "x".repeat(CONTACT_BYTES_MAX + 1)] {
            bank.rotation.contact = contact;
            assert_eq!(bank.check(), Err(BankError::Contact));
        }
    }

    #[test]
    fn a_bank_stored_without_rotation_terms_has_the_careful_ones() {
        let mut document = serde_json::to_value(bank(&["b.example"], "")).unwrap();
        document.as_object_mut().unwrap().remove("rotation");
        let read: Bank = serde_json::from_value(document).unwrap();
        assert!(read.rotation.procedure.answers());
    }
}
