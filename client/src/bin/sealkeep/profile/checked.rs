//! `sealkeep profile lint` and `test`: verdicts about profiles.
//!
//! In: files, vectors. Out: one line for each, exit code 7 when one is bad. Never: an end at the first bad one; a person
//! wants to see all.

use crate::failure::Failure;
use crate::offline::{ProfileDir, ProfileFile};
use crate::report::{Report, printable};
use sealkeep_profiles::profile::{Catalog, Profile, ProfileError, Vector, VectorError, Vectors};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Checks each file on its own, then the directory as the service loads it.
pub(super) fn lint(paths: &[PathBuf], dir: &ProfileDir) -> Result<Report, Failure> {
    let mut verdicts = Verdicts::default();
    for path in paths {
        let file = ProfileFile::read(path)?;
        verdicts.profile(path, Profile::from_source(file.source()));
    }
    if let Some(path) = &dir.path {
        let files = dir.files()?;
        let catalog = Catalog::beside_shipped(files.iter().map(ProfileFile::source));
        verdicts.directory(path, catalog);
    }
    Ok(Report::new(verdicts.text, json!({ "files": verdicts.json })).negative(verdicts.bad))
}

#[derive(Default)]
struct Verdicts {
    text: String,
    json: Vec<Value>,
    bad: bool,
}

impl Verdicts {
    fn profile(&mut self, path: &Path, verdict: Result<Profile, ProfileError>) {
        match verdict {
            Ok(profile) => {
                let (name, confidence) = (profile.name(), profile.confidence().name());
                self.good(path, &format!("profile {name} ({confidence})"));
            }
            Err(error) => self.wrong(path, &error),
        }
    }

    fn directory(&mut self, path: &Path, verdict: Result<Catalog, ProfileError>) {
        match verdict {
            Ok(catalog) => {
                let own = catalog.iter().map(Profile::name);
                let own = own.filter(|name| Catalog::embedded().get(name).is_none());
                let own: Vec<&str> = own.collect();
                let what = match own.is_empty() {
                    true => "no profiles".to_owned(),
                    false => format!("profiles {} beside the shipped ones", own.join(" ")),
                };
                self.good(path, &what);
            }
            Err(error) => self.wrong(path, &error),
        }
    }

    fn good(&mut self, path: &Path, what: &str) {
        let file = path.display().to_string();
        self.text.push_str(&format!("{file}: ok, {what}\n"));
        self.json.push(json!({ "file": file, "ok": true }));
    }

    fn wrong(&mut self, path: &Path, error: &ProfileError) {
        self.bad = true;
        // The message begins with the file, and the line where there is one.
        self.text
            .push_str(&format!("{}\n", printable(&error.to_string())));
        let file = path.display().to_string();
        self.json.push(json!({
            "file": file, "ok": false, "line": line(error), "message": error.to_string(),
        }));
    }
}

fn line(error: &ProfileError) -> Option<usize> {
    match error {
        ProfileError::Toml { line, .. } | ProfileError::Senseless { line, .. } => Some(*line),
        _ => None,
    }
}

/// Runs the vectors of one profile: those of a file, or the shipped ones of its name.
pub(super) fn test(profile: &Profile, vectors: Option<&Path>) -> Result<Report, Failure> {
    let vectors = match vectors {
        Some(path) => read(&ProfileFile::read(path)?)?,
        None => shipped(profile)?,
    };
    Ok(run([(profile, vectors)]))
}

/// Runs the vectors of every shipped profile.
pub(super) fn test_shipped() -> Result<Report, Failure> {
    let all = Catalog::embedded().iter();
    let all = all.map(|profile| Ok((profile, shipped(profile)?)));
    Ok(run(all.collect::<Result<Vec<_>, Failure>>()?))
}

fn shipped(profile: &Profile) -> Result<Vectors, Failure> {
    let source = Vectors::shipped_source(profile.name()).ok_or_else(|| {
        let name = profile.name();
        Failure::usage(format!(
            "no vectors are shipped for `{name}`; say yours with --vectors"
        ))
    })?;
    Vectors::from_source(source).map_err(|error| Failure::failed(error.to_string()))
}

fn read(file: &ProfileFile) -> Result<Vectors, Failure> {
    Vectors::from_source(file.source()).map_err(|error| Failure::usage(error.to_string()))
}

fn run<'a>(all: impl IntoIterator<Item = (&'a Profile, Vectors)>) -> Report {
    let (mut text, mut json) = (String::new(), Vec::new());
    let (mut count, mut failed) = (0, 0);
    for (profile, vectors) in all {
        text.push_str(&format!(
            "{} ({})\n",
            profile.name(),
            profile.confidence().name()
        ));
        for vector in vectors.cases() {
            let outcome = outcome(profile, vector);
            count += 1;
            failed += usize::from(outcome.is_some());
            match &outcome {
                None => text.push_str(&format!("  ok      {}\n", printable(vector.name()))),
                Some(what) => text.push_str(&format!(
                    "  DIFFERS {}\n          {}\n",
                    printable(vector.name()),
                    printable(what)
                )),
            }
            json.push(json!({
                "profile": profile.name(), "vector": vector.name(),
                "ok": outcome.is_none(), "message": outcome,
            }));
        }
    }
    Report::new(text, json!({ "vectors": json }))
        .note(format!("{count} vectors, {failed} differ"))
        .negative(failed > 0)
}

/// What differs, if anything does.
fn outcome(profile: &Profile, vector: &Vector) -> Option<String> {
    let header = |header: &Option<(String, String)>| match header {
        Some((name, value)) => format!("{name}: {value}"),
        None => "none".to_owned(),
    };
    match vector.check(profile) {
        Ok(()) => None,
        Err(VectorError::Header {
            position,
            expected,
            found,
        }) => Some(format!(
            "header {position} to set has to be {}, and is {}",
            header(&expected),
            header(&found)
        )),
        Err(other) => Some(other.to_string()),
    }
}
