//! Tables of profiles that make no sense.

use super::*;

/// What makes no sense is refused when the profile is loaded, with what to write instead.
#[test]
fn refuses_senseless_jwt_tables() {
    let head = "name = \"x\"\ntitle = \"x\"\nsource = \"x\"\nconfidence = \"seen\"\n\
        [settings]\nclient_id = \"c\"\nissuer = \"i\"\n";
    let jwt = "[jwt]\nschemes = [\"rsa-pss-sha256\"]\n";
    let assertion = "[jwt.client_assertion]\naudience = [\"issuer\"]\nlifetime_seconds = 60\n";
    let object = "[jwt.request_object]\naudience = [\"issuer\"]\nlifetime_seconds = 60\n\
        response_types = [\"code\"]\nrequired = [\"scope\"]\n";
    assert!(Profile::from_toml(&format!("{head}{jwt}{assertion}{object}")).is_ok());
    for (text, what) in [
        (format!("{head}{jwt}"), "name a kind of JWT"),
        (head.to_owned(), "say what is signed"),
        (
            format!("{head}[jwt]\nschemes = []\n{assertion}"),
            "jwt.schemes",
        ),
        (
            format!("{head}{jwt}iat_offset_seconds = 61\n{assertion}"),
            "iat_offset_seconds",
        ),
        (
            format!("{head}{jwt}skew_seconds_max = 61\n{assertion}"),
            "skew_seconds_max",
        ),
        (
            format!("{head}{jwt}{}", assertion.replace("60", "601")),
            "client_assertion.lifetime_seconds",
        ),
        (
            format!("{head}{jwt}{}", assertion.replace("60", "0")),
            "client_assertion.lifetime_seconds",
        ),
        (
            format!("{head}{jwt}{}", object.replace("60", "3601")),
            "request_object.lifetime_seconds",
        ),
        (
            format!("{head}{jwt}{}", assertion.replace("[\"issuer\"]", "[]")),
            "audience",
        ),
        (
            format!("{head}{jwt}{assertion}typ = \"dpop+jwt\"\n"),
            "another kind of JWT",
        ),
        (
            format!("{head}{jwt}{assertion}typ = \"x+jwt\"\n{object}typ = \"x+jwt\"\n"),
            "another kind of JWT",
        ),
        (
            format!("{head}{jwt}{assertion}typ = \"a b\"\n"),
            "media subtype",
        ),
        (
            format!("{head}{jwt}{object}optional = [\"scope\"]\n"),
            "listed twice",
        ),
        (
            format!("{head}{jwt}{object}optional = [\"response_mode\"]\n"),
            "response_modes",
        ),
        (
            format!("{head}{jwt}{object}response_modes = [\"jwt\"]\n"),
            "response_modes",
        ),
        (
            format!("{head}{jwt}{object}response_mode_of = {{ code = \"jwt\" }}\n"),
            "response_mode_of",
        ),
        (
            format!("{head}{jwt}{object}optional = [\"request\"]\n"),
            "unknown variant",
        ),
        (
            format!("{head}{jwt}{assertion}nbf = true\n"),
            "unknown field",
        ),
        (
            format!("{head}kid = \"k\"\n{jwt}{assertion}"),
            "nothing reads `kid`",
        ),
        (
            format!("{head}{jwt}key_id = {{ setting = \"kid\" }}\n{assertion}"),
            "say what `kid` is",
        ),
    ] {
        let error = Profile::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}
