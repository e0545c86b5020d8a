//! Wire messages to domain values and back.

mod access;
mod bank;
mod credential;
mod harmless;
mod key;
mod page;
mod revocation;
mod rotation;
mod trust;
mod watch;

use jiff::Timestamp;
use prost_types::Timestamp as WireTime;
use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_proto::v1;
use tonic::Status;

use super::error::invalid;
use crate::backend::KeySpec;
use crate::domain::{Environment, Name, Purpose, VersionState};

pub(super) use access::{caller, caller_out};
pub(super) use bank::{bank, bank_out, procedure_out};
pub(super) use credential::{credential, finding, replica, version};
pub(super) use harmless::{harmless_out, seen, verified_out};
pub(super) use key::attestation;
pub(super) use page::{page, page_size};
pub(super) use revocation::{looked, revocation};
pub(super) use rotation::{bank_progress, event, plan_step};
pub(super) use trust::{trust_basis, trusted_list, trusted_service};
pub(super) use watch::{alert, expiry};

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
