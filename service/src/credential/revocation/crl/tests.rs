#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;
use sealkeep_sandbox::key::KeyKind;
use sealkeep_sandbox::qtsp::{CrlKind, Reason};

use super::super::foreign::Scene;
use super::super::location::Locations;
use super::*;
use crate::domain::RevocationReason;

/// A list by OpenSSL, valid for a day, with more extensions than the usual ones.
fn list(scene: &Scene, ca: &str, extensions: &str) -> Vec<u8> {
    let config = format!(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\n\
         certificate={ca}.pem\nprivate_key={ca}.key\ncrl_extensions=ext\n\
         [ext]\nauthorityKeyIdentifier=keyid\n{extensions}\n"
    );
    std::fs::write(scene.path().join("ca.cnf"), config).unwrap();
    std::fs::write(scene.path().join("crlnumber"), "10\n").unwrap();
    scene.openssl("ca -config ca.cnf -gencrl -crldays 1 -out list.pem");
    scene.openssl("crl -in list.pem -outform DER -out list.der");
    std::fs::read(scene.path().join("list.der")).unwrap()
}

fn says(scene: &Scene, der: Vec<u8>, now: Timestamp) -> Result<Statement, Unproven> {
    let points = Locations::of(&scene.leaf).points;
    Crl::read(der, &scene.issuing)?.statement(&scene.leaf, &points, now)
}

fn word(said: Result<Statement, Unproven>) -> &'static str {
    said.map_or_else(
        |error| error.reason(),
        |statement| statement.status.as_str(),
    )
}

#[test]
fn openssl_lists_what_is_revoked() {
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let scene = Scene::new(kind);
        for (rows, wanted) in [
            (vec![], None),
            (vec![(&scene.other, Some("keyCompromise"))], None),
            (
                vec![(&scene.other, None), (&scene.leaf, Some("keyCompromise"))],
                Some(RevocationReason::KeyCompromise),
            ),
            (
                vec![(&scene.leaf, Some("certificateHold"))],
                Some(RevocationReason::CertificateHold),
            ),
            (
                vec![(&scene.leaf, Some("unspecified"))],
                Some(RevocationReason::Unspecified),
            ),
        ] {
            scene.index(&rows);
            let said = says(&scene, list(&scene, "issuing", ""), scene.now).unwrap();
            assert_eq!(said.source, RevocationSource::Crl);
            match (said.status, wanted) {
                (RevocationStatus::Good, None) => {}
                (RevocationStatus::Revoked { reason, .. }, Some(wanted)) => {
                    assert_eq!(reason, wanted);
                }
                (found, _) => panic!("{found:?} instead of {wanted:?}"),
            }
        }
    }
}

#[test]
fn a_list_that_does_not_cover_the_question_says_nothing() {
    let scene = Scene::new(KeyKind::EcP256);
    scene.index(&[]);
    let ours = "URI:http://qtsp.sealkeep.example.com/issuing.crl";
    for (extensions, wanted) in [
        ("2.5.29.27=critical,DER:020109", "CRL_DELTA"),
        (
            "issuingDistributionPoint=critical,@p\n[p]\nindirectCRL=TRUE",
            "CRL_INDIRECT",
        ),
        (
            "issuingDistributionPoint=critical,@p\n[p]\nonlyCA=TRUE",
            "CRL_PARTIAL",
        ),
        (
            "issuingDistributionPoint=critical,@p\n[p]\nonlyuser=TRUE",
            "good",
        ),
        (
            "issuingDistributionPoint=critical,@p\n[p]\nonlyAA=TRUE",
            "CRL_PARTIAL",
        ),
        (
            "issuingDistributionPoint=critical,@p\n[p]\nonlysomereasons=keyCompromise",
            "CRL_PARTIAL",
        ),
        (
            "issuingDistributionPoint=critical,@p\n[p]\nfullname=URI:http://a.example/1.crl",
            "CRL_PARTIAL",
        ),
        (
            &format!("issuingDistributionPoint=critical,@p\n[p]\nfullname={ours}"),
            "good",
        ),
        ("1.2.3.4=critical,DER:0500", "CRITICAL_EXTENSION"),
        ("1.2.3.4=DER:0500", "good"),
    ] {
        let der = list(&scene, "issuing", extensions);
        assert_eq!(word(says(&scene, der, scene.now)), wanted, "{extensions}");
    }
}

#[test]
fn only_the_issuer_is_believed_and_only_in_time() {
    let scene = Scene::new(KeyKind::EcP256);
    scene.index(&[]);
    let foreign = list(&scene, "root", "");
    assert_eq!(word(says(&scene, foreign, scene.now)), "SIGNATURE_INVALID");
    let der = list(&scene, "issuing", "");
    let at = |hours| {
        says(
            &scene,
            der.clone(),
            scene.now + SignedDuration::from_hours(hours),
        )
    };
    assert_eq!(word(at(23)), "good");
    assert_eq!(word(at(25)), "OUTDATED");
    assert_eq!(word(at(-1)), "FROM_THE_FUTURE");
    // The root's own list is about CAs just as well.
    let root = Crl::read(list(&scene, "root", ""), &scene.root).unwrap();
    let said = root.statement(&scene.issuing, &[], scene.now).unwrap();
    assert_eq!(said.status, RevocationStatus::Good);
}

#[test]
fn no_changed_byte_changes_what_is_said() {
    let scene = Scene::new(KeyKind::EcP256);
    scene.index(&[(&scene.leaf, Some("superseded"))]);
    let der = list(&scene, "issuing", "");
    let said = says(&scene, der.clone(), scene.now).unwrap();
    for at in 0..der.len() {
        assert!(
            says(&scene, der[..at].to_vec(), scene.now).is_err(),
            "cut at {at}"
        );
        let mut changed = der.clone();
        changed[at] ^= 0x01;
        if let Ok(changed) = says(&scene, changed, scene.now) {
            assert_eq!(changed, said, "byte {at}");
        }
    }
}

/// The sandbox QTSP's own lists: the whole one says it, the delta is not mistaken for it.
#[test]
fn the_sandbox_lists_what_it_revoked() {
    let scene = Scene::new(KeyKind::EcP256);
    let day = SignedDuration::from_hours(24);
    let list = |kind| scene.qtsp.crl(kind, scene.now, day).unwrap();
    assert_eq!(word(says(&scene, list(CrlKind::Full), scene.now)), "good");
    let leaf = scene.leaf.der().into();
    scene
        .qtsp
        .revoke(&leaf, Reason::KeyCompromise, scene.now)
        .unwrap();
    assert_eq!(
        word(says(&scene, list(CrlKind::Full), scene.now)),
        "revoked"
    );
    assert_eq!(
        word(says(&scene, list(CrlKind::Delta), scene.now)),
        "CRL_DELTA"
    );
}

#[test]
fn what_cannot_be_asked_is_skipped_and_said() {
    let plain = Locations::of(&Scene::new(KeyKind::EcP256).leaf);
    let shown = |uris: &[http::Uri]| uris.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shown(&plain.ocsp),
        ["http://qtsp.sealkeep.example.com/ocsp"]
    );
    assert_eq!(
        shown(&plain.crl),
        ["http://qtsp.sealkeep.example.com/issuing.crl"]
    );
    assert!(plain.skipped.is_empty());
    let odd = Scene::with(KeyKind::EcP256, |order| {
        order.oddities.no_responder = true;
        order.oddities.odd_lists = true;
    });
    let odd = Locations::of(&odd.leaf);
    assert!(odd.ocsp.is_empty());
    assert_eq!(odd.crl.len(), 2, "{odd:?}");
    assert_eq!(odd.skipped.len(), 1);
    assert_eq!(odd.skipped[0].why, "LDAP");
}
