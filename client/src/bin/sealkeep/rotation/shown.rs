//! How plans and rotations are shown.

use crate::report::{Report, table};
use crate::words::{procedure, rfc3339, short, time};
use sealkeep_client::v1::{BankProgress, PlanStep, ProgressState, Rotation, Verification};
use serde_json::{Value, json};

pub(super) fn plan_report(steps: &[PlanStep]) -> Report {
    let row = |step: &PlanStep| {
        let mark = match (step.done, step.irreversible) {
            (true, _) => "done",
            (false, true) => "irreversible",
            (false, false) => "",
        };
        let bank = if step.bank.is_empty() {
            "*"
        } else {
            &step.bank
        };
        [
            at(step.by_time),
            step.action.clone(),
            bank.to_owned(),
            mark.to_owned(),
            step.reason.clone(),
        ]
    };
    let text = match steps.is_empty() {
        true => "No bank has a version of it.\n".to_owned(),
        false => table(
            ["BY", "STEP", "BANK", "", "WHY"],
            steps.iter().map(row).collect(),
        ),
    };
    let mut report = Report::new(
        text,
        json!({ "steps": steps.iter().map(step_json).collect::<Vec<_>>() }),
    );
    for step in steps {
        for risk in &step.risks {
            let whose = if step.bank.is_empty() {
                "all"
            } else {
                &step.bank
            };
            let (action, code, detail) = (&step.action, &risk.code, &risk.detail);
            report = report.note(format!("{action} {whose}: {code}  {detail}"));
        }
    }
    report
}

fn step_json(step: &PlanStep) -> Value {
    let risk =
        |risk: &sealkeep_client::v1::PlanRisk| json!({ "code": risk.code, "detail": risk.detail });
    json!({
        "by": at(step.by_time),
        "action": step.action,
        "bank": step.bank,
        "reason": step.reason,
        "risks": step.risks.iter().map(risk).collect::<Vec<_>>(),
        "irreversible": step.irreversible,
        "done": step.done,
    })
}

pub(super) fn report(rotation: &Rotation) -> Report {
    let row = |bank: &BankProgress| {
        [
            bank.bank.clone(),
            procedure(bank.procedure).to_owned(),
            state(bank),
            at(bank.since_time),
            short(&bank.signing_version),
            at(bank.rollback_until_time),
            verified(bank.verification.as_ref()),
        ]
    };
    let version = match rotation.version.is_empty() {
        true => "no version attached".to_owned(),
        false => format!("to {}", short(&rotation.version)),
    };
    let done = rotation
        .banks
        .iter()
        .filter(|bank| bank.state() == ProgressState::Confirmed);
    let mut text = format!(
        "{} rotation {}, {version}, {}/{} banks confirmed\n",
        rotation.credential,
        rotation.number,
        done.count(),
        rotation.banks.len()
    );
    if !rotation.banks.is_empty() {
        text.push_str(&table(
            [
                "BANK",
                "PROCEDURE",
                "STATE",
                "SINCE",
                "SIGNS",
                "WAY BACK UNTIL",
                "VERIFIED",
            ],
            rotation.banks.iter().map(row).collect(),
        ));
    }
    Report::new(text, to_json(rotation))
}

/// One line of `--watch`.
pub(super) fn bank_line(bank: &BankProgress) -> String {
    let (name, state, signs) = (&bank.bank, state(bank), short(&bank.signing_version));
    format!("{name}  {state}  {signs}")
}

fn state(bank: &BankProgress) -> String {
    match bank.state() {
        ProgressState::Scheduled => format!("scheduled for {}", at(bank.change_time)),
        ProgressState::Canary => format!("canary {} %", bank.canary_percent),
        ProgressState::Failed => format!("failed: {}", bank.failure),
        other => word(other).to_owned(),
    }
}

/// `passed 2026-11-26T04:42:00Z`, `HANDSHAKE_FAILED`, nothing when nobody has tried.
fn verified(verification: Option<&Verification>) -> String {
    match verification {
        None => String::new(),
        Some(verification) if verification.passed => format!("passed {}", at(verification.time)),
        Some(verification) => verification.reason.clone(),
    }
}

/// What verifications found, a line for each bank.
pub(super) fn verdicts(found: &[(String, Verification)]) -> Report {
    let row = |(bank, verification): &(String, Verification)| {
        let seen = verification.seen.clone().unwrap_or_default();
        let status = match seen.status {
            0 => String::new(),
            status => status.to_string(),
        };
        [
            bank.clone(),
            short(&verification.version),
            match verification.passed {
                true => "passed".to_owned(),
                false => verification.reason.clone(),
            },
            seen.address,
            seen.tls_version,
            status,
            format!("{} ms", seen.duration_ms),
        ]
    };
    let text = table(
        [
            "BANK", "VERSION", "VERDICT", "ADDRESS", "TLS", "STATUS", "TOOK",
        ],
        found.iter().map(row).collect(),
    );
    let json = |(bank, verification): &(String, Verification)| {
        let mut value = verification_json(verification);
        value["bank"] = bank.as_str().into();
        value
    };
    let all: Vec<_> = found.iter().map(json).collect();
    let failed = found
        .iter()
        .filter(|(_, verification)| !verification.passed);
    let failed: Vec<_> = failed.collect();
    let mut report =
        Report::new(text, json!({ "verifications": all })).negative(!failed.is_empty());
    for (bank, verification) in failed {
        let detail = verification.seen.as_ref().map_or("", |seen| &seen.detail);
        let way_on = way_on(&verification.reason);
        report = report.note(match detail {
            "" => format!("{bank}: {way_on}"),
            _ => format!("{bank}: {detail}\n  {way_on}"),
        });
    }
    report
}

/// What to do about a verdict.
fn way_on(reason: &str) -> &'static str {
    match reason {
        "NOT_SIGNED" => "the service signed nothing: see why, and `sealkeep audit list`",
        "HOST_UNREACHABLE" => "nothing was proven: is the bank reached from this machine?",
        "SERVER_CERTIFICATE_REFUSED" => {
            "say which CA issued the bank's certificate: --bank-ca FILE"
        }
        "HANDSHAKE_FAILED" => {
            "the bank does not take our certificate yet; ask it, and try again before the switch"
        }
        "CERTIFICATE_NOT_ASKED" => {
            "nothing was proven: this address asks for no client certificate"
        }
        "NO_ANSWER" => "nothing was proven: try again",
        "STATUS_UNEXPECTED" | "TEXT_MISSING" => {
            "the bank does not take the signature yet, or [bank.rotation.verify] expects the wrong answer"
        }
        _ => "not taken",
    }
}

fn verification_json(verification: &Verification) -> Value {
    let seen = verification.seen.clone().unwrap_or_default();
    json!({
        "time": at(verification.time),
        "caller": verification.caller,
        "version": verification.version,
        "passed": verification.passed,
        "reason": verification.reason,
        "seen": {
            "stage": seen.stage().as_str_name(),
            "detail": seen.detail,
            "address": seen.address,
            "tls_version": seen.tls_version,
            "server_certificate_sha256": seen.server_certificate_sha256,
            "certificate_presented": seen.certificate_presented,
            "request_signed": seen.request_signed,
            "status": seen.status,
            "contains": seen.contains,
            "duration_ms": seen.duration_ms,
        },
    })
}

fn word(state: ProgressState) -> &'static str {
    match state {
        ProgressState::Unspecified => "?",
        ProgressState::Pending => "pending",
        ProgressState::Announced => "announced",
        ProgressState::Accepted => "accepted",
        ProgressState::Scheduled => "scheduled",
        ProgressState::Canary => "canary",
        ProgressState::Switched => "switched",
        ProgressState::Confirmed => "confirmed",
        ProgressState::Failed => "failed",
    }
}

fn at(wire: Option<prost_types::Timestamp>) -> String {
    rfc3339(wire.and_then(|wire| time(wire.seconds, wire.nanos)))
}

fn to_json(rotation: &Rotation) -> Value {
    let bank = |bank: &BankProgress| {
        json!({
            "bank": bank.bank,
            "procedure": procedure(bank.procedure),
            "state": word(bank.state()),
            "since": at(bank.since_time),
            "old_version": bank.old_version,
            "signing_version": bank.signing_version,
            "rollback_until": at(bank.rollback_until_time),
            "change": at(bank.change_time),
            "canary_percent": bank.canary_percent,
            "failure": bank.failure,
            "verification": bank.verification.as_ref().map(verification_json),
        })
    };
    json!({
        "credential": rotation.credential,
        "number": rotation.number,
        "version": rotation.version,
        "reason": rotation.reason,
        "start": at(rotation.start_time),
        "banks": rotation.banks.iter().map(bank).collect::<Vec<_>>(),
    })
}
