//! Who gets a connection, and who an alert of TLS.

use super::*;

/// The TLS alert that the bank sends instead of an answer.
async fn alert(tpp: &Tpp) -> String {
    let world = World::new().await;
    match tpp.send(&world, &Message::get("/v1/accounts")).await {
        Ok(reply) => format!("no alert but {}", reply.code()),
        Err(error) => error.to_string(),
    }
}

async fn assert_alert(tpp: &Tpp, expected: &str) {
    let alert = alert(tpp).await;
    assert!(alert.contains(expected), "{alert}");
}

fn odd(change: impl FnOnce(&mut Order)) -> Tpp {
    let mut qwac = both_roles(Kind::Qwac);
    change(&mut qwac);
    Tpp::of(&qwac, &both_roles(Kind::Qsealc))
}

#[tokio::test]
async fn refuses_a_connection_without_certificate() {
    let world = World::new().await;
    assert!(
        send_anonymously(&world, &Message::get("/v1/accounts"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn takes_a_plain_qwac() {
    assert_eq!(alert(&odd(|_| ())).await, "no alert but SIGNATURE_MISSING");
}

#[tokio::test]
async fn refuses_an_expired_or_early_qwac() {
    assert_alert(
        &odd(|order| order.oddities.expired = true),
        "CertificateExpired",
    )
    .await;
    assert_alert(
        &odd(|order| order.oddities.not_yet_valid = true),
        "CertificateExpired",
    )
    .await;
}

#[tokio::test]
async fn refuses_a_qwac_that_may_not_authenticate_clients() {
    assert_alert(
        &odd(|order| order.oddities.tls_binding = true),
        "UnsupportedCertificate",
    )
    .await;
    assert_alert(
        &odd(|order| order.oddities.no_client_auth = true),
        "UnsupportedCertificate",
    )
    .await;
}

#[tokio::test]
async fn refuses_a_qwac_over_another_key() {
    let mut tpp = Tpp::new();
    tpp.qwac.key = Tpp::new().qwac.key;
    assert_alert(&tpp, "DecryptError").await;
}

#[tokio::test]
async fn refuses_a_qwac_of_another_qtsp() {
    let other = Qtsp::create(KeyKind::EcP256, NOW).unwrap();
    let qwac = identity(&other, &both_roles(Kind::Qwac));
    assert_alert(&Tpp { qwac, ..Tpp::new() }, "DecryptError").await;
}

#[tokio::test]
async fn refuses_a_qwac_that_expires_on_an_open_connection() {
    let mut qwac = both_roles(Kind::Qwac);
    qwac.days = 1;
    let (world, tpp) = (
        World::new().await,
        Tpp::of(&qwac, &both_roles(Kind::Qsealc)),
    );
    let mut connection = tpp.connect(&world).await.unwrap();
    let message = Message::get("/v1/accounts");
    let reply = connection.send(&message).await.unwrap();
    assert_refused(&reply, 401, "SIGNATURE_MISSING");
    world.clock.set(NOW.checked_add(25.hours()).unwrap());
    let reply = connection.send(&message).await.unwrap();
    assert_refused(&reply, 401, "CERTIFICATE_EXPIRED");
}

#[tokio::test]
async fn refuses_a_seal_certificate_as_client_certificate() {
    let world = World::new().await;
    let qwac = identity(&support::QTSP, &both_roles(Kind::Qsealc));
    let tpp = Tpp { qwac, ..Tpp::new() };
    let reply = tpp.call(&world, Message::get("/v1/accounts")).await;
    assert_refused(&reply, 401, "CERTIFICATE_INVALID");
    let reply = tpp.ask_token(&world, ORG, "aisp").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json["error"]),
        (401, &json!("invalid_client"))
    );
}
