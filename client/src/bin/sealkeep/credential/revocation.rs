//! `sealkeep credential check-revocation`: what issuers say now.
//!
//! In: a version. Out: each of its certificates, whether it is revoked, and what everybody who was asked said. Exit code 7
//! when one is revoked. Never: an opinion about silence; until when the last word counts is shown.

use super::shown::{version_json, version_line};
use crate::failure::Failure;
use crate::report::{Report, table};
use crate::words::{rfc3339, short, time};
use jiff::Timestamp;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{
    CertificateRevocation, CheckRevocationRequest, CheckRevocationResponse, RevocationAttempt,
};
use serde_json::{Value, json};

pub(super) async fn check(sealkeep: &Sealkeep, name: String) -> Result<Report, Failure> {
    let request = CheckRevocationRequest { name };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .check_revocation(request)
                .await
        })
        .await?;
    Ok(report(&answer))
}

fn report(answer: &CheckRevocationResponse) -> Report {
    let version = answer.version.clone().unwrap_or_default();
    let rows = answer.certificates.iter().map(row);
    let mut text = version_line(&version);
    text.push('\n');
    text.push_str(&table(
        ["STATUS", "COUNTS UNTIL", "SERIAL NUMBER", "CERTIFICATE"],
        rows.collect(),
    ));
    let attempts = answer.certificates.iter().flat_map(|one| &one.attempts);
    let attempts: Vec<_> = attempts
        .map(|one| {
            [
                one.source.clone(),
                one.url.clone(),
                one.outcome.clone(),
                one.detail.clone(),
            ]
        })
        .collect();
    if !attempts.is_empty() {
        text.push('\n');
        text.push_str(&table(["ASKED", "WHERE", "ANSWER", "DETAIL"], attempts));
    }
    let revoked = answer
        .certificates
        .iter()
        .any(|one| one.status == "revoked");
    let json = json!({
        "version": version_json(&version),
        "certificates": answer.certificates.iter().map(to_json).collect::<Vec<_>>(),
    });
    let name = short(&version.name);
    let report = Report::new(text, json).negative(revoked);
    match revoked {
        true => report.note(format!(
            "ask the QTSP why; have another version issued: `sealkeep credential enrol {} ...`",
            name.split('@').next().unwrap_or_default()
        )),
        false => report,
    }
}

fn row(one: &CertificateRevocation) -> [String; 4] {
    [
        status(one),
        rfc3339(counts_until(one)),
        one.serial_number.clone(),
        one.subject.clone(),
    ]
}

/// What its issuer said of a certificate, in a line.
pub(super) fn line(one: &CertificateRevocation) -> String {
    match counts_until(one) {
        Some(until) if !one.status.is_empty() => {
            format!("{}, counts until {}", status(one), rfc3339(Some(until)))
        }
        _ => status(one),
    }
}

fn status(one: &CertificateRevocation) -> String {
    match (one.status.as_str(), one.revoke_time) {
        ("", _) => "no answer yet".to_owned(),
        ("revoked", Some(at)) => format!(
            "revoked {} ({})",
            rfc3339(time(at.seconds, at.nanos)),
            one.revoke_reason
        ),
        (status, _) => status.to_owned(),
    }
}

/// What is revoked stays so.
fn counts_until(one: &CertificateRevocation) -> Option<Timestamp> {
    let until = one.count_until_time.filter(|_| one.status != "revoked")?;
    time(until.seconds, until.nanos)
}

pub(super) fn to_json(one: &CertificateRevocation) -> Value {
    json!({
        "subject": one.subject,
        "serial_number": one.serial_number,
        "sha256": one.sha256,
        "status": one.status,
        "revoke_time": one.revoke_time.and_then(|at| time(at.seconds, at.nanos)),
        "revoke_reason": one.revoke_reason,
        "count_until_time": one.count_until_time.and_then(|at| time(at.seconds, at.nanos)),
        "attempts": one.attempts.iter().map(attempt_json).collect::<Vec<_>>(),
    })
}

fn attempt_json(one: &RevocationAttempt) -> Value {
    let next_update: Option<Timestamp> = one
        .next_update_time
        .and_then(|at| time(at.seconds, at.nanos));
    json!({
        "source": one.source,
        "url": one.url,
        "outcome": one.outcome,
        "detail": one.detail,
        "next_update_time": next_update,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_until_when_a_word_counts() {
        let at = |text: &str| {
            let at: Timestamp = text.parse().unwrap_or_default();
            let (seconds, nanos) = (at.as_second(), 0);
            prost_types::Timestamp { seconds, nanos }
        };
        let said = |status: &str| CertificateRevocation {
            status: status.to_owned(),
            revoke_time: (status == "revoked").then(|| at("2026-11-02T08:00:00Z")),
            revoke_reason: "superseded".to_owned(),
            count_until_time: Some(at("2026-12-01T08:00:00Z")),
            ..CertificateRevocation::default()
        };
        assert_eq!(
            line(&said("good")),
            "good, counts until 2026-12-01T08:00:00Z"
        );
        assert_eq!(
            line(&said("revoked")),
            "revoked 2026-11-02T08:00:00Z (superseded)"
        );
        assert_eq!(line(&said("")), "no answer yet");
    }
}
