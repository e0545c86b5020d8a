//! Enrolment, checks at installation, banks, access.

use sealkeep_client::Error;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{self, Environment, KeyAlgorithm, Purpose, Role};
use sealkeep_profiles::roles::Role as Psd2Role;
use sealkeep_sandbox::key::KeyKind;
use sealkeep_sandbox::qtsp::{Order, Qtsp};

use crate::house::{House, OFFICER, TPP, bank, payment};

#[tokio::test]
async fn a_key_is_born_in_the_token_and_never_leaves() {
    let house = House::open();
    for (name, key) in [
        ("rsa", KeyAlgorithm::Rsa2048),
        ("p256", KeyAlgorithm::EcP256),
        ("p384", KeyAlgorithm::EcP384),
        ("p521", KeyAlgorithm::EcP521),
        ("ed25519", KeyAlgorithm::Ed25519),
    ] {
        let enrolled = house.enrol(name, Purpose::Seal, key).await.unwrap();
        let protection = enrolled.version.unwrap().protection.unwrap();
        assert!(
            protection.sensitive && protection.always_sensitive,
            "{name}"
        );
        assert!(
            !protection.extractable && protection.never_extractable,
            "{name}"
        );
        assert!(protection.local, "{name}");
        // An implementation that is not ours believes the request.
        let csr = house.dir().join("csr.pem");
        std::fs::write(&csr, &enrolled.csr_pem).unwrap();
        let openssl = std::process::Command::new("openssl")
            .args(["req", "-verify", "-noout", "-subject", "-in"])
            .arg(&csr)
            .output()
            .unwrap();
        assert!(openssl.status.success(), "{openssl:?}");
        let subject = String::from_utf8_lossy(&openssl.stdout).into_owned();
        assert!(subject.contains("PSDDE-BAFIN-123456"), "{subject}");
    }
}

#[tokio::test]
async fn refuses_transport_keys_that_no_qwac_has() {
    let house = House::open();
    for key in [KeyAlgorithm::EcP521, KeyAlgorithm::Ed25519] {
        let error = house.enrol("qwac", Purpose::Transport, key).await;
        assert_eq!(error.unwrap_err().reason(), "KEY_SPEC_UNSUPPORTED");
    }
}

#[tokio::test]
async fn a_certificate_is_installed_only_when_nothing_blocks() {
    let house = House::open();
    let enrolled = house
        .enrol("qwac", Purpose::Transport, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    let foreign = Qtsp::create(KeyKind::EcP256, jiff::Timestamp::now()).unwrap();
    let request =
        sealkeep_sandbox::qtsp::SigningRequest::from_pem(enrolled.csr_pem.as_bytes()).unwrap();
    let issue = |purpose, change: fn(&mut Order)| house.issue(&enrolled.csr_pem, purpose, change);
    let order = Order::new(sealkeep_sandbox::qtsp::Kind::Qwac, &[Psd2Role::PSP_AI]);
    let untrusted = foreign
        .issue(&order, &request, jiff::Timestamp::now())
        .unwrap()
        .to_pem();
    let cases = vec![
        ("chain.build", untrusted),
        (
            "key.match",
            issue(Purpose::Transport, |o| o.oddities.wrong_key = true),
        ),
        (
            "validity.window",
            issue(Purpose::Transport, |o| o.oddities.expired = true),
        ),
        (
            "kind",
            issue(Purpose::Transport, |o| o.oddities.tls_binding = true),
        ),
        (
            "eku.client_auth",
            issue(Purpose::Transport, |o| o.oddities.no_client_auth = true),
        ),
        (
            "qcs.psd2_missing",
            issue(Purpose::Transport, |o| o.oddities.no_psd2 = true),
        ),
        ("kind", issue(Purpose::Seal, |_| ())),
    ];
    for (code, chain) in cases {
        let error = house.install("qwac", chain).await.unwrap_err();
        let Error::NotNow { reason, facts, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(reason, "CERTIFICATE_BLOCKED");
        assert!(
            facts["findings"].split(',').any(|found| found == code),
            "{code}: {facts:?}"
        );
    }
    let error = house
        .install("qwac", "rubbish".to_owned())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "CERTIFICATE_UNREADABLE");
    // Larger than any message may be: refused before it is looked at.
    let error = house.install("qwac", "A".repeat(10 << 20)).await;
    assert_eq!(error.unwrap_err().reason(), "MESSAGE_TOO_LARGE");
    let state = house.versions("qwac").await[0].state;
    assert_eq!(
        state,
        v1::VersionState::Requested as i32,
        "nothing was installed"
    );

    house
        .install("qwac", issue(Purpose::Transport, |_| ()))
        .await
        .unwrap();
    let installed = &house.versions("qwac").await[0];
    assert_eq!(installed.state, v1::VersionState::Staged as i32);
    assert_eq!(installed.environment, Environment::Sandbox as i32);
    assert_eq!(
        installed.certificate.as_ref().unwrap().psd2_roles,
        ["PSP_PI", "PSP_AI"]
    );
}

#[tokio::test]
async fn an_expired_or_future_certificate_signs_nothing() {
    let house = House::open();
    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::Rsa2048)
        .await
        .unwrap();
    let early = house.issue(&enrolled.csr_pem, Purpose::Seal, |o| {
        o.oddities.not_yet_valid = true
    });
    let installed = house.install("seal", early).await.unwrap();
    assert!(
        installed
            .findings
            .iter()
            .any(|f| f.code == "validity.window" && !f.blocking)
    );
    let error = house.activate("seal", false).await.unwrap_err();
    assert_eq!(error.reason(), "CERTIFICATE_NOT_VALID_NOW");
}

#[tokio::test]
async fn a_sandbox_key_never_signs_for_a_production_bank() {
    let house = House::open();
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::Rsa2048)
        .await;
    let mut production = bank("bank", &["seal"]);
    production.environment = Environment::Production.into();
    house.apply_bank(production).await.unwrap();
    house.grant("bank", &["seal"]).await;
    let error = house
        .connect(TPP)
        .bank("bank")
        .sign(payment())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "ENVIRONMENT_MISMATCH");
}

#[tokio::test]
async fn banks_and_callers_change_whole_or_not_at_all() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    let with = |change: fn(&mut v1::Bank)| {
        let mut bank = bank("bank", &["seal"]);
        change(&mut bank);
        bank
    };
    for (reason, bad) in [
        (
            "PROFILE_UNKNOWN",
            with(|b| b.profile = "no-such".to_owned()),
        ),
        (
            "CREDENTIAL_UNKNOWN",
            with(|b| b.credentials = vec!["no-such".to_owned()]),
        ),
        ("BANK_MALFORMED", with(|b| b.hosts.clear())),
        ("BANK_MALFORMED", with(|b| b.base_path = "x".to_owned())),
        (
            "FIELD_INVALID",
            with(|b| b.hosts = vec!["UPPER".to_owned()]),
        ),
        ("FIELD_INVALID", with(|b| b.environment = 0)),
        ("FIELD_INVALID", with(|b| b.name = "Not A Name".to_owned())),
        (
            "SETTINGS_INVALID",
            with(|b| b.profile = "obuk-3.1.4".to_owned()),
        ),
    ] {
        let error = house.apply_bank(bad).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error:?}");
    }
    let caller = |name: &str, role: Role, bank: &str| v1::Caller {
        name: name.to_owned(),
        role: role.into(),
        grants: match bank {
            "" => vec![],
            bank => vec![v1::Grant {
                operations: vec![v1::Operation::SignHttp.into()],
                credential: "seal".to_owned(),
                banks: vec![bank.to_owned()],
            }],
        },
    };
    for (reason, bad) in [
        ("NO_OFFICER_LEFT", vec![caller(OFFICER, Role::Auditor, "")]),
        (
            "GRANTS_WITHOUT_SIGNER",
            vec![caller(TPP, Role::Auditor, "bank")],
        ),
        ("GRANT_INVALID", vec![caller(TPP, Role::Signer, "no-such")]),
        (
            "NAMED_TWICE",
            vec![caller(TPP, Role::Signer, ""), caller(TPP, Role::Signer, "")],
        ),
        (
            "FIELD_INVALID",
            vec![caller("not a name", Role::Signer, "")],
        ),
        ("FIELD_INVALID", vec![caller(TPP, Role::Unspecified, "")]),
    ] {
        let error = house.apply_callers(bad).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error:?}");
    }
    house
        .connect(TPP)
        .bank("bank")
        .sign(payment())
        .await
        .unwrap();
}

/// A new version takes over at the moment of its activation, for callers that are watching too.
#[tokio::test]
async fn a_rebound_bank_gets_the_new_version_and_watchers_are_told() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    let watch = v1::WatchCredentialRequest {
        credential: "seal".into(),
        bank: "bank".into(),
    };
    let channel = house.connect(TPP).channel();
    let mut updates = CredentialServiceClient::new(channel)
        .watch_credential(watch)
        .await
        .unwrap()
        .into_inner();
    let first = updates.message().await.unwrap().unwrap();
    assert_eq!(first.bound_version, "credentials/seal/versions/1");

    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
    house.install("seal", chain).await.unwrap();
    assert_eq!(
        house.activate("seal", false).await.unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(house.activate("seal", true).await.unwrap(), ["bank"]);
    let second = updates.message().await.unwrap().unwrap();
    assert_eq!(second.bound_version, "credentials/seal/versions/2");
    assert_ne!(first.certificate_chain, second.certificate_chain);

    house
        .apply_callers(vec![v1::Caller {
            name: TPP.into(),
            role: Role::Signer.into(),
            grants: vec![],
        }])
        .await
        .unwrap();
    let ended = updates.message().await.unwrap_err();
    assert_eq!(ended.code(), tonic::Code::PermissionDenied);
}
