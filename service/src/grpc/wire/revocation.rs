//! What issuers say about certificates.

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_proto::v1;

use super::time;
use crate::credential::revocation::{Attempt, Looked, Skipped};
use crate::domain::Revocation;

/// What everybody who was asked just now said.
pub(in crate::grpc) fn looked(looked: &Looked) -> v1::CertificateRevocation {
    let attempts = looked.asked.attempts.iter().map(attempt);
    v1::CertificateRevocation {
        attempts: attempts
            .chain(looked.asked.skipped.iter().map(skipped))
            .collect(),
        ..revocation(&looked.certificate, &looked.known, looked.counts_until)
    }
}

/// What is known of a certificate.
pub(in crate::grpc) fn revocation(
    certificate: &Certificate,
    known: &Revocation,
    counts_until: Timestamp,
) -> v1::CertificateRevocation {
    let status = known
        .statement
        .as_ref()
        .map(|(said, _)| said.status.as_str());
    let revoked = known.revoked();
    v1::CertificateRevocation {
        subject: certificate.subject().rfc2253(),
        serial_number: certificate.serial_hex(),
        sha256: hex::encode(certificate.sha256()),
        status: status.unwrap_or_default().to_owned(),
        revoke_time: revoked.map(|(at, _)| time(at)),
        revoke_reason: revoked.map_or("", |(_, reason)| reason.as_str()).to_owned(),
        count_until_time: Some(time(counts_until)),
        attempts: Vec::new(),
    }
}

fn attempt(attempt: &Attempt) -> v1::RevocationAttempt {
    let (outcome, detail, next_update) = match &attempt.outcome {
        Ok(said) => (said.status.as_str(), "", said.next_update),
        Err(failure) => (failure.reason.as_str(), failure.detail.as_str(), None),
    };
    v1::RevocationAttempt {
        source: attempt.source.as_str().to_owned(),
        url: attempt.url.clone(),
        outcome: outcome.to_owned(),
        detail: detail.to_owned(),
        next_update_time: next_update.map(time),
    }
}

fn skipped(skipped: &Skipped) -> v1::RevocationAttempt {
    v1::RevocationAttempt {
        source: skipped.source.as_str().to_owned(),
        url: skipped.url.clone(),
        outcome: "SKIPPED".to_owned(),
        detail: skipped.why.to_owned(),
        next_update_time: None,
    }
}
