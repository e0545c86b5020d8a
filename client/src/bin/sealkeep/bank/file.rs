//! The file of banks, TOML.
//!
//! In: `[[bank]]` tables. Out: wire messages. Never: a key that is not known; a typing error must not pass as a default.

use crate::failure::Failure;
use crate::files;
use sealkeep_client::v1::{Bank, Environment, HarmlessRequest, Procedure, RotationTerms};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The banks of a file.
pub(super) fn banks(path: &Path) -> Result<Vec<Bank>, Failure> {
    let file: BanksFile = files::toml(path)?;
    let names = file.bank.iter().map(|bank| bank.name.as_str());
    files::unique(path, "bank", names)?;
    Ok(file.bank.into_iter().map(Bank::from).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BanksFile {
    bank: Vec<BankEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BankEntry {
    name: String,
    environment: EnvironmentWord,
    hosts: Vec<String>,
    #[serde(default)]
    base_path: String,
    profile: String,
    #[serde(default)]
    oauth_profile: String,
    credentials: Vec<String>,
    #[serde(default)]
    tls12_allowed: bool,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    rotation: Option<RotationEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotationEntry {
    procedure: ProcedureWord,
    lead_time_days: Option<u32>,
    #[serde(default)]
    contact: String,
    #[serde(default)]
    enforces_cabf_validity: bool,
    #[serde(default)]
    wants_digital_signature: bool,
    verify: Option<VerifyEntry>,
}

/// A request that changes nothing at the bank, and the answer when it knows our certificate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyEntry {
    #[serde(default)]
    host: String,
    #[serde(default = "get")]
    method: String,
    target: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    statuses: Vec<u32>,
    #[serde(default)]
    contains: String,
}

fn get() -> String {
    "GET".to_owned()
}

impl From<VerifyEntry> for HarmlessRequest {
    fn from(entry: VerifyEntry) -> Self {
        Self {
            host: entry.host,
            method: entry.method,
            target: entry.target,
            headers: entry.headers.into_iter().collect(),
            statuses: entry.statuses,
            contains: entry.contains,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProcedureWord {
    None,
    Overlap,
    Announce,
    SwapAt,
    Directory,
    Register,
    PublishUrl,
}

impl From<RotationEntry> for RotationTerms {
    fn from(entry: RotationEntry) -> Self {
        let procedure = match entry.procedure {
            ProcedureWord::None => Procedure::None,
            ProcedureWord::Overlap => Procedure::Overlap,
            ProcedureWord::Announce => Procedure::Announce,
            ProcedureWord::SwapAt => Procedure::SwapAt,
            ProcedureWord::Directory => Procedure::Directory,
            ProcedureWord::Register => Procedure::Register,
            ProcedureWord::PublishUrl => Procedure::PublishUrl,
        };
        Self {
            procedure: procedure.into(),
            lead_time_days: entry.lead_time_days,
            contact: entry.contact,
            enforces_cabf_validity: entry.enforces_cabf_validity,
            wants_digital_signature: entry.wants_digital_signature,
            verify: entry.verify.map(HarmlessRequest::from),
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EnvironmentWord {
    Sandbox,
    Production,
}

impl From<BankEntry> for Bank {
    fn from(entry: BankEntry) -> Self {
        let environment = match entry.environment {
            EnvironmentWord::Sandbox => Environment::Sandbox,
            EnvironmentWord::Production => Environment::Production,
        };
        Self {
            name: entry.name,
            environment: environment.into(),
            hosts: entry.hosts,
            base_path: entry.base_path,
            profile: entry.profile,
            oauth_profile: entry.oauth_profile,
            settings: entry.settings.into_iter().collect::<HashMap<_, _>>(),
            credentials: entry.credentials,
            tls12_allowed: entry.tls12_allowed,
            bindings: Vec::new(),
            rotation: entry.rotation.map(RotationTerms::from),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::files::tests::file;

    const BANKS: &str = r#"
        [[bank]]
        name = "demo-bank"
        environment = "sandbox"
        hosts = ["localhost:8443"]
        base_path = "/psd2"
        profile = "berlin-group-1.3.4"
        credentials = ["demo-tpp-transport", "demo-tpp-seal"]
        tls12_allowed = true
        [bank.settings]
        kid = "7"
        [bank.rotation]
        procedure = "swap_at"
        lead_time_days = 10
        contact = "psd2@demo-bank.example"
        [bank.rotation.verify]
        target = "/v1/accounts"
        statuses = [401]
        contains = "TOKEN_UNKNOWN"
    "#;

    #[test]
    fn reads_banks() {
        let banks = banks(file(BANKS).path()).unwrap();
        assert_eq!(banks.len(), 1);
        assert_eq!(banks[0].environment(), Environment::Sandbox);
        assert_eq!(banks[0].settings["kid"], "7");
        assert!(banks[0].tls12_allowed);
        let rotation = banks[0].rotation.as_ref().unwrap();
        assert_eq!(rotation.procedure(), Procedure::SwapAt);
        assert_eq!(rotation.lead_time_days, Some(10));
        let verify = rotation.verify.as_ref().unwrap();
        assert_eq!((&*verify.method, &*verify.target), ("GET", "/v1/accounts"));
    }

    #[test]
    fn refusals_name_the_file_and_the_field() {
        for (text, field) in [
            (
                BANKS.replace("tls12_allowed", "tls12_alowed"),
                "tls12_alowed",
            ),
            (BANKS.replace("sandbox", "staging"), "staging"),
            (BANKS.replace("swap_at", "swap-at"), "swap-at"),
            (BANKS.replace("contact =", "contakt ="), "contakt"),
            (BANKS.replace("profile =", "#"), "profile"),
            (BANKS.replace("statuses =", "status ="), "status"),
            (
                BANKS.replace("[\"localhost:8443\"]", "\"localhost\""),
                "hosts",
            ),
            (BANKS.replace("kid = \"7\"", "kid = 7"), "kid"),
            (format!("{BANKS}\n{BANKS}"), "bank[1].name"),
            ("bank = []".to_owned(), "no [[bank]]"),
        ] {
            let file = file(&text);
            let error = banks(file.path()).unwrap_err();
            let says = error.to_string();
            assert_eq!(error.exit_code(), 2);
            assert!(
                says.starts_with(&file.path().display().to_string()),
                "{says}"
            );
            assert!(says.contains(field), "{field}: {says}");
        }
    }
}
