//! When certificates are asked about, and what happens then.
//!
//! In: versions in use, the rules, the time. Out: what issuers say, kept; versions whose certificate is revoked stopped,
//! with a record that names nobody. Never: a version stopped because somebody does not answer; the turn of the registry
//! held while the network is waited for.
//!
//! A revoked certificate is a fact that banks can see too: they refuse it, and a seal under it proves nothing. So the
//! version becomes `Revoked` at once and for ever, as if two officers had said so, and signing with it stops. A suspended
//! one (`certificate-hold`) may come back and becomes `Frozen`; officers unfreeze it. A revoked CA above it only raises
//! the alarm: banks may know another way to a root, and whole firms would stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::certificate::Certificate;
use serde_json::json;
use tokio::task::JoinSet;

use super::ask::{Asked, Round};
use super::rules::{Verdict, WhenUnknown, verdict};
use crate::audit::Event;
use crate::credential::CredentialError;
use crate::credential::checks::{Finding, TrustAnchors};
use crate::credential::state::{self, Happening};
use crate::domain::{
    CallerName, Failure, Issued, Revocation, RevocationReason, RevocationSource, RevocationStatus,
    Statement, Version, VersionId, VersionState,
};
use crate::registry::{ChangeError, Registry};
use crate::store::{StateChange, StoreError};

/// Questions under way at once.
const QUESTIONS_MAX: usize = 8;
/// Who did not answer within this time before an activation is not waited for again, seconds.
const RECENT_S: i64 = 60;
/// How long an activation waits for all answers together, seconds.
const ACTIVATION_TIMEOUT_S: u64 = 8;
/// How long what is known about a certificate is kept after it was last asked about, days.
const KEPT_DAYS: i64 = 400;
/// Longest wait between two looks for what is due, seconds: the wall clock may be set.
const LOOK_INTERVAL_MAX_S: i64 = 30;
/// The pause after the store did not answer, seconds.
const STORE_PAUSE_S: u64 = 5;
/// How often stopping a version is tried when somebody else changes it at the same moment.
const STOP_ATTEMPTS_MAX: u32 = 4;

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
            let Some((_, reason)) = known.revoked() else {
                continue;
            };
            let snapshot = self.world.load();
            let versions = snapshot.credentials.values().flat_map(|c| &c.versions);
            let ours = versions.filter(|version| {
                let leaf = version.issued.as_ref().map(|issued| issued.leaf());
                leaf.is_some_and(|leaf| leaf.sha256() == certificate.sha256())
            });
            for version in ours {
                self.stop_revoked(&version.id, certificate, known, reason)
                    .await?;
            }
        }
        Ok(())
    }

    /// Takes a version whose certificate is revoked out of use. Like freezing, it waits for nobody.
    async fn stop_revoked(
        &self,
        id: &VersionId,
        certificate: &Certificate,
        known: &Revocation,
        reason: RevocationReason,
    ) -> Result<(), ChangeError> {
        let happening = match reason {
            RevocationReason::CertificateHold => Happening::Frozen,
            _ => Happening::Revoked,
        };
        for attempt in 1.. {
            let snapshot = self.world.load();
            let version = snapshot.credentials.get(&id.credential);
            let Some(version) = version.and_then(|c| c.version(id.number)) else {
                return Ok(());
            };
            // One that signs no more for another reason stays as it is.
            let Ok(to) = state::next(version.state, happening) else {
                return Ok(());
            };
            let (from, id) = (version.state, id.clone());
            let change = StateChange { id, from, to };
            let data = record(version, certificate, known, to);
            let write = self.world.store().change_state(&change);
            match self
                .change(None::<&CallerName>, Event::RevocationFound, data, write)
                .await
            {
                Err(ChangeError::Store(StoreError::ChangedMeanwhile(_)))
                    if attempt < STOP_ATTEMPTS_MAX =>
                {
                    self.world.refresh().await?;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    tracing::error!(version = %version.id, state = to.as_str(), reason = reason.as_str(),
                        "certificate revoked by its issuer; the version signs no more");
                    return Ok(());
                }
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// What the audit log keeps: enough to ask the issuer why.
fn record(
    version: &Version,
    certificate: &Certificate,
    known: &Revocation,
    to: VersionState,
) -> serde_json::Value {
    let statement = known.statement.as_ref().map(|(statement, _)| statement);
    let at = known.revoked().map(|(at, _)| at);
    json!({
        "version": version.id.to_string(),
        "state": to.as_str(),
        "certificate_sha256": hex::encode(certificate.sha256()),
        "serial_number": certificate.serial_hex(),
        "source": statement.map(|s| s.source.as_str()),
        "revoke_time": at,
        "reason": known.revoked().map(|(_, reason)| reason.as_str()),
        "this_update": statement.map(|s| s.this_update),
    })
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
