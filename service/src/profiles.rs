//! The operator's own profiles, beside the shipped ones.
//!
//! In: a directory of TOML files. Out: a [`Catalog`] of all of them, in use as soon as the files change. Never a part: when
//! one file is wrong, when a name is taken, or when a bank would lose its profile, the catalogue in use stays, and the log
//! says why.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sealkeep_profiles::profile::{Catalog, PROFILE_BYTES_MAX, ProfileError, Source};
use sha2::{Digest, Sha256};

use crate::registry::{ChangeError, Registry};

/// Most files in the directory.
const FILES_MAX: usize = 256;
/// How often the files are looked at, seconds.
const RELOAD_INTERVAL_S: u64 = 1;

/// Why profiles cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    /// The directory or a file in it cannot be read as text.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The directory holds something else than profiles, by their number.
    #[error("{path}: more than {FILES_MAX} profiles")]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
    /// A profile is wrong.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A bank would be left without a profile that fits, or the change could not be recorded.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Profiles as they lay in the directory at one moment.
#[derive(Debug, Clone)]
pub struct Profiles {
    /// The shipped profiles and the operator's.
    pub catalog: Arc<Catalog>,
    /// SHA-256 over the operator's files, in order of their names.
    pub fingerprint: [u8; 32],
}

impl Profiles {
    /// Reads every `*.toml` of the directory; without a directory, the shipped profiles alone.
    pub fn read(directory: Option<&Path>) -> Result<Self, ProfilesError> {
        let files = match directory {
            Some(directory) => read_files(directory)?,
            None => Vec::new(),
        };
        let mut hash = Sha256::new();
        for part in files.iter().flat_map(|(name, text)| [name, text]) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let sources = files.iter().map(|(file, text)| Source { file, text });
        Ok(Self {
            catalog: Arc::new(Catalog::beside_shipped(sources)?),
            fingerprint: hash.finalize().into(),
        })
    }
}

/// Path and text of each file, by path. Hidden files are an editor's or Kubernetes', not the operator's.
fn read_files(directory: &Path) -> Result<Vec<(String, String)>, ProfilesError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| ProfilesError::File { path, source }
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(at(directory))? {
        let path = entry.map_err(at(directory))?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            let path = directory.to_owned();
            return Err(ProfilesError::TooMany { path });
        }
    }
    paths.sort();
    let read = paths.into_iter().map(|path| {
        // One byte more than a profile may have is enough to refuse it.
        let mut file = std::fs::File::open(&path)
            .map_err(at(&path))?
            .take(PROFILE_BYTES_MAX as u64 + 1);
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(at(&path))?;
        Ok((path.display().to_string(), text))
    });
    read.collect()
}

/// Looks at the directory for as long as the service runs, and has the registry take over what changed.
pub async fn watch(directory: PathBuf, registry: Registry, mut current: Profiles) {
    let mut every = tokio::time::interval(Duration::from_secs(RELOAD_INTERVAL_S));
    let mut complained = String::new();
    loop {
        every.tick().await;
        match reload(&directory, &registry, &current).await {
            Ok(None) => complained.clear(),
            Ok(Some(profiles)) => {
                tracing::info!(count = profiles.catalog.iter().count(), "profiles reloaded");
                complained.clear();
                current = profiles;
            }
            Err(error) => {
                let error = error.to_string();
                // Said once, not every second.
                if error != complained {
                    tracing::warn!(%error, "profiles not reloaded; the old ones stay");
                    complained = error;
                }
            }
        }
    }
}

/// The profiles that took the place of the current ones, if the files changed.
async fn reload(
    directory: &Path,
    registry: &Registry,
    current: &Profiles,
) -> Result<Option<Profiles>, ProfilesError> {
    let path = directory.to_owned();
    // Reading files blocks; a slow disk must not hold up requests.
    let read = tokio::task::spawn_blocking(move || Profiles::read(Some(&path))).await;
    let profiles = read.map_err(|error| ProfilesError::File {
        path: directory.to_owned(),
        source: io::Error::other(error),
    })??;
    if profiles.fingerprint == current.fingerprint {
        return Ok(None);
    }
    registry.adopt_profiles(&profiles).await?;
    Ok(Some(profiles))
}
