//! `sealkeep profile ...`: what banks want signed. Needs neither server nor key.
//!
//! In: the shipped profiles, files of one's own, saved requests. Out: tables, verdicts, explanations. Never: a profile
//! without how sure its authors are of it.

mod checked;
mod shown;

use crate::explained;
use crate::failure::Failure;
use crate::offline::{Circumstances, ProfileDir, SAVED_MESSAGE_HELP, certificate, saved};
use crate::report::Report;
use clap::Subcommand;
use sealkeep_client::SavedRequest;
use std::path::PathBuf;

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
    /// Check profile files, each on its own; exit code 7 when one of them cannot be used.
    Lint {
        /// TOML files; they may extend shipped profiles.
        #[arg(value_name = "FILE", required_unless_present = "profiles_dir")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        dir: ProfileDir,
    },
    /// Run a profile's vectors; exit code 7 when it makes something else of one.
    Test {
        /// The profile; without it every shipped one.
        profile: Option<String>,
        /// Vectors of your own, TOML as in the shipped `vectors/`.
        #[arg(long, value_name = "FILE", requires = "profile")]
        vectors: Option<PathBuf>,
        #[command(flatten)]
        dir: ProfileDir,
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
            Self::Lint { files, dir } => checked::lint(&files, &dir),
            Self::Test {
                profile,
                vectors,
                dir,
            } => match profile {
                Some(name) => checked::test(&dir.profile(&name)?, vectors.as_deref()),
                None => checked::test_shipped(),
            },
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
                Ok(explained::report(&explanation, Some(&curl)))
            }
        }
    }
}
