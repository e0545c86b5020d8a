//! The PSD2 statement is there and its structure is sound (ETSI TS 119 495).

use sealkeep_profiles::qualified::Severity;

use super::{Case, Finding};

pub(super) fn check(case: &Case<'_>, found: &mut Vec<Finding>) {
    let qualified = case.leaf.qualified();
    match qualified.psd2() {
        None => {
            let detail = "no PSD2 statement (ETSI TS 119 495)";
            found.push(Finding::block("qcs.psd2_missing", detail));
        }
        Some(psd2) if psd2.roles().is_empty() => {
            let detail = "the PSD2 statement names no role";
            found.push(Finding::block("qcs.roles_empty", detail));
        }
        Some(psd2) => nca(case, psd2.nca_id(), found),
    }
    for finding in qualified.findings() {
        let code = format!("qcs.{}", finding.code());
        found.push(match finding.severity() {
            Severity::Error => Finding::block(&code, "structure of the QcStatements"),
            Severity::Warning => Finding::warn(&code, "QcStatements"),
        });
    }
}

/// The authority in the statement is the one in the organization identifier (`PSDDE-BAFIN-...` and `DE-BAFIN`).
fn nca(case: &Case<'_>, nca_id: Option<&str>, found: &mut Vec<Finding>) {
    let organization = case.leaf.organization_identifier().unwrap_or_default();
    let (Some(nca_id), Some(rest)) = (nca_id, organization.strip_prefix("PSD")) else {
        return;
    };
    if !rest
        .strip_prefix(nca_id)
        .is_some_and(|rest| rest.starts_with('-'))
    {
        let detail = "the authority differs from the one in the organization identifier";
        let seen = format!("{nca_id}, {organization}");
        found.push(Finding::warn("nca.consistency", detail).seen(seen));
    }
}
