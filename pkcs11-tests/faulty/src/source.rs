//! Where the script comes from, and when it is read again.
//!
//! In: a path. Out: the present [`Version`]. Every call looks whether the file is another one than before (time, size,
//! inode). A script that cannot be read is told once on stderr, and every call fails until it is right again.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::rules::Version;
use crate::script::Script;
use crate::shim;

/// A script file.
pub(crate) struct Source {
    path: Option<PathBuf>,
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    stamp: Option<Stamp>,
    readings: u64,
    version: Option<Arc<Version>>,
}

/// What changes when a file is written or replaced.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Source {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        let mut present = Present::default();
        if path.is_none() {
            present.version = Some(Arc::new(Version::new(0, Script::default())));
        }
        Self {
            path,
            present: Mutex::new(present),
        }
    }

    /// The script as it is now; `None` when it cannot be read.
    pub(crate) fn current(&self) -> Option<Arc<Version>> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.path {
            present.refresh(path);
        }
        present.version.clone()
    }

    /// A file beside the script that keeps what must outlive the process.
    pub(crate) fn beside(&self, extension: &str) -> Option<PathBuf> {
        self.path
            .as_ref()
            .map(|path| path.with_extension(extension))
    }
}

impl Present {
    fn refresh(&mut self, path: &Path) {
        let stamp = Stamp::of(path);
        if self.readings > 0 && stamp.is_ok() && stamp.as_ref().ok() == self.stamp.as_ref() {
            return;
        }
        let told =
            self.readings > 0 && self.version.is_none() && self.stamp.is_none() && stamp.is_err();
        self.readings += 1;
        self.stamp = stamp.ok();
        let text = fs::read_to_string(path).map_err(|error| error.to_string());
        match text.and_then(|text| Script::parse(&text)) {
            Ok(script) => self.version = Some(Arc::new(Version::new(self.readings, script))),
            Err(error) => {
                self.version = None;
                if !told {
                    shim::complain(&format!("script {}: {error}", path.display()));
                }
            }
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self {
            inode: meta.ino(),
            size: meta.size(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn replace(path: &Path, text: &str) {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    #[test]
    fn a_replaced_script_is_read_again_and_a_broken_one_stops_everything() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script.toml");
        replace(&path, "rule = [{ fn = 'C_Sign', hang = true }]");
        let source = Source::new(Some(path.clone()));
        let first = source.current().unwrap();
        assert_eq!(first.number, source.current().unwrap().number, "read once");
        replace(&path, "");
        let second = source.current().unwrap();
        assert!(second.number > first.number && second.script.rules.is_empty());
        replace(&path, "nonsense = 1");
        assert!(source.current().is_none() && source.current().is_none());
        fs::remove_file(&path).unwrap();
        assert!(source.current().is_none());
        replace(&path, "");
        assert!(source.current().is_some());
    }

    #[test]
    fn no_script_breaks_nothing() {
        assert!(Source::new(None).current().unwrap().script.rules.is_empty());
    }
}
