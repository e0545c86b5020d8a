//! The pretend bank, over real connections: what it does, and every refusal by name.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

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

mod does {
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
}

mod connections {
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
}

mod tokens {
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
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload)
                .unwrap();
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
}

mod roles {
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
}

mod signatures {
    use super::*;

    fn sealed_with(change: impl FnOnce(&mut Order)) -> Tpp {
        let mut seal = both_roles(Kind::Qsealc);
        change(&mut seal);
        Tpp::of(&both_roles(Kind::Qwac), &seal)
    }

    #[tokio::test]
    async fn accepts_the_request_that_the_others_are_bent_from() {
        assert_eq!(
            refusal(Tpp::new(), |_| ()).await.status,
            StatusCode::CREATED
        );
    }

    #[tokio::test]
    async fn refuses_a_request_without_signature() {
        let reply = refusal(Tpp::new(), |message| {
            message.remove("signature");
            message.remove("tpp-signature-certificate");
        });
        assert_refused(&reply.await, 401, "SIGNATURE_MISSING");
        let reply = refusal(Tpp::new(), |message| message.remove("signature"));
        assert_refused(&reply.await, 401, "SIGNATURE_MISSING");
    }

    #[tokio::test]
    async fn refuses_a_signature_without_certificate() {
        let reply = refusal(Tpp::new(), |message| {
            message.remove("tpp-signature-certificate")
        })
        .await;
        assert_refused(&reply, 401, "CERTIFICATE_MISSING");
        let reply = refusal(Tpp::new(), |message| {
            message.set("tpp-signature-certificate", "MIIB")
        })
        .await;
        assert_refused(&reply, 401, "CERTIFICATE_INVALID");
    }

    #[tokio::test]
    async fn refuses_a_changed_body() {
        let reply = refusal(Tpp::new(), |message| {
            message.body = message.body.replace("1.00", "9.00");
        });
        let reply = reply.await;
        assert_refused(&reply, 401, "SIGNATURE_INVALID");
        assert!(reply.text().contains("digest"), "{}", reply.text());
    }

    #[tokio::test]
    async fn refuses_a_changed_signed_header() {
        let reply = refusal(Tpp::new(), |message| {
            message.set("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721");
        });
        assert_refused(&reply.await, 401, "SIGNATURE_INVALID");
        // A PSU-ID that is there has to be signed (Berlin Group, "Signature header").
        let reply = refusal(Tpp::new(), |message| message.set("psu-id", "somebody"));
        assert_refused(&reply.await, 401, "SIGNATURE_INVALID");
    }

    #[tokio::test]
    async fn refuses_a_signature_by_another_key() {
        let reply = refusal(sealed_with(|_| ()), |message| {
            let other = tpp_with_new_seal_key();
            let mine = message.header("tpp-signature-certificate");
            let mut theirs = message.clone();
            theirs.remove("signature");
            theirs.remove("digest");
            theirs.remove("tpp-signature-certificate");
            other.sign(&mut theirs);
            message.set("signature", &theirs.header("signature"));
            message.set("tpp-signature-certificate", &mine);
        });
        assert_refused(&reply.await, 401, "SIGNATURE_INVALID");
    }

    fn tpp_with_new_seal_key() -> Tpp {
        let mut tpp = Tpp::new();
        let order = both_roles(Kind::Qsealc);
        let key = sealkeep_sandbox::key::SoftwareKey::generate(KeyKind::Rsa2048).unwrap();
        tpp.seal.chain = support::QTSP.issue_for(&order, &key, NOW).unwrap().to_vec();
        tpp.seal.key = key;
        tpp
    }

    #[tokio::test]
    async fn refuses_an_expired_or_early_seal_certificate() {
        let reply = refusal(sealed_with(|order| order.oddities.expired = true), |_| ()).await;
        assert_refused(&reply, 401, "CERTIFICATE_EXPIRED");
        let early = sealed_with(|order| order.oddities.not_yet_valid = true);
        assert_refused(&refusal(early, |_| ()).await, 401, "CERTIFICATE_INVALID");
    }

    #[tokio::test]
    async fn refuses_a_seal_certificate_of_another_qtsp() {
        let other = Qtsp::create(KeyKind::EcP256, NOW).unwrap();
        let seal = identity(&other, &both_roles(Kind::Qsealc));
        let reply = refusal(Tpp { seal, ..Tpp::new() }, |_| ()).await;
        assert_refused(&reply, 401, "CERTIFICATE_INVALID");
        assert!(
            reply.text().contains("no QTSP of this bank"),
            "{}",
            reply.text()
        );
    }

    #[tokio::test]
    async fn refuses_a_seal_certificate_of_another_provider() {
        let tpp = sealed_with(|order| {
            order.organization_identifier = Some("PSDDE-BAFIN-654321".to_owned());
        });
        let reply = refusal(tpp, |_| ()).await;
        assert_refused(&reply, 401, "CERTIFICATE_INVALID");
        assert!(
            reply.text().contains("not of one provider"),
            "{}",
            reply.text()
        );
    }

    #[tokio::test]
    async fn refuses_a_qwac_as_seal_certificate() {
        let seal = identity(&support::QTSP, &both_roles(Kind::Qwac));
        let reply = refusal(Tpp { seal, ..Tpp::new() }, |_| ()).await;
        assert_refused(&reply, 401, "CERTIFICATE_INVALID");
        assert!(reply.text().contains("no QSealC"), "{}", reply.text());
    }
}

mod requests {
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
}
