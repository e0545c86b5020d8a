//! What modules are known to do otherwise, as data.
//!
//! In: TOML, ours (`quirks.toml`) or somebody else's. Out: which laws a module is excused from, and why.

use serde::Deserialize;
use thiserror::Error;

use super::Law;

/// The table that comes with the examiner.
const SHIPPED: &str = include_str!("quirks.toml");

/// All known exceptions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirks {
    #[serde(rename = "quirk", default)]
    list: Vec<Quirk>,
}

/// One module's way with one law.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirk {
    /// The beginning of the file name of the module.
    pub module: String,
    /// The law that it does not keep.
    pub law: u16,
    /// What it does instead.
    pub does: String,
    /// What Sealkeep does about it.
    pub so: String,
}

/// Why a table of quirks is not one.
#[derive(Debug, Error)]
pub enum QuirksError {
    /// It is not TOML, or has other fields.
    #[error("the table of quirks is not well formed: {0}")]
    Format(#[from] toml::de::Error),
    /// It names a law that does not exist.
    #[error("the table of quirks names law {0}, which does not exist")]
    LawUnknown(u16),
}

impl Quirks {
    /// The table that comes with the examiner.
    ///
    /// # Errors
    /// Never with the file that a test parses.
    pub fn shipped() -> Result<Self, QuirksError> {
        Self::parse(SHIPPED)
    }

    /// # Errors
    /// [`QuirksError`].
    pub fn parse(text: &str) -> Result<Self, QuirksError> {
        let quirks: Self = toml::from_str(text)?;
        let unknown = quirks
            .list
            .iter()
            .find(|quirk| Law::numbered(quirk.law).is_none());
        unknown.map_or(Ok(quirks.clone()), |quirk| {
            Err(QuirksError::LawUnknown(quirk.law))
        })
    }

    /// The exception of a module from a law.
    pub fn excuse(&self, module: &std::path::Path, law: u16) -> Option<&Quirk> {
        let file = module.file_name()?.to_string_lossy().into_owned();
        self.list
            .iter()
            .find(|quirk| quirk.law == law && file.starts_with(&quirk.module))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;

    #[test]
    fn the_shipped_table_is_well_formed() {
        Quirks::shipped().unwrap();
    }

    #[test]
    fn an_exception_is_for_one_module_and_one_law() {
        let text = "[[quirk]]\nmodule = 'libone'\nlaw = 1\ndoes = 'this'\nso = 'that'";
        let quirks = Quirks::parse(text).unwrap();
        let excused = |module: &str, law| quirks.excuse(Path::new(module), law).is_some();
        assert!(excused("/usr/lib/libone.so.3", 1));
        assert!(!excused("/usr/lib/libone.so.3", 2) && !excused("/usr/libone/other.so", 1));
    }

    #[test]
    fn refuses_a_law_that_does_not_exist_and_fields_it_does_not_know() {
        let quirk = |law: &str| {
            Quirks::parse(&format!(
                "[[quirk]]\nmodule = 'x'\ndoes = ''\nso = ''\n{law}"
            ))
        };
        assert!(
            quirk("law = 9999")
                .unwrap_err()
                .to_string()
                .contains("9999")
        );
        assert!(
            quirk("law = 1\nwhy = ''")
                .unwrap_err()
                .to_string()
                .contains("`why`")
        );
    }
}
