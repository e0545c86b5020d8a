//! A certificate comes from a CMP server that is not ours, `openssl cmp`, across a crash.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sealkeep_client::Error;
use sealkeep_client::v1::enrolment_service_client::EnrolmentServiceClient;
use sealkeep_client::v1::{self, EnrolmentState, KeyAlgorithm, Purpose};

use sealkeep_cmp::Account;
use sealkeep_profiles::roles::Role as Psd2Role;
use sealkeep_sandbox::clock::Clock;
use sealkeep_sandbox::qtsp::{CmpDesk, CmpServer};

use crate::house::{House, OFFICER, SECOND, bank, payment, write_pin};
use crate::watch::{sample, scrape_until};

/// What is said of an enrolment before its first step has ended.
const NOT_SENT: &str = "not sent yet";
const PATIENCE: Duration = Duration::from_secs(60);

/// A house with enrollers for servers that are not there yet: their ports.
fn house() -> (House, u16) {
    let mut house = House::build();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    write_pin(&house.dir().join("right.secret"), "sesame");
    write_pin(&house.dir().join("wrong.secret"), "guess");
    let mut config = house.config();
    for name in ["right", "wrong"] {
        config.push_str(&format!(
            "[[enroller]]\nname = \"{name}\"\nkind = \"cmp\"\nurl = \"http://127.0.0.1:{port}/pkix/\"\n\
             reference = \"kid1\"\nsecret_file = \"{name}.secret\"\n"
        ));
    }
    config.push_str("[[enroller]]\nname = \"by-hand\"\nkind = \"manual\"\n");
    config.push_str("[metrics]\naddress = \"127.0.0.1:0\"\n");
    std::fs::write(house.config_file(), config).unwrap();
    assert!(
        house
            .sealkeepd(&["init", "--officer", OFFICER])
            .status
            .success()
    );
    house.start();
    (house, port)
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts a CMP server that answers with this chain.
fn serve(house: &House, port: u16, chain: &str) -> Server {
    serve_after(house, port, chain, 1)
}

/// Starts a CMP server that answers with this chain after so many questions whether it is ready.
fn serve_after(house: &House, port: u16, chain: &str, questions: u32) -> Server {
    let (leaf, issuers) = chain.split_at(chain.find("-----END").unwrap() + 26);
    let (issued, ca) = (house.dir().join("issued.pem"), house.dir().join("ca.pem"));
    std::fs::write(&issued, leaf).unwrap();
    std::fs::write(&ca, issuers).unwrap();
    let child = Command::new("openssl")
        .args(["cmp", "-config", "", "-port", &port.to_string()])
        .args(["-srv_ref", "srv", "-srv_secret", "pass:sesame"])
        .args(["-poll_count", &questions.to_string(), "-check_after", "1"])
        .arg("-rsp_cert")
        .arg(&issued)
        .arg("-rsp_extracerts")
        .arg(&ca)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Server(child)
}

impl House {
    async fn submit(&self, credential: &str, enroller: &str) -> Result<v1::Enrolment, Error> {
        self.submit_version(credential, 1, enroller).await
    }

    async fn submit_version(
        &self,
        credential: &str,
        number: u32,
        enroller: &str,
    ) -> Result<v1::Enrolment, Error> {
        let request = v1::SubmitEnrolmentRequest {
            name: format!("credentials/{credential}/versions/{number}"),
            enroller: enroller.to_owned(),
        };
        let answer = self
            .connect(OFFICER)
            .call(request, async |channel, request| {
                EnrolmentServiceClient::new(channel)
                    .submit_enrolment(request)
                    .await
            })
            .await?;
        Ok(answer.enrolment.unwrap())
    }

    async fn request_revocation(
        &self,
        credential: &str,
        enroller: &str,
    ) -> Result<v1::Enrolment, Error> {
        let request = v1::RequestRevocationRequest {
            name: format!("credentials/{credential}/versions/1"),
            enroller: enroller.to_owned(),
            reason: v1::RevocationReason::KeyCompromise.into(),
        };
        let answer = self
            .connect(OFFICER)
            .call(request, async |channel, request| {
                EnrolmentServiceClient::new(channel)
                    .request_revocation(request)
                    .await
            })
            .await?;
        Ok(answer.enrolment.unwrap())
    }

    async fn withdraw(&self, credential: &str) -> Result<v1::Enrolment, Error> {
        let request = v1::WithdrawEnrolmentRequest {
            name: format!("credentials/{credential}/versions/1"),
        };
        let answer = self
            .connect(OFFICER)
            .call(request, async |channel, request| {
                EnrolmentServiceClient::new(channel)
                    .withdraw_enrolment(request)
                    .await
            })
            .await?;
        Ok(answer.enrolment.unwrap())
    }

    /// The newest first.
    async fn enrolments(&self) -> Vec<v1::Enrolment> {
        let request = v1::ListEnrolmentsRequest::default();
        let officer = self.connect(OFFICER);
        let answer = officer.call(request, async |channel, request| {
            EnrolmentServiceClient::new(channel)
                .list_enrolments(request)
                .await
        });
        answer.await.unwrap().enrolments
    }

    /// Waits until the newest enrolment is as wanted.
    async fn enrolment(&self, wanted: impl Fn(&v1::Enrolment) -> bool) -> v1::Enrolment {
        let begun = Instant::now();
        loop {
            let newest = self.enrolments().await.swap_remove(0);
            if wanted(&newest) {
                return newest;
            }
            assert!(begun.elapsed() < PATIENCE, "{newest:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_comes_by_cmp_though_the_server_is_late_and_we_crash() {
    let (mut house, port) = house();
    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    let unknown = house.submit("seal", "no-such").await.unwrap_err();
    assert_eq!(unknown.reason(), "ENROLLER_UNKNOWN");
    house.submit("seal", "right").await.unwrap();
    // Nobody listens yet: it is tried again, and cannot be asked for twice.
    house
        .enrolment(|e| e.detail.contains("cannot be reached"))
        .await;
    let twice = house.submit("seal", "right").await.unwrap_err();
    assert_eq!(twice.reason(), "ENROLMENT_OPEN");
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
    // Meanwhile we die; what was asked for is not forgotten.
    house.kill();
    house.start();
    let _server = serve(&house, port, &chain);
    let done = house
        .enrolment(|e| e.state() != EnrolmentState::Pending)
        .await;
    assert_eq!(done.state(), EnrolmentState::Installed, "{done:?}");
    house.activate("seal", false).await.unwrap();
    house.apply_bank(bank("bank", &["seal"])).await.unwrap();
    house.grant("bank", &["seal"]).await;
    let tpp = house.connect(crate::house::TPP);
    tpp.bank("bank").sign(payment()).await.unwrap();
    assert_eq!(house.records("credential.install").await.len(), 1);
}

/// The exchange goes on where it stood: it is not begun anew, which this server would refuse.
#[tokio::test]
async fn an_exchange_that_the_server_has_begun_goes_on_after_a_crash() {
    let (mut house, port) = house();
    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
    let _server = serve_after(&house, port, &chain, 3);
    house.submit("seal", "right").await.unwrap();
    let waiting = house
        .enrolment(|e| e.detail == "the QTSP has the request")
        .await;
    assert_eq!(waiting.state(), EnrolmentState::Pending);
    house.kill();
    house.start();
    let done = house
        .enrolment(|e| e.state() != EnrolmentState::Pending)
        .await;
    assert_eq!(done.state(), EnrolmentState::Installed, "{done:?}");
}

#[tokio::test]
async fn a_qtsp_that_does_not_answer_keeps_no_other_one_waiting() {
    let (house, port) = house();
    for name in ["seal", "other"] {
        let enrolled = house.enrol(name, Purpose::Seal, KeyAlgorithm::EcP256);
        enrolled.await.unwrap();
    }
    // It is reached, and says nothing.
    let _silent = TcpListener::bind(("127.0.0.1", port)).unwrap();
    house.submit("seal", "right").await.unwrap();
    house.submit("other", "by-hand").await.unwrap();
    house
        .enrolment(|e| e.enroller == "by-hand" && e.detail != NOT_SENT)
        .await;
    assert_eq!(house.enrolments().await[1].detail, NOT_SENT);
}

#[tokio::test]
async fn an_enrolment_that_cannot_succeed_ends_with_the_reason_and_installs_nothing() {
    let (house, port) = house();
    for name in ["seal", "other"] {
        house
            .enrol(name, Purpose::Seal, KeyAlgorithm::EcP256)
            .await
            .unwrap();
    }
    let foreign = house
        .enrol("foreign", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    let chain = house.issue(&foreign.csr_pem, Purpose::Seal, |_| ());
    let _server = serve(&house, port, &chain);
    for (credential, enroller, words) in [
        ("seal", "right", "another key"),
        ("other", "wrong", "shared secret"),
    ] {
        house.submit(credential, enroller).await.unwrap();
        let ended = house
            .enrolment(|e| e.state() != EnrolmentState::Pending)
            .await;
        assert_eq!(ended.state(), EnrolmentState::Failed);
        assert!(ended.detail.contains(words), "{ended:?}");
    }
    assert_eq!(house.records("enrolment.failed").await.len(), 2);
    let withdrawn = house.withdraw("other").await.unwrap();
    assert_eq!(withdrawn.state(), EnrolmentState::Withdrawn);
    assert!(house.records("credential.install").await.is_empty());
}

/// Weeks may lie between the request and its certificate; monitoring sees that it waits.
#[tokio::test]
async fn a_request_by_hand_stays_open_until_its_certificate_is_installed() {
    let (mut house, _) = house();
    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    house.submit("seal", "by-hand").await.unwrap();
    let open = house.enrolment(|e| e.detail.contains("csr seal@1")).await;
    let seconds = |time: Option<prost_types::Timestamp>| time.unwrap().seconds;
    let patience_s = seconds(open.due_time) - seconds(open.create_time);
    assert_eq!(patience_s, 14 * 86_400);
    house.kill();
    house.start();
    let pending = r#"sealkeep_enrolments{enroller="by-hand",state="pending"}"#;
    let due = r#"sealkeep_enrolment_due_timestamp_seconds{name="seal@1",enroller="by-hand"}"#;
    let metrics = scrape_until(&house, |metrics| metrics.contains(pending)).await;
    assert_eq!(sample(&metrics, pending), 1.0);
    assert_eq!(sample(&metrics, due), seconds(open.due_time) as f64);
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
    house.install("seal", chain).await.unwrap();
    let done = house
        .enrolment(|e| e.state() != EnrolmentState::Pending)
        .await;
    assert_eq!(done.state(), EnrolmentState::Installed, "{done:?}");
    scrape_until(&house, |metrics| !metrics.contains(pending)).await;
    let closed = house.withdraw("seal").await.unwrap_err();
    assert_eq!(closed.reason(), "ENROLMENT_CLOSED");
}

#[tokio::test]
async fn a_request_that_was_withdrawn_can_go_another_way() {
    let (house, port) = house();
    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    house.submit("seal", "by-hand").await.unwrap();
    let twice = house.submit("seal", "right").await.unwrap_err();
    assert_eq!(twice.reason(), "ENROLMENT_OPEN");
    let withdrawn = house.withdraw("seal").await.unwrap();
    assert_eq!(withdrawn.state(), EnrolmentState::Withdrawn);
    assert_eq!(house.records("enrolment.withdraw").await.len(), 1);
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
    let _server = serve(&house, port, &chain);
    house.submit("seal", "right").await.unwrap();
    let done = house
        .enrolment(|e| e.state() != EnrolmentState::Pending)
        .await;
    assert_eq!(done.state(), EnrolmentState::Installed, "{done:?}");
}

/// The sandbox QTSP, spoken to by CMP: the first certificate under the secret, the next one signed by the first, and the
/// first revoked. Crashes in between, while the QTSP works on it.
#[tokio::test]
async fn a_certificate_is_renewed_under_the_one_before_and_that_is_revoked() {
    let mut house = House::build();
    write_pin(&house.dir().join("desk.secret"), "sesame");
    let account = Account {
        reference: "kid1".to_owned(),
        secret: "sesame".to_owned().into(),
    };
    let folder = house.dir().join("qtsp");
    let roles = [Psd2Role::PSP_AI, Psd2Role::PSP_PI];
    let desk = CmpDesk::open(&folder, account, &roles, 2, jiff::Timestamp::now()).unwrap();
    std::fs::write(house.dir().join("cmp.pem"), desk.server_certificate_pem()).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = CmpServer::start(listen, desk, Clock::system())
        .await
        .unwrap();
    let mut config = house.config();
    config.push_str(&format!(
        "[[enroller]]\nname = \"desk\"\nkind = \"cmp\"\nurl = \"http://{}/pkix/\"\nreference = \"kid1\"\n\
         secret_file = \"desk.secret\"\nserver_certificate_file = \"cmp.pem\"\nrenewal = \"update\"\n",
        server.addr()
    ));
    std::fs::write(house.config_file(), config).unwrap();
    let init = house.sealkeepd(&["init", "--officer", OFFICER]);
    assert!(init.status.success(), "{init:?}");
    house.start();
    for number in [1, 2] {
        house
            .enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256)
            .await
            .unwrap();
        house.submit_version("seal", number, "desk").await.unwrap();
        house
            .enrolment(|e| e.detail == "the QTSP has the request")
            .await;
        house.kill();
        house.start();
        let done = house
            .enrolment(|e| e.state() != EnrolmentState::Pending)
            .await;
        assert_eq!(done.state(), EnrolmentState::Installed, "{done:?}");
        house
            .activate(&format!("seal/versions/{number}"), false)
            .await
            .unwrap();
    }
    // The new key proved itself; the old one signed the request, the question, the confirmation.
    let signed = house.records("enrolment.sign").await;
    let by = |version: &str| {
        let named = format!("\"version\":\"{version}\"");
        signed.iter().filter(|r| r.line.contains(&named)).count()
    };
    assert_eq!(by("seal@2"), 1);
    assert!(by("seal@1") >= 3, "{signed:?}");

    let early = house.request_revocation("seal", "desk").await.unwrap_err();
    assert_eq!(early.reason(), "NOT_REVOKED");
    house.second_officer().await;
    let asked = house.revoke("seal@1").await.unwrap();
    house.approve(SECOND, &asked).await.unwrap();
    house.request_revocation("seal", "desk").await.unwrap();
    let done = house
        .enrolment(|e| e.is_revocation && e.state() != EnrolmentState::Pending)
        .await;
    assert_eq!(done.state(), EnrolmentState::Revoked, "{done:?}");
    assert_eq!(house.records("enrolment.revoked").await.len(), 1);
    // The answer may have been lost: asking again does no harm.
    house.request_revocation("seal", "desk").await.unwrap();
    let again = house
        .enrolment(|e| e.is_revocation && e.state() != EnrolmentState::Pending)
        .await;
    assert_eq!(again.state(), EnrolmentState::Revoked, "{again:?}");
}
