//! How plans and rotations are shown.

use crate::report::{Report, table};
use crate::words::{procedure, rfc3339, short, time};
use sealkeep_client::v1::{BankProgress, PlanStep, ProgressState, Rotation};
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
