//! Which kind a certificate is: the table of EN 319 412-5 and TS 119 495, row by row.

use super::*;

const POISON: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3];
const TLS_BINDING: &[u64] = &[0, 4, 0, 194115, 1, 0];
const DOCUMENT_SIGNING: &[u64] = &[1, 3, 6, 1, 4, 1, 311, 10, 3, 12];

fn answer(params: &CertificateParams) -> (CertificateKind, Option<KindRemark>) {
    let certificate = self_signed(params);
    (certificate.kind(), certificate.kind_remark())
}

fn other(remark: KindRemark) -> (CertificateKind, Option<KindRemark>) {
    (CertificateKind::Other, Some(remark))
}

#[test]
fn a_qwac_opens_tls_as_a_client_and_a_qsealc_seals() {
    assert_eq!(answer(&qwac()), (CertificateKind::Qwac, None));
    assert_eq!(answer(&qsealc()), (CertificateKind::Qsealc, None));
}

#[test]
fn a_seal_may_sign_documents_or_state_digital_signature() {
    let mut params = qsealc();
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::ContentCommitment,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(DOCUMENT_SIGNING.to_vec())];
    assert_eq!(answer(&params), (CertificateKind::Qsealc, None));
}

#[test]
fn a_renewed_qwac_that_lost_client_auth_is_no_qwac() {
    let mut params = qwac();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(answer(&params), other(KindRemark::ClientAuthMissing));
    params.extended_key_usages.clear();
    assert_eq!(answer(&params), other(KindRemark::ClientAuthMissing));
}

#[test]
fn a_2_qwac_is_recognised_by_its_only_usage() {
    let mut params = qwac();
    let binding = ExtendedKeyUsagePurpose::Other(TLS_BINDING.to_vec());
    params.extended_key_usages = vec![binding.clone()];
    assert_eq!(answer(&params), (CertificateKind::TlsBinding, None));
    // Beside clientAuth it is a QWAC with one usage more.
    params.extended_key_usages = vec![binding, ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(answer(&params), (CertificateKind::Qwac, None));
}

#[test]
fn a_seal_with_a_tls_usage_or_without_a_signing_usage_is_no_seal() {
    let mut params = qsealc();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(answer(&params), other(KindRemark::SealWithTlsUsage));
    params.extended_key_usages.clear();
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    assert_eq!(answer(&params), other(KindRemark::SealWithoutSignature));
    params.key_usages.clear();
    assert_eq!(answer(&params), other(KindRemark::SealWithoutSignature));
}

#[test]
fn without_qc_type_the_usages_decide_and_the_remark_says_so() {
    let missing = Some(KindRemark::QcTypeMissing);
    let mut params = params();
    with_psd2(&mut params, None);
    assert_eq!(answer(&params), other(KindRemark::UsageUnfit));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    assert_eq!(answer(&params), (CertificateKind::Qsealc, missing));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(answer(&params), other(KindRemark::UsageUnfit));
    params
        .extended_key_usages
        .push(ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(answer(&params), (CertificateKind::Qwac, missing));
}

#[test]
fn neither_cas_nor_precertificates_nor_plain_tls_certificates_are_seals() {
    let mut ca = qwac();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(answer(&ca), other(KindRemark::Ca));

    let mut precertificate = qwac();
    let mut poison = CustomExtension::from_oid_content(POISON, vec![0x05, 0x00]);
    poison.set_criticality(true);
    precertificate.custom_extensions.push(poison);
    assert_eq!(answer(&precertificate), other(KindRemark::Precertificate));

    let mut plain = qwac();
    plain.custom_extensions.clear();
    assert_eq!(answer(&plain), other(KindRemark::NotQualified));

    let mut person = qwac();
    person.custom_extensions.clear();
    with_psd2(&mut person, Some(QcType::Esign));
    assert_eq!(answer(&person), other(KindRemark::QcTypeUnfit));
}

#[test]
fn an_unreadable_usage_is_not_taken_for_an_absent_one() {
    let mut params = qsealc();
    let bad = CustomExtension::from_oid_content(&[2, 5, 29, 37], vec![0x0c, 0x00]);
    params.custom_extensions.push(bad);
    assert_eq!(answer(&params), other(KindRemark::UsageUnreadable));
}
