//! The certificate holds the PSD2 role that the call takes (ETSI TS 119 495 section 5.1; RTS (EU) 2018/389 Art. 34).
//!
//! The bank would refuse it anyway; refused here, the role is named and nothing has left the house. A path that the
//! profile does not know is refused too: a spelling that we do not recognise must not reach a call that the bank does.

use sealkeep_profiles::qualified::Psd2Statement;

use super::{Case, Facts, Unfit};

/// Answers the name of the call.
pub(super) fn check(case: &Case<'_>) -> Result<Option<String>, Unfit> {
    let Facts::Http(request) = case.facts else {
        return Ok(None);
    };
    let profile = &case.destination.profile;
    let operation = case
        .destination
        .bank
        .path_below_base(request.path())
        .and_then(|path| profile.operation(request.method(), path))
        .ok_or_else(|| Unfit::OperationUnknown {
            method: request.method().as_str(),
            path: request.path().to_owned(),
            profile: profile.name().to_owned(),
        })?;
    let held = case
        .certificate
        .qualified()
        .psd2()
        .map(Psd2Statement::roles)
        .unwrap_or_default();
    match &operation.role {
        Some(role) if !held.contains(*role) => Err(Unfit::Role {
            version: case.version.id.clone(),
            operation: operation.name.clone(),
            role: role.to_string(),
            held: if held.is_empty() {
                "none".to_owned()
            } else {
                held.to_string()
            },
        }),
        _ => Ok(Some(operation.name.clone())),
    }
}
