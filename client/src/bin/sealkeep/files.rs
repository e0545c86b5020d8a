//! The files that are applied: banks and access, TOML.
//!
//! In: text. Out: wire messages. Never: a key that is not known (a typing error must not pass as a default), nor half of
//! a file.

use crate::failure::Failure;
use sealkeep_client::v1::{
    Bank, Caller, Environment, Grant, Operation, Procedure, Role, RotationTerms,
};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// No file that is given to a command is larger, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads a text file; `-` is stdin.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let bytes = read_bytes(path)?;
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{}: not UTF-8", path.display())))
}

/// Reads a file; `-` is stdin.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let wrong = |error: std::io::Error| Failure::file(path, &error);
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX + 1;
    match path.to_str() {
        Some("-") => std::io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(wrong)?,
        _ => {
            let file = std::fs::File::open(path).map_err(wrong)?;
            file.take(limit).read_to_end(&mut bytes).map_err(wrong)?
        }
    };
    match bytes.len() as u64 <= FILE_BYTES_MAX {
        true => Ok(bytes),
        false => Err(Failure::usage(format!(
            "{}: larger than {FILE_BYTES_MAX} bytes",
            path.display()
        ))),
    }
}

/// `@file`, `@-` for stdin, or the text itself.
pub(crate) fn argument_bytes(argument: &str) -> Result<Vec<u8>, Failure> {
    match argument.strip_prefix('@') {
        Some(path) => read_bytes(Path::new(path)),
        None => Ok(argument.as_bytes().to_vec()),
    }
}

/// The text of an argument that is like [`argument_bytes`], without the line end that files have.
pub(crate) fn argument_text(flag: &str, argument: &str) -> Result<String, Failure> {
    let text = String::from_utf8(argument_bytes(argument)?)
        .map_err(|_| Failure::usage(format!("{flag}: not UTF-8")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The banks of a file.
pub(crate) fn banks(path: &Path) -> Result<Vec<Bank>, Failure> {
    let file: BanksFile = parse(path)?;
    let names = file.bank.iter().map(|bank| bank.name.as_str());
    unique(path, "bank", names)?;
    Ok(file.bank.into_iter().map(Bank::from).collect())
}

/// The callers of a file.
pub(crate) fn callers(path: &Path) -> Result<Vec<Caller>, Failure> {
    let file: AccessFile = parse(path)?;
    let names = file.caller.iter().map(|caller| caller.name.as_str());
    unique(path, "caller", names)?;
    for (index, caller) in file.caller.iter().enumerate() {
        if !caller.grant.is_empty() && caller.role != RoleWord::Signer {
            let what = format!("caller[{index}].grant: only a signer has grants");
            return Err(wrong(path, &what));
        }
    }
    Ok(file.caller.into_iter().map(Caller::from).collect())
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    toml::from_str(&read(path)?).map_err(|error| wrong(path, error.to_string().trim_end()))
}

/// At least one, and none twice.
fn unique<'a>(
    path: &Path,
    table: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            return Err(wrong(
                path,
                &format!("{table}[{index}].name: `{name}` is there twice"),
            ));
        }
    }
    match seen.is_empty() {
        true => Err(wrong(path, &format!("{table}: no [[{table}]] in the file"))),
        false => Ok(()),
    }
}

fn wrong(path: &Path, what: &str) -> Failure {
    Failure::usage(format!("{}: {what}", path.display()))
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessFile {
    caller: Vec<CallerEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerEntry {
    name: String,
    role: RoleWord,
    #[serde(default)]
    grant: Vec<GrantEntry>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RoleWord {
    Signer,
    Officer,
    Auditor,
    Monitor,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantEntry {
    operations: Vec<OperationWord>,
    credential: String,
    banks: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OperationWord {
    SignHttp,
    SignJws,
    Tls,
    SignClientAssertion,
    SignRequestObject,
    SignDpopProof,
    SignRegistration,
    SignJwtBody,
    DecryptJwe,
}

impl From<CallerEntry> for Caller {
    fn from(entry: CallerEntry) -> Self {
        let role = match entry.role {
            RoleWord::Signer => Role::Signer,
            RoleWord::Officer => Role::Officer,
            RoleWord::Auditor => Role::Auditor,
            RoleWord::Monitor => Role::Monitor,
        };
        let grants = entry.grant.into_iter().map(Grant::from).collect();
        Self {
            name: entry.name,
            role: role.into(),
            grants,
        }
    }
}

impl From<GrantEntry> for Grant {
    fn from(entry: GrantEntry) -> Self {
        let operation = |word: OperationWord| match word {
            OperationWord::SignHttp => Operation::SignHttp,
            OperationWord::SignJws => Operation::SignJws,
            OperationWord::Tls => Operation::Tls,
            OperationWord::SignClientAssertion => Operation::SignClientAssertion,
            OperationWord::SignRequestObject => Operation::SignRequestObject,
            OperationWord::SignDpopProof => Operation::SignDpopProof,
            OperationWord::SignRegistration => Operation::SignRegistration,
            OperationWord::SignJwtBody => Operation::SignJwtBody,
            OperationWord::DecryptJwe => Operation::DecryptJwe,
        };
        Self {
            operations: entry
                .operations
                .into_iter()
                .map(|word| operation(word).into())
                .collect(),
            credential: entry.credential,
            banks: entry.banks,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

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
    "#;

    const ACCESS: &str = r#"
        [[caller]]
        name = "spiffe://acme/payments"
        role = "signer"
        [[caller.grant]]
        operations = ["sign-http", "sign-jws", "tls"]
        credential = "demo-tpp-seal"
        banks = ["demo-bank"]
        [[caller]]
        name = "spiffe://acme/bob"
        role = "officer"
    "#;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

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
    }

    #[test]
    fn reads_callers() {
        let callers = callers(file(ACCESS).path()).unwrap();
        assert_eq!(callers[0].grants[0].operations, [1, 2, 3]);
        assert_eq!(callers[1].role(), Role::Officer);
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

    #[test]
    fn refuses_bad_access_files() {
        for (text, field) in [
            (ACCESS.replace("sign-jws", "sign-anything"), "sign-anything"),
            (
                ACCESS.replace("\"signer\"", "\"officer\""),
                "caller[0].grant",
            ),
            (ACCESS.replace("\"officer\"", "\"root\""), "root"),
            (
                ACCESS.replace("acme/bob", "acme/payments"),
                "caller[1].name",
            ),
            (ACCESS.replace("banks =", "bank ="), "bank"),
        ] {
            let says = callers(file(&text).path()).unwrap_err().to_string();
            assert!(says.contains(field), "{field}: {says}");
        }
    }

    #[test]
    fn says_that_a_file_is_not_there() {
        let error = banks(Path::new("/nowhere/banks.toml")).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("/nowhere/banks.toml"));
    }
}
