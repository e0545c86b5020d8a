//! Trusted lists: imported through the wire, and what they say of certificates.

use jiff::{SignedDuration, Timestamp};
use sealkeep_client::Error;
use sealkeep_client::v1::trust_service_client::TrustServiceClient;
use sealkeep_client::v1::watch_service_client::WatchServiceClient;
use sealkeep_client::v1::{self, KeyAlgorithm, Purpose, TrustedListKind};
use sealkeep_sandbox::files;
use sealkeep_sandbox::key::KeyKind;
use sealkeep_sandbox::qtsp::trusted_list::{Entry, Supervisor};

use crate::house::{House, OFFICER, TPP};

/// Bytes of one message.
const CHUNK_BYTES: usize = 1_000;
const SEAL: KeyAlgorithm = KeyAlgorithm::EcP256;

/// A house whose operator pins a supervisor for one world.
struct Scene {
    house: House,
    supervisor: Supervisor,
}

impl Scene {
    fn open(world: &str, more: &str) -> Self {
        let mut house = House::build();
        let supervisor = Supervisor::create(KeyKind::EcP256, Timestamp::now()).unwrap();
        let pem = files::certificates_pem([supervisor.commission()]);
        std::fs::write(house.dir().join("lotl-signer.pem"), pem).unwrap();
        let trust = format!(
            "[trust]\n{world}_anchor_files = [\"qtsp/root.pem\"]\n{world}_lotl_signer_files = [\"lotl-signer.pem\"]\n{more}\n"
        );
        let anchors = "[trust]\nsandbox_anchor_files = [\"qtsp/root.pem\"]\n";
        let config = house.config();
        assert!(config.contains(anchors));
        std::fs::write(house.config_file(), config.replace(anchors, &trust)).unwrap();
        let init = house.sealkeepd(&["init", "--officer", OFFICER]);
        assert!(init.status.success(), "{init:?}");
        house.start();
        Self { house, supervisor }
    }

    /// The QTSP is granted since it was founded.
    fn entry(&self) -> Entry {
        Entry::granted(self.house.qtsp.founded().unwrap())
    }

    fn files(&self, entry: &Entry) -> Vec<(&'static str, String)> {
        let (now, qtsp) = (Timestamp::now(), &self.house.qtsp);
        vec![
            (
                "lotl.xml",
                self.supervisor.list_of_lists(entry, now).unwrap(),
            ),
            ("fr.xml", self.supervisor.list(qtsp, entry, now).unwrap()),
        ]
    }

    async fn import(
        &self,
        files: &[(&str, String)],
        validate_only: bool,
    ) -> Result<Vec<v1::TrustedList>, Error> {
        let messages: Vec<_> = files
            .iter()
            .flat_map(|(name, text)| {
                let begin = v1::ImportTrustedListsRequest {
                    file_name: (*name).to_owned(),
                    validate_only,
                    ..Default::default()
                };
                let chunks = text.as_bytes().chunks(CHUNK_BYTES);
                let chunks = chunks.map(|chunk| v1::ImportTrustedListsRequest {
                    chunk: chunk.to_vec(),
                    ..Default::default()
                });
                std::iter::once(begin).chain(chunks)
            })
            .collect();
        let answer = self
            .house
            .connect(OFFICER)
            .call(messages, async |channel, request| {
                TrustServiceClient::new(channel)
                    .import_trusted_lists(request.map(tokio_stream::iter))
                    .await
            })
            .await?;
        Ok(answer.lists)
    }

    async fn lists(&self) -> Vec<v1::TrustedList> {
        let request = v1::ListTrustedListsRequest::default();
        let answer = self
            .house
            .connect(OFFICER)
            .call(request, async |channel, request| {
                TrustServiceClient::new(channel)
                    .list_trusted_lists(request)
                    .await
            })
            .await
            .unwrap();
        answer.lists
    }

    async fn ending(&self) -> Vec<v1::Expiry> {
        let request = v1::ListExpiringRequest::default();
        let answer = self
            .house
            .connect(OFFICER)
            .call(request, async |channel, request| {
                WatchServiceClient::new(channel)
                    .list_expiring(request)
                    .await
            })
            .await
            .unwrap();
        answer.expiries
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        let request = v1::RemoveTrustedListRequest {
            name: name.to_owned(),
        };
        self.house
            .connect(OFFICER)
            .call(request, async |channel, request| {
                TrustServiceClient::new(channel)
                    .remove_trusted_list(request)
                    .await
            })
            .await?;
        Ok(())
    }

    /// Enrols a seal, has it issued and installs it.
    async fn install(&self, name: &str) -> Result<v1::InstallCertificateResponse, Error> {
        let enrolled = self.house.enrol(name, Purpose::Seal, SEAL).await.unwrap();
        let chain = self.house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
        self.house.install(name, chain).await
    }
}

fn names(lists: &[v1::TrustedList]) -> Vec<&str> {
    lists.iter().map(|list| list.name.as_str()).collect()
}

fn codes(installed: &v1::InstallCertificateResponse) -> Vec<&str> {
    let of_lists = installed.findings.iter().map(|f| f.code.as_str());
    of_lists.filter(|code| code.starts_with("tl.")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_list_vouches_for_a_certificate_until_it_is_removed() {
    let mut scene = Scene::open("sandbox", "");
    let before = scene.install("before").await.unwrap();
    assert_eq!(before.trust.as_ref().unwrap().trusted_list, "");
    assert!(
        codes(&before).is_empty(),
        "a sandbox without lists is quiet"
    );

    let files = scene.files(&scene.entry());
    let checked = scene.import(&files, true).await.unwrap();
    assert_eq!(names(&checked), ["sandbox/EU", "sandbox/FR"]);
    assert!(scene.lists().await.is_empty(), "only checked");
    let imported = scene.import(&files, false).await.unwrap();
    assert_eq!(imported[0].kind(), TrustedListKind::ListOfLists);
    assert_eq!(
        (imported[1].format_version, imported[1].service_count),
        (6, 1)
    );

    let installed = scene.install("listed").await.unwrap();
    let trust = installed.trust.as_ref().unwrap();
    assert_eq!(trust.trusted_list, "sandbox/FR");
    assert_eq!(trust.service, "Sealkeep Sandbox QTSP Issuing CA");
    assert!(codes(&installed).is_empty());

    let ending = scene.ending().await;
    let watched = ending.iter().filter(|e| e.kind == "trusted_list");
    let watched: Vec<_> = watched.map(|e| (e.name.as_str(), e.end_time)).collect();
    assert!(
        watched.contains(&("sandbox/FR", imported[1].next_update_time)),
        "{watched:?}"
    );

    // What was imported is there after a restart too.
    scene.house.stop().await;
    scene.house.start();
    assert_eq!(names(&scene.lists().await), ["sandbox/EU", "sandbox/FR"]);
    scene.remove("sandbox/FR").await.unwrap();
    let unknown = scene.remove("sandbox/FR").await.unwrap_err();
    assert!(unknown.to_string().contains("not imported"), "{unknown}");
    let after = scene.install("after").await.unwrap();
    assert_eq!(after.trust.as_ref().unwrap().trusted_list, "");

    let records = scene.house.records("trust.").await;
    let events: Vec<_> = records.iter().map(|record| record.event.as_str()).collect();
    assert_eq!(events, ["trust.import", "trust.remove"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_with_one_bad_file_changes_nothing() {
    let scene = Scene::open("sandbox", "");
    let files = scene.files(&scene.entry());
    let forged = files[1].1.replacen("granted", "revoked", 1);
    let forged = [files[0].clone(), files[1].clone(), ("de.xml", forged)];
    let refused = scene.import(&forged, false).await.unwrap_err();
    assert_eq!(refused.reason(), "TRUSTED_LISTS_REFUSED");
    let text = refused.to_string();
    assert!(text.contains("de.xml: SIGNATURE_INVALID"), "{text}");
    let stranger = Supervisor::create(KeyKind::EcP256, Timestamp::now()).unwrap();
    let lotl = stranger.list_of_lists(&scene.entry(), Timestamp::now());
    let refused = scene.import(&[("lotl.xml", lotl.unwrap())], false).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("lotl.xml: SIGNER_UNKNOWN"), "{text}");
    let nothing = scene.import(&[], false).await.unwrap_err();
    assert_eq!(nothing.reason(), "FILES_MISSING");
    assert!(scene.lists().await.is_empty());
    assert!(scene.house.records("trust.").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_imports_without_a_pin_or_the_role() {
    let scene = Scene::open("sandbox", "");
    let files = scene.files(&scene.entry());
    let tpp = scene.house.connect(TPP);
    let request = vec![v1::ImportTrustedListsRequest::default()];
    let denied = tpp
        .call(request, async |channel, request| {
            TrustServiceClient::new(channel)
                .import_trusted_lists(request.map(tokio_stream::iter))
                .await
        })
        .await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    let unpinned = Scene {
        house: House::open(),
        supervisor: scene.supervisor,
    };
    let refused = unpinned.import(&files, false).await.unwrap_err();
    assert_eq!(refused.reason(), "LOTL_SIGNERS_MISSING");
}

/// Production as a careful operator has it: a certificate counts when a list confirms it, at its issuance and now.
#[tokio::test(flavor = "multi_thread")]
async fn production_can_demand_a_list() {
    let demand = "production_trusted_list = \"require\"";
    let scene = Scene::open("production", demand);
    let unchecked = scene.install("first").await.unwrap_err().to_string();
    assert!(unchecked.contains("tl.unchecked"), "{unchecked}");
    scene
        .import(&scene.files(&scene.entry()), false)
        .await
        .unwrap();
    let installed = scene.install("second").await.unwrap();
    assert_eq!(installed.trust.unwrap().trusted_list, "production/FR");

    let founded = scene.house.qtsp.founded().unwrap();
    let withdrawn = Entry::withdrawn(founded, Timestamp::now() - SignedDuration::from_secs(10));
    scene.import(&scene.files(&withdrawn), false).await.unwrap();
    let refused = scene.install("third").await.unwrap_err().to_string();
    assert!(
        refused.contains("tl.granted") && refused.contains("withdrawn"),
        "{refused}"
    );
    // It was installed in time, and the QTSP lost its status before it was put to use.
    let refused = scene.house.activate("second", false).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("now: its issuer's status is withdrawn"),
        "{refused}"
    );
}
