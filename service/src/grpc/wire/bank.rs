//! Banks and what they want of a rotation.

use std::collections::BTreeSet;

use sealkeep_proto::v1;
use tonic::Status;

use super::{environment, environment_out, harmless, name};
use crate::domain::{Bank, Host, Name, Procedure, RotationTerms};
use crate::grpc::error::invalid;
use crate::world::Destination;

pub(in crate::grpc) fn bank(wire: v1::Bank) -> Result<Bank, Status> {
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

pub(in crate::grpc) fn bank_out(destination: &Destination) -> v1::Bank {
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
            verify: bank.rotation.verify.clone().map(harmless::harmless_out),
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
        verify: wire
            .verify
            .map(|verify| {
                harmless::harmless(verify, &|part| field(&format!("rotation.verify.{part}")))
            })
            .transpose()?,
    })
}

pub(in crate::grpc) fn procedure_out(procedure: Procedure) -> v1::Procedure {
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
