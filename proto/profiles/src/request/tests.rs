//! One test a refusal, and what is accepted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn parse(method: &str, target: &str, headers: &[(&str, &[u8])]) -> Result<HttpRequest, Refusal> {
    parse_body(method, target, headers, BodyParts::default())
}

fn parse_body(
    method: &str,
    target: &str,
    headers: &[(&str, &[u8])],
    body: BodyParts<'_>,
) -> Result<HttpRequest, Refusal> {
    let headers: Vec<(String, Vec<u8>)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
        .collect();
    HttpRequest::parse(RequestParts {
        method,
        authority: "bank.example:8443",
        target,
        headers: &headers,
        body,
    })
}

fn reason_of_value(value: &[u8]) -> &'static str {
    let refusal = parse("GET", "/", &[("PSU-ID", value)]).unwrap_err();
    assert_eq!(refusal.field(), "headers[\"psu-id\"]");
    refusal.reason()
}

#[test]
fn keeps_everything_as_sent() {
    let request = parse(
        "POST",
        "/v1/a%2Fb;x=1/~me@bank:1?q=/?'x'&y=%0A",
        &[("X-B", b" two "), ("X-A", b""), ("x-b", b"more")],
    )
    .unwrap();
    assert_eq!(request.method(), Method::Post);
    assert_eq!(request.path(), "/v1/a%2Fb;x=1/~me@bank:1");
    assert_eq!(request.query(), Some("q=/?'x'&y=%0A"));
    assert_eq!(request.header("X-B"), ["two", "more"]);
    let names: Vec<&str> = request.headers().iter().map(Header::name).collect();
    assert_eq!(names, ["X-B", "X-A", "x-b"]);
    assert_eq!(parse("GET", "/", &[]).unwrap().query(), None);
}

#[test]
fn refuses_unknown_and_lower_case_methods() {
    for (method, reason) in [
        ("get", "METHOD_NOT_UPPER_CASE"),
        ("Post", "METHOD_NOT_UPPER_CASE"),
        ("TRACE", "METHOD_UNKNOWN"),
        ("CONNECT", "METHOD_UNKNOWN"),
        ("", "METHOD_UNKNOWN"),
        ("GET ", "METHOD_UNKNOWN"),
        ("POST\r\n", "METHOD_UNKNOWN"),
    ] {
        let refusal = parse(method, "/", &[]).unwrap_err();
        assert_eq!(
            (refusal.reason(), refusal.field().as_str()),
            (reason, "method"),
            "{method:?}"
        );
    }
}

#[test]
fn refuses_bad_target_bytes() {
    for (target, what) in [
        ("", "it does not begin with /"),
        ("*", "it does not begin with /"),
        ("v1/accounts", "it does not begin with /"),
        ("https://bank.example/v1", "absolute form"),
        ("/a b", "space"),
        ("/a#b", "fragment"),
        ("/a\\b", "backslash"),
        ("/a\nb", "control byte"),
        ("/a\0", "control byte"),
        ("/a\x7f", "control byte"),
        ("/\u{e4}", "byte that must be percent-encoded"),
        ("/a|b", "byte that must be percent-encoded"),
        ("/a?b=[1]", "byte that must be percent-encoded"),
        ("/a?b=\"", "byte that must be percent-encoded"),
        ("/%", "incomplete percent-encoding"),
        ("/%4", "incomplete percent-encoding"),
        ("/%4g", "incomplete percent-encoding"),
        ("/%0a", "encoded control byte in the path"),
        ("//v1", "empty path segment"),
        ("/v1//a", "empty path segment"),
        ("/v1/./a", "dot segment"),
        ("/v1/..", "dot segment"),
        ("/v1/../a?x", "dot segment"),
        ("/v1/%2e%2E/a", "dot segment"),
        ("/v1/.%2e", "dot segment"),
        ("/v1/x%2f..%2fy", "dot segment"),
        ("/v1/..%5cy", "dot segment"),
    ] {
        match parse("GET", target, &[]) {
            Err(Refusal::TargetInvalid { what: found, .. }) => assert_eq!(found, what, "{target}"),
            other => panic!("{target:?}: {other:?}"),
        }
    }
    for target in ["/", "/v1/a..b/.c/d.", "/a?..//./x", "/a?", "/%7e"] {
        parse("GET", target, &[]).unwrap();
    }
}

#[test]
fn refuses_a_target_that_is_too_long() {
    let long = format!("/{}", "a".repeat(TARGET_BYTES_MAX));
    assert_eq!(
        parse("GET", &long, &[]).unwrap_err().reason(),
        "TARGET_TOO_LONG"
    );
    parse("GET", &long[..TARGET_BYTES_MAX], &[]).unwrap();
}

#[test]
fn refuses_bad_authorities() {
    fn with(authority: &str) -> Result<HttpRequest, Refusal> {
        let parts = RequestParts {
            method: "GET",
            authority,
            target: "/",
            headers: &[],
            body: BodyParts::default(),
        };
        HttpRequest::parse(parts)
    }
    for authority in [
        "",
        "a b",
        "user@bank.example",
        "bank.example/",
        "bank..example",
        ".bank",
        "bank:",
        "bank:0",
        "bank:65536",
        "bank:80:80",
        "bank:+80",
        "[::1",
        "[::g]",
        "[::1]x",
        "[::1]:",
        "b\u{e4}nk",
        "bank\r\n",
        "bank?x",
    ] {
        assert_eq!(
            with(authority).unwrap_err().reason(),
            "AUTHORITY_INVALID",
            "{authority:?}"
        );
    }
    let long = "a.".repeat(AUTHORITY_BYTES_MAX) + "a";
    assert_eq!(with(&long).unwrap_err().reason(), "AUTHORITY_INVALID");
    for authority in [
        "bank.example",
        "bank:443",
        "192.0.2.1:80",
        "[2001:db8::1]",
        "[::1]:8443",
    ] {
        with(authority).unwrap();
    }
}

#[test]
fn refuses_host_header_of_another_authority() {
    parse("GET", "/", &[("Host", b"BANK.example:8443")]).unwrap();
    for other in [b"bank.example".as_slice(), b"evil.example:8443"] {
        let refusal = parse("GET", "/", &[("Host", other)]).unwrap_err();
        assert_eq!(refusal.reason(), "HOST_MISMATCH");
    }
}

#[test]
fn refuses_header_names_that_are_no_tokens() {
    for name in [
        "",
        "@method",
        "(created)",
        "(request-target)",
        ":path",
        "a b",
        "a:",
        "a\n",
        "\u{e4}",
        "a\0",
    ] {
        let refusal = parse("GET", "/", &[("ok", b""), (name, b"x")]).unwrap_err();
        assert_eq!(refusal.reason(), "HEADER_NAME_INVALID", "{name:?}");
        assert_eq!(refusal.field(), "headers[1].name");
    }
    let long = "a".repeat(HEADER_NAME_BYTES_MAX + 1);
    assert_eq!(
        parse("GET", "/", &[(&long, b"")]).unwrap_err().reason(),
        "HEADER_NAME_TOO_LONG"
    );
}

#[test]
fn refuses_header_with_line_feed() {
    assert_eq!(
        reason_of_value(b"a\nx-request-id: forged"),
        "HEADER_LINE_BREAK"
    );
    assert_eq!(reason_of_value(b"a\n"), "HEADER_LINE_BREAK");
}

#[test]
fn refuses_header_with_carriage_return() {
    assert_eq!(reason_of_value(b"a\rb"), "HEADER_LINE_BREAK");
    assert_eq!(reason_of_value(b"a\r\nb"), "HEADER_LINE_BREAK");
}

#[test]
fn refuses_folded_header() {
    assert_eq!(reason_of_value(b"a\r\n b"), "HEADER_OBS_FOLD");
    assert_eq!(reason_of_value(b"a\n\tb"), "HEADER_OBS_FOLD");
}

#[test]
fn every_byte_outside_of_printable_ascii_is_refused_at_every_position() {
    for byte in 0..=u8::MAX {
        for value in [vec![byte, b'a'], vec![b'a', byte, b'a'], vec![b'a', byte]] {
            let parsed = parse("GET", "/", &[("PSU-ID", &value)]);
            match byte {
                0x20..=0x7e => assert!(parsed.is_ok(), "{byte:#x}"),
                _ => {
                    let expected = match byte {
                        b'\r' | b'\n' => "HEADER_LINE_BREAK",
                        0 => "HEADER_NUL",
                        0x80.. => "HEADER_NOT_ASCII",
                        _ => "HEADER_CONTROL",
                    };
                    assert_eq!(parsed.unwrap_err().reason(), expected, "{byte:#x}");
                }
            }
        }
    }
}

#[test]
fn refuses_too_many_and_too_long_headers() {
    let many = vec![("a", b"b".as_slice()); HEADER_COUNT_MAX + 1];
    assert_eq!(
        parse("GET", "/", &many).unwrap_err().reason(),
        "TOO_MANY_HEADERS"
    );
    parse("GET", "/", &many[1..]).unwrap();
    let long = vec![b'a'; HEADER_VALUE_BYTES_MAX + 1];
    assert_eq!(reason_of_value(&long), "HEADER_TOO_LONG");
    parse("GET", "/", &[("a", &long[1..])]).unwrap();
}

#[test]
fn refuses_untrue_content_length() {
    let with = |length: &[u8], body| parse_body("POST", "/", &[("content-length", length)], body);
    let bytes = BodyParts {
        bytes: Some(b"12345"),
        digests: &[],
    };
    with(b"5", bytes).unwrap();
    assert_eq!(
        with(b"6", bytes).unwrap_err().reason(),
        "CONTENT_LENGTH_MISMATCH"
    );
    assert_eq!(
        with(b"1", BodyParts::default()).unwrap_err().reason(),
        "CONTENT_LENGTH_MISMATCH"
    );
    assert_eq!(with(b"+5", bytes).unwrap_err().reason(), "HEADER_MALFORMED");
    assert_eq!(with(b"", bytes).unwrap_err().reason(), "HEADER_MALFORMED");
    let digests = [(
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha256.digest(b"12345"),
    )];
    with(
        b"6",
        BodyParts {
            bytes: None,
            digests: &digests,
        },
    )
    .unwrap();
    let twice = [
        ("content-length", b"0".as_slice()),
        ("Content-Length", b"0"),
    ];
    assert_eq!(
        parse("POST", "/", &twice).unwrap_err().reason(),
        "HEADER_REPEATED"
    );
}

#[test]
fn refuses_body_that_is_too_long() {
    let long = vec![b'a'; BODY_BYTES_MAX + 1];
    let body = |bytes| BodyParts {
        bytes: Some(bytes),
        digests: &[],
    };
    assert_eq!(
        parse_body("POST", "/", &[], body(&long))
            .unwrap_err()
            .reason(),
        "BODY_TOO_LONG"
    );
    parse_body("POST", "/", &[], body(&long[1..])).unwrap();
}

#[test]
fn refuses_digests_that_are_wrong() {
    let sha256 = (HashAlgorithm::Sha256, HashAlgorithm::Sha256.digest(b"body"));
    let sha512 = (HashAlgorithm::Sha512, HashAlgorithm::Sha512.digest(b"body"));
    let parse = |bytes, digests: &[_]| {
        parse_body("POST", "/", &[], BodyParts { bytes, digests })
            .map_err(|refusal| refusal.reason())
    };
    let both = [sha256.clone(), sha512.clone()];
    let request = parse(None, &both).unwrap();
    assert_eq!(request.body().bytes(), None);
    assert_eq!(
        request.body().digest(HashAlgorithm::Sha512),
        Some(sha512.1.clone())
    );
    assert_eq!(request.body().digest(HashAlgorithm::Sha384), None);
    assert_eq!(
        parse(Some(b"body"), &both).unwrap().body().bytes(),
        Some(b"body".as_slice())
    );

    assert_eq!(
        parse(Some(b"bodx"), &both).unwrap_err(),
        "BODY_DIGEST_MISMATCH"
    );
    let short = [(HashAlgorithm::Sha512, sha256.1.clone())];
    assert_eq!(parse(None, &short).unwrap_err(), "DIGEST_LENGTH_INVALID");
    assert_eq!(
        parse(None, &[sha256.clone(), sha256.clone()]).unwrap_err(),
        "DIGEST_REPEATED"
    );
}

#[test]
fn knows_an_empty_body_by_its_digest() {
    let digests = [(HashAlgorithm::Sha256, HashAlgorithm::Sha256.digest(b""))];
    let body = BodyParts {
        bytes: None,
        digests: &digests,
    };
    assert!(parse_body("GET", "/", &[], body).unwrap().body().is_empty());
    assert!(parse("GET", "/", &[]).unwrap().body().is_empty());
}

#[test]
fn refuses_impossible_status() {
    for status in [0, 99, 600] {
        let refusal = HttpResponse::parse(status, &[], BodyParts::default()).unwrap_err();
        assert_eq!(refusal.reason(), "STATUS_INVALID");
    }
    assert_eq!(
        HttpResponse::parse(201, &[], BodyParts::default())
            .unwrap()
            .status(),
        201
    );
}

#[test]
fn debug_shows_no_values() {
    let request = parse(
        "GET",
        "/secret-path",
        &[("Authorization", b"Bearer secret")],
    )
    .unwrap();
    let shown = format!("{request:?}");
    assert!(shown.contains("Authorization(13 bytes)"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}
