//! Requests: their form, their retries, whose things they are about.

use super::*;

#[tokio::test]
async fn refuses_a_missing_or_bad_request_id() {
    for bend in [
        (|message: &mut Message| message.remove("x-request-id")) as fn(&mut Message),
        |message| message.set("x-request-id", "17"),
    ] {
        assert_refused(&refusal(Tpp::new(), bend).await, 400, "FORMAT_ERROR");
    }
}

#[tokio::test]
async fn refuses_a_changed_retry() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let token = tpp.token(&world, "pisp").await;
    let first = Message::post(PAYMENTS, payment("1.00")).bearer(&token);
    let mut changed = first.clone();
    changed.body = payment("2.00").to_string();
    assert_eq!(
        tpp.call(&world, first.clone()).await.status,
        StatusCode::CREATED
    );
    let reply = tpp.call(&world, changed).await;
    assert_refused(&reply, 400, "FORMAT_ERROR");
    assert!(
        reply.text().contains("X-Request-ID was used before"),
        "{}",
        reply.text()
    );
    let signed_otherwise = first.with("psu-id", "another");
    let reply = tpp.call(&world, signed_otherwise).await;
    assert_refused(&reply, 400, "FORMAT_ERROR");
}

#[tokio::test]
async fn hides_a_payment_and_a_consent_from_other_providers() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let stranger = {
        let named = |kind| {
            let mut order = both_roles(kind);
            order.organization_identifier = Some("PSDDE-BAFIN-654321".to_owned());
            order
        };
        Tpp::of(&named(Kind::Qwac), &named(Kind::Qsealc))
    };
    let reply = stranger
        .ask_token(&world, "PSDDE-BAFIN-654321", "aisp pisp")
        .await;
    let theirs = reply.json["access_token"].as_str().unwrap().to_owned();
    let paid = pay(&world, &tpp, "1.00").await;
    let path = paid.json["_links"]["status"]["href"].as_str().unwrap();
    let reply = stranger
        .call(&world, Message::get(path).bearer(&theirs))
        .await;
    assert_refused(&reply, 404, "RESOURCE_UNKNOWN");
    let (_, id) = consented(&world, &tpp, json!({ "accounts": [] })).await;
    let read = Message::get(&format!("/v1/consents/{id}")).bearer(&theirs);
    assert_refused(&stranger.call(&world, read).await, 403, "CONSENT_UNKNOWN");
    let list = Message::get("/v1/accounts")
        .bearer(&theirs)
        .with("consent-id", &id);
    assert_refused(&stranger.call(&world, list).await, 401, "CONSENT_INVALID");
}

#[tokio::test]
async fn refuses_accounts_without_consent_or_after_its_end() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let (token, id) = consented(&world, &tpp, json!({ "accounts": [] })).await;
    let reply = tpp
        .call(&world, Message::get("/v1/accounts").bearer(&token))
        .await;
    assert_refused(&reply, 400, "FORMAT_ERROR");
    let made_up = Message::get("/v1/accounts")
        .bearer(&token)
        .with("consent-id", "x");
    assert_refused(&tpp.call(&world, made_up).await, 401, "CONSENT_INVALID");
    world.clock.set("2027-06-01T12:00:00Z".parse().unwrap());
    let token = tpp.token(&world, "aisp").await;
    let late = Message::get("/v1/accounts")
        .bearer(&token)
        .with("consent-id", &id);
    assert_refused(&tpp.call(&world, late).await, 401, "CONSENT_EXPIRED");
    let read = Message::get(&format!("/v1/consents/{id}")).bearer(&token);
    assert_eq!(
        tpp.call(&world, read).await.json["consentStatus"],
        "expired"
    );
}

#[tokio::test]
async fn refuses_payments_that_make_no_sense() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let token = tpp.token(&world, "pisp").await;
    let bent = |change: fn(&mut Value)| {
        let mut order = payment("1.00");
        change(&mut order);
        order
    };
    for order in [
        json!("not an object"),
        bent(|order| order["instructedAmount"]["amount"] = json!("0.00")),
        bent(|order| order["instructedAmount"]["amount"] = json!("-1.00")),
        bent(|order| order["instructedAmount"]["amount"] = json!(1)),
        bent(|order| order["instructedAmount"]["currency"] = json!("USD")),
        bent(|order| order["creditorAccount"]["iban"] = json!("GB83WEST12345698765432")),
        bent(|order| order["debtorAccount"]["iban"] = json!("GB82WEST12345698765432")),
        bent(|order| order["creditorName"] = json!("")),
        bent(|order| order["creditorName"] = json!("x".repeat(71))),
        bent(|order| order["surprise"] = json!(1)),
    ] {
        let text = order.to_string();
        let reply = tpp
            .call(&world, Message::post(PAYMENTS, order).bearer(&token))
            .await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (400, "FORMAT_ERROR"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn refuses_consents_that_make_no_sense() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let token = tpp.token(&world, "aisp").await;
    let mut past = consent(json!({ "accounts": [] }));
    past["validUntil"] = json!("2027-01-14");
    let mut never = consent(json!({ "accounts": [] }));
    never["frequencyPerDay"] = json!(0);
    for order in [
        past,
        never,
        consent(json!({})),
        consent(json!({ "allPsd2": "some" })),
        consent(json!({ "allPsd2": "allAccounts", "accounts": [] })),
    ] {
        let text = order.to_string();
        let message = Message::post("/v1/consents", order).bearer(&token);
        let reply = tpp.call(&world, message).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (400, "FORMAT_ERROR"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn refuses_an_unknown_payment_product() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let token = tpp.token(&world, "pisp").await;
    let message = Message::post("/v1/payments/gold-bars", payment("1.00")).bearer(&token);
    assert_refused(&tpp.call(&world, message).await, 404, "PRODUCT_UNKNOWN");
}

#[tokio::test]
async fn refuses_a_body_over_the_limit() {
    let reply = refusal(Tpp::new(), |message| {
        message.body = " ".repeat(256 * 1024 + 1)
    })
    .await;
    assert_refused(&reply, 400, "FORMAT_ERROR");
}
