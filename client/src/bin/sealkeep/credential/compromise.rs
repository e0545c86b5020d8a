//! `sealkeep credential compromise`: one command when a key may be in other hands.
//!
//! In: a version, why. Out: what stopped, who is touched, what was begun, what is left to people. Never: success where
//! something is left.

use super::shown::{version_json, version_line};
use crate::approval;
use crate::failure::Failure;
use crate::report::{Report, table};
use crate::words::{procedure, short};
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{AffectedBank, CompromiseVersionRequest, CompromiseVersionResponse};
use serde_json::{Value, json};

pub(super) async fn compromise(
    sealkeep: &Sealkeep,
    name: String,
    reason: String,
) -> Result<Report, Failure> {
    let request = CompromiseVersionRequest { name, reason };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .compromise_version(request)
                .await
        })
        .await?;
    Ok(render(&answer))
}

fn render(answer: &CompromiseVersionResponse) -> Report {
    let version = answer.version.clone().unwrap_or_default();
    let mut text = version_line(&version);
    text.push('\n');
    text.push_str(&match answer.banks.is_empty() {
        true => "No bank is bound to it.\n".to_owned(),
        false => table(
            ["BANK", "TAKES NEW ONES BY", "TELL", "SIGNS NOW"],
            answer.banks.iter().map(row).collect(),
        ),
    });
    let json = json!({
        "version": version_json(&version),
        "banks": answer.banks.iter().map(bank_json).collect::<Vec<_>>(),
        "revocation": answer.revocation.as_ref().map(approval::to_json),
        "revocation_problem": answer.revocation_problem,
        "rotation_version": answer.rotation_version,
        "rotation_problem": answer.rotation_problem,
    });
    let mut report = Report::new(text, json);
    for left in left_to_do(answer, &short(&version.name)) {
        report = report.note(left);
    }
    let waits = answer
        .banks
        .iter()
        .any(|bank| bank.signing_version.is_empty());
    let problems = [&answer.revocation_problem, &answer.rotation_problem];
    report.negative(waits || problems.iter().any(|problem| !problem.is_empty()))
}

/// What people have to do now, the most urgent first.
fn left_to_do(answer: &CompromiseVersionResponse, version: &str) -> Vec<String> {
    let credential = version.split('@').next().unwrap_or_default();
    let mut left = Vec::new();
    left.push(match &answer.revocation {
        Some(asked) => format!(
            "another officer: sealkeep approval approve {}; and have the QTSP revoke the certificate",
            approval::id(asked)
        ),
        None => format!("revocation not asked for: {}", answer.revocation_problem),
    });
    let spare = short(&answer.rotation_version);
    left.push(match (&*answer.rotation_problem, &*answer.rotation_version) {
        ("", "") => format!(
            "no spare: sealkeep credential enrol {credential} ..., then sealkeep rotation start {credential} --reason ..."
        ),
        ("", _) => format!(
            "banks move to {spare}; those that sign nothing wait for it: sealkeep rotation status {credential}, announce, verify"
        ),
        (problem, _) => format!("no rotation: {problem}"),
    });
    left
}

fn row(bank: &AffectedBank) -> [String; 4] {
    let signs = match bank.signing_version.as_str() {
        "" => "nothing".to_owned(),
        version => short(version),
    };
    let by = procedure(bank.procedure).to_owned();
    [bank.bank.clone(), by, bank.contact.clone(), signs]
}

fn bank_json(bank: &AffectedBank) -> Value {
    json!({
        "bank": bank.bank,
        "procedure": procedure(bank.procedure),
        "contact": bank.contact,
        "signing_version": bank.signing_version,
    })
}
