//! Signatures: every way to get one wrong.

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
