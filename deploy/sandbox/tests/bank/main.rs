//! The pretend bank, over real connections: what it does, and every refusal by name.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod connections;
mod does;
mod requests;
mod roles;
mod signatures;
mod support;
mod tokens;

use http::StatusCode;
use jiff::{SignedDuration, ToSpan};
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::bank::{StartError, TlsVersion};
use sealkeep_sandbox::key::KeyKind;
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};
use serde_json::{Value, json};
use support::{
    Message, NOW, ORG, Reply, Tpp, World, bank_config, both_roles, collecting_log, identity, order,
    send_anonymously,
};

const PAYMENTS: &str = "/v1/payments/sepa-credit-transfers";

fn payment(amount: &str) -> Value {
    json!({
        "instructedAmount": { "currency": "EUR", "amount": amount },
        "debtorAccount": { "iban": "DE89370400440532013000" },
        "creditorAccount": { "iban": "GB82WEST12345698765432" },
        "creditorName": "Winzerei Sonne",
        "remittanceInformationUnstructured": "Invoice 17",
    })
}

fn consent(access: Value) -> Value {
    json!({
        "access": access,
        "recurringIndicator": true,
        "validUntil": "2027-05-31",
        "frequencyPerDay": 4,
    })
}

async fn pay(world: &World, tpp: &Tpp, amount: &str) -> Reply {
    let token = tpp.token(world, "pisp").await;
    tpp.call(
        world,
        Message::post(PAYMENTS, payment(amount)).bearer(&token),
    )
    .await
}

async fn consented(world: &World, tpp: &Tpp, access: Value) -> (String, String) {
    let token = tpp.token(world, "aisp").await;
    let message = Message::post("/v1/consents", consent(access)).bearer(&token);
    let reply = tpp.call(world, message).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.json);
    (token, reply.json["consentId"].as_str().unwrap().to_owned())
}

fn assert_refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (status, code),
        "{:?}",
        reply.json
    );
}

/// A payment that would be accepted, bent by `bend` before it is sent.
async fn refusal(tpp: Tpp, bend: impl FnOnce(&mut Message)) -> Reply {
    let world = World::new().await;
    let token = tpp.token(&world, "aisp pisp").await;
    let mut message = tpp.signed(Message::post(PAYMENTS, payment("1.00")).bearer(&token));
    bend(&mut message);
    let reply = tpp.send(&world, &message).await.unwrap();
    reply.verify();
    reply
}
