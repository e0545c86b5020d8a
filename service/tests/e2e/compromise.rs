//! The compromise drill: callers sign for four banks all the time; one command, and nothing more comes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealkeep_client::Error;
use sealkeep_client::v1::approval_service_client::ApprovalServiceClient;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::step_rotation_request::Step;
use sealkeep_client::v1::{self, KeyAlgorithm, Procedure, Purpose, VersionState};

use crate::house::{House, OFFICER, SECOND, TPP, bank, payment};
use crate::rotation::step;

/// From the officer's call to the first refusal, and to the last signature that may still come out.
const REFUSED_MS_MAX: u128 = 1_000;
const BANKS: [(&str, Procedure); 4] = [
    ("trusting", Procedure::None),
    ("overlapping", Procedure::Overlap),
    ("announcing", Procedure::Announce),
    ("swapping", Procedure::SwapAt),
];
const V1: &str = "credentials/seal/versions/1";
const V2: &str = "credentials/seal/versions/2";

impl House {
    async fn compromise(&self, name: &str) -> Result<v1::CompromiseVersionResponse, Error> {
        let request = v1::CompromiseVersionRequest {
            name: name.to_owned(),
            reason: "the HSM was away for a night".to_owned(),
        };
        let officer = self.connect(OFFICER);
        let answer = officer.call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .compromise_version(request)
                .await
        });
        answer.await
    }

    async fn sign_for(&self, bank: &str) -> Result<String, Error> {
        let signed = self.connect(TPP).bank(bank).sign(payment()).await?;
        let signature = signed.headers()["signature"].to_str().unwrap();
        Ok(signature.to_owned())
    }
}

/// A seal at four banks, granted to the TPP, and the spare that a careful house has.
async fn four_banks(spare: bool) -> House {
    let house = House::open();
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await;
    for (name, procedure) in BANKS {
        let mut bank = bank(name, &["seal"]);
        bank.rotation = Some(v1::RotationTerms {
            procedure: procedure.into(),
            contact: format!("psd2@{name}.example"),
            ..v1::RotationTerms::default()
        });
        house.apply_bank(bank).await.unwrap();
    }
    let grant = v1::Grant {
        operations: vec![v1::Operation::SignHttp.into()],
        credential: "seal".to_owned(),
        banks: BANKS.map(|(name, _)| name.to_owned()).to_vec(),
    };
    let caller = v1::Caller {
        name: TPP.to_owned(),
        role: v1::Role::Signer.into(),
        grants: vec![grant],
    };
    house.apply_callers(vec![caller]).await.unwrap();
    if spare {
        let enrolled = house.enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256);
        let csr = enrolled.await.unwrap().csr_pem;
        let chain = house.issue(&csr, Purpose::Seal, |_| ());
        house.install("seal", chain).await.unwrap();
    }
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_stops_the_key_and_moves_the_banks_to_the_spare() {
    let house = Arc::new(four_banks(true).await);
    house.second_officer().await;
    // Three banks that have to be told; the fourth trusts what is qualified and may lose nothing.
    let callers = ["overlapping", "announcing", "swapping"].map(|name| {
        let bank = house.connect(TPP).bank(name);
        tokio::spawn(async move {
            let mut last = None;
            loop {
                match bank.sign(payment()).await {
                    Ok(_) => last = Some(Instant::now()),
                    Err(error) => return (last, Instant::now(), error),
                }
            }
        })
    });
    house.sign_for("trusting").await.unwrap();

    let begun = Instant::now();
    let done = house.compromise(V1).await.unwrap();
    let answered = begun.elapsed();
    let (mut last_ms, mut first_refused_ms) = (0, u128::MAX);
    for caller in callers {
        let (last, refused, error) = caller.await.unwrap();
        assert_eq!(error.reason(), "VERSION_FROZEN");
        let last = last.map(|last| last.saturating_duration_since(begun));
        last_ms = last_ms.max(last.unwrap_or_default().as_millis());
        let refused = refused.saturating_duration_since(begun).as_millis();
        first_refused_ms = first_refused_ms.min(refused);
    }
    println!(
        "compromise: first refusal after {first_refused_ms} ms, last signature after {last_ms} ms, answered after {} ms",
        answered.as_millis()
    );
    assert!(first_refused_ms <= REFUSED_MS_MAX && last_ms <= REFUSED_MS_MAX);

    assert_eq!(done.version.unwrap().state(), VersionState::Frozen);
    assert_eq!(
        (&*done.revocation_problem, &*done.rotation_problem),
        ("", "")
    );
    assert_eq!(done.rotation_version, V2);
    let signs = |name: &str| {
        let bank = done.banks.iter().find(|bank| bank.bank == name).unwrap();
        assert_eq!(bank.contact, format!("psd2@{name}.example"));
        bank.signing_version.clone()
    };
    assert_eq!(
        signs("trusting"),
        V2,
        "a bank that trusts what is qualified goes on at once"
    );
    for waits in ["overlapping", "announcing", "swapping"] {
        assert_eq!(signs(waits), "");
    }
    house.sign_for("trusting").await.unwrap();
    // The others go on as each of them wants it.
    for what in [
        Step::Announce(v1::Announce {}),
        Step::Accept(v1::Accept::default()),
    ] {
        step(&house, "seal", "overlapping", what).await.unwrap();
    }
    house.sign_for("overlapping").await.unwrap();

    // Again it goes on where it stopped, with the same approval.
    let asked = done.revocation.unwrap();
    let again = house.compromise(V1).await.unwrap();
    assert_eq!(again.revocation.unwrap().name, asked.name);
    assert_eq!(again.banks.len(), 4);
    assert_eq!(
        (&*again.rotation_version, &*again.rotation_problem),
        (V2, "")
    );
    let request = v1::ApproveChangeRequest { name: asked.name };
    let second = house.connect(SECOND);
    let approved = second.call(request, async |channel, request| {
        ApprovalServiceClient::new(channel)
            .approve_change(request)
            .await
    });
    approved.await.unwrap();
    let over = house.compromise(V1).await.unwrap_err();
    assert_eq!(
        over.reason(),
        "STATE_FORBIDS",
        "revoked is more than frozen"
    );
    assert_eq!(house.verify_log().await.faults, []);
}

#[tokio::test]
async fn without_a_spare_it_stops_all_the_same_and_says_so() {
    let house = four_banks(false).await;
    let stranger = house.connect(TPP);
    let request = v1::CompromiseVersionRequest {
        name: V1.to_owned(),
        reason: "x".to_owned(),
    };
    let refused = stranger.call(request, async |channel, request| {
        CredentialServiceClient::new(channel)
            .compromise_version(request)
            .await
    });
    assert_eq!(refused.await.unwrap_err().reason(), "ROLE_REQUIRED");
    let unnumbered = house.compromise("credentials/seal").await.unwrap_err();
    assert_eq!(unnumbered.reason(), "VERSION_NUMBER_MISSING");

    let done = house.compromise(V1).await.unwrap();
    assert_eq!((&*done.rotation_version, &*done.rotation_problem), ("", ""));
    assert!(
        done.banks
            .iter()
            .all(|bank| bank.signing_version.is_empty())
    );
    for (name, _) in BANKS {
        let refused = house.sign_for(name).await.unwrap_err();
        assert_eq!(refused.reason(), "VERSION_FROZEN");
    }
    // The spare comes later: the same command takes it.
    let enrolled = house.enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256);
    let csr = enrolled.await.unwrap().csr_pem;
    let chain = house.issue(&csr, Purpose::Seal, |_| ());
    house.install("seal", chain).await.unwrap();
    let done = house.compromise(V1).await.unwrap();
    assert_eq!(done.rotation_version, V2);
    let patience = Duration::from_secs(30);
    let signs = async { while house.sign_for("trusting").await.is_err() {} };
    tokio::time::timeout(patience, signs).await.unwrap();
}
