//! Credentials, their versions, and findings.

use sealkeep_profiles::algorithm::PublicKey;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::qualified::Psd2Statement;
use sealkeep_proto::v1;

use super::key::key_origin;
use super::{environment_out, purpose_out, state, time};
use crate::backend::KeyEvidence;
use crate::backend::tokens::{Replica, ReplicaReport};
use crate::credential::Finding;
use crate::domain::{Credential, KeyOrigin, Version};

pub(in crate::grpc) fn credential(credential: &Credential) -> v1::Credential {
    v1::Credential {
        name: credential.name.to_string(),
        purpose: purpose_out(credential.purpose).into(),
        versions: credential.versions.iter().map(|v| version(v)).collect(),
    }
}

/// What a bank that encrypts to us has to know of a decryption version (RFC 7517 section 4); the thumbprint names it.
fn encryption_jwk(version: &Version) -> String {
    // Without a request, and made here: for decryption. Imported keys have certificates.
    let (None, KeyOrigin::Generated, Ok(key)) = (
        &version.csr_der,
        version.origin,
        PublicKey::from_spki_der(&version.spki_der),
    ) else {
        return String::new();
    };
    let mut jwk = key.jwk();
    jwk["use"] = "enc".into();
    jwk["kid"] = key.jwk_sha256().into();
    jwk.to_string()
}

pub(in crate::grpc) fn version(version: &Version) -> v1::Version {
    let issued = version.issued.as_ref();
    v1::Version {
        name: version.id.resource(),
        number: version.id.number,
        state: state(version.state).into(),
        key_algorithm: version.key_algorithm.clone(),
        spki_sha256: hex::encode(version.key.spki_sha256),
        token: version.token_set.clone(),
        protection: Some(protection(&version.evidence)),
        certificate: issued.map(|issued| certificate(issued.leaf())),
        encryption_jwk: encryption_jwk(version),
        key_origin: key_origin(version.origin).into(),
        create_time: Some(time(version.created)),
        environment: issued
            .map_or(v1::Environment::Unspecified, |i| {
                environment_out(i.environment)
            })
            .into(),
    }
}

fn protection(evidence: &KeyEvidence) -> v1::KeyProtection {
    v1::KeyProtection {
        sensitive: evidence.sensitive,
        extractable: evidence.extractable,
        always_sensitive: evidence.always_sensitive,
        never_extractable: evidence.never_extractable,
        local: evidence.local,
    }
}

pub(in crate::grpc) fn replica(report: &ReplicaReport) -> v1::KeyReplica {
    use v1::ReplicaState as S;
    let (state, evidence, problem) = match &report.replica {
        Replica::Proven(evidence) => (S::Proven, Some(protection(evidence)), String::new()),
        Replica::Missing => (S::Missing, None, String::new()),
        Replica::Refused(error) => (S::Refused, None, error.to_string()),
        Replica::Suspect => (S::Suspect, None, String::new()),
        Replica::Unknown => (S::Unknown, None, String::new()),
    };
    v1::KeyReplica {
        token: report.token.clone(),
        state: state.into(),
        required: report.is_required,
        problem,
        protection: evidence,
    }
}

fn certificate(leaf: &Certificate) -> v1::CertificateSummary {
    let psd2 = leaf.qualified().psd2();
    let roles = psd2.map(Psd2Statement::roles).unwrap_or_default();
    v1::CertificateSummary {
        subject: leaf.subject().rfc2253(),
        issuer: leaf.issuer().rfc2253(),
        serial_number: leaf.serial_hex(),
        not_before_time: Some(time(leaf.not_before())),
        not_after_time: Some(time(leaf.not_after())),
        organization_identifier: leaf
            .organization_identifier()
            .unwrap_or_default()
            .to_owned(),
        psd2_roles: roles.iter().map(|role| role.to_string()).collect(),
        nca_id: psd2
            .and_then(Psd2Statement::nca_id)
            .unwrap_or_default()
            .to_owned(),
        sha256: hex::encode(leaf.sha256()),
        x5t_s256: leaf.x5t_s256(),
    }
}

pub(in crate::grpc) fn finding(finding: Finding) -> v1::Finding {
    v1::Finding {
        way_out: finding.way_out().to_owned(),
        code: finding.code,
        blocking: finding.blocking,
        evidence: finding.evidence,
        detail: finding.detail,
    }
}
