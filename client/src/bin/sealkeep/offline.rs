//! What the commands take that need neither server nor key: profiles, a certificate, settings, a time, saved messages.
//!
//! In: arguments and files. Out: values of the library. Never: part of a directory of profiles; one wrong file refuses all.

use crate::failure::Failure;
use crate::files;
use clap::Args;
use jiff::Timestamp;
use sealkeep_client::clock;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::profile::{Catalog, Profile, Settings, Source};
use std::path::{Path, PathBuf};

/// How a saved message looks, for the help of every command that takes one.
pub(crate) const SAVED_MESSAGE_HELP: &str = "\
Saved messages are JSON, `-` is stdin. A request:
  {
    \"method\": \"POST\",
    \"authority\": \"api.bank.example\",
    \"target\": \"/v1/payments/sepa-credit-transfers?x=1\",
    \"headers\": [
      { \"name\": \"X-Request-ID\", \"value\": \"99391c7e-ad88-49ec-a2ad-99ddcb1f7721\" }
    ],
    \"body\": \"{}\"
  }
Headers stand in the order sent. `authority` may be left out where there is a Host header. The body is one of `body`
(text), `body_base64` (bytes), `body_digests` ([{ \"algorithm\": \"sha256\", \"value\": \"<base64>\" }]); with none of them it
is empty. A response has `status`, a number, in place of method, authority and target.";

#[derive(Debug, Args)]
pub(crate) struct ProfileDir {
    /// Your own profiles: a directory of TOML files beside the shipped ones.
    #[arg(
        long = "profiles",
        id = "profiles_dir",
        env = "SEALKEEP_PROFILES",
        value_name = "DIR"
    )]
    pub(crate) path: Option<PathBuf>,
}

impl ProfileDir {
    /// The shipped profiles and those of the directory.
    pub(crate) fn catalog(&self) -> Result<Catalog, Failure> {
        let files = self.files()?;
        let sources = files.iter().map(ProfileFile::source);
        Catalog::beside_shipped(sources).map_err(|error| Failure::usage(error.to_string()))
    }

    /// The profile of this name.
    pub(crate) fn profile(&self, name: &str) -> Result<Profile, Failure> {
        let catalog = self.catalog()?;
        catalog.get(name).cloned().ok_or_else(|| {
            Failure::usage(format!(
                "there is no profile `{name}`; `sealkeep profile list` shows those there are"
            ))
        })
    }

    /// The files, by name.
    pub(crate) fn files(&self) -> Result<Vec<ProfileFile>, Failure> {
        let Some(dir) = &self.path else {
            return Ok(Vec::new());
        };
        let wrong = |error: std::io::Error| Failure::file(dir, &error);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| ProfileFile::read(path)).collect()
    }
}

/// A TOML file of profiles or vectors.
pub(crate) struct ProfileFile {
    name: String,
    text: String,
}

impl ProfileFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            name: path.display().to_string(),
            text: files::read(path)?,
        })
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            file: &self.name,
            text: &self.text,
        }
    }
}

/// The bank's settings and the time.
#[derive(Debug, Args)]
pub(crate) struct Circumstances {
    /// A setting of the bank, as in its `[bank.settings]`; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// The time to take for now, RFC 3339.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

impl Circumstances {
    pub(crate) fn settings(&self) -> Settings {
        self.settings.iter().cloned().collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now.unwrap_or_else(clock::now)
    }
}

/// What a message is held against: the profile it was signed by, the bank's settings, the time.
#[derive(Debug, Args)]
pub(crate) struct SignedBy {
    /// The profile it was signed by.
    #[arg(short, long)]
    profile: String,
    #[command(flatten)]
    circumstances: Circumstances,
    #[command(flatten)]
    dir: ProfileDir,
}

impl SignedBy {
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        self.dir.profile(&self.profile)
    }

    pub(crate) fn settings(&self) -> Settings {
        self.circumstances.settings()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.circumstances.now()
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// The first certificate of a file, PEM or DER.
pub(crate) fn certificate(path: &Path) -> Result<Certificate, Failure> {
    let bytes = files::read_bytes(path)?;
    let parsed = match bytes.starts_with(b"\x30") {
        true => Certificate::from_der(&bytes),
        // Cannot fail: a chain has at least its leaf.
        false => Certificate::chain_from_pem(&bytes).map(|mut chain| chain.swap_remove(0)),
    };
    parsed.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Reads a saved message.
pub(crate) fn saved<T, E: std::fmt::Display>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Failure> {
    parse(&files::read(path)?)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}
