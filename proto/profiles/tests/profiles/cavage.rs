//! Parameters of draft-cavage that few banks use: carriers, times, targets, hosts. Signed and verified, one refusal one test.

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::profile::{Profile, ProfileError};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::HttpRequest;
use sealkeep_profiles::verify::{self, Verified, VerifyError};

use crate::support::*;

fn load(parameters: &str) -> Result<Profile, ProfileError> {
    Profile::from_toml(&format!(
        "name = \"p\"\ntitle = \"t\"\nsource = \"s\"\nconfidence = \"seen\"\n[request.cavage]\n\
         key_id = \"serial-hex\"\n{parameters}"
    ))
}

const RS256: &str =
    "[[request.cavage.scheme]]\nscheme = \"rsa-pkcs1-sha256\"\nlabel = \"rsa-sha256\"\n";

fn with(parameters: &str) -> Profile {
    load(&format!("{parameters}\n{RS256}")).unwrap()
}

fn refuses_to_load(parameters: &str, expected: &str) {
    let error = load(&format!("{parameters}\n{RS256}"))
        .unwrap_err()
        .to_string();
    assert!(error.contains(expected), "{error}");
}

/// The string to sign and the value of the carrier.
fn outline(profile: &Profile, request: &HttpRequest) -> Result<(String, String), Refusal> {
    let prepared = profile.prepare(request, &example_tpp(), &no_settings(), vector_time())?;
    let carried = prepared.outline().pop().unwrap().1;
    let string = String::from_utf8(prepared.to_be_signed().to_vec()).unwrap();
    Ok((string, carried))
}

/// Signs, changes what was sent, verifies some seconds later.
fn verified_after(
    profile: &Profile,
    request: &HttpRequest,
    seconds: i64,
    change: impl FnOnce(&mut Lines),
) -> Result<Verified, VerifyError> {
    let seal = Seal::rsa();
    let prepared = profile
        .prepare(request, &seal.certificate, &no_settings(), vector_time())
        .unwrap();
    let arrived = sent_with(request, &seal.finish(prepared), change);
    let now = vector_time() + SignedDuration::from_secs(seconds);
    verify::http_request(profile, &arrived, &seal.certificate, &no_settings(), now)
}

fn get(headers: &[(&str, &str)]) -> HttpRequest {
    request("GET", "/v3/accounts?limit=2", headers, b"")
}

const AFTER_BEARER: &str = "carrier = \"authorization-after-bearer\"\nsigned = [\"accept\"]";

#[test]
fn the_signature_stands_behind_the_bearer_token() {
    let profile = with(AFTER_BEARER);
    let request = get(&[
        ("Accept", "a"),
        ("Authorization", "Bearer abc.DEF-1_2~3+4/5=="),
    ]);
    let (string, carried) = outline(&profile, &request).unwrap();
    assert_eq!(string, "accept: a");
    let expected = "Bearer abc.DEF-1_2~3+4/5==;Signature keyId=\"a9fa1c3d0e\",algorithm=\"rsa-sha256\",\
         headers=\"accept\",signature=\"<signature>\"";
    assert_eq!(carried, expected);
    verified_after(&profile, &request, 0, |_| {}).unwrap();
    let without_token = |headers: &mut Lines| {
        replace(headers, "Authorization", |value| {
            value.split_once(';').unwrap().1.to_owned()
        });
    };
    let error = verified_after(&profile, &request, 0, without_token).unwrap_err();
    assert_eq!(error.reason(), "SIGNATURE_MISSING");
}

#[test]
fn refuses_what_is_no_bearer_token_in_front_of_the_signature() {
    let profile = with(AFTER_BEARER);
    let refusal = |headers: &[(&str, &str)]| outline(&profile, &get(headers)).unwrap_err().reason();
    assert_eq!(refusal(&[("Accept", "a")]), "HEADER_MISSING");
    for value in [
        "Basic abc",
        "Bearer ",
        "Bearer a;Signature b",
        "Bearer a b",
        "bearer a",
    ] {
        let headers = [("Accept", "a"), ("Authorization", value)];
        assert_eq!(refusal(&headers), "HEADER_MALFORMED", "{value}");
    }
    let twice = [
        ("Accept", "a"),
        ("Authorization", "Bearer a"),
        ("authorization", "Bearer b"),
    ];
    assert_eq!(refusal(&twice), "HEADER_REPEATED");
}

#[test]
fn a_response_is_never_carried_in_authorization() {
    let response = "[response.cavage]\nkey_id = \"serial-hex\"\ncarrier = \"authorization-after-bearer\"\n\
        signed = [\"date\"]\n[[response.cavage.scheme]]\nscheme = \"rsa-pkcs1-sha256\"\n";
    let error = load(&format!("signed = [\"date\"]\n{RS256}{response}")).unwrap_err();
    assert!(error.to_string().contains("no Authorization"), "{error}");
    let host = response.replace(
        "carrier = \"authorization-after-bearer\"",
        "authority_header = \"X\"",
    );
    let host = host.replace("[\"date\"]", "[\"x\"]");
    let error = load(&format!("signed = [\"date\"]\n{RS256}{host}")).unwrap_err();
    assert!(error.to_string().contains("no authority"), "{error}");
}

const CREATED: &str = "signed = [\"(created)\", \"(expires)\", \"accept\"]\n\
    created = { expires_after_seconds = 60 }";

#[test]
fn times_are_signed_parameters_with_and_without_parentheses() {
    let request = get(&[("Accept", "a")]);
    let (string, carried) = outline(&with(CREATED), &request).unwrap();
    assert_eq!(
        string,
        "(created): 1537264261\n(expires): 1537264321\naccept: a"
    );
    let expected =
        "headers=\"(created) (expires) accept\",created=1537264261,expires=1537264321,signature=";
    assert!(carried.contains(expected), "{carried}");
    let parentheses = CREATED.replace("{ ", "{ parentheses = true, ");
    let (_, carried) = outline(&with(&parentheses), &request).unwrap();
    let expected = ",(created)=1537264261,(expires)=1537264321,signature=";
    assert!(carried.contains(expected), "{carried}");
    let only = with("signed = [\"(created)\"]\ncreated = {}");
    let (string, carried) = outline(&only, &request).unwrap();
    assert_eq!(string, "(created): 1537264261");
    assert!(!carried.contains("expires"), "{carried}");
}

#[test]
fn a_signature_is_verified_between_its_times() {
    let request = get(&[("Accept", "a")]);
    let profile = with(CREATED);
    let at = |seconds| verified_after(&profile, &request, seconds, |_| {});
    let verified = at(60).unwrap();
    assert_eq!(verified.issued_at, Some(vector_time()));
    assert_eq!(verified.signed_fields, ["(created)", "(expires)", "accept"]);
    assert_eq!(at(61).unwrap_err().reason(), "EXPIRED");
    at(-10).unwrap();
    assert_eq!(at(-11).unwrap_err().reason(), "STALE");
    let change = |from: &'static str, to: &'static str| {
        let change = |headers: &mut Lines| {
            replace(headers, "Signature", |value| {
                assert!(value.contains(from));
                value.replace(from, to)
            });
        };
        verified_after(&profile, &request, 0, change)
            .unwrap_err()
            .reason()
    };
    assert_eq!(change("created=1537264261,", ""), "PARAMETER_MISSING");
    assert_eq!(change("expires=1537264321,", ""), "PARAMETER_MISSING");
    assert_eq!(
        change("expires=1537264321", "expires=1537264322"),
        "SIGNATURE_INVALID"
    );
    assert_eq!(
        change("created=1537264261", "created=1537264260"),
        "SIGNATURE_INVALID"
    );
    assert_eq!(
        change("created=1537264261", "created=99999999999999999999"),
        "PARAMETER_MALFORMED"
    );
    assert_eq!(
        change("created=1537264261", "created=\"-1x\""),
        "PARAMETER_MALFORMED"
    );
}

#[test]
fn times_and_their_lines_belong_together() {
    for (parameters, expected) in [
        ("signed = [\"(created)\"]", "needs a table `created`"),
        (
            "signed = [\"date\"]\ncreated = {}",
            "`(created)` is not in `signed`",
        ),
        (
            "signed = [\"(created)\", \"(expires)\"]\ncreated = {}",
            "needs `created.expires_after_seconds`",
        ),
        (
            "signed = [\"(created)\"]\ncreated = { expires_after_seconds = 60 }",
            "`(expires)` is not in `signed`",
        ),
        (
            "signed = [\"(created)\", \"(expires)\"]\ncreated = { expires_after_seconds = 0 }",
            "at least 1",
        ),
        (
            "signed = [\"(expires)\"]",
            "needs `created.expires_after_seconds`",
        ),
    ] {
        refuses_to_load(parameters, expected);
    }
}

#[test]
fn the_target_can_be_absolute_and_can_begin_elsewhere() {
    let target = |parameters: &str, target: &str| {
        let profile = with(&format!(
            "signed = [\"(request-target)\"]\nrequest_target = {{ {parameters} }}"
        ));
        outline(&profile, &request("GET", target, &[], b""))
            .unwrap()
            .0
    };
    assert_eq!(
        target("absolute = true", "/v3/a?b=/c"),
        "(request-target): get https://bank.example/v3/a?b=/c"
    );
    let prefix = "path_prefix = \"/psd2/v2\"";
    assert_eq!(
        target(prefix, "/a?b=c"),
        "(request-target): get /psd2/v2/a?b=c"
    );
    assert_eq!(
        target(prefix, "/psd2/v2/a"),
        "(request-target): get /psd2/v2/a"
    );
    assert_eq!(target(prefix, "/psd2/v2"), "(request-target): get /psd2/v2");
    assert_eq!(
        target(prefix, "/psd2/v22"),
        "(request-target): get /psd2/v2/psd2/v22"
    );
    let all = format!("{prefix}, absolute = true, query = false, method = \"PUT\"");
    assert_eq!(
        target(&all, "/a?b"),
        "(request-target): put https://bank.example/psd2/v2/a"
    );
    for prefix in ["psd2", "/psd2/", "/", ""] {
        let parameters = format!(
            "signed = [\"(request-target)\"]\nrequest_target = {{ path_prefix = \"{prefix}\" }}"
        );
        refuses_to_load(&parameters, "request_target.path_prefix");
    }
}

#[test]
fn host_is_the_authority_also_when_nobody_sent_it() {
    let profile = with("signed = [\"host\"]");
    let (string, _) = outline(&profile, &get(&[])).unwrap();
    assert_eq!(string, "host: bank.example");
    assert_eq!(
        outline(&profile, &get(&[("Host", "bank.example")]))
            .unwrap()
            .0,
        string
    );
    verified_after(&profile, &get(&[]), 0, |_| {}).unwrap();
    let named = with("signed = [\"host\"]\nnames = \"as-sent\"");
    assert_eq!(outline(&named, &get(&[])).unwrap().0, "Host: bank.example");
}

/// Whoever sends a request writes `Host` first (RFC 9112 section 3.2).
#[test]
fn host_that_nobody_sent_comes_first_in_the_order_of_sending() {
    let profile = with("signed = [\"accept\", \"date\", \"host\"]\norder = \"sent\"");
    let sent = [("Date", VECTOR_DATE), ("Accept", "a/b")];
    let (string, _) = outline(&profile, &get(&sent)).unwrap();
    let expected = format!("host: bank.example\ndate: {VECTOR_DATE}\naccept: a/b");
    assert_eq!(string, expected);
}

#[test]
fn the_authority_may_stand_in_a_header_of_its_own() {
    let parameters = "signed = [\"x-originating-host\"]\nauthority_header = \"X-Originating-Host\"";
    let profile = with(parameters);
    let prepared = profile
        .prepare(&get(&[]), &example_tpp(), &no_settings(), vector_time())
        .unwrap();
    let set = ("X-Originating-Host".to_owned(), "bank.example".to_owned());
    assert_eq!(prepared.outline()[0], set);
    verified_after(&profile, &get(&[]), 0, |_| {}).unwrap();
    let same = get(&[("x-originating-host", "bank.example")]);
    verified_after(&profile, &same, 0, |_| {}).unwrap();
    let other = get(&[("X-Originating-Host", "other.example")]);
    assert_eq!(
        outline(&profile, &other).unwrap_err().reason(),
        "HEADER_MALFORMED"
    );
    let change = |headers: &mut Lines| {
        replace(headers, "X-Originating-Host", |_| "other.example".into());
    };
    let error = verified_after(&profile, &get(&[]), 0, change).unwrap_err();
    assert_eq!(error.reason(), "HEADER_MALFORMED");
    refuses_to_load(
        "signed = [\"date\"]\nauthority_header = \"X-Host\"",
        "not in `signed`",
    );
}

/// draft-cavage-12 appendix E.2: the label says nothing, the key's metadata does.
#[test]
fn hs2019_is_a_label_like_any_other() {
    let profile = load(
        "signed = [\"accept\"]\n[[request.cavage.scheme]]\nscheme = \"rsa-pss-sha512\"\nlabel = \"hs2019\"\n",
    )
    .unwrap();
    let request = get(&[("Accept", "a")]);
    let verified = verified_after(&profile, &request, 0, |_| {}).unwrap();
    assert_eq!(verified.scheme.name(), "rsa-pss-sha512");
    let change = |headers: &mut Lines| {
        replace(headers, "Signature", |value| {
            value.replace("hs2019", "rsa-sha512")
        });
    };
    let error = verified_after(&profile, &request, 0, change).unwrap_err();
    assert_eq!(error.reason(), "ALGORITHM_LABEL");
}

#[test]
fn dates_are_spelled_as_the_profile_says() {
    let date = |form: &str, header: &str, now: Timestamp| {
        let profile = with(&format!(
            "signed = [\"{}\"]\ndate = {{ header = \"{header}\", form = \"{form}\", when_absent = \"set\" }}",
            header.to_ascii_lowercase()
        ));
        let seal = Seal::rsa();
        let prepared = profile.prepare(&get(&[]), &seal.certificate, &no_settings(), now);
        let signed = seal.finish(prepared.unwrap());
        let arrived = sent(&get(&[]), &signed);
        let verified =
            verify::http_request(&profile, &arrived, &seal.certificate, &no_settings(), now);
        assert_eq!(verified.unwrap().issued_at, Some(now));
        signed.headers()[0].clone()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let now = vector_time();
    assert_eq!(date("imf-fixdate", "Date", now), pair("Date", VECTOR_DATE));
    assert_eq!(
        date("paris-zone-text", "Date", now),
        pair("Date", "Tue, 18 Sep 2018 11:51:01 CEST")
    );
    assert_eq!(
        date("iso-8601-offset", "X-Date", now),
        pair("X-Date", "2018-09-18T09:51:01.0000000+00:00")
    );
}

#[test]
fn a_fresh_date_is_read_in_the_spelling_of_the_profile() {
    let read = |name: &str, value: &str| profile(name).freshness().unwrap().date(value);
    let paris = "Tue, 18 Sep 2018 11:51:01 CEST";
    assert_eq!(read("lcl-ais", paris), Some(vector_time()));
    assert_eq!(read("lcl-ais", VECTOR_DATE), None);
    assert_eq!(read("stet-1.4", VECTOR_DATE), Some(vector_time()));
    assert_eq!(read("stet-1.4", paris), None);
}
