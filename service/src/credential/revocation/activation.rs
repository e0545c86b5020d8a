//! What an activation is told about revocation.
//!
//! In: a version. Out: findings, blocking when a certificate is revoked, or when nobody says and the operator wants it so.
//! Never: the turn of the registry held; a wait longer than a person has patience.

use std::time::Duration;

use jiff::SignedDuration;

use super::round::subjects;
use super::rules::{Verdict, WhenUnknown, verdict};
use crate::credential::CredentialError;
use crate::credential::checks::Finding;
use crate::domain::{Revocation, RevocationSource, Version};
use crate::registry::Registry;

/// Who did not answer within this time before is not waited for again, seconds.
const RECENT_S: i64 = 60;
/// How long all answers together are waited for, seconds.
const PATIENCE_S: u64 = 6;

impl Registry {
    /// What an activation should know: what each certificate of the chain is worth by what its issuer says now.
    pub(in crate::credential) async fn revocation_findings(
        &self,
        version: &Version,
    ) -> Result<Vec<Finding>, CredentialError> {
        let Some(issued) = &version.issued else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let recent = now - SignedDuration::from_secs(RECENT_S);
        let before = self.world.load();
        let all = subjects(issued);
        let mut subjects = all.clone();
        subjects.retain(|subject| {
            let known = before.revocations.get(&subject.certificate.sha256());
            known.is_none_or(|known| known.failure.is_none() || known.attempted < recent)
        });
        if !subjects.is_empty() {
            let patience = Duration::from_secs(PATIENCE_S);
            // Who is late has not answered; what was known before counts as long as it does.
            if let Ok(looked) = tokio::time::timeout(patience, self.look(subjects)).await {
                looked?;
            }
        }
        let snapshot = self.world.load();
        let rules = self.revocation.rules.of(issued.environment);
        let findings = all.iter().filter_map(|subject| {
            let certificate = &subject.certificate;
            let known = snapshot.revocations.get(&certificate.sha256());
            let code = code(known);
            let found = match verdict(known, rules, now) {
                Verdict::Good => return None,
                Verdict::Revoked { at, reason } => {
                    let detail = format!("revoked at {at} ({})", reason.as_str());
                    Finding::block(code, detail)
                }
                Verdict::Unknown { why } => Finding {
                    blocking: rules.when_unknown == WhenUnknown::Block,
                    ..Finding::block(code, format!("nobody says whether it is revoked: {why}"))
                },
            };
            let seen = format!(
                "serial {} of {}",
                certificate.serial_hex(),
                certificate.issuer().rfc2253()
            );
            Some(found.seen(seen))
        });
        Ok(findings.collect())
    }
}

/// The code of a finding: by whom it was said, or who should have.
fn code(known: Option<&Revocation>) -> &'static str {
    let statement = known.and_then(|known| known.statement.as_ref());
    match statement.map(|(statement, _)| statement.source) {
        Some(RevocationSource::Crl) => "rev.crl",
        Some(RevocationSource::Ocsp) | None => "rev.ocsp",
    }
}
