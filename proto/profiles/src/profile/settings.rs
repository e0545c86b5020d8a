//! What an operator sets for one bank so that a profile can be applied to it.
//!
//! Comes in: names and values from configuration. Goes out: values the formats may put into headers and JSON. Never a
//! secret: settings are shown to people.

use std::collections::BTreeMap;

use super::Profile;
use crate::refusal::Refusal;

/// The longest value, in bytes.
pub const SETTING_BYTES_MAX: usize = 1024;

/// Settings by name: `kid`, `iss`, `tan`, `certificate_url`, as the profile asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// No settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a setting.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets one; answers with the value it had.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Option<String> {
        self.0.insert(name.into(), value.into())
    }

    /// Every setting, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Checks them for a bank with these profiles: none missing, none that no profile knows, all usable.
    ///
    /// # Errors
    /// [`Refusal::SettingMissing`], [`Refusal::SettingUnknown`], [`Refusal::SettingInvalid`].
    pub fn check(&self, profiles: &[&Profile]) -> Result<(), Refusal> {
        for name in profiles.iter().flat_map(|p| p.required_settings()) {
            self.require(name)?;
        }
        for (name, value) in self.iter() {
            if !profiles.iter().any(|profile| profile.knows_setting(name)) {
                return Err(Refusal::SettingUnknown {
                    name: name.to_owned(),
                });
            }
            usable(name, value)?;
        }
        Ok(())
    }

    /// A value that is there and usable: printable ASCII without `"`, so that it can stand in a quoted parameter.
    pub(crate) fn require(&self, name: &str) -> Result<&str, Refusal> {
        let value = self
            .get(name)
            .ok_or_else(|| Refusal::SettingMissing { name: name.into() })?;
        usable(name, value)?;
        Ok(value)
    }
}

fn usable(name: &str, value: &str) -> Result<(), Refusal> {
    let invalid = |expected| {
        Err(Refusal::SettingInvalid {
            name: name.into(),
            expected,
        })
    };
    if value.is_empty() || value.len() > SETTING_BYTES_MAX {
        return invalid("between 1 and 1024 bytes long");
    }
    if !value
        .bytes()
        .all(|byte| (0x20..=0x7e).contains(&byte) && byte != b'"')
    {
        return invalid("printable ASCII without quotation marks");
    }
    Ok(())
}

impl From<BTreeMap<String, String>> for Settings {
    fn from(settings: BTreeMap<String, String>) -> Self {
        Self(settings)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(settings: I) -> Self {
        Self(
            settings
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}
