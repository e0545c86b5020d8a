//! What can be said of private keys, and keys that come from outside.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use sealkeep_client::Error;
use sealkeep_client::v1::key_service_client::KeyServiceClient;
use sealkeep_client::v1::{self, KeyAlgorithm, KeyOrigin, Purpose};

use crate::house::{House, OFFICER, ORGANIZATION, TPP, bank, payment, write_pin};

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

/// What `sealkeepd key import` is given.
struct Export {
    file: PathBuf,
    password_file: PathBuf,
}

impl House {
    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "openssl {arguments}: {output:?}");
    }

    /// A key of OpenSSL's, certified by the sandbox, in a PKCS#12 file.
    fn export(&self, key: &str, flags: &str) -> Export {
        let subject =
            format!("/C=DE/O=Demo TPP GmbH/organizationIdentifier={ORGANIZATION}/CN=Demo TPP GmbH");
        let output = Command::new("openssl")
            .args([
                "req", "-new", "-noenc", "-keyout", "old.key", "-out", "old.csr", "-subj",
            ])
            .arg(subject)
            .args(key.split(' '))
            .current_dir(self.dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let csr = std::fs::read_to_string(self.dir().join("old.csr")).unwrap();
        let chain = self.issue(&csr, Purpose::Seal, |_| ());
        std::fs::write(self.dir().join("old.pem"), chain).unwrap();
        self.exported(flags)
    }

    fn exported(&self, flags: &str) -> Export {
        let (file, password_file) = (self.dir().join("old.p12"), self.dir().join("old.password"));
        write_pin(&password_file, "correct horse");
        let export = format!(
            "pkcs12 -export -passout file:old.password -out old.p12 -inkey old.key -in old.pem {flags}"
        );
        self.openssl(export.trim_end());
        std::fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
        Export {
            file,
            password_file,
        }
    }

    fn import(&self, export: &Export, more: &[&str]) -> Output {
        let (file, password) = (export.file.to_str(), export.password_file.to_str());
        let arguments = [
            "key",
            "import",
            "--pkcs12",
            file.unwrap(),
            "--password-file",
        ];
        let officer = ["--officer", OFFICER, "--credential", "old-seal"];
        self.sealkeepd(&[&arguments[..], &[password.unwrap()], &officer, more].concat())
    }

    /// A house whose configuration lets keys in.
    fn open_to_imports() -> Self {
        let house = Self::build();
        let config = house.config().replace("[store]", "import = true\n[store]");
        std::fs::write(house.config_file(), config).unwrap();
        let init = house.sealkeepd(&["init", "--officer", OFFICER]);
        assert!(init.status.success(), "{init:?}");
        house
    }

    fn token_is_empty(&self) -> bool {
        let objects = self.hsm.pkcs11_tool(&["--list-objects"]);
        objects.stdout.is_empty()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn imported_signs_and_says_so(key: &str) {
    let mut house = House::open_to_imports();
    let export = house.export(key, "");
    let imported = house.import(&export, &[]);
    assert!(imported.status.success(), "{imported:?}");
    let told = String::from_utf8_lossy(&imported.stdout);
    assert!(
        told.contains("old-seal@1") && told.contains("destroy the file"),
        "{told}"
    );
    house.start();
    let attested = house.attest(OFFICER, "old-seal/versions/1").await.unwrap();
    let now = attested.attested.unwrap();
    assert_eq!(attested.origin(), KeyOrigin::Imported);
    assert!(now.sensitive && !now.extractable, "{now:?}");
    assert!(
        !now.local && !now.never_extractable && !now.always_sensitive,
        "{now:?}"
    );
    assert_eq!(
        (now.sign, now.unwrap, now.decrypt),
        (Some(true), Some(false), Some(false))
    );
    assert_eq!(
        (now.modifiable, now.mechanisms_limited),
        (Some(false), Some(true))
    );
    // No transport key, no wrapping key: one pair.
    let objects = house.hsm.pkcs11_tool(&["--list-objects"]);
    let objects = String::from_utf8_lossy(&objects.stdout).into_owned();
    assert_eq!(objects.matches(" Object").count(), 2, "{objects}");

    house.activate("old-seal", false).await.unwrap();
    house.apply_bank(bank("bank", &["old-seal"])).await.unwrap();
    house.grant("bank", &["old-seal"]).await;
    let sealkeep = house.connect(TPP);
    let signed = sealkeep.bank("bank").sign(payment()).await.unwrap();
    assert!(signed.headers().contains_key("signature"), "{signed:?}");
    let records = house.records("key.import").await;
    assert!(records[0].line.contains(OFFICER), "{records:?}");
    assert!(house.verify_log().await.faults.is_empty());
}

#[tokio::test]
async fn an_imported_rsa_key_signs_and_is_called_so_for_ever() {
    imported_signs_and_says_so("-newkey rsa:2048").await;
}

#[tokio::test]
async fn an_imported_p256_key_signs_and_is_called_so_for_ever() {
    imported_signs_and_says_so("-newkey ec -pkeyopt ec_paramgen_curve:P-256").await;
}

const EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";

#[test]
fn nothing_is_imported_unless_the_configuration_allows_it() {
    let house = House::build();
    let init = house.sealkeepd(&["init", "--officer", OFFICER]);
    assert!(init.status.success(), "{init:?}");
    let refused = house.import(&house.export(EC, ""), &[]);
    assert_eq!(refused.status.code(), Some(78));
    assert!(said(&refused).contains("IMPORT_NOT_ALLOWED"), "{refused:?}");
    assert!(house.token_is_empty());
}

#[test]
fn each_reason_not_to_import_is_told_and_leaves_the_token_empty() {
    let house = House::open_to_imports();
    let export = house.export(EC, "");
    let refused = |export: &Export, more: &[&str], reason: &str| {
        let output = house.import(export, more);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{reason}: {text}");
        assert!(text.contains(&format!("sealkeepd: {reason}: ")), "{text}");
        assert!(!text.contains("correct horse"), "{text}");
        assert!(house.token_is_empty(), "{reason}");
    };
    let wrong = house.dir().join("wrong.password");
    write_pin(&wrong, "incorrect horse");
    let other_password = Export {
        file: export.file.clone(),
        password_file: wrong,
    };
    refused(&other_password, &[], "PKCS12_PASSWORD");
    std::fs::set_permissions(&export.file, Permissions::from_mode(0o440)).unwrap();
    refused(&export, &[], "PKCS12_EXPOSED");
    std::fs::remove_file(&export.file).unwrap();
    refused(&export, &[], "IO");
    refused(&house.exported("-legacy"), &[], "PKCS12_LEGACY");
    std::fs::remove_file(&export.file).unwrap();
    // The certificate says what it is for; a seal does not open TLS.
    let good = house.exported("");
    refused(&good, &["--purpose", "transport"], "CERTIFICATE_BLOCKED");
    // A certificate that nobody here trusts.
    std::fs::remove_file(&good.file).unwrap();
    house.openssl("req -x509 -key old.key -out old.pem -subj /CN=me");
    refused(&house.exported(""), &[], "CERTIFICATE_BLOCKED");
}

#[test]
fn a_key_comes_in_once_by_an_officer_and_while_no_service_runs() {
    let mut house = House::open_to_imports();
    let export = house.export(EC, "");
    house.start();
    let refused = house.import(&export, &[]);
    assert!(said(&refused).contains("STORE_IN_USE"), "{refused:?}");
    house.kill();
    let arguments = |officer| {
        let (file, password) = (export.file.to_str(), export.password_file.to_str());
        [
            "key",
            "import",
            "--pkcs12",
            file.unwrap(),
            "--password-file",
            password.unwrap(),
            "--credential",
            "old-seal",
            "--officer",
            officer,
        ]
    };
    let refused = house.sealkeepd(&arguments(TPP));
    assert!(said(&refused).contains("NOT_AN_OFFICER"), "{refused:?}");
    assert!(house.token_is_empty());
    let imported = house.sealkeepd(&arguments(OFFICER));
    assert!(imported.status.success(), "{imported:?}");
    let again = house.sealkeepd(&arguments(OFFICER));
    assert!(said(&again).contains("KEY_KNOWN"), "{again:?}");
}
