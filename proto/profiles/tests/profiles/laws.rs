//! Laws that hold for every request.

use std::sync::LazyLock;

use proptest::prelude::*;
use sealkeep_profiles::format::certificate_verify::looks_like_certificate_verify;
use sealkeep_profiles::profile::{Catalog, Profile, ProfileError, Settings, Source};
use sealkeep_profiles::request::HttpRequest;
use sealkeep_profiles::verify;

use crate::support::*;

static RSA: LazyLock<Seal> = LazyLock::new(Seal::rsa);
static P256: LazyLock<Seal> = LazyLock::new(Seal::p256);

const NAMES: [&str; 10] = [
    "X-Request-ID",
    "PSU-ID",
    "PSU-Corporate-ID",
    "psu-ip-address",
    "PSU-User-Agent",
    "TPP-Redirect-URI",
    "content-type",
    "Accept",
    "Authorization",
    "X-Other",
];

prop_compose! {
    /// Headers each once, in any order; the request id is there or not.
    fn headers()(
        names in proptest::sample::subsequence(&NAMES[1..], 0..NAMES.len() - 1).prop_shuffle(),
        id in any::<u128>(),
        values in proptest::collection::vec("[ -~]{0,40}", NAMES.len()),
    ) -> Vec<(String, String)> {
        let id = format!("{id:032x}");
        let id = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
        let mut headers = vec![(NAMES[0].to_owned(), id)];
        for (name, value) in names.into_iter().zip(values) {
            let value = if name == "content-type" { "application/json".to_owned() } else { value };
            headers.push((name.to_owned(), value));
        }
        headers
    }
}

prop_compose! {
    fn any_request()(
        method in proptest::sample::select(vec!["GET", "POST", "PUT", "DELETE"]),
        target in "(/[a-zA-Z0-9_~-]{1,8}){1,4}(\\?[a-z]{1,4}=[a-zA-Z0-9%&=/?]{0,12})?",
        headers in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) -> HttpRequest {
        let target = target.replace('%', "%25");
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        request(method, &target, &headers, &body)
    }
}

fn settings(profile: &Profile) -> Settings {
    let known = [stet_settings(), obuk_settings()];
    let required = profile.required_settings().iter();
    let value = |name: &str| known.iter().find_map(|settings| settings.get(name));
    required
        .map(|name| (name.clone(), value(name).unwrap_or("registered").to_owned()))
        .collect()
}

/// Why a profile may refuse a request that is sound.
const REFUSALS: [&str; 5] = [
    "ALGORITHM_NOT_ALLOWED",
    "NOTHING_TO_SIGN",
    "HEADER_MISSING",
    "HEADER_RESERVED",
    "HEADER_MALFORMED",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_prepared_and_signed_verifies_under_every_shipped_profile(
        request in any_request(),
        which in any::<prop::sample::Index>(),
    ) {
        let mut profiles: Vec<&Profile> = Catalog::embedded().iter().collect();
        profiles.retain(|profile| profile.signs_requests());
        for profile in [which.get(&profiles)] {
            let settings = settings(profile);
            for seal in [&*RSA, &*P256] {
                let prepared = match profile.prepare(&request, &seal.certificate, &settings, vector_time()) {
                    Ok(prepared) => prepared,
                    Err(refusal) => {
                        // Half an object could be read as claims by a tolerant parser.
                        let object = request.body().bytes().unwrap().contains(&b'{');
                        let claims = object && refusal.reason() == "CLAIMS_IN_BODY";
                        prop_assert!(claims || REFUSALS.contains(&refusal.reason()), "{}: {refusal}", profile.name());
                        continue;
                    }
                };
                let fields = prepared.signed_fields().to_vec();
                prop_assert_eq!(prepared.digest(), prepared.scheme().hash().digest(prepared.to_be_signed()));
                let signed = seal.finish(prepared);
                if signed.headers().is_empty() {
                    // A body of its own: nothing arrives in the header of another.
                    let jws = signed.jws().unwrap();
                    verify::jws(profile, jws, None, &seal.certificate, &settings, vector_time()).unwrap();
                    continue;
                }
                let arrived = sent(&request, &signed);
                let verified =
                    verify::http_request(profile, &arrived, &seal.certificate, &settings, vector_time()).unwrap();
                prop_assert_eq!(verified.signed_fields, fields);
            }
        }
    }

    #[test]
    fn a_cavage_string_has_one_line_a_field_and_is_nothing_else(request in any_request()) {
        for name in ["berlin-group-1.3.4", "stet-1.4"] {
            let profile = profile(name);
            let prepared =
                profile.prepare(&request, &RSA.certificate, &settings(profile), vector_time()).unwrap();
            let string = std::str::from_utf8(prepared.to_be_signed()).unwrap();
            let lines: Vec<&str> = string.split('\n').collect();
            prop_assert_eq!(lines.len(), prepared.signed_fields().len());
            for (line, field) in lines.iter().zip(prepared.signed_fields()) {
                prop_assert!(line.starts_with(&format!("{field}: ")), "{line}");
            }
            prop_assert!(!looks_like_certificate_verify(prepared.to_be_signed()));
            prop_assert!(!string.starts_with("eyJ"));
        }
    }

    #[test]
    fn a_signature_base_has_one_line_a_component_and_is_nothing_else(request in any_request()) {
        let profile = profile("rfc9421");
        let prepared =
            profile.prepare(&request, &P256.certificate, &settings(profile), vector_time()).unwrap();
        let base = std::str::from_utf8(prepared.to_be_signed()).unwrap();
        let (lines, params) = base.rsplit_once('\n').unwrap();
        prop_assert!(params.starts_with("\"@signature-params\": (\"@method\" "));
        prop_assert_eq!(lines.split('\n').count(), prepared.signed_fields().len());
        for (line, field) in lines.split('\n').zip(prepared.signed_fields()) {
            prop_assert!(line.starts_with(&format!("\"{field}\": ")), "{line}");
        }
        prop_assert!(!looks_like_certificate_verify(prepared.to_be_signed()));
    }

    #[test]
    fn a_jws_input_begins_with_its_header_and_is_nothing_else(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
        let body = [b"no object: ", &rest[..]].concat();
        for name in ["obuk-3.1.3", "obuk-3.1.4"] {
            let prepared =
                profile(name).prepare_jws(&body, &RSA.certificate, &obuk_settings(), vector_time()).unwrap();
            prop_assert!(prepared.to_be_signed().starts_with(b"eyJ"));
            prop_assert!(!looks_like_certificate_verify(prepared.to_be_signed()));
            let jws = RSA.finish(prepared).jws().unwrap().to_owned();
            let verify = |body: &[u8]| {
                verify::jws(profile(name), &jws, Some(body), &RSA.certificate, &obuk_settings(), vector_time())
            };
            verify(&body).unwrap();
            let mut other = body.clone();
            other[0] ^= 1;
            prop_assert!(verify(&other).is_err());
        }
    }

    #[test]
    fn nothing_from_outside_makes_the_parser_or_the_verifier_panic(
        method in "\\PC{0,8}",
        target in "(/?\\PC{0,20}|[/.%a-f0-9?]{0,20})",
        headers in proptest::collection::vec(("\\PC{0,8}", proptest::collection::vec(any::<u8>(), 0..20)), 0..4),
        input in "sig1=\\((\"@(method|query|status|query-param)\"|\"a\"|;req|;sf|;key=\"a\"|;name=\"a\"| ){0,8}\\)(;created=15372642[0-9]{2}|;keyid=\"a\"|;tag=a){0,4}|\\PC{0,20}",
        signature in "(keyId|algorithm|headers|signature|[\"=, a-z]){0,12}|[A-Za-z0-9._-]{0,60}",
    ) {
        if let Ok(request) = request_of(&method, &target, &headers, b"") {
            let mut headers: Lines = headers;
            let carried = if input.starts_with("sig1=") { "sig1=:AAAA:" } else { &signature };
            headers.push(("Signature".into(), carried.as_bytes().to_vec()));
            headers.push(("Signature-Input".into(), input.into_bytes()));
            headers.push(("x-jws-signature".into(), signature.into_bytes()));
            let Ok(arrived) = request_of(request.method().as_str(), request.target(), &headers, b"") else {
                return Ok(());
            };
            for profile in Catalog::embedded().iter() {
                let verified = verify::http_request(
                    profile, &arrived, &RSA.certificate, &settings(profile), vector_time(),
                );
                prop_assert!(verified.is_err());
            }
        }
    }

    #[test]
    fn a_damaged_profile_file_is_refused_with_its_line_or_still_a_profile(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        len in 0_usize..40,
        instead in "[ -~\\n]{0,12}",
    ) {
        let shipped: Vec<Source<'_>> = Catalog::shipped().map(|shipped| shipped.profile).collect();
        let source = which.get(&shipped);
        let start = at.index(source.text.len());
        let end = (start + len).min(source.text.len());
        let mut bytes = source.text.as_bytes().to_vec();
        bytes.splice(start..end, instead.bytes());
        let text = String::from_utf8_lossy(&bytes);
        let damaged = Source { file: "damaged.toml", text: &text };
        match Profile::from_source(damaged) {
            Err(ProfileError::Toml { file, line, .. } | ProfileError::Senseless { file, line, .. }) => {
                let said = shipped.iter().chain([&damaged]).find(|source| source.file == file).unwrap();
                prop_assert!((1..=said.text.lines().count() + 1).contains(&line), "{file}, line {line}");
            }
            Err(other) => prop_assert!(false, "{other}"),
            Ok(profile) => prop_assert!(!profile.name().is_empty()),
        }
    }

    #[test]
    fn any_change_of_a_signed_value_is_found(request in any_request(), place in any::<prop::sample::Index>()) {
        let profile = profile("stet-1.4");
        let settings = stet_settings();
        let prepared = profile.prepare(&request, &P256.certificate, &settings, vector_time());
        prop_assert_eq!(prepared.unwrap_err().reason(), "ALGORITHM_NOT_ALLOWED");
        let prepared = profile.prepare(&request, &RSA.certificate, &settings, vector_time()).unwrap();
        let fields = prepared.signed_fields().to_vec();
        let signed = RSA.finish(prepared);
        let arrived = sent_with(&request, &signed, |headers| {
            let signed: Vec<usize> = headers
                .iter()
                .enumerate()
                .filter(|(_, (name, _))| fields.contains(&name.to_ascii_lowercase()))
                .map(|(index, _)| index)
                .collect();
            let (_, value) = &mut headers[signed[place.index(signed.len())]];
            value.extend(b"x");
        });
        let verified = verify::http_request(profile, &arrived, &RSA.certificate, &settings, vector_time());
        prop_assert!(verified.is_err());
    }
}
