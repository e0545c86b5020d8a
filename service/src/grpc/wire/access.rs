//! Callers and their grants.

use sealkeep_proto::v1;
use tonic::Status;

use super::name;
use crate::domain::{Caller, CallerName, GrantRule, Name, Operation, Role};
use crate::grpc::error::invalid;

pub(in crate::grpc) fn caller(wire: v1::Caller) -> Result<Caller, Status> {
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

pub(in crate::grpc) fn caller_out(caller: &Caller) -> v1::Caller {
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
