//! JWTs for authorisation servers: each verifies as the server would verify it, and each takes a grant of its own.

use http::Request;
use jiff::Timestamp;
use sealkeep_client::v1::{self, KeyAlgorithm, Operation, Purpose, Role};
use sealkeep_client::{BankHandle, Registration, RequestObject};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::format::jwt::{ExpectedProof, JwtKind};
use sealkeep_profiles::profile::{Catalog, Settings};
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
use sealkeep_profiles::verify;

use crate::house::{House, TPP, bank};

const ISSUER: &str = "https://auth.bank.example";

/// Every operation with a JWT.
const OPERATIONS: [Operation; 5] = [
    Operation::SignClientAssertion,
    Operation::SignRequestObject,
    Operation::SignDpopProof,
    Operation::SignRegistration,
    Operation::SignJwtBody,
];

/// A house with a seal for a bank with an OAuth profile, and the seal's certificate.
async fn house(
    change: impl FnOnce(&mut v1::Bank),
    operations: &[Operation],
) -> (House, Certificate) {
    let house = House::open();
    let enrolled = house
        .enrol("seal", Purpose::Seal, KeyAlgorithm::Rsa2048)
        .await
        .unwrap();
    let chain = house.issue(&enrolled.csr_pem, Purpose::Seal, |_| ());
    let certificate = Certificate::chain_from_pem(chain.as_bytes())
        .unwrap()
        .remove(0);
    house.install("seal", chain).await.unwrap();
    house.activate("seal", false).await.unwrap();
    let mut described = bank("bank", &["seal"]);
    change(&mut described);
    house.apply_bank(described).await.unwrap();
    let grant = v1::Grant {
        operations: operations.iter().map(|o| i32::from(*o)).collect(),
        credential: "seal".to_owned(),
        banks: vec!["bank".to_owned()],
    };
    let caller = v1::Caller {
        name: TPP.to_owned(),
        role: Role::Signer.into(),
        grants: vec![grant],
    };
    house.apply_callers(vec![caller]).await.unwrap();
    (house, certificate)
}

fn settings(bank: &mut v1::Bank, settings: &[(&str, &str)]) {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    bank.settings = settings.iter().map(own).collect();
}

fn fapi_2(bank: &mut v1::Bank) {
    bank.oauth_profile = "fapi-2".to_owned();
    let values = [
        ("client_id", "tpp-1"),
        ("issuer", ISSUER),
        ("kid", "seal-1"),
    ];
    settings(bank, &values);
}

fn authorization() -> RequestObject {
    RequestObject {
        response_type: "code".into(),
        redirect_uri: Some("https://tpp.example/cb".into()),
        scope: Some("accounts".into()),
        code_challenge: Some("K2-ltc83acc4h0c9w6ESC_rEMTJ3bww-uCHaoeK1t8U".into()),
        ..RequestObject::default()
    }
}

fn get() -> Request<()> {
    Request::get("https://api.bank.example/v1/accounts?x=1")
        .body(())
        .unwrap()
}

/// The reasons for which each kind of JWT is refused; `OK` when it is not.
async fn verdicts(bank: &BankHandle) -> [String; 5] {
    let parts = get().into_parts().0;
    let word = |result: Result<(), sealkeep_client::Error>| match result {
        Ok(()) => "OK".to_owned(),
        Err(error) => error.reason().to_owned(),
    };
    let body = Request::post("https://api.bank.example/open-banking/payments/v4/consents");
    let body = body.body("{\"data\":{}}").unwrap();
    [
        word(bank.client_assertion(None).await.map(drop)),
        word(bank.request_object(authorization()).await.map(drop)),
        word(bank.dpop_proof(&parts, None, None).await.map(drop)),
        word(bank.registration(Registration::default()).await.map(drop)),
        word(bank.sign_body(body).await.map(drop)),
    ]
}

#[tokio::test]
async fn the_jwts_of_fapi_2_verify_and_have_their_records() {
    let (house, certificate) = house(fapi_2, &OPERATIONS).await;
    let tpp = house.connect(TPP).bank("bank");
    let profile = Catalog::embedded().get("fapi-2").unwrap();
    let values: Settings = [
        ("client_id", "tpp-1"),
        ("issuer", ISSUER),
        ("kid", "seal-1"),
    ]
    .into_iter()
    .collect();
    let verified = |kind: JwtKind, jwt: &str| {
        verify::jwt(profile, kind, jwt, &certificate, &values, Timestamp::now()).unwrap()
    };
    let first = tpp.client_assertion(None).await.unwrap();
    let second = tpp.client_assertion(Some(ISSUER)).await.unwrap();
    let first = verified(JwtKind::ClientAssertion, &first.jwt);
    let second = verified(JwtKind::ClientAssertion, &second.jwt);
    assert_ne!(first.claims["jti"], second.claims["jti"]);
    let object = tpp.request_object(authorization()).await.unwrap();
    assert_eq!(object.algorithm, "PS256");
    let object = verified(JwtKind::RequestObject, &object.jwt);
    assert_eq!(object.claims["client_id"], "tpp-1");

    let parts = get().into_parts().0;
    let proof = tpp
        .dpop_proof(&parts, Some("secret-token"), Some("n1"))
        .await;
    let request = HttpRequest::parse(RequestParts {
        method: "GET",
        authority: "api.bank.example",
        target: "/v1/accounts",
        headers: &[],
        body: BodyParts {
            bytes: Some(b""),
            digests: &[],
        },
    })
    .unwrap();
    let hash = sealkeep_profiles::algorithm::HashAlgorithm::Sha256.digest(b"secret-token");
    let expected = ExpectedProof {
        request: &request,
        access_token_sha256: Some(hash.try_into().unwrap()),
        nonce: Some("n1"),
        age_seconds_max: 30,
    };
    let proof = verify::dpop_proof(&proof.unwrap().jwt, expected, Timestamp::now()).unwrap();
    assert_eq!(proof.jkt, certificate.public_key().jwk_sha256());

    let report = house.verify_log().await;
    assert_eq!((report.faults, report.released_count), (vec![], 4));
    let intents = house.records("sign.intent").await;
    let last = &intents.last().unwrap().line;
    assert!(
        last.contains("sign-dpop-proof") && last.contains("jwt.htu"),
        "{last}"
    );
    assert!(
        !last.contains("secret-token") && !last.contains("accounts"),
        "{last}"
    );
}

#[tokio::test]
async fn each_kind_of_jwt_takes_its_own_grant() {
    for (index, operation) in OPERATIONS.into_iter().enumerate().take(3) {
        let (house, _) = house(fapi_2, &[operation]).await;
        let found = verdicts(&house.connect(TPP).bank("bank")).await;
        for (other, verdict) in found.iter().enumerate() {
            let expected = if other == index { "OK" } else { "NOT_GRANTED" };
            assert_eq!(verdict, expected, "{operation:?}: {found:?}");
        }
    }
    let (house, _) = house(fapi_2, &[Operation::SignHttp, Operation::SignJws]).await;
    let found = verdicts(&house.connect(TPP).bank("bank")).await;
    assert!(
        found.iter().all(|verdict| verdict == "NOT_GRANTED"),
        "{found:?}"
    );
}

#[tokio::test]
async fn refuses_by_name_what_no_authorisation_server_should_get() {
    let (house, _) = house(fapi_2, &OPERATIONS).await;
    let tpp = house.connect(TPP).bank("bank");
    let audience = tpp
        .client_assertion(Some("https://evil.example"))
        .await
        .unwrap_err();
    assert_eq!(audience.reason(), "CLAIM_INVALID", "{audience}");
    let plain = RequestObject {
        code_challenge: None,
        ..authorization()
    };
    let plain = tpp.request_object(plain).await.unwrap_err();
    assert_eq!(plain.reason(), "CLAIM_MISSING", "{plain}");
    let elsewhere = Request::get("https://evil.example/").body(()).unwrap();
    let elsewhere = tpp
        .dpop_proof(&elsewhere.into_parts().0, None, None)
        .await
        .unwrap_err();
    assert_eq!(elsewhere.reason(), "HOST_NOT_ALLOWED");
    let registration = tpp.registration(Registration::default()).await.unwrap_err();
    assert_eq!(registration.reason(), "FORMAT_NOT_ALLOWED");
    assert_eq!(house.records("sign.refused").await.len(), 4);
    assert_eq!(house.verify_log().await.released_count, 0);
}

#[tokio::test]
async fn a_bank_without_jwts_signs_none_and_a_wrong_oauth_profile_is_refused() {
    let (house, _) = house(|_| (), &OPERATIONS).await;
    let found = verdicts(&house.connect(TPP).bank("bank")).await;
    assert_eq!(found[0], "FORMAT_NOT_ALLOWED");
    let mut wrong = bank("bank", &["seal"]);
    wrong.oauth_profile = "stet-1.4".to_owned();
    assert_eq!(
        house.apply_bank(wrong).await.unwrap_err().reason(),
        "PROFILE_WITHOUT_JWT"
    );
    let mut without = bank("bank", &["seal"]);
    fapi_2(&mut without);
    without.settings.remove("issuer");
    assert_eq!(
        house.apply_bank(without).await.unwrap_err().reason(),
        "SETTINGS_INVALID"
    );
    let mut unknown = bank("bank", &["seal"]);
    unknown.oauth_profile = "fapi-3".to_owned();
    assert_eq!(
        house.apply_bank(unknown).await.unwrap_err().reason(),
        "PROFILE_UNKNOWN"
    );
}

#[tokio::test]
async fn a_brazilian_payment_is_one_jwt_for_its_endpoint() {
    const VALUES: [(&str, &str); 4] = [
        ("client_id", "tpp-1"),
        ("issuer", ISSUER),
        ("kid", "seal-1"),
        ("organisation_id", "4b75db2e-a0c0-4359-a077-684e88fa695c"),
    ];
    let brazil = |bank: &mut v1::Bank| {
        bank.profile = "open-finance-brasil".to_owned();
        bank.base_path = "/open-banking".to_owned();
        settings(bank, &VALUES);
    };
    let (house, certificate) = house(brazil, &OPERATIONS).await;
    let tpp = house.connect(TPP).bank("bank");
    let to = |path: &str| {
        let url = format!("https://api.bank.example{path}");
        Request::post(url)
            .body("{\"data\":{\"amount\":\"1.00\"}}")
            .unwrap()
    };
    let signed = tpp
        .sign_body(to("/open-banking/payments/v4/consents"))
        .await
        .unwrap();
    assert_eq!(signed.headers()["content-type"], "application/jwt");
    let profile = Catalog::embedded().get("open-finance-brasil").unwrap();
    let settings: Settings = VALUES.into_iter().collect();
    let url = "https://api.bank.example/open-banking/payments/v4/consents";
    let found = verify::jwt_request_body(
        profile,
        signed.body(),
        url,
        &certificate,
        &settings,
        Timestamp::now(),
    );
    assert_eq!(found.unwrap().claims["data"]["amount"], "1.00");
    let unknown = tpp
        .sign_body(to("/open-banking/accounts"))
        .await
        .unwrap_err();
    assert_eq!(unknown.reason(), "OPERATION_UNKNOWN");
    // The authorisation server's JWTs come from the same profile when the bank names no other.
    assert!(tpp.client_assertion(None).await.is_ok());
    let intents = house.records("sign.intent").await;
    assert!(
        !intents[0].line.contains("amount"),
        "a body never reaches the log"
    );
}

#[tokio::test]
async fn an_identity_says_what_tokens_are_bound_to() {
    let house = House::open();
    house
        .credential("qwac", Purpose::Transport, KeyAlgorithm::EcP256)
        .await;
    house.apply_bank(bank("bank", &["qwac"])).await.unwrap();
    house.grant("bank", &["qwac"]).await;
    let request = v1::GetTlsIdentityRequest {
        bank: "bank".to_owned(),
        ..Default::default()
    };
    let identity = house
        .connect(TPP)
        .call(request, async |channel, request| {
            v1::tls_service_client::TlsServiceClient::new(channel)
                .get_tls_identity(request)
                .await
        })
        .await
        .unwrap();
    let leaf = Certificate::from_der(&identity.certificate_chain[0]).unwrap();
    assert_eq!(identity.x5t_s256, leaf.x5t_s256());
    assert_eq!(identity.subject, leaf.subject().rfc2253());
    assert!(
        identity.subject.contains("CN=tpp.demo-tpp.com"),
        "{}",
        identity.subject
    );
}
