//! JAdES on the other side: what differs is named.

use super::*;

/// Signs the payment, changes the message on the way, and asks the bank `seconds` later.
fn bank(seconds: i64, change: impl FnOnce(&mut Lines)) -> Result<verify::Verified, VerifyError> {
    let seal = Seal::rsa();
    let prepared = profile(OBE)
        .prepare(&payment(b"{}"), &seal.certificate, &no_settings(), at(NOW))
        .unwrap();
    let arrived = sent_with(&payment(b"{}"), &seal.finish(prepared), change);
    let later = Timestamp::from_second(at(NOW).as_second() + seconds).unwrap();
    verify::http_request(
        profile(OBE),
        &arrived,
        &seal.certificate,
        &no_settings(),
        later,
    )
}

/// What a bank says when the signer had made another header, and signed that.
fn with_header(change: impl FnOnce(&mut Value)) -> VerifyError {
    let seal = Seal::rsa();
    let prepared = profile(OBE)
        .prepare(&payment(b"{}"), &seal.certificate, &no_settings(), at(NOW))
        .unwrap();
    let scheme = prepared.scheme();
    let (_, lines) = std::str::from_utf8(prepared.to_be_signed())
        .unwrap()
        .split_once('.')
        .unwrap();
    let mut header = header_of(&prepared.outline().pop().unwrap().1);
    change(&mut header);
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let raw = seal.sign(scheme, format!("{protected}.{lines}").as_bytes());
    let jws = format!("{protected}..{}", URL_SAFE_NO_PAD.encode(raw));
    let arrived = sent_with(&payment(b"{}"), &seal.finish(prepared), |headers| {
        replace(headers, CARRIER, |_| jws);
    });
    match verify::http_request(
        profile(OBE),
        &arrived,
        &seal.certificate,
        &no_settings(),
        at(NOW),
    ) {
        Ok(verified) => panic!("verifies: {verified:?}"),
        Err(error) => error,
    }
}

#[test]
fn names_what_was_changed_on_the_way() {
    bank(0, |_| {}).unwrap();
    bank(0, |headers| {
        replace(headers, "authorization", |_| "Bearer other".into())
    })
    .unwrap();
    for (name, reason) in [
        ("content-type", "SIGNATURE_INVALID"),
        ("x-request-id", "SIGNATURE_INVALID"),
        ("digest", "DIGEST_LABEL"),
        (CARRIER, "PARAMETER_MALFORMED"),
    ] {
        let changed = bank(0, |headers| {
            replace(headers, name, |value| format!("x{value}"))
        });
        assert_eq!(changed.unwrap_err().reason(), reason, "{name}");
    }
    for (name, reason) in [
        ("content-type", "HEADER_MISSING"),
        ("x-request-id", "HEADER_MISSING"),
        ("digest", "HEADER_MISSING"),
        (CARRIER, "SIGNATURE_MISSING"),
    ] {
        let without = bank(0, |headers| {
            headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name))
        });
        assert_eq!(without.unwrap_err().reason(), reason, "{name}");
    }
    let added = bank(0, |headers| {
        headers.push(("PSU-IP-Address".into(), b"192.0.2.1".to_vec()))
    });
    assert_eq!(
        added.unwrap_err(),
        VerifyError::FieldNotSigned {
            name: "psu-ip-address".into()
        }
    );
    let attached = bank(0, |headers| {
        replace(headers, CARRIER, |jws| jws.replace("..", ".e30."))
    });
    assert_eq!(attached.unwrap_err(), VerifyError::Payload);
}

#[test]
fn names_an_old_signature_and_one_from_the_future() {
    bank(60, |_| {}).unwrap();
    bank(-2, |_| {}).unwrap();
    let stale = |skew_seconds_max| VerifyError::Stale {
        name: "iat".into(),
        skew_seconds_max,
    };
    assert_eq!(bank(61, |_| {}).unwrap_err(), stale(60));
    assert_eq!(bank(-3, |_| {}).unwrap_err(), stale(2));
}

#[test]
fn names_the_member_that_differs_although_the_signature_verifies() {
    let mismatch = |name: &str| VerifyError::MemberMismatch { name: name.into() };
    let missing = |name: &str| VerifyError::MemberMissing { name: name.into() };
    let unexpected = |name: &str| VerifyError::MemberUnexpected { name: name.into() };
    let remove = |name: &'static str| {
        move |header: &mut Value| {
            header.as_object_mut().unwrap().shift_remove(name).unwrap();
        }
    };
    for name in ["b64", "x5t#S256", "crit", "iat", "sigD", "alg"] {
        assert_eq!(with_header(remove(name)), missing(name));
    }
    assert_eq!(
        with_header(|header| header["b64"] = json!(true)),
        mismatch("b64")
    );
    assert_eq!(
        with_header(|header| header["crit"] = json!(["b64"])),
        mismatch("crit")
    );
    assert_eq!(
        with_header(|header| header["x5t#S256"] = json!("AA")),
        mismatch("x5t#S256")
    );
    assert_eq!(
        with_header(|header| header["iat"] = json!("1768464000")),
        mismatch("iat")
    );
    assert_eq!(
        with_header(|header| header["kid"] = json!("1")),
        unexpected("kid")
    );
    assert_eq!(
        with_header(|header| header["sigT"] = json!(NOW)),
        unexpected("sigT")
    );
    assert_eq!(
        with_header(|header| header["alg"] = json!("PS256")),
        VerifyError::AlgorithmLabel {
            expected: "RS256".into()
        }
    );
    // The mechanism with hashes of its own binds no line.
    let by_hash =
        json!({ "pars": ["digest"], "mId": "http://uri.etsi.org/19182/ObjectIdByURIHash" });
    assert_eq!(
        with_header(|header| header["sigD"] = by_hash),
        mismatch("sigD")
    );
    assert_eq!(
        with_header(|header| header["sigD"]["hashM"] = json!("S256")),
        mismatch("sigD")
    );
    assert_eq!(
        with_header(|header| header["sigD"]["pars"] = json!([1])),
        mismatch("sigD")
    );
}

#[test]
fn names_the_line_that_is_missing_doubled_or_in_another_place() {
    let pars = |pars: Value| with_header(move |header| header["sigD"]["pars"] = pars);
    let all = [
        "(request-target)",
        "host",
        "content-type",
        "x-request-id",
        "digest",
    ];
    assert_eq!(
        pars(json!(&all[..4])),
        VerifyError::FieldNotSigned {
            name: "digest".into()
        }
    );
    assert_eq!(
        pars(json!([
            "(request-target)",
            "host",
            "content-type",
            "x-request-id",
            "digest",
            "accept"
        ])),
        VerifyError::FieldUnexpected {
            name: "accept".into()
        }
    );
    assert_eq!(
        pars(json!([
            "host",
            "(request-target)",
            "content-type",
            "x-request-id",
            "digest"
        ])),
        VerifyError::FieldOrder {
            position: 0,
            expected: "(request-target)".into()
        }
    );
    assert_eq!(
        pars(json!([
            "(request-target)",
            "host",
            "content-type",
            "x-request-id",
            "digest",
            "digest"
        ])),
        VerifyError::ParameterRepeated {
            name: "digest".into()
        }
    );
}

/// Signers that spell names as sent and pad the thumbprint are understood; what is signed is the same.
#[test]
fn understands_names_as_sent_and_a_padded_thumbprint() {
    let seal = Seal::rsa();
    let prepared = profile(OBE)
        .prepare(&payment(b"{}"), &seal.certificate, &no_settings(), at(NOW))
        .unwrap();
    let scheme = prepared.scheme();
    let input = String::from_utf8(prepared.to_be_signed().to_vec()).unwrap();
    let (protected, lines) = input.split_once('.').unwrap();
    let mut header = header_of(protected);
    header["sigD"]["pars"] = json!([
        "(request-target)",
        "Host",
        "Content-Type",
        "X-Request-ID",
        "Digest"
    ]);
    header["x5t#S256"] = json!(format!("{}=", header["x5t#S256"].as_str().unwrap()));
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let raw = seal.sign(scheme, format!("{protected}.{lines}").as_bytes());
    let jws = format!("{protected}..{}", URL_SAFE_NO_PAD.encode(raw));
    let arrived = sent_with(&payment(b"{}"), &seal.finish(prepared), |headers| {
        replace(headers, CARRIER, |_| jws);
    });
    verify::http_request(
        profile(OBE),
        &arrived,
        &seal.certificate,
        &no_settings(),
        at(NOW),
    )
    .unwrap();
}

#[test]
fn another_key_does_not_verify() {
    let seal = Seal::rsa();
    let other = Seal::p256();
    let prepared = profile(OBE)
        .prepare(&payment(b"{}"), &seal.certificate, &no_settings(), at(NOW))
        .unwrap();
    let arrived = sent(&payment(b"{}"), &seal.finish(prepared));
    let error = verify::http_request(
        profile(OBE),
        &arrived,
        &other.certificate,
        &no_settings(),
        at(NOW),
    );
    let name = "x5t#S256".into();
    assert_eq!(error.unwrap_err(), VerifyError::MemberMismatch { name });
}
