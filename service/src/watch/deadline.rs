//! What ends within hours or days, and is not renewed like a certificate: approvals that wait for a second person, QTSPs
//! that are asked for something, and what issuers last said about certificates.
//!
//! In: what is known. Out: [`Expiry`] values, for the alerts only. They are no part of the list of what ends: whoever asks
//! that list what ends within 60 days wants to know what to order.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::expiry::{Expiry, Kind};
use super::revocation::Revocable;
use crate::domain::{Approval, Enrolment, EnrolmentState, Standing};

/// The words of issuers, each ending when it counts no more. It begins when it was fetched, so that a newer word is another
/// thing that ends, and a QTSP that answers each night is never told of.
pub(super) fn statements(revocables: &[Revocable<'_>]) -> Vec<Expiry> {
    let heard = revocables
        .iter()
        .filter(|one| one.in_use && one.has_source() && one.known.revoked().is_none());
    let expiry = heard.map(|one| {
        let fetched = one.known.statement.as_ref().map(|(_, fetched)| *fetched);
        let begin = fetched.unwrap_or(one.known.asked_first);
        let certificate = one.certificate;
        Expiry {
            name: one.name.clone(),
            sha256: fingerprint(&certificate.sha256(), begin),
            subject: certificate.subject().rfc2253(),
            issuer: certificate.issuer().rfc2253(),
            serial_number: certificate.serial_hex(),
            versions: one.versions.clone(),
            banks: one.banks.clone(),
            ..bare(Kind::RevocationStatement, begin, one.counts_until)
        }
    });
    expiry.collect()
}

/// Approvals that lapse when nobody decides.
pub(super) fn approvals(approvals: &[Approval], now: Timestamp) -> Vec<Expiry> {
    let waiting = approvals
        .iter()
        .filter(|approval| approval.standing(now) == Standing::Pending);
    let expiry = waiting.map(|approval| {
        let version = approval.version.to_string();
        Expiry {
            name: format!("{} {version}", approval.verb.as_str()),
            sha256: fingerprint(approval.id.as_str().as_bytes(), approval.created),
            versions: vec![version],
            ..bare(Kind::Approval, approval.created, approval.expires)
        }
    });
    expiry.collect()
}

/// What QTSPs should have done by now, and have not: told of when it is due, and every day after.
pub(super) fn enrolments(enrolments: &[Enrolment], now: Timestamp) -> Vec<Expiry> {
    let overdue = enrolments
        .iter()
        .filter(|one| one.state == EnrolmentState::Pending && one.due <= now);
    let expiry = overdue.map(|one| {
        let version = one.version.to_string();
        Expiry {
            name: format!("{version} by {}", one.enroller),
            sha256: fingerprint(version.as_bytes(), one.created),
            versions: vec![version],
            ..bare(Kind::Enrolment, one.created, one.due)
        }
    });
    expiry.collect()
}

/// A life without a certificate.
pub(super) fn bare(kind: Kind, begin: Timestamp, end: Timestamp) -> Expiry {
    Expiry {
        kind,
        name: String::new(),
        sha256: [0; 32],
        subject: String::new(),
        issuer: String::new(),
        serial_number: String::new(),
        begin,
        end,
        state: None,
        versions: Vec::new(),
        banks: Vec::new(),
    }
}

/// What tells a life from the next one of the same thing.
pub(super) fn fingerprint(thing: &[u8], begin: Timestamp) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(thing);
    hash.update(begin.as_microsecond().to_be_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::SignedDuration;

    use super::super::alert::due;
    use super::*;
    use crate::domain::{ApprovalId, CallerName, Name, Verb, VersionId, Wish};

    /// Told of while a second person can still act, and not once it has lapsed: nothing can be done then.
    #[test]
    fn an_approval_is_told_of_before_it_lapses() {
        let created: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let at = |seconds| created + SignedDuration::from_secs(seconds);
        let mut approval = Approval {
            id: ApprovalId::random(),
            verb: Verb::Unfreeze,
            version: VersionId::from_resource("credentials/seal/versions/1").unwrap(),
            author: CallerName::try_from("spiffe://a.example/b".to_owned()).unwrap(),
            reason: "false alarm".to_owned(),
            created,
            expires: at(600),
            stored: Standing::Pending,
            decided_by: None,
            due: None,
            outcome: String::new(),
        };
        let told = |approval: &Approval, now| {
            let ending = approvals(std::slice::from_ref(approval), now);
            due(&ending, &HashSet::new(), now)
        };
        assert!(told(&approval, at(300)).is_empty());
        let alerts = told(&approval, at(510));
        assert_eq!(alerts[0].event(), "approval.expiring");
        assert_eq!(alerts[0].name, "unfreeze seal@1");
        assert_eq!(alerts[0].severity.as_str(), "warning");
        assert!(told(&approval, at(601)).is_empty());
        approval.stored = Standing::Approved;
        assert!(told(&approval, at(420)).is_empty());
    }

    /// Told of when the certificate should be there, once a day for a week, and no more once it is.
    #[test]
    fn a_qtsp_that_is_late_is_told_of_every_day() {
        let created: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let day = |days: i64| created + SignedDuration::from_hours(24 * days);
        let mut enrolment = Enrolment {
            version: VersionId::from_resource("credentials/seal/versions/2").unwrap(),
            wish: Wish::Certificate,
            enroller: Name::try_from("by-hand").unwrap(),
            author: CallerName::try_from("spiffe://a.example/b".to_owned()).unwrap(),
            state: EnrolmentState::Pending,
            ticket: None,
            attempts: 0,
            next: created,
            detail: String::new(),
            created,
            due: day(14),
        };
        let mut fired = HashSet::new();
        let mut told = |enrolment: &Enrolment, days| {
            let ending = enrolments(std::slice::from_ref(enrolment), day(days));
            let alerts = due(&ending, &fired, day(days));
            fired.extend(alerts.iter().map(|alert| alert.id.clone()));
            alerts
        };
        assert!((0..14).all(|days| told(&enrolment, days).is_empty()));
        let first = told(&enrolment, 14);
        assert_eq!(first[0].event(), "enrolment.overdue");
        assert_eq!(first[0].name, "seal@2 by by-hand");
        assert_eq!(first[0].severity.as_str(), "warning");
        assert!((15..22).all(|days| told(&enrolment, days).len() == 1));
        assert!(told(&enrolment, 22).is_empty());
        enrolment.state = EnrolmentState::Installed;
        assert!(told(&enrolment, 15).is_empty());
    }
}
