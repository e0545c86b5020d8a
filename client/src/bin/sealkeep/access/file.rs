//! The file of callers and their grants, TOML.
//!
//! In: `[[caller]]` tables. Out: wire messages. Never: a key that is not known; a typing error must not pass as a default.

use crate::failure::Failure;
use crate::files;
use sealkeep_client::v1::{Caller, Grant, Operation, Role};
use serde::Deserialize;
use std::path::Path;

/// The callers of a file.
pub(super) fn callers(path: &Path) -> Result<Vec<Caller>, Failure> {
    let file: AccessFile = files::toml(path)?;
    let names = file.caller.iter().map(|caller| caller.name.as_str());
    files::unique(path, "caller", names)?;
    for (index, caller) in file.caller.iter().enumerate() {
        if !caller.grant.is_empty() && caller.role != RoleWord::Signer {
            let what = format!("caller[{index}].grant: only a signer has grants");
            return Err(files::wrong(path, &what));
        }
    }
    Ok(file.caller.into_iter().map(Caller::from).collect())
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
    use crate::files::tests::file;

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

    #[test]
    fn reads_callers() {
        let callers = callers(file(ACCESS).path()).unwrap();
        assert_eq!(callers[0].grants[0].operations, [1, 2, 3]);
        assert_eq!(callers[1].role(), Role::Officer);
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
}
