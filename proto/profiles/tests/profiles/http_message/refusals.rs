//! What is not loaded and what is not signed, one refusal after the other.

use sealkeep_profiles::algorithm::HashAlgorithm;
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{BodyParts, HttpRequest, HttpResponse, RequestParts};

use super::{covering, requests, try_profile};
use crate::support::*;

fn complaint(side: &str, parameters: &str) -> String {
    let request = format!("[request.http_message]\n{}", covering("\"@method\""));
    let text = match side {
        "request" => format!("[request.http_message]\n{parameters}"),
        _ => format!("{request}[response.http_message]\n{parameters}"),
    };
    try_profile(&text).unwrap_err().to_string()
}

fn refused(side: &str, components: &str, what: &str) {
    let error = complaint(side, &covering(components));
    assert!(error.contains(what), "{components}: {error}");
}

#[test]
fn refuses_components_that_make_no_sense() {
    for (component, what) in [
        ("\"@methods\"", "it is none of @method"),
        ("\"@signature-params\"", "it is none of @method"),
        ("\"@\"", "it is none of @method"),
        ("\"X-A\"", "a field name is a lower-case token"),
        ("\"x a\"", "a field name is a lower-case token"),
        ("\"\"", "a field name is a lower-case token"),
        ("'\"x-a\"'", "without quotation marks"),
        ("\"x-a;tr\"", "`tr`: trailers are not signed here"),
        ("\"x-a;foo\"", "`foo` is no parameter of a component"),
        ("\"x-a;sf=?0\"", "`sf` takes no value"),
        ("\"x-a;sf=1\"", "`sf` takes no value"),
        ("\"x-a;key=a\"", "`key` takes a string"),
        ("'x-a;key=\"A\"'", "`key` is no key of a dictionary"),
        ("\"x-a;sf;bs\"", "exclude each other"),
        ("'x-a;sf;key=\"a\"'", "exclude each other"),
        ("'x-a;bs;key=\"a\"'", "exclude each other"),
        ("'x-a;name=\"a\"'", "`name` belongs to `@query-param`"),
        ("'@path;name=\"a\"'", "`name` belongs to `@query-param`"),
        ("\"@query-param\"", "`@query-param` needs"),
        ("\"@method;sf\"", "belong to fields"),
        ("\"@method;bs\"", "belong to fields"),
        ("'@method;key=\"a\"'", "belong to fields"),
        ("\"x-a;\"", "no structured field parameters"),
        ("\"x-a;key=\"", "no structured field parameters"),
        ("\"@status\"", "a request has no status"),
        ("\"@path;req\"", "`req` is for responses"),
        ("\"x-a\", \"x-a?\"", "`x-a` is listed twice"),
        ("'x-a;key=\"b\"', 'x-a;key=\"b\"'", "is listed twice"),
        ("\"x-a;sf\"", "say in `structured`"),
        ("\"signature\"", "cannot cover itself"),
        ("\"signature-input;bs\"", "cannot cover itself"),
        ("'signature;key=\"sig\"'", "cannot cover itself"),
        ("\"content-digest\"", "nobody checks it"),
        ("", "list what is covered"),
    ] {
        refused("request", component, what);
    }
    for (component, what) in [
        ("\"@method\"", "write `;req` after it"),
        ("'@query-param;name=\"a\"'", "write `;req` after it"),
        ("\"@status;req\"", "a request has no status"),
    ] {
        refused("response", component, what);
    }
    requests(&covering("'signature;key=\"proxy\"', \"repr-digest;sf\""));
}

#[test]
fn refuses_parameters_that_make_no_sense() {
    let base = covering("\"@method\"");
    for (from, to, what) in [
        ("label = \"sig\"", "label = \"Sig\"", "label: begin it"),
        ("[\"created\"]", "[]", "replayed for ever"),
        (
            "[\"created\"]",
            "[\"created\", \"created\"]",
            "`created` is listed twice",
        ),
        (
            "[\"created\"]",
            "[\"created\", \"keyid\"]",
            "`keyid` belongs to `key_id`",
        ),
        (
            "[\"created\"]",
            "[\"created\", \"tag\"]",
            "`tag` belongs to `tag`",
        ),
        (
            "[\"created\"]",
            "[\"created\", \"expires\"]",
            "`expires` belongs to `lifetime_seconds`",
        ),
        (
            "[\"created\"]",
            "[\"created\", \"nonce\"]",
            "`nonce` belongs to `nonce_from`",
        ),
        (
            "[\"created\"]",
            "[\"created\", \"alg\"]",
            "no registered name for ecdsa-p521-sha512",
        ),
        (
            "[\"created\"]",
            "[\"created\", \"foo\"]",
            "unknown variant `foo`",
        ),
        (
            "[\"created\"]",
            "[\"created\"]\ntag = \"a\"",
            "`tag` belongs to `tag`",
        ),
        (
            "[\"created\"]",
            "[\"created\", \"tag\"]\ntag = \"\\u00e4\"",
            "tag: printable ASCII",
        ),
        (
            "[\"created\"]",
            "[\"created\", \"nonce\"]\nnonce_from = \"X-A\"",
            "nonce_from: write",
        ),
        (
            "age_seconds_max = 300",
            "age_seconds_max = 0",
            "at least one second",
        ),
        (
            "age_seconds_max = 300",
            "",
            "missing field `age_seconds_max`",
        ),
        (
            "age_seconds_max = 300",
            "age_seconds_max = 1\nlabels = 1",
            "unknown field `labels`",
        ),
        (
            "\"rsa-pss-sha512\"",
            "\"rsa-pss-sha512\", \"rsa-pss-sha256\"",
            "one a key type",
        ),
        ("\"ed25519\"", "\"ed448\"", "unknown variant `ed448`"),
    ] {
        assert!(base.contains(from), "{from}");
        let error = complaint("request", &base.replacen(from, to, 1));
        assert!(error.contains(what), "{to}: {error}");
    }
}

#[test]
fn refuses_fields_that_make_no_sense() {
    let base = covering("\"@method\"");
    for (more, what) in [
        (
            "[request.http_message.digest]\nhash = \"sha256\"\n",
            "`content-digest` is not in `covered`",
        ),
        (
            "[request.http_message.digest]\nhash = \"sha384\"\n",
            "sha256 or sha512",
        ),
        (
            "[request.http_message.digest]\nhash = \"sha1\"\n",
            "unknown variant `sha1`",
        ),
        (
            "[[request.http_message.set]]\nheader = \"x-a\"\nsetting = \"a\"\n",
            "set: `x-a` is not in",
        ),
        (
            "[request.http_message.structured]\nX-A = \"list\"\n",
            "no lower-case header name",
        ),
    ] {
        let error = complaint("request", &format!("{base}{more}"));
        assert!(error.contains(what), "{more}: {error}");
    }
}

fn reason(components: &str, more: &str, request: &HttpRequest) -> (&'static str, String) {
    let profile = requests(&format!("{}{more}", covering(components)));
    let refusal = profile
        .prepare(
            request,
            &Seal::p256().certificate,
            &no_settings(),
            vector_time(),
        )
        .unwrap_err();
    (refusal.reason(), refusal.field())
}

#[test]
fn refuses_a_field_that_is_not_there() {
    let get = request("GET", "/", &[], b"");
    for component in ["\"x-a\"", "\"x-a;bs\""] {
        assert_eq!(
            reason(component, "", &get),
            ("HEADER_MISSING", "headers[\"x-a\"]".into())
        );
    }
    assert_eq!(
        reason("\"x-a?\"", "", &get),
        ("NOTHING_TO_SIGN", "method".into())
    );
    let more = "nonce_from = \"x-id\"\n";
    let profile = covering("\"@method\"").replace("[\"created\"]", "[\"created\", \"nonce\"]");
    for sent in [get, request("GET", "/", &[("X-Id", "")], b"")] {
        let refusal = requests(&format!("{profile}{more}"))
            .prepare(
                &sent,
                &Seal::p256().certificate,
                &no_settings(),
                vector_time(),
            )
            .unwrap_err();
        assert_eq!(refusal.field(), "headers[\"x-id\"]");
    }
}

const DIGEST: &str = "[request.http_message.digest]\nhash = \"sha256\"\n";

#[test]
fn refuses_a_digest_of_something_else() {
    let right = "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:";
    let with = |digest: &str| request("POST", "/", &[("Content-Digest", digest)], b"{}");
    for wrong in [
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        "SHA-256=RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=",
        "sha-512=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:",
        "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:, unixsum=1",
    ] {
        assert_eq!(
            reason("\"content-digest\"", DIGEST, &with(wrong)),
            ("DIGEST_MISMATCH", "headers[\"content-digest\"]".into()),
            "{wrong}"
        );
    }
    requests(&format!("{}{DIGEST}", covering("\"content-digest\"")))
        .prepare(
            &with(right),
            &Seal::p256().certificate,
            &no_settings(),
            vector_time(),
        )
        .unwrap();
    let twice = request(
        "POST",
        "/",
        &[("content-digest", right), ("Content-Digest", right)],
        b"{}",
    );
    assert_eq!(
        reason("\"content-digest\"", DIGEST, &twice).0,
        "HEADER_REPEATED"
    );
    let digests = [(HashAlgorithm::Sha512, HashAlgorithm::Sha512.digest(b"{}"))];
    let other_hash = HttpRequest::parse(RequestParts {
        method: "POST",
        authority: "bank.example",
        target: "/",
        headers: &[],
        body: BodyParts {
            bytes: None,
            digests: &digests,
        },
    });
    assert_eq!(
        reason("\"content-digest\"", DIGEST, &other_hash.unwrap()),
        ("DIGEST_REQUIRED", "body_digests".into())
    );
}

#[test]
fn adds_its_signature_to_those_of_others_and_never_replaces_one() {
    let prepare = |input: &str, signature: &str| {
        let headers = [("signature-input", input), ("Signature", signature)];
        let profile = requests(&covering("\"@method\""));
        let seal = Seal::p256();
        let request = request("GET", "/", &headers, b"");
        let prepared =
            profile.prepare(&request, &seal.certificate, &no_settings(), vector_time())?;
        Ok::<_, Refusal>(prepared.outline())
    };
    let set = prepare("proxy=(\"@path\");created=1", "proxy=:AAAA:").unwrap();
    assert_eq!(
        set,
        [
            (
                "Signature-Input".to_owned(),
                "proxy=(\"@path\");created=1, sig=(\"@method\");created=1537264261".to_owned()
            ),
            (
                "Signature".to_owned(),
                "proxy=:AAAA:, sig=:<signature>:".to_owned()
            ),
        ]
    );
    // Fields with nothing in them are as none.
    let set = prepare("", "").unwrap();
    assert_eq!(set[0].1, "sig=(\"@method\");created=1537264261");
    assert_eq!(set[1].1, "sig=:<signature>:");
    for (input, signature) in [
        ("sig=();created=1", "sig=:AAAA:"),
        ("other=()", "sig=:AAAA:"),
        ("a=(), a=()", "a=:AAAA:"),
    ] {
        let refusal = prepare(input, signature).unwrap_err();
        assert_eq!(refusal.reason(), "SIGNATURE_LABEL_TAKEN", "{input}");
    }
    let refusal = prepare("a=()", "keyId=\"x\",algorithm=\"y\" z").unwrap_err();
    assert_eq!(refusal.reason(), "HEADER_MALFORMED");
    assert_eq!(refusal.field(), "headers[\"signature\"]");
}

#[test]
fn refuses_a_response_without_the_request_it_is_bound_to() {
    let response = HttpResponse::parse(200, &[], BodyParts::default()).unwrap();
    let settings = [("bank_key_id", "bank")].into_iter().collect();
    let refusal = profile("rfc9421")
        .prepare_response(
            &response,
            &Seal::p256().certificate,
            &settings,
            vector_time(),
        )
        .unwrap_err();
    assert_eq!(refusal.reason(), "REQUEST_REQUIRED");
    assert_eq!(refusal.field(), "request");
}

/// A header of the question is no header of the answer, where the caller would look for it.
#[test]
fn names_a_field_that_the_request_has_not_as_a_component() {
    let (asks, answers) = (covering("\"@method\""), covering("\"x-a;req\""));
    let profile = try_profile(&format!(
        "[request.http_message]\n{asks}[response.http_message]\n{answers}"
    ));
    let response = HttpResponse::parse(200, &[], BodyParts::default()).unwrap();
    let answering = response.answering(request("GET", "/", &[], b""));
    let certificate = &Seal::p256().certificate;
    let refusal = profile
        .unwrap()
        .prepare_response(&answering, certificate, &no_settings(), vector_time())
        .unwrap_err();
    let name = "x-a;req".to_owned();
    assert_eq!(refusal, Refusal::ComponentMissing { name });
}

#[test]
fn refuses_a_key_the_profile_has_no_scheme_for_and_a_header_it_sets() {
    let get = request("GET", "/sell/finances/v1/payout", &[], b"");
    let settings = [("signature_key", "a.b.c.d.e")].into_iter().collect();
    let ebay = profile("ebay");
    let refusal = ebay
        .prepare(&get, &Seal::p521().certificate, &settings, vector_time())
        .unwrap_err();
    assert_eq!(refusal.reason(), "ALGORITHM_NOT_ALLOWED");
    let refusal = ebay
        .prepare(
            &get,
            &Seal::rsa().certificate,
            &no_settings(),
            vector_time(),
        )
        .unwrap_err();
    assert_eq!(refusal.field(), "settings[\"signature_key\"]");
    let other = request("GET", "/", &[("x-ebay-signature-key", "other")], b"");
    let refusal = ebay
        .prepare(&other, &Seal::rsa().certificate, &settings, vector_time())
        .unwrap_err();
    assert_eq!(refusal.reason(), "HEADER_RESERVED");
}
