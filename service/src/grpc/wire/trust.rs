//! Trusted lists.

use jiff::Timestamp;
use sealkeep_proto::v1;

use super::{environment_out, time};
use crate::credential::Listed;
use crate::trust::{Imported, ListKind, Service};

pub(in crate::grpc) fn trusted_list(imported: &Imported) -> v1::TrustedList {
    let list = &imported.list;
    let kind = match list.kind {
        ListKind::ListOfLists => v1::TrustedListKind::ListOfLists,
        ListKind::National => v1::TrustedListKind::National,
    };
    v1::TrustedList {
        name: imported.id.to_string(),
        kind: kind.into(),
        environment: environment_out(imported.id.environment).into(),
        format_version: list.version,
        sequence_number: list.sequence_number,
        operator: list.operator.clone(),
        issue_time: Some(time(list.issued)),
        next_update_time: Some(time(list.next_update)),
        import_time: Some(time(imported.imported)),
        file_sha256: hex::encode(imported.file_sha256),
        signer_spki_sha256: hex::encode(list.signer_spki_sha256),
        service_count: u32::try_from(list.services.len()).unwrap_or(u32::MAX),
        skipped_count: list.skipped.count,
    }
}

/// Empty when only a pinned anchor vouches.
pub(in crate::grpc) fn trust_basis(listed: Option<&Listed>) -> v1::TrustBasis {
    let Some(Listed { list, listing }) = listed else {
        return v1::TrustBasis::default();
    };
    v1::TrustBasis {
        trusted_list: list.to_string(),
        sequence_number: listing.sequence_number,
        provider: listing.provider.clone(),
        service: listing.service.clone(),
        granted_time: Some(time(listing.since)),
        qscd: listing.qscd,
    }
}

pub(in crate::grpc) fn trusted_service(service: &Service, now: Timestamp) -> v1::TrustedService {
    let period = service.at(now);
    let subjects = service.certificates.iter().map(|c| c.subject().rfc2253());
    v1::TrustedService {
        provider: service.provider.clone(),
        name: service.name.clone(),
        status: period.map(|p| p.status.clone()).unwrap_or_default(),
        status_time: period.map(|period| time(period.begin)),
        issues_for: period.map(|p| p.issues_for.clone()).unwrap_or_default(),
        subjects: subjects.collect(),
    }
}
