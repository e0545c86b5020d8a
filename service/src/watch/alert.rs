//! Who should be told what, now.
//!
//! In: everything that ends, what was told already, the time. Out: [`Alert`]s. [`due`] is pure; what was told is kept in
//! the store by their ids, so that no restart tells anything twice.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::expiry::{Expiry, Kind};
use super::revocation::Revocable;
use super::threshold::{Severity, Threshold, steps};

/// Bytes of the fingerprint in an id; enough that no two certificates of one installation share them.
const FINGERPRINT_BYTES: usize = 8;

/// One thing told once: this ends, and it is that late. What is stored and sent is this, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The same for the same certificate and threshold for ever: `version-5f0c…-90d`.
    pub id: String,
    /// What kind of thing ends.
    pub kind: Kind,
    /// The version, the subject name of a certificate, or what a secret or an approval is for.
    pub name: String,
    /// SHA-256 of the certificate, hexadecimal; of another kind of thing, what tells it from its successor.
    pub sha256: String,
    /// When its life began.
    pub begin_time: Timestamp,
    /// When it ends; when it was revoked, for one that was.
    pub end_time: Timestamp,
    /// The threshold that was passed.
    pub threshold: Threshold,
    /// How much it matters.
    pub severity: Severity,
    /// When it was raised.
    pub raise_time: Timestamp,
    /// The versions that cannot be used afterwards.
    pub versions: Vec<String>,
    /// The banks those are bound to.
    pub banks: Vec<String>,
}

/// What is due now and was not told yet: of each thing that ends, the last threshold passed. A service that slept
/// through three of them tells one thing, not three.
pub fn due(expiries: &[Expiry], fired: &HashSet<String>, now: Timestamp) -> Vec<Alert> {
    let due = expiries.iter().filter_map(|expiry| {
        let passed = steps(expiry.begin, expiry.end)
            .into_iter()
            .rfind(|step| step.at <= now)?;
        let id = id(expiry, &passed.threshold);
        (!fired.contains(&id)).then(|| alert(id, expiry, passed.threshold, now))
    });
    due.collect()
}

fn id(expiry: &Expiry, threshold: &Threshold) -> String {
    let fingerprint = hex::encode(&expiry.sha256[..FINGERPRINT_BYTES]);
    let threshold = threshold.as_str().replace('/', "-");
    format!("{}-{fingerprint}-{threshold}", expiry.kind.as_str())
}

fn alert(id: String, expiry: &Expiry, threshold: Threshold, now: Timestamp) -> Alert {
    Alert {
        id,
        kind: expiry.kind,
        name: expiry.name.clone(),
        sha256: hex::encode(expiry.sha256),
        begin_time: expiry.begin,
        end_time: expiry.end,
        threshold,
        severity: Severity::of(expiry.begin, expiry.end, now).min(expiry.kind.severity_max()),
        raise_time: now,
        versions: expiry.versions.clone(),
        banks: expiry.banks.clone(),
    }
}

/// Certificates that their issuers revoked, and that was not told yet.
pub(super) fn revoked(
    revocables: &[Revocable<'_>],
    fired: &HashSet<String>,
    now: Timestamp,
) -> Vec<Alert> {
    let alert = |one: &Revocable<'_>| {
        let (at, _) = one.known.revoked()?;
        let sha256 = hex::encode(one.certificate.sha256());
        let id = format!(
            "revoked-{}-{}",
            &sha256[..2 * FINGERPRINT_BYTES],
            at.as_second()
        );
        (!fired.contains(&id)).then(|| Alert {
            id,
            kind: one.kind,
            name: one.name.clone(),
            sha256,
            begin_time: one.certificate.not_before(),
            end_time: at,
            threshold: Threshold::revoked(),
            severity: Severity::Page,
            raise_time: now,
            versions: one.versions.clone(),
            banks: one.banks.clone(),
        })
    };
    revocables.iter().filter_map(alert).collect()
}

impl Alert {
    /// The type of the event, dot-separated as Standard Webhooks has it.
    pub fn event(&self) -> &'static str {
        let ended = self.end_time <= self.raise_time;
        match (self.kind, ended) {
            _ if self.threshold.is_revoked() => "certificate.revoked",
            (Kind::Secret, false) => "secret.expiring",
            (Kind::Secret, true) => "secret.expired",
            (Kind::Approval, false) => "approval.expiring",
            (Kind::Approval, true) => "approval.expired",
            // Nobody is told before it is due.
            (Kind::Enrolment, _) => "enrolment.overdue",
            (Kind::RevocationStatement, false) => "revocation_statement.expiring",
            (Kind::RevocationStatement, true) => "revocation_statement.expired",
            (Kind::TrustedList, false) => "trusted_list.expiring",
            (Kind::TrustedList, true) => "trusted_list.expired",
            (_, false) => "certificate.expiring",
            (_, true) => "certificate.expired",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const DAY_S: i64 = 86_400;

    pub(in crate::watch) fn expiry(kind: Kind, name: &str, begin: Timestamp, days: i64) -> Expiry {
        let mut sha256 = [0; 32];
        sha256[..name.len().min(32)].copy_from_slice(&name.as_bytes()[..name.len().min(32)]);
        Expiry {
            kind,
            name: name.to_owned(),
            sha256,
            subject: name.to_owned(),
            issuer: "CN=QTSP".to_owned(),
            serial_number: "01".to_owned(),
            begin,
            end: begin + SignedDuration::from_secs(days * DAY_S),
            state: None,
            versions: vec![name.to_owned()],
            banks: vec!["bank".to_owned()],
        }
    }

    fn start() -> Timestamp {
        "2026-11-24T00:00:00Z".parse().unwrap()
    }

    fn live(expiries: &[Expiry], nows: impl Iterator<Item = Timestamp>) -> Vec<Alert> {
        let mut fired = HashSet::new();
        let mut told = Vec::new();
        for now in nows {
            let alerts = due(expiries, &fired, now);
            fired.extend(alerts.iter().map(|alert| alert.id.clone()));
            told.extend(alerts);
        }
        told
    }

    fn hours(days: i64) -> impl Iterator<Item = Timestamp> {
        (0..days * 24).map(|hour| start() + SignedDuration::from_hours(hour))
    }

    #[test]
    fn a_year_is_told_of_step_by_step() {
        let told = live(
            &[expiry(Kind::Version, "acme-seal@1", start(), 365)],
            hours(400),
        );
        let told: Vec<_> = told
            .iter()
            .map(|a| (a.threshold.as_str(), a.severity.as_str(), a.event()))
            .collect();
        let (soon, over) = ("certificate.expiring", "certificate.expired");
        assert_eq!(
            told[..5],
            [
                ("1/3", "info", soon),
                ("1/6", "info", soon),
                ("1/12", "info", soon),
                ("14d", "warning", soon),
                ("7d", "critical", soon),
            ]
        );
        assert_eq!(told[10], ("1d", "page", soon));
        assert_eq!(told[11], ("0d", "page", over));
        assert_eq!(told.last(), Some(&("-7d", "page", over)));
        assert_eq!(told.len(), 19);
    }

    #[test]
    fn a_service_that_slept_tells_the_last_step_only() {
        let expiries = [expiry(Kind::Chain, "CN=CA", start(), 3_650)];
        let days = |days: i64| start() + SignedDuration::from_hours(24 * days);
        let told = live(&expiries, [days(1), days(3_645), days(3_645)].into_iter());
        let told: Vec<_> = told.iter().map(|a| a.threshold.as_str()).collect();
        assert_eq!(told, ["5d"]);
    }

    #[test]
    fn a_renewed_certificate_is_told_of_anew() {
        let old = expiry(Kind::ServerCertificate, "CN=a", start(), 100);
        let mut new = old.clone();
        new.sha256 = [7; 32];
        let now = old.end;
        let fired = due(&[old], &HashSet::new(), now);
        let fired: HashSet<_> = fired.into_iter().map(|alert| alert.id).collect();
        assert_eq!(due(&[new], &fired, now).len(), 1);
    }

    proptest! {
        /// However irregularly it is asked: nothing twice, and never two of one thing at once.
        #[test]
        fn nothing_is_told_twice(days in 1_i64..800, mut asked in prop::collection::vec(0_i64..900 * DAY_S, 1..60)) {
            asked.sort_unstable();
            let expiries = [
                expiry(Kind::Version, "a@1", start(), days),
                expiry(Kind::CallerCa, "CN=a", start(), days * 2),
            ];
            let nows = asked.iter().map(|s| start() + SignedDuration::from_secs(*s));
            let told = live(&expiries, nows);
            let ids: HashSet<_> = told.iter().map(|alert| &alert.id).collect();
            prop_assert_eq!(ids.len(), told.len());
            let moments: HashSet<_> = told.iter().map(|alert| (alert.kind.as_str(), alert.raise_time)).collect();
            prop_assert_eq!(moments.len(), told.len());
        }
    }
}
