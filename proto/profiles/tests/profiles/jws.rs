//! JWS over bodies: serializations, certificate chains, members, and bodies that must never become a JWT.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealkeep_profiles::certificate::Chain;
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::refusal::{Guilty, Refusal};
use sealkeep_profiles::verify::{self, VerifyError};
use serde_json::{Value, json};

use crate::support::*;

const ALG: &str = "{ name = \"alg\", from = \"algorithm\" },";

/// A profile of payloads, or of messages when `more` names a carrier.
fn jws(serialization: &str, more: &str, member: &str) -> Profile {
    custom(&table(serialization, more, member)).unwrap()
}

fn table(serialization: &str, more: &str, member: &str) -> String {
    format!(
        "[request.jws]\nserialization = \"{serialization}\"\npayload = \"base64url\"\n\
         schemes = [\"rsa-pkcs1-sha256\", \"ecdsa-p256-sha256\"]\n{more}member = [{ALG}{member}]\n"
    )
}

fn verify(profile: &Profile, jws: &str, seal: &Seal) -> Result<verify::Verified, VerifyError> {
    verify::jws(
        profile,
        jws,
        None,
        &seal.certificate,
        &no_settings(),
        vector_time(),
    )
}

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

fn x5c(from: &str) -> Profile {
    jws(
        "detached",
        "carrier = \"x-jws-signature\"\n",
        &format!("{{ name = \"x5c\", from = \"{from}\" }},"),
    )
}

fn header_of(jws: &str) -> Value {
    let protected = jws.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(protected).unwrap()).unwrap()
}

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

/// Signs a header of the sender's own making.
fn signed_header(seal: &Seal, header: &Value, payload: &str) -> String {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let input = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload));
    let scheme = sealkeep_profiles::algorithm::SignatureScheme::EcdsaP256Sha256;
    let raw = seal.sign(scheme, input.as_bytes());
    format!("{protected}..{}", URL_SAFE_NO_PAD.encode(raw))
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

#[test]
fn a_member_from_a_setting_is_there_unless_it_is_optional() {
    let obuk = profile("obuk-3.1.4");
    let prepare = |profile: &Profile, settings: &Settings| {
        let prepared = profile.prepare_jws(b"[]", &example_tpp(), settings, vector_time());
        prepared.map(|prepared| header_of(&prepared.outline_jws().unwrap()))
    };
    let all = obuk_settings();
    for unset in ["kid", "iss", "tan"] {
        let others: Settings = all.iter().filter(|(name, _)| *name != unset).collect();
        let refused = prepare(obuk, &others).unwrap_err();
        assert_eq!(refused.reason(), "SETTING_MISSING");
        assert_eq!(refused.field(), format!("settings[\"{unset}\"]"));
    }
    let optional = profile("santander-uk");
    let others: Settings = all.iter().filter(|(name, _)| *name != "kid").collect();
    assert_eq!(prepare(optional, &others).unwrap().get("kid"), None);
    assert_eq!(prepare(optional, &all).unwrap()["kid"], "90210ABAD");
}

/// What is too long is told from what is merely another header: that one is read, and a member of it is not the profile's.
#[test]
fn a_header_is_read_up_to_8_kib_and_32_members() {
    let seal = Seal::p256();
    let reason = |header: &Value| {
        let jws = signed_header(&seal, header, "{}");
        verify(&x5c("x5c-leaf"), &jws, &seal).unwrap_err().reason()
    };
    let filled = |chars: usize| {
        let header = |len: usize| json!({ "alg": "ES256", "x": "x".repeat(len) });
        let header = header(chars * 3 / 4 - header(0).to_string().len());
        assert_eq!(URL_SAFE_NO_PAD.encode(header.to_string()).len(), chars);
        header
    };
    assert_eq!(reason(&filled(8192)), "MEMBER_MISSING");
    assert_eq!(reason(&filled(8194)), "PARAMETER_MALFORMED");
    let members = |count: usize| {
        let others = (1..count).map(|n| (format!("x{n}"), json!(n)));
        let all = std::iter::once(("alg".to_owned(), json!("ES256"))).chain(others);
        Value::Object(all.collect())
    };
    assert_eq!(reason(&members(32)), "MEMBER_MISSING");
    assert_eq!(reason(&members(33)), "PARAMETER_MALFORMED");
}

#[test]
fn members_are_numbers_texts_and_key_ids() {
    let (seal, _) = Seal::below_two_cas();
    let member = "{ name = \"version\", literal = 2 }, { name = \"beta\", literal = false }, \
        { name = \"kid\", key_id = \"serial-dec\" }, { name = \"x5u\", key_id = \"cert-url\" }, \
        { name = \"iat\", from = \"issued-at-text\" },";
    let text = table("detached", "iat_age_seconds_max = 30\n", member);
    let profile = custom(&format!("[settings]\ncertificate_url = \"u\"\n{text}")).unwrap();
    let settings = stet_settings();
    let now = vector_time();
    let prepared = profile
        .prepare_jws(b"{}", &seal.certificate, &settings, now)
        .unwrap();
    let jws = seal.finish(prepared).jws().unwrap().to_owned();
    let header = header_of(&jws);
    let names: Vec<&String> = header.as_object().unwrap().keys().collect();
    assert_eq!(names, ["alg", "version", "beta", "kid", "x5u", "iat"]);
    assert_eq!(
        (&header["version"], &header["beta"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(header["iat"], json!("1537264261"));
    let verify = |jws: &str| {
        verify::jws(
            &profile,
            jws,
            Some(b"{}"),
            &seal.certificate,
            &settings,
            now,
        )
    };
    assert_eq!(verify(&jws).unwrap().issued_at, Some(now));
    for (name, value) in [
        ("version", json!("2")),
        ("beta", json!(true)),
        ("kid", json!("1")),
        ("x5u", json!("https://tpp.example/other")),
        ("iat", json!(1_537_264_261)),
    ] {
        let mut other = header.clone();
        other[name] = value;
        let error = verify(&signed_header(&seal, &other, "{}")).unwrap_err();
        assert_eq!(error, VerifyError::MemberMismatch { name: name.into() });
    }
    let mut old = header.clone();
    old["iat"] = json!("1537264230");
    let error = verify(&signed_header(&seal, &old, "{}")).unwrap_err();
    assert_eq!(
        error,
        VerifyError::Stale {
            name: "iat".into(),
            skew_seconds_max: 30
        }
    );
}

#[test]
fn the_certificate_travels_in_its_own_header_and_is_compared() {
    let seal = Seal::rsa();
    let profile = profile("nbg-gr");
    let headers = [("X-Request-ID", REQUEST_ID)];
    let request = request("POST", "/v1/payments/x", &headers, b"{}");
    let prepared = profile
        .prepare(&request, &seal.certificate, &no_settings(), vector_time())
        .unwrap();
    let signed = seal.finish(prepared);
    let arrived = sent(&request, &signed);
    let carried = verify::certificate_of_request(profile, &arrived)
        .unwrap()
        .unwrap();
    assert_eq!(carried, seal.certificate);
    verify::http_request(profile, &arrived, &carried, &no_settings(), vector_time()).unwrap();

    let reason = |change: &dyn Fn(&mut Lines)| {
        let arrived = sent_with(&request, &signed, |headers| change(headers));
        let verified = verify::http_request(
            profile,
            &arrived,
            &seal.certificate,
            &no_settings(),
            vector_time(),
        );
        verified.unwrap_err().reason()
    };
    let other = STANDARD.encode(example_tpp().der());
    let name = "tpp-signature-certificate";
    assert_eq!(
        reason(&|h| replace(h, name, |_| other.clone())),
        "CERTIFICATE_MISMATCH"
    );
    assert_eq!(
        reason(&|h| replace(h, name, |_| "AAAA".into())),
        "CERTIFICATE_MALFORMED"
    );
    assert_eq!(
        reason(&|h| h.retain(|(n, _)| !n.eq_ignore_ascii_case(name))),
        "CERTIFICATE_MISSING"
    );
}

/// Claims that would be a client assertion, a request object, a DPoP proof, a registration.
const CLAIMS: [&str; 4] = [
    r#"{"iss":"c","sub":"c","aud":"https://as.example","exp":1768464300,"jti":"1"}"#,
    r#"{"client_id":"c","response_type":"code","redirect_uri":"https://evil.example"}"#,
    r#"{"jti":"1","htm":"POST","htu":"https://rs.example/","iat":1768464000}"#,
    r#"{"software_statement":"eyJ","redirect_uris":[]}"#,
];

#[test]
fn no_shipped_profile_signs_a_body_that_is_a_jwt_elsewhere() {
    let (seal, issuers) = Seal::below_two_cas();
    let rsa = Seal::rsa();
    let mut refused_count = 0;
    for profile in sealkeep_profiles::profile::Catalog::embedded().iter() {
        let names = profile.required_settings().iter();
        let settings: Settings = names.map(|name| (name.as_str(), "x")).collect();
        for claims in CLAIMS {
            let encoded = URL_SAFE_NO_PAD.encode(claims);
            for body in [claims, &encoded] {
                for chain in [
                    Chain::new(&seal.certificate, &issuers),
                    (&rsa.certificate).into(),
                ] {
                    match profile.prepare_jws(body.as_bytes(), chain, &settings, vector_time()) {
                        Ok(prepared) => {
                            let input =
                                String::from_utf8_lossy(prepared.to_be_signed()).into_owned();
                            let (_, payload) = input.split_once('.').unwrap();
                            let as_jwt = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
                            assert_ne!(as_jwt, claims.as_bytes(), "{}", profile.name());
                        }
                        Err(refusal) => {
                            refused_count += usize::from(refusal == Refusal::ClaimsInBody)
                        }
                    }
                }
            }
        }
    }
    assert!(refused_count > 0);
    let refusal = Refusal::ClaimsInBody;
    assert_eq!(
        (refusal.reason(), refusal.field()),
        ("CLAIMS_IN_BODY", "body".to_owned())
    );
}

#[test]
fn refuses_members_and_tables_that_make_no_sense() {
    let refuses = |text: &str, expected: &str| {
        let error = custom(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    for typ in ["JWT", "jwt", "dpop+jwt", "application/oauth-authz-req+jwt"] {
        for name in ["typ", "cty"] {
            let member = format!("{{ name = \"{name}\", literal = \"{typ}\" }},");
            refuses(&table("detached", "", &member), "does not say JWT");
        }
    }
    let setting = format!(
        "[settings]\nt = \"t\"\n{}",
        table("detached", "", "{ name = \"typ\", setting = \"t\" },")
    );
    refuses(&setting, "does not say JWT");
    refuses(
        &table("flattened-json", "carrier = \"x-jws-signature\"\n", ""),
        "a header carries a compact or detached JWS",
    );
    let raw = table("flattened-json", "", "").replace("base64url", "raw");
    refuses(&raw, "a raw payload travels detached");
    refuses(
        &table("detached", "iat_age_seconds_max = 60\n", ""),
        "no member says when was signed",
    );
    let certificate =
        "[request.jws.certificate]\nheader = \"X-Certificate\"\nencoding = \"der-base64\"\n";
    refuses(
        &format!("{}{certificate}", table("detached", "", "")),
        "belongs to a carrier",
    );
}

/// TrueLayer: the request line and named headers before the body.
fn headed(change: impl FnOnce(&mut Lines)) -> Result<verify::Verified, VerifyError> {
    let seal = Seal::p521();
    let settings: Settings = [("kid", "1")].into_iter().collect();
    let (profile, now) = (profile("truelayer"), vector_time());
    let request = request(
        "POST",
        "/v3/payments/?x=1",
        &[("Idempotency-Key", "k-1")],
        b"{}",
    );
    let prepared = profile
        .prepare(&request, &seal.certificate, &settings, now)
        .unwrap();
    let arrived = sent_with(&request, &seal.finish(prepared), change);
    verify::http_request(profile, &arrived, &seal.certificate, &settings, now)
}

#[test]
fn a_head_covers_method_path_and_headers() {
    let verified = headed(|_| {}).unwrap();
    let fields = ["jws.protected", "method", "path", "idempotency-key", "body"];
    assert_eq!(verified.signed_fields, fields);
    // HTTP/2 sends names in lower case; the member says how they were spelled when signed.
    headed(|headers| headers[0].0 = "idempotency-key".into()).unwrap();
    let changed = headed(|headers| replace(headers, "idempotency-key", |_| "k-2".into()));
    assert_eq!(changed.unwrap_err(), VerifyError::Signature);
    let without = headed(|headers| headers.retain(|(name, _)| name != "Idempotency-Key"));
    assert_eq!(without.unwrap_err().reason(), "HEADER_MISSING");
}

#[test]
fn a_head_that_lists_other_headers_is_refused() {
    let seal = Seal::p521();
    let scheme = sealkeep_profiles::algorithm::SignatureScheme::EcdsaP521Sha512;
    let listed = |names: &str| {
        let header = json!({ "alg": "ES512", "kid": "1", "tl_version": "2", "tl_headers": names });
        let protected = URL_SAFE_NO_PAD.encode(header.to_string());
        let payload = URL_SAFE_NO_PAD.encode("POST /v3/payments\n{}");
        let raw = seal.sign(scheme, format!("{protected}.{payload}").as_bytes());
        let jws = format!("{protected}..{}", URL_SAFE_NO_PAD.encode(raw));
        headed(|headers| replace(headers, "tl-signature", |_| jws)).unwrap_err()
    };
    for names in ["", "X-Other"] {
        assert!(
            matches!(listed(names), VerifyError::FieldNotSigned { name } if name.eq_ignore_ascii_case("idempotency-key"))
        );
    }
    assert_eq!(
        listed("Idempotency-Key,X-Other"),
        VerifyError::FieldUnexpected {
            name: "X-Other".into()
        }
    );
}

#[test]
fn a_head_is_signed_without_a_body_and_never_without_a_request() {
    let seal = Seal::p521();
    let settings: Settings = [("kid", "1")].into_iter().collect();
    let (profile, now) = (profile("truelayer"), vector_time());
    let request = request(
        "POST",
        "/v3/payments/1/cancel",
        &[("Idempotency-Key", "k-1")],
        b"",
    );
    let prepared = profile
        .prepare(&request, &seal.certificate, &settings, now)
        .unwrap();
    let input = String::from_utf8(prepared.to_be_signed().to_vec()).unwrap();
    let (_, payload) = input.split_once('.').unwrap();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    assert_eq!(
        payload,
        b"POST /v3/payments/1/cancel\nIdempotency-Key: k-1\n"
    );

    let refused = profile.prepare_jws(b"{}", &seal.certificate, &settings, now);
    assert_eq!(refused.unwrap_err().reason(), "FORMAT_NOT_ALLOWED");
    let refused = verify::jws(
        profile,
        "a..b",
        Some(b"{}"),
        &seal.certificate,
        &settings,
        now,
    );
    assert_eq!(refused.unwrap_err().reason(), "FORMAT_NOT_ALLOWED");
}

#[test]
fn refuses_heads_that_make_no_sense() {
    let names = "{ name = \"tl_headers\", from = \"head-names\" },";
    let head = "[request.jws.head]\nsigned = [\"idempotency-key\"]\n";
    let carrier = "carrier = \"Tl-Signature\"\n";
    let refuses = |text: &str, expected: &str| {
        let error = custom(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let whole = format!("{}{head}", table("detached", carrier, names));
    custom(&whole).unwrap();
    refuses(&table("detached", carrier, names), "belongs to a member");
    refuses(
        &format!("{}{head}", table("detached", carrier, "")),
        "belongs to a member",
    );
    refuses(
        &format!("{}{head}", table("detached", "", names)),
        "belongs to a carrier",
    );
    refuses(
        &whole.replace("idempotency-key", "(request-target)"),
        "list headers",
    );
    refuses(
        &whole.replace("\"idempotency-key\"", ""),
        "head.signed: list what is signed",
    );
    let response = whole.replace("[request.jws", "[response.jws");
    refuses(
        &format!("{}{response}", table("detached", "", "")),
        "a response has no request line",
    );
}
