//! Signatures: what comes out verifies, what must not come out is refused by name, and all of it is in the log.

use http::Request;
use jiff::Timestamp;
use sealkeep_client::v1::{KeyAlgorithm, Purpose};
use sealkeep_client::{BodySource, Error, RequestHead};
use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::{Catalog, Settings};
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
use sealkeep_profiles::roles::Role;
use sealkeep_profiles::verify;

use crate::house::{House, TPP, bank, payment};

/// Verifies a signed request as the bank would.
fn verified(request: &Request<String>, profile: &str) {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    let parsed = HttpRequest::parse(RequestParts {
        method: request.method().as_str(),
        authority: request.uri().authority().unwrap().as_str(),
        target: request.uri().path_and_query().unwrap().as_str(),
        headers: &headers,
        body: BodyParts {
            bytes: Some(request.body().as_bytes()),
            digests: &[],
        },
    })
    .unwrap();
    let profile = Catalog::embedded().get(profile).unwrap();
    let certificate: Certificate = verify::certificate_of_request(profile, &parsed)
        .unwrap()
        .unwrap();
    verify::http_request(
        profile,
        &parsed,
        &certificate,
        &Settings::new(),
        Timestamp::now(),
    )
    .unwrap();
}

#[tokio::test]
async fn a_sealed_payment_verifies_and_has_its_record() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    let bank = house.connect(TPP).bank("bank");
    let signed = bank.sign(payment()).await.unwrap();
    verified(&signed, "berlin-group-1.3.4");

    let (parts, body) = payment().into_parts();
    let headers = bank
        .sign_parts(&parts, BodySource::Bytes(body.as_bytes()))
        .await
        .unwrap();
    let report = house.verify_log().await;
    assert_eq!(
        (report.faults, report.released_count, report.failed_count),
        (vec![], 2, 0)
    );
    assert!(report.unknown_sequences.is_empty());
    let records = house.records("sign.intent").await;
    let last = records.last().unwrap();
    assert_eq!(
        headers.audit_record,
        format!("{}/{}", report.log, last.sequence)
    );
    assert_eq!(last.caller, TPP);
    assert!(
        last.line.contains("payment") && last.line.contains("seal@1"),
        "{}",
        last.line
    );
    assert!(
        !last.line.contains("instructedAmount"),
        "a body never reaches the log: {}",
        last.line
    );
}

/// Each thing that must not be signed, with the reason the caller gets.
#[tokio::test]
async fn refuses_by_name_what_is_not_fit_and_records_it() {
    let house = House::with_seal(KeyAlgorithm::EcP256).await;
    let rsa = (Purpose::Seal, KeyAlgorithm::Rsa2048);
    house.credential("rsa", rsa.0, rsa.1).await;
    house
        .credential_as("ais", rsa.0, rsa.1, |order| {
            order.roles = vec![Role::PSP_AI]
        })
        .await;
    house
        .credential("qwac", Purpose::Transport, KeyAlgorithm::EcP256)
        .await;
    house
        .apply_bank(bank("bank", &["rsa", "ais", "qwac", "seal"]))
        .await
        .unwrap();
    house.grant("bank", &["rsa", "ais", "qwac"]).await;
    let tpp = house.connect(TPP);
    let fit = tpp.bank("bank");

    let to = |uri: &str| {
        let (mut parts, body) = payment().into_parts();
        parts.uri = uri.parse().unwrap();
        Request::from_parts(parts, body)
    };
    let without_id = {
        let mut request = payment();
        request.headers_mut().remove("x-request-id");
        request
    };
    let with = |name: &'static str, value: &str| {
        let mut request = payment();
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let host = "https://api.bank.example";
    for (what, bank, request, reason) in [
        (
            "no grant for the credential",
            fit.credential("seal"),
            payment(),
            "NOT_GRANTED",
        ),
        (
            "unknown bank",
            tpp.bank("nowhere"),
            payment(),
            "NOT_GRANTED",
        ),
        (
            "AIS-only",
            fit.credential("ais"),
            payment(),
            "ROLE_NOT_IN_CERTIFICATE",
        ),
        (
            "a QWAC key",
            fit.credential("qwac"),
            payment(),
            "KEY_PURPOSE_MISMATCH",
        ),
        (
            "other host",
            fit.clone(),
            to("https://evil.example/v1/accounts"),
            "HOST_NOT_ALLOWED",
        ),
        (
            "unknown call",
            fit.clone(),
            to(&format!("{host}/v1/nothing")),
            "OPERATION_UNKNOWN",
        ),
        (
            "hidden call",
            fit.clone(),
            to(&format!("{host}/v1/%70ayments/x")),
            "OPERATION_UNKNOWN",
        ),
        ("no request id", fit.clone(), without_id, "HEADER_MISSING"),
        (
            "forged digest",
            fit.clone(),
            with("digest", "SHA-256=AAAA"),
            "DIGEST_MISMATCH",
        ),
    ] {
        let error = bank.sign(request).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{what}: {error}");
    }

    let refused = house.records("sign.refused").await;
    assert_eq!(refused.len(), 9, "each refusal has a record");
    let report = house.verify_log().await;
    assert_eq!((report.faults, report.released_count), (vec![], 0));
}

/// The explanation is made by the steps of the signature: what it shows open is what the signature closes.
#[tokio::test]
async fn an_explanation_is_what_would_be_signed_and_uses_no_key() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    let bank = house.connect(TPP).bank("bank");
    let (parts, body) = payment().into_parts();
    let head = RequestHead::from_parts(&parts).unwrap();
    let source = || BodySource::Bytes(body.as_bytes());
    let explanation = bank.explain_head(&head, source()).await.unwrap();
    assert_eq!(house.records("sign.").await.len(), 0, "nothing was signed");

    let signed = bank.sign_head(&head, source()).await.unwrap();
    let intents = house.records("sign.intent").await;
    let covered = HashAlgorithm::Sha256.digest(&explanation.to_be_signed);
    assert!(intents[0].line.contains(&hex::encode(&covered)));
    assert_eq!(explanation.digest, covered, "RSA with SHA-256");
    let open = explanation.headers.iter().zip(signed.iter());
    for ((open_name, open), (name, value)) in open {
        let (before, after) = open.split_once("<signature>").unwrap_or((open, ""));
        let value = value.to_str().unwrap();
        assert!(name.as_str().eq_ignore_ascii_case(open_name), "{name}");
        assert!(
            value.starts_with(before) && value.ends_with(after),
            "{value}"
        );
    }
    assert_eq!(explanation.headers.len(), signed.iter().count());
    assert!(!explanation.key_id.is_empty());
    assert_eq!(explanation.version, signed.version);
    assert_eq!(explanation.algorithm, signed.algorithm);
    assert_eq!(explanation.profile, "berlin-group-1.3.4");
    assert_eq!(explanation.confidence, "specified");
}

#[tokio::test]
async fn an_explanation_is_refused_and_recorded_like_a_signature() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    let (mut parts, _) = payment().into_parts();
    parts.headers.remove("x-request-id");
    let unnamed = RequestHead::from_parts(&parts).unwrap();
    let head = RequestHead::from_parts(&payment().into_parts().0).unwrap();
    let stranger = house.connect("spiffe://test.example/stranger");
    let tpp = house.connect(TPP);
    for (bank, head, reason) in [
        (stranger.bank("bank"), &head, "CALLER_UNKNOWN"),
        (tpp.bank("nowhere"), &head, "NOT_GRANTED"),
        (tpp.bank("bank"), &unnamed, "HEADER_MISSING"),
    ] {
        let error = bank.explain_head(head, BodySource::Empty).await;
        assert_eq!(error.unwrap_err().reason(), reason);
    }
    let refused = house.records("sign.refused").await;
    assert_eq!(refused.len(), 3, "each refusal has a record");
    let report = house.verify_log().await;
    assert_eq!((report.faults, report.released_count), (vec![], 0));
}

#[tokio::test]
async fn forbidden_and_unknown_look_the_same() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    house.apply_bank(bank("other", &["seal"])).await.unwrap();
    let tpp = house.connect(TPP);
    let forbidden = tpp.bank("other").sign(payment()).await.unwrap_err();
    let unknown = tpp.bank("unheard-of").sign(payment()).await.unwrap_err();
    assert_eq!(format!("{forbidden:?}"), format!("{unknown:?}"));
    assert!(matches!(forbidden, Error::Denied { .. }));
}

#[tokio::test]
async fn a_stranger_with_a_good_certificate_is_denied() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    let stranger = house.connect("spiffe://test.example/stranger");
    let error = stranger.bank("bank").sign(payment()).await.unwrap_err();
    assert_eq!(error.reason(), "CALLER_UNKNOWN");
}

#[tokio::test]
async fn an_officer_cannot_sign_and_a_signer_cannot_administrate() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    let officer = house.connect(crate::house::OFFICER);
    assert_eq!(
        officer
            .bank("bank")
            .sign(payment())
            .await
            .unwrap_err()
            .reason(),
        "NOT_GRANTED"
    );
    let error = house
        .connect(TPP)
        .call(
            sealkeep_client::v1::GetStatusRequest {},
            async |channel, request| {
                sealkeep_client::v1::status_service_client::StatusServiceClient::new(channel)
                    .get_status(request)
                    .await
            },
        )
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "ROLE_REQUIRED");
    assert_eq!(house.records("access.refused").await.len(), 1);
}

#[tokio::test]
async fn a_jws_profile_signs_the_body_itself() {
    let house = House::open();
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::Rsa2048)
        .await;
    let mut uk = bank("uk", &["seal"]);
    uk.profile = "obuk-3.1.4".to_owned();
    uk.base_path = "/open-banking/v3.1".to_owned();
    for (name, value) in [
        ("kid", "90210ABAD"),
        ("iss", "0015800001041RHAAY/AORlKI7oUF85BB2WUr7ZK2"),
        ("tan", "openbanking.org.uk"),
    ] {
        uk.settings.insert(name.to_owned(), value.to_owned());
    }
    house.apply_bank(uk).await.unwrap();
    house.grant("uk", &["seal"]).await;
    let tpp = house.connect(TPP).bank("uk");
    let request =
        Request::post("https://api.bank.example/open-banking/v3.1/pisp/domestic-payments")
            .header("content-type", "application/json")
            .body(r#"{"Data":{}}"#.to_owned())
            .unwrap();
    let signed = tpp.sign(request).await.unwrap();
    let jws = signed.headers()["x-jws-signature"].to_str().unwrap();
    assert_eq!(jws.split("..").count(), 2, "detached: {jws}");
    let explanation = tpp.explain_jws(br#"{"Data":{}}"#).await.unwrap();
    let made = tpp.jws(br#"{"Data":{}}"#).await.unwrap();
    assert_eq!(made.algorithm, "PS256");
    // It may be made a second later, with another `iat`.
    let (header, payload) = explanation.jws.split_once("..").unwrap();
    assert_eq!(payload, "<signature>");
    assert_eq!(header.len(), made.jws.split_once("..").unwrap().0.len());
    assert!(explanation.to_be_signed.starts_with(header.as_bytes()));
    assert_eq!(explanation.version, made.version);
    // The digest-only try, its retry with the body, and the JWS: nothing unexplained in the log.
    let report = house.verify_log().await;
    assert_eq!((report.faults, report.released_count), (vec![], 2));
}

#[tokio::test]
async fn many_callers_at_once_all_get_good_signatures() {
    let house = House::with_seal(KeyAlgorithm::Rsa2048).await;
    let bank = house.connect(TPP).bank("bank");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let bank = bank.clone();
        tasks.spawn(async move {
            let signed = bank.sign(payment()).await.unwrap();
            verified(&signed, "berlin-group-1.3.4");
        });
    }
    tasks.join_all().await;
    let report = house.verify_log().await;
    assert_eq!((report.faults, report.released_count), (vec![], 200));
}
