//! Request line and headers before the body, as TrueLayer signs them.

use super::*;

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
