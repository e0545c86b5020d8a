//! The service's own door, and the client's mutual TLS to a bank with a key in the token.

use sealkeep_client::v1::{self, KeyAlgorithm, Purpose};
use sealkeep_client::{Error, Sealkeep, rustls};

use crate::house::{House, OFFICER, TPP, bank};

async fn who_am_i(sealkeep: &Sealkeep) -> Result<String, Error> {
    let answer = sealkeep
        .call(v1::WhoAmIRequest {}, async |channel, request| {
            v1::access_service_client::AccessServiceClient::new(channel)
                .who_am_i(request)
                .await
        })
        .await?;
    Ok(answer.caller.unwrap_or_default().name)
}

#[tokio::test]
async fn a_caller_is_exactly_one_name_of_its_certificate() {
    let house = House::open();
    let connect =
        |uris: &[&str], dns: &[&str]| Sealkeep::connect(house.client_config(uris, dns)).unwrap();
    assert_eq!(who_am_i(&connect(&[OFFICER], &[])).await.unwrap(), OFFICER);
    assert_eq!(
        who_am_i(&connect(&[], &["tpp.test"])).await.unwrap(),
        "tpp.test"
    );
    let two = who_am_i(&connect(&[OFFICER], &["tpp.test"]))
        .await
        .unwrap_err();
    assert_eq!(two.reason(), "CALLER_NAME_AMBIGUOUS");
    let odd = who_am_i(&connect(&["https://test.example/x"], &[]))
        .await
        .unwrap_err();
    assert_eq!(odd.reason(), "CALLER_NAME_INVALID");
}

#[tokio::test]
async fn callers_of_another_ca_do_not_get_in() {
    let house = House::open();
    let other = sealkeep_sandbox::pki::Pki::create(jiff::Timestamp::now()).unwrap();
    let subject = sealkeep_sandbox::pki::Subject {
        name: "eve".into(),
        uris: vec![OFFICER.into()],
        days: 1,
        ..Default::default()
    };
    let issued = other.issue(&subject, jiff::Timestamp::now()).unwrap();
    let mut config = house.client_config(&[OFFICER], &[]);
    config.cert_pem = sealkeep_sandbox::files::certificates_pem([&issued.certificate]).into_bytes();
    config.key_pem = issued.key.pair().serialize_pem().into_bytes().into();
    let error = who_am_i(&Sealkeep::connect(config).unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_new_server_certificate_is_taken_over_and_open_connections_go_on() {
    let house = House::open();
    let old = house.connect(OFFICER);
    who_am_i(&old).await.unwrap();
    let before = presented(&house).await;
    house.write_server_certificate();
    // The service looks at its files once a second; connections are made until it has.
    let after = loop {
        let now = presented(&house).await;
        if now != before {
            break now;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_ne!(before, after);
    who_am_i(&old).await.unwrap();

    // Half a file changes nothing.
    std::fs::write(house.dir().join("server.pem"), "-----BEGIN CERT").unwrap();
    while !house.log().contains("not reloaded") {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(presented(&house).await, after);
}

/// The certificate that the service shows now.
async fn presented(house: &House) -> Vec<u8> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(house.pki.ca().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = &house.service.as_ref().unwrap().address;
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = connector
        .connect("localhost".try_into().unwrap(), tcp)
        .await
        .unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn tls_1_2_is_refused_at_the_door() {
    let house = House::open();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(house.pki.ca().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = &house.service.as_ref().unwrap().address;
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    assert!(
        connector
            .connect("localhost".try_into().unwrap(), tcp)
            .await
            .is_err()
    );
}

/// What a transport key signs, and what it does not.
#[tokio::test]
async fn a_transport_key_signs_handshakes_only_where_the_bank_allows() {
    let house = House::open();
    house
        .credential("qwac", Purpose::Transport, KeyAlgorithm::EcP256)
        .await;
    house.apply_bank(bank("bank", &["qwac"])).await.unwrap();
    house.grant("bank", &["qwac"]).await;
    let tpp = house.connect(TPP);
    let tls13 = async |version: &str, scheme: u32, hash: Vec<u8>| {
        let request = v1::SignTls13Request {
            version: version.to_owned(),
            bank: "bank".to_owned(),
            signature_scheme: scheme,
            transcript_hash: hash,
            verification: String::new(),
        };
        tpp.call(request, async |channel, request| {
            v1::tls_service_client::TlsServiceClient::new(channel)
                .sign_tls13(request)
                .await
        })
        .await
    };
    let version = "credentials/qwac/versions/1";
    assert!(tls13(version, 0x0403, vec![7; 32]).await.is_ok());
    assert!(tls13(version, 0x0403, vec![7; 48]).await.is_ok());
    for (scheme, length, reason) in [
        (0x0403, 31, "TLS_TRANSCRIPT_INVALID"),
        (0x0403, 130, "TLS_TRANSCRIPT_INVALID"),
        (0x0804, 32, "ALGORITHM_NOT_ALLOWED"),
        (0x0203, 32, "ALGORITHM_NOT_ALLOWED"),
        (0x1_0403, 32, "FIELD_INVALID"),
    ] {
        let error = tls13(version, scheme, vec![7; length]).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{scheme:#x} {length}");
    }
    let other = tls13("credentials/qwac/versions/2", 0x0403, vec![7; 32])
        .await
        .unwrap_err();
    assert_eq!(other.reason(), "VERSION_NOT_BOUND");

    let request = v1::SignTls12Request {
        version: version.to_owned(),
        bank: "bank".to_owned(),
        signature_scheme: 0x0403,
        handshake_messages: vec![1, 0, 0, 4, 0, 0, 0, 0],
        verification: String::new(),
    };
    let error = tpp
        .call(request, async |channel, request| {
            v1::tls_service_client::TlsServiceClient::new(channel)
                .sign_tls12(request)
                .await
        })
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "TLS_TRANSCRIPT_INVALID");
}
