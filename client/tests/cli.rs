//! The command line as people see it: every session in `tests/cli/*.md` is run and compared, output and exit code.
//!
//! A session is a line `$ sealkeep ...` in a `console` block, `? N` when the exit code is not 0, then stdout and stderr.
//! `SEALKEEP_SESSIONS=write cargo test -p sealkeep-client --test cli` writes what is printed now; read it before it is
//! committed.
#![allow(clippy::unwrap_used, missing_docs)]

use sealkeep_profiles::profile::Catalog;
use std::path::{Path, PathBuf};
use std::process::Command;

const WRITE: &str = "SEALKEEP_SESSIONS";

/// What a session prints, as it stands in the file.
fn printed(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = Command::new(env!("CARGO_BIN_EXE_sealkeep"))
        .args(&words[2..])
        .env_clear()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let code = match output.status.code().unwrap() {
        0 => String::new(),
        code => format!("? {code}\n"),
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!(
        "{line}\n{code}{}{}",
        text(output.stdout),
        text(output.stderr)
    )
}

/// The file with each session as it is now.
fn now(text: &str) -> String {
    let mut out = String::new();
    let mut in_session = false;
    for line in text.lines() {
        if line.starts_with("$ sealkeep ") {
            out.push_str(&printed(line));
            in_session = true;
        } else if line == "```" || !in_session {
            out.push_str(line);
            out.push('\n');
            in_session = false;
        }
    }
    out
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect()
}

#[test]
fn sessions_print_what_they_say() {
    let write = std::env::var(WRITE).is_ok_and(|value| value == "write");
    let files = files();
    assert!(!files.is_empty());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("$ sealkeep "), "{}", path.display());
        match write {
            true => std::fs::write(&path, now(&text)).unwrap(),
            false => assert_eq!(text, now(&text), "{}", path.display()),
        }
    }
}

/// Not a session: it would change with every new profile.
#[test]
fn lists_every_profile_with_its_confidence() {
    let list = printed("$ sealkeep profile list");
    let mut lines = list.lines().skip(1);
    let header: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["PROFILE", "CONFIDENCE", "NEEDS", "TITLE"]);
    for (line, profile) in lines.by_ref().zip(Catalog::embedded().iter()) {
        let words: Vec<_> = line.split_whitespace().take(2).collect();
        assert_eq!(words, [profile.name(), profile.confidence().name()]);
        assert!(line.ends_with(profile.title()), "{line}");
    }
    assert_eq!(lines.next(), None);
    assert_eq!(list.lines().count() - 2, Catalog::embedded().iter().count());
}

#[test]
fn every_shipped_profile_makes_its_vectors() {
    let tested = printed("$ sealkeep profile test");
    assert!(!tested.contains("? "), "{tested}");
    assert!(tested.ends_with(" 0 differ\n"), "{tested}");
}
