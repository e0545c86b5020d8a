//! Which laws a module is excused from.
//!
//! In: the table of quirks that the service reads too (`sealkeep-quirks`), and what a module says of itself. Out: what
//! is known of the module and a law. Never: an exception for a law that does not exist.

use std::path::{Path, PathBuf};

use sealkeep_quirks::{Identity, Quirk, Quirks, QuirksError};
use thiserror::Error;

use super::{Described, Law};

/// Why a table of quirks excuses nothing.
#[derive(Debug, Error)]
pub enum ExceptionsError {
    /// It cannot be read.
    #[error(transparent)]
    Table(#[from] QuirksError),
    /// It names a law that does not exist.
    #[error("the table of quirks names law {0}, which does not exist")]
    LawUnknown(u16),
}

/// What is known of one module.
#[derive(Debug, Clone)]
pub struct Exceptions(Vec<Quirk>);

impl Exceptions {
    /// The quirks of a module in the shipped table, or in somebody's own.
    ///
    /// # Errors
    /// [`ExceptionsError`].
    pub fn of(
        table: Option<&str>,
        module: &Path,
        described: &Described,
    ) -> Result<Self, ExceptionsError> {
        let own = table.map(Quirks::parse).transpose()?;
        let table = own.as_ref().unwrap_or_else(|| Quirks::shipped());
        let mut laws = table.all().filter_map(|quirk| quirk.law);
        if let Some(unknown) = laws.find(|law| Law::numbered(*law).is_none()) {
            return Err(ExceptionsError::LawUnknown(unknown));
        }
        let file = module.file_name().map(PathBuf::from).unwrap_or_default();
        let identity = Identity {
            manufacturer: &described.manufacturer,
            library: &described.library,
            file: &file.to_string_lossy(),
        };
        Ok(Self(table.of(identity).cloned().collect()))
    }

    /// What is known of the module and a law.
    pub fn from_law(&self, law: u16) -> Option<&Quirk> {
        self.0.iter().find(|quirk| quirk.law == Some(law))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TABLE: &str = "[[module]]\nname = 'One'\nversions = '1'\nfile = 'libone'\n[[module.quirk]]\n\
        id = 'one'\nseverity = 'note'\nbasis = 'reported'\ndoes = 'this'\nso = 'that'\nlaw = ";

    fn excused(table: Option<&str>, module: &str, law: u16) -> bool {
        let exceptions = Exceptions::of(table, Path::new(module), &Described::default());
        exceptions.unwrap().from_law(law).is_some()
    }

    #[test]
    fn the_shipped_table_names_laws_that_exist() {
        assert!(excused(None, "/usr/lib/p11-kit-client.so", 42));
    }

    #[test]
    fn an_exception_is_for_one_module_and_one_law() {
        let table = format!("{TABLE}1");
        assert!(excused(Some(&table), "/usr/lib/libone.so.3", 1));
        assert!(!excused(Some(&table), "/usr/lib/libone.so.3", 2));
        assert!(!excused(Some(&table), "/usr/libone/other.so", 1));
    }

    #[test]
    fn refuses_a_law_that_does_not_exist() {
        let table = format!("{TABLE}9999");
        let error = Exceptions::of(Some(&table), Path::new("x"), &Described::default());
        assert!(error.unwrap_err().to_string().contains("9999"));
    }
}
