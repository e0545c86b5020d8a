//! Mutual TLS with a remote key, on both kinds of runtime: what is signed, what is presented, what happens on rotation.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use http::Request;
use sealkeep_client::v1::VersionState;
use sealkeep_client::{Error, HttpClient, HttpError, Offload, Sealkeep, TlsConfig};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use support::bank::Bank;
use support::on_both_flavours;
use support::pki::{Leaf, ec_key, rsa_key};
use support::service::{Fake, Version, refusal};
use tokio::sync::Barrier;

const EC: &[u32] = &[0x0403];
/// RSA-PSS with SHA-256, -384, -512, then PKCS#1 with SHA-256.
const RSA: &[u32] = &[0x0804, 0x0805, 0x0806, 0x0401];

fn version(number: u32, leaf: Leaf, schemes: &[u32]) -> Version {
    let name = format!("credentials/transport/versions/{number}");
    Version {
        name,
        leaf: leaf.into(),
        schemes: schemes.to_vec(),
        state: VersionState::Active,
    }
}

fn print(leaf: &Leaf) -> String {
    hex::encode(Sha256::digest(&leaf.der))
}

async fn tls(fake: &Fake, bank: &Bank) -> TlsConfig {
    fake.script().hosts = vec![bank.host.clone()];
    let sealkeep = Sealkeep::connect(fake.config.clone()).unwrap();
    sealkeep
        .bank("demo-bank")
        .tls_config(bank.roots.clone())
        .await
        .unwrap()
}

async fn get(client: &HttpClient, bank: &Bank) -> Result<String, HttpError> {
    let request = Request::get(bank.url("/v1/accounts")).body("").unwrap();
    Ok(String::from_utf8(client.send(request).await?.into_body().to_vec()).unwrap())
}

#[test]
fn presents_the_bound_certificate_and_sends_only_the_hash() {
    for (key, schemes) in [(ec_key as fn() -> _, EC), (rsa_key, RSA)] {
        on_both_flavours(|| async {
            let bank = Bank::start(&rustls::version::TLS13);
            let leaf = bank.qtsp.client("acme", key());
            let expected = print(&leaf);
            let fake = Fake::start(version(1, leaf, schemes));
            let client = HttpClient::new(tls(&fake, &bank).await).unwrap();
            assert_eq!(get(&client, &bank).await.unwrap(), expected);
            let script = fake.script();
            assert_eq!(script.hashes.len(), 1, "one connection, one signature");
            assert!(matches!(script.hashes[0].len(), 32 | 48));
            assert!(script.transcripts.is_empty());
        });
    }
}

#[test]
fn signs_tls12_only_where_the_bank_allows_it() {
    for (key, schemes) in [(ec_key as fn() -> _, EC), (rsa_key, RSA)] {
        on_both_flavours(|| async {
            let bank = Bank::start(&rustls::version::TLS12);
            let leaf = bank.qtsp.client("acme", key());
            let expected = print(&leaf);
            let fake = Fake::start(version(1, leaf, schemes));
            let client = HttpClient::new(tls(&fake, &bank).await).unwrap();
            let error = get(&client, &bank).await.unwrap_err();
            assert!(matches!(error, HttpError::Connect { .. }), "{error}");

            fake.script().tls12_allowed = true;
            let client = HttpClient::new(tls(&fake, &bank).await).unwrap();
            assert_eq!(get(&client, &bank).await.unwrap(), expected);
            let script = fake.script();
            assert_eq!((script.transcripts.len(), script.hashes.len()), (1, 0));
            assert_eq!(script.transcripts[0][0], 1, "begins with ClientHello");
        });
    }
}

#[test]
fn many_handshakes_wait_for_their_signatures_at_the_same_time() {
    on_both_flavours(|| async {
        let bank = Bank::start(&rustls::version::TLS13);
        let leaf = bank.qtsp.client("acme", ec_key());
        let fake = Fake::start(version(1, leaf, EC));
        let tls = tls(&fake, &bank).await;
        // The service answers none of them before all are asked for: workers that block would wait for ever.
        fake.script().barrier = Some(Arc::new(Barrier::new(12)));
        let client = HttpClient::new(tls).unwrap();
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let (client, url) = (client.clone(), bank.url("/"));
                tokio::spawn(async move {
                    client
                        .send(Request::get(url).body("").unwrap())
                        .await
                        .map(|_| ())
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(fake.script().hashes.len(), 12);
    });
}

#[test]
fn works_with_a_connector_of_the_caller() {
    on_both_flavours(|| async {
        let bank = Bank::start(&rustls::version::TLS13);
        let fake = Fake::start(version(1, bank.qtsp.client("acme", ec_key()), EC));
        let config = Arc::new(tls(&fake, &bank).await.client_config().unwrap());
        let tcp = tokio::net::TcpStream::connect(bank.host.as_str())
            .await
            .unwrap();
        let name = "localhost".try_into().unwrap();
        let connecting = tokio_rustls::TlsConnector::from(config).connect(name, tcp);
        let stream = Offload::new(connecting).await.unwrap();
        assert_eq!(
            stream.get_ref().1.handshake_kind(),
            Some(rustls::HandshakeKind::Full)
        );
    });
}

#[test]
fn a_rotation_reaches_new_connections_without_a_new_client() {
    on_both_flavours(|| async {
        let bank = Bank::start(&rustls::version::TLS13);
        let old = bank.qtsp.client("acme", ec_key());
        let new = bank.qtsp.client("acme", rsa_key());
        let (old_print, new_print) = (print(&old), print(&new));
        let fake = Fake::start(version(1, old, EC));
        let tls = tls(&fake, &bank).await;
        let client = HttpClient::new(tls.clone()).unwrap();
        assert_eq!(get(&client, &bank).await.unwrap(), old_print);
        fake.rebind(version(2, new, RSA));
        tls.changed(0).await;
        assert_eq!(tls.version(), "credentials/transport/versions/2");
        assert_eq!(get(&client, &bank).await.unwrap(), new_print);
        assert_eq!(
            fake.script().hashes.len(),
            2,
            "the pooled connection is not used again"
        );
    });
}

/// Connections that were opened with a key that is not trusted any more end, and so do those after it is trusted again.
#[test]
fn a_frozen_version_ends_open_connections() {
    on_both_flavours(|| async {
        let bank = Bank::start(&rustls::version::TLS13);
        let fake = Fake::start(version(1, bank.qtsp.client("acme", ec_key()), EC));
        let tls = tls(&fake, &bank).await;
        let client = HttpClient::new(tls.clone()).unwrap();
        get(&client, &bank).await.unwrap();
        fake.restate(VersionState::Frozen);
        tls.changed(0).await;
        let denied = refusal(tonic::Code::FailedPrecondition, "VERSION_FROZEN", "");
        fake.script().failures.push_back(denied);
        match get(&client, &bank).await.unwrap_err() {
            HttpError::Signature(error) => assert_eq!(error.reason(), "VERSION_FROZEN"),
            other => panic!("{other}"),
        }
        fake.restate(VersionState::Active);
        tls.changed(1).await;
        get(&client, &bank).await.unwrap();
    });
}

#[test]
fn a_rotation_that_was_not_yet_heard_of_costs_no_request() {
    on_both_flavours(|| async {
        let bank = Bank::start(&rustls::version::TLS13);
        let new = bank.qtsp.client("acme", ec_key());
        let new_print = print(&new);
        let fake = Fake::start(version(1, bank.qtsp.client("acme", ec_key()), EC));
        fake.script().watch_is_silent = true;
        let client = HttpClient::new(tls(&fake, &bank).await).unwrap();
        fake.rebind(version(2, new, EC));
        assert_eq!(client.tls().generation(), 0);
        assert_eq!(get(&client, &bank).await.unwrap(), new_print);
        assert_eq!(client.tls().generation(), 1);
        assert_eq!(fake.script().hashes.len(), 2);
    });
}

#[test]
fn the_services_refusal_comes_out_of_the_handshake() {
    on_both_flavours(|| async {
        let bank = Bank::start(&rustls::version::TLS13);
        let fake = Fake::start(version(1, bank.qtsp.client("acme", ec_key()), EC));
        let client = HttpClient::new(tls(&fake, &bank).await).unwrap();
        let denied = refusal(tonic::Code::PermissionDenied, "NO_GRANT", "");
        fake.script().failures.push_back(denied);
        match get(&client, &bank).await.unwrap_err() {
            HttpError::Signature(error) => {
                assert!(matches!(*error, Error::Denied { .. }) && error.reason() == "NO_GRANT");
            }
            other => panic!("{other}"),
        }
        get(&client, &bank).await.unwrap();
    });
}

#[test]
fn talks_to_hosts_of_the_bank_only_and_follows_no_redirect() {
    on_both_flavours(|| async {
        let bank = Bank::start(&rustls::version::TLS13);
        let fake = Fake::start(version(1, bank.qtsp.client("acme", ec_key()), EC));
        let client = HttpClient::new(tls(&fake, &bank).await).unwrap();
        let request = Request::get("https://localhost:1/v1").body("").unwrap();
        let error = client.send(request).await.unwrap_err();
        assert!(matches!(error, HttpError::ForeignHost { .. }), "{error}");
        let request = Request::get(bank.url("/moved")).body("").unwrap();
        assert_eq!(client.send(request).await.unwrap().status(), 302);
    });
}

#[test]
fn does_not_sign_for_a_server_it_does_not_trust() {
    on_both_flavours(|| async {
        let bank = Bank::start(&rustls::version::TLS13);
        let other = Bank::start(&rustls::version::TLS13);
        let fake = Fake::start(version(1, bank.qtsp.client("acme", ec_key()), EC));
        fake.script().hosts = vec![bank.host.clone()];
        let sealkeep = Sealkeep::connect(fake.config.clone()).unwrap();
        let tls = sealkeep
            .bank("demo-bank")
            .tls_config(other.roots.clone())
            .await
            .unwrap();
        let error = get(&HttpClient::new(tls).unwrap(), &bank)
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::Connect { .. }), "{error}");
        assert!(fake.script().hashes.is_empty());
    });
}

#[test]
fn refuses_an_identity_without_usable_certificate() {
    on_both_flavours(|| async {
        let bank = Bank::start(&rustls::version::TLS13);
        let mut leaf = bank.qtsp.client("acme", ec_key());
        leaf.der = vec![0x30, 0].into();
        let fake = Fake::start(version(1, leaf, EC));
        let sealkeep = Sealkeep::connect(fake.config.clone()).unwrap();
        let error = sealkeep
            .bank("demo-bank")
            .tls_config(bank.roots.clone())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "IDENTITY_MALFORMED");
    });
}
