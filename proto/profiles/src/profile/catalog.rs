//! The profiles there are: the shipped ones, and more beside them.
//!
//! Comes in: the files of `catalog/`, embedded when the crate is built, and profiles read elsewhere. Goes out: profiles by
//! name. Never two of one name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Profile, ProfileError};

/// Profiles by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog(BTreeMap<String, Profile>);

/// The shipped files.
const EMBEDDED: [&str; 4] = [
    include_str!("../../catalog/berlin-group-1.3.4.toml"),
    include_str!("../../catalog/obuk-3.1.3.toml"),
    include_str!("../../catalog/obuk-3.1.4.toml"),
    include_str!("../../catalog/stet-1.4.toml"),
];

impl Catalog {
    /// The shipped profiles.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static SHIPPED: LazyLock<Catalog> = LazyLock::new(|| {
            // Cannot fail: the files are part of the crate, and a test loads each of them.
            Catalog::from_toml(EMBEDDED).unwrap_or_default()
        });
        &SHIPPED
    }

    /// Reads profiles; all of them are good, or none is taken.
    ///
    /// # Errors
    /// [`ProfileError`] of the first that is wrong, or of the second of one name.
    pub fn from_toml<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ProfileError> {
        let mut catalog = Self::default();
        for text in texts {
            catalog.add(Profile::from_toml(text)?)?;
        }
        Ok(catalog)
    }

    /// Adds one profile.
    ///
    /// # Errors
    /// [`ProfileError::Duplicate`] when there is one of its name.
    pub fn add(&mut self, profile: Profile) -> Result<(), ProfileError> {
        match self.0.contains_key(profile.name()) {
            true => Err(ProfileError::Duplicate {
                profile: profile.name().to_owned(),
            }),
            false => {
                self.0.insert(profile.name().to_owned(), profile);
                Ok(())
            }
        }
    }

    /// The profile of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// Every profile, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn every_shipped_profile_loads() {
        Catalog::from_toml(EMBEDDED).unwrap();
        let names: Vec<&str> = Catalog::embedded().iter().map(Profile::name).collect();
        assert_eq!(
            names,
            ["berlin-group-1.3.4", "obuk-3.1.3", "obuk-3.1.4", "stet-1.4"]
        );
    }

    #[test]
    fn refuses_a_second_profile_of_one_name() {
        let error = Catalog::from_toml([EMBEDDED[0], EMBEDDED[0]]).unwrap_err();
        assert!(
            matches!(error, ProfileError::Duplicate { profile } if profile == "berlin-group-1.3.4")
        );
    }
}
