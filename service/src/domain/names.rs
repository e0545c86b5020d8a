//! Names of credentials, versions and banks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest name, in characters: that of a DNS label (RFC 1035 section 2.3.4).
pub(super) const NAME_LENGTH_MAX: usize = 63;

/// The name of a credential or a bank: `[a-z0-9-]{1,63}`, no hyphen at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// Not `[a-z0-9-]{1,63}`, or a hyphen stands at an end.
    #[error(
        "{0:?} is not a name: lower-case letters, digits and inner hyphens, 1 to {NAME_LENGTH_MAX}"
    )]
    Name(String),
    /// Not `credentials/{credential}/versions/{number}`.
    #[error("{0:?} is not a version name: credentials/{{credential}}/versions/{{number}}")]
    Version(String),
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let alphabet = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let well_formed = (1..=NAME_LENGTH_MAX).contains(&text.len())
            && text.bytes().all(alphabet)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if well_formed {
            Ok(Self(text))
        } else {
            Err(NameError::Name(shortened(text)))
        }
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One version of a credential. People read `acme-seal@3`; the API says `credentials/acme-seal/versions/3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId {
    /// The credential.
    pub credential: Name,
    /// The number, from 1.
    pub number: u32,
}

impl VersionId {
    /// The resource name of the API.
    pub fn resource(&self) -> String {
        format!("credentials/{}/versions/{}", self.credential, self.number)
    }

    /// Reads the resource name of the API.
    pub fn from_resource(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Version(shortened(text.to_owned()));
        let rest = text.strip_prefix("credentials/").ok_or_else(wrong)?;
        let (credential, number) = rest.split_once("/versions/").ok_or_else(wrong)?;
        // `parse` takes a leading plus sign; a name has one spelling only.
        let digits_only = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        let number = number
            .parse()
            .ok()
            .filter(|n| digits_only && *n > 0)
            .ok_or_else(wrong)?;
        Ok(Self {
            credential: Name::try_from(credential)?,
            number,
        })
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.credential, self.number)
    }
}

/// At most 80 characters of a text from outside, for messages.
fn shortened(text: String) -> String {
    if text.chars().count() <= 80 {
        text
    } else {
        text.chars().take(79).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_of_the_alphabet_only() {
        for good in ["a", "acme-seal", "bank-1", &"x".repeat(63)] {
            assert!(Name::try_from(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "a.b",
            "a/b",
            "ä",
            "a\n",
            &"x".repeat(64),
        ] {
            assert!(Name::try_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_version_name_has_one_spelling() {
        let id = VersionId::from_resource("credentials/acme-seal/versions/3").unwrap();
        assert_eq!(id.to_string(), "acme-seal@3");
        assert_eq!(VersionId::from_resource(&id.resource()), Ok(id));
        for bad in [
            "acme-seal@3",
            "credentials/acme-seal",
            "credentials/acme-seal/versions/0",
            "credentials/acme-seal/versions/03",
            "credentials/acme-seal/versions/+3",
            "credentials/acme-seal/versions/3/x",
            "credentials/acme-seal/versions/99999999999",
            "credentials//versions/1",
        ] {
            assert!(VersionId::from_resource(bad).is_err(), "{bad}");
        }
    }
}
