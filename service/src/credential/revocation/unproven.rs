//! Why what a QTSP sent proves nothing about a certificate.

use jiff::{SignedDuration, Timestamp};

/// How far our clock and a responder's may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// How long a statement without nextUpdate counts: its maker always has news (RFC 6960 section 4.2.2.1).
const WITHOUT_NEXT_UPDATE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Why an answer or a list proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Not what the standard lays out.
    #[error("it cannot be read: {0}")]
    Malformed(&'static str),
    /// The responder answers with an error (RFC 6960 section 4.2.1).
    #[error("the responder answers `{0}`")]
    Declined(&'static str),
    /// The signature does not verify.
    #[error("its signature: {0}")]
    Signature(sealkeep_profiles::certificate::IssuanceError),
    /// Signed by somebody whom the issuer has not authorised.
    #[error("its signer may not speak for the issuer: {0}")]
    Signer(&'static str),
    /// It speaks about another certificate.
    #[error("it says nothing about this certificate")]
    OtherCertificate,
    /// It answers another question.
    #[error("it answers another question: the nonce differs")]
    NonceDiffers,
    /// Made after now.
    #[error("it is from the future: {0}")]
    FromTheFuture(Timestamp),
    /// There should be a newer one.
    #[error("it is outdated: a newer one was due at {0}")]
    Outdated(Timestamp),
    /// Only the changes since another list.
    #[error("it is a delta CRL, which says nothing alone")]
    Delta,
    /// It also lists what others issued.
    #[error("it is an indirect CRL")]
    Indirect,
    /// It does not cover this certificate, or not every reason.
    #[error("it covers only {0}")]
    Partial(&'static str),
    /// A critical extension that nothing here reads.
    #[error("its critical extension {0} is unknown")]
    CriticalUnknown(String),
}

impl Unproven {
    /// The stable reason word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "MALFORMED",
            Self::Declined(_) => "RESPONDER_DECLINED",
            Self::Signature(_) => "SIGNATURE_INVALID",
            Self::Signer(_) => "SIGNER_UNAUTHORISED",
            Self::OtherCertificate => "OTHER_CERTIFICATE",
            Self::NonceDiffers => "NONCE_DIFFERS",
            Self::FromTheFuture(_) => "FROM_THE_FUTURE",
            Self::Outdated(_) => "OUTDATED",
            Self::Delta => "CRL_DELTA",
            Self::Indirect => "CRL_INDIRECT",
            Self::Partial(_) => "CRL_PARTIAL",
            Self::CriticalUnknown(_) => "CRITICAL_EXTENSION",
        }
    }
}

/// Refuses what is not made yet.
pub(super) fn check_made(at: Timestamp, now: Timestamp) -> Result<(), Unproven> {
    match at.duration_since(now) > SKEW {
        true => Err(Unproven::FromTheFuture(at)),
        false => Ok(()),
    }
}

/// Refuses what is not made yet, and what should have been followed by a newer one.
pub(super) fn check_period(
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Unproven> {
    check_made(this_update, now)?;
    let ends = next_update.unwrap_or_else(|| {
        let ends = this_update.saturating_add(WITHOUT_NEXT_UPDATE_MAX);
        ends.unwrap_or(Timestamp::MAX)
    });
    match now.duration_since(ends) > SKEW {
        true => Err(Unproven::Outdated(ends)),
        false => Ok(()),
    }
}

/// Whether a moment lies within a certificate's life, give or take the difference of two clocks.
pub(super) fn is_valid_at(
    certificate: &sealkeep_profiles::certificate::Certificate,
    now: Timestamp,
) -> bool {
    certificate.not_before().duration_since(now) <= SKEW
        && now.duration_since(certificate.not_after()) <= SKEW
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_period_is_kept_give_or_take_five_minutes() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let at = |minutes: i64| now + SignedDuration::from_mins(minutes);
        let cases = [
            (at(-60), Some(at(60)), "ok"),
            (at(5), Some(at(60)), "ok"),
            (at(6), Some(at(60)), "FROM_THE_FUTURE"),
            (at(-60), Some(at(-5)), "ok"),
            (at(-60), Some(at(-6)), "OUTDATED"),
            (at(-24 * 60), None, "ok"),
            (at(-24 * 60 - 6), None, "OUTDATED"),
        ];
        for (this_update, next_update, wanted) in cases {
            let found = check_period(this_update, next_update, now);
            let found = found.map_or_else(|error| error.reason(), |()| "ok");
            assert_eq!(found, wanted, "{this_update} {next_update:?}");
        }
    }
}
