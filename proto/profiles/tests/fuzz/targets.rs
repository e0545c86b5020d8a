//! What is fuzzed: one function for each thing that reads bytes from outside, with the laws it has to keep besides not
//! panicking.
//!
//! Driven by `cargo fuzz` (proto/profiles/fuzz) with coverage, and by the tests beside this file without. Seeds are in
//! proto/profiles/fuzz/seeds, a folder a target.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sealkeep_profiles::algorithm::{HashAlgorithm, PublicKey, ecdsa_der_to_raw, ecdsa_raw_to_der};
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::format::certificate_verify::prepare_tls12;
use sealkeep_profiles::format::jwe::Jwe;
use sealkeep_profiles::format::jwt::{ExpectedProof, JwtKind};
use sealkeep_profiles::profile::{Catalog, Profile, Settings, Source, Vectors};
use sealkeep_profiles::qualified::Qualified;
use sealkeep_profiles::request::{BodyParts, HttpRequest, RequestParts};
use sealkeep_profiles::verify;

/// A target.
pub(crate) type Target = fn(&[u8]);

/// Every target, by the name of its folder of seeds and of its binary.
pub(crate) const TARGETS: [(&str, Target); 13] = [
    ("certificate", certificate),
    ("ecdsa_signature", ecdsa_signature),
    ("jwe", jwe),
    ("jwt", jwt),
    ("profile_file", profile_file),
    ("public_key", public_key),
    ("qc_statements", qc_statements),
    ("request", request),
    ("tls12_transcript", tls12_transcript),
    ("verify_cavage", verify_cavage),
    ("verify_http_message", verify_http_message),
    ("verify_jades", verify_jades),
    ("verify_jws", verify_jws),
];

/// The certificate of the vectors; the seeds are signed with its key.
static SIGNER: LazyLock<Certificate> = LazyLock::new(|| {
    let pem = include_bytes!("../../vectors/example-tpp-qseal.pem");
    Certificate::chain_from_pem(pem).unwrap().remove(0)
});

/// Shipped profiles by the format their file names.
static FORMATS: LazyLock<BTreeMap<&'static str, String>> = LazyLock::new(|| {
    let mut formats = BTreeMap::new();
    let files: BTreeMap<&str, toml::Table> = Catalog::shipped()
        .map(|shipped| shipped.profile)
        .map(|source| {
            (
                source.file.trim_end_matches(".toml"),
                toml::from_str(source.text).unwrap(),
            )
        })
        .collect();
    for name in files.keys() {
        let mut of = *name;
        loop {
            let request = files[of].get("request").and_then(toml::Value::as_table);
            match (
                request.and_then(|table| table.keys().next()),
                files[of].get("extends"),
            ) {
                (Some(format), _) => break drop(formats.insert(*name, format.clone())),
                (None, Some(parent)) => of = parent.as_str().unwrap(),
                (None, None) => break,
            }
        }
    }
    formats
});

pub(crate) fn certificate(data: &[u8]) {
    if let Ok(chain) = Certificate::chain_from_pem(data) {
        assert!(!chain.is_empty());
    }
    let Ok(certificate) = Certificate::from_der(data) else {
        return;
    };
    assert_eq!(certificate.der(), data);
    let names = [certificate.issuer(), certificate.subject()];
    for text in names
        .iter()
        .flat_map(|name| [name.rfc2253(), name.rfc1779()])
    {
        assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
    }
    // Whatever can be said about it can be said.
    let _ = (
        certificate.serial_hex(),
        certificate.serial_decimal(),
        certificate.kind(),
    );
    let _ = (
        certificate.qualified().findings(),
        certificate.signature_algorithm(),
    );
    let _ = certificate.verify_issued_by(&certificate);
}

pub(crate) fn qc_statements(data: &[u8]) {
    let qualified = Qualified::read(data, false, Some("PSDDE-BAFIN-123456"));
    assert_eq!(
        qualified,
        Qualified::read(data, false, Some("PSDDE-BAFIN-123456"))
    );
    let _ = (
        qualified.compliance(),
        qualified.sscd(),
        qualified.qc_type(),
    );
}

pub(crate) fn public_key(data: &[u8]) {
    if let Ok(key) = PublicKey::from_spki_der(data) {
        assert_eq!(key.spki_der(), data);
        assert_eq!(key.spki_sha256()[..], HashAlgorithm::Sha256.digest(data));
    }
}

pub(crate) fn ecdsa_signature(data: &[u8]) {
    for half_len in [32, 48, 66] {
        if let Ok(raw) = ecdsa_der_to_raw(data, half_len) {
            assert_eq!(raw.len(), 2 * half_len);
            assert_eq!(
                ecdsa_raw_to_der(&raw).as_deref(),
                Ok(data),
                "DER has one spelling"
            );
        }
    }
    if let Ok(der) = ecdsa_raw_to_der(data) {
        assert_eq!(ecdsa_der_to_raw(&der, data.len() / 2).as_deref(), Ok(data));
    }
}

pub(crate) fn tls12_transcript(data: &[u8]) {
    let [high, low, messages @ ..] = data else {
        return;
    };
    let scheme = u16::from_be_bytes([*high, *low]);
    if let Ok((prepared, facts)) = prepare_tls12(scheme, messages, &SIGNER) {
        assert_eq!(prepared.to_be_signed(), messages);
        assert!(!facts.server_name.is_empty());
    }
}

pub(crate) fn profile_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let source = Source {
        file: "fuzz.toml",
        text,
    };
    let _ = Vectors::from_source(source);
    if let Ok(profile) = Profile::from_source(source) {
        assert!(!profile.name().is_empty());
        // What was let in can be used.
        for operation in profile.operations() {
            let _ = operation.role;
        }
        let head = "POST /v1/payments\nx-request-id: 99391c7e-ad88-49ec-a2ad-99ddcb1f7721\n\n{}";
        if let Some(request) = message(head.as_bytes()) {
            let settings: Settings = profile
                .required_settings()
                .iter()
                .map(|name| (name.clone(), "a-1".to_owned()))
                .collect();
            let now = Timestamp::UNIX_EPOCH;
            let _ = profile
                .signs_requests()
                .then(|| profile.prepare(&request, &*SIGNER, &settings, now));
        }
    }
}

/// `METHOD target`, header lines, an empty line, the body.
fn message(data: &[u8]) -> Option<HttpRequest> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, body) = (data.get(..end)?, data.get(end + 2..)?);
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let header = |line: &[u8]| {
        let colon = line.windows(2).position(|pair| pair == b": ")?;
        let name = String::from_utf8_lossy(line.get(..colon)?).into_owned();
        Some((name, line.get(colon + 2..)?.to_vec()))
    };
    let headers: Vec<(String, Vec<u8>)> = lines.filter_map(header).collect();
    let parts = RequestParts {
        method,
        authority: "bank.example",
        target,
        headers: &headers,
        body: BodyParts {
            bytes: Some(body),
            digests: &[],
        },
    };
    HttpRequest::parse(parts).ok()
}

pub(crate) fn request(data: &[u8]) {
    let Some(request) = message(data) else {
        return;
    };
    let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert!(request.path().starts_with('/') && !request.target().contains([' ', '#']));
    assert!(printable(request.target()));
    let query = request
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    assert_eq!(format!("{}{query}", request.path()), request.target());
    assert!(
        request
            .path()
            .split('/')
            .all(|segment| segment != "." && segment != "..")
    );
    for header in request.headers() {
        assert!(
            !header.name().is_empty() && header.name().bytes().all(|byte| byte.is_ascii_graphic())
        );
        assert!(printable(header.value()));
    }
}

/// `profile seconds`, then the rest.
fn case(data: &[u8]) -> Option<(&'static Profile, Timestamp, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let first = std::str::from_utf8(data.get(..end)?).ok()?;
    let (name, seconds) = first.split_once(' ')?;
    let now = Timestamp::from_second(seconds.parse().ok()?).ok()?;
    Some((Catalog::embedded().get(name)?, now, data.get(end + 1..)?))
}

/// A case with a message. Settings are not given, so that key ids are not compared and more is reached.
fn verify_message(data: &[u8], format: &str) {
    let Some((profile, now, rest)) = case(data) else {
        return;
    };
    let Some(request) =
        message(rest).filter(|_| FORMATS.get(profile.name()).is_some_and(|f| f == format))
    else {
        return;
    };
    let _ = verify::certificate_of_request(profile, &request);
    let settings = Settings::new();
    if let Ok(verified) = verify::http_request(profile, &request, &SIGNER, &settings, now) {
        assert!(verified.scheme.fits(&SIGNER.public_key().key_type()));
        assert!(!verified.signed_fields.is_empty());
        for name in ["digest", "content-digest"] {
            if verified
                .signed_fields
                .iter()
                .any(|field| field.trim_matches('"').eq_ignore_ascii_case(name))
            {
                assert!(
                    request
                        .header(name)
                        .iter()
                        .any(|value| is_digest(value, &request)),
                    "{name}"
                );
            }
        }
    }
}

/// Whether a case with a message is what its profile wants, signed by our key.
pub(crate) fn verifies(data: &[u8]) -> bool {
    let read = case(data).and_then(|(profile, now, rest)| Some((profile, now, message(rest)?)));
    read.is_some_and(|(profile, now, request)| {
        verify::http_request(profile, &request, &SIGNER, &Settings::new(), now).is_ok()
    })
}

/// Whether a header has a digest of the body in it. For no body some banks want the digest of another text.
fn is_digest(value: &str, request: &HttpRequest) -> bool {
    let hashes = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
    ];
    let digests = hashes
        .into_iter()
        .filter_map(|hash| request.body().digest(hash));
    let mut digests = digests.map(|digest| STANDARD.encode(digest));
    request.body().is_empty() || digests.any(|digest| value.contains(&digest))
}

pub(crate) fn verify_cavage(data: &[u8]) {
    verify_message(data, "cavage");
}

pub(crate) fn verify_http_message(data: &[u8]) {
    verify_message(data, "http_message");
}

pub(crate) fn verify_jades(data: &[u8]) {
    verify_message(data, "jades");
}

/// As a message, and where the profile is one of payloads, the rest as a JWS.
pub(crate) fn verify_jws(data: &[u8]) {
    verify_message(data, "jws");
    if let Some((profile, now, Ok(text))) =
        case(data).map(|(p, now, rest)| (p, now, std::str::from_utf8(rest)))
    {
        let (jws, payload) = text
            .split_once('\n')
            .map_or((text, None), |(jws, rest)| (jws, Some(rest.as_bytes())));
        let _ = verify::jws(profile, jws, payload, &SIGNER, &Settings::new(), now);
    }
}

/// A case with a JWT: as every kind there is, and as a DPoP proof.
pub(crate) fn jwt(data: &[u8]) {
    let Some((profile, now, Ok(text))) =
        case(data).map(|(p, now, rest)| (p, now, std::str::from_utf8(rest)))
    else {
        return;
    };
    let settings = Settings::new();
    for kind in [
        JwtKind::ClientAssertion,
        JwtKind::RequestObject,
        JwtKind::Registration,
    ] {
        let _ = verify::jwt(profile, kind, text, &SIGNER, &settings, now);
    }
    let url = "https://bank.example/v1/payments";
    let _ = verify::jwt_request_body(profile, text, url, &SIGNER, &settings, now);
    let _ = verify::jwt_answer_body(profile, text, &SIGNER, &settings, now);
    if let Some(request) = message(b"POST /v1/payments\n\n") {
        let expected = ExpectedProof {
            request: &request,
            access_token_sha256: None,
            nonce: None,
            age_seconds_max: 60,
        };
        if let Ok(proof) = verify::dpop_proof(text, expected, now) {
            assert!(!proof.jkt.is_empty());
        }
    }
}

pub(crate) fn jwe(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(jwe) = Jwe::parse(text, SIGNER.public_key()) {
        let _ = (
            jwe.algorithm(),
            jwe.encryption(),
            jwe.key_id(),
            jwe.content_type(),
            jwe.token_work(),
        );
    }
}
