//! The calls of `sealkeep rotation ...`.
//!
//! In: a credential and what is to happen. Out: one call each, and what the service answers as a report; for `--watch` a
//! line for each change. Never: a decision about what may come next.

use super::shown::{bank_line, plan_report, report};
use crate::failure::Failure;
use crate::report::{Report, talk};
use jiff::Timestamp;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::rotation_service_client::RotationServiceClient;
use sealkeep_client::v1::step_rotation_request::Step;
use sealkeep_client::v1::{
    AbortRotationRequest, AttachVersionRequest, BankProgress, CompleteRotationRequest,
    GetRotationBundleRequest, GetRotationRequest, PlanRotationRequest, ProgressState, Rotation,
    StartRotationRequest, StepRotationRequest,
};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// How often `--watch` looks, seconds.
const WATCH_INTERVAL_S: u64 = 2;

pub(super) fn wire_time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

pub(super) async fn plan(
    sealkeep: &Sealkeep,
    credential: String,
    qtsp_lead_days: Option<u32>,
) -> Result<Report, Failure> {
    let request = PlanRotationRequest {
        credential,
        qtsp_lead_days,
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .plan_rotation(request)
                .await
        })
        .await?;
    Ok(plan_report(&answer.steps))
}

pub(super) async fn start(
    sealkeep: &Sealkeep,
    credential: String,
    reason: String,
) -> Result<Report, Failure> {
    let way_on = format!(
        "begun; next: sealkeep credential enrol, install, then sealkeep rotation attach {credential}@N"
    );
    let request = StartRotationRequest { credential, reason };
    let answer = sealkeep
        .call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .start_rotation(request)
                .await
        })
        .await?;
    Ok(report(&answer.rotation.unwrap_or_default()).note(way_on))
}

pub(super) async fn get(sealkeep: &Sealkeep, credential: &str) -> Result<Rotation, Failure> {
    let request = GetRotationRequest {
        credential: credential.to_owned(),
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .get_rotation(request)
                .await
        })
        .await?;
    Ok(answer.rotation.unwrap_or_default())
}

pub(super) async fn watch(sealkeep: &Sealkeep, credential: &str) -> Result<Report, Failure> {
    let mut before = Rotation::default();
    loop {
        let rotation = get(sealkeep, credential).await?;
        for bank in rotation
            .banks
            .iter()
            .filter(|bank| !before.banks.contains(bank))
        {
            talk(&bank_line(bank));
        }
        let done = |bank: &BankProgress| bank.state() == ProgressState::Confirmed;
        if !rotation.banks.is_empty() && rotation.banks.iter().all(done) {
            return Ok(report(&rotation));
        }
        before = rotation;
        tokio::time::sleep(Duration::from_secs(WATCH_INTERVAL_S)).await;
    }
}

pub(super) async fn attach(sealkeep: &Sealkeep, version: String) -> Result<Report, Failure> {
    let answer = sealkeep
        .call(
            AttachVersionRequest { version },
            async |channel, request| {
                RotationServiceClient::new(channel)
                    .attach_version(request)
                    .await
            },
        )
        .await?;
    Ok(report(&answer.rotation.unwrap_or_default()).note("attached; no bank has it yet"))
}

pub(super) async fn step(
    sealkeep: &Sealkeep,
    credential: String,
    banks: Vec<String>,
    step: Step,
) -> Result<Report, Failure> {
    let request = StepRotationRequest {
        credential,
        banks,
        step: Some(step),
    };
    let answer = sealkeep
        .call(request, async |channel, request| {
            RotationServiceClient::new(channel)
                .step_rotation(request)
                .await
        })
        .await?;
    Ok(report(&answer.rotation.unwrap_or_default()))
}

/// `DIR/BANK.pem` and `DIR/BANK.txt`.
pub(super) async fn write_bundles(
    sealkeep: &Sealkeep,
    credential: &str,
    banks: &[String],
    folder: &Path,
) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    for bank in banks {
        let request = GetRotationBundleRequest {
            credential: credential.to_owned(),
            bank: bank.clone(),
        };
        let bundle = sealkeep
            .call(request, async |channel, request| {
                RotationServiceClient::new(channel)
                    .get_rotation_bundle(request)
                    .await
            })
            .await?;
        for (ending, text) in [
            ("pem", &bundle.certificate_chain_pem),
            ("txt", &bundle.text),
        ] {
            let path = folder.join(format!("{bank}.{ending}"));
            std::fs::write(&path, text).map_err(|error| Failure::file(&path, &error))?;
            talk(&format!("{} for {}", path.display(), bundle.contact));
        }
    }
    Ok(())
}

pub(super) async fn complete(sealkeep: &Sealkeep, credential: String) -> Result<Report, Failure> {
    let done = json!({ "credential": credential, "ended": "completed" });
    sealkeep
        .call(
            CompleteRotationRequest { credential },
            async |channel, request| {
                RotationServiceClient::new(channel)
                    .complete_rotation(request)
                    .await
            },
        )
        .await?;
    let note = "completed; the old version is retired when its last signature has aged out";
    Ok(Report::new("", done).note(note))
}

pub(super) async fn abort(
    sealkeep: &Sealkeep,
    credential: String,
    reason: String,
) -> Result<Report, Failure> {
    let done = json!({ "credential": credential, "ended": "aborted" });
    sealkeep
        .call(
            AbortRotationRequest { credential, reason },
            async |channel, request| {
                RotationServiceClient::new(channel)
                    .abort_rotation(request)
                    .await
            },
        )
        .await?;
    Ok(Report::new("", done).note("aborted; every bank stays where it is"))
}
