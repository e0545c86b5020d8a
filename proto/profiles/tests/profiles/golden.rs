//! Each shipped profile against its vectors. A new vector is a `[[case]]` with a request in `vectors/<profile>.toml`; run
//! with `SEALKEEP_GOLDEN=write` and what the profile makes of it is written behind, to be read before it is committed.
//! OpenSSL signs when vectors are written, so a second implementation stands behind each signature.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealkeep_profiles::algorithm::{SignatureScheme, ecdsa_der_to_raw};
use sealkeep_profiles::profile::{Catalog, Profile, Source, Vector, VectorError, Vectors};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Value};

use crate::support::*;

#[test]
fn every_shipped_profile_makes_its_vectors() {
    for shipped in Catalog::shipped() {
        let profile = Profile::from_source(shipped.profile).unwrap();
        if golden_is_rewritten() {
            write_vectors(&profile, shipped.vectors.file);
            continue;
        }
        let vectors = Vectors::from_source(shipped.vectors).unwrap();
        assert!(!vectors.cases().is_empty(), "{}", profile.name());
        for case in vectors.cases() {
            if let Err(error) = case.check(&profile) {
                let (profile, case) = (profile.name(), case.name());
                panic!(
                    "{profile}, {case}: {error}\nIf the profile is right, run with {GOLDEN}=write"
                );
            }
        }
    }
}

/// Brings the vectors that differ up to date in the file, comments kept.
fn write_vectors(profile: &Profile, file: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let vectors = Vectors::from_source(Source { file, text: &text }).unwrap();
    let mut document: DocumentMut = text.parse().unwrap();
    let tables = document["case"].as_array_of_tables_mut().unwrap();
    for (index, case) in vectors.cases().iter().enumerate() {
        if case.check(profile).is_err() {
            write_case(tables, index, profile, case);
        }
    }
    std::fs::write(path, document.to_string()).unwrap();
}

fn write_case(tables: &mut ArrayOfTables, index: usize, profile: &Profile, case: &Vector) {
    let table = tables.get_mut(index).unwrap();
    let prepared = case
        .prepare(profile)
        .unwrap_or_else(|error| panic!("{}, {}: {error}", profile.name(), case.name()));
    let string = String::from_utf8(prepared.to_be_signed().to_vec()).unwrap();
    table["string_to_sign"] = many_lines(string.split('\n').map(Value::from)).into();
    let set = prepared.outline().into_iter();
    let set = set.map(|(name, value)| Value::from(Array::from_iter([name, value])));
    table["set"] = many_lines(set).into();
    let signature = openssl_sign(prepared.scheme(), prepared.to_be_signed());
    table["signature"] = toml_edit::value(STANDARD.encode(signature));
}

/// Signs with the example TPP's key, or where the scheme wants P-521 with that of RFC 7520.
fn openssl_sign(scheme: SignatureScheme, message: &[u8]) -> Vec<u8> {
    let pss = [
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:digest",
    ];
    let (key, padding): (_, &[&str]) = match scheme.name().split('-').nth(1) {
        Some("pkcs1") => ("rfc9421-test-key-rsa.pem", &[]),
        Some("pss") => ("rfc9421-test-key-rsa.pem", &pss),
        Some("p521") => ("rfc7520-test-key-p521.pem", &[]),
        _ => panic!("{scheme}: no vector has such a key"),
    };
    let key = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(key);
    let mut openssl = Command::new("openssl")
        .args(["dgst", &format!("-{}", scheme.hash()), "-sign"])
        .arg(key)
        .args(padding)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl writes the signatures of vectors");
    openssl.stdin.take().unwrap().write_all(message).unwrap();
    let output = openssl.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl: {}", output.status);
    match scheme.ecdsa_half_len() {
        Some(half_len) => ecdsa_der_to_raw(&output.stdout, half_len).unwrap(),
        None => output.stdout,
    }
}

fn many_lines(values: impl Iterator<Item = Value>) -> Value {
    let mut array = Array::new();
    for value in values {
        array.push_formatted(value.decorated("\n    ", ""));
    }
    array.set_trailing("\n");
    array.set_trailing_comma(true);
    array.into()
}

/// One line of a vector changed: the first difference is told.
fn difference(from: &str, to: &str) -> VectorError {
    let source = Vectors::shipped_source("berlin-group-1.3.4").unwrap();
    assert!(source.text.contains(from), "{from}");
    let text = source.text.replacen(from, to, 1);
    let vectors = Vectors::from_source(Source {
        text: &text,
        ..source
    })
    .unwrap();
    let profile = profile("berlin-group-1.3.4");
    vectors.cases()[0].check(profile).unwrap_err()
}

#[test]
fn a_vector_tells_the_line_header_or_signature_that_differs() {
    let error = difference("\"psu-id: PSU-1234\"", "\"psu-id: other\"");
    assert_eq!(
        error.to_string(),
        "line 3 of the string to sign is \"psu-id: PSU-1234\", not \"psu-id: other\""
    );
    let error = difference("    \"psu-id: PSU-1234\",\n", "");
    assert!(
        matches!(error, VectorError::StringToSign { line: 3, .. }),
        "{error}"
    );
    let error = difference("algorithm=\"rsa-sha256\"", "algorithm=\"rsa\"");
    assert!(
        matches!(error, VectorError::Header { position: 3, .. }),
        "{error}"
    );
    let error = difference("signature = \"", "signature = \"AAAA");
    assert!(matches!(error, VectorError::Signature(_)), "{error}");
    let error = difference("X-Request-ID", "X-Other");
    assert!(matches!(error, VectorError::Refused(_)), "{error}");
    let error = difference("method =", "certificate = \"none\"\nmethod =");
    assert_eq!(error, VectorError::Certificate);
}

#[test]
fn a_vector_file_with_an_unknown_key_is_refused_with_its_line() {
    let source = Source {
        file: "v.toml",
        text: "[[case]]\nname = \"a\"\nmethod = \"GET\"\ntarget = \"/\"\ncolour = 1\n",
    };
    let error = Vectors::from_source(source).unwrap_err().to_string();
    assert!(
        error.starts_with("v.toml, line 5: unknown field `colour`"),
        "{error}"
    );
}

#[test]
fn obuk_names_the_media_type_of_a_file_payment() {
    let headers = [("Content-Type", "Text/XML; charset=utf-8")];
    let request = request(
        "POST",
        "/pisp/file-payment-consents/1/file",
        &headers,
        b"<x/>",
    );
    let prepared = profile("obuk-3.1.4")
        .prepare(&request, &example_tpp(), &obuk_settings(), vector_time())
        .unwrap();
    let (_, value) = prepared.outline().pop().unwrap();
    let protected = value.split('.').next().unwrap();
    let json = URL_SAFE_NO_PAD.decode(protected).unwrap();
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains(r#""cty":"text/xml""#), "{json}");
}

#[test]
fn what_is_no_media_type_is_named() {
    for value in ["json", "/json", "text/", "te xt/xml", "text/x ml", ";"] {
        let headers = [("Content-Type", value)];
        let request = request("POST", "/pisp/file-payment-consents", &headers, b"<x/>");
        let refusal = profile("obuk-3.1.4")
            .prepare(&request, &example_tpp(), &obuk_settings(), vector_time())
            .unwrap_err();
        assert_eq!(
            (refusal.reason(), &*refusal.field()),
            ("HEADER_MALFORMED", "headers[\"content-type\"]"),
            "{value}"
        );
    }
}
