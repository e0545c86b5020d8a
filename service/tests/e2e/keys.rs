//! What can be said of private keys.

use sealkeep_client::Error;
use sealkeep_client::v1::key_service_client::KeyServiceClient;
use sealkeep_client::v1::{self, KeyAlgorithm, KeyOrigin, Purpose};

use crate::house::{House, OFFICER, TPP};

impl House {
    pub async fn attest(&self, who: &str, name: &str) -> Result<v1::AttestKeyResponse, Error> {
        let request = v1::AttestKeyRequest {
            name: format!("credentials/{name}"),
        };
        self.connect(who)
            .call(request, async |channel, request| {
                KeyServiceClient::new(channel).attest_key(request).await
            })
            .await
    }
}

#[tokio::test]
async fn a_key_made_here_is_attested_and_the_log_keeps_what_was_said() {
    let house = House::open();
    let (seal, rsa) = (Purpose::Seal, KeyAlgorithm::Rsa2048);
    house.enrol("acme-seal", seal, rsa).await.unwrap();
    let said = house.attest(OFFICER, "acme-seal/versions/1").await.unwrap();
    let now = said.attested.unwrap();
    assert_eq!(said.origin(), KeyOrigin::Generated);
    assert_eq!(said.created, said.attested);
    assert!(now.sensitive && now.local && now.never_extractable && !now.extractable);
    let limits = [now.decrypt, now.unwrap, now.derive, now.modifiable];
    assert_eq!((now.sign, limits), (Some(true), [Some(false); 4]));
    assert_eq!(now.mechanisms_limited, Some(true));
    // The token found it by its serial number, and pkcs11-tool agrees with both.
    let slots = house.hsm.pkcs11_tool(&["--list-slots"]);
    let slots = String::from_utf8_lossy(&slots.stdout).into_owned();
    assert!(slots.contains(&said.token_serial), "{slots}");
    let objects = house
        .hsm
        .pkcs11_tool(&["--list-objects", "--type", "privkey"]);
    let objects = String::from_utf8_lossy(&objects.stdout).into_owned();
    assert!(objects.contains(&said.key_id), "{objects}");
    let records = house.records("key.attest").await;
    let (log, sequence) = said.audit_record.rsplit_once('/').unwrap();
    assert!(records[0].line.contains(log), "{records:?}");
    assert_eq!(records[0].sequence.to_string(), sequence);
    assert!(records[0].line.contains(&said.spki_sha256));
}

#[tokio::test]
async fn a_key_that_is_gone_is_told_and_recorded() {
    let house = House::open();
    let (seal, ec) = (Purpose::Seal, KeyAlgorithm::EcP256);
    house.enrol("acme-seal", seal, ec).await.unwrap();
    let id = house.attest(OFFICER, "acme-seal").await.unwrap().key_id;
    for kind in ["privkey", "pubkey"] {
        let deleted = house
            .hsm
            .pkcs11_tool(&["--delete-object", "--type", kind, "--id", &id]);
        assert!(deleted.status.success(), "{deleted:?}");
    }
    let error = house.attest(OFFICER, "acme-seal").await.unwrap_err();
    assert_eq!(error.reason(), "KEY_UNKNOWN");
    let records = house.records("key.attest").await;
    let last = records.iter().max_by_key(|record| record.sequence).unwrap();
    assert!(last.line.contains("KEY_UNKNOWN"), "{last:?}");
}

#[tokio::test]
async fn attestation_is_for_officers_and_auditors_and_for_versions_that_exist() {
    let house = House::open();
    let (seal, ec) = (Purpose::Seal, KeyAlgorithm::EcP256);
    house.enrol("acme-seal", seal, ec).await.unwrap();
    let denied = house.attest(TPP, "acme-seal").await.unwrap_err();
    assert!(matches!(denied, Error::Denied { .. }), "{denied:?}");
    for unknown in ["acme-seal/versions/2", "other", ""] {
        let error = house.attest(OFFICER, unknown).await.unwrap_err();
        assert_eq!(error.reason(), "CREDENTIAL_UNKNOWN", "{unknown}");
    }
}
