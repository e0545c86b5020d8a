//! `sealkeep access ...` and `sealkeep whoami`: callers and what they may do.
//!
//! In: a file of callers. Out: callers with their roles and grants. Never: a grant that the file does not say.

mod file;

use crate::failure::Failure;
use crate::pages::{self, PAGE_SIZE};
use crate::report::{Report, table};
use crate::words::{operations, role};
use clap::Subcommand;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::access_service_client::AccessServiceClient;
use sealkeep_client::v1::{ApplyGrantsRequest, Caller, Grant, ListGrantsRequest, WhoAmIRequest};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Replace role and grants of the callers of a file, all or none.
    Apply {
        /// TOML with `[[caller]]` tables; `-` is stdin.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Check only; change nothing.
        #[arg(long)]
        check: bool,
    },
    /// All callers with their grants.
    List,
}

impl Verb {
    pub(crate) async fn run(
        self,
        connect: impl FnOnce() -> Result<Sealkeep, Failure>,
    ) -> Result<Report, Failure> {
        match self {
            Self::Apply { file, check } => {
                let callers = file::callers(&file)?;
                apply(&connect()?, callers, check).await
            }
            Self::List => list(&connect()?).await,
        }
    }
}

async fn apply(sealkeep: &Sealkeep, callers: Vec<Caller>, check: bool) -> Result<Report, Failure> {
    let request = ApplyGrantsRequest {
        callers,
        validate_only: check,
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            AccessServiceClient::new(channel)
                .apply_grants(request)
                .await
        })
        .await?;
    let note = if check {
        "checked only; nothing was changed"
    } else {
        "applied"
    };
    Ok(report(&answer.callers).note(note))
}

async fn list(sealkeep: &Sealkeep) -> Result<Report, Failure> {
    let callers = pages::all(async |page_token| {
        let request = ListGrantsRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let page = sealkeep
            .call(request, async |channel, request| {
                AccessServiceClient::new(channel).list_grants(request).await
            })
            .await?;
        Ok((page.callers, page.next_page_token))
    })
    .await?;
    Ok(report(&callers))
}

/// `sealkeep whoami`.
pub(crate) async fn whoami(sealkeep: &Sealkeep) -> Result<Report, Failure> {
    let answer = sealkeep
        .call(WhoAmIRequest {}, async |channel, request| {
            AccessServiceClient::new(channel).who_am_i(request).await
        })
        .await?;
    let caller = answer.caller.unwrap_or_default();
    let json = to_json(&caller);
    if role(caller.role).is_empty() {
        let text = format!("{}\n", crate::report::printable(&caller.name));
        return Ok(Report::new(text, json).note("a stranger: no role and no grant, all is denied"));
    }
    Ok(Report::new(
        callers_table(std::slice::from_ref(&caller)),
        json,
    ))
}

fn report(callers: &[Caller]) -> Report {
    let json = json!({ "callers": callers.iter().map(to_json).collect::<Vec<_>>() });
    Report::new(callers_table(callers), json)
}

/// One row for each grant; callers without grants have one row.
fn callers_table(callers: &[Caller]) -> String {
    let mut rows = Vec::new();
    for caller in callers {
        let first = [caller.name.clone(), role(caller.role).to_owned()];
        let none = Grant::default();
        let grants = if caller.grants.is_empty() {
            std::slice::from_ref(&none)
        } else {
            &caller.grants
        };
        for (index, grant) in grants.iter().enumerate() {
            let [name, role] = if index == 0 {
                first.clone()
            } else {
                Default::default()
            };
            let banks = grant.banks.join(" ");
            rows.push([
                name,
                role,
                operations(grant),
                grant.credential.clone(),
                banks,
            ]);
        }
    }
    table(
        ["CALLER", "ROLE", "OPERATIONS", "CREDENTIAL", "BANKS"],
        rows,
    )
}

fn to_json(caller: &Caller) -> Value {
    let grant = |grant: &Grant| {
        json!({
            "operations": operations(grant).split(' ').collect::<Vec<_>>(),
            "credential": grant.credential,
            "banks": grant.banks,
        })
    };
    json!({
        "name": caller.name,
        "role": role(caller.role),
        "grants": caller.grants.iter().map(grant).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_once_before_its_grants() {
        let grant = |credential: &str| Grant {
            operations: vec![1, 3],
            credential: credential.into(),
            banks: vec!["b".into()],
        };
        let caller = Caller {
            name: "tpp".into(),
            role: 1,
            grants: vec![grant("x"), grant("y")],
        };
        let officer = Caller {
            name: "bob".into(),
            role: 2,
            grants: vec![],
        };
        let text = callers_table(&[caller, officer]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "tpp     signer   sign-http tls  x           b");
        assert_eq!(lines[2], "                 sign-http tls  y           b");
        assert_eq!(lines[3], "bob     officer");
    }
}
