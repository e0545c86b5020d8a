//! What is said of private keys.

use sealkeep_proto::v1;

use super::time;
use crate::backend::KeyEvidence;
use crate::credential::Attestation;
use crate::domain::KeyOrigin;

pub(in crate::grpc) fn key_origin(origin: KeyOrigin) -> v1::KeyOrigin {
    match origin {
        KeyOrigin::Generated => v1::KeyOrigin::Generated,
        KeyOrigin::Imported => v1::KeyOrigin::Imported,
    }
}

pub(in crate::grpc) fn attestation(attestation: Attestation) -> v1::AttestKeyResponse {
    let Attestation {
        version,
        at,
        evidence,
        token,
        audit_record,
    } = attestation;
    v1::AttestKeyResponse {
        version: version.id.resource(),
        origin: key_origin(version.origin).into(),
        key_algorithm: version.key_algorithm.clone(),
        key_id: version.key.id.to_string(),
        spki_der: version.spki_der.clone(),
        spki_sha256: hex::encode(version.key.spki_sha256),
        create_time: Some(time(version.created)),
        created: Some(attributes(&version.evidence)),
        attest_time: Some(time(at)),
        attested: Some(attributes(&evidence)),
        token: token.name,
        token_label: token.label,
        token_serial: token.serial,
        token_manufacturer: token.manufacturer,
        module: token.module,
        audit_record,
    }
}

fn attributes(evidence: &KeyEvidence) -> v1::KeyAttributes {
    let limits = evidence.limits;
    v1::KeyAttributes {
        sensitive: evidence.sensitive,
        extractable: evidence.extractable,
        always_sensitive: evidence.always_sensitive,
        never_extractable: evidence.never_extractable,
        local: evidence.local,
        sign: limits.sign,
        decrypt: limits.decrypt,
        unwrap: limits.unwrap,
        derive: limits.derive,
        modifiable: limits.modifiable,
        copyable: limits.copyable,
        mechanisms_limited: limits.mechanisms,
    }
}
