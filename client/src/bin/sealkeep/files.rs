//! What is given to a command: files, stdin, arguments.
//!
//! In: a path or an argument. Out: its bytes, its text, or the tables of a TOML file. Never: more than a bounded number of
//! bytes, nor half of a file.

use crate::failure::Failure;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::path::Path;

/// No file that is given to a command is larger, in bytes, trusted lists aside.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads a text file; `-` is stdin.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let bytes = read_bytes(path)?;
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{}: not UTF-8", path.display())))
}

/// Reads a file; `-` is stdin.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    read_bytes_up_to(path, FILE_BYTES_MAX)
}

/// The same with another limit, in bytes.
pub(crate) fn read_bytes_up_to(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let wrong = |error: std::io::Error| Failure::file(path, &error);
    let mut bytes = Vec::new();
    let limit = bytes_max + 1;
    match path.to_str() {
        Some("-") => std::io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(wrong)?,
        _ => {
            let file = std::fs::File::open(path).map_err(wrong)?;
            file.take(limit).read_to_end(&mut bytes).map_err(wrong)?
        }
    };
    match bytes.len() as u64 <= bytes_max {
        true => Ok(bytes),
        false => Err(Failure::usage(format!(
            "{}: larger than {bytes_max} bytes",
            path.display()
        ))),
    }
}

/// `@file`, `@-` for stdin, or the text itself.
pub(crate) fn argument_bytes(argument: &str) -> Result<Vec<u8>, Failure> {
    match argument.strip_prefix('@') {
        Some(path) => read_bytes(Path::new(path)),
        None => Ok(argument.as_bytes().to_vec()),
    }
}

/// The text of an argument that is like [`argument_bytes`], without the line end that files have.
pub(crate) fn argument_text(flag: &str, argument: &str) -> Result<String, Failure> {
    let text = String::from_utf8(argument_bytes(argument)?)
        .map_err(|_| Failure::usage(format!("{flag}: not UTF-8")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads a TOML file.
pub(crate) fn toml<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    ::toml::from_str(&read(path)?).map_err(|error| wrong(path, error.to_string().trim_end()))
}

/// The names of the entries of `[[table]]`: at least one, and none twice.
pub(crate) fn unique<'a>(
    path: &Path,
    table: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            return Err(wrong(
                path,
                &format!("{table}[{index}].name: `{name}` is there twice"),
            ));
        }
    }
    match seen.is_empty() {
        true => Err(wrong(path, &format!("{table}: no [[{table}]] in the file"))),
        false => Ok(()),
    }
}

/// A file says something that it must not.
pub(crate) fn wrong(path: &Path, what: &str) -> Failure {
    Failure::usage(format!("{}: {what}", path.display()))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    /// A file of this text.
    pub(crate) fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn says_that_a_file_is_not_there() {
        let error = read(Path::new("/nowhere/banks.toml")).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("/nowhere/banks.toml"));
    }
}
