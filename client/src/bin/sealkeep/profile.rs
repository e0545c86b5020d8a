//! `sealkeep profile ...`: what banks want signed. Needs neither server nor key.
//!
//! In: the shipped profiles, files of one's own, saved requests. Out: tables, verdicts, explanations. Never: a profile
//! without how sure its authors are of it.

mod shown;

use crate::explained;
use crate::failure::Failure;
use crate::files;
use crate::offline::{Circumstances, ProfileDir, SAVED_MESSAGE_HELP, certificate, saved};
use crate::report::Report;
use clap::Subcommand;
use sealkeep_client::SavedRequest;
use sealkeep_profiles::profile::Profile;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// All profiles.
    List {
        #[command(flatten)]
        dir: ProfileDir,
    },
    /// One profile: what it needs, what it lets be done.
    Show {
        /// The profile.
        profile: String,
        #[command(flatten)]
        dir: ProfileDir,
    },
    /// Check profile files; exit code 7 when one of them cannot be used.
    Lint {
        /// TOML files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print the exact string to sign, its digest, and the headers with the signature left open.
    #[command(after_help = SAVED_MESSAGE_HELP)]
    Explain {
        /// The profile.
        profile: String,
        /// The request, a saved message.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// The certificate that the bank will see, PEM or DER.
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        #[command(flatten)]
        circumstances: Circumstances,
        #[command(flatten)]
        dir: ProfileDir,
    },
}

impl Verb {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::List { dir } => Ok(shown::list(&dir.catalog()?)),
            Self::Show { profile, dir } => Ok(shown::one(&dir.profile(&profile)?)),
            Self::Lint { files } => lint(&files),
            Self::Explain {
                profile,
                request,
                certificate: file,
                circumstances,
                dir,
            } => {
                let profile = dir.profile(&profile)?;
                let request = saved(&request, SavedRequest::from_json)?;
                let certificate = certificate(&file)?;
                let parsed = request.parse()?;
                let settings = circumstances.settings();
                profile.check_settings(&settings)?;
                let prepared =
                    profile.prepare(&parsed, &certificate, &settings, circumstances.now())?;
                let explanation = explained::offline(&profile, &prepared);
                let curl =
                    explained::curl(&request.head, &explanation.headers, &request.body.into());
                Ok(explained::report(&explanation, &curl))
            }
        }
    }
}

fn lint(paths: &[PathBuf]) -> Result<Report, Failure> {
    let mut text = String::new();
    let mut verdicts = Vec::new();
    let mut good = true;
    for path in paths {
        let verdict = verdict(path)?;
        good &= verdict.is_ok();
        let file = path.display();
        match verdict {
            Ok(profile) => {
                let (name, confidence) = (profile.name(), profile.confidence().name());
                text.push_str(&format!("{file}: ok, {name} ({confidence})\n"));
                verdicts.push(json!({
                    "file": file.to_string(), "ok": true, "profile": name, "confidence": confidence,
                }));
            }
            Err(message) => {
                text.push_str(&format!("{file}: {message}\n"));
                verdicts.push(json!({ "file": file.to_string(), "ok": false, "message": message }));
            }
        }
    }
    Ok(Report::new(text, json!({ "files": verdicts })).negative(!good))
}

/// The profile of a file, or what is wrong with it.
fn verdict(path: &Path) -> Result<Result<Profile, String>, Failure> {
    let parsed = Profile::from_toml(&files::read(path)?);
    Ok(parsed.map_err(|error| error.to_string().trim_end().to_owned()))
}
