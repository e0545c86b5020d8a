//! What ends, and who was told.

use sealkeep_proto::v1;

use super::{state, time};
use crate::watch::{Alert, Expiry, Severity, steps};

pub(in crate::grpc) fn expiry(expiry: &Expiry) -> v1::Expiry {
    let first = steps(expiry.begin, expiry.end).into_iter().next();
    v1::Expiry {
        kind: expiry.kind.as_str().to_owned(),
        name: expiry.name.clone(),
        end_time: Some(time(expiry.end)),
        state: expiry
            .state
            .map_or(v1::VersionState::Unspecified, state)
            .into(),
        banks: expiry.banks.clone(),
        start_time: Some(time(expiry.begin)),
        subject: expiry.subject.clone(),
        issuer: expiry.issuer.clone(),
        serial_number: expiry.serial_number.clone(),
        sha256: hex::encode(expiry.sha256),
        versions: expiry.versions.clone(),
        renew_time: first.map(|step| time(step.at)),
    }
}

pub(in crate::grpc) fn alert(alert: &Alert) -> v1::Alert {
    let severity = match alert.severity {
        Severity::Info => v1::Severity::Info,
        Severity::Warning => v1::Severity::Warning,
        Severity::Critical => v1::Severity::Critical,
        Severity::Page => v1::Severity::Page,
    };
    v1::Alert {
        id: alert.id.clone(),
        kind: alert.kind.as_str().to_owned(),
        name: alert.name.clone(),
        end_time: Some(time(alert.end_time)),
        threshold: alert.threshold.as_str().to_owned(),
        severity: severity.into(),
        raise_time: Some(time(alert.raise_time)),
        versions: alert.versions.clone(),
        banks: alert.banks.clone(),
    }
}
