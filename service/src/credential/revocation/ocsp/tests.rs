#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;
use sealkeep_sandbox::key::KeyKind;

use super::super::foreign::Scene;
use super::*;

const ASKED: [u8; NONCE_BYTES] = [7; NONCE_BYTES];

/// Certifies a key for the responder, signed by one of the CAs.
fn delegate(scene: &Scene, ca: &str, extensions: &str) {
    let file = format!("basicConstraints=CA:FALSE\n{extensions}");
    std::fs::write(scene.path().join("delegate.ext"), file).unwrap();
    scene.openssl(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout delegate.key -out delegate.csr -subj /CN=ocsp",
    );
    scene.openssl(&format!(
        "x509 -req -in delegate.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 1 -extfile delegate.ext -out delegate.pem"
    ));
}

const FOR_OCSP: &str = "extendedKeyUsage=OCSPSigning\nnoCheck=ignored\n";

/// What OpenSSL answers to a question about the leaf.
fn ask(scene: &Scene, signer: &str, options: &str) -> Vec<u8> {
    let question = question(scene);
    std::fs::write(scene.path().join("request.der"), question.to_der().unwrap()).unwrap();
    scene.openssl(&format!(
        "ocsp -index index.txt -CA issuing.pem -rsigner {signer}.pem -rkey {signer}.key -reqin request.der -respout answer.der -ndays 1 {options}"
    ));
    std::fs::read(scene.path().join("answer.der")).unwrap()
}

fn question(scene: &Scene) -> Question<'_> {
    Question::new(&scene.leaf, &scene.issuing, ASKED).unwrap()
}

fn reason_of(answer: Result<Statement, Unproven>) -> &'static str {
    answer.map_or_else(
        |error| error.reason(),
        |statement| statement.status.as_str(),
    )
}

#[test]
fn openssl_says_good_revoked_and_unknown() {
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let scene = Scene::new(kind);
        delegate(&scene, "issuing", FOR_OCSP);
        let says = |rows: &[(&Certificate, Option<&str>)], options: &str| {
            scene.index(rows);
            let answer = ask(&scene, "delegate", options);
            question(&scene).answer(&answer, scene.now).unwrap()
        };
        let good = says(&[(&scene.leaf, None)], "");
        assert_eq!(good.status, RevocationStatus::Good);
        assert_eq!(good.source, RevocationSource::Ocsp);
        let life = good.next_update.unwrap().duration_since(good.this_update);
        assert_eq!(life, SignedDuration::from_hours(24));
        // The responder names itself by its key, or does not give the nonce back: both are allowed.
        for options in ["-resp_key_id", "-no_nonce"] {
            let again = says(&[(&scene.leaf, None)], options);
            assert_eq!(again.status, RevocationStatus::Good, "{options}");
        }
        assert_eq!(
            says(&[(&scene.other, None)], "").status,
            RevocationStatus::Unknown
        );
        for (word, reason) in [
            ("keyCompromise", RevocationReason::KeyCompromise),
            ("superseded", RevocationReason::Superseded),
            ("certificateHold", RevocationReason::CertificateHold),
            ("unspecified", RevocationReason::Unspecified),
        ] {
            let revoked = says(&[(&scene.leaf, Some(word))], "");
            let at = scene.now - SignedDuration::from_hours(2);
            let at = Timestamp::from_second(at.as_second()).unwrap();
            assert_eq!(revoked.status, RevocationStatus::Revoked { at, reason });
        }
    }
}

#[test]
fn only_the_issuer_and_whom_it_authorised_are_believed() {
    let scene = Scene::new(KeyKind::EcP256);
    scene.index(&[(&scene.leaf, None)]);
    let says = |signer: &str, options: &str| {
        let answer = ask(&scene, signer, options);
        reason_of(question(&scene).answer(&answer, scene.now))
    };
    assert_eq!(says("issuing", ""), "good", "the issuer itself");
    assert_eq!(says("root", ""), "SIGNER_UNAUTHORISED", "the CA above it");
    delegate(&scene, "issuing", FOR_OCSP);
    assert_eq!(says("delegate", ""), "good");
    assert_eq!(says("delegate", "-resp_no_certs"), "SIGNER_UNAUTHORISED");
    let answer = ask(&scene, "delegate", "");
    let later = scene.now + SignedDuration::from_hours(48);
    let ended = question(&scene).answer(&answer, later);
    assert_eq!(
        reason_of(ended),
        "SIGNER_UNAUTHORISED",
        "its certificate ended"
    );
    delegate(&scene, "issuing", "extendedKeyUsage=clientAuth\n");
    assert_eq!(
        says("delegate", ""),
        "SIGNER_UNAUTHORISED",
        "for other work"
    );
    delegate(&scene, "root", FOR_OCSP);
    assert_eq!(says("delegate", ""), "SIGNER_UNAUTHORISED", "by another CA");
    delegate(
        &scene,
        "issuing",
        &format!("{FOR_OCSP}1.2.3.4=critical,DER:0500\n"),
    );
    assert_eq!(says("delegate", ""), "CRITICAL_EXTENSION");
}

#[test]
fn an_answer_counts_for_its_question_and_its_time_only() {
    let scene = Scene::new(KeyKind::EcP256);
    scene.index(&[(&scene.leaf, None), (&scene.other, None)]);
    let answer = ask(&scene, "issuing", "");
    let other = Question::new(&scene.other, &scene.issuing, ASKED).unwrap();
    assert_eq!(
        reason_of(other.answer(&answer, scene.now)),
        "OTHER_CERTIFICATE"
    );
    let another = Question::new(&scene.leaf, &scene.issuing, [8; NONCE_BYTES]).unwrap();
    assert_eq!(
        reason_of(another.answer(&answer, scene.now)),
        "NONCE_DIFFERS"
    );
    let at =
        |hours| question(&scene).answer(&answer, scene.now + SignedDuration::from_hours(hours));
    assert_eq!(reason_of(at(23)), "good");
    assert_eq!(reason_of(at(25)), "OUTDATED");
    assert_eq!(reason_of(at(-1)), "FROM_THE_FUTURE");
    // OCSPResponse without anything but its status.
    for (status, wanted) in [
        (1, "malformedRequest"),
        (3, "tryLater"),
        (6, "unauthorized"),
    ] {
        let declined = question(&scene).answer(&[0x30, 3, 0x0a, 1, status], scene.now);
        assert_eq!(declined, Err(Unproven::Declined(wanted)));
    }
}

#[test]
fn no_changed_byte_changes_what_is_said() {
    let scene = Scene::new(KeyKind::EcP256);
    delegate(&scene, "issuing", FOR_OCSP);
    scene.index(&[(&scene.leaf, Some("superseded"))]);
    let answer = ask(&scene, "delegate", "");
    let question = question(&scene);
    let said = question.answer(&answer, scene.now).unwrap();
    for at in 0..answer.len() {
        let cut = question.answer(&answer[..at], scene.now);
        assert!(cut.is_err(), "cut at {at}");
        let mut changed = answer.clone();
        changed[at] ^= 0x01;
        // Some bytes are not signed: those of certificates that nobody needs.
        if let Ok(changed) = question.answer(&changed, scene.now) {
            assert_eq!(changed, said, "byte {at}");
        }
    }
}
