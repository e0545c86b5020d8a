//! JWS over bodies: serializations, certificate chains, members, and bodies that must never become a JWT.

mod flattened;
mod head;
mod x5c;

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

/// Signs a header of the sender's own making.
fn signed_header(seal: &Seal, header: &Value, payload: &str) -> String {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let input = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload));
    let scheme = sealkeep_profiles::algorithm::SignatureScheme::EcdsaP256Sha256;
    let raw = seal.sign(scheme, input.as_bytes());
    format!("{protected}..{}", URL_SAFE_NO_PAD.encode(raw))
}

#[test]
fn a_member_from_a_setting_is_there_unless_it_is_optional() {
    let obuk = profile("obuk-3.1.4");
    let prepare = |profile: &Profile, settings: &Settings| {
        let prepared = profile.prepare_jws(b"[]", &example_tpp(), settings, vector_time());
        prepared.map(|prepared| header_of(&prepared.outline_jws().unwrap()))
    };
    let all = obuk_settings();
    let named = obuk.prepare_jws(b"[]", &example_tpp(), &all, vector_time());
    assert_eq!(named.unwrap().key_id(), Some("90210ABAD"));
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

    let kid = |more: &str| {
        let member = format!("{{ name = \"kid\", key_id = {{ setting = \"kid\" }}{more} }}");
        let table = table("compact", "", &member);
        custom(&format!("[settings]\nkid = \"the key id\"\n{table}")).unwrap()
    };
    let refused = prepare(&kid(""), &no_settings()).unwrap_err();
    assert_eq!(
        (refused.reason(), &*refused.field()),
        ("SETTING_MISSING", "settings[\"kid\"]")
    );
    assert_eq!(
        prepare(&kid(", optional = true"), &no_settings())
            .unwrap()
            .get("kid"),
        None
    );
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
fn a_header_is_made_up_to_8_kib() {
    const CHARS_MAX: usize = 8192;
    let made = |len: usize| {
        let others = "{\"alg\":\"RS256\",\"x\":\"\"}".len();
        let text = "x".repeat(len - others);
        let profile = jws(
            "compact",
            "",
            &format!("{{ name = \"x\", literal = \"{text}\" }},"),
        );
        profile
            .prepare_jws(b"[]", &example_tpp(), &no_settings(), vector_time())
            .map(|prepared| prepared.outline_jws().unwrap().find('.').unwrap())
    };
    let longest = CHARS_MAX / 4 * 3;
    assert_eq!(made(longest), Ok(CHARS_MAX));
    let refusal = Refusal::ProtectedHeaderTooLong {
        len: CHARS_MAX + 2,
        max: CHARS_MAX,
    };
    assert_eq!(made(longest + 1), Err(refusal));
}

#[test]
fn members_are_numbers_texts_and_key_ids() {
    let (seal, _) = Seal::below_two_cas();
    let member = "{ name = \"version\", literal = 2 }, { name = \"beta\", literal = false }, \
        { name = \"kid\", key_id = \"serial-dec\" }, { name = \"x5u\", key_id = \"cert-url\" }, \
        { name = \"iat\", from = \"issued-at-text\" },";
    let text = table("detached", "iat_age_seconds_max = 30\n", member);
    let profile = custom(&format!("[settings]\ncertificate_url = \"u\"\n{text}")).unwrap();
    assert_eq!(profile.summary().key_id, "serial-dec, x5u");
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

/// Unless the profile says otherwise, clocks agree within 10 seconds.
#[test]
fn a_time_of_signing_lies_at_most_10_seconds_ahead() {
    let member = "{ name = \"iat\", from = \"issued-at\" },";
    let (seal, profile) = (Seal::rsa(), jws("detached", "", member));
    let prepared = profile
        .prepare_jws(b"[]", &seal.certificate, &no_settings(), vector_time())
        .unwrap();
    let signed = seal.finish(prepared);
    let verified_ahead_of = |seconds| {
        let (jws, certificate) = (signed.jws().unwrap(), &seal.certificate);
        let now = vector_time() - jiff::SignedDuration::from_secs(seconds);
        verify::jws(&profile, jws, Some(b"[]"), certificate, &no_settings(), now)
            .map(drop)
            .map_err(|error| error.reason())
    };
    assert_eq!(verified_ahead_of(10), Ok(()));
    assert_eq!(verified_ahead_of(11), Err("STALE"));
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
