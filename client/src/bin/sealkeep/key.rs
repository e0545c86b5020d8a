//! `sealkeep key ...`: what the token says of a private key.
//!
//! In: a version. Out: its origin, its attributes at birth and now, the token that said so, the record that keeps it.
//! Never: a word of our own for what the token said; attributes have the names of PKCS#11.

use crate::failure::Failure;
use crate::report::{Report, pairs, table};
use crate::words::{key_origin, numbered_version, rfc3339, short, time};
use clap::Subcommand;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::key_service_client::KeyServiceClient;
use sealkeep_client::v1::{AttestKeyRequest, AttestKeyResponse, KeyAttributes, KeyOrigin};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Ask the token how it protects a key, and let the key prove itself.
    Attest {
        /// NAME@VERSION.
        #[arg(value_parser = numbered_version)]
        name: String,
    },
}

impl Verb {
    pub(crate) async fn run(self, sealkeep: &Sealkeep) -> Result<Report, Failure> {
        match self {
            Self::Attest { name } => attest(sealkeep, name).await,
        }
    }
}

async fn attest(sealkeep: &Sealkeep, name: String) -> Result<Report, Failure> {
    let answer = sealkeep
        .call(AttestKeyRequest { name }, async |channel, request| {
            KeyServiceClient::new(channel).attest_key(request).await
        })
        .await?;
    Ok(report(&answer))
}

fn report(answer: &AttestKeyResponse) -> Report {
    let (created, attested) = (
        answer.created.unwrap_or_default(),
        answer.attested.unwrap_or_default(),
    );
    let mut text = pairs(&[
        ("version", short(&answer.version)),
        (
            "key",
            format!("{}, CKA_ID {}", answer.key_algorithm, answer.key_id),
        ),
        ("origin", origin(answer.origin()).to_owned()),
        ("SPKI SHA-256", answer.spki_sha256.clone()),
        (
            "token",
            format!(
                "{}: label {}, serial {}, {}",
                answer.token, answer.token_label, answer.token_serial, answer.token_manufacturer
            ),
        ),
        ("module", answer.module.clone()),
        ("made", at(answer.create_time)),
        ("attested", at(answer.attest_time)),
        (
            "proof",
            "a test of the key passed under this public key".to_owned(),
        ),
        ("record", answer.audit_record.clone()),
    ]);
    text.push('\n');
    let rows = named(&created).into_iter().zip(named(&attested));
    let rows = rows.map(|((name, then), (_, now))| [name.to_owned(), word(then), word(now)]);
    text.push_str(&table(["ATTRIBUTE", "WHEN MADE", "NOW"], rows.collect()));
    let json = json!({
        "version": answer.version,
        "key_algorithm": answer.key_algorithm,
        "key_id": answer.key_id,
        "origin": key_origin(answer.origin),
        "spki_der": hex::encode(&answer.spki_der),
        "spki_sha256": answer.spki_sha256,
        "create_time": at(answer.create_time),
        "created": attributes_json(&created),
        "attest_time": at(answer.attest_time),
        "attested": attributes_json(&attested),
        "token": {
            "name": answer.token,
            "label": answer.token_label,
            "serial": answer.token_serial,
            "manufacturer": answer.token_manufacturer,
            "module": answer.module,
        },
        "audit_record": answer.audit_record,
    });
    Report::new(text, json)
}

fn origin(origin: KeyOrigin) -> &'static str {
    match origin {
        KeyOrigin::Generated => "generated in the token",
        KeyOrigin::Imported => "IMPORTED: it existed elsewhere, and copies of it may",
        KeyOrigin::Unspecified => "",
    }
}

fn at(time_on_wire: Option<prost_types::Timestamp>) -> String {
    rfc3339(time_on_wire.and_then(|at| time(at.seconds, at.nanos)))
}

/// The attributes by their PKCS#11 names.
fn named(key: &KeyAttributes) -> [(&'static str, Option<bool>); 12] {
    [
        ("CKA_SENSITIVE", Some(key.sensitive)),
        ("CKA_EXTRACTABLE", Some(key.extractable)),
        ("CKA_ALWAYS_SENSITIVE", Some(key.always_sensitive)),
        ("CKA_NEVER_EXTRACTABLE", Some(key.never_extractable)),
        ("CKA_LOCAL", Some(key.local)),
        ("CKA_SIGN", key.sign),
        ("CKA_DECRYPT", key.decrypt),
        ("CKA_UNWRAP", key.unwrap),
        ("CKA_DERIVE", key.derive),
        ("CKA_MODIFIABLE", key.modifiable),
        ("CKA_COPYABLE", key.copyable),
        ("CKA_ALLOWED_MECHANISMS", key.mechanisms_limited),
    ]
}

fn word(value: Option<bool>) -> String {
    match value {
        Some(true) => "true",
        Some(false) => "false",
        None => "not said",
    }
    .to_owned()
}

fn attributes_json(key: &KeyAttributes) -> Value {
    let members = named(key).map(|(name, value)| (name.to_owned(), json!(value)));
    Value::Object(members.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imported_key_shouts_and_what_the_token_does_not_say_is_said_so() {
        let answer = AttestKeyResponse {
            version: "credentials/acme-seal/versions/1".into(),
            origin: KeyOrigin::Imported.into(),
            attested: Some(KeyAttributes {
                sensitive: true,
                unwrap: Some(false),
                ..KeyAttributes::default()
            }),
            ..AttestKeyResponse::default()
        };
        let report = format!("{:?}", report(&answer));
        assert!(report.contains("IMPORTED"), "{report}");
        assert!(
            report.contains("CKA_SENSITIVE           false      true"),
            "{report}"
        );
        assert!(
            report.contains("CKA_UNWRAP              not said   false"),
            "{report}"
        );
    }
}
