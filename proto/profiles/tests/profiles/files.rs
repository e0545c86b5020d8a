//! Profile files: what is wrong is refused when they are loaded, with what to write instead.

mod data;

use sealkeep_profiles::profile::{Profile, ProfileError};

const HEAD: &str = "name = \"p\"\ntitle = \"t\"\nsource = \"s\"\nconfidence = \"seen\"\n";
const CAVAGE: &str = "[request.cavage]\nkey_id = \"serial-hex\"\nsigned = [\"digest\", \"x-request-id\"]\n\
    [[request.cavage.scheme]]\nscheme = \"rsa-pkcs1-sha256\"\nlabel = \"rsa-sha256\"\n\
    [request.cavage.digest]\nhash = \"sha256\"\nlabel = \"SHA-256\"\n";
const JWS: &str = "[request.jws]\nserialization = \"detached\"\npayload = \"base64url\"\n\
    schemes = [\"rsa-pss-sha256\"]\ncrit = [\"iat\"]\nmember = [\n{ name = \"alg\", from = \"algorithm\" },\n\
    { name = \"iat\", from = \"issued-at\" },\n{ name = \"crit\", from = \"crit\" },\n]\n";

fn load(body: &str) -> Result<Profile, ProfileError> {
    Profile::from_toml(&format!("{HEAD}{body}"))
}

/// Loads with one thing changed; answers with the complaint.
fn complaint(body: &str, from: &str, to: &str) -> String {
    assert!(body.contains(from), "{from}");
    load(&body.replacen(from, to, 1)).unwrap_err().to_string()
}

fn complains(body: &str, from: &str, to: &str, expected: &str) {
    let found = complaint(body, from, to);
    assert!(found.contains(expected), "{from:?} -> {to:?}: {found}");
}

#[test]
fn the_plain_files_load() {
    load(CAVAGE).unwrap();
    load(JWS).unwrap();
}

#[test]
fn refuses_unknown_keys_everywhere_with_their_line() {
    for (body, at) in [
        (CAVAGE, "[request.cavage]\n"),
        (CAVAGE, "[[request.cavage.scheme]]\n"),
        (CAVAGE, "[request.cavage.digest]\n"),
        (JWS, "[request.jws]\n"),
    ] {
        let found = complaint(body, at, &format!("{at}colour = \"red\"\n"));
        assert!(
            found.contains("colour") && found.contains("line"),
            "{found}"
        );
    }
    complains(
        JWS,
        "from = \"crit\" }",
        "from = \"crit\", colour = 1 }",
        "colour",
    );
    let extra = "[freshness]\nheader = \"date\"\nskew_seconds_max = 1\ncolour = 1\n";
    assert!(
        load(&format!("{extra}{CAVAGE}"))
            .unwrap_err()
            .to_string()
            .contains("colour")
    );
    let operation = "[[operation]]\nname = \"a\"\nmethods = [\"GET\"]\npath = \"/a\"\ncolour = 1\n";
    assert!(
        load(&format!("{CAVAGE}{operation}"))
            .unwrap_err()
            .to_string()
            .contains("colour")
    );
}

#[test]
fn refuses_parameters_that_are_not_made_yet() {
    complains(CAVAGE, "\"serial-hex\"", "\"thumbprint\"", "thumbprint");
    complains(
        CAVAGE,
        "[request.cavage]",
        "[request.http_message]",
        "http_message",
    );
    complains(
        CAVAGE,
        "\"rsa-pkcs1-sha256\"",
        "\"rsa-pkcs1-sha1\"",
        "rsa-pkcs1-sha1",
    );
    complains(CAVAGE, "\"sha256\"", "\"md5\"", "md5");
    complains(JWS, "\"detached\"", "\"flattened\"", "flattened");
}

#[test]
fn refuses_files_that_lack_what_a_profile_needs() {
    for missing in [
        "name = \"p\"\n",
        "title = \"t\"\n",
        "source = \"s\"\n",
        "confidence = \"seen\"\n",
    ] {
        let text = format!("{HEAD}{CAVAGE}").replacen(missing, "", 1);
        assert!(
            matches!(Profile::from_toml(&text), Err(ProfileError::Toml { .. })),
            "{missing}"
        );
    }
    let text = format!("{HEAD}{CAVAGE}").replacen("\"p\"", "\"P p\"", 1);
    assert!(
        Profile::from_toml(&text)
            .unwrap_err()
            .to_string()
            .contains("lower-case")
    );
    assert!(load("").is_err());
    let long = format!("{HEAD}{CAVAGE}{}", "#".repeat(64 * 1024));
    assert!(matches!(
        Profile::from_toml(&long),
        Err(ProfileError::TooLong { .. })
    ));
}

#[test]
fn refuses_cavage_parameters_that_make_no_sense_together() {
    let scheme = "scheme = \"rsa-pkcs1-sha256\"\n";
    complains(CAVAGE, scheme, "scheme = \"ecdsa-p256-sha256\"\n", "ecdsa");
    complains(
        CAVAGE,
        scheme,
        "scheme = \"rsa-pkcs1-sha256\"\necdsa = \"der\"\n",
        "ecdsa",
    );
    let second = "[[request.cavage.scheme]]\nscheme = \"rsa-pss-sha256\"\n[request.cavage.digest]";
    complains(
        CAVAGE,
        "[request.cavage.digest]",
        second,
        "one scheme a key type",
    );
    complains(CAVAGE, "\"rsa-sha256\"", "\"rsa sha256\"", "token");
    complains(CAVAGE, "\"SHA-256\"", "\"SHA=256\"", "token");
    complains(
        CAVAGE,
        "[\"digest\", \"x-request-id\"]",
        "[]",
        "list what is signed",
    );
    complains(CAVAGE, "\"x-request-id\"]", "\"digest?\"]", "twice");
    complains(CAVAGE, "[\"digest\",", "[", "protects nothing");
    complains(
        CAVAGE,
        "\"x-request-id\"]",
        "\"signature\"]",
        "carries the signature",
    );
    complains(
        CAVAGE,
        "\"x-request-id\"]",
        "\"X-Request-ID\"]",
        "no signed field",
    );
    complains(
        CAVAGE,
        "\"x-request-id\"]",
        "\"x-*-id\"]",
        "no signed field",
    );
    complains(
        CAVAGE,
        "\"x-request-id\"]",
        "\"x-request-id\"]\nnever_signed = [\"digest\"]",
        "never_signed",
    );
    complains(
        CAVAGE,
        "\"x-request-id\"]",
        "\"*\"]\nnever_signed = [\"A\"]",
        "never_signed",
    );
    let date = "[request.cavage.date]\nwhen_absent = \"set\"\n[request.cavage.digest]";
    complains(CAVAGE, "[request.cavage.digest]", date, "not in `signed`");
    let response = CAVAGE
        .replace("request.", "response.")
        .replace("\"digest\",", "\"(request-target)\", \"digest\",");
    let error = load(&format!("{CAVAGE}{response}"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("response.cavage.signed"), "{error}");
    let certificate = "[request.cavage.certificate]\nheader = \"a b\"\nencoding = \"der-base64\"\n[request.cavage.digest]";
    complains(
        CAVAGE,
        "[request.cavage.digest]",
        certificate,
        "no header name",
    );
}

#[test]
fn refuses_jws_parameters_that_make_no_sense_together() {
    complains(JWS, "[\"rsa-pss-sha256\"]", "[]", "schemes");
    complains(
        JWS,
        "[\"rsa-pss-sha256\"]",
        "[\"rsa-pss-sha256\", \"rsa-pkcs1-sha256\"]",
        "schemes",
    );
    complains(
        JWS,
        "{ name = \"alg\", from = \"algorithm\" },",
        "",
        "`alg`",
    );
    complains(
        JWS,
        "name = \"alg\"",
        "name = \"algorithm\"",
        "belongs to `alg`",
    );
    complains(
        JWS,
        "from = \"issued-at\"",
        "literal = 1, from = \"issued-at\"",
        "give one of",
    );
    complains(JWS, ", from = \"issued-at\"", "", "give one of");
    complains(JWS, "from = \"issued-at\"", "literal = [1]", "a literal is");
    complains(
        JWS,
        "from = \"issued-at\"",
        "from = \"content-type\"",
        "media type",
    );
    complains(
        JWS,
        "name = \"iat\", from = \"issued-at\"",
        "name = \"jku\", literal = \"x\"",
        "made by the format",
    );
    complains(
        JWS,
        "name = \"iat\", from",
        "name = \"crit\", from",
        "made by the format",
    );
    complains(
        JWS,
        "from = \"algorithm\"",
        "from = \"algorithm\", optional = true",
        "optional",
    );
    complains(JWS, "\"base64url\"", "\"raw\"", "`b64`");
    complains(
        JWS,
        "\"detached\"\npayload = \"base64url\"",
        "\"compact\"\npayload = \"raw\"",
        "RFC 7797",
    );
    complains(JWS, "crit = [\"iat\"]\n", "", "belong together");
    complains(JWS, "crit = [\"iat\"]", "crit = [\"exp\"]", "no member");
    complains(JWS, "crit = [\"iat\"]", "crit = [\"alg\"]", "RFC 7515");
    complains(
        JWS,
        "crit = [\"iat\"]",
        "crit = [\"iat\", \"iat\"]",
        "twice",
    );
    complains(
        JWS,
        "crit = [\"iat\"]",
        "crit = [\"iat\"]\niat_offset_seconds = -3600",
        "60 seconds",
    );
    complains(
        JWS,
        "[request.jws]\n",
        "[request.jws]\ncarrier = \"a b\"\n",
        "carrier",
    );
    let doubled = "{ name = \"iat\", from = \"issued-at\" },\n";
    complains(JWS, doubled, &doubled.repeat(2), "twice");
    let raw = JWS.replace("\"base64url\"", "\"raw\"");
    let member = "{ name = \"iat\", from = \"issued-at\" },\n";
    complains(
        &raw,
        member,
        &format!("{member}{{ name = \"b64\", from = \"unencoded-payload\" }},\n"),
        "RFC 7797",
    );
}

#[test]
fn settings_are_described_and_used() {
    let setting = JWS.replace("from = \"issued-at\"", "setting = \"iat\"");
    let error = load(&setting).unwrap_err().to_string();
    assert!(error.contains("say what `iat` is"), "{error}");
    let described = format!("[settings]\niat = \"when\"\n{setting}");
    assert_eq!(load(&described).unwrap().required_settings(), ["iat"]);
    let error = load(&CAVAGE.replace("serial-hex", "cert-url")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "profile, line 6: profile `p`: request.cavage.key_id: say what `certificate_url` is: \
         [settings] certificate_url = \"..\""
    );
    let error = load(&format!("[settings]\nother = \"x\"\n{CAVAGE}"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("nothing reads `other`"), "{error}");
}

#[test]
fn refuses_operations_that_match_nothing_or_name_no_role() {
    let row = |row: &str| load(&format!("{CAVAGE}[[operation]]\n{row}"));
    row("name = \"a\"\nmethods = [\"GET\"]\npath = \"/a\"\n").unwrap();
    for wrong in [
        "name = \"a\"\nmethods = []\npath = \"/a\"\n",
        "name = \"A\"\nmethods = [\"GET\"]\npath = \"/a\"\n",
        "name = \"a\"\nmethods = [\"get\"]\npath = \"/a\"\n",
        "name = \"a\"\nmethods = [\"GET\"]\npath = \"a\"\n",
        "name = \"a\"\nmethods = [\"GET\"]\npath = \"/a*\"\n",
        "name = \"a\"\nmethods = [\"GET\"]\npath = \"/a\"\nrole = \"PISP\"\n",
    ] {
        assert!(row(wrong).is_err(), "{wrong}");
    }
}
