//! What a profile signs, in which order and spelling, is data.

use super::*;

#[test]
fn signed_sets_orders_and_names_are_data() {
    use crate::support::*;
    let strings = |parameters: &str| {
        let profile = load(&format!(
            "[request.cavage]\nkey_id = \"serial-hex\"\n{parameters}\n\
             [[request.cavage.scheme]]\nscheme = \"rsa-pkcs1-sha256\"\n"
        ))
        .unwrap();
        let headers = [
            ("Web-API-Key", "k"),
            ("Authorization", "Bearer t"),
            ("accept", "a"),
            ("Accept", "b"),
            ("Date", "d"),
        ];
        let request = request("PUT", "/p?q=1", &headers, b"");
        let prepared = profile.prepare(&request, &example_tpp(), &no_settings(), vector_time())?;
        let listed = prepared.outline().pop().unwrap().1;
        let listed = listed
            .split("headers=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        Ok::<_, sealkeep_profiles::refusal::Refusal>((
            String::from_utf8(prepared.to_be_signed().to_vec()).unwrap(),
            listed,
        ))
    };
    let expect = |parameters: &str, string: &str, listed: &str| {
        assert_eq!(
            strings(parameters).unwrap(),
            (string.to_owned(), listed.to_owned()),
            "{parameters}"
        );
    };
    // Repeats are joined where the profile says they may be, and refused where it does not.
    expect("signed = [\"accept[]\"]", "accept: a, b", "accept");
    assert_eq!(
        strings("signed = [\"accept\"]").unwrap_err().reason(),
        "HEADER_REPEATED"
    );
    assert_eq!(
        strings("signed = [\"*\"]").unwrap_err().reason(),
        "HEADER_REPEATED"
    );
    assert_eq!(
        strings("signed = [\"psu-*\"]").unwrap_err().reason(),
        "NOTHING_TO_SIGN"
    );
    // All that is sent but what is excluded, in the order sent.
    expect(
        "signed = [\"(request-target)\", \"accept[]\", \"*\"]\norder = \"sent\"\nnever_signed = [\"authorization\"]",
        "(request-target): put /p?q=1\nweb-api-key: k\naccept: a, b\ndate: d",
        "(request-target) web-api-key accept date",
    );
    // Names as sent in the list only, sorted by code point, and in both.
    let signed = "signed = [\"web-api-key\", \"date\", \"authorization\"]\n";
    expect(
        &format!("{signed}order = \"sorted\"\nnames = \"list-as-sent\""),
        "authorization: Bearer t\ndate: d\nweb-api-key: k",
        "Authorization Date Web-API-Key",
    );
    expect(
        &format!("{signed}names = \"as-sent\""),
        "Web-API-Key: k\nDate: d\nAuthorization: Bearer t",
        "Web-API-Key Date Authorization",
    );
    // The target without its query, under another method.
    expect(
        "signed = [\"(request-target)\"]\nrequest_target = { query = false, method = \"POST\" }",
        "(request-target): post /p",
        "(request-target)",
    );
    expect(
        "signed = [\"date?\", \"psu-id?\"]\ntrailing_line_feed = true",
        "date: d\n",
        "date",
    );
}

#[test]
fn digests_of_nothing_are_data() {
    use crate::support::*;
    let digest = |on_empty: &str, body: &[u8]| {
        let profile = load(&format!(
            "[request.cavage]\nkey_id = \"serial-hex\"\nsigned = [\"digest?\", \"accept\"]\n\
             [[request.cavage.scheme]]\nscheme = \"rsa-pkcs1-sha256\"\n[request.cavage.digest]\n\
             hash = \"sha256\"\non_empty = \"{on_empty}\"\n"
        ))
        .unwrap();
        let request = request("POST", "/", &[("accept", "a")], body);
        let prepared = profile
            .prepare(&request, &example_tpp(), &no_settings(), vector_time())
            .unwrap();
        prepared
            .outline()
            .iter()
            .find(|(name, _)| name == "Digest")
            .map(|(_, value)| value.clone())
    };
    let nothing = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let braces = "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=";
    assert_eq!(digest("zero-bytes", b"").as_deref(), Some(nothing));
    assert_eq!(digest("empty-object", b"").as_deref(), Some(braces));
    assert_eq!(digest("omit", b""), None);
    for on_empty in ["zero-bytes", "empty-object", "omit"] {
        assert_eq!(digest(on_empty, b"{}").as_deref(), Some(braces));
    }
}
