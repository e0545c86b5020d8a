//! `sealkeep bank ...`: banks as destinations.
//!
//! In: a file of banks, names. Out: the banks as the service has them. Never: a binding set by hand; activation does that.

mod file;

use crate::failure::Failure;
use crate::pages::{self, PAGE_SIZE};
use crate::report::{Report, pairs, table};
use crate::words::{environment, name, procedure, short};
use clap::Subcommand;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::bank_service_client::BankServiceClient;
use sealkeep_client::v1::{ApplyBanksRequest, Bank, GetBankRequest, ListBanksRequest};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make or replace the banks of a file, all or none.
    Apply {
        /// TOML with `[[bank]]` tables; `-` is stdin.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Check only; change nothing.
        #[arg(long)]
        check: bool,
    },
    /// All banks.
    List,
    /// One bank.
    Show {
        /// The bank.
        #[arg(value_parser = name)]
        name: String,
    },
}

impl Verb {
    pub(crate) async fn run(
        self,
        connect: impl FnOnce() -> Result<Sealkeep, Failure>,
    ) -> Result<Report, Failure> {
        match self {
            Self::Apply { file, check } => {
                let banks = file::banks(&file)?;
                apply(&connect()?, banks, check).await
            }
            Self::List => list(&connect()?).await,
            Self::Show { name } => show(&connect()?, name).await,
        }
    }
}

async fn apply(sealkeep: &Sealkeep, banks: Vec<Bank>, check: bool) -> Result<Report, Failure> {
    let request = ApplyBanksRequest {
        banks,
        validate_only: check,
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            BankServiceClient::new(channel).apply_banks(request).await
        })
        .await?;
    let note = if check {
        "checked only; nothing was changed"
    } else {
        "applied"
    };
    Ok(report(&answer.banks).note(note))
}

async fn list(sealkeep: &Sealkeep) -> Result<Report, Failure> {
    let banks = pages::all(async |page_token| {
        let request = ListBanksRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let page = sealkeep
            .call(request, async |channel, request| {
                BankServiceClient::new(channel).list_banks(request).await
            })
            .await?;
        Ok((page.banks, page.next_page_token))
    })
    .await?;
    Ok(report(&banks))
}

async fn show(sealkeep: &Sealkeep, bank: String) -> Result<Report, Failure> {
    let answer = sealkeep
        .call(GetBankRequest { bank }, async |channel, request| {
            BankServiceClient::new(channel).get_bank(request).await
        })
        .await?;
    let bank = answer.bank.unwrap_or_default();
    let mut settings: Vec<_> = bank
        .settings
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    settings.sort();
    let tls = if bank.tls12_allowed {
        "1.3, 1.2"
    } else {
        "1.3"
    };
    let text = pairs(&[
        ("bank", bank.name.clone()),
        ("environment", environment(bank.environment).to_owned()),
        ("hosts", bank.hosts.join(" ")),
        ("base path", bank.base_path.clone()),
        ("profile", bank.profile.clone()),
        ("OAuth profile", bank.oauth_profile.clone()),
        ("settings", settings.join(" ")),
        ("TLS", tls.to_owned()),
        ("bound", bindings(&bank)),
        ("rotation", terms(&bank)),
        ("contact", contact(&bank).to_owned()),
        ("verify", verify(&bank)),
    ]);
    Ok(Report::new(text, to_json(&bank)))
}

fn report(banks: &[Bank]) -> Report {
    let row = |bank: &Bank| {
        [
            bank.name.clone(),
            environment(bank.environment).to_owned(),
            bank.profile.clone(),
            bank.hosts.join(" "),
            bindings(bank),
        ]
    };
    let text = match banks.is_empty() {
        true => "No banks. Make some: sealkeep bank apply -f banks.toml\n".to_owned(),
        false => table(
            ["BANK", "ENVIRONMENT", "PROFILE", "HOSTS", "BOUND"],
            banks.iter().map(row).collect(),
        ),
    };
    Report::new(
        text,
        json!({ "banks": banks.iter().map(to_json).collect::<Vec<_>>() }),
    )
}

/// `acme-seal@3`, or `acme-seal@-` as long as no version is active.
fn bindings(bank: &Bank) -> String {
    let words = bank
        .bindings
        .iter()
        .map(|binding| match binding.version.is_empty() {
            true => format!("{}@-", binding.credential),
            false => short(&binding.version),
        });
    words.collect::<Vec<_>>().join(" ")
}

/// `swap_at, 10 days, enforces CA/B validity`.
fn terms(bank: &Bank) -> String {
    let Some(terms) = &bank.rotation else {
        return String::new();
    };
    let mut words = vec![procedure(terms.procedure).to_owned()];
    words.extend(terms.lead_time_days.map(|days| format!("{days} days")));
    if terms.enforces_cabf_validity {
        words.push("enforces CA/B validity".to_owned());
    }
    if terms.wants_digital_signature {
        words.push("wants digitalSignature".to_owned());
    }
    words.join(", ")
}

/// `GET api.bank.example/v1/accounts, content with 401 TOKEN_UNKNOWN`.
fn verify(bank: &Bank) -> String {
    let terms = bank.rotation.as_ref();
    let Some(request) = terms.and_then(|terms| terms.verify.as_ref()) else {
        return String::new();
    };
    let statuses: Vec<_> = request.statuses.iter().map(u32::to_string).collect();
    let (method, host, target) = (&request.method, &request.host, &request.target);
    let (statuses, contains) = (statuses.join(" "), &request.contains);
    format!("{method} {host}{target}, content with {statuses} {contains}")
}

fn contact(bank: &Bank) -> &str {
    bank.rotation.as_ref().map_or("", |terms| &terms.contact)
}

fn to_json(bank: &Bank) -> Value {
    let terms = bank.rotation.clone().unwrap_or_default();
    let binding = |binding: &sealkeep_client::v1::Binding| json!({ "credential": binding.credential, "version": binding.version });
    json!({
        "name": bank.name,
        "environment": environment(bank.environment),
        "hosts": bank.hosts,
        "base_path": bank.base_path,
        "profile": bank.profile,
        "oauth_profile": bank.oauth_profile,
        "settings": bank.settings,
        "credentials": bank.credentials,
        "tls12_allowed": bank.tls12_allowed,
        "bindings": bank.bindings.iter().map(binding).collect::<Vec<_>>(),
        "rotation": {
            "procedure": procedure(terms.procedure),
            "lead_time_days": terms.lead_time_days,
            "contact": terms.contact,
            "enforces_cabf_validity": terms.enforces_cabf_validity,
            "wants_digital_signature": terms.wants_digital_signature,
            "verify": terms.verify.as_ref().map(|request| json!({
                "host": request.host,
                "method": request.method,
                "target": request.target,
                "headers": request.headers,
                "statuses": request.statuses,
                "contains": request.contains,
            })),
        },
    })
}
