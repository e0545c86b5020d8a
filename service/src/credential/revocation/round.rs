//! When certificates are asked about, and what happens then.
//!
//! In: versions in use, the rules, the time. Out: what issuers say, kept; revoked versions handed to `stop`. Never: a version stopped because somebody does not answer; the turn of the registry
//! held while the network is waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::certificate::Certificate;
use tokio::task::JoinSet;

use super::ask::{Asked, Round};
use super::rules::{Verdict, WhenUnknown, verdict};
use crate::credential::CredentialError;
use crate::credential::checks::{Finding, TrustAnchors};
use crate::domain::{
    Failure, Issued, Revocation, RevocationReason, RevocationSource, RevocationStatus, Statement,
    Version, VersionId, VersionState,
};
use crate::registry::{ChangeError, Registry};

/// Questions under way at once.
const QUESTIONS_MAX: usize = 8;
/// Who did not answer within this time before an activation is not waited for again, seconds.
const RECENT_S: i64 = 60;
/// How long an activation waits for all answers together, seconds.
const ACTIVATION_TIMEOUT_S: u64 = 6;
/// How long what is known about a certificate is kept after it was last asked about, days.
const KEPT_DAYS: i64 = 400;
/// Longest wait between two looks for what is due, seconds: the wall clock may be set.
const LOOK_INTERVAL_MAX_S: i64 = 30;
/// The pause after the store did not answer, seconds.
const STORE_PAUSE_S: u64 = 5;

/// A certificate and the CA that issued it, when that is known.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) certificate: Certificate,
    pub(super) issuer: Option<Certificate>,
}

/// A certificate that was asked about.
#[derive(Debug)]
pub struct Looked {
    /// The certificate.
    pub certificate: Certificate,
    /// What came of it.
    pub asked: Asked,
    /// What is known now.
    pub known: Revocation,
    /// Until when that counts.
    pub counts_until: Timestamp,
}

/// The certificates of a chain that an issuer can revoke: all but roots, which nobody is above.
pub(super) fn subjects(issued: &Issued, trust: &TrustAnchors) -> Vec<Subject> {
    let chain = &issued.chain;
    let revocable = chain
        .iter()
        .enumerate()
        .filter(|(_, one)| !one.is_self_issued());
    let subject = revocable.map(|(at, certificate)| {
        let next = chain.get(at + 1);
        let above = next.filter(|next| certificate.verify_issued_by(next).is_ok());
        Subject {
            issuer: above.cloned().or_else(|| trust.issuer_of(certificate)),
            certificate: certificate.clone(),
        }
    });
    subject.collect()
}

/// Whether anybody would miss a version in this state.
fn is_live(state: VersionState) -> bool {
    use VersionState::{Active, Frozen, Retiring, Staged};
    matches!(state, Staged | Active | Retiring | Frozen)
}

/// Asks when it is due, for ever.
pub async fn keep_asking(registry: Registry) {
    let mut changed = registry.world.subscribe();
    loop {
        let rest_s = match registry.ask_what_is_due().await {
            Ok(next) => rest_s(next, registry.clock.now()),
            Err(error) => {
                tracing::error!(%error, "it cannot be asked what is revoked");
                STORE_PAUSE_S
            }
        };
        let rest = tokio::time::sleep(Duration::from_secs(rest_s));
        tokio::select! {
            () = rest => {}
            change = changed.changed() => if change.is_err() { return },
        }
    }
}

/// How long to rest until then, at least a second.
fn rest_s(next: Option<Timestamp>, now: Timestamp) -> u64 {
    let left_s = next.map_or(i64::MAX, |next| {
        next.as_second().saturating_sub(now.as_second()) + 1
    });
    // Cannot fail: it lies between the two.
    u64::try_from(left_s.clamp(1, LOOK_INTERVAL_MAX_S)).unwrap_or(1)
}

impl Registry {
    /// Asks about the whole chain of a version now, whenever it was last asked about.
    pub async fn check_revocation(
        &self,
        name: &str,
    ) -> Result<(VersionId, Vec<Looked>), CredentialError> {
        let version = self.find(name)?.version;
        let issued = version.issued.as_ref();
        let issued =
            issued.ok_or_else(|| CredentialError::WithoutCertificate(version.id.clone()))?;
        let subjects = subjects(issued, &self.trust);
        let looked = self.look(subjects).await?;
        let rules = self.revocation.rules.of(issued.environment);
        let looked = looked
            .into_iter()
            .map(|(certificate, asked, known)| Looked {
                counts_until: rules.counts_until(&known),
                certificate,
                asked,
                known,
            });
        Ok((version.id.clone(), looked.collect()))
    }

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
        let mut subjects = subjects(issued, &self.trust);
        let all: Vec<_> = subjects.iter().map(|s| s.certificate.clone()).collect();
        subjects.retain(|subject| {
            let known = before.revocations.get(&subject.certificate.sha256());
            known.is_none_or(|known| known.failure.is_none() || known.attempted < recent)
        });
        if !subjects.is_empty() {
            let patience = Duration::from_secs(ACTIVATION_TIMEOUT_S);
            // Who is late has not answered; what was known before counts as long as it does.
            if let Ok(looked) = tokio::time::timeout(patience, self.look(subjects)).await {
                looked?;
            }
        }
        let snapshot = self.world.load();
        let rules = self.revocation.rules.of(issued.environment);
        let findings = all.iter().filter_map(|certificate| {
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

    /// Asks about every certificate in use whose time has come; answers when the next one's does.
    async fn ask_what_is_due(&self) -> Result<Option<Timestamp>, ChangeError> {
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let versions = snapshot.credentials.values().flat_map(|c| &c.versions);
        let live = versions.filter(|version| is_live(version.state));
        let mut all = BTreeMap::new();
        for issued in live.filter_map(|version| version.issued.as_ref()) {
            for certificate in issued.chain.iter().filter(|one| !one.is_self_issued()) {
                let known = snapshot.revocations.get(&certificate.sha256());
                let next = self.revocation.rules.next_look(known);
                all.insert(certificate.sha256(), (next, issued));
            }
        }
        let due = all.iter().filter(|(_, (next, _))| *next <= now);
        let due = due.flat_map(|(sha256, (_, issued))| {
            let of_chain = subjects(issued, &self.trust).into_iter();
            of_chain.filter(|subject| subject.certificate.sha256() == *sha256)
        });
        let due: Vec<_> = due.collect();
        if due.is_empty() {
            return Ok(all.values().map(|(next, _)| *next).min());
        }
        self.look(due).await?;
        // What it says now is looked up at once: the world has changed.
        Ok(Some(now))
    }

    /// Asks, keeps what was said, and stops what is revoked.
    async fn look(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<(Certificate, Asked, Revocation)>, ChangeError> {
        let now = self.clock.now();
        let round = Round::new(self.revocation.fetcher.clone(), now);
        let round = Arc::new(round);
        let mut asking = JoinSet::new();
        let mut waiting = subjects.into_iter().enumerate();
        let mut done = Vec::new();
        loop {
            while asking.len() < QUESTIONS_MAX
                && let Some((at, subject)) = waiting.next()
            {
                let round = round.clone();
                asking.spawn(async move {
                    let asked = match &subject.issuer {
                        Some(issuer) => round.ask(&subject.certificate, issuer).await,
                        None => {
                            Asked::nobody("ISSUER_UNKNOWN", "its issuer is no CA that is known")
                        }
                    };
                    (at, subject.certificate, asked)
                });
            }
            match asking.join_next().await {
                Some(Ok(one)) => done.push(one),
                Some(Err(error)) => {
                    tracing::error!(%error, "a question about revocation broke off")
                }
                None => break,
            }
        }
        done.sort_by_key(|(at, _, _)| *at);
        let snapshot = self.world.load();
        let looked: Vec<_> = done
            .into_iter()
            .map(|(_, certificate, asked)| {
                let before = snapshot.revocations.get(&certificate.sha256());
                let known = after(before, &certificate, &asked.outcome, now);
                self.revocation.meter.asked(&asked);
                (certificate, asked, known)
            })
            .collect();
        self.keep(&looked, now).await?;
        Ok(looked)
    }

    async fn keep(
        &self,
        looked: &[(Certificate, Asked, Revocation)],
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let rows: Vec<_> = looked.iter().map(|(_, _, known)| known.clone()).collect();
        let forget = now - SignedDuration::from_hours(24 * KEPT_DAYS);
        self.world.store().put_revocations(&rows, forget).await?;
        self.world.refresh().await?;
        for (certificate, _, known) in looked {
            if let Some((_, reason)) = known.revoked() {
                self.stop_all(certificate, known, reason).await?;
            }
        }
        Ok(())
    }
}

/// What is known after asking. A word is replaced by a newer one, silence replaces none.
fn after(
    before: Option<&Revocation>,
    certificate: &Certificate,
    outcome: &Result<Statement, Failure>,
    now: Timestamp,
) -> Revocation {
    let kept = || before.and_then(|before| before.statement.clone());
    // A CA that revokes for good cannot take it back; an older answer from a cache must not.
    let for_good = kept().filter(|(statement, _)| {
        matches!(statement.status, RevocationStatus::Revoked { reason, .. }
            if reason != RevocationReason::CertificateHold)
    });
    let said = outcome.as_ref().ok().map(|said| (said.clone(), now));
    Revocation {
        certificate: certificate.sha256(),
        statement: for_good.or(said).or_else(kept),
        asked_first: before.map_or(now, |before| before.asked_first),
        attempted: now,
        failure: outcome.as_ref().err().cloned(),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sealkeep_sandbox::key::KeyKind;

    use super::super::fetch::failure;
    use super::super::foreign::Scene;
    use super::*;

    /// Rows: what was known, what was heard, what is known then.
    #[test]
    fn a_newer_word_replaces_an_older_one_and_silence_replaces_none() {
        use RevocationStatus::{Good, Unknown};
        let scene = Scene::new(KeyKind::EcP256);
        let now = scene.now;
        let revoked = |reason| RevocationStatus::Revoked { at: now, reason };
        let gone = revoked(RevocationReason::KeyCompromise);
        let held = revoked(RevocationReason::CertificateHold);
        let silent = None;
        for (before, heard, wanted) in [
            (None, Some(Good), Some(Good)),
            (None, silent, None),
            (Some(Good), silent, Some(Good)),
            (Some(Good), Some(gone), Some(gone)),
            (Some(Good), Some(Unknown), Some(Unknown)),
            (Some(Unknown), Some(Good), Some(Good)),
            (Some(held), Some(Good), Some(Good)),
            (Some(held), Some(gone), Some(gone)),
            (Some(gone), Some(Good), Some(gone)),
            (Some(gone), Some(held), Some(gone)),
            (Some(gone), silent, Some(gone)),
        ] {
            let statement = |status| Statement {
                source: RevocationSource::Ocsp,
                status,
                this_update: now,
                next_update: None,
            };
            let outcome = heard.map(statement);
            let outcome = outcome.ok_or_else(|| failure("TIMED_OUT", String::new()));
            let before = before.map(|status| Revocation {
                certificate: scene.leaf.sha256(),
                statement: Some((statement(status), now)),
                asked_first: now,
                attempted: now,
                failure: None,
            });
            let later = now + SignedDuration::from_hours(1);
            let known = after(before.as_ref(), &scene.leaf, &outcome, later);
            let found = known.statement.as_ref().map(|(said, _)| said.status);
            assert_eq!(found, wanted, "{before:?} {heard:?}");
            assert_eq!(known.failure.is_some(), heard.is_none());
            assert_eq!(known.attempted, later);
            assert_eq!(known.asked_first, before.map_or(later, |b| b.asked_first));
        }
    }

    #[test]
    fn every_certificate_below_a_root_has_its_issuer() {
        let scene = Scene::new(KeyKind::EcP256);
        let mut trust = TrustAnchors::default();
        let sandbox = crate::domain::Environment::Sandbox;
        let pem = std::fs::read(scene.path().join("root.pem")).unwrap();
        trust.add_pem(sandbox, &pem).unwrap();
        let (leaf, issuing, root) = (&scene.leaf, &scene.issuing, &scene.root);
        let issuers = |chain: &[&Certificate], trust: &TrustAnchors| {
            let issued = Issued {
                chain: chain.iter().map(|one| (*one).clone()).collect(),
                environment: sandbox,
            };
            let found = subjects(&issued, trust).into_iter();
            found.map(|one| one.issuer).collect::<Vec<_>>()
        };
        let both = [Some(issuing.clone()), Some(root.clone())];
        assert_eq!(issuers(&[leaf, issuing], &trust), both);
        assert_eq!(issuers(&[leaf, issuing, root], &trust), both);
        let nobody = TrustAnchors::default();
        let one = [Some(issuing.clone()), None];
        assert_eq!(issuers(&[leaf, issuing], &nobody), one);
    }
}
