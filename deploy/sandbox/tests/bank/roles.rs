//! Roles: what the certificate authorises for.

use super::*;

#[tokio::test]
async fn refuses_a_payment_of_an_account_information_provider() {
    let world = World::new().await;
    let tpp = Tpp::of(
        &order(Kind::Qwac, &[Role::PSP_AI]),
        &both_roles(Kind::Qsealc),
    );
    let token = tpp.token(&world, "aisp").await;
    let reply = tpp
        .call(
            &world,
            Message::post(PAYMENTS, payment("1.00")).bearer(&token),
        )
        .await;
    assert_refused(&reply, 401, "ROLE_INVALID");
    assert!(reply.text().contains("PSP_PI"), "{}", reply.text());
}

#[tokio::test]
async fn refuses_account_information_to_a_payment_initiator() {
    let world = World::new().await;
    let tpp = Tpp::of(
        &order(Kind::Qwac, &[Role::PSP_PI]),
        &both_roles(Kind::Qsealc),
    );
    let reply = tpp.call(&world, Message::get("/v1/accounts")).await;
    assert_refused(&reply, 401, "ROLE_INVALID");
}

#[tokio::test]
async fn refuses_everything_to_a_certificate_without_psd2_statement() {
    let world = World::new().await;
    let mut qwac = both_roles(Kind::Qwac);
    qwac.oddities.no_psd2 = true;
    let tpp = Tpp::of(&qwac, &both_roles(Kind::Qsealc));
    assert_refused(
        &tpp.call(&world, Message::get("/v1/accounts")).await,
        401,
        "ROLE_INVALID",
    );
}
