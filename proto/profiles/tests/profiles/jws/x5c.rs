//! Certificates in `x5c`: as many as the profile says, from the leaf on.

use super::*;

#[test]
fn x5c_is_as_deep_as_the_profile_says() {
    let (seal, issuers) = Seal::below_two_cas();
    let request = request("POST", "/", &[], b"{}");
    for (from, expected) in [("x5c-leaf", 1), ("x5c-without-root", 2), ("x5c-chain", 3)] {
        let profile = x5c(from);
        let chain = Chain::new(&seal.certificate, &issuers);
        let prepared = profile
            .prepare(&request, chain, &no_settings(), vector_time())
            .unwrap();
        let signed = seal.finish(prepared);
        let entries = header_of(signed.jws().unwrap())["x5c"]
            .as_array()
            .unwrap()
            .clone();
        let ders: Vec<Vec<u8>> = entries
            .iter()
            .map(|e| STANDARD.decode(e.as_str().unwrap()).unwrap())
            .collect();
        let sent_ders: Vec<&[u8]> = chain.all().take(expected).map(|c| c.der()).collect();
        assert_eq!(ders, sent_ders, "{from}");
        let arrived = sent(&request, &signed);
        let carried = verify::certificate_of_request(&profile, &arrived)
            .unwrap()
            .unwrap();
        assert_eq!(carried, seal.certificate);
        verify::http_request(&profile, &arrived, &carried, &no_settings(), vector_time()).unwrap();
    }
}

#[test]
fn refuses_to_send_a_chain_that_is_not_known() {
    let (seal, _) = Seal::below_two_cas();
    for from in ["x5c-without-root", "x5c-chain"] {
        let refused = x5c(from)
            .prepare_jws(b"{}", &seal.certificate, &no_settings(), vector_time())
            .unwrap_err();
        assert_eq!(refused, Refusal::CertificateChainMissing);
        assert_eq!(
            (refused.field().as_str(), refused.guilty()),
            ("credential", Guilty::Credential)
        );
    }
}

#[test]
fn refuses_a_protected_header_that_no_bank_would_take() {
    let (seal, issuers) = Seal::below_two_cas();
    let many = vec![issuers[1].clone(); 20];
    let refused = x5c("x5c-chain")
        .prepare_jws(
            b"{}",
            Chain::new(&seal.certificate, &many),
            &no_settings(),
            vector_time(),
        )
        .unwrap_err();
    assert_eq!(refused.reason(), "PROTECTED_HEADER_TOO_LONG");
}

#[test]
fn names_x5c_that_is_no_chain_from_the_leaf() {
    let (seal, issuers) = Seal::below_two_cas();
    let entry = |certificate: &sealkeep_profiles::certificate::Certificate| {
        json!(STANDARD.encode(certificate.der()))
    };
    let [leaf, issuing, root] = [&seal.certificate, &issuers[0], &issuers[1]].map(entry);
    let check = |from: &str, x5c_value: Value| {
        let jws = signed_header(&seal, &json!({ "alg": "ES256", "x5c": x5c_value }), "{}");
        let now = vector_time();
        verify::jws(
            &x5c(from),
            &jws,
            Some(b"{}"),
            &seal.certificate,
            &no_settings(),
            now,
        )
    };
    check("x5c-chain", json!([leaf, issuing, root])).unwrap();
    check("x5c-chain", json!([leaf])).unwrap();
    let mismatch = VerifyError::MemberMismatch { name: "x5c".into() };
    for (from, value) in [
        ("x5c-leaf", json!([leaf, issuing])),
        ("x5c-chain", json!([leaf, root])),
        ("x5c-chain", json!([issuing, leaf])),
        ("x5c-chain", json!([])),
        ("x5c-chain", json!(leaf)),
        (
            "x5c-chain",
            json!([leaf, issuing, root, root, root, root, root, root, root]),
        ),
    ] {
        assert_eq!(check(from, value).unwrap_err(), mismatch, "{from}");
    }
    assert_eq!(
        check("x5c-chain", json!([leaf, "AAAA"])).unwrap_err(),
        VerifyError::CertificateMalformed
    );
}
