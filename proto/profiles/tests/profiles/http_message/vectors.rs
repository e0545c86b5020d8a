//! Every vector of RFC 9421: the base byte for byte, the fields as sent, and the signature under the RFC's keys.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::signature::Ed25519KeyPair;
use sealkeep_profiles::algorithm::SignatureScheme;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse, RequestParts};
use sealkeep_profiles::verify;
use serde_json::Value;

use super::try_profile;
use crate::keys::{rsa_spki, tlv};
use crate::support::*;

/// One case of the file, taken apart.
struct Case<'a> {
    label: &'a str,
    input: &'a str,
    base: &'a str,
    signature: Vec<u8>,
    scheme: SignatureScheme,
    certificate: Certificate,
}

impl<'a> Case<'a> {
    fn read(file: &Value, case: &'a Value) -> Self {
        let text = |name: &str| case[name].as_str().unwrap();
        let scheme = SignatureScheme::ALL
            .into_iter()
            .find(|scheme| scheme.http_message_name() == Some(text("alg")))
            .unwrap();
        Self {
            label: text("label"),
            input: text("signature_input"),
            base: text("signature_base"),
            signature: STANDARD.decode(text("signature_b64")).unwrap(),
            scheme,
            certificate: certificate_for(&spki(&file["jwks"][text("keyid")])),
        }
    }

    fn is_response(&self) -> bool {
        self.input.contains("@status")
    }

    /// The value on a line of the printed base.
    fn line(&self, component: &str) -> Option<&'a str> {
        let start = format!("\"{component}\": ");
        self.base.lines().find_map(|line| line.strip_prefix(&start))
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.input.split_once(&format!(";{name}="))?;
        Some(value.split(';').next().unwrap().trim_matches('"'))
    }

    fn seconds(&self, name: &str) -> Option<i64> {
        Some(self.parameter(name)?.parse().unwrap())
    }

    fn created(&self) -> Timestamp {
        Timestamp::from_second(self.seconds("created").unwrap()).unwrap()
    }

    /// The profile that says what the case says: data, no code.
    fn profile(&self) -> Profile {
        let (list, parameters) = self.input[1..].split_once(')').unwrap();
        let names = list.split(' ').filter(|name| !name.is_empty());
        let mut covered: Vec<String> = names
            .map(|name| format!("'{}'", name.replacen('"', "", 2)))
            .collect();
        if covered.is_empty() {
            covered.push("'x-not-sent?'".into());
        }
        let names: Vec<String> = parameters[1..]
            .split(';')
            .map(|parameter| format!("'{}'", parameter.split('=').next().unwrap()))
            .collect();
        let side = if self.is_response() {
            "response"
        } else {
            "request"
        };
        let mut text = format!(
            "[{side}.http_message]\nlabel = '{}'\ncovered = [{}]\nparameters = [{}]\nschemes = ['{}']\n\
             key_id = {{ setting = 'kid' }}\nage_seconds_max = 60\n",
            self.label,
            covered.join(", "),
            names.join(", "),
            self.scheme
        );
        if let Some(tag) = self.parameter("tag") {
            text += &format!("tag = '{tag}'\n");
        }
        if let Some(expires) = self.seconds("expires") {
            let lifetime = expires - self.seconds("created").unwrap();
            text += &format!("lifetime_seconds = {lifetime}\n");
        }
        if self.parameter("nonce").is_some() {
            text += "nonce_from = 'x-nonce'\n";
        }
        if list.contains("\"content-digest\"") {
            text += &format!("[{side}.http_message.digest]\nhash = 'sha512'\n");
        }
        if self.is_response() {
            text += "[request.http_message]\nlabel = 'r'\ncovered = ['@method']\nparameters = ['created']\n\
                     schemes = ['ed25519']\nage_seconds_max = 60\n";
        }
        try_profile(&format!("[settings]\nkid = 'the key id'\n{text}")).unwrap()
    }

    /// The message the RFC signs there.
    fn request(&self, file: &Value) -> HttpRequest {
        if self.label == "transform" {
            let headers = [("Accept", "application/json"), ("Accept", "*/*")];
            return request(
                "GET",
                "/demo?name1=Value1&Name2=value2",
                "example.org",
                &lines(&headers),
                "",
            );
        }
        let given = &file["test_request"];
        let authority = self.line("@authority").unwrap_or("example.com");
        let mut headers = headers(given);
        headers.retain(|(name, _)| name != "Host");
        for name in ["forwarded", "client-cert"] {
            let sent = self
                .line(name)
                .map(|value| (name.to_owned(), value.as_bytes().to_vec()));
            headers.extend(sent);
        }
        let nonce = self.parameter("nonce");
        headers.extend(nonce.map(|nonce| ("x-nonce".into(), nonce.as_bytes().to_vec())));
        let text = |name: &str| given[name].as_str().unwrap();
        request(
            text("method"),
            text("target"),
            authority,
            &headers,
            text("body"),
        )
    }

    fn response(&self, file: &Value) -> HttpResponse {
        let given = &file["test_response"];
        let answer = HttpResponse::parse(
            200,
            &headers(given),
            body(given["body"].as_str().unwrap().as_bytes()),
        );
        if self.line("@status") == Some("200") {
            return answer.unwrap();
        }
        // RFC 9421 section 2.4; its Content-Digest is set by the signature.
        let busy = br#"{"busy": true, "message": "Your call is very important to us"}"#;
        let headers = lines(&[("Content-Type", "application/json")]);
        let response = HttpResponse::parse(503, &headers, body(busy)).unwrap();
        response.answering(self.request(file))
    }
}

fn body(bytes: &[u8]) -> BodyParts<'_> {
    BodyParts {
        bytes: Some(bytes),
        digests: &[],
    }
}

fn headers(message: &Value) -> Lines {
    let pairs = message["headers"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    pairs
        .iter()
        .map(|pair| (text(&pair[0]), text(&pair[1]).into_bytes()))
        .collect()
}

fn request(
    method: &str,
    target: &str,
    authority: &str,
    headers: &Lines,
    text: &str,
) -> HttpRequest {
    HttpRequest::parse(RequestParts {
        method,
        authority,
        target,
        headers,
        body: body(text.as_bytes()),
    })
    .unwrap()
}

fn member(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
}

fn spki(jwk: &Value) -> Vec<u8> {
    let head = |text: &str| hex::decode(text).unwrap();
    match jwk["kty"].as_str().unwrap() {
        "RSA" => rsa_spki(&member(jwk, "n"), &member(jwk, "e")),
        "OKP" => [head("302a300506032b6570032100"), member(jwk, "x")].concat(),
        _ => {
            let point = [vec![0, 4], member(jwk, "x"), member(jwk, "y")].concat();
            let algorithm = head("301306072a8648ce3d020106082a8648ce3d030107");
            tlv(0x30, &[algorithm, tlv(0x03, &point)].concat())
        }
    }
}

/// A certificate over a key whose private half is elsewhere.
fn certificate_for(spki: &[u8]) -> Certificate {
    let key = rcgen::SubjectPublicKeyInfo::from_der(spki).unwrap();
    let params = rcgen::CertificateParams::new(vec![]).unwrap();
    let issuer_key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::new(rcgen::CertificateParams::default(), issuer_key);
    Certificate::from_der(params.signed_by(&key, &issuer).unwrap().der()).unwrap()
}

fn settings(case: &Case<'_>) -> Settings {
    [("kid", case.parameter("keyid").unwrap())]
        .into_iter()
        .collect()
}

#[test]
fn every_vector_of_the_rfc_is_reproduced_and_verifies() {
    let Some(file) = vectors("rfc9421.json") else {
        return;
    };
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let case = Case::read(&file, case);
        let (profile, settings, now) = (case.profile(), settings(&case), case.created());
        let at = format!("{} {}", case.label, case.input);
        // It has a test of its own.
        if case.input.starts_with("()") {
            continue;
        }
        let prepared = match case.is_response() {
            true => {
                profile.prepare_response(&case.response(&file), &case.certificate, &settings, now)
            }
            false => profile.prepare(&case.request(&file), &case.certificate, &settings, now),
        };
        let prepared = prepared.unwrap();
        let base = std::str::from_utf8(prepared.to_be_signed()).unwrap();
        assert_eq!(base, case.base, "{at}");
        assert_eq!(prepared.scheme(), case.scheme);

        let signed = prepared.assemble(&case.signature).unwrap();
        let set = signed.headers().iter().rev().take(2).rev();
        let set: Vec<(&str, &str)> = set.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let input = format!("{}={}", case.label, case.input);
        let signature = format!("{}=:{}:", case.label, STANDARD.encode(&case.signature));
        assert_eq!(
            set,
            [("Signature-Input", &*input), ("Signature", &*signature)],
            "{at}"
        );

        let verified = match case.is_response() {
            true => {
                let arrived =
                    answered(&case.response(&file), &signed).answering(case.request(&file));
                verify::http_response(&profile, &arrived, &case.certificate, &settings, now)
            }
            false => {
                let arrived = arrived(&case, &file, signed.headers());
                verify::http_request(&profile, &arrived, &case.certificate, &settings, now)
            }
        };
        let verified = verified.unwrap();
        assert_eq!(verified.issued_at, Some(now), "{at}");
        assert_eq!(verified.scheme, case.scheme);
    }
}

/// The request with the fields of a signature, at the authority of the case.
fn arrived(case: &Case<'_>, file: &Value, set: &[(String, String)]) -> HttpRequest {
    let sent = case.request(file);
    let is_set = |name: &str| set.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let kept = sent
        .headers()
        .iter()
        .filter(|header| !is_set(header.name()));
    let kept = kept.map(|header| (header.name().to_owned(), header.value().as_bytes().to_vec()));
    let set = set.iter().map(|(n, v)| (n.clone(), v.clone().into_bytes()));
    let headers: Lines = kept.chain(set).collect();
    let text = String::from_utf8(sent.body().bytes().unwrap().to_vec()).unwrap();
    let method = sent.method().as_str();
    request(method, sent.target(), sent.authority(), &headers, &text)
}

#[test]
fn a_signature_over_nothing_verifies_and_is_not_made() {
    let Some(file) = vectors("rfc9421.json") else {
        return;
    };
    let cases = file["cases"].as_array().unwrap().iter();
    let case = cases
        .map(|case| Case::read(&file, case))
        .find(|case| case.input.starts_with("()"))
        .unwrap();
    let (profile, settings, now) = (case.profile(), settings(&case), case.created());
    let refused = profile.prepare(&case.request(&file), &case.certificate, &settings, now);
    assert_eq!(refused.unwrap_err().reason(), "NOTHING_TO_SIGN");

    let signature = format!("{}=:{}:", case.label, STANDARD.encode(&case.signature));
    let set = [
        (
            "Signature-Input".to_owned(),
            format!("{}={}", case.label, case.input),
        ),
        ("Signature".to_owned(), signature),
    ];
    let arrived = arrived(&case, &file, &set);
    let verified =
        verify::http_request(&profile, &arrived, &case.certificate, &settings, now).unwrap();
    assert!(verified.signed_fields.is_empty());
}

/// (PKCS#1 v1.5 has one signature a message: that the RFC's verifies says that ours would be the same.)
#[test]
fn ed25519_signatures_come_out_the_same() {
    let Some(file) = vectors("rfc9421.json") else {
        return;
    };
    let mut made = 0;
    for case in file["cases"].as_array().unwrap() {
        let jwk = &file["jwks"][case["keyid"].as_str().unwrap()];
        let case = Case::read(&file, case);
        if case.scheme == SignatureScheme::Ed25519 {
            let pair = Ed25519KeyPair::from_seed_unchecked(&member(jwk, "d")).unwrap();
            let signature = pair.sign(case.base.as_bytes());
            assert_eq!(signature.as_ref(), case.signature, "{}", case.label);
            made += 1;
        }
    }
    assert_eq!(made, 2);
}

/// The request that eBay's own verifier gives as its sample, under the shipped profile.
#[test]
fn what_ebay_publishes_comes_out_the_same() {
    let Some(file) = vectors("ebay_rfc9421.json") else {
        return;
    };
    let text = |name: &str| file[name].as_str().unwrap();
    let certificate = certificate_for(&STANDARD.decode(text("public_key_spki_b64")).unwrap());
    let asked = request(
        text("method"),
        text("target"),
        text("authority"),
        &headers(&file),
        text("body"),
    );
    let settings = [("signature_key", text("x_ebay_signature_key"))];
    let now = Timestamp::from_second(file["created"].as_i64().unwrap()).unwrap();
    let prepared =
        profile("ebay").prepare(&asked, &certificate, &settings.into_iter().collect(), now);
    let signature = text("signature").strip_prefix("sig1=:").unwrap();
    let signature = STANDARD.decode(signature.trim_end_matches(':')).unwrap();
    let signed = prepared.unwrap().assemble(&signature).unwrap();
    let mut set = signed.headers().to_vec();
    set.iter_mut()
        .for_each(|(name, _)| name.make_ascii_lowercase());
    set.sort_unstable();
    let published = [
        "content_digest",
        "signature",
        "signature_input",
        "x_ebay_signature_key",
    ];
    let published = published.map(|name| (name.replace('_', "-"), text(name).to_owned()));
    assert_eq!(set, published);
}
