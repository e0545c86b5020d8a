//! Answers to http-01 challenges (RFC 8555 section 8.3), as files that a web server shows.
//!
//! In: a token and what it must say. Out: a file of that name in the directory that is shown as
//! `http://NAME/.well-known/acme-challenge/`. Never: a listener of our own on port 80; a name that is not a token.

use std::io;
use std::path::{Path, PathBuf};

use super::super::EnrolError;
use super::judge::{later, never};

/// Longest token, bytes; 128 bits of base64url are 22.
const TOKEN_BYTES_MAX: usize = 128;

/// The directory of challenges.
pub(super) struct Webroot<'a>(pub(super) &'a Path);

impl Webroot<'_> {
    pub(super) fn put(&self, token: &str, says: &str) -> Result<(), EnrolError> {
        let file = self.file(token)?;
        let unwritten = |error: io::Error| later(format!("{}: {error}", file.display()));
        std::fs::write(&file, says).map_err(unwritten)
    }

    /// What is left behind does no harm, so a failure is only told.
    pub(super) fn remove(&self, token: &str) {
        let Ok(file) = self.file(token) else { return };
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::warn!(file = %file.display(), %error, "an answered challenge stays behind");
        }
    }

    /// A server's token becomes a file name: base64url and nothing else (RFC 8555 section 8.3).
    fn file(&self, token: &str) -> Result<PathBuf, EnrolError> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = (1..=TOKEN_BYTES_MAX).contains(&token.len());
        match fits && token.bytes().all(safe) {
            true => Ok(self.0.join(token)),
            false => Err(never("the CA's challenge has a token that is none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_file_name_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let webroot = Webroot(dir.path());
        for bad in ["", "../etc", "a/b", "a.b", "a b", "\0", &"a".repeat(129)] {
            let put = webroot.put(bad, "x");
            assert!(matches!(put, Err(EnrolError::Never(_))), "{bad:?}");
        }
        webroot.put("evaGxfADs6pSRb2LAv9-_", "says").unwrap();
        let file = dir.path().join("evaGxfADs6pSRb2LAv9-_");
        assert_eq!(std::fs::read(&file).unwrap(), b"says");
        webroot.remove("evaGxfADs6pSRb2LAv9-_");
        assert!(!file.exists());
        let away = Webroot(Path::new("/no/such/directory")).put("token", "says");
        assert!(matches!(away, Err(EnrolError::Later(_))));
    }
}
