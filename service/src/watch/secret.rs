//! Shared secrets of the service: those of webhooks and of enrollers.
//!
//! In: where they lie, as the configuration names them. Out: lives, from the last change of the file on. A secret does not
//! end by itself, but one that is never changed is one that everybody who left still knows. Never: the secret.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::deadline::{bare, fingerprint};
use super::expiry::{Expiry, Kind};

/// After how many days a secret should have been changed, by default.
pub const SECRET_DAYS_DEFAULT: u32 = 365;

/// A file that holds a shared secret.
#[derive(Debug, Clone)]
pub struct SecretFile {
    /// What it is for: `watch.webhook oncall`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// The secrets to watch.
#[derive(Debug, Clone, Default)]
pub struct SecretFiles {
    /// Which.
    pub files: Arc<[SecretFile]>,
    /// After how many days each should be changed.
    pub days_max: u32,
}

impl SecretFiles {
    /// The lives of those that can be looked at; who needs one that cannot says so itself.
    pub(super) fn expiries(&self) -> Vec<Expiry> {
        let life = |file: &SecretFile| {
            let changed = std::fs::metadata(&file.path).ok()?.modified().ok()?;
            let begin = Timestamp::try_from(changed).ok()?;
            let days = SignedDuration::from_hours(24 * i64::from(self.days_max));
            let end = begin.saturating_add(days).ok()?;
            Some(Expiry {
                name: file.name.clone(),
                sha256: fingerprint(file.name.as_bytes(), begin),
                ..bare(Kind::Secret, begin, end)
            })
        };
        self.files.iter().filter_map(life).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_lives_from_the_last_change_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.secret");
        std::fs::write(&path, "whsec_x").unwrap();
        let changed: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let set = |at: Timestamp| {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(at.into()).unwrap();
        };
        set(changed);
        let file = |path| SecretFile {
            name: "watch.webhook oncall".to_owned(),
            path,
        };
        let secrets = SecretFiles {
            files: [file(path.clone()), file(dir.path().join("absent"))].into(),
            days_max: 10,
        };
        let [life] = <[Expiry; 1]>::try_from(secrets.expiries()).unwrap();
        assert_eq!(life.begin, changed);
        assert_eq!(life.end, changed + SignedDuration::from_hours(240));
        set(changed + SignedDuration::from_hours(1));
        assert_ne!(
            secrets.expiries()[0].sha256,
            life.sha256,
            "a new one is another"
        );
    }
}
