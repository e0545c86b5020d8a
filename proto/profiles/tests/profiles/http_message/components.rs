//! What each component says, with the examples of RFC 9421 section 2.

use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};

use super::{covering, requests};
use crate::support::*;

/// The lines of a base without the parameters.
fn covered(components: &str, more: &str, request: &HttpRequest) -> Result<Vec<String>, Refusal> {
    let profile = requests(&format!("{}{more}", covering(components)));
    let seal = Seal::p256();
    let prepared = profile.prepare(request, &seal.certificate, &no_settings(), vector_time())?;
    let base = String::from_utf8(prepared.to_be_signed().to_vec()).unwrap();
    assert!(base.starts_with('"'));
    let mut lines: Vec<String> = base.lines().map(str::to_owned).collect();
    let params = lines.pop().unwrap();
    assert!(params.starts_with("\"@signature-params\": ("), "{params}");
    Ok(lines)
}

fn to(authority: &str, target: &str) -> HttpRequest {
    HttpRequest::parse(RequestParts {
        method: "POST",
        authority,
        target,
        headers: &[],
        body: BodyParts::default(),
    })
    .unwrap()
}

#[test]
fn derived_components_of_a_request() {
    let components = "\"@method\", \"@target-uri\", \"@authority\", \"@scheme\", \"@request-target\", \"@path\", \"@query\"";
    let lines = covered(components, "", &to("www.example.com", "/path?param=value")).unwrap();
    assert_eq!(
        lines,
        [
            "\"@method\": POST",
            "\"@target-uri\": https://www.example.com/path?param=value",
            "\"@authority\": www.example.com",
            "\"@scheme\": https",
            "\"@request-target\": /path?param=value",
            "\"@path\": /path",
            "\"@query\": ?param=value",
        ]
    );
}

#[test]
fn the_authority_is_normalized_and_nothing_else() {
    for (authority, line) in [
        ("WWW.Example.COM", "\"@authority\": www.example.com"),
        ("www.example.com:443", "\"@authority\": www.example.com"),
        (
            "www.example.com:8443",
            "\"@authority\": www.example.com:8443",
        ),
        ("www.example.com:80", "\"@authority\": www.example.com:80"),
    ] {
        let lines = covered("\"@authority\"", "", &to(authority, "/")).unwrap();
        assert_eq!(lines, [line]);
    }
    let lines = covered("\"@path\", \"@query\"", "", &to("a", "/%7Ea/B")).unwrap();
    assert_eq!(lines, ["\"@path\": /%7Ea/B", "\"@query\": ?"]);
    let lines = covered("\"@query\"", "", &to("a", "/?queryString")).unwrap();
    assert_eq!(lines, ["\"@query\": ?queryString"]);
}

#[test]
fn query_parameters_are_decoded_and_encoded_anew() {
    let target = "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something";
    let names = r#"'@query-param;name="var"', '@query-param;name="bar"', '@query-param;name="fa%C3%A7ade%22%3A%20"'"#;
    let lines = covered(names, "", &to("a", target)).unwrap();
    assert_eq!(
        lines,
        [
            "\"@query-param\";name=\"var\": this%20is%20a%20big%0Amultiline%20value",
            "\"@query-param\";name=\"bar\": with%20plus%20whitespace",
            "\"@query-param\";name=\"fa%C3%A7ade%22%3A%20\": something",
        ]
    );
    let names = r#"'@query-param;name="qux"', '@query-param;name="none"?'"#;
    let lines = covered(names, "", &to("a", "/?baz=batman&qux=")).unwrap();
    assert_eq!(lines, ["\"@query-param\";name=\"qux\": "]);
}

#[test]
fn refuses_query_parameters_that_are_missing_doubled_or_no_text() {
    let reason = |target: &str| {
        let refusal = covered(r#"'@query-param;name="a"'"#, "", &to("a", target)).unwrap_err();
        (refusal.reason(), refusal.field())
    };
    assert_eq!(
        reason("/?b=1"),
        (
            "COMPONENT_MISSING",
            "components[@query-param;name=\"a\"]".into()
        )
    );
    assert_eq!(
        reason("/?a=1&b=2&a=1"),
        ("QUERY_PARAM_INVALID", "target".into())
    );
    assert_eq!(
        reason("/?a=1&%61=2"),
        ("QUERY_PARAM_INVALID", "target".into())
    );
    assert_eq!(reason("/?a=%FF"), ("QUERY_PARAM_INVALID", "target".into()));
}

#[test]
fn fields_are_trimmed_and_joined_in_the_order_sent() {
    let headers = [
        ("X-OWS-Header", "   Leading and trailing whitespace.   "),
        ("Cache-Control", "max-age=60"),
        ("X-Empty", ""),
        ("cache-control", "  must-revalidate"),
    ];
    let request = request("GET", "/", &headers, b"");
    let names = "\"x-ows-header\", \"cache-control\", \"x-empty\", \"x-none?\"";
    assert_eq!(
        covered(names, "", &request).unwrap(),
        [
            "\"x-ows-header\": Leading and trailing whitespace.",
            "\"cache-control\": max-age=60, must-revalidate",
            "\"x-empty\": ",
        ]
    );
}

#[test]
fn structured_fields_are_serialized_anew_and_taken_apart() {
    let headers = [("Example-Dict", "  a=1,    b=2;x=1;y=2,   c=(a   b   c), d")];
    let request = request("GET", "/", &headers, b"");
    let names = r#""example-dict", "example-dict;sf", 'example-dict;key="a"', 'example-dict;key="b"',
        'example-dict;key="c"', 'example-dict;key="d"', 'example-dict;key="e"?'"#;
    let types = "[request.http_message.structured]\nexample-dict = \"dictionary\"\n";
    assert_eq!(
        covered(names, types, &request).unwrap(),
        [
            "\"example-dict\": a=1,    b=2;x=1;y=2,   c=(a   b   c), d",
            "\"example-dict\";sf: a=1, b=2;x=1;y=2, c=(a b c), d",
            "\"example-dict\";key=\"a\": 1",
            "\"example-dict\";key=\"b\": 2;x=1;y=2",
            "\"example-dict\";key=\"c\": (a b c)",
            "\"example-dict\";key=\"d\": ?1",
        ]
    );
    for (value, kind, expected) in [
        ("a ,  b;q=1", "list", "a, b;q=1"),
        (" \"x\" ; a", "item", "\"x\";a"),
    ] {
        let request = crate::support::request("GET", "/", &[("X-Field", value)], b"");
        let types = format!("[request.http_message.structured]\nx-field = \"{kind}\"\n");
        let lines = covered("\"x-field;sf\"", &types, &request);
        match lines {
            Ok(lines) => assert_eq!(lines, [format!("\"x-field\";sf: {expected}")]),
            Err(refusal) => assert_eq!((refusal.reason(), kind), ("HEADER_MALFORMED", "item")),
        }
    }
}

#[test]
fn refuses_structured_fields_that_are_none() {
    let request = request("GET", "/", &[("X-Dict", "a=1, B=2")], b"");
    let types = "[request.http_message.structured]\nx-dict = \"dictionary\"\n";
    for names in ["\"x-dict;sf\"", "'x-dict;key=\"a\"'"] {
        let refusal = covered(names, types, &request).unwrap_err();
        assert_eq!(refusal.reason(), "HEADER_MALFORMED");
        assert_eq!(refusal.field(), "headers[\"x-dict\"]");
    }
    let request = crate::support::request("GET", "/", &[("X-Dict", "a=1")], b"");
    let refusal = covered("'x-dict;key=\"b\"'", types, &request).unwrap_err();
    assert_eq!(refusal.reason(), "COMPONENT_MISSING");
    assert_eq!(refusal.field(), "components[x-dict;key=\"b\"]");
}

#[test]
fn binary_wrapping_keeps_lines_apart() {
    let one = [("Example-Header", "value, with, lots, of, commas")];
    let two = [
        ("Example-Header", "value, with, lots"),
        ("Example-Header", "of, commas"),
    ];
    let lines = |headers: &[(&str, &str)]| {
        covered(
            "\"example-header;bs\"",
            "",
            &request("GET", "/", headers, b""),
        )
        .unwrap()
    };
    assert_eq!(
        lines(&one),
        ["\"example-header\";bs: :dmFsdWUsIHdpdGgsIGxvdHMsIG9mLCBjb21tYXM=:"]
    );
    assert_eq!(
        lines(&two),
        ["\"example-header\";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:"]
    );
}
