//! What is read from certificates made here, made by openssl, and collected in public (the corpus).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod corpus;
mod kinds;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};

use super::*;
use crate::algorithm::KeyType;
use crate::qualified::{QcStatements, QcType, encode_qc_statements};
use crate::roles::{Role, RoleSet};

const ORGANIZATION_IDENTIFIER: &[u64] = &[2, 5, 4, 97];
const QC_STATEMENTS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 3];

/// Parameters of an end-entity certificate of 2027, with the subject of a TPP.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2027, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 7, 1);
    params.serial_number = Some(SerialNumber::from_slice(&[
        0x00, 0xa9, 0xfa, 0x1c, 0x3d, 0x0e,
    ]));
    // The default holds a name of its own.
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = &mut params.distinguished_name;
    name.push(
        DnType::CountryName,
        DnValue::PrintableString("DE".try_into().unwrap()),
    );
    name.push(DnType::OrganizationName, "Acme Payments, Inc.");
    name.push(
        DnType::from_oid(ORGANIZATION_IDENTIFIER),
        "PSDDE-BAFIN-123456",
    );
    name.push(DnType::CommonName, "tpp.example.com");
    params
}

fn with_psd2(params: &mut CertificateParams, qc_type: Option<QcType>) {
    let statements = QcStatements {
        legal_person_syntax: true,
        compliance: true,
        sscd: false,
        qc_type,
        pds: Vec::new(),
        psd2: Some((
            RoleSet::from_iter([Role::PSP_AI]),
            "BaFin".into(),
            "DE-BAFIN".into(),
        )),
    };
    let der = encode_qc_statements(&statements).unwrap();
    params
        .custom_extensions
        .push(CustomExtension::from_oid_content(QC_STATEMENTS, der));
}

fn qwac() -> CertificateParams {
    let mut params = params();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.subject_alt_names = vec![SanType::DnsName("tpp.example.com".try_into().unwrap())];
    with_psd2(&mut params, Some(QcType::Web));
    params
}

fn qsealc() -> CertificateParams {
    let mut params = params();
    params.key_usages = vec![KeyUsagePurpose::ContentCommitment];
    with_psd2(&mut params, Some(QcType::Eseal));
    params
}

fn self_signed(params: &CertificateParams) -> Certificate {
    let key = KeyPair::generate().unwrap();
    Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
}

fn fixture(pem: &str) -> Result<Certificate, CertificateError> {
    Certificate::chain_from_pem(pem.as_bytes()).map(|mut chain| chain.remove(0))
}

#[test]
fn reads_every_field_of_a_qwac() {
    let key = KeyPair::generate().unwrap();
    let made = qwac().self_signed(&key).unwrap();
    let certificate = Certificate::from_der(made.der()).unwrap();
    assert_eq!(certificate.der(), &made.der()[..]);
    assert_eq!(certificate.serial_hex(), "a9fa1c3d0e");
    assert_eq!(certificate.serial_decimal(), "730045627662");
    assert_eq!(certificate.not_before().to_string(), "2027-01-01T00:00:00Z");
    assert_eq!(certificate.not_after().to_string(), "2027-07-01T00:00:00Z");
    assert_eq!(certificate.public_key().key_type(), KeyType::EcP256);
    assert_eq!(
        certificate.organization_identifier(),
        Some("PSDDE-BAFIN-123456")
    );
    assert_eq!(certificate.dns_names(), ["tpp.example.com"]);
    assert_eq!(
        certificate.extended_key_usage().unwrap(),
        [eku::SERVER_AUTH, eku::CLIENT_AUTH]
    );
    assert!(certificate.has_eku(eku::CLIENT_AUTH) && !certificate.has_eku(eku::TLS_BINDING));
    let usage = certificate.key_usage().unwrap();
    assert!(usage.digital_signature() && !usage.non_repudiation() && !usage.key_cert_sign());
    assert!(!certificate.is_ca() && !certificate.is_precertificate());
    assert_eq!(certificate.qualified().findings(), []);
    assert_eq!(
        certificate.qualified().psd2().unwrap().roles().to_string(),
        "PSP_AI"
    );
    assert_eq!(certificate.unreadable(), [""; 0]);
    assert_eq!(certificate.critical_unknown(), [""; 0]);
    assert_eq!(
        certificate.signature_algorithm().as_deref(),
        Some("1.2.840.10045.4.3.2")
    );
}

#[test]
fn renders_the_subject_for_verifiers_and_for_people() {
    let subject = self_signed(&params()).subject().clone();
    assert_eq!(
        subject.rfc2253(),
        "CN=tpp.example.com,2.5.4.97=#0c1250534444452d424146494e2d313233343536,\
         O=Acme Payments\\, Inc.,C=DE"
    );
    assert_eq!(
        subject.rfc1779(),
        "CN=tpp.example.com, OID.2.5.4.97=PSDDE-BAFIN-123456, O=\"Acme Payments, Inc.\", C=DE"
    );
    assert_eq!(
        subject.to_string(),
        "CN=tpp.example.com,organizationIdentifier=PSDDE-BAFIN-123456,\
         O=Acme Payments\\, Inc.,C=DE"
    );
}

#[test]
fn tells_the_string_type_of_the_organization_identifier() {
    let printable = DnValue::PrintableString("PSDDE-BAFIN-1".try_into().unwrap());
    for (value, expected) in [(printable, true), (DnValue::from("PSDDE-BAFIN-1"), false)] {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::from_oid(ORGANIZATION_IDENTIFIER), value);
        let certificate = self_signed(&params);
        let attributes: Vec<&Attribute> = certificate.subject().attributes().collect();
        let attribute = attributes
            .iter()
            .find(|attribute| attribute.oid() == "2.5.4.97")
            .unwrap();
        assert_eq!(attribute.is_printable_string(), expected);
        assert_eq!(certificate.organization_identifier(), Some("PSDDE-BAFIN-1"));
    }
}

#[test]
fn reads_spiffe_identities_beside_host_names() {
    let mut params = params();
    let uri = "spiffe://acme.example/payments";
    params.subject_alt_names = vec![
        SanType::URI(uri.try_into().unwrap()),
        SanType::DnsName("a.example.com".try_into().unwrap()),
        SanType::IpAddress("10.0.0.1".parse().unwrap()),
    ];
    let certificate = self_signed(&params);
    assert_eq!(certificate.uris(), [uri]);
    assert_eq!(certificate.dns_names(), ["a.example.com"]);
}

#[test]
fn refuses_unsupported_keys_by_reason() {
    let reason = |pem| match fixture(pem).unwrap_err() {
        CertificateError::Key(reason) => reason,
        other => panic!("{other}"),
    };
    assert_eq!(
        reason(include_str!("tests/fixtures/rsa_1024.pem")),
        KeyError::RsaLength { bits: 1024 }
    );
    assert_eq!(
        reason(include_str!("tests/fixtures/brainpool_p256r1.pem")),
        KeyError::CurveUnsupported {
            oid: "1.3.36.3.3.2.8.1.1.7".into()
        }
    );
}

#[test]
fn reads_certificates_with_p521_and_ed25519_keys() {
    let key = |pem| fixture(pem).unwrap().public_key().key_type();
    assert_eq!(
        key(include_str!("tests/fixtures/secp521r1.pem")),
        KeyType::EcP521
    );
    assert_eq!(
        key(include_str!("tests/fixtures/ed25519.pem")),
        KeyType::Ed25519
    );
}

#[test]
fn refuses_bytes_before_behind_and_instead_of_a_certificate() {
    let der = self_signed(&qwac()).der().to_vec();
    assert_eq!(
        Certificate::from_der(&[&der[..], &[0]].concat()).unwrap_err(),
        CertificateError::Malformed
    );
    assert_eq!(
        Certificate::from_der(&[]).unwrap_err(),
        CertificateError::Malformed
    );
    let large = vec![0x30; CERTIFICATE_BYTES_MAX + 1];
    assert!(matches!(
        Certificate::from_der(&large),
        Err(CertificateError::TooLarge(_))
    ));
    for len in 0..der.len() {
        assert_eq!(
            Certificate::from_der(&der[..len]).unwrap_err(),
            CertificateError::Malformed
        );
    }
}

#[test]
fn no_flipped_byte_panics() {
    let der = self_signed(&qwac()).der().to_vec();
    let original = Certificate::from_der(&der).unwrap();
    for index in 0..der.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut bytes = der.clone();
            bytes[index] ^= flip;
            // Whatever still parses is another certificate, by its bytes and its fingerprint.
            if let Ok(certificate) = Certificate::from_der(&bytes) {
                assert_ne!(certificate, original);
                assert_ne!(certificate.sha256(), original.sha256());
                assert!(!format!("{certificate:?} {:?}", certificate.kind()).is_empty());
            }
        }
    }
}

#[test]
fn refuses_a_repeated_extension() {
    let mut params = qsealc();
    with_psd2(&mut params, Some(QcType::Web));
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let refusal = Certificate::from_der(made.der()).unwrap_err();
    assert_eq!(
        refusal,
        CertificateError::RepeatedExtension("1.3.6.1.5.5.7.1.3".into())
    );
}

#[test]
fn a_malformed_extension_does_not_hide_the_others() {
    let mut params = qsealc();
    // Extended key usage that is not a list of identifiers.
    let bad = CustomExtension::from_oid_content(&[2, 5, 29, 37], vec![0x30, 0x02, 0x0c, 0x00]);
    params.custom_extensions.insert(0, bad);
    let certificate = self_signed(&params);
    assert_eq!(certificate.unreadable(), ["2.5.29.37"]);
    assert_eq!(certificate.extended_key_usage(), None);
    assert_eq!(certificate.qualified().qc_type(), Some(QcType::Eseal));
}

#[test]
fn names_critical_extensions_nobody_reads() {
    let mut params = params();
    let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x05, 0x00]);
    unknown.set_criticality(true);
    params.custom_extensions.push(unknown);
    assert_eq!(self_signed(&params).critical_unknown(), ["1.2.3.4"]);
}

#[test]
fn a_leaf_is_issued_by_its_ca_and_by_no_other() {
    let (ca_key, ca_params) = (KeyPair::generate().unwrap(), ca_params("Issuing CA"));
    let ca = Certificate::from_der(ca_params.self_signed(&ca_key).unwrap().der()).unwrap();
    let issuer = Issuer::new(ca_params.clone(), &ca_key);
    let leaf_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let made = qwac().signed_by(&leaf_key, &issuer).unwrap();
    let leaf = Certificate::from_der(made.der()).unwrap();
    assert_eq!(leaf.verify_issued_by(&ca), Ok(()));
    assert_eq!(ca.verify_issued_by(&ca), Ok(()));
    assert_eq!(ca.verify_issued_by(&leaf), Err(IssuanceError::OtherIssuer));
    let namesake = self_signed(&ca_params);
    assert_eq!(
        leaf.verify_issued_by(&namesake),
        Err(IssuanceError::BadSignature)
    );
    let other = self_signed(&ca_params_named_as(&leaf));
    assert_eq!(
        leaf.verify_issued_by(&other),
        Err(IssuanceError::OtherIssuer)
    );
}

#[test]
fn a_certificate_that_is_no_ca_issues_nothing() {
    let (key, params) = (KeyPair::generate().unwrap(), params());
    let pretender = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    assert_eq!(
        pretender.verify_issued_by(&pretender),
        Err(IssuanceError::NotCa)
    );
}

#[test]
fn verifies_pss_and_refuses_sha_1_signatures_of_an_issuer() {
    let ca = fixture(include_str!("tests/fixtures/pss_ca.pem")).unwrap();
    let leaf = fixture(include_str!("tests/fixtures/pss_leaf.pem")).unwrap();
    assert_eq!(leaf.verify_issued_by(&ca), Ok(()));
    assert_eq!(ca.verify_issued_by(&ca), Ok(()));
    assert_eq!(leaf.serial_hex(), "123456789abcdef0123456789abcdef01234567");
    let sha1 = fixture(include_str!("tests/fixtures/sha1_leaf.pem")).unwrap();
    let refused = IssuanceError::Algorithm("1.2.840.113549.1.1.5".into());
    assert_eq!(sha1.verify_issued_by(&ca), Err(refused));
    // One bit of the signature, at the very end of the certificate.
    let mut der = leaf.der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let forged = Certificate::from_der(&der).unwrap();
    assert_eq!(
        forged.verify_issued_by(&ca),
        Err(IssuanceError::BadSignature)
    );
}

#[test]
fn reads_a_chain_in_the_order_given() {
    let (leaf, ca) = (self_signed(&qwac()), self_signed(&ca_params("CA")));
    let pem = |certificate: &Certificate| {
        use base64::Engine;
        let body = base64::engine::general_purpose::STANDARD.encode(certificate.der());
        format!("-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----\n")
    };
    let text = [pem(&leaf), pem(&ca)].concat();
    assert_eq!(
        Certificate::chain_from_pem(text.as_bytes()).unwrap(),
        [leaf, ca]
    );
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn ca_params_named_as(certificate: &Certificate) -> CertificateParams {
    ca_params(certificate.subject().common_name().unwrap())
}

#[test]
fn a_known_certificate_is_not_parsed_again() {
    let (leaf, ca) = (
        include_str!("tests/fixtures/pss_leaf.pem"),
        include_str!("tests/fixtures/pss_ca.pem"),
    );
    let text = format!("{leaf}{ca}");
    let mut known = KnownCertificates::default();
    known.add(&fixture(ca).unwrap());
    let first = known.chain_from_pem(text.as_bytes()).unwrap();
    assert_eq!(first, Certificate::chain_from_pem(text.as_bytes()).unwrap());
    let again = known.chain_from_pem(text.as_bytes()).unwrap();
    for (first, again) in first.iter().zip(&again) {
        assert!(std::ptr::eq(first.der(), again.der()), "shared");
    }
    let bad = known.chain_from_pem(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----");
    assert_eq!(bad, Err(CertificateError::Malformed));
}
