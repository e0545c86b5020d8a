//! Every limit of a JWE: the last that is taken, and the first that is not.

use super::*;

fn parsed(compact: &str) -> Result<(), JweError> {
    let seal = Seal::rsa();
    Jwe::parse(compact, seal.certificate.public_key()).map(drop)
}

fn header() -> Value {
    json!({ "alg": "RSA-OAEP", "enc": "A256GCM" })
}

/// With a member of `len` bytes.
fn with_member(name: &str, text: String) -> String {
    let mut header = header();
    header[name] = text.into();
    with_header(&header, 256)
}

#[test]
fn a_jwe_has_up_to_512_kib() {
    let filled = |len: usize| {
        let empty = with_header(&header(), 256).replacen(".AA.", "..", 1);
        let (before, tag) = empty.rsplit_once('.').unwrap();
        format!("{before}{}.{tag}", "A".repeat(len - empty.len()))
    };
    let longest = (524_281..=524_288)
        .rev()
        .map(filled)
        .find(|jwe| parsed(jwe).is_ok());
    assert!(
        longest.unwrap().len() > 524_286,
        "base64url has gaps of one"
    );
    let max = 524_289;
    assert_eq!(parsed(&filled(max)), Err(JweError::TooLong { len: max }));
}

#[test]
fn its_header_has_up_to_8_kib() {
    let what = |chars: usize| {
        let header =
            |len: usize| json!({ "alg": "RSA-OAEP", "enc": "A256GCM", "kid": "x".repeat(len) });
        let filler = chars * 3 / 4 - header(0).to_string().len();
        let error = parsed(&with_header(&header(filler), 256)).unwrap_err();
        error.to_string()
    };
    assert!(
        what(8192).contains("no text, or too long"),
        "{}",
        what(8192)
    );
    assert!(what(8194).contains("header is too long"), "{}", what(8194));
}

#[test]
fn its_texts_and_parties_have_up_to_512_bytes() {
    for name in ["kid", "cty"] {
        assert_eq!(
            parsed(&with_member(name, "x".repeat(512))),
            Ok(()),
            "{name}"
        );
        let error = parsed(&with_member(name, "x".repeat(513))).unwrap_err();
        assert_eq!(error.reason(), "JWE_MALFORMED", "{name}");
    }
    let seal = Seal::p256();
    let key = seal.certificate.public_key();
    let with_party = |name: &str, len: usize| {
        let mut header = json!({ "alg": "ECDH-ES", "enc": "A256GCM", "epk": key.jwk() });
        header[name] = URL_SAFE_NO_PAD.encode(vec![7; len]).into();
        Jwe::parse(&with_header(&header, 0), key).map(drop)
    };
    for name in ["apu", "apv"] {
        assert_eq!(with_party(name, 512), Ok(()), "{name}");
        let error = with_party(name, 513).unwrap_err();
        assert!(error.to_string().contains("apu or apv"), "{error}");
    }
}
