//! How versions leave: `sealkeep credential retire|freeze|unfreeze|revoke|destroy`.
//!
//! In: versions by number, reasons. Out: what is touched and what to do next. Never: `NAME` alone; which version goes is
//! said, not guessed.

use super::shown::{version_json, version_line};
use crate::approval;
use crate::failure::Failure;
use crate::report::Report;
use crate::words::short;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{
    DestroyVersionRequest, FreezeVersionRequest, RetireVersionRequest, RevokeVersionRequest,
    UnfreezeVersionRequest,
};
use serde_json::json;

pub(super) async fn retire(sealkeep: &Sealkeep, name: String) -> Result<Report, Failure> {
    let request = RetireVersionRequest { name };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .retire_version(request)
                .await
        })
        .await?;
    let version = answer.version.unwrap_or_default();
    let name = short(&version.name);
    let note = match answer.bound_banks.is_empty() {
        true => format!("{name} signs no more; `sealkeep credential destroy {name}` ends its key"),
        false => format!(
            "{name} still signs for {}; move them, then retire it again",
            answer.bound_banks.join(", ")
        ),
    };
    let json = json!({ "version": version_json(&version), "bound_banks": answer.bound_banks });
    Ok(Report::new(version_line(&version), json).note(note))
}

/// Stops a version, and says whom that touches and how to go on.
pub(super) async fn freeze(
    sealkeep: &Sealkeep,
    name: String,
    reason: String,
) -> Result<Report, Failure> {
    let request = FreezeVersionRequest { name, reason };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .freeze_version(request)
                .await
        })
        .await?;
    let version = answer.version.unwrap_or_default();
    let name = short(&version.name);
    let mut text = version_line(&version);
    text.push_str(&match answer.affected_banks.is_empty() {
        true => "\nNo bank is bound to it.\n".to_owned(),
        false => format!(
            "\nNothing is signed for: {}\n",
            answer.affected_banks.join(", ")
        ),
    });
    let credential = name.split('@').next().unwrap_or_default();
    let go_on = match answer.spare_version.is_empty() {
        false => format!(
            "go on with the spare: `sealkeep credential activate {} --rebind`",
            short(&answer.spare_version)
        ),
        true => format!("no spare: have one issued, `sealkeep credential enrol {credential} ...`"),
    };
    let json = json!({
        "version": version_json(&version),
        "affected_banks": answer.affected_banks,
        "spare_version": answer.spare_version,
    });
    Ok(Report::new(text, json)
        .note(go_on)
        .note(format!(
            "key compromised: have the QTSP revoke the certificate, tell the banks, `sealkeep credential revoke {name} --reason ...`"
        ))
        .note(format!(
            "false alarm: `sealkeep credential unfreeze {name} --reason ...`, and another officer approves"
        )))
}

pub(super) async fn unfreeze(
    sealkeep: &Sealkeep,
    name: String,
    reason: String,
) -> Result<Report, Failure> {
    let request = UnfreezeVersionRequest { name, reason };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .unfreeze_version(request)
                .await
        })
        .await?;
    Ok(approval::report(&answer.approval.unwrap_or_default()))
}

pub(super) async fn revoke(
    sealkeep: &Sealkeep,
    name: String,
    reason: String,
) -> Result<Report, Failure> {
    let request = RevokeVersionRequest { name, reason };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .revoke_version(request)
                .await
        })
        .await?;
    Ok(approval::report(&answer.approval.unwrap_or_default()))
}

pub(super) async fn destroy(
    sealkeep: &Sealkeep,
    name: String,
    reason: String,
) -> Result<Report, Failure> {
    let request = DestroyVersionRequest { name, reason };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .destroy_version(request)
                .await
        })
        .await?;
    Ok(approval::report(&answer.approval.unwrap_or_default()))
}
