//! The sandbox QTSP revokes certificates under a running service, and goes away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sealkeep_client::Error;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{self, KeyAlgorithm, Purpose, VersionState};
use sealkeep_sandbox::clock::Clock;
use sealkeep_sandbox::qtsp::{Reason, RunningQtsp, ServeConfig, serve};

use crate::house::{House, NOBODY, OFFICER, SECOND, TPP, bank, payment};

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A house whose QTSP answers, and whose service asks it at this interval, with more rules.
async fn house(interval_s: u32, more: &str) -> (House, RunningQtsp) {
    let mut house = House::build();
    let qtsp = serve(ServeConfig {
        folder: house.dir().join("qtsp"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        fresh: SignedDuration::from_secs(1),
        clock: Clock::system(),
    })
    .await
    .unwrap();
    let rules = format!(
        "http://{}\"\ninterval_s = {interval_s}\n{more}",
        qtsp.addr()
    );
    let config = house.config().replace(&format!("{NOBODY}\"\n"), &rules);
    std::fs::write(house.config_file(), config).unwrap();
    let init = house.sealkeepd(&["init", "--officer", OFFICER]);
    assert!(init.status.success(), "{init:?}");
    house.start();
    (house, qtsp)
}

impl House {
    async fn check_revocation(&self, name: &str) -> Result<v1::CheckRevocationResponse, Error> {
        let request = v1::CheckRevocationRequest {
            name: format!("credentials/{name}"),
        };
        self.connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .check_revocation(request)
                    .await
            })
            .await
    }

    /// What is known without asking anybody.
    async fn revocations(&self, credential: &str) -> Vec<v1::CertificateRevocation> {
        let request = v1::GetCredentialRequest {
            credential: credential.to_owned(),
        };
        let officer = self.connect(OFFICER);
        let answer = officer.call(request, async |channel, request| {
            CredentialServiceClient::new(channel)
                .get_credential(request)
                .await
        });
        answer.await.unwrap().revocations
    }

    async fn activated(&self, name: &str) -> Result<v1::ActivateVersionResponse, Error> {
        let request = v1::ActivateVersionRequest {
            name: format!("credentials/{name}"),
            rebind: false,
        };
        self.connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .activate_version(request)
                    .await
            })
            .await
    }

    async fn state_of(&self, credential: &str) -> VersionState {
        self.versions(credential).await.last().unwrap().state()
    }

    async fn becomes(&self, credential: &str, wanted: VersionState) {
        let begun = Instant::now();
        while self.state_of(credential).await != wanted {
            assert!(begun.elapsed() < PATIENCE, "not {wanted:?} within a minute");
        }
    }

    /// Enrolled, issued and installed; answers what was issued.
    async fn staged(&self, name: &str) -> CertificateDer<'static> {
        let enrolled = self
            .enrol(name, Purpose::Seal, KeyAlgorithm::EcP256)
            .await
            .unwrap();
        let chain = self.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
        let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        self.install(name, chain).await.unwrap();
        leaf
    }

    fn revoke_at_qtsp(&self, certificate: &CertificateDer<'_>, reason: Reason) {
        let now = Clock::system().now();
        self.qtsp.revoke(certificate, reason, now).unwrap();
        self.qtsp.save(&self.dir().join("qtsp")).unwrap();
    }
}

/// What was asked and what came back, `source answer`, for all certificates.
fn asked(checked: &v1::CheckRevocationResponse) -> Vec<String> {
    let attempts = checked.certificates.iter().flat_map(|one| &one.attempts);
    attempts
        .map(|one| format!("{} {}", one.source, one.outcome))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_revoked_at_the_qtsp_stops_signing_within_one_look() {
    let (house, _qtsp) = house(1, "").await;
    let leaf = house.staged("seal").await;
    let activated = house.activated("seal").await.unwrap();
    assert_eq!(activated.findings, [], "the issuer says that all is well");
    house.apply_bank(bank("bank", &["seal"])).await.unwrap();
    house.grant("bank", &["seal"]).await;
    let tpp = house.connect(TPP);
    tpp.bank("bank").sign(payment()).await.unwrap();
    let checked = house.check_revocation("seal/versions/1").await.unwrap();
    assert_eq!(
        asked(&checked),
        ["ocsp good", "ocsp good"],
        "leaf and issuing CA"
    );

    house.revoke_at_qtsp(&leaf, Reason::PrivilegeWithdrawn);
    house.becomes("seal", VersionState::Revoked).await;
    let refused = tpp.bank("bank").sign(payment()).await.unwrap_err();
    assert_eq!(refused.reason(), "VERSION_REVOKED");
    let begun = Instant::now();
    while !house.log().contains("certificate.revoked") {
        assert!(begun.elapsed() < PATIENCE, "no alert within a minute");
    }
    let records = house.records("revocation.found").await;
    assert_eq!(records.len(), 1, "told once, however often it is looked");
    assert_eq!(records[0].caller, "", "nobody did it");
    for word in ["seal@1", "privilege-withdrawn", "ocsp"] {
        assert!(records[0].line.contains(word), "{:?}", records[0]);
    }
    let checked = house.check_revocation("seal/versions/1").await.unwrap();
    let (leaf, issuing) = (&checked.certificates[0], &checked.certificates[1]);
    assert_eq!(leaf.status, "revoked");
    let known = v1::CertificateRevocation {
        attempts: Vec::new(),
        ..leaf.clone()
    };
    assert_eq!(house.revocations("seal").await, [known]);
    assert_eq!(leaf.revoke_reason, "privilege-withdrawn");
    assert_eq!(issuing.status, "good");
    assert_eq!(house.records("revocation.found").await.len(), 1);
    assert_eq!(house.verify_log().await.faults, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_is_not_activated_and_a_suspended_one_comes_back() {
    let (house, _qtsp) = house(3_600, "").await;
    let revoked = house.staged("revoked").await;
    house.revoke_at_qtsp(&revoked, Reason::KeyCompromise);
    let refused = house.activated("revoked").await.unwrap_err();
    assert_eq!(refused.reason(), "CERTIFICATE_BLOCKED");
    assert!(refused.to_string().contains("rev.ocsp"), "{refused}");
    assert_eq!(house.state_of("revoked").await, VersionState::Revoked);

    let held = house.staged("held").await;
    house.activated("held").await.unwrap();
    house.revoke_at_qtsp(&held, Reason::CertificateHold);
    house.check_revocation("held").await.unwrap();
    assert_eq!(house.state_of("held").await, VersionState::Frozen);
    // Officers may let it go on only when the QTSP does.
    let parsed = sealkeep_profiles::certificate::Certificate::from_der(&held).unwrap();
    house.qtsp.restore(&parsed);
    house.qtsp.save(&house.dir().join("qtsp")).unwrap();
    let checked = house.check_revocation("held").await.unwrap();
    assert_eq!(checked.certificates[0].status, "good");
    house.second_officer().await;
    let approval = house.unfreeze("held@1").await.unwrap();
    house.approve(SECOND, &approval).await.unwrap();
    house.becomes("held", VersionState::Active).await;
    house.check_revocation("held").await.unwrap();
    assert_eq!(house.state_of("held").await, VersionState::Active);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_read_where_no_responder_is_named() {
    let (house, _qtsp) = house(3_600, "").await;
    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await
        .unwrap();
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |order| {
        order.oddities.no_responder = true;
        order.oddities.odd_lists = true;
    });
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    house.install("seal", chain).await.unwrap();
    house.activated("seal").await.unwrap();
    let checked = house.check_revocation("seal").await.unwrap();
    let wanted = ["crl CRL_DELTA", "crl good", "crl SKIPPED", "ocsp good"];
    assert_eq!(asked(&checked), wanted);
    house.revoke_at_qtsp(&leaf, Reason::Superseded);
    house.check_revocation("seal").await.unwrap();
    assert_eq!(house.state_of("seal").await, VersionState::Revoked);
}

/// The QTSP goes away: signing goes on, the last word counts for its time, then it is told of; activation does as configured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_qtsp_is_borne_for_a_while_and_then_told_of() {
    let rules = "[revocation.sandbox]\nage_s_max = 12\nwhen_unknown = \"block\"\n\
                 [metrics]\naddress = \"127.0.0.1:0\"\n";
    let (house, qtsp) = house(1, rules).await;
    house.staged("seal").await;
    assert_eq!(house.activated("seal").await.unwrap().findings, []);
    house.apply_bank(bank("bank", &["seal"])).await.unwrap();
    house.grant("bank", &["seal"]).await;
    house.staged("late").await;
    let status = |line: &str| {
        line.starts_with("sealkeep_certificate_revocation_status{kind=\"version\",name=\"seal@1\"")
            && line.contains("source=\"ocsp\"")
            && line.ends_with(" 0")
    };
    let (_, metrics) = crate::watch::get(&house, "/metrics", "*/*");
    assert!(metrics.lines().any(status), "{metrics}");

    drop(qtsp);
    let tpp = house.connect(TPP);
    let begun = Instant::now();
    let told = |event: &str| house.log().contains(event);
    while !told("revocation_statement.expired") {
        tpp.bank("bank").sign(payment()).await.unwrap();
        assert!(begun.elapsed() < PATIENCE, "not told within a minute");
    }
    assert!(
        told("revocation_statement.expiring"),
        "warned before it ended"
    );
    let refused = house.activated("late").await.unwrap_err();
    assert_eq!(refused.reason(), "CERTIFICATE_BLOCKED");
    assert!(
        refused.to_string().contains("rev.ocsp: nobody says"),
        "{refused}"
    );
    assert_eq!(
        house.state_of("late").await,
        VersionState::Staged,
        "and nothing changed"
    );
    let checked = house.check_revocation("seal").await.unwrap();
    assert_eq!(checked.certificates[0].status, "good", "the last word");
    let outcomes: Vec<_> = checked.certificates[0]
        .attempts
        .iter()
        .map(|a| a.outcome.as_str())
        .collect();
    assert_eq!(
        outcomes,
        ["UNREACHABLE", "UNREACHABLE"],
        "responder and list"
    );
    assert_eq!(house.records("revocation.found").await.len(), 0);
}
