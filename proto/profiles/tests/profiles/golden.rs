//! Golden strings of our own, one a family: they bite where the shared vectors are not there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::support::*;

const PAYMENT: &str = r#"{"instructedAmount":{"currency":"EUR","amount":"123.50"},"debtorAccount":{"iban":"DE40100100103307118608"},"creditorName":"Merchant123","creditorAccount":{"iban":"DE02100100109307118603"},"remittanceInformationUnstructured":"Ref Number Merchant"}"#;

#[test]
fn berlin_group_post_with_every_conditional_header() {
    let request = request(
        "POST",
        "/v1/payments/sepa-credit-transfers",
        &[
            ("Content-Type", "application/json"),
            ("X-Request-ID", REQUEST_ID),
            ("TPP-Redirect-URI", "https://tpp.example/cb?x=1&y=2"),
            ("PSU-Corporate-ID", "CORP-77"),
            ("PSU-ID", "PSU-1234"),
            ("Authorization", "Bearer not-signed"),
        ],
        PAYMENT.as_bytes(),
    );
    let prepared = profile("berlin-group-1.3.4")
        .prepare(&request, &example_tpp(), &no_settings(), vector_time())
        .unwrap();
    let expected = "digest: SHA-256=MBFI05bKI7Txt41Y2NKNLhqfV4oGpBjZUMQGS+ti/DA=\n\
        x-request-id: 99391c7e-ad88-49ec-a2ad-99ddcb1f7721\n\
        psu-id: PSU-1234\n\
        psu-corporate-id: CORP-77\n\
        tpp-redirect-uri: https://tpp.example/cb?x=1&y=2";
    assert_eq!(
        std::str::from_utf8(prepared.to_be_signed()).unwrap(),
        expected
    );
    assert_eq!(prepared.digest(), sha256(expected.as_bytes()));
    assert_eq!(prepared.scheme().name(), "rsa-pkcs1-sha256");

    let signature = "Q0RrFMX7/Et/GRcAOf9dayfzSYopnrsYttj7nTzNSpJeIENrtlmDxyABFdCoEYgD/lmQsd9UmELMBHoU0AoWLp6KvFbT4dMoUXMdt8H4CQ10kDY1BxVC8N+FcBCUx3FkvOKF0ABzufMpJJAwEFzvmQpAqgcex4dpYOO1HoKWqCNrWPLiNvNF+exlTC7/L/3hXoR88ZgLNo7zOOndqUrPGcIF9Mcle+g54Iv2KFPh7YqlJDCo2dmodgKD+3jwm0FLyNcgkSeyuwQ0YMozhiznlwKX49pQqL/2lLGT5+6ikIkmBb8AE/iGEtIVohWe3wcQccrdE2g8hL34Gof8xuGpUQ==";
    let signed = prepared
        .assemble(&STANDARD.decode(signature).unwrap())
        .unwrap();
    let header = format!(
        "keyId=\"SN=a9fa1c3d0e,CA=CN=PSD2 Test Issuing CA 1,O=Test QTSP GmbH,C=DE\",algorithm=\"rsa-sha256\",\
         headers=\"digest x-request-id psu-id psu-corporate-id tpp-redirect-uri\",signature=\"{signature}\""
    );
    let set: Vec<(&str, &str)> = signed
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        set[0],
        (
            "Digest",
            "SHA-256=MBFI05bKI7Txt41Y2NKNLhqfV4oGpBjZUMQGS+ti/DA="
        )
    );
    assert_eq!(set[1].0, "TPP-Signature-Certificate");
    assert!(
        set[1].1.starts_with("MIIDPTCCAiWgAwIBAgIGAKn6HD0O"),
        "{}",
        set[1].1
    );
    assert_eq!(set[2], ("Signature", header.as_str()));
    assert_eq!(set.len(), 3);
}

#[test]
fn stet_get_signs_target_date_and_psu_headers() {
    let request = request(
        "GET",
        "/stet/psd2/v1.4.1/accounts/ALIAS1/transactions?dateFrom=2024-01-01",
        &[
            ("PSU-IP-Address", "192.0.2.10"),
            ("X-Request-ID", REQUEST_ID),
            ("Accept", "*/*"),
        ],
        b"",
    );
    let prepared = profile("stet-1.4")
        .prepare(&request, &example_tpp(), &stet_settings(), vector_time())
        .unwrap();
    let expected = "(request-target): get /stet/psd2/v1.4.1/accounts/ALIAS1/transactions?dateFrom=2024-01-01\n\
        date: Tue, 18 Sep 2018 09:51:01 GMT\n\
        digest: SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\
        x-request-id: 99391c7e-ad88-49ec-a2ad-99ddcb1f7721\n\
        psu-ip-address: 192.0.2.10";
    assert_eq!(
        std::str::from_utf8(prepared.to_be_signed()).unwrap(),
        expected
    );
    let signature = "BYFBOCIDEKfitZbfOC6kC7Yt86pL80de6u2eig4ua80gYjdhaq03Y7qoAzqyfqEVEbkldUh9eSC1mVH/e9cNTMO6yU15PP7qDWXaFol8ImOhs1gh1QOHkA2Ha1SO6kbvVjhwxEbInDPYKepbYWQul9C5QtC3hP8tn+OTw/Nz4Utc3vXh7GqLKjWdogKATmYE8oRmB/fl5jUs+340mK+7kPFJwFce0UybcpyXbkQxznlftdNpGIiEO3TKxYXFn16w318obQX7QO1bhOFoXrA5A6QwVSlwMj98E6pr/grsGuG2Z0pX1xfN7M9ueQuPp8SoRXFh1O672Lpzi8MzQwsv0A==";
    let signed = prepared
        .assemble(&STANDARD.decode(signature).unwrap())
        .unwrap();
    let (name, value) = signed.headers().last().unwrap();
    assert_eq!(name, "Signature");
    let url = "https://tpp.example/certs/qseal_fdef1f7990a1a765ddc72cf14fc3d736a8f7605c1b24753a8d49f91efa9c1a42";
    assert_eq!(
        *value,
        format!(
            "keyId=\"{url}\",algorithm=\"rsa-sha256\",\
             headers=\"(request-target) date digest x-request-id psu-ip-address\",signature=\"{signature}\""
        )
    );
    let date = ("Date".to_owned(), VECTOR_DATE.to_owned());
    assert!(signed.headers().contains(&date), "{:?}", signed.headers());
}

#[test]
fn obuk_signs_the_body_encoded_since_3_1_4_and_raw_before() {
    let body = br#"{"Data":{}}"#;
    let request = request(
        "POST",
        "/open-banking/v3.1/pisp/domestic-payments",
        &[],
        body,
    );
    let now = Timestamp::from_second(1_714_393_711).unwrap();
    let prepare = |name| {
        profile(name)
            .prepare(&request, &example_tpp(), &obuk_settings(), now)
            .unwrap()
    };

    let header = r#"{"alg":"PS256","kid":"90210ABAD","typ":"JOSE","cty":"application/json","http://openbanking.org.uk/iat":1714393709,"http://openbanking.org.uk/iss":"0015800001041RHAAY/AORlKI7oUF85BB2WUr7ZK2","http://openbanking.org.uk/tan":"openbanking.org.uk","crit":["http://openbanking.org.uk/iat","http://openbanking.org.uk/iss","http://openbanking.org.uk/tan"]}"#;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let input = format!("{}.eyJEYXRhIjp7fX0", encode(header.as_bytes()));
    assert_eq!(
        std::str::from_utf8(prepare("obuk-3.1.4").to_be_signed()).unwrap(),
        input
    );

    let raw_header = header
        .replace(
            "\"application/json\",",
            "\"application/json\",\"b64\":false,",
        )
        .replace("\"crit\":[", "\"crit\":[\"b64\",");
    let input = format!("{}.{{\"Data\":{{}}}}", encode(raw_header.as_bytes()));
    assert_eq!(
        std::str::from_utf8(prepare("obuk-3.1.3").to_be_signed()).unwrap(),
        input
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
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(protected)
        .unwrap();
    assert!(
        String::from_utf8(json)
            .unwrap()
            .contains(r#""cty":"text/xml""#)
    );
}
