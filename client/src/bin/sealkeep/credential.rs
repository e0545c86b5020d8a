//! `sealkeep credential ...`: keys in the token, requests for certificates, certificates.
//!
//! In: names, subjects, PEM files. Out: CSRs and what is known of credentials. Never: a private key; there is no way to
//! ask for one.

mod compromise;
mod enrol;
mod life;
mod prove;
mod revocation;
mod shown;

use crate::failure::Failure;
use crate::files;
use crate::pages::{self, PAGE_SIZE};
use crate::report::{Report, table};
use crate::words::{name, numbered_version, purpose, short, version_name};
use clap::Subcommand;
use enrol::{Enrol, csr};
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{
    ActivateVersionRequest, CertificateRevocation, Credential, Finding, GetCredentialRequest,
    InstallCertificateRequest, ListCredentialsRequest, Version,
};
use sealkeep_client::{Sealkeep, clock};
use serde_json::{Value, json};
use shown::{details, to_json, trust_json, trust_line, version_json, version_line, versions_table};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a key in the token and a signing request for it.
    Enrol(Box<Enrol>),
    /// Print the signing request of a version.
    Csr {
        /// NAME, or NAME@VERSION.
        #[arg(value_parser = version_name)]
        name: String,
        /// Write the PEM here instead of to stdout.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check an issued certificate and install it.
    Install {
        /// NAME, or NAME@VERSION.
        #[arg(value_parser = version_name)]
        name: String,
        /// The certificate and its issuers: PEM, DER or PKCS#7 (.p7b).
        file: PathBuf,
        /// Check only; install nothing.
        #[arg(long)]
        check: bool,
    },
    /// Use an installed version.
    Activate {
        /// NAME, or NAME@VERSION.
        #[arg(value_parser = version_name)]
        name: String,
        /// Also move the banks that are bound to an older version.
        #[arg(long)]
        rebind: bool,
    },
    /// Ask the issuers now whether they have revoked a version's certificates.
    CheckRevocation {
        /// NAME, or NAME@VERSION.
        #[arg(value_parser = version_name)]
        name: String,
    },
    /// Take a version out of use; it signs on while banks are bound to it.
    Retire {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
    },
    /// Stop a version at once.
    Freeze {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
        /// Why.
        #[arg(long, default_value = "suspected compromise")]
        reason: String,
    },
    /// A key that somebody else may have: stop the version at once, ask for its revocation, move its banks to a spare.
    ///
    /// Again, it goes on where it stopped. Exit code 7 when something is left to do by hand.
    Compromise {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
        /// Why; stands in the log.
        #[arg(long)]
        reason: String,
    },
    /// Let a frozen version go on; another officer approves.
    Unfreeze {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Declare a version revoked, for ever; another officer approves.
    Revoke {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Destroy the key of a version in the token; another officer approves, then a delay begins.
    Destroy {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Have every token of a version's set find its key and prove it by using it: after it was copied to another token, or
    /// when signatures of a token did not verify.
    Prove {
        /// NAME, or NAME@VERSION.
        #[arg(value_parser = version_name)]
        name: String,
    },
    /// All credentials.
    List,
    /// One credential.
    Show {
        /// The credential.
        #[arg(value_parser = name)]
        name: String,
    },
}

impl Verb {
    pub(crate) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        match self {
            Self::Enrol(enrol) => enrol.run(sealkeep).await,
            Self::Csr { name, out } => csr(sealkeep, name, out).await,
            Self::Install { name, file, check } => install(sealkeep, name, file, check).await,
            Self::Activate { name, rebind } => activate(sealkeep, name, rebind).await,
            Self::CheckRevocation { name } => revocation::check(sealkeep, name).await,
            Self::Retire { name } => life::retire(sealkeep, name).await,
            Self::Freeze { name, reason } => life::freeze(sealkeep, name, reason).await,
            Self::Compromise { name, reason } => {
                compromise::compromise(sealkeep, name, reason).await
            }
            Self::Unfreeze { name, reason } => life::unfreeze(sealkeep, name, reason).await,
            Self::Revoke { name, reason } => life::revoke(sealkeep, name, reason).await,
            Self::Destroy { name, reason } => life::destroy(sealkeep, name, reason).await,
            Self::Prove { name } => prove::prove(sealkeep, name).await,
            Self::List => list(sealkeep).await,
            Self::Show { name } => show(sealkeep, name).await,
        }
    }
}

async fn install(
    sealkeep: &Sealkeep,
    name: String,
    file: PathBuf,
    check: bool,
) -> Result<Report, Failure> {
    let certificates = files::read_bytes(&file)?;
    let request = InstallCertificateRequest {
        name,
        certificates,
        validate_only: check,
        ..Default::default()
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .install_certificate(request)
                .await
        })
        .await?;
    let version = answer.version.unwrap_or_default();
    let trust = answer.trust.unwrap_or_default();
    let mut text = version_line(&version);
    text.push_str(&trust_line(&trust));
    text.push_str(&findings_table(&answer.findings));
    let json = json!({
        "version": version_json(&version),
        "findings": findings_json(&answer.findings),
        "trust": trust_json(&trust),
    });
    let name = short(&version.name);
    let next = match check {
        true => "checked only; nothing was installed".to_owned(),
        false => format!("next: `sealkeep credential activate {name}`"),
    };
    Ok(Report::new(text, json).note(next))
}

/// What checks found, below what they were made of; empty without findings.
fn findings_table(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let row = |finding: &Finding| {
        let weight = if finding.blocking { "blocks" } else { "notes" };
        [
            weight.to_owned(),
            finding.code.clone(),
            finding.detail.clone(),
            finding.way_out.clone(),
        ]
    };
    let rows = findings.iter().map(row).collect();
    let found = table(["FINDING", "CODE", "DETAIL", "WHAT TO DO"], rows);
    format!("\n{found}")
}

fn findings_json(findings: &[Finding]) -> Value {
    let each = findings
        .iter()
        .map(|f| json!({ "code": f.code, "blocking": f.blocking, "detail": f.detail, "evidence": f.evidence, "way_out": f.way_out }));
    each.collect()
}

async fn activate(sealkeep: &Sealkeep, name: String, rebind: bool) -> Result<Report, Failure> {
    let request = ActivateVersionRequest { name, rebind };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .activate_version(request)
                .await
        })
        .await?;
    let version = answer.version.unwrap_or_default();
    let trust = answer.trust.unwrap_or_default();
    let bound = match answer.bound_banks.is_empty() {
        true => {
            "no bank was bound by this; banks that list the credential later are bound when applied"
                .to_owned()
        }
        false => format!("bound to {}", answer.bound_banks.join(", ")),
    };
    let json = json!({
        "version": version_json(&version),
        "bound_banks": answer.bound_banks,
        "findings": findings_json(&answer.findings),
        "trust": trust_json(&trust),
    });
    let mut text = version_line(&version);
    if version.certificate.is_some() {
        text.push_str(&trust_line(&trust));
    }
    text.push_str(&findings_table(&answer.findings));
    Ok(Report::new(text, json).note(bound))
}

/// All credentials with their versions.
pub(crate) async fn all(sealkeep: &Sealkeep) -> Result<Vec<Credential>, Failure> {
    pages::all(async |page_token| {
        let request = ListCredentialsRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let page = sealkeep
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .list_credentials(request)
                    .await
            })
            .await?;
        Ok((page.credentials, page.next_page_token))
    })
    .await
}

async fn list(sealkeep: &Sealkeep) -> Result<Report, Failure> {
    let credentials = all(sealkeep).await?;
    let json = json!({ "credentials": credentials.iter().map(to_json).collect::<Vec<_>>() });
    Ok(Report::new(
        versions_table(&credentials, clock::now()),
        json,
    ))
}

async fn show(sealkeep: &Sealkeep, name: String) -> Result<Report, Failure> {
    let answer = sealkeep
        .call(
            GetCredentialRequest { credential: name },
            async |channel, request| {
                CredentialServiceClient::new(channel)
                    .get_credential(request)
                    .await
            },
        )
        .await?;
    let credential = answer.credential.unwrap_or_default();
    let said = |version: &Version| {
        let certificate = version.certificate.as_ref()?;
        let of_it = |one: &&CertificateRevocation| one.sha256 == certificate.sha256;
        answer.revocations.iter().find(of_it)
    };
    let now = clock::now();
    let mut text = format!("{}, {}\n", credential.name, purpose(credential.purpose));
    for version in &credential.versions {
        text.push('\n');
        text.push_str(&details(version, said(version), now));
    }
    let mut json = to_json(&credential);
    for (at, version) in credential.versions.iter().enumerate() {
        json["versions"][at]["revocation"] = json!(said(version).map(revocation::to_json));
    }
    Ok(Report::new(text, json))
}
