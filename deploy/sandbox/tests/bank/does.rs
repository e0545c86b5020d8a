//! What the bank does for a provider that does everything right.

use super::*;

#[tokio::test]
async fn shows_accounts_and_balances_under_a_consent() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let (token, id) = consented(&world, &tpp, json!({ "allPsd2": "allAccounts" })).await;
    let status = Message::get(&format!("/v1/consents/{id}")).bearer(&token);
    assert_eq!(
        tpp.call(&world, status).await.json["consentStatus"],
        "valid"
    );
    let list = Message::get("/v1/accounts")
        .bearer(&token)
        .with("Consent-ID", &id);
    let accounts = tpp.call(&world, list).await.json["accounts"].clone();
    assert_eq!(accounts.as_array().unwrap().len(), 2);
    let path = accounts[0]["_links"]["balances"]["href"].as_str().unwrap();
    let read = Message::get(path).bearer(&token).with("Consent-ID", &id);
    let balance = tpp.call(&world, read).await.json["balances"][0]["balanceAmount"].clone();
    assert_eq!(balance, json!({ "currency": "EUR", "amount": "5123.45" }));
}

#[tokio::test]
async fn shows_only_what_the_consent_names() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let access = json!({ "accounts": [{ "iban": "DE89370400440532013000" }] });
    let (token, id) = consented(&world, &tpp, access).await;
    let list = Message::get("/v1/accounts")
        .bearer(&token)
        .with("Consent-ID", &id);
    let reply = tpp.call(&world, list).await;
    assert_eq!(reply.json["accounts"].as_array().unwrap().len(), 1);
    let read = |account: &str| {
        Message::get(&format!("/v1/accounts/{account}/balances"))
            .bearer(&token)
            .with("Consent-ID", &id)
    };
    assert_refused(
        &tpp.call(&world, read("giro-1")).await,
        401,
        "CONSENT_INVALID",
    );
    assert_refused(
        &tpp.call(&world, read("none")).await,
        404,
        "RESOURCE_UNKNOWN",
    );
}

#[tokio::test]
async fn books_a_payment_once_however_often_it_is_retried() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let token = tpp.token(&world, "aisp pisp").await;
    let message = Message::post(PAYMENTS, payment("123.45")).bearer(&token);
    let first = tpp.call(&world, message.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(first.json["transactionStatus"], "RCVD");
    let again = tpp.call(&world, message).await;
    assert_eq!(
        (again.status, &again.body),
        (StatusCode::CREATED, &first.body)
    );
    assert_eq!(again.header("location"), first.header("location"));
    let path = first.json["_links"]["status"]["href"].as_str().unwrap();
    let status = tpp.call(&world, Message::get(path).bearer(&token)).await;
    assert_eq!(status.json["transactionStatus"], "ACSC");
    let (token, id) = consented(&world, &tpp, json!({ "balances": [] })).await;
    let read = Message::get("/v1/accounts/giro-1/balances").bearer(&token);
    let balances = tpp.call(&world, read.with("Consent-ID", &id)).await;
    assert_eq!(
        balances.json["balances"][0]["balanceAmount"]["amount"],
        "5000.00"
    );
}

#[tokio::test]
async fn rejects_a_payment_without_cover() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let reply = pay(&world, &tpp, "5123.46").await;
    let token = tpp.token(&world, "pisp").await;
    let path = reply.json["_links"]["status"]["href"].as_str().unwrap();
    let status = tpp.call(&world, Message::get(path).bearer(&token)).await;
    assert_eq!(status.json["transactionStatus"], "RJCT");
}

#[tokio::test]
async fn speaks_tls_1_2_and_1_3_and_http_1_and_2() {
    let world = World::new().await;
    for tls in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for http2 in [false, true] {
            let tpp = Tpp {
                tls,
                http2,
                ..Tpp::new()
            };
            assert_eq!(pay(&world, &tpp, "1.00").await.status, StatusCode::CREATED);
        }
    }
}

#[tokio::test]
async fn speaks_one_version_of_tls_when_told_to() {
    for (offered, refused) in [
        (TlsVersion::V1_2, &rustls::version::TLS13),
        (TlsVersion::V1_3, &rustls::version::TLS12),
    ] {
        let world = World::with(|config| config.tls_versions = vec![offered]).await;
        let tpp = Tpp {
            tls: refused,
            ..Tpp::new()
        };
        assert!(
            tpp.send(&world, &Message::get("/v1/accounts"))
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn echoes_the_request_id_and_signs_refusals_too() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let message = Message::get("/v1/nowhere");
    let reply = tpp.call(&world, message.clone()).await;
    assert_refused(&reply, 404, "RESOURCE_UNKNOWN");
    assert_eq!(reply.header("x-request-id"), message.header("x-request-id"));
    assert_eq!(reply.header("date"), "Fri, 15 Jan 2027 08:00:00 GMT");
    let reply = tpp.call(&world, Message::post("/v1/accounts", "{}")).await;
    assert_refused(&reply, 405, "SERVICE_INVALID");
}

#[tokio::test]
async fn writes_a_line_for_each_call() {
    let (log, lines) = collecting_log();
    let world = World::with(|config| config.log = log).await;
    pay(&world, &Tpp::new(), "1.00").await;
    let mut unsigned = Message::get("/v1/accounts?psu=secret");
    unsigned.set("x-request-id", "2f77a125-aa7a-45c0-b414-cea25a116035");
    Tpp::new().send(&world, &unsigned).await.unwrap();
    let lines: Vec<_> = lines
        .lock()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let at = "2027-01-15T08:00:00.000Z";
    assert_eq!(
        lines,
        [
            format!("{at} {ORG} POST /oauth/token 200"),
            format!("{at} {ORG} POST {PAYMENTS} 201"),
            format!("{at} {ORG} GET /v1/accounts 401 SIGNATURE_MISSING"),
        ]
    );
}

#[tokio::test]
async fn does_not_start_with_a_profile_it_does_not_have() {
    let mut config = bank_config(sealkeep_sandbox::clock::Clock::manual(NOW));
    config.profile = "berlin-group-0".to_owned();
    let error = sealkeep_sandbox::bank::Bank::start(config)
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::Profile(name) if name == "berlin-group-0"));
}
