//! What PKCS#11 modules do otherwise, as data.
//!
//! In: what a module says of itself ([`Identity`]). Out: the [`Quirk`]s that are known of it. Never: a decision; whoever
//! reads a quirk decides. The table is `quirks.toml`, embedded; it has three readers, so that there is one truth: the
//! service acts on [`Effect`]s, `sealkeepd token doctor` shows what an operator should know, and the laws of
//! `pkcs11-tests` are excused by number.
#![forbid(unsafe_code)]

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The table that comes with Sealkeep.
const SHIPPED: &str = include_str!("quirks.toml");

/// Why a table of quirks cannot be used.
#[derive(Debug, Error)]
pub enum QuirksError {
    /// It is not TOML, or has other fields; with line and column.
    #[error("the table of quirks is not well formed: {0}")]
    Format(#[from] toml::de::Error),
    /// A module is not said how to be known by.
    #[error("module {0:?} has none of manufacturer, library and file")]
    Anonymous(String),
    /// Two quirks have one id.
    #[error("quirk {0:?} is there twice")]
    Twice(String),
}

/// A table of quirks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirks {
    #[serde(rename = "module", default)]
    modules: Vec<Module>,
}

/// One kind of module.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Module {
    name: String,
    manufacturer: Option<String>,
    library: Option<String>,
    file: Option<String>,
    versions: String,
    #[serde(rename = "quirk", default)]
    quirks: Vec<Quirk>,
}

/// One way of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirk {
    /// A word that stays.
    pub id: String,
    /// What it costs.
    pub severity: Severity,
    /// How it is known.
    pub basis: Basis,
    /// The mechanism it is about (`CKM_ECDSA`), if it is about one.
    pub mechanism: Option<String>,
    /// The law of `pkcs11-tests` that it breaks, if it breaks one.
    pub law: Option<u16>,
    /// What the module does.
    pub does: String,
    /// What Sealkeep does about it.
    pub so: String,
    /// What an operator can do.
    pub fix: Option<String>,
    /// What the service does differently with such a module.
    pub effect: Option<Effect>,
}

/// What a quirk costs, from nothing to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing is lost.
    Note,
    /// Something does not work.
    Degraded,
    /// The module protects less than it says.
    Unsafe,
}

/// How a quirk is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Measured here: by a law, a test or the doctor.
    Measured,
    /// Told by others who run such a token.
    Reported,
}

/// What the service does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Keys are made without `CKA_ALLOWED_MECHANISMS`.
    OmitAllowedMechanisms,
    /// Keys are made without `CKA_COPYABLE`.
    OmitCopyable,
}

/// What a module says of itself (PKCS#11 v2.40 section 3.1, `CK_INFO`), and the name of its file.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// `manufacturerID`, without padding.
    pub manufacturer: &'a str,
    /// `libraryDescription`, without padding.
    pub library: &'a str,
    /// The name of the file, without folders.
    pub file: &'a str,
}

impl Quirks {
    /// The table that comes with Sealkeep.
    pub fn shipped() -> &'static Self {
        static TABLE: LazyLock<Quirks> = LazyLock::new(|| {
            let table = Quirks::parse(SHIPPED);
            // Cannot fail: the table is part of the program, and a test parses it.
            table.unwrap_or_else(|error| unreachable!("{error}"))
        });
        &TABLE
    }

    /// Reads a table of somebody's own, in the form of the shipped one.
    ///
    /// # Errors
    /// [`QuirksError`].
    pub fn parse(text: &str) -> Result<Self, QuirksError> {
        let table: Self = toml::from_str(text)?;
        let mut seen = Vec::new();
        for module in &table.modules {
            if [&module.manufacturer, &module.library, &module.file]
                .iter()
                .all(|it| it.is_none())
            {
                return Err(QuirksError::Anonymous(module.name.clone()));
            }
            for quirk in &module.quirks {
                if seen.contains(&&quirk.id) {
                    return Err(QuirksError::Twice(quirk.id.clone()));
                }
                seen.push(&quirk.id);
            }
        }
        Ok(table)
    }

    /// All quirks of the table.
    pub fn all(&self) -> impl Iterator<Item = &Quirk> {
        self.modules.iter().flat_map(|module| &module.quirks)
    }

    /// What is known of a module.
    pub fn of<'a>(&'a self, identity: Identity<'a>) -> impl Iterator<Item = &'a Quirk> {
        self.known(identity).flat_map(|module| &module.quirks)
    }

    /// What such a module is called, with the versions its quirks were seen with; empty when nothing is known of it.
    pub fn names(&self, identity: Identity<'_>) -> Vec<String> {
        let name = |module: &Module| format!("{} ({})", module.name, module.versions);
        self.known(identity).map(name).collect()
    }

    /// Whether the service is to do something differently with a module.
    pub fn ask_for(&self, identity: Identity<'_>, effect: Effect) -> bool {
        self.of(identity).any(|quirk| quirk.effect == Some(effect))
    }

    fn known<'a>(&'a self, identity: Identity<'a>) -> impl Iterator<Item = &'a Module> {
        self.modules
            .iter()
            .filter(move |module| module.is_like(identity))
    }
}

impl Module {
    fn is_like(&self, identity: Identity<'_>) -> bool {
        let begins = |known: &Option<String>, said: &str| {
            known.as_deref().is_none_or(|known| said.starts_with(known))
        };
        begins(&self.manufacturer, identity.manufacturer)
            && begins(&self.library, identity.library)
            && begins(&self.file, identity.file)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SOFTHSM: Identity<'_> = Identity {
        manufacturer: "SoftHSM",
        library: "Implementation of PKCS11",
        file: "libsofthsm2.so",
    };

    #[test]
    fn the_shipped_table_knows_softhsm_and_says_what_can_be_done_about_what_does_not_work() {
        let table = Quirks::shipped();
        assert_eq!(table.names(SOFTHSM), ["SoftHSM 2 (2.6.1)"]);
        assert!(
            table
                .of(SOFTHSM)
                .any(|quirk| quirk.id == "softhsm-oaep-sha1-only")
        );
        for quirk in table.all() {
            assert!(!quirk.does.is_empty() && !quirk.so.is_empty(), "{quirk:?}");
            let has_way_out = quirk.fix.is_some() || quirk.effect.is_some();
            assert!(
                quirk.severity == Severity::Note || has_way_out,
                "{}: no way out",
                quirk.id
            );
        }
    }

    #[test]
    fn everything_that_is_given_must_hold_and_several_entries_may() {
        let table = Quirks::shipped();
        let remote = Identity {
            file: "p11-kit-client.so",
            ..SOFTHSM
        };
        let quirks: Vec<_> = table.of(remote).map(|quirk| quirk.id.as_str()).collect();
        assert!(quirks.contains(&"p11-kit-own-instances") && quirks.contains(&"softhsm-software"));
        let stranger = Identity {
            library: "Another library",
            ..SOFTHSM
        };
        assert!(table.names(stranger).is_empty());
        assert!(!table.ask_for(SOFTHSM, Effect::OmitAllowedMechanisms));
    }

    #[test]
    fn refuses_tables_that_would_be_misread() {
        let module = |keys: &str| format!("[[module]]\nname = 'x'\nversions = ''\n{keys}\n");
        let quirk = "[[module.quirk]]\nid = 'a'\nseverity = 'note'\nbasis = 'measured'\ndoes = 'd'\nso = 's'\n";
        let twice = module("file = 'x'") + quirk + quirk;
        for (text, said) in [
            (module(""), "none of manufacturer"),
            (module("folder = 'x'"), "`folder`"),
            (twice, "\"a\" is there twice"),
            (
                module("file = 'x'") + &quirk.replace("note", "bad"),
                "`bad`",
            ),
        ] {
            let error = Quirks::parse(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
