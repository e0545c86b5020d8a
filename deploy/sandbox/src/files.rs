//! Files of the pretend parties: certificates for everybody to read, keys for their owner only.
//!
//! In: DER or PEM text. Out: PEM files (RFC 7468). A secret is created with mode 0600 from the first byte on, never
//! written openly and narrowed afterwards.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Characters in a line of PEM (RFC 7468 §2).
const PEM_LINE_CHARS: usize = 64;

/// A file that cannot be read, written or understood.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The file is there, but it holds no PEM of the expected kind.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// Reads a text file.
pub fn read(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| io(path, source))
}

/// Reads every certificate of a PEM file, in file order; at least one.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let certificates = CertificateDer::pem_slice_iter(read(path)?.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| content(path, error.to_string()))?;
    if certificates.is_empty() {
        return Err(content(path, "holds no certificate".to_owned()));
    }
    Ok(certificates)
}

/// Writes a file for everybody to read, whole or not at all.
pub fn write_public(path: &Path, text: &str) -> Result<(), FileError> {
    write(path, text, 0o644)
}

/// Writes a file for its owner only (mode 0600), whole or not at all.
pub fn write_secret(path: &Path, text: &str) -> Result<(), FileError> {
    write(path, text, 0o600)
}

/// Creates a folder and its parents; one that is there already is fine.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|source| io(path, source))
}

/// Certificates as PEM text, in the order given.
pub fn certificates_pem<'a>(chain: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> String {
    chain
        .into_iter()
        .map(|der| pem("CERTIFICATE", der))
        .collect()
}

/// One PEM block.
pub fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(PEM_LINE_CHARS));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// A reader of `path` sees the old text or the new one, never half of it: written beside, then renamed.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), FileError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| {
        let _ = fs::remove_file(&beside);
        io(path, source)
    })
}

fn io(path: &Path, source: std::io::Error) -> FileError {
    FileError::Io {
        path: path.to_owned(),
        source,
    }
}

fn content(path: &Path, what: String) -> FileError {
    FileError::Content {
        path: path.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keeps_secrets_from_other_users() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write_secret(&path, "secret").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn narrows_a_file_that_was_open_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        write_public(&path, "old").unwrap();
        write_secret(&path, "new").unwrap();
        assert_eq!(read(&path).unwrap(), "new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn breaks_pem_into_lines_of_64() {
        let text = pem("CERTIFICATE", &[7; 100]);
        assert!(text.lines().all(|line| line.len() <= PEM_LINE_CHARS));
        let back = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
        assert_eq!(back.as_ref(), [7; 100]);
    }

    #[test]
    fn refuses_a_file_without_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        write_public(&path, "nothing here\n").unwrap();
        assert!(matches!(
            read_certificates(&path),
            Err(FileError::Content { .. })
        ));
    }
}
