//! Wire messages to domain values and back.

use std::collections::BTreeSet;

use jiff::Timestamp;
use prost_types::Timestamp as WireTime;
use sealkeep_profiles::algorithm::{HashAlgorithm, PublicKey};
use sealkeep_profiles::qualified::Psd2Statement;
use sealkeep_proto::v1;
use tonic::Status;

use super::error::invalid;
use crate::backend::KeySpec;
use crate::domain::{
    Bank, Caller, CallerName, Credential, Environment, GrantRule, Host, Name, Operation, Procedure,
    Purpose, Role, RotationTerms, Version, VersionState,
};
use crate::watch::{Alert, Expiry, Severity, steps};
use crate::world::Destination;

/// A name from the wire.
pub(super) fn name(field: &str, text: String) -> Result<Name, Status> {
    Name::try_from(text).map_err(|error| invalid(field, error))
}

pub(super) fn time(at: Timestamp) -> WireTime {
    WireTime {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

pub(super) fn purpose(wire: i32) -> Result<Purpose, Status> {
    match v1::Purpose::try_from(wire) {
        Ok(v1::Purpose::Transport) => Ok(Purpose::Transport),
        Ok(v1::Purpose::Seal) => Ok(Purpose::Seal),
        Ok(v1::Purpose::Decryption) => Ok(Purpose::Decryption),
        _ => Err(invalid("purpose", "transport, seal or decryption")),
    }
}

fn purpose_out(purpose: Purpose) -> v1::Purpose {
    match purpose {
        Purpose::Transport => v1::Purpose::Transport,
        Purpose::Seal => v1::Purpose::Seal,
        Purpose::Decryption => v1::Purpose::Decryption,
    }
}

pub(super) fn key_spec(wire: i32) -> Result<KeySpec, Status> {
    match v1::KeyAlgorithm::try_from(wire) {
        Ok(v1::KeyAlgorithm::Rsa2048) => Ok(KeySpec::Rsa { bits: 2048 }),
        Ok(v1::KeyAlgorithm::Rsa3072) => Ok(KeySpec::Rsa { bits: 3072 }),
        Ok(v1::KeyAlgorithm::Rsa4096) => Ok(KeySpec::Rsa { bits: 4096 }),
        Ok(v1::KeyAlgorithm::EcP256) => Ok(KeySpec::EcP256),
        Ok(v1::KeyAlgorithm::EcP384) => Ok(KeySpec::EcP384),
        Ok(v1::KeyAlgorithm::EcP521) => Ok(KeySpec::EcP521),
        Ok(v1::KeyAlgorithm::Ed25519) => Ok(KeySpec::Ed25519),
        _ => Err(invalid(
            "key_algorithm",
            "rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384, ec-p521 or ed25519",
        )),
    }
}

pub(super) fn hash(wire: i32) -> Result<HashAlgorithm, Status> {
    match v1::HashAlgorithm::try_from(wire) {
        Ok(v1::HashAlgorithm::Sha256) => Ok(HashAlgorithm::Sha256),
        Ok(v1::HashAlgorithm::Sha512) => Ok(HashAlgorithm::Sha512),
        _ => Err(invalid("body_digests.algorithm", "SHA-256 or SHA-512")),
    }
}

pub(super) fn state(state: VersionState) -> v1::VersionState {
    match state {
        VersionState::Requested => v1::VersionState::Requested,
        VersionState::Staged => v1::VersionState::Staged,
        VersionState::Active => v1::VersionState::Active,
        VersionState::Retiring => v1::VersionState::Retiring,
        VersionState::Retired => v1::VersionState::Retired,
        VersionState::Destroyed => v1::VersionState::Destroyed,
        VersionState::Frozen => v1::VersionState::Frozen,
        VersionState::Revoked => v1::VersionState::Revoked,
    }
}

fn environment(wire: i32, field: &str) -> Result<Environment, Status> {
    match v1::Environment::try_from(wire) {
        Ok(v1::Environment::Sandbox) => Ok(Environment::Sandbox),
        Ok(v1::Environment::Production) => Ok(Environment::Production),
        _ => Err(invalid(field, "sandbox or production")),
    }
}

fn environment_out(environment: Environment) -> v1::Environment {
    match environment {
        Environment::Sandbox => v1::Environment::Sandbox,
        Environment::Production => v1::Environment::Production,
    }
}

pub(super) fn credential(credential: &Credential, token: &str) -> v1::Credential {
    v1::Credential {
        name: credential.name.to_string(),
        purpose: purpose_out(credential.purpose).into(),
        versions: credential
            .versions
            .iter()
            .map(|v| version(v, token))
            .collect(),
    }
}

/// What a bank that encrypts to us has to know of a decryption version (RFC 7517 section 4); the thumbprint names it.
fn encryption_jwk(version: &Version) -> String {
    let (None, Ok(key)) = (
        &version.csr_der,
        PublicKey::from_spki_der(&version.spki_der),
    ) else {
        return String::new();
    };
    let mut jwk = key.jwk();
    jwk["use"] = "enc".into();
    jwk["kid"] = key.jwk_sha256().into();
    jwk.to_string()
}

pub(super) fn version(version: &Version, token: &str) -> v1::Version {
    let issued = version.issued.as_ref();
    v1::Version {
        name: version.id.resource(),
        number: version.id.number,
        state: state(version.state).into(),
        key_algorithm: version.key_algorithm.clone(),
        spki_sha256: hex::encode(version.key.spki_sha256),
        token: token.to_owned(),
        protection: Some(v1::KeyProtection {
            sensitive: version.evidence.sensitive,
            extractable: version.evidence.extractable,
            always_sensitive: version.evidence.always_sensitive,
            never_extractable: version.evidence.never_extractable,
            local: version.evidence.local,
        }),
        certificate: issued.map(|issued| certificate(issued.leaf())),
        encryption_jwk: encryption_jwk(version),
        create_time: Some(time(version.created)),
        environment: issued
            .map_or(v1::Environment::Unspecified, |i| {
                environment_out(i.environment)
            })
            .into(),
    }
}

fn certificate(leaf: &sealkeep_profiles::certificate::Certificate) -> v1::CertificateSummary {
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

pub(super) fn finding(finding: crate::credential::Finding) -> v1::Finding {
    v1::Finding {
        way_out: finding.way_out().to_owned(),
        code: finding.code,
        blocking: finding.blocking,
        evidence: finding.evidence,
        detail: finding.detail,
    }
}

pub(super) fn bank(wire: v1::Bank) -> Result<Bank, Status> {
    let field = |part: &str| format!("banks[{}].{part}", wire.name);
    let environment = environment(wire.environment, &field("environment"))?;
    let mut hosts = BTreeSet::new();
    for host in &wire.hosts {
        let parsed = Host::try_from(host.clone()).map_err(|e| invalid(&field("hosts"), e))?;
        if !hosts.insert(parsed) {
            return Err(invalid(&field("hosts"), format!("{host} is listed twice")));
        }
    }
    let mut credentials = Vec::with_capacity(wire.credentials.len());
    for text in &wire.credentials {
        credentials.push(name(&field("credentials"), text.clone())?);
    }
    let rotation = rotation_terms(wire.rotation.unwrap_or_default(), &field)?;
    Ok(Bank {
        name: name("banks.name", wire.name)?,
        environment,
        hosts,
        base_path: wire.base_path,
        profile: wire.profile,
        settings: wire.settings.into_iter().collect(),
        credentials,
        tls12_allowed: wire.tls12_allowed,
        oauth_profile: wire.oauth_profile,
        rotation,
    })
}

pub(super) fn bank_out(destination: &Destination) -> v1::Bank {
    let bank = &destination.bank;
    let binding = |credential: &Name| v1::Binding {
        credential: credential.to_string(),
        version: destination
            .bound
            .get(credential)
            .map(|v| v.id.resource())
            .unwrap_or_default(),
    };
    v1::Bank {
        name: bank.name.to_string(),
        environment: environment_out(bank.environment).into(),
        hosts: bank.hosts.iter().map(Host::to_string).collect(),
        base_path: bank.base_path.clone(),
        profile: bank.profile.clone(),
        settings: bank.settings.clone().into_iter().collect(),
        credentials: bank.credentials.iter().map(Name::to_string).collect(),
        tls12_allowed: bank.tls12_allowed,
        bindings: bank.credentials.iter().map(binding).collect(),
        oauth_profile: bank.oauth_profile.clone(),
        rotation: Some(v1::RotationTerms {
            procedure: procedure_out(bank.rotation.procedure).into(),
            lead_time_days: Some(bank.rotation.lead_time_days),
            contact: bank.rotation.contact.clone(),
            enforces_cabf_validity: bank.rotation.enforces_cabf_validity,
            wants_digital_signature: bank.rotation.wants_digital_signature,
        }),
    }
}

/// What is not said is the careful default.
fn rotation_terms(
    wire: v1::RotationTerms,
    field: &dyn Fn(&str) -> String,
) -> Result<RotationTerms, Status> {
    let default = RotationTerms::default();
    let procedure = match v1::Procedure::try_from(wire.procedure) {
        Ok(v1::Procedure::Unspecified) => default.procedure,
        Ok(v1::Procedure::None) => Procedure::None,
        Ok(v1::Procedure::Overlap) => Procedure::Overlap,
        Ok(v1::Procedure::Announce) => Procedure::Announce,
        Ok(v1::Procedure::SwapAt) => Procedure::SwapAt,
        Ok(v1::Procedure::Directory) => Procedure::Directory,
        Ok(v1::Procedure::Register) => Procedure::Register,
        Ok(v1::Procedure::PublishUrl) => Procedure::PublishUrl,
        Err(_) => {
            let words: Vec<_> = Procedure::ALL.iter().map(|p| p.as_str()).collect();
            return Err(invalid(&field("rotation.procedure"), words.join(", ")));
        }
    };
    Ok(RotationTerms {
        procedure,
        lead_time_days: wire.lead_time_days.unwrap_or(default.lead_time_days),
        contact: wire.contact,
        enforces_cabf_validity: wire.enforces_cabf_validity,
        wants_digital_signature: wire.wants_digital_signature,
    })
}

pub(super) fn procedure_out(procedure: Procedure) -> v1::Procedure {
    match procedure {
        Procedure::None => v1::Procedure::None,
        Procedure::Overlap => v1::Procedure::Overlap,
        Procedure::Announce => v1::Procedure::Announce,
        Procedure::SwapAt => v1::Procedure::SwapAt,
        Procedure::Directory => v1::Procedure::Directory,
        Procedure::Register => v1::Procedure::Register,
        Procedure::PublishUrl => v1::Procedure::PublishUrl,
    }
}

pub(super) fn caller(wire: v1::Caller) -> Result<Caller, Status> {
    let field = |part: &str| format!("callers[{}].{part}", wire.name);
    let role = match v1::Role::try_from(wire.role) {
        Ok(v1::Role::Signer) => Role::Signer,
        Ok(v1::Role::Officer) => Role::Officer,
        Ok(v1::Role::Auditor) => Role::Auditor,
        Ok(v1::Role::Monitor) => Role::Monitor,
        _ => {
            return Err(invalid(
                &field("role"),
                "signer, officer, auditor or monitor",
            ));
        }
    };
    let mut grants = Vec::with_capacity(wire.grants.len());
    for grant in wire.grants {
        let operations = grant
            .operations
            .iter()
            .map(|o| operation(*o))
            .collect::<Result<_, _>>();
        let banks = grant
            .banks
            .into_iter()
            .map(|b| name("callers.grants.banks", b));
        grants.push(GrantRule {
            operations: operations?,
            credential: name("callers.grants.credential", grant.credential)?,
            banks: banks.collect::<Result<_, _>>()?,
        });
    }
    let name = CallerName::try_from(wire.name).map_err(|e| invalid("callers.name", e))?;
    Ok(Caller { name, role, grants })
}

fn operation(wire: i32) -> Result<Operation, Status> {
    match v1::Operation::try_from(wire) {
        Ok(v1::Operation::SignHttp) => Ok(Operation::SignHttp),
        Ok(v1::Operation::SignJws) => Ok(Operation::SignJws),
        Ok(v1::Operation::Tls) => Ok(Operation::Tls),
        Ok(v1::Operation::SignClientAssertion) => Ok(Operation::SignClientAssertion),
        Ok(v1::Operation::SignRequestObject) => Ok(Operation::SignRequestObject),
        Ok(v1::Operation::SignDpopProof) => Ok(Operation::SignDpopProof),
        Ok(v1::Operation::SignRegistration) => Ok(Operation::SignRegistration),
        Ok(v1::Operation::SignJwtBody) => Ok(Operation::SignJwtBody),
        Ok(v1::Operation::DecryptJwe) => Ok(Operation::DecryptJwe),
        Ok(v1::Operation::Unspecified) | Err(_) => {
            let words = Operation::ALL.map(Operation::as_str).join(", ");
            Err(invalid("callers.grants.operations", words))
        }
    }
}

pub(super) fn caller_out(caller: &Caller) -> v1::Caller {
    let role = match caller.role {
        Role::Signer => v1::Role::Signer,
        Role::Officer => v1::Role::Officer,
        Role::Auditor => v1::Role::Auditor,
        Role::Monitor => v1::Role::Monitor,
    };
    let operation = |operation: &Operation| match operation {
        Operation::SignHttp => v1::Operation::SignHttp.into(),
        Operation::SignJws => v1::Operation::SignJws.into(),
        Operation::Tls => v1::Operation::Tls.into(),
        Operation::SignClientAssertion => v1::Operation::SignClientAssertion.into(),
        Operation::SignRequestObject => v1::Operation::SignRequestObject.into(),
        Operation::SignDpopProof => v1::Operation::SignDpopProof.into(),
        Operation::SignRegistration => v1::Operation::SignRegistration.into(),
        Operation::SignJwtBody => v1::Operation::SignJwtBody.into(),
        Operation::DecryptJwe => v1::Operation::DecryptJwe.into(),
    };
    let grant = |grant: &GrantRule| v1::Grant {
        operations: grant.operations.iter().map(operation).collect(),
        credential: grant.credential.to_string(),
        banks: grant.banks.iter().map(Name::to_string).collect(),
    };
    v1::Caller {
        name: caller.name.to_string(),
        role: role.into(),
        grants: caller.grants.iter().map(grant).collect(),
    }
}

pub(super) fn expiry(expiry: &Expiry) -> v1::Expiry {
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

pub(super) fn alert(alert: &Alert) -> v1::Alert {
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

/// One page of an ordered list (AIP-158). The token is the name after which the page begins.
pub(super) fn page<T>(
    items: impl Iterator<Item = (String, T)>,
    size: u32,
    token: &str,
) -> Result<(Vec<T>, String), Status> {
    let size = page_size(size)?;
    let mut rest = items.skip_while(|(name, _)| !token.is_empty() && name.as_str() <= token);
    let mut page = Vec::new();
    let mut last = String::new();
    for (name, item) in rest.by_ref().take(size) {
        last = name;
        page.push(item);
    }
    let more = rest.next().is_some();
    Ok((page, if more { last } else { String::new() }))
}

/// 1 to 1000; 0 means 100.
pub(super) fn page_size(size: u32) -> Result<usize, Status> {
    match size {
        0 => Ok(100),
        1..=1_000 => Ok(size as usize),
        _ => Err(invalid("page_size", "at most 1000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(count: usize, size: u32) -> Vec<Vec<usize>> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let items = (0..count).map(|n| (format!("{n:04}"), n));
            let (page, next) = page(items, size, &token).unwrap();
            all.push(page);
            if next.is_empty() {
                return all;
            }
            token = next;
        }
    }

    #[test]
    fn pages_cover_everything_once_in_order() {
        for (count, size) in [
            (0, 1),
            (1, 1),
            (5, 2),
            (6, 2),
            (100, 0),
            (101, 0),
            (7, 1000),
        ] {
            let all: Vec<_> = pages(count, size).concat();
            assert_eq!(all, (0..count).collect::<Vec<_>>(), "{count} by {size}");
        }
        assert_eq!(pages(6, 2).len(), 3, "no empty last page");
        assert!(page_size(1_001).is_err());
    }
}
