//! `sealkeep credential prove`: which tokens have the key of a version.
//!
//! In: a version. Out: what each token of its set has, after it was made to use the key. Never: success where a required
//! token has not.

use crate::failure::Failure;
use crate::report::{Report, table};
use crate::words::short;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{KeyReplica, ProveKeyRequest, ProveKeyResponse, ReplicaState};
use serde_json::{Value, json};

pub(super) async fn prove(sealkeep: &Sealkeep, name: String) -> Result<Report, Failure> {
    let request = ProveKeyRequest { name };
    let answer = sealkeep
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .prove_key(request)
                .await
        })
        .await?;
    Ok(render(&answer))
}

fn render(answer: &ProveKeyResponse) -> Report {
    let row = |replica: &KeyReplica| {
        let required = if replica.required {
            "required"
        } else {
            "optional"
        };
        [
            replica.token.clone(),
            state(replica).to_owned(),
            required.to_owned(),
            said(replica),
        ]
    };
    let rows: Vec<_> = answer.replicas.iter().map(row).collect();
    let text = table(["TOKEN", "KEY", "REPLICA", "WHAT IT SAYS"], rows);
    let json = json!({
        "version": answer.version,
        "replicas": answer.replicas.iter().map(to_json).collect::<Vec<_>>(),
    });
    let name = short(&answer.version);
    let lacking = answer.replicas.iter().filter(|it| !is_proven(it));
    let lacking: Vec<_> = lacking.map(|it| it.token.as_str()).collect();
    let note = match lacking.is_empty() {
        true => format!("every token of the set has the key of {name}"),
        false => format!(
            "not proven at {}: copy the key there with the vendor's tools, or see `sealkeep status`",
            lacking.join(", ")
        ),
    };
    Report::new(text, json).note(note)
}

fn is_proven(replica: &KeyReplica) -> bool {
    replica.state() == ReplicaState::Proven
}

fn state(replica: &KeyReplica) -> &'static str {
    match replica.state() {
        ReplicaState::Unspecified => "?",
        ReplicaState::Proven => "proven",
        ReplicaState::Missing => "MISSING",
        ReplicaState::Refused => "REFUSED",
        ReplicaState::Suspect => "SUSPECT",
        ReplicaState::Unknown => "NOT ASKED",
    }
}

fn said(replica: &KeyReplica) -> String {
    match replica.state() {
        ReplicaState::Proven => match &replica.protection {
            Some(protection) if protection.local => "made here".to_owned(),
            Some(_) => "came from elsewhere".to_owned(),
            None => String::new(),
        },
        ReplicaState::Missing => "it has no such key".to_owned(),
        ReplicaState::Suspect => "its signatures did not verify".to_owned(),
        ReplicaState::Unknown => "it does not answer".to_owned(),
        ReplicaState::Refused | ReplicaState::Unspecified => replica.problem.clone(),
    }
}

fn to_json(replica: &KeyReplica) -> Value {
    json!({
        "token": replica.token,
        "state": state(replica).to_lowercase().replace(' ', "_"),
        "required": replica.required,
        "problem": replica.problem,
        "local": replica.protection.as_ref().map(|protection| protection.local),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(token: &str, state: ReplicaState) -> KeyReplica {
        KeyReplica {
            token: token.to_owned(),
            state: state.into(),
            required: true,
            ..Default::default()
        }
    }

    #[test]
    fn tells_where_the_key_is_missing() {
        let answer = |second| ProveKeyResponse {
            version: "credentials/acme-seal/versions/2".to_owned(),
            replicas: vec![
                replica("hsm-a", ReplicaState::Proven),
                replica("hsm-b", second),
            ],
        };
        let missing = format!("{:?}", render(&answer(ReplicaState::Missing)));
        assert!(missing.contains("not proven at hsm-b:"), "{missing}");
        let proven = format!("{:?}", render(&answer(ReplicaState::Proven)));
        assert!(
            proven.contains("every token of the set has the key of acme-seal@2"),
            "{proven}"
        );
    }
}
