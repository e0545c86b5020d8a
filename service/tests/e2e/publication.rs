//! Our seal certificates, fetched as banks fetch them, and believed by OpenSSL.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealkeep_client::rustls::pki_types::CertificateDer;
use sealkeep_client::rustls::pki_types::pem::PemObject;
use sealkeep_client::v1::{KeyAlgorithm, Purpose};
use sealkeep_client::{BodySource, RequestHead};
use sealkeep_sandbox::pki::Subject;
use sha2::{Digest, Sha256};

use crate::house::{House, OFFICER, SECOND, TPP, bank};

const URL: &str = "https://tpp.example/certs/qseal_{sha256}";
/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running house with a public door, and a seal that a STET bank knows by its URL.
async fn with_publication() -> House {
    let mut house = House::build();
    let subject = Subject {
        name: "tpp.example".to_owned(),
        dns_names: vec!["tpp.example".to_owned()],
        server: true,
        days: 30,
        ..Subject::default()
    };
    let issued = house.pki.issue(&subject, jiff::Timestamp::now()).unwrap();
    let pem = sealkeep_sandbox::files::certificates_pem([&issued.certificate]);
    std::fs::write(house.dir().join("public.pem"), pem).unwrap();
    issued.key.save(&house.dir().join("public.key")).unwrap();
    let table = format!(
        "[publication]\naddress = \"127.0.0.1:0\"\ncertificate_file = \"public.pem\"\n\
         key_file = \"public.key\"\nurls = [\"{URL}\"]\n"
    );
    let config = format!("{}{table}", house.config());
    std::fs::write(house.config_file(), config).unwrap();
    let init = house.sealkeepd(&["init", "--officer", OFFICER]);
    assert!(init.status.success(), "{init:?}");
    house.start();
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::Rsa2048)
        .await;
    let mut stet = bank("bank", &["seal"]);
    stet.profile = "stet-1.4".to_owned();
    stet.settings = [("certificate_url".to_owned(), URL.to_owned())].into();
    house.apply_bank(stet).await.unwrap();
    house.grant("bank", &["seal"]).await;
    house
}

/// What curl gets of a URL of ours: status, head, body.
fn fetch(house: &House, url: &str, more: &[&str]) -> (u16, String, Vec<u8>) {
    let log = house.log();
    let address = log.rsplit_once("certificates on https://").unwrap().1;
    let address = address.split_whitespace().next().unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--path-as-is"])
        .arg("--cacert")
        .arg(house.dir().join("pki/ca.pem"))
        .args(["--connect-to", &format!("tpp.example:443:{address}")])
        .args(more)
        .arg(url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let end = output
        .stdout
        .windows(4)
        .position(|four| four == b"\r\n\r\n");
    let (head, body) = output.stdout.split_at(end.unwrap() + 4);
    let head = String::from_utf8(head.to_vec()).unwrap().to_lowercase();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, head, body.to_vec())
}

fn openssl(arguments: &[&str], files: &Path) -> Output {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(files)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output
}

fn request() -> RequestHead {
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    RequestHead {
        method: "GET".to_owned(),
        authority: "api.bank.example".to_owned(),
        target: "/accounts/".to_owned(),
        headers: vec![
            header("date", &date.to_string()),
            header("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721"),
        ],
    }
}

#[tokio::test]
async fn a_bank_finds_our_certificate_under_the_key_id_and_openssl_believes_the_signature() {
    let house = with_publication().await;
    let tpp = house.connect(TPP).bank("bank");
    let head = request();
    let explained = tpp
        .explain_head(&head, BodySource::Bytes(b""))
        .await
        .unwrap();
    let signed = tpp.sign_head(&head, BodySource::Bytes(b"")).await.unwrap();
    let signature = signed.iter().find(|(name, _)| *name == "signature");
    let signature = signature.unwrap().1.to_str().unwrap().to_owned();
    let member = |name: &str| {
        let value = signature.split_once(&format!("{name}=\"")).unwrap().1;
        value.split_once('"').unwrap().0.to_owned()
    };
    let key_id = member("keyId");
    assert_eq!(key_id, explained.key_id);
    let (status, head, pem) = fetch(&house, &key_id, &[]);
    assert_eq!(status, 200, "{head}");
    assert!(head.contains("content-type: text/plain"), "{head}");
    assert!(
        head.contains("cache-control: public, max-age=3600, immutable"),
        "{head}"
    );

    let files = house.dir();
    std::fs::write(files.join("fetched.pem"), &pem).unwrap();
    let der = openssl(&["x509", "-in", "fetched.pem", "-outform", "DER"], files).stdout;
    assert!(key_id.ends_with(&format!("_{}", hex::encode(Sha256::digest(&der)))));
    let chain = ["-CAfile", "qtsp/root.pem", "-untrusted", "qtsp/issuing.pem"];
    openssl(&[&["verify"][..], &chain, &["fetched.pem"]].concat(), files);
    let key = openssl(&["x509", "-in", "fetched.pem", "-noout", "-pubkey"], files).stdout;
    std::fs::write(files.join("fetched.key"), key).unwrap();
    std::fs::write(files.join("tbs"), &explained.to_be_signed).unwrap();
    let raw = STANDARD.decode(member("signature")).unwrap();
    std::fs::write(files.join("raw"), raw).unwrap();
    let verified = [
        "dgst",
        "-sha256",
        "-verify",
        "fetched.key",
        "-signature",
        "raw",
        "tbs",
    ];
    assert_eq!(openssl(&verified, files).stdout, b"Verified OK\n");

    // STET can be read to mean the hash of the file.
    let of_file = URL.replace("{sha256}", &hex::encode(Sha256::digest(&pem)));
    assert_eq!(fetch(&house, &of_file, &[]).2, pem);
    let etag = head.split_once("etag: ").unwrap().1.lines().next().unwrap();
    let known = format!("If-None-Match: {etag}");
    assert_eq!(fetch(&house, &key_id, &["-H", &known]).0, 304);
    assert_eq!(fetch(&house, &key_id, &["--head"]).0, 200);
    assert_eq!(fetch(&house, &key_id, &["-X", "POST"]).0, 405);
    for nothing in [
        "",
        "certs/",
        "certs/qseal_",
        "metrics",
        "certs/..%2f..%2fetc/passwd",
    ] {
        let url = format!("https://tpp.example/{nothing}");
        assert_eq!(fetch(&house, &url, &[]).0, 404, "{nothing}");
    }
    assert_eq!(fetch(&house, &format!("{key_id}?x=1"), &[]).0, 404);
}

#[tokio::test]
async fn a_certificate_is_there_before_its_first_use_and_gone_when_revoked() {
    let mut house = with_publication().await;
    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::Rsa2048)
        .await;
    let chain = house.issue(&enrolled.unwrap().csr_pem, Purpose::Seal, |_| ());
    let url_of = |chain: &str| {
        let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        URL.replace("{sha256}", &hex::encode(Sha256::digest(&leaf)))
    };
    let (old, new) = {
        let tpp = house.connect(TPP).bank("bank");
        let told = tpp.explain_head(&request(), BodySource::Bytes(b"")).await;
        (told.unwrap().key_id, url_of(&chain))
    };
    assert_eq!(fetch(&house, &new, &[]).0, 404);
    house.install("seal", chain).await.unwrap();
    let until = async |house: &House, url: &str, wanted: u16| {
        let found = async {
            while fetch(house, url, &[]).0 != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("in time");
    };
    until(&house, &new, 200).await;
    house.activate("seal", true).await.unwrap();
    assert_eq!(
        fetch(&house, &old, &[]).0,
        200,
        "signatures of it are still verified"
    );
    house.second_officer().await;
    let approval = house.revoke("seal@1").await.unwrap();
    assert_eq!(fetch(&house, &old, &[]).0, 200, "asked for is not done");
    house.approve(SECOND, &approval).await.unwrap();
    until(&house, &old, 410).await;
    house.stop().await;
    house.start();
    assert_eq!(fetch(&house, &old, &[]).0, 410);
    assert_eq!(fetch(&house, &new, &[]).0, 200);
}
