//! Answers bound to what was asked (RFC 9421 §2.4), and which of several signatures is meant.

use super::*;

/// A bank answers a signed request; the answer changes on the way, and so does what was asked.
fn answer(
    status: u16,
    body: &[u8],
    asked: Option<HttpRequest>,
    change: impl FnOnce(&mut Lines),
) -> Result<Verified, VerifyError> {
    let fapi = profile("fapi-2-http-signatures");
    let bank = Seal::ed25519();
    let sent = HttpResponse::parse(201, &[], bytes(b"{\"id\":1}")).unwrap();
    let prepared = fapi
        .prepare_response(
            &sent.clone().answering(asked_fapi("Bearer abc")),
            &bank.certificate,
            &settings(),
            vector_time(),
        )
        .unwrap();
    let set = answered(&sent, &bank.finish(prepared));
    let lines = set.headers().iter();
    let mut headers: Lines = lines
        .map(|line| (line.name().to_owned(), line.value().as_bytes().to_vec()))
        .collect();
    change(&mut headers);
    let mut response = HttpResponse::parse(status, &headers, bytes(body)).unwrap();
    if let Some(asked) = asked {
        response = response.answering(asked);
    }
    verify::http_response(
        fapi,
        &response,
        &bank.certificate,
        &settings(),
        vector_time(),
    )
}

fn bytes(bytes: &[u8]) -> BodyParts<'_> {
    BodyParts {
        bytes: Some(bytes),
        digests: &[],
    }
}

/// A signed request; the key is fixed so that the signature is too.
fn asked_fapi(token: &str) -> HttpRequest {
    let headers = [
        ("authorization", token),
        (
            "signature-input",
            "sig1=(\"@method\");created=1;tag=\"fapi-2-request\"",
        ),
        ("signature", "sig1=:AAAA:"),
    ];
    request("POST", "/payments", &headers, b"")
}

#[test]
fn an_answer_is_bound_to_its_question() {
    let asked = || Some(asked_fapi("Bearer abc"));
    let body = b"{\"id\":1}";
    let verified = answer(201, body, asked(), |_| {}).unwrap();
    assert_eq!(
        verified.signed_fields,
        [
            "@status",
            "content-digest",
            "@method;req",
            "@target-uri;req",
            "signature-input;req;key=\"sig1\"",
            "signature;req;key=\"sig1\""
        ]
    );
    let word = |answer: Result<Verified, VerifyError>| answer.unwrap_err().reason();
    assert_eq!(
        word(answer(200, body, asked(), |_| {})),
        "SIGNATURE_INVALID"
    );
    assert_eq!(
        word(answer(201, b"{\"id\":2}", asked(), |_| {})),
        "DIGEST_MISMATCH"
    );
    assert_eq!(word(answer(201, body, None, |_| {})), "REQUEST_REQUIRED");
    let other = request("GET", "/payments", &[], b"");
    assert_eq!(
        word(answer(201, body, Some(other), |_| {})),
        "COMPONENT_MISSING"
    );
    let mut headers = lines(&[
        ("signature-input", "sig1=(\"@path\")"),
        ("signature", "sig1=:AAAA:"),
    ]);
    let other = request_of("POST", "/payments", &headers, b"").unwrap();
    assert_eq!(
        word(answer(201, body, Some(other), |_| {})),
        "SIGNATURE_INVALID"
    );
    headers.push(("content-digest".into(), b"sha-256=:AAAA:".to_vec()));
    let other = request_of("POST", "/payments", &headers, b"").unwrap();
    assert_eq!(
        word(answer(201, body, Some(other), |_| {})),
        "FIELD_NOT_SIGNED"
    );
    let tag = |headers: &mut Lines| {
        replace(headers, "signature-input", |v| {
            v.replace("fapi-2-response", "fapi-2-request")
        });
    };
    assert_eq!(word(answer(201, body, asked(), tag)), "PARAMETER_MISMATCH");
}

#[test]
fn finds_its_signature_among_those_of_others_and_under_another_label() {
    let beside = |headers: &mut Lines| {
        replace(headers, "signature-input", |v| {
            format!("proxy=(\"@path\");created=1, {v}")
        });
        replace(headers, "signature", |v| format!("proxy=:AAAA:, {v}"));
    };
    bank(&Seal::p256(), beside).unwrap();
    let renamed = |headers: &mut Lines| {
        replace(headers, "signature-input", |v| {
            v.replacen("sig1=", "bank=", 1)
        });
        replace(headers, "signature", |v| v.replacen("sig1=", "bank=", 1));
    };
    bank(&Seal::p256(), renamed).unwrap();
    let among_others = |headers: &mut Lines| {
        renamed(headers);
        beside(headers);
    };
    assert_eq!(reason(among_others), "SIGNATURE_MISSING");
}

#[test]
fn finds_a_renamed_signature_by_its_tag_among_those_of_others() {
    let renamed_beside = |input: &'static str| {
        move |headers: &mut Lines| {
            replace(headers, "signature-input", |v| {
                format!("{input}, {}", v.replacen("sig1=", "bank=", 1))
            });
            replace(headers, "signature", |v| {
                format!("proxy=:AAAA:, {}", v.replacen("sig1=", "bank=", 1))
            });
        }
    };
    let ask = |input| {
        answer(
            201,
            b"{\"id\":1}",
            Some(asked_fapi("Bearer abc")),
            renamed_beside(input),
        )
        .map_err(|error| error.reason())
    };
    for others in [
        "proxy=(\"@status\");created=1;tag=\"proxy\"",
        "proxy=(\"@status\");created=1",
        "proxy=1;tag=\"fapi-2-response\"",
    ] {
        ask(others).unwrap();
    }
    // Two with the tag: which one is meant?
    let twice = "proxy=(\"@status\");created=1;tag=\"fapi-2-response\"";
    assert_eq!(ask(twice).unwrap_err(), "SIGNATURE_MISSING");
}
