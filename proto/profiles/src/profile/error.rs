//! Why profile files cannot be used.
//!
//! Comes in: a file's name, a line, what is wrong there. Goes out: one sentence a person can act on. Never a half-loaded
//! profile.

/// Why a profile cannot be used: the file and line, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{file}, line {line}: {message}")]
    Toml {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Every key is known, but together they make no sense. In a profile that extends another, the file and line are
    /// those that said it.
    #[error("{file}, line {line}: profile `{profile}`: {what}")]
    Senseless {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The profile.
        profile: String,
        /// Where, and what to write instead.
        what: String,
    },
    /// Two profiles of one name.
    #[error("{file}: {other} has a profile `{profile}` already, give it another name")]
    Duplicate {
        /// The file that came second.
        file: String,
        /// The file that came first.
        other: String,
        /// The name.
        profile: String,
    },
    /// Longer than a profile can be.
    #[error("{file}: {len} bytes, at most {max} are read")]
    TooLong {
        /// The file.
        file: String,
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
}
