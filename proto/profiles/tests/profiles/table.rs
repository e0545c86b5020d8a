//! The table of the catalogue in the crate's documentation is the catalogue's.

use std::fmt::Write as _;

use sealkeep_profiles::profile::Catalog;

use crate::support::*;

#[test]
fn the_table_of_the_catalogue_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/CATALOG.md");
    let table = table();
    if golden_is_rewritten() {
        std::fs::write(path, &table).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap();
    assert!(
        found == table,
        "CATALOG.md is stale; run: {GOLDEN}=write cargo test -p sealkeep-profiles --test profiles table"
    );
}

fn table() -> String {
    let mut table = format!(
        "<!-- Generated from catalog/*.toml: {GOLDEN}=write cargo test -p sealkeep-profiles --test profiles table -->\n\n\
         | profile | for | carrier | signed | key id | algorithms | confidence |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for profile in Catalog::embedded().iter() {
        let summary = profile.summary();
        let code = |words: &[String]| {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(" ")
        };
        writeln!(
            table,
            "| {} | {} | `{}` | {} | {} | {} | {} |",
            code(&[profile.name().to_owned()]),
            profile.title(),
            summary.carrier,
            code(&summary.signed),
            code(&[summary.key_id]),
            summary.algorithms.join(", "),
            profile.confidence().name(),
        )
        .unwrap();
    }
    table
}
