//! Profiles against vectors that other implementations verified: byte for byte where signatures are deterministic.

use crate::support::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::verify;
use serde_json::Value;

/// A profile for a case, from the lines that matter.
fn cavage(parameters: &str) -> Profile {
    custom(&format!("[request.cavage]\n{parameters}")).unwrap()
}

/// The shipped profile that each case shows.
fn own_case(id: &str) -> (&'static Profile, Settings) {
    match id {
        "bg-post-errata" | "bg-get-min" => (profile("berlin-group-1.3.4"), no_settings()),
        "bg-post-sha512" => (profile("berlin-group-1.3.4-sha512"), no_settings()),
        "bg-keyid-rfc1779" => (profile("triodos"), no_settings()),
        "cbiglobe-consent" => (profile("cbi-globe"), no_settings()),
        "abanca-trailing-newline" => (profile("abanca"), no_settings()),
        "stet-post" | "stet-get" => (profile("stet-1.4"), stet_settings()),
        "sg-get" => (profile("societe-generale"), stet_settings()),
        other => panic!("no profile for case {other}"),
    }
}

fn case_headers(case: &Value) -> Lines {
    let headers = case["request"]["headers"].as_object().unwrap();
    let sent = headers.iter().filter(|(name, _)| *name != "request-target");
    sent.map(|(name, value)| (name.clone(), value.as_str().unwrap().as_bytes().to_vec()))
        .collect()
}

#[test]
fn every_own_cavage_vector_is_reproduced_and_verifies() {
    let Some(file) = vectors("cavage_profiles_own.json") else {
        return;
    };
    let certificate = example_tpp();
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let (profile, settings) = own_case(id);
        let given = &case["request"];
        let (method, target) = (
            given["method"].as_str().unwrap(),
            given["target"].as_str().unwrap(),
        );
        let body = given["body"].as_str().unwrap().as_bytes();
        let request = request_of(method, target, &case_headers(case), body).unwrap();

        let prepared = profile
            .prepare(&request, &certificate, &settings, vector_time())
            .unwrap();
        let string = std::str::from_utf8(prepared.to_be_signed()).unwrap();
        assert_eq!(string, case["signing_string"].as_str().unwrap(), "{id}");
        let listed: Vec<&str> = case["signed_headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_str().unwrap())
            .collect();
        assert_eq!(prepared.signed_fields(), listed, "{id}");

        let raw = STANDARD
            .decode(case["signature"].as_str().unwrap())
            .unwrap();
        let signed = prepared.assemble(&raw).unwrap();
        let carrier = (
            case["header_name"].as_str().unwrap(),
            case["header_value"].as_str().unwrap(),
        );
        let set: Vec<(&str, &str)> = signed
            .headers()
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert!(set.contains(&carrier), "{id}: {set:?}");

        let sent = sent(&request, &signed);
        let verified =
            verify::http_request(profile, &sent, &certificate, &settings, vector_time()).unwrap();
        assert_eq!(verified.signed_fields, listed, "{id}");
    }
}

#[test]
fn the_strings_of_the_draft_appendix_are_reproduced() {
    let Some(file) = vectors("cavage_appendix_c.json") else {
        return;
    };
    let given = &file["request"];
    for case in file["cases"].as_array().unwrap() {
        let names = &case["headers"];
        let digest = match names.to_string().contains("digest") {
            true => "[request.cavage.digest]\nhash = \"sha256\"\nlabel = \"SHA-256\"\n",
            false => "",
        };
        let profile = cavage(&format!(
            "key_id = \"serial-hex\"\nsigned = {names}\n\
             [[request.cavage.scheme]]\nscheme = \"rsa-pkcs1-sha256\"\nlabel = \"rsa-sha256\"\n{digest}"
        ));
        let mut headers = case_headers(&file);
        headers.retain(|(name, _)| name != "host");
        headers.push(("Host".into(), b"example.com".to_vec()));
        let request = sealkeep_profiles::request::HttpRequest::parse(
            sealkeep_profiles::request::RequestParts {
                method: given["method"].as_str().unwrap(),
                authority: "example.com",
                target: given["target"].as_str().unwrap(),
                headers: &headers,
                body: sealkeep_profiles::request::BodyParts {
                    bytes: Some(given["body"].as_str().unwrap().as_bytes()),
                    digests: &[],
                },
            },
        )
        .unwrap();
        let prepared = profile
            .prepare(&request, &example_tpp(), &no_settings(), vector_time())
            .unwrap();
        let string = std::str::from_utf8(prepared.to_be_signed()).unwrap();
        assert_eq!(
            string,
            case["signing_string"].as_str().unwrap(),
            "{}",
            case["name"]
        );
    }
}

fn jws_case(id: &str) -> &'static Profile {
    profile(match id {
        "obie-3.1.4-plus" => "obuk-3.1.4",
        "obie-3.1-to-3.1.3" => "obuk-3.1.3",
        "revolut" => "revolut",
        "op-finland-prod-RS256" => "op",
        other => panic!("no profile for case {other}"),
    })
}

#[test]
fn every_obie_vector_is_reproduced_and_verifies() {
    let Some(file) = vectors("obie_x_jws_signature.json") else {
        return;
    };
    // The vectors' key is the key of this certificate.
    let certificate = example_tpp();
    for case in file["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let profile = jws_case(id);
        let mut settings = Settings::new();
        settings.insert("kid", "90210ABAD");
        let header: Value = serde_json::from_str(case["protected_json"].as_str().unwrap()).unwrap();
        for member in ["iss", "tan"] {
            if let Some(value) = header[format!("http://openbanking.org.uk/{member}")].as_str() {
                settings.insert(member, value);
            }
        }
        let iat = header["http://openbanking.org.uk/iat"]
            .as_i64()
            .unwrap_or_default();
        let now = Timestamp::from_second(iat + 2).unwrap();
        profile.check_settings(&settings).unwrap();
        let body = case["body"].as_str().unwrap().as_bytes();
        let request = request(
            "POST",
            "/open-banking/v3.1/pisp/domestic-payments",
            &[],
            body,
        );

        let prepared = profile
            .prepare(&request, &certificate, &settings, now)
            .unwrap();
        let input = std::str::from_utf8(prepared.to_be_signed()).unwrap();
        assert_eq!(input, case["signing_input"].as_str().unwrap(), "{id}");
        let jws = case["x_jws_signature"].as_str().unwrap();
        let (_, signature) = jws.rsplit_once('.').unwrap();
        let signed = prepared
            .assemble(&URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        assert_eq!(signed.jws(), Some(jws), "{id}");
        assert_eq!(
            signed.headers(),
            [("x-jws-signature".to_owned(), jws.to_owned())]
        );

        let sent = sent(&request, &signed);
        verify::http_request(profile, &sent, &certificate, &settings, now).unwrap();
        verify::jws(profile, jws, Some(body), &certificate, &settings, now).unwrap();
        let other = verify::jws(profile, jws, Some(b"{}"), &certificate, &settings, now);
        assert_eq!(other.unwrap_err().reason(), "SIGNATURE_INVALID", "{id}");
    }
}

/// RFC 7520 §4.1 and §4.2. (§4.3 is P-521, which no profile has.)
#[test]
fn the_rsa_figures_of_rfc_7520_are_reproduced() {
    let Some(file) = vectors("rfc7520.json") else {
        return;
    };
    // The certificate of the vectors' issuer has the RFC's key.
    let own = vectors("cavage_profiles_own.json").unwrap();
    let pem = own["issuer_certificate_pem"].as_str().unwrap();
    let certificate = Certificate::chain_from_pem(pem.as_bytes())
        .unwrap()
        .remove(0);
    let settings: Settings = [("kid", "bilbo.baggins@hobbiton.example")]
        .into_iter()
        .collect();
    for (figure, scheme) in [
        ("jws/4_1.rsa_v15_signature.json", "rsa-pkcs1-sha256"),
        ("jws/4_2.rsa-pss_signature.json", "rsa-pss-sha384"),
    ] {
        let figure = &file["files"][figure];
        let profile = custom(&format!(
            "[settings]\nkid = \"k\"\n[request.jws]\nserialization = \"compact\"\npayload = \"base64url\"\n\
             schemes = [\"{scheme}\"]\nmember = [\n{{ name = \"alg\", from = \"algorithm\" }},\n\
             {{ name = \"kid\", setting = \"kid\" }},\n]\n"
        ))
        .unwrap();
        let payload = figure["input"]["payload"].as_str().unwrap().as_bytes();
        let now = vector_time();
        let prepared = profile
            .prepare_jws(payload, &certificate, &settings, now)
            .unwrap();
        let input = std::str::from_utf8(prepared.to_be_signed()).unwrap();
        assert_eq!(input, figure["signing"]["sig-input"].as_str().unwrap());
        let raw = URL_SAFE_NO_PAD
            .decode(figure["signing"]["sig"].as_str().unwrap())
            .unwrap();
        let signed = prepared.assemble(&raw).unwrap();
        let compact = figure["output"]["compact"].as_str().unwrap();
        assert_eq!(signed.jws(), Some(compact));
        assert!(signed.headers().is_empty());
        verify::jws(&profile, compact, None, &certificate, &settings, now).unwrap();
    }
}

/// Each key id of profiles that banks compare as text, and each certificate header.
#[test]
fn key_ids_and_certificate_headers_are_spelled_as_banks_compare_them() {
    let certificate = example_tpp();
    let der = STANDARD.encode(certificate.der());
    let url = "https://tpp.example/certs/qseal_fdef1f7990a1a765ddc72cf14fc3d736a8f7605c1b24753a8d49f91efa9c1a42";
    let subject = "CN=ExampleTPPQSealCRSA,2.5.4.97=#0c125053444445";
    for (encoder, expected) in [
        (
            "\"sn-hex-ca-rfc2253\"",
            "SN=a9fa1c3d0e,CA=CN=PSD2 Test Issuing CA 1,O=Test QTSP GmbH,C=DE",
        ),
        (
            "\"sn-hex-ca-rfc2253-pct20\"",
            "SN=a9fa1c3d0e,CA=CN=PSD2%20Test%20Issuing%20CA%201,O=Test%20QTSP%20GmbH,C=DE",
        ),
        (
            "\"sn-hex-ca-rfc1779\"",
            "SN=a9fa1c3d0e,CA=CN=PSD2 Test Issuing CA 1, O=Test QTSP GmbH, C=DE",
        ),
        (
            "\"sn-dec-ca-rfc2253\"",
            "SN=730045627662,CA=CN=PSD2 Test Issuing CA 1,O=Test QTSP GmbH,C=DE",
        ),
        (
            "\"sn-dec-ca-nospace\"",
            "SN=730045627662,CA=CN=PSD2TestIssuingCA1,O=TestQTSPGmbH,C=DE",
        ),
        ("\"sn-dec-subject-nospace\"", subject),
        ("\"sn-hex-only\"", "SN=A9FA1C3D0E"),
        ("\"serial-dec\"", "730045627662"),
        ("\"serial-hex\"", "a9fa1c3d0e"),
        ("\"cert-b64-der\"", der.as_str()),
        ("\"cert-url-sha256\"", url),
        ("\"cert-url\"", url),
        (
            "{ setting = \"client_id\" }",
            "5ca1ab1e-c0ca-c01a-cafe-154deadbea75",
        ),
    ] {
        let mut settings = Settings::new();
        let mut described = String::new();
        if encoder.contains("url") {
            settings = stet_settings();
            described = "[settings]\ncertificate_url = \"u\"\n".into();
        } else if encoder.contains("client_id") {
            settings.insert("client_id", expected);
            described = "[settings]\nclient_id = \"c\"\n".into();
        }
        let profile = custom(&format!(
            "{described}[request.cavage]\nkey_id = {encoder}\nsigned = [\"date\"]\nkey_id_parameter = \"keyid\"\n\
             separator = \", \"\n[[request.cavage.scheme]]\nscheme = \"rsa-pkcs1-sha256\"\n"
        ))
        .unwrap();
        let request = request("GET", "/", &[("date", VECTOR_DATE)], b"");
        let prepared = profile
            .prepare(&request, &certificate, &settings, vector_time())
            .unwrap();
        let (carrier, value) = prepared.outline().pop().unwrap();
        assert_eq!(carrier, "Signature");
        assert!(value.starts_with("keyid=\""), "{value}");
        assert!(
            value.contains("\", headers=\"date\", signature=\""),
            "{value}"
        );
        let start = match encoder {
            "\"sn-dec-subject-nospace\"" => format!("keyid=\"SN=730045627662,CA={expected}"),
            _ => format!("keyid=\"{expected}\", headers"),
        };
        assert!(value.starts_with(&start), "{encoder}: {value}");
    }
    for (encoding, fact) in [
        ("der-base64", "tpp_signature_certificate_b64_der"),
        ("pem-oneline", "tpp_signature_certificate_pem_one_line"),
        ("pem-base64", "tpp_signature_certificate_b64_of_pem"),
    ] {
        let Some(own) = vectors("cavage_profiles_own.json") else {
            return;
        };
        let expected = own["certificate_facts"][fact].as_str().unwrap();
        let profile = cavage(&format!(
            "key_id = \"serial-hex\"\nsigned = [\"date\"]\n[[request.cavage.scheme]]\n\
             scheme = \"rsa-pkcs1-sha256\"\n[request.cavage.certificate]\nheader = \"X-Cert\"\n\
             encoding = \"{encoding}\"\n"
        ));
        let request = request(
            "GET",
            "/",
            &[
                ("date", VECTOR_DATE),
                ("x-cert", expected),
                ("Signature", "x"),
            ],
            b"",
        );
        let found = verify::certificate_of_request(&profile, &request)
            .unwrap()
            .unwrap();
        assert_eq!(found.der(), certificate.der(), "{encoding}");
    }
}
