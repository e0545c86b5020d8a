//! Mutual TLS to a bank whose other end is not ours to fool: TLS 1.2 and 1.3, RSA and P-256, each with the key in the
//! token.

use http::Request;
use sealkeep_client::v1::{KeyAlgorithm, Purpose};
use sealkeep_client::{Config, Error};
use sealkeep_sandbox::bank::TlsVersion;

use crate::house::{House, ORGANIZATION, TPP, bank};
use crate::pretend::{open_bank, roots};

/// A token at the bank: the handshake and the certificate were believed.
async fn token(config: Config, house: &House, host: &str) -> Result<u16, String> {
    let sealkeep = sealkeep_client::Sealkeep::connect(config).map_err(|e| e.to_string())?;
    let http = sealkeep
        .bank("bank")
        .http_client(roots(&house.qtsp))
        .await
        .map_err(|e| e.to_string())?;
    let form = format!("grant_type=client_credentials&client_id={ORGANIZATION}&scope=aisp");
    let request = Request::post(format!("https://{host}/oauth/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .unwrap();
    let answer = http.send(request).await.map_err(|e| format!("{e:?}"))?;
    Ok(answer.status().as_u16())
}

async fn works(key: KeyAlgorithm, version: TlsVersion) {
    let house = House::open();
    let running = open_bank(&house, |bank| bank.tls_versions = vec![version]).await;
    let host = format!("localhost:{}", running.addr().port());
    house.credential("qwac", Purpose::Transport, key).await;
    let apply = async |tls12_allowed| {
        let mut bank = bank("bank", &["qwac"]);
        bank.hosts = vec![host.clone()];
        bank.tls12_allowed = tls12_allowed;
        house.apply_bank(bank).await.unwrap();
    };
    apply(version == TlsVersion::V1_2).await;
    house.grant("bank", &["qwac"]).await;
    let config = house.client_config(&[TPP], &[]);
    assert_eq!(token(config.clone(), &house, &host).await, Ok(200));
    // On a runtime with one thread the handshake must not block the connection it needs.
    let report = house.verify_log().await;
    assert_eq!((report.faults, report.released_count), (vec![], 1));
    if version == TlsVersion::V1_2 {
        apply(false).await;
        assert!(
            token(config, &house, &host).await.is_err(),
            "TLS 1.2 must be allowed by name"
        );
    }
}

#[tokio::test]
async fn rsa_over_tls_1_2() {
    works(KeyAlgorithm::Rsa2048, TlsVersion::V1_2).await;
}

#[tokio::test]
async fn rsa_over_tls_1_3() {
    works(KeyAlgorithm::Rsa2048, TlsVersion::V1_3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p256_over_tls_1_2() {
    works(KeyAlgorithm::EcP256, TlsVersion::V1_2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p256_over_tls_1_3() {
    works(KeyAlgorithm::EcP256, TlsVersion::V1_3).await;
}

#[tokio::test]
async fn a_deadline_that_passed_gets_no_signature() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    let mut config = house.client_config(&[TPP], &[]);
    config.timeout = std::time::Duration::from_millis(1);
    let tpp = sealkeep_client::Sealkeep::connect(config)
        .unwrap()
        .bank("bank");
    let error = tpp.sign(crate::house::payment()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error:?}");
}
