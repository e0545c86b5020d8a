//! What names a key stands between quotation marks in one header line: nothing in it may end the mark or the line.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::{Profile, Settings};
use sealkeep_profiles::refusal::Refusal;

use crate::support::*;

const ENCODERS: [&str; 11] = [
    "\"sn-hex-ca-rfc2253\"",
    "\"sn-hex-ca-rfc2253-pct20\"",
    "\"sn-hex-ca-rfc1779\"",
    "\"sn-dec-ca-rfc2253\"",
    "\"sn-dec-ca-nospace\"",
    "\"sn-dec-subject-nospace\"",
    "\"sn-hex-only\"",
    "\"serial-dec\"",
    "\"serial-hex\"",
    "\"cert-b64-der\"",
    "{ setting = \"kid\" }",
];

/// A certificate whose subject and issuer say this.
fn named(organization: &str) -> Certificate {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organization);
    Certificate::from_der(params.self_signed(&pair).unwrap().der()).unwrap()
}

fn naming_by(encoder: &str) -> Profile {
    let settings = match encoder.contains("setting") {
        true => "[settings]\nkid = \"the key id\"\n",
        false => "",
    };
    custom(&format!(
        "{settings}[request.cavage]\nkey_id = {encoder}\nsigned = [\"date\"]\n\
         [[request.cavage.scheme]]\nscheme = \"ecdsa-p256-sha256\"\necdsa = \"der\"\n"
    ))
    .unwrap()
}

/// The `Signature` header as it would be set.
fn header(encoder: &str, certificate: &Certificate, kid: &str) -> Result<String, Refusal> {
    let settings: Settings = [("kid", kid)].into_iter().collect();
    let request = request("GET", "/", &[("date", VECTOR_DATE)], b"");
    let prepared = naming_by(encoder).prepare(&request, certificate, &settings, vector_time())?;
    Ok(prepared.outline().pop().unwrap().1)
}

#[test]
fn control_characters_of_a_certificate_never_reach_the_header() {
    for organization in [
        "a\r\nX-Injected: b",
        "a\0b",
        "a\u{1b}[31m",
        "a\u{7f}",
        "a\u{85}b",
    ] {
        let certificate = named(organization);
        for encoder in ENCODERS {
            let header = header(encoder, &certificate, "registered").unwrap();
            let printable = |byte: u8| (0x20..=0x7e).contains(&byte);
            assert!(header.bytes().all(printable), "{encoder}: {header:?}");
            assert_eq!(header.matches('"').count(), 6, "{encoder}: {header}");
        }
    }
}

#[test]
fn refuses_a_key_id_that_would_end_its_quotation_mark() {
    // RFC 1779 quotes a name with a comma in it, RFC 2253 escapes the comma.
    let certificate = named("Bank, Trust & Co");
    let refused = header("\"sn-hex-ca-rfc1779\"", &certificate, "x").unwrap_err();
    assert_eq!(
        (refused.reason(), &*refused.field()),
        ("KEY_ID_INVALID", "credential")
    );
    assert!(header("\"sn-hex-ca-rfc2253\"", &certificate, "x").is_ok());
}

#[test]
fn refuses_a_registered_key_id_that_is_not_printable() {
    let certificate = named("TPP");
    let setting = "{ setting = \"kid\" }";
    for kid in [
        "a\r\nb", "a\nb", "a\0", "a\tb", "a\u{7f}", "\u{e9}", "a\"b", "",
    ] {
        let refused = header(setting, &certificate, kid).unwrap_err();
        assert_eq!(refused.reason(), "SETTING_INVALID", "{kid:?}");
        assert_eq!(refused.field(), "settings[\"kid\"]");
    }
    assert!(header(setting, &certificate, "SN=1, CA=x").is_ok());
}
