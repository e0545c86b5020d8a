//! Rotations: steps of banks, how far they are, what is planned.

use jiff::Timestamp;
use sealkeep_proto::v1;
use tonic::Status;

use super::{procedure_out, time, verified_out};
use crate::bank::rotation::moving::{Move, Pick};
use crate::bank::rotation::plan::{Risk, Step};
use crate::bank::rotation::progress::{self, Acceptance, Event, OldVersion, Progress};
use crate::bank::rotation::verification::Verified;
use crate::domain::Bank;
use crate::grpc::error::invalid;

pub(in crate::grpc) fn event(step: v1::step_rotation_request::Step) -> Result<Event, Status> {
    use v1::step_rotation_request::Step as S;
    Ok(match step {
        S::Announce(_) => Event::Announce,
        S::Accept(accept) => Event::Accept(Acceptance {
            old: match accept.replaces_old {
                true => OldVersion::Replaced,
                false => OldVersion::StaysValid,
            },
            at: moment("step.at_time", accept.at_time)?,
            window_minutes: accept.window_minutes,
        }),
        S::Switch(switch) => Event::Switch {
            at: moment("step.at_time", switch.at_time)?,
        },
        S::Canary(canary) => Event::Canary {
            // What does not fit is no share either; the table says so.
            percent: u8::try_from(canary.percent).unwrap_or(u8::MAX),
        },
        S::Confirm(_) => Event::Confirm,
        S::Rollback(_) => Event::Rollback,
        S::Fail(fail) => Event::Fail {
            reason: fail.reason,
        },
    })
}

fn moment(field: &str, at: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, Status> {
    let read = |at: prost_types::Timestamp| Timestamp::new(at.seconds, at.nanos);
    at.map(read)
        .transpose()
        .map_err(|error| invalid(field, error))
}

pub(in crate::grpc) fn bank_progress(
    bank: &Bank,
    moving: &Move,
    verified: Option<&Verified>,
    now: Timestamp,
) -> v1::BankProgress {
    use v1::ProgressState as S;
    let Move {
        progress, facts, ..
    } = moving;
    let (state, since) = match progress {
        Progress::Pending => (S::Pending, None),
        Progress::Announced { at } => (S::Announced, Some(*at)),
        Progress::Accepted { at } => (S::Accepted, Some(*at)),
        Progress::Scheduled { .. } => (S::Scheduled, None),
        Progress::Canary { at, .. } => (S::Canary, Some(*at)),
        Progress::Switched { at, .. } => (S::Switched, Some(*at)),
        Progress::Confirmed { at, .. } => (S::Confirmed, Some(*at)),
        Progress::Failed { at, .. } => (S::Failed, Some(*at)),
    };
    let signing = match moving.pick(now, || u8::MAX) {
        Pick::Version(version) => version.id.resource(),
        Pick::Held { .. } => String::new(),
    };
    v1::BankProgress {
        bank: bank.name.to_string(),
        procedure: procedure_out(bank.rotation.procedure).into(),
        state: state.into(),
        since_time: since.map(time),
        old_version: moving.old.id.resource(),
        signing_version: signing,
        rollback_until_time: progress::way_back_until(progress, facts, now).map(time),
        change_time: match progress {
            Progress::Scheduled { from, .. } => Some(time(*from)),
            _ => None,
        },
        canary_percent: match progress {
            Progress::Canary { percent, .. } => (*percent).into(),
            _ => 0,
        },
        failure: match progress {
            Progress::Failed { reason, .. } => reason.clone(),
            _ => String::new(),
        },
        verification: verified.map(verified_out),
    }
}

pub(in crate::grpc) fn plan_step(step: Step) -> v1::PlanStep {
    let risk = |risk: &Risk| v1::PlanRisk {
        code: risk.code().to_owned(),
        detail: risk.to_string(),
    };
    v1::PlanStep {
        by_time: Some(time(step.by)),
        action: step.action.as_str().to_owned(),
        bank: step.bank.map(|bank| bank.to_string()).unwrap_or_default(),
        reason: step.reason,
        risks: step.risks.iter().map(risk).collect(),
        irreversible: step.irreversible,
        done: step.done,
    }
}
