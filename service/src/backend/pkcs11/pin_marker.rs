//! Remembers across restarts that a PIN was refused.
//!
//! In: the path of the marker. Out: whether a login may be tried. Tokens lock after a few wrong PINs, and a service
//! that is restarted by its supervisor tries again each time: so a refusal is written to disk, and while the file is
//! there no `C_Login` is made. Only an operator clears it. It never holds the PIN or anything derived from it. It has a
//! directory of its own: whoever keeps it must be able to write there, and nowhere else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::backend::BackendError;

/// Access to the marker: the service user only.
const MARKER_MODE: u32 = 0o600;
/// Access to its directory.
const DIRECTORY_MODE: u32 = 0o700;

/// A marker that lies ready before the login, so that a full disk cannot make us forget the refusal.
pub(super) struct ReadyMarker {
    draft: PathBuf,
    marker: PathBuf,
}

impl ReadyMarker {
    /// Refuses if the marker is there; otherwise writes a draft of it beside its place.
    ///
    /// # Errors
    /// [`BackendError::PinRefused`] if a PIN was refused before; [`BackendError::PinMarker`] if that cannot be found
    /// out or could not be recorded.
    pub(super) fn prepare(marker: &Path) -> Result<Self, BackendError> {
        make_directory(marker)?;
        let present = marker.try_exists().map_err(|e| unusable(marker, &e))?;
        if present {
            return Err(BackendError::PinRefused {
                marker: marker.to_owned(),
            });
        }
        let mut name = marker.file_name().unwrap_or_default().to_owned();
        name.push(".draft");
        let draft = marker.with_file_name(name);
        write_draft(&draft).map_err(|e| unusable(marker, &e))?;
        Ok(Self {
            draft,
            marker: marker.to_owned(),
        })
    }

    /// The PIN was refused: the draft takes its place, durably.
    ///
    /// # Errors
    /// [`BackendError::PinMarker`] if the rename or its flush fails.
    pub(super) fn latch(self) -> Result<PathBuf, BackendError> {
        fs::rename(&self.draft, &self.marker)
            .and_then(|()| flush_directory(&self.marker))
            .map_err(|e| unusable(&self.marker, &e))?;
        Ok(self.marker)
    }

    /// The login worked: the draft is not needed. One that stays behind does no harm.
    pub(super) fn discard(self) {
        if let Err(problem) = fs::remove_file(&self.draft) {
            tracing::debug!(draft = %self.draft.display(), %problem, "draft of the PIN marker stays behind");
        }
    }
}

/// Makes the directory of the marker, unless it is there. What it lies in must be.
///
/// # Errors
/// [`BackendError::PinMarker`] when that cannot be done.
pub(in crate::backend) fn make_directory(marker: &Path) -> Result<(), BackendError> {
    let directory = directory(marker);
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(unusable(marker, &e)),
        _ => Ok(()),
    }
}

/// Lets the next start try the PIN again. For operators, after the PIN was corrected. `false`: there was no marker.
///
/// # Errors
/// [`BackendError::PinMarker`] if the file is there and cannot be removed.
pub fn clear_pin_marker(marker: &Path) -> Result<bool, BackendError> {
    match fs::remove_file(marker) {
        Ok(()) => flush_directory(marker)
            .map(|()| true)
            .map_err(|e| unusable(marker, &e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(unusable(marker, &e)),
    }
}

fn write_draft(draft: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MARKER_MODE)
        .open(draft)?;
    file.write_all(b"refused\n")?;
    file.sync_all()
}

/// A rename or removal is durable only once its directory is (fsync(2)).
fn flush_directory(file: &Path) -> io::Result<()> {
    File::open(directory(file))?.sync_all()
}

fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn unusable(marker: &Path, problem: &io::Error) -> BackendError {
    BackendError::PinMarker {
        marker: marker.to_owned(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn latched_marker_refuses_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin/refused");
        ReadyMarker::prepare(&path).unwrap().latch().unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"refused\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(directory(&path))), (0o600, 0o700));
        for _ in 0..3 {
            let error = ReadyMarker::prepare(&path).err().unwrap();
            assert_eq!(
                error,
                BackendError::PinRefused {
                    marker: path.clone()
                }
            );
        }
        assert!(clear_pin_marker(&path).unwrap());
        assert!(!clear_pin_marker(&path).unwrap());
        ReadyMarker::prepare(&path).unwrap().discard();
        assert_eq!(fs::read_dir(dir.path().join("pin")).unwrap().count(), 0);
    }

    #[test]
    fn refuses_before_the_login_when_the_refusal_could_not_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let error = ReadyMarker::prepare(&dir.path().join("absent/pin/refused"))
            .err()
            .unwrap();
        assert_eq!(error.reason(), "PIN_MARKER");
    }

    #[test]
    fn a_draft_left_by_a_crash_does_not_refuse() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token.pin");
        drop(ReadyMarker::prepare(&path).unwrap());
        ReadyMarker::prepare(&path).unwrap().discard();
    }
}
