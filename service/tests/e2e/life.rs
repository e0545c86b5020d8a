//! How versions leave, and what takes two persons.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealkeep_client::Error;
use sealkeep_client::v1::approval_service_client::ApprovalServiceClient;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{self, ApprovalState, KeyAlgorithm, Purpose, Role, VersionState};
use sealkeep_service::domain::{ApprovalId, CallerName, Standing};
use sealkeep_service::store::{OpenMode, Store};

use crate::house::{House, OFFICER, SECOND, TPP, payment};

/// From the officer's call to the last signature that may still come out.
const FREEZE_MS_MAX: u128 = 1_000;
/// How long anything else that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn resource(short: &str) -> String {
    let (credential, number) = short.split_once('@').unwrap();
    format!("credentials/{credential}/versions/{number}")
}

impl House {
    async fn freeze(&self, version: &str) -> Result<v1::FreezeVersionResponse, Error> {
        let request = v1::FreezeVersionRequest {
            name: resource(version),
            reason: "laptop stolen".to_owned(),
        };
        self.connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .freeze_version(request)
                    .await
            })
            .await
    }

    async fn retire(&self, version: &str) -> Result<v1::RetireVersionResponse, Error> {
        let request = v1::RetireVersionRequest {
            name: resource(version),
        };
        self.connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .retire_version(request)
                    .await
            })
            .await
    }

    pub async fn unfreeze(&self, version: &str) -> Result<v1::Approval, Error> {
        let request = v1::UnfreezeVersionRequest {
            name: resource(version),
            reason: "false alarm".to_owned(),
        };
        let answer = self
            .connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .unfreeze_version(request)
                    .await
            })
            .await?;
        Ok(answer.approval.unwrap())
    }

    pub async fn revoke(&self, version: &str) -> Result<v1::Approval, Error> {
        let request = v1::RevokeVersionRequest {
            name: resource(version),
            reason: "key compromised".to_owned(),
        };
        let answer = self
            .connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .revoke_version(request)
                    .await
            })
            .await?;
        Ok(answer.approval.unwrap())
    }

    async fn destroy(&self, version: &str) -> Result<v1::Approval, Error> {
        let request = v1::DestroyVersionRequest {
            name: resource(version),
            reason: "no longer used".to_owned(),
        };
        let answer = self
            .connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .destroy_version(request)
                    .await
            })
            .await?;
        Ok(answer.approval.unwrap())
    }

    pub async fn approve(&self, who: &str, approval: &v1::Approval) -> Result<v1::Approval, Error> {
        let request = v1::ApproveChangeRequest {
            name: approval.name.clone(),
        };
        let answer = self
            .connect(who)
            .call(request, async |channel, request| {
                ApprovalServiceClient::new(channel)
                    .approve_change(request)
                    .await
            })
            .await?;
        Ok(answer.approval.unwrap())
    }

    async fn reject(&self, who: &str, approval: &v1::Approval) -> Result<v1::Approval, Error> {
        let request = v1::RejectChangeRequest {
            name: approval.name.clone(),
            reason: "not agreed".to_owned(),
        };
        let answer = self
            .connect(who)
            .call(request, async |channel, request| {
                ApprovalServiceClient::new(channel)
                    .reject_change(request)
                    .await
            })
            .await?;
        Ok(answer.approval.unwrap())
    }

    async fn approvals(&self) -> Vec<v1::Approval> {
        let request = v1::ListApprovalsRequest {
            include_closed: true,
            ..Default::default()
        };
        self.connect(OFFICER)
            .call(request, async |channel, request| {
                ApprovalServiceClient::new(channel)
                    .list_approvals(request)
                    .await
            })
            .await
            .unwrap()
            .approvals
    }

    async fn state(&self, version: &str) -> VersionState {
        let (credential, number) = version.split_once('@').unwrap();
        let number: usize = number.parse().unwrap();
        self.versions(credential).await[number - 1].state()
    }

    /// Waits for what another task of the service will do.
    async fn until(&self, version: &str, wanted: VersionState) {
        let begun = Instant::now();
        while self.state(version).await != wanted {
            assert!(begun.elapsed() < PATIENCE, "{version} never was {wanted:?}");
        }
    }

    /// The private keys in the token, as an implementation that is not ours sees them.
    fn private_keys(&self) -> String {
        let output = Command::new("pkcs11-tool")
            .args(["--module", &self.hsm.module().display().to_string()])
            .args(["--token-label", self.hsm.label(), "--login"])
            .args([
                "--pin",
                self.hsm.pin(),
                "--list-objects",
                "--type",
                "privkey",
            ])
            .envs([self.hsm.env()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The compromise drill: callers sign all the time, one watches, a key is being made; one command ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_officer_freezes_a_version_at_once_and_two_let_it_go_on() {
    let house = Arc::new(House::with_seal(KeyAlgorithm::EcP256).await);
    house.second_officer().await;
    let watch = v1::WatchCredentialRequest {
        credential: "seal".into(),
        bank: "bank".into(),
    };
    let mut updates = CredentialServiceClient::new(house.connect(TPP).channel())
        .watch_credential(watch)
        .await
        .unwrap()
        .into_inner();
    let first = updates.message().await.unwrap().unwrap();
    assert_eq!(first.state(), VersionState::Active);
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let bank = house.connect(TPP).bank("bank");
            tokio::spawn(async move {
                let mut last = None;
                loop {
                    match bank.sign(payment()).await {
                        Ok(_) => last = Some(Instant::now()),
                        Err(error) => return (last, error),
                    }
                }
            })
        })
        .collect();
    // Freezing waits for no other change: this one keeps the token and the registry busy meanwhile.
    let making = {
        let house = house.clone();
        tokio::spawn(async move {
            house
                .enrol("other", Purpose::Seal, KeyAlgorithm::Rsa4096)
                .await
        })
    };
    while house.records("key.generate").await.len() < 2 {}

    let begun = Instant::now();
    let frozen = house.freeze("seal@1").await.unwrap();
    let answered = begun.elapsed();
    assert_eq!(frozen.affected_banks, ["bank"]);
    assert_eq!(frozen.version.unwrap().state(), VersionState::Frozen);
    let told = updates.message().await.unwrap().unwrap();
    let heard = begun.elapsed();
    assert_eq!(told.state(), VersionState::Frozen);
    let mut last_ms = 0;
    for caller in callers {
        let (last, error) = caller.await.unwrap();
        assert_eq!(error.reason(), "VERSION_FROZEN");
        let last = last.map(|last| last.saturating_duration_since(begun));
        last_ms = last_ms.max(last.unwrap_or_default().as_millis());
    }
    println!(
        "freeze: answered after {} ms, told to watchers after {} ms, last signature after {last_ms} ms",
        answered.as_millis(),
        heard.as_millis()
    );
    assert!(answered.as_millis() <= FREEZE_MS_MAX, "{answered:?}");
    assert!(heard.as_millis() <= FREEZE_MS_MAX, "{heard:?}");
    assert!(last_ms <= FREEZE_MS_MAX, "{last_ms} ms");
    making.await.unwrap().unwrap();

    assert_eq!(
        house.freeze("seal@1").await.unwrap_err().reason(),
        "STATE_FORBIDS"
    );
    let asked = house.unfreeze("seal@1").await.unwrap();
    assert_eq!(asked.state(), ApprovalState::Pending);
    assert_eq!(
        house.unfreeze("seal@1").await.unwrap_err().reason(),
        "APPROVAL_OPEN"
    );
    let own = house.approve(OFFICER, &asked).await.unwrap_err();
    assert_eq!(own.reason(), "APPROVAL_OWN");
    let stranger = house.approve(TPP, &asked).await.unwrap_err();
    assert_eq!(stranger.reason(), "ROLE_REQUIRED");
    assert_eq!(house.state("seal@1").await, VersionState::Frozen);
    let done = house.approve(SECOND, &asked).await.unwrap();
    assert_eq!(done.state(), ApprovalState::Done);
    assert_eq!(
        house.approve(SECOND, &asked).await.unwrap_err().reason(),
        "APPROVAL_DECIDED"
    );
    house
        .connect(TPP)
        .bank("bank")
        .sign(payment())
        .await
        .unwrap();
    let told = updates.message().await.unwrap().unwrap();
    assert_eq!(told.state(), VersionState::Active);
    assert!(house.verify_log().await.faults.is_empty());
}

#[tokio::test]
async fn a_version_retires_when_its_banks_have_moved_and_names_the_spare_when_frozen() {
    let house = House::with_seal(KeyAlgorithm::EcP256).await;
    let request = v1::RetireVersionRequest {
        name: "credentials/seal".to_owned(),
    };
    let unnumbered = house
        .connect(OFFICER)
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .retire_version(request)
                .await
        })
        .await;
    assert_eq!(unnumbered.unwrap_err().reason(), "VERSION_NUMBER_MISSING");
    assert_eq!(house.retire("seal@1").await.unwrap().bound_banks, ["bank"]);
    assert_eq!(house.state("seal@1").await, VersionState::Retiring);
    let bound = house.retire("seal@1").await.unwrap_err();
    assert_eq!(bound.reason(), "VERSION_STILL_BOUND");
    let bank = house.connect(TPP).bank("bank");
    bank.sign(payment()).await.unwrap();

    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
    house.install("seal", chain).await.unwrap();
    let frozen = house.freeze("seal@1").await.unwrap();
    assert_eq!(frozen.spare_version, "credentials/seal/versions/2");
    house.activate("seal", true).await.unwrap();
    bank.sign(payment()).await.unwrap();
    // Two persons declare the frozen one revoked; from there it never comes back.
    house.second_officer().await;
    let asked = house.revoke("seal@1").await.unwrap();
    house.approve(SECOND, &asked).await.unwrap();
    assert_eq!(house.state("seal@1").await, VersionState::Revoked);
    let back = house.unfreeze("seal@1").await.unwrap_err();
    assert_eq!(back.reason(), "STATE_FORBIDS");
}

#[tokio::test]
async fn a_key_is_destroyed_by_two_persons_after_a_delay_that_survives_a_crash() {
    let mut house = House::with_seal(KeyAlgorithm::EcP256).await;
    house.second_officer().await;
    let in_use = house.destroy("seal@1").await.unwrap_err();
    assert_eq!(in_use.reason(), "STATE_FORBIDS");
    house
        .enrol("spare", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    house.retire("spare@1").await.unwrap();
    assert_eq!(house.private_keys().matches("Private Key").count(), 2);

    // Pending survives; a rejected one does nothing.
    let asked = house.destroy("spare@1").await.unwrap();
    house.kill();
    house.start();
    assert_eq!(house.approvals().await[0].state(), ApprovalState::Pending);
    let rejected = house.reject(SECOND, &asked).await.unwrap();
    assert_eq!(rejected.state(), ApprovalState::Rejected);
    let late = house.approve(SECOND, &asked).await.unwrap_err();
    assert_eq!(late.reason(), "APPROVAL_DECIDED");

    let asked = house.destroy("spare@1").await.unwrap();
    let approved = house.approve(SECOND, &asked).await.unwrap();
    assert_eq!(approved.state(), ApprovalState::Approved);
    assert!(approved.due_time.unwrap().seconds > approved.create_time.unwrap().seconds);
    // The delay passes while nobody runs.
    house.kill();
    house.start();
    house.until("spare@1", VersionState::Destroyed).await;
    assert_eq!(house.private_keys().matches("Private Key").count(), 1);
    let done = &house.approvals().await[0];
    assert_eq!(
        (done.state(), done.outcome.as_str()),
        (ApprovalState::Done, "destroyed")
    );
    assert_eq!(house.records("key.destroy").await.len(), 1);
    house
        .connect(TPP)
        .bank("bank")
        .sign(payment())
        .await
        .unwrap();
    assert!(house.verify_log().await.faults.is_empty());
}

/// A crash between "begun" and "done": the key may be there still, or gone already.
#[tokio::test]
async fn an_interrupted_destruction_is_finished_at_start() {
    let mut house = House::open();
    house.second_officer().await;
    for credential in ["there", "gone"] {
        house
            .enrol(credential, Purpose::Seal, KeyAlgorithm::EcP256)
            .await
            .unwrap();
        house.retire(&format!("{credential}@1")).await.unwrap();
        house.destroy(&format!("{credential}@1")).await.unwrap();
    }
    let open = house.approvals().await;
    let generated = house.records("key.generate").await;
    let key_id = |credential: &str| {
        let data = generated
            .iter()
            .map(|record| serde_json::from_str::<serde_json::Value>(&record.line).unwrap())
            .find(|line| line["data"]["credential"] == credential);
        data.unwrap()["data"]["key_id"].as_str().unwrap().to_owned()
    };
    let gone = key_id("gone");
    house.kill();
    let store = Store::open(&house.place(), OpenMode::Existing)
        .await
        .unwrap();
    for approval in &open {
        let id = approval.name.strip_prefix("approvals/").unwrap();
        let id = ApprovalId::parse(id).unwrap();
        let mut begun = store.approval(&id).await.unwrap().unwrap();
        begun.stored = Standing::Executing;
        begun.decided_by = Some(CallerName::try_from(SECOND.to_owned()).unwrap());
        store
            .advance_approval(Standing::Pending, &begun, None)
            .await
            .unwrap();
    }
    store.close().await;
    drop(store);
    let deleted = Command::new("pkcs11-tool")
        .args(["--module", &house.hsm.module().display().to_string()])
        .args(["--token-label", house.hsm.label(), "--login"])
        .args(["--pin", house.hsm.pin(), "--delete-object"])
        .args(["--type", "privkey", "--id", &gone.replace('-', "")])
        .envs([house.hsm.env()])
        .output()
        .unwrap();
    assert!(deleted.status.success(), "{deleted:?}");
    house.start();
    house.until("there@1", VersionState::Destroyed).await;
    house.until("gone@1", VersionState::Destroyed).await;
    assert!(!house.private_keys().contains("Private Key"));
    let outcomes: Vec<_> = house
        .approvals()
        .await
        .into_iter()
        .map(|approval| (approval.version, approval.outcome))
        .collect();
    assert!(outcomes.contains(&(resource("there@1"), "destroyed".to_owned())));
    assert!(
        outcomes
            .iter()
            .any(|(version, outcome)| *version == resource("gone@1") && outcome.contains("gone"))
    );
}

#[tokio::test]
async fn what_a_former_officer_wanted_does_not_happen() {
    let house = House::with_seal(KeyAlgorithm::EcP256).await;
    house.second_officer().await;
    house.freeze("seal@1").await.unwrap();
    let request = v1::UnfreezeVersionRequest {
        name: resource("seal@1"),
        reason: "please".to_owned(),
    };
    let asked = house
        .connect(SECOND)
        .call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .unfreeze_version(request)
                .await
        })
        .await
        .unwrap()
        .approval
        .unwrap();
    let demoted = v1::Caller {
        name: SECOND.to_owned(),
        role: Role::Auditor.into(),
        grants: vec![],
    };
    house.apply_callers(vec![demoted]).await.unwrap();
    let error = house.approve(OFFICER, &asked).await.unwrap_err();
    assert_eq!(error.reason(), "APPROVAL_AUTHOR_GONE");
    assert_eq!(house.state("seal@1").await, VersionState::Frozen);
}
