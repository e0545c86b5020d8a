//! When certificates are asked about, and what happens then.
//!
//! In: versions in use, the rules, the time. Out: what issuers say, kept; then `stop` does its work. Never: a version
//! stopped because somebody does not answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::certificate::Certificate;
use tokio::task::JoinSet;

use super::ask::{Asked, Round};
use crate::credential::CredentialError;
use crate::credential::checks::TrustAnchors;
use crate::domain::{
    Failure, Issued, Revocation, RevocationReason, RevocationStatus, Statement, VersionId,
};
use crate::registry::{ChangeError, Registry};

/// Questions under way at once.
const QUESTIONS_MAX: usize = 8;
/// How long what is known about a certificate is kept after it was last asked about, days.
const KEPT_DAYS: i64 = 400;
/// Longest wait between two looks for what is due, seconds: the wall clock may be set.
const LOOK_INTERVAL_MAX_S: i64 = 30;
/// The pause after the store did not answer, seconds.
const STORE_PAUSE_S: u64 = 5;

/// A certificate that an issuer can revoke.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) certificate: Certificate,
    /// The next one in its chain.
    above: Option<Certificate>,
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
pub(super) fn subjects(issued: &Issued) -> Vec<Subject> {
    let chain = issued.chain.iter().enumerate();
    let revocable = chain.filter(|(_, one)| !one.is_self_issued());
    let subject = revocable.map(|(at, certificate)| Subject {
        certificate: certificate.clone(),
        above: issued.chain.get(at + 1).cloned(),
    });
    subject.collect()
}

impl Subject {
    /// The CA that issued it: the next one in the chain, or an anchor.
    fn issuer(&self, trust: &TrustAnchors) -> Option<Certificate> {
        let above = self.above.as_ref();
        let above = above.filter(|above| self.certificate.verify_issued_by(above).is_ok());
        above
            .cloned()
            .or_else(|| trust.issuer_of(&self.certificate))
    }
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
        let looked = self.look(subjects(issued)).await?;
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

    /// Asks about every certificate in use whose time has come; answers when the next one's does.
    async fn ask_what_is_due(&self) -> Result<Option<Timestamp>, ChangeError> {
        // Whoever learned of it before may not have come to this.
        self.stop_what_is_revoked().await?;
        let (snapshot, now) = (self.world.load(), self.clock.now());
        let versions = snapshot.credentials.values().flat_map(|c| &c.versions);
        let live = versions.filter(|version| version.state.is_live());
        let mut all = BTreeMap::new();
        for subject in live.filter_map(|v| v.issued.as_ref()).flat_map(subjects) {
            let sha256 = subject.certificate.sha256();
            let next = self
                .revocation
                .rules
                .next_look(snapshot.revocations.get(&sha256));
            all.insert(sha256, (next, subject));
        }
        let (due, later): (Vec<_>, Vec<_>) = all.into_values().partition(|(next, _)| *next <= now);
        if due.is_empty() {
            return Ok(later.into_iter().map(|(next, _)| next).min());
        }
        self.look(due.into_iter().map(|(_, subject)| subject).collect())
            .await?;
        Ok(Some(now))
    }

    /// Asks, keeps what was said, and stops what is revoked.
    pub(super) async fn look(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<(Certificate, Asked, Revocation)>, ChangeError> {
        let now = self.clock.now();
        let round = Arc::new(Round::new(self.revocation.fetcher.clone(), now));
        let mut asking = JoinSet::new();
        let mut waiting = subjects.into_iter().enumerate();
        let mut done = Vec::new();
        loop {
            while asking.len() < QUESTIONS_MAX
                && let Some((at, subject)) = waiting.next()
            {
                let (round, trust) = (round.clone(), self.trust.clone());
                asking.spawn(async move {
                    let asked = match subject.issuer(&trust) {
                        Some(issuer) => round.ask(&subject.certificate, &issuer).await,
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
        let rows: Vec<_> = looked.iter().map(|(_, _, known)| known.clone()).collect();
        self.keep(&rows, now).await?;
        Ok(looked)
    }

    async fn keep(&self, rows: &[Revocation], now: Timestamp) -> Result<(), ChangeError> {
        let forget = now - SignedDuration::from_hours(24 * KEPT_DAYS);
        self.world.store().put_revocations(rows, forget).await?;
        self.world.refresh().await?;
        self.stop_what_is_revoked().await
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sealkeep_sandbox::key::KeyKind;

    use super::super::fetch::failure;
    use super::super::foreign::Scene;
    use super::*;
    use crate::domain::RevocationSource;

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
            let found = subjects(&issued).into_iter();
            found.map(|one| one.issuer(trust)).collect::<Vec<_>>()
        };
        let both = [Some(issuing.clone()), Some(root.clone())];
        assert_eq!(issuers(&[leaf, issuing], &trust), both);
        assert_eq!(issuers(&[leaf, issuing, root], &trust), both);
        let nobody = TrustAnchors::default();
        let one = [Some(issuing.clone()), None];
        assert_eq!(issuers(&[leaf, issuing], &nobody), one);
    }
}
