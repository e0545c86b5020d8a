//! Profiles that extend others: what merges, what is replaced, and what is refused with the file that said it.

use sealkeep_profiles::profile::{Catalog, ProfileError, Source};

use crate::support::*;

const OWN: &str = "name = \"own\"\ntitle = \"Own bank\"\nsource = \"its portal\"\nconfidence = \"seen\"\n\
    extends = \"berlin-group-1.3.4\"\n";

fn catalog(files: &[(&str, &str)]) -> Result<Catalog, ProfileError> {
    Catalog::beside_shipped(files.iter().map(|(file, text)| Source { file, text }))
}

/// One file beside the shipped ones.
fn own(more: &str) -> Result<Catalog, ProfileError> {
    catalog(&[("own.toml", &format!("{OWN}{more}"))])
}

fn refuses(more: &str, expected: &str) {
    let found = own(more).unwrap_err().to_string();
    assert!(found.starts_with("own.toml, line "), "{found}");
    assert!(found.contains(expected), "{found}");
}

/// A file of the chain a -> b -> c -> ...
fn link(name: &str, extends: &str) -> String {
    OWN.replace("\"own\"", &format!("\"{name}\""))
        .replace("berlin-group-1.3.4", extends)
}

fn string_to_sign(catalog: &Catalog, name: &str) -> String {
    let headers = [("X-Request-ID", REQUEST_ID), ("Date", VECTOR_DATE)];
    let request = request("GET", "/v1/accounts", &headers, b"");
    let profile = catalog.get(name).unwrap();
    let prepared = profile.prepare(&request, &example_tpp(), &no_settings(), vector_time());
    String::from_utf8(prepared.unwrap().to_be_signed().to_vec()).unwrap()
}

#[test]
fn takes_over_what_it_does_not_say() {
    let catalog = own("").unwrap();
    let (parent, own) = (profile("berlin-group-1.3.4"), catalog.get("own").unwrap());
    assert_eq!(own.extends(), Some("berlin-group-1.3.4"));
    assert_eq!((own.title(), own.source()), ("Own bank", "its portal"));
    assert_eq!(own.confidence().name(), "seen");
    assert_eq!(own.request_id(), parent.request_id());
    assert!(own.signs_responses());
    assert_eq!(
        string_to_sign(&catalog, "own"),
        string_to_sign(&catalog, "berlin-group-1.3.4")
    );
}

#[test]
fn merges_tables_and_replaces_arrays() {
    let catalog = own("[request.cavage]\nsigned = [\"date\", \"digest\"]\n\
        [request.cavage.digest]\nlabel = \"sha-256\"\n")
    .unwrap();
    assert_eq!(
        string_to_sign(&catalog, "own"),
        format!(
            "date: {VECTOR_DATE}\ndigest: sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        )
    );
    let second = link("second", "own") + "[request.cavage]\nsigned = [\"digest\"]\n";
    let first = format!("{OWN}[request.cavage.digest]\nlabel = \"sha-256\"\n");
    // Files may come in any order.
    let catalog = catalog_of_two(&second, &first);
    assert!(string_to_sign(&catalog, "second").starts_with("digest: sha-256="));
}

fn catalog_of_two(one: &str, two: &str) -> Catalog {
    catalog(&[("one.toml", one), ("two.toml", two)]).unwrap()
}

#[test]
fn leaves_out_what_it_says_it_is_without() {
    let catalog = own("without = [\"response\", \"request.cavage.certificate\"]\n").unwrap();
    let own = catalog.get("own").unwrap();
    assert!(!own.signs_responses());
    let request = request("GET", "/v1/accounts", &[("X-Request-ID", REQUEST_ID)], b"");
    let prepared = own.prepare(&request, &example_tpp(), &no_settings(), vector_time());
    let set: Vec<String> = prepared
        .unwrap()
        .outline()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(set, ["Digest", "Signature"]);
    refuses(
        "without = [\"request.cavage.date\"]\n",
        "no `request.cavage.date`",
    );
    refuses("without = \"response\"\n", "write without = [");
    refuses("without = [1]\n", "write without = [");
}

#[test]
fn changes_the_format_by_leaving_the_other_out() {
    let jws = "[request.jws]\nserialization = \"detached\"\npayload = \"base64url\"\n\
        schemes = [\"rsa-pss-sha256\"]\nmember = [{ name = \"alg\", from = \"algorithm\" }]\n";
    refuses(jws, "without = [\"request.cavage\"]");
    assert!(
        own(&format!("without = [\"request.cavage\"]\n{jws}"))
            .unwrap()
            .get("own")
            .unwrap()
            .needs_body()
    );
}

#[test]
fn refuses_parents_that_are_not_there_or_no_names() {
    let orphan = link("own", "stet-9");
    let error = catalog(&[("own.toml", &orphan)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "own.toml, line 5: profile `own`: extends: there is no profile `stet-9`"
    );
    let error = catalog(&[("own.toml", &OWN.replace("\"berlin-group-1.3.4\"", "1"))]).unwrap_err();
    assert!(
        error.to_string().contains("extends = \"the name"),
        "{error}"
    );
}

#[test]
fn refuses_circles() {
    let own = link("own", "own");
    let error = catalog(&[("own.toml", &own)]).unwrap_err().to_string();
    assert!(
        error.contains("own.toml, line 5") && error.contains("a circle"),
        "{error}"
    );
    let (a, b) = (link("a", "b"), link("b", "a"));
    let error = catalog(&[("a.toml", &a), ("b.toml", &b)])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`a` extends `b` extends `a`, a circle"),
        "{error}"
    );
    assert!(error.starts_with("b.toml, line 5"), "{error}");
}

#[test]
fn refuses_more_than_four_in_a_row() {
    let links = [
        link("a", "berlin-group-1.3.4"),
        link("b", "a"),
        link("c", "b"),
        link("d", "c"),
    ];
    let files = ["a.toml", "b.toml", "c.toml", "d.toml"];
    let files: Vec<(&str, &str)> = files
        .into_iter()
        .zip(links.iter().map(String::as_str))
        .collect();
    catalog(&files[..3]).unwrap();
    let error = catalog(&files).unwrap_err().to_string();
    assert!(error.contains("more than 4 profiles in a row"), "{error}");
    assert!(error.contains("profile `d`"), "{error}");
}

#[test]
fn errors_name_the_file_and_the_line_that_said_it() {
    refuses(
        "[request.cavage]\ncolour = 1\n",
        "line 7: unknown field `colour`, expected one of",
    );
    refuses(
        "[request.cavage.digest]\nhash = \"md5\"\n",
        "line 7: unknown variant `md5`",
    );
    refuses("x = [1\n", "line 6");
    // What the parent says no longer fits the child's list.
    let error = own("[request.cavage]\nsigned = [\"x-request-id\"]\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "berlin-group-1.3.4.toml, line 31: profile `own`: request.cavage.digest: `digest` is not in `signed`, so it \
         protects nothing"
    );
    let own = "[request.cavage.date]\nwhen_absent = \"set\"\n";
    refuses(
        own,
        "line 6: profile `own`: request.cavage.date: `Date` is not in `signed`",
    );
    let wrong_parent = format!("{OWN}[settings]\nx = \"nothing reads it\"\n");
    let child = link("child", "own");
    let error = catalog(&[("child.toml", &child), ("own.toml", &wrong_parent)]).unwrap_err();
    assert!(error.to_string().starts_with("own.toml, line 7"), "{error}");
}
