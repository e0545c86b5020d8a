//! Access tokens: who gets one, and what it is good for.

use super::*;

fn oauth_error(reply: &Reply) -> (u16, &str) {
    (
        reply.status.as_u16(),
        reply.json["error"].as_str().unwrap_or("none"),
    )
}

#[tokio::test]
async fn gives_a_bound_token_to_the_owner_of_the_certificate() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let reply = tpp.ask_token(&world, ORG, "aisp pisp").await;
    assert_eq!(reply.json["expires_in"], 300);
    assert_eq!(reply.header("cache-control"), "no-store");
    let token = reply.json["access_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let payload =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &tpp.qwac.chain[0]);
    let thumbprint =
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, digest);
    assert_eq!(claims["cnf"]["x5t#S256"], thumbprint);
    assert_eq!(
        (&claims["sub"], &claims["scope"]),
        (&json!(ORG), &json!("aisp pisp"))
    );
}

#[tokio::test]
async fn refuses_a_foreign_client_id() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let reply = tpp.ask_token(&world, "PSDDE-BAFIN-1", "aisp").await;
    assert_eq!(oauth_error(&reply), (401, "invalid_client"));
}

#[tokio::test]
async fn refuses_unknown_grants_and_scopes() {
    let (world, tpp) = (World::new().await, Tpp::new());
    for scope in ["", "openid", "aisp openid"] {
        let reply = tpp.ask_token(&world, ORG, scope).await;
        assert_eq!(oauth_error(&reply), (400, "invalid_scope"), "{scope}");
    }
    let form = |body: &str| {
        Message::post("/oauth/token", body)
            .with("content-type", "application/x-www-form-urlencoded")
    };
    let reply = tpp
        .send(&world, &form("grant_type=password&scope=aisp"))
        .await
        .unwrap();
    assert_eq!(oauth_error(&reply), (400, "unsupported_grant_type"));
    let reply = tpp.send(&world, &form("scope=aisp")).await.unwrap();
    assert_eq!(oauth_error(&reply), (400, "invalid_request"));
}

#[tokio::test]
async fn gives_no_scope_that_the_certificate_has_no_role_for() {
    let tpp = Tpp::of(
        &order(Kind::Qwac, &[Role::PSP_AI]),
        &both_roles(Kind::Qsealc),
    );
    let world = World::new().await;
    let reply = tpp.ask_token(&world, ORG, "pisp").await;
    assert_eq!(oauth_error(&reply), (400, "invalid_scope"));
    tpp.token(&world, "aisp").await;
}

#[tokio::test]
async fn refuses_a_call_without_token_or_with_a_made_up_one() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let reply = tpp.call(&world, Message::get("/v1/accounts")).await;
    assert_refused(&reply, 401, "TOKEN_UNKNOWN");
    assert_eq!(
        reply.header("www-authenticate"),
        "Bearer error=\"invalid_token\""
    );
    let token = tpp.token(&world, "aisp").await;
    let parts: Vec<_> = token.split('.').collect();
    let backwards: String = parts[1].chars().rev().collect();
    for forged in [
        // {"alg":"none"}
        format!("eyJhbGciOiJub25lIn0.{}.", parts[1]),
        format!("{}.{backwards}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        "made-up".to_owned(),
    ] {
        let reply = tpp
            .call(&world, Message::get("/v1/accounts").bearer(&forged))
            .await;
        assert_refused(&reply, 401, "TOKEN_UNKNOWN");
    }
}

#[tokio::test]
async fn refuses_a_token_of_another_bank() {
    let (world, other, tpp) = (World::new().await, World::new().await, Tpp::new());
    let token = tpp.token(&other, "aisp").await;
    let reply = tpp
        .call(&world, Message::get("/v1/accounts").bearer(&token))
        .await;
    assert_refused(&reply, 401, "TOKEN_UNKNOWN");
}

#[tokio::test]
async fn refuses_a_token_bound_to_another_certificate() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let token = tpp.token(&world, "aisp").await;
    let renewed = Tpp::new();
    let reply = renewed
        .call(&world, Message::get("/v1/accounts").bearer(&token))
        .await;
    assert_refused(&reply, 401, "TOKEN_INVALID");
    assert!(reply.text().contains("another client certificate"));
}

#[tokio::test]
async fn refuses_a_token_after_five_minutes() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let (token, id) = consented(&world, &tpp, json!({ "accounts": [] })).await;
    let read = || {
        Message::get("/v1/accounts")
            .bearer(&token)
            .with("Consent-ID", &id)
    };
    world.clock.set(NOW + SignedDuration::from_secs(299));
    assert_eq!(tpp.call(&world, read()).await.status, StatusCode::OK);
    world.clock.set(NOW + SignedDuration::from_secs(300));
    assert_refused(&tpp.call(&world, read()).await, 401, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn refuses_a_token_for_another_service() {
    let (world, tpp) = (World::new().await, Tpp::new());
    let token = tpp.token(&world, "aisp").await;
    let reply = tpp
        .call(
            &world,
            Message::post(PAYMENTS, payment("1.00")).bearer(&token),
        )
        .await;
    assert_refused(&reply, 401, "TOKEN_INVALID");
}
