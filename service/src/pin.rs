//! The PIN of the token, from where it lies to where it is used.
//!
//! In: a file of mode 0400, a systemd credential, or (only when the operator insists) an environment variable. Out: a
//! secret that is wiped when dropped. Never: a command line, a log line, an error message.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::config::TokenConfig;

/// Longest PIN, bytes.
const PIN_BYTES_MAX: usize = 256;

/// Why there is no PIN. No variant holds what was read.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Neither a file nor a credential is configured.
    #[error("no PIN source: set token.pin_file or token.pin_credential")]
    NoSource,
    /// systemd gave the process no credentials.
    #[error("token.pin_credential is set but $CREDENTIALS_DIRECTORY is not; add LoadCredential=")]
    NoCredentials,
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others could read it.
    #[error("{path}: mode is {mode:04o}, must be 0400; run: chmod 0400 {path}")]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path}: belongs to user {owner}; must be the service's own or root's")]
    Owner {
        /// Which file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Empty, too long, or not text.
    #[error("the secret must be 1 to {PIN_BYTES_MAX} bytes of UTF-8 on one line")]
    Malformed,
    /// The environment variable is not set.
    #[error("${0} is not set")]
    NoVariable(String),
}

/// Reads the PIN. `env` names a variable that the operator explicitly called insecure.
pub fn read(token: &TokenConfig, env: Option<&str>) -> Result<SecretString, PinError> {
    if let Some(variable) = env {
        tracing::warn!(
            variable,
            "PIN taken from the environment; other processes can read it"
        );
        let value = std::env::var(variable);
        let value = value.map_err(|_| PinError::NoVariable(variable.to_owned()))?;
        return secret(Zeroizing::new(value.into_bytes()));
    }
    match (&token.pin_file, &token.pin_credential) {
        (Some(file), _) => from_file(file),
        (None, Some(name)) => {
            let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(PinError::NoCredentials)?;
            from_file(&Path::new(&dir).join(name))
        }
        (None, None) => Err(PinError::NoSource),
    }
}

/// Reads a one-line secret from a private file.
pub fn from_file(path: &Path) -> Result<SecretString, PinError> {
    secret(private_file(path, PIN_BYTES_MAX + 2)?)
}

/// Reads a file that only its owner can read, up to so many bytes.
pub(crate) fn private_file(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, PinError> {
    let fault = |source| PinError::File {
        path: path.to_owned(),
        source,
    };
    let no_links = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut file = File::options()
        .read(true)
        .custom_flags(no_links)
        .open(path)
        .map_err(fault)?;
    // Asked of the open file, not of the path: it cannot be exchanged in between.
    let metadata = file.metadata().map_err(fault)?;
    let mode = metadata.mode() & 0o7777;
    if mode & !0o400 != 0 {
        return Err(PinError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    let owner = metadata.uid();
    if owner != rustix::process::geteuid().as_raw() && owner != 0 {
        return Err(PinError::Owner {
            path: path.to_owned(),
            owner,
        });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_max));
    file.by_ref()
        .take(bytes_max as u64)
        .read_to_end(&mut bytes)
        .map_err(fault)?;
    Ok(bytes)
}

/// One line, its end removed.
fn secret(bytes: Zeroizing<Vec<u8>>) -> Result<SecretString, PinError> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let text = std::str::from_utf8(line).map_err(|_| PinError::Malformed)?;
    if text.is_empty() || text.len() > PIN_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(PinError::Malformed);
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn reads_one_line_of_a_private_file() {
        let (_dir, path) = file(b"1234\n", 0o400);
        assert_eq!(from_file(&path).unwrap().expose_secret(), "1234");
    }

    #[test]
    fn refuses_files_that_others_can_read_or_the_owner_can_write() {
        for mode in [0o600, 0o440, 0o404, 0o644, 0o500] {
            let (_dir, path) = file(b"1234", mode);
            let error = from_file(&path).unwrap_err();
            assert!(matches!(error, PinError::Mode { .. }), "{mode:o}");
            assert!(!format!("{error} {error:?}").contains("1234"));
        }
    }

    #[test]
    fn refuses_links_and_absent_files() {
        let (dir, path) = file(b"1234", 0o400);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(from_file(&link), Err(PinError::File { .. })));
        assert!(matches!(
            from_file(&dir.path().join("no")),
            Err(PinError::File { .. })
        ));
    }

    #[test]
    fn refuses_empty_long_multi_line_and_binary_pins() {
        for bad in [
            &b""[..],
            b"\n",
            b"12\n34\n",
            b"\xff\xfe",
            &[b'1'; 300],
            b"12\0",
        ] {
            let (_dir, path) = file(bad, 0o400);
            assert!(
                matches!(from_file(&path), Err(PinError::Malformed)),
                "{bad:?}"
            );
        }
    }
}
