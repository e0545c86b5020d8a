//! A JWS in flattened JSON (RFC 7515 §7.2.2).

use super::*;

#[test]
fn flattened_json_is_signed_and_verified() {
    let seal = Seal::rsa();
    let profile = jws("flattened-json", "", "");
    let prepared = profile
        .prepare_jws(
            b"{\"a\":1}",
            &seal.certificate,
            &no_settings(),
            vector_time(),
        )
        .unwrap();
    let text = seal.finish(prepared).jws().unwrap().to_owned();
    let json: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(names, ["payload", "protected", "signature"]);
    assert_eq!(json["payload"], "eyJhIjoxfQ");
    verify(&profile, &text, &seal).unwrap();

    // Another order and white space are the same JWS.
    let spaced = json!({ "signature": json["signature"], "protected": json["protected"], "payload": json["payload"] });
    verify(
        &profile,
        &serde_json::to_string_pretty(&spaced).unwrap(),
        &seal,
    )
    .unwrap();

    let changed = |name: &str, value: Value| {
        let mut json = json.clone();
        json[name] = value;
        verify(&profile, &json.to_string(), &seal).unwrap_err()
    };
    let unexpected = |name: &str| VerifyError::MemberUnexpected { name: name.into() };
    assert_eq!(
        changed("header", json!({ "alg": "none" })),
        unexpected("header")
    );
    assert_eq!(changed("signatures", json!([])), unexpected("signatures"));
    assert_eq!(
        changed("payload", json!("eyJhIjoyfQ")),
        VerifyError::Signature
    );
    assert_eq!(
        changed("payload", json!(1)),
        VerifyError::MemberMismatch {
            name: "payload".into()
        }
    );
    assert_eq!(
        changed("signature", json!("*")),
        VerifyError::ParameterMalformed
    );
    let mut without = json.clone();
    without.as_object_mut().unwrap().shift_remove("signature");
    assert_eq!(
        verify(&profile, &without.to_string(), &seal).unwrap_err(),
        VerifyError::MemberMissing {
            name: "signature".into()
        }
    );
    let doubled = text.replacen('{', "{\"payload\":\"e30\",", 1);
    assert_eq!(
        verify(&profile, &doubled, &seal).unwrap_err().reason(),
        "PARAMETER_REPEATED"
    );
    assert_eq!(
        verify(&profile, "a..b", &seal).unwrap_err(),
        VerifyError::ParameterMalformed
    );
}

/// RFC 7520 §4.1 and §4.2 in flattened JSON, and §4.3, whose key is on P-521.
#[test]
fn the_flattened_figures_of_rfc_7520_verify() {
    let Some(file) = vectors("rfc7520.json") else {
        return;
    };
    let settings: Settings = [("kid", "bilbo.baggins@hobbiton.example")]
        .into_iter()
        .collect();
    let (seal, p521) = (Seal::rsa(), Seal::p521());
    for (figure, scheme, certificate) in [
        (
            "jws/4_1.rsa_v15_signature.json",
            "rsa-pkcs1-sha256",
            &seal.certificate,
        ),
        (
            "jws/4_2.rsa-pss_signature.json",
            "rsa-pss-sha384",
            &seal.certificate,
        ),
        (
            "jws/4_3.ecdsa_signature.json",
            "ecdsa-p521-sha512",
            &p521.certificate,
        ),
    ] {
        let figure = &file["files"][figure];
        let profile = custom(&format!(
            "[settings]\nkid = \"k\"\n[request.jws]\nserialization = \"flattened-json\"\npayload = \"base64url\"\n\
             schemes = [\"{scheme}\"]\nmember = [{ALG} {{ name = \"kid\", setting = \"kid\" }}]\n"
        ))
        .unwrap();
        let given = figure["input"]["payload"].as_str().unwrap().as_bytes();
        let flat = figure["output"]["json_flat"].to_string();
        verify::jws(
            &profile,
            &flat,
            Some(given),
            certificate,
            &settings,
            vector_time(),
        )
        .unwrap();
        let other = verify::jws(
            &profile,
            &flat,
            Some(b"other"),
            certificate,
            &settings,
            vector_time(),
        );
        assert_eq!(other.unwrap_err(), VerifyError::Payload);
    }
}
