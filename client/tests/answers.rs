//! Answers of a bank, sealed with a certificate of the sandbox QTSP: which promise is missed when one is broken.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use http::Response;
use jiff::{SignedDuration, Timestamp};
use rustls::RootCertStore;
use sealkeep_client::{AnswerError, AnswerVerifier, clock, rustls};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::{Catalog, Settings};
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse, RequestParts};
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};

const PROFILE: &str = "berlin-group-1.3.4";
const BANK: &str = "PSDDE-BAFIN-999999";
const REQUEST_ID: &str = "99391c7e-ad88-49ec-a2ad-99ddcb1f7721";

struct House {
    qtsp: Qtsp,
    seal: Certificate,
    key: SoftwareKey,
    now: Timestamp,
}

fn house(kind: Kind) -> House {
    house_with(kind, KeyKind::EcP256)
}

fn house_with(kind: Kind, key_kind: KeyKind) -> House {
    let now = clock::now();
    let qtsp = Qtsp::create(KeyKind::EcP256, now).unwrap();
    let key = SoftwareKey::generate(key_kind).unwrap();
    let mut order = Order::new(kind, &[Role::PSP_AS]);
    order.country = Some("DE".to_owned());
    order.organization = Some("Bank".to_owned());
    order.organization_identifier = Some(BANK.to_owned());
    order.dns_names = vec!["bank.example".to_owned()];
    let chain = qtsp.issue_for(&order, &key, now).unwrap();
    let seal = Certificate::from_der(&chain.leaf).unwrap();
    House {
        qtsp,
        seal,
        key,
        now,
    }
}

impl House {
    fn answer(&self) -> Response<Vec<u8>> {
        let body = br#"{"transactionStatus":"RCVD"}"#.to_vec();
        let headers = [("x-request-id".to_owned(), REQUEST_ID.as_bytes().to_vec())];
        let parts = BodyParts {
            bytes: Some(&body),
            digests: &[],
        };
        let parsed = HttpResponse::parse(201, &headers, parts).unwrap();
        let profile = Catalog::embedded().get(PROFILE).unwrap();
        let settings = Settings::default();
        let prepared = profile
            .prepare_response(&parsed, &self.seal, &settings, self.now)
            .unwrap();
        let raw = self
            .key
            .sign(prepared.scheme(), prepared.to_be_signed())
            .unwrap();
        let signed = prepared.assemble(&raw).unwrap();
        let mut answer = Response::builder()
            .status(201)
            .header("x-request-id", REQUEST_ID);
        for (name, value) in signed.headers() {
            answer = answer.header(name, value);
        }
        answer.body(body).unwrap()
    }

    fn verifier(&self) -> AnswerVerifier {
        let mut roots = RootCertStore::empty();
        roots.add(self.qtsp.root().clone()).unwrap();
        AnswerVerifier::new(PROFILE, &roots)
            .unwrap()
            .intermediates(vec![self.qtsp.issuing().clone()])
    }
}

#[test]
fn believes_a_sealed_answer() {
    let house = house(Kind::Qsealc);
    let verifier = house.verifier().only_from(BANK);
    let verified = verifier.verify(&house.answer(), house.now).unwrap();
    assert_eq!(verified.organization, BANK);
    assert_eq!(verified.algorithm, "ecdsa-p256-sha256");
    assert_eq!(verified.signed_fields, ["digest", "x-request-id"]);
    assert_eq!(verified.request_id.as_deref(), Some(REQUEST_ID));
}

#[test]
fn does_not_believe_a_changed_body_or_header() {
    let house = house(Kind::Qsealc);
    let mut answer = house.answer();
    answer.body_mut().push(b' ');
    let error = house.verifier().verify(&answer, house.now).unwrap_err();
    assert!(matches!(error, AnswerError::Signature(_)), "{error}");

    let mut answer = house.answer();
    let other = "00000000-ad88-49ec-a2ad-99ddcb1f7721".parse().unwrap();
    answer.headers_mut().insert("x-request-id", other);
    let error = house.verifier().verify(&answer, house.now).unwrap_err();
    assert!(matches!(error, AnswerError::Signature(_)), "{error}");

    let mut answer = house.answer();
    answer.headers_mut().remove("signature");
    let error = house.verifier().verify(&answer, house.now).unwrap_err();
    assert!(matches!(error, AnswerError::Signature(_)), "{error}");
}

#[test]
fn does_not_believe_a_seal_of_another_authority_or_time() {
    let house = house(Kind::Qsealc);
    let other = self::house(Kind::Qsealc);
    let error = other
        .verifier()
        .verify(&house.answer(), house.now)
        .unwrap_err();
    assert!(matches!(error, AnswerError::Untrusted { .. }), "{error}");

    for hours in [-48, 24 * 366 * 3] {
        let then = house.now + SignedDuration::from_hours(hours);
        let error = house.verifier().verify(&house.answer(), then).unwrap_err();
        assert!(
            matches!(error, AnswerError::Untrusted { .. }),
            "{hours}: {error}"
        );
    }
}

#[test]
fn does_not_believe_another_bank() {
    let house = house(Kind::Qsealc);
    let verifier = house.verifier().only_from("PSDFR-ACPR-1");
    let error = verifier.verify(&house.answer(), house.now).unwrap_err();
    assert!(
        matches!(error, AnswerError::OtherOrganization { .. }),
        "{error}"
    );
}

#[test]
fn does_not_believe_a_transport_certificate() {
    let house = house(Kind::Qwac);
    let error = house
        .verifier()
        .verify(&house.answer(), house.now)
        .unwrap_err();
    assert!(matches!(error, AnswerError::NotASeal), "{error}");
}

#[test]
fn does_not_believe_an_answer_without_certificate() {
    let house = house(Kind::Qsealc);
    let mut answer = house.answer();
    answer.headers_mut().remove("aspsp-signature-certificate");
    assert!(house.verifier().verify(&answer, house.now).is_err());
}

#[test]
fn refuses_profiles_that_are_not_there_or_sign_no_answers() {
    let roots = RootCertStore::empty();
    let error = AnswerVerifier::new("no-such-profile", &roots).unwrap_err();
    assert!(
        matches!(error, AnswerError::ProfileUnknown { .. }),
        "{error}"
    );
    let silent = Catalog::embedded()
        .iter()
        .find(|profile| !profile.signs_responses());
    if let Some(silent) = silent {
        let error = AnswerVerifier::new(silent.name(), &roots).unwrap_err();
        assert!(matches!(error, AnswerError::NoResponses { .. }), "{error}");
    }
}

#[test]
fn believes_a_jws_of_the_bank_and_no_other() {
    let house = house_with(Kind::Qsealc, KeyKind::Rsa2048);
    let settings = [("kid", "1"), ("iss", "bank"), ("tan", "bank.example")];
    let profile = Catalog::embedded().get("obuk-3.1.4").unwrap().clone();
    let payload = br#"{"iss":"https://bank.example/"}"#;
    let prepared = profile
        .prepare_jws(
            payload,
            &house.seal,
            &settings.into_iter().collect(),
            house.now,
        )
        .unwrap();
    let raw = house
        .key
        .sign(prepared.scheme(), prepared.to_be_signed())
        .unwrap();
    let signed = prepared.assemble(&raw).unwrap();
    let jws = signed.jws().unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(house.qtsp.root().clone()).unwrap();
    let unarmed = AnswerVerifier::with_profile(profile, &roots)
        .unwrap()
        .intermediates(vec![house.qtsp.issuing().clone()])
        .setting("kid", "1");
    let error = unarmed.verify_jws(jws, Some(payload), house.now);
    assert!(matches!(error, Err(AnswerError::CertificateMissing)));

    let verifier = unarmed.certificate(&house.seal.der().into()).unwrap();
    let verified = verifier.verify_jws(jws, Some(payload), house.now).unwrap();
    assert_eq!(verified.organization, BANK);
    assert_eq!(verified.signed_fields, ["jws.protected", "body"]);
    for (what, verifier, payload) in [
        ("another payload", verifier.clone(), &b"{}"[..]),
        (
            "another key id",
            verifier.clone().setting("kid", "2"),
            payload,
        ),
    ] {
        let error = verifier.verify_jws(jws, Some(payload), house.now);
        assert!(matches!(error, Err(AnswerError::Signature(_))), "{what}");
    }
    let other = verifier.only_from("PSDFR-ACPR-1");
    let error = other.verify_jws(jws, Some(payload), house.now);
    assert!(matches!(error, Err(AnswerError::OtherOrganization { .. })));
}

/// An answer under RFC 9421 that covers what it answers is believed with that request only.
#[test]
fn believes_an_answer_to_this_request_and_no_other() {
    let house = house(Kind::Qsealc);
    let profile = Catalog::embedded().get("fapi-2-http-signatures").unwrap();
    let sent = |target: &str| {
        http::Request::post(format!("https://bank.example{target}"))
            .header("authorization", "Bearer abc")
            .body(b"{}".to_vec())
            .unwrap()
    };
    let body = br#"{"transactionStatus":"RCVD"}"#.to_vec();
    let parts = BodyParts {
        bytes: Some(&body),
        digests: &[],
    };
    let asked = HttpRequest::parse(RequestParts {
        method: "POST",
        authority: "bank.example",
        target: "/v1/payments?x=1",
        headers: &[],
        body: BodyParts {
            bytes: Some(b"{}"),
            digests: &[],
        },
    })
    .unwrap();
    let parsed = HttpResponse::parse(201, &[], parts)
        .unwrap()
        .answering(asked);
    let settings: Settings = [("bank_key_id", "1")].into_iter().collect();
    let prepared = profile
        .prepare_response(&parsed, &house.seal, &settings, house.now)
        .unwrap();
    let raw = house.key.sign(prepared.scheme(), prepared.to_be_signed());
    let signed = prepared.assemble(&raw.unwrap()).unwrap();
    let answer = signed
        .headers()
        .iter()
        .fold(Response::builder().status(201), |answer, (name, value)| {
            answer.header(name, value)
        })
        .body(body)
        .unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(house.qtsp.root().clone()).unwrap();
    let verifier = AnswerVerifier::with_profile(profile.clone(), &roots)
        .unwrap()
        .intermediates(vec![house.qtsp.issuing().clone()])
        .certificate(&house.seal.der().into())
        .unwrap();
    let request = sent("/v1/payments?x=1");
    let verified = verifier.verify_answer_to(&request, &answer, house.now);
    assert_eq!(
        verified.unwrap().signed_fields,
        [
            "@status",
            "content-digest",
            "@method;req",
            "@target-uri;req"
        ]
    );

    let other = verifier.verify_answer_to(&sent("/v1/payments?x=2"), &answer, house.now);
    assert!(matches!(other, Err(AnswerError::Signature(_))), "{other:?}");
    let none = verifier.verify(&answer, house.now);
    assert!(none.is_err(), "{none:?}");
    let nowhere = http::Request::get("/v1/payments").body(Vec::new()).unwrap();
    let nowhere = verifier.verify_answer_to(&nowhere, &answer, house.now);
    assert!(
        matches!(nowhere, Err(AnswerError::Request(_))),
        "{nowhere:?}"
    );
}
