//! Golden vectors, each finding by name, and mutations. The public corpus is read in `certificate::tests::corpus`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::roles::{Role, RoleSet};

/// PSP_PI and PSP_AI, GB-FCA, web: the corrected value of the OB CSR profile 2.2.
const TWO_ROLES: &str = "306e3013060604008e4601063009060704008e4601060330570606040081982702304d3026301106070400819827\
                         01020c065053505f50493011060704008198270103\
                         0c065053505f41490c1b46696e616e6369616c20436f6e6475637420417574686f726974790c0647422d464341";
/// PSP_AI alone, GB-FCA, web.
const ONE_ROLE: &str = "305b3013060604008e4601063009060704008e4601060330440606040081982702303a301330110607040081982701\
                        030c065053505f41490c1b46696e616e6369616c20436f6e6475637420417574686f726974790c0647422d464341";

const ORG_ID: Option<&str> = Some("PSDGB-FCA-730166");

fn vector(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn read(bytes: &[u8]) -> Qualified {
    Qualified::read(bytes, false, ORG_ID)
}

fn codes(qualified: &Qualified) -> Vec<String> {
    qualified.findings().iter().map(Finding::code).collect()
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        len @ 0..=127 => out.push(len as u8),
        len @ 128..=255 => out.extend([0x81, len as u8]),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend_from_slice(content);
    out
}

fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn oid(dotted: &str) -> Vec<u8> {
    tlv(6, ObjectIdentifier::new(dotted).unwrap().as_bytes())
}

fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

fn role(last: u32, name: &str) -> Vec<u8> {
    seq(&[oid(&format!("0.4.0.19495.1.{last}")), utf8(name)])
}

/// QcStatements with one PSD2 statement of these fields.
fn psd2(fields: &[Vec<u8>]) -> Vec<u8> {
    seq(&[seq(&[oid("0.4.0.19495.2"), seq(fields)])])
}

/// The same with good NCA fields around these role entries.
fn with_roles(entries: &[Vec<u8>]) -> Vec<u8> {
    psd2(&[
        seq(entries),
        utf8("Financial Conduct Authority"),
        utf8("GB-FCA"),
    ])
}

fn statements(roles: &[Role]) -> QcStatements {
    QcStatements {
        legal_person_syntax: false,
        compliance: false,
        sscd: false,
        qc_type: Some(QcType::Web),
        pds: Vec::new(),
        psd2: Some((
            RoleSet::from_iter(roles.iter().copied()),
            "Financial Conduct Authority".into(),
            "GB-FCA".into(),
        )),
    }
}

#[test]
fn writes_the_golden_vectors_byte_for_byte() {
    let two = encode_qc_statements(&statements(&[Role::PSP_AI, Role::PSP_PI])).unwrap();
    let one = encode_qc_statements(&statements(&[Role::PSP_AI])).unwrap();
    assert_eq!(hex::encode(two), TWO_ROLES);
    assert_eq!(hex::encode(one), ONE_ROLE);
}

#[test]
fn reads_the_golden_vectors_without_findings() {
    let qualified = read(&vector(TWO_ROLES));
    assert_eq!(codes(&qualified), [""; 0]);
    assert_eq!(qualified.qc_type(), Some(QcType::Web));
    let psd2 = qualified.psd2().unwrap();
    assert_eq!(psd2.roles().to_string(), "PSP_PI,PSP_AI");
    assert_eq!(psd2.nca_name(), Some("Financial Conduct Authority"));
    assert_eq!(psd2.nca_id(), Some("GB-FCA"));
}

#[test]
fn reads_back_everything_it_writes() {
    let all = QcStatements {
        legal_person_syntax: true,
        compliance: true,
        sscd: true,
        qc_type: Some(QcType::Eseal),
        pds: vec![("https://qtsp.example.com/pds.pdf".into(), "en".into())],
        psd2: Some((
            RoleSet::from_iter(Role::known().skip(1)),
            "Autorité".into(),
            "FR-ACPR".into(),
        )),
    };
    let bytes = encode_qc_statements(&all).unwrap();
    let qualified = Qualified::read(&bytes, false, Some("PSDFR-ACPR-1"));
    assert_eq!(codes(&qualified), [""; 0]);
    assert!(qualified.compliance() && qualified.sscd());
    assert_eq!(qualified.qc_type(), Some(QcType::Eseal));
    assert_eq!(qualified.pds(), all.pds);
    assert_eq!(qualified.psd2().unwrap().roles().len(), 8);
    assert_eq!(qualified.statements().count(), 6);
}

#[test]
fn refuses_to_write_what_it_would_report() {
    assert_eq!(
        encode_qc_statements(&statements(&[])),
        Err(EncodeError::NoRole)
    );
    for (name, id) in [("", "GB-FCA"), ("FCA", ""), (&*"x".repeat(257), "GB-FCA")] {
        let mut bad = statements(&[Role::PSP_AI]);
        bad.psd2 = Some((RoleSet::from_iter([Role::PSP_AI]), name.into(), id.into()));
        assert!(matches!(
            encode_qc_statements(&bad),
            Err(EncodeError::Text(_))
        ));
    }
    let mut bad = statements(&[Role::PSP_AI]);
    bad.pds = vec![("https://ex\u{e4}mple.com".into(), "en".into())];
    assert!(matches!(
        encode_qc_statements(&bad),
        Err(EncodeError::Text(_))
    ));
}

#[test]
fn order_of_statements_and_roles_does_not_matter() {
    let qc_type = seq(&[oid("0.4.0.1862.1.6"), seq(&[oid("0.4.0.1862.1.6.2")])]);
    let statement = seq(&[
        oid("0.4.0.19495.2"),
        seq(&[
            seq(&[role(3, "PSP_AI"), role(2, "PSP_PI")]),
            utf8("n"),
            utf8("GB-FCA"),
        ]),
    ]);
    let one = read(&seq(&[qc_type.clone(), statement.clone()]));
    let other = read(&seq(&[statement, qc_type]));
    assert_eq!(one.psd2().unwrap().roles(), other.psd2().unwrap().roles());
    assert_eq!(
        (one.qc_type(), other.qc_type()),
        (Some(QcType::Eseal), Some(QcType::Eseal))
    );
    assert_eq!(codes(&one), codes(&other));
}

#[test]
fn recovers_a_missing_outer_sequence() {
    let whole = vector(ONE_ROLE);
    // Behind the outer frame (2 bytes) and the QcType statement (21 bytes) stands the PSD2 statement alone.
    let qualified = read(&whole[23..]);
    assert_eq!(codes(&qualified), ["qcstatements_outer_sequence_missing"]);
    assert_eq!(qualified.psd2().unwrap().roles().to_string(), "PSP_AI");
}

#[test]
fn recovers_flattened_roles() {
    let flat = [
        oid("0.4.0.19495.1.2"),
        utf8("PSP_PI"),
        oid("0.4.0.19495.1.3"),
        utf8("PSP_AI"),
    ];
    let qualified = read(&with_roles(&[seq(&flat)]));
    assert_eq!(codes(&qualified), ["role_arity_4"]);
    assert_eq!(
        qualified.psd2().unwrap().roles().to_string(),
        "PSP_PI,PSP_AI"
    );
}

#[test]
fn takes_roles_by_identifier_and_reports_a_name_that_contradicts() {
    let swapped = read(&with_roles(&[role(1, "PSP_PI")]));
    assert!(swapped.psd2().unwrap().roles().contains(Role::PSP_AS));
    assert!(!swapped.psd2().unwrap().roles().contains(Role::PSP_PI));
    assert_eq!(
        codes(&swapped),
        ["role_name_mismatch", "role_name_contradicts"]
    );

    let prose = read(&with_roles(&[role(2, "Payment Initiation")]));
    assert!(prose.psd2().unwrap().roles().contains(Role::PSP_PI));
    assert_eq!(codes(&prose), ["role_name_mismatch"]);
}

#[test]
fn tolerates_an_unknown_role() {
    let qualified = read(&with_roles(&[role(77, "NAT_X"), role(3, "PSP_AI")]));
    assert_eq!(codes(&qualified), ["role_unknown"]);
    assert_eq!(qualified.psd2().unwrap().roles().len(), 2);
}

#[test]
fn names_each_structural_fault_of_the_psd2_statement() {
    let good = || (utf8("Financial Conduct Authority"), utf8("GB-FCA"));
    let roles = || seq(&[role(3, "PSP_AI")]);
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (psd2(&[roles(), good().0]), &["psd2_field_count_2"]),
        (psd2(&[seq(&[]), good().0, good().1]), &["roles_empty"]),
        (
            psd2(&[utf8("x"), good().0, good().1]),
            &["role_not_sequence"],
        ),
        (with_roles(&[utf8("PSP_AI")]), &["role_not_sequence"]),
        (
            with_roles(&[seq(&[oid("0.4.0.19495.1.3")])]),
            &["role_arity_1"],
        ),
        (
            with_roles(&[seq(&[utf8("0.4.0.19495.1.3"), utf8("PSP_AI")])]),
            &["role_oid_wrong_type_UTF8"],
        ),
        (
            with_roles(&[role(3, "PSP_AI"), role(3, "PSP_AI")]),
            &["duplicate_role"],
        ),
        (
            with_roles(&[role(0, "Unspecified"), role(3, "PSP_AI")]),
            &["unspecified_not_alone"],
        ),
        (
            with_roles(&[role(3, "")]),
            &["role_name_empty", "role_name_mismatch"],
        ),
        (
            with_roles(&[seq(&[oid("0.4.0.19495.1.3"), tlv(0x13, b"PSP_AI")])]),
            &["role_name_type_PRT"],
        ),
        (
            psd2(&[roles(), tlv(0x16, b"x"), good().1]),
            &["nca_name_type_IA5"],
        ),
        (psd2(&[roles(), utf8(""), good().1]), &["nca_name_empty"]),
        (
            psd2(&[roles(), good().0, tlv(0x13, b"GB-FCA")]),
            &["nca_id_type_PRT"],
        ),
        (
            psd2(&[roles(), good().0, utf8("")]),
            &["nca_id_empty", "nca_id_syntax", "nca_id_vs_org_id_mismatch"],
        ),
        (
            psd2(&[roles(), good().0, utf8("FR-ACPR")]),
            &["nca_id_vs_org_id_mismatch"],
        ),
        (
            seq(&[seq(&[oid("0.4.0.19495.2"), utf8("x")])]),
            &["psd2_info_not_sequence"],
        ),
        (
            seq(&[seq(&[oid("0.4.0.19495.2")])]),
            &["psd2_info_not_sequence"],
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(codes(&read(&bytes)), expected, "{}", hex::encode(&bytes));
    }
}

#[test]
fn names_each_fault_around_the_psd2_statement() {
    let web = || seq(&[oid("0.4.0.1862.1.6"), seq(&[oid("0.4.0.1862.1.6.3")])]);
    let both = seq(&[oid("0.4.0.1862.1.6.2"), oid("0.4.0.1862.1.6.3")]);
    let cases: Vec<(Vec<u8>, &[&str])> = vec![
        (vec![], &["qcstatements_malformed"]),
        (tlv(0x31, &web()), &["qcstatements_malformed"]),
        (
            [seq(&[web()]), vec![0]].concat(),
            &["qcstatements_malformed"],
        ),
        (seq(&[web(), utf8("x")]), &["bare_statement"]),
        (seq(&[seq(&[utf8("x")])]), &["bare_statement"]),
        (
            seq(&[seq(&[oid("0.4.0.1862.1.6"), both])]),
            &["qc_type_multiple"],
        ),
        (
            seq(&[seq(&[oid("0.4.0.1862.1.6")])]),
            &["qc_type_malformed"],
        ),
        (
            seq(&[seq(&[oid("0.4.0.1862.1.6"), seq(&[])])]),
            &["qc_type_malformed"],
        ),
        (
            seq(&vec![web(); 33]),
            &["qcstatements_too_large", "qc_type_multiple"],
        ),
        (
            tlv(0x30, &vec![0; QC_STATEMENTS_BYTES_MAX]),
            &["qcstatements_too_large"],
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(codes(&read(&bytes)), expected, "{} bytes", bytes.len());
    }
}

#[test]
fn reports_a_critical_extension_and_a_missing_organization_identifier() {
    let critical = Qualified::read(&vector(ONE_ROLE), true, None);
    assert_eq!(
        codes(&critical),
        ["qcstatements_critical", "org_id_missing"]
    );
    let other = Qualified::read(&vector(ONE_ROLE), false, Some("NTRGB-1"));
    assert_eq!(codes(&other), ["org_id_not_psd_syntax"]);
}

#[test]
fn a_second_psd2_statement_adds_no_role() {
    let first = seq(&[seq(&[role(3, "PSP_AI")]), utf8("n"), utf8("GB-FCA")]);
    let second = seq(&[seq(&[role(2, "PSP_PI")]), utf8("n"), utf8("GB-FCA")]);
    let id = || oid("0.4.0.19495.2");
    let qualified = read(&seq(&[seq(&[id(), first]), seq(&[id(), second])]));
    assert_eq!(codes(&qualified), ["psd2_repeated"]);
    assert_eq!(qualified.psd2().unwrap().roles().to_string(), "PSP_AI");
}

#[test]
fn keeps_statements_before_an_unreadable_one() {
    let mut bytes = vector(ONE_ROLE);
    // The PSD2 statement's length byte: longer than what is left.
    bytes[24] = 0x7f;
    let qualified = read(&bytes);
    assert_eq!(qualified.qc_type(), Some(QcType::Web));
    assert_eq!(codes(&qualified), ["qcstatements_malformed"]);
}

#[test]
fn every_truncation_of_the_golden_vectors_is_reported() {
    for text in [ONE_ROLE, TWO_ROLES] {
        let whole = vector(text);
        for len in 0..whole.len() {
            assert_eq!(
                codes(&read(&whole[..len])),
                ["qcstatements_malformed"],
                "{len}"
            );
        }
    }
}

#[test]
fn no_flipped_byte_grants_a_role_silently() {
    let whole = vector(ONE_ROLE);
    for index in 0..whole.len() {
        for value in 0..=255 {
            let mut bytes = whole.clone();
            bytes[index] = value;
            let qualified = read(&bytes);
            let roles = qualified
                .psd2()
                .map(Psd2Statement::roles)
                .unwrap_or_default();
            let other_known = Role::known().any(|r| r != Role::PSP_AI && roles.contains(r));
            assert!(
                !other_known || !qualified.findings().is_empty(),
                "byte {index} = {value}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), critical: bool) {
        let qualified = Qualified::read(&bytes, critical, ORG_ID);
        prop_assert!(qualified.psd2().is_none() || !bytes.is_empty());
    }

    #[test]
    fn several_changed_bytes_never_panic_and_findings_stay_ordered(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = vector(TWO_ROLES);
        for (index, value) in &changes {
            let at = index.index(bytes.len());
            bytes[at] = *value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let qualified = read(&bytes);
        let mut sorted = qualified.findings().to_vec();
        sorted.sort();
        sorted.dedup();
        prop_assert_eq!(qualified.findings(), sorted);
    }
}
