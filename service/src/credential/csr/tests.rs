#![allow(clippy::unwrap_used)]
use rcgen::SigningKey;
use sealkeep_profiles::qualified::Qualified;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::prelude::FromDer;

use super::*;

fn subject(psd2: Option<Psd2Wish>) -> Subject {
    Subject {
        country: "DE".to_owned(),
        organization: "Bäcker TPP GmbH".to_owned(),
        organization_identifier: "PSDDE-BAFIN-123456".to_owned(),
        common_name: "tpp.demo-tpp.com".to_owned(),
        dns_names: vec!["tpp.demo-tpp.com".to_owned()],
        psd2,
    }
}

fn wish(roles: &[&str]) -> Psd2Wish {
    Psd2Wish {
        roles: roles.iter().map(ToString::to_string).collect(),
        nca_name: "BaFin".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
    }
}

/// Ed25519 signs messages whole, so a key in memory stands in for the token.
async fn csr(subject: &Subject) -> Result<Vec<u8>, CsrError> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    let sign = |_, message: Vec<u8>| {
        let signed = key.sign(&message).unwrap();
        std::future::ready(Ok(signed))
    };
    build(subject, Purpose::Transport, &spki, sign).await
}

/// What the statements of a request say; none when it has none.
fn said(csr_der: &[u8]) -> Option<Qualified> {
    let (_, csr) = X509CertificationRequest::from_der(csr_der).unwrap();
    let attributes = csr.certification_request_info.iter_attributes();
    let mut extensions = attributes.filter_map(|a| match a.parsed_attribute() {
        ParsedCriAttribute::ExtensionRequest(request) => Some(&request.extensions),
        _ => None,
    });
    let all = extensions.next().unwrap();
    let found = all
        .iter()
        .find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.3")?;
    Some(Qualified::read(
        found.value,
        found.critical,
        Some("PSDDE-BAFIN-123456"),
    ))
}

#[tokio::test]
async fn statements_are_in_a_request_only_when_somebody_says_them() {
    assert!(said(&csr(&subject(None)).await.unwrap()).is_none());
    let with = csr(&subject(Some(wish(&["PSP_AI", "PSP_PI"]))))
        .await
        .unwrap();
    let said = said(&with).unwrap();
    let psd2 = said.psd2().unwrap();
    let roles: Vec<_> = psd2.roles().iter().map(|role| role.to_string()).collect();
    assert_eq!(roles, ["PSP_PI", "PSP_AI"]);
    assert_eq!(said.findings(), [], "as a certificate would say it");
}

#[tokio::test]
async fn refuses_statements_that_say_nothing_or_nonsense() {
    for roles in [vec![], vec!["PSP_XX"]] {
        let refused = csr(&subject(Some(wish(&roles)))).await.unwrap_err();
        assert!(
            refused.to_string().starts_with("subject.psd2: "),
            "{refused}"
        );
    }
}

/// EN 319 412-3: the country is a PrintableString, the names are UTF8Strings.
#[tokio::test]
async fn strings_have_the_types_that_qtsps_expect() {
    let der = csr(&subject(None)).await.unwrap();
    let holds = |tag: u8, text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        let value = [&[tag, length], text.as_bytes()].concat();
        der.windows(value.len()).any(|window| window == value)
    };
    assert!(holds(0x13, "DE"));
    for text in ["Bäcker TPP GmbH", "PSDDE-BAFIN-123456", "tpp.demo-tpp.com"] {
        assert!(holds(0x0c, text), "{text}");
    }
}
