//! Values that come from elsewhere: a nonce of the caller, headers of the settings.

use super::*;

#[test]
fn the_nonce_is_the_header_that_the_caller_makes_unique() {
    let seal = Seal::p384();
    let parameters = covering("\"@method\"").replace("[\"created\"]", "[\"created\", \"nonce\"]");
    let profile = requests(&format!("{parameters}nonce_from = \"x-request-id\"\n"));
    let get = request("GET", "/", &[("X-Request-ID", "a \"quoted\" one")], b"");
    let prepared = profile
        .prepare(&get, &seal.certificate, &no_settings(), vector_time())
        .unwrap();
    let base = std::str::from_utf8(prepared.to_be_signed()).unwrap();
    let params = "(\"@method\");created=1537264261;nonce=\"a \\\"quoted\\\" one\"";
    assert!(base.ends_with(params), "{base}");
    let signed = seal.finish(prepared);
    let ask = |change: fn(&mut Lines)| {
        let arrived = sent_with(&get, &signed, change);
        let certificate = &seal.certificate;
        verify::http_request(
            &profile,
            &arrived,
            certificate,
            &no_settings(),
            vector_time(),
        )
    };
    ask(|_| {}).unwrap();
    // Without the header there is nothing to compare with; with another one there is.
    ask(|headers| headers.retain(|(name, _)| name != "X-Request-ID")).unwrap();
    let name = "nonce".to_owned();
    let error = ask(|headers| replace(headers, "x-request-id", |_| "another".into())).unwrap_err();
    assert_eq!(error, VerifyError::ParameterMismatch { name });
}

#[test]
fn names_a_header_that_is_not_what_the_settings_say() {
    let (seal, ebay) = (Seal::ed25519(), profile("ebay"));
    let jwe = |value| [("signature_key", value)].into_iter().collect::<Settings>();
    let get = request("GET", "/sell/finances/v1/payout", &[], b"");
    let prepared = ebay
        .prepare(&get, &seal.certificate, &jwe("a.b.c.d.e"), vector_time())
        .unwrap();
    let arrived = sent(&get, &seal.finish(prepared));
    let ask = |settings: &Settings| {
        verify::http_request(ebay, &arrived, &seal.certificate, settings, vector_time())
    };
    ask(&jwe("a.b.c.d.e")).unwrap();
    ask(&no_settings()).unwrap();
    let name = "x-ebay-signature-key".to_owned();
    let error = ask(&jwe("f.g.h.i.j")).unwrap_err();
    assert_eq!(error, VerifyError::ParameterMismatch { name });
}
