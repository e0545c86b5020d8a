//! The trusted lists of the EU: who may issue qualified certificates, and since when.
//!
//! In: files that an officer imports: the list of the lists (LOTL) and national lists (ETSI TS 119 612, versions 5 and 6).
//! Out: lists in the store whose signatures were verified; whether a certificate is qualified, asked for its issuance and
//! for now (TS 119 615). Never: a list fetched from the network, a list whose signer nobody vouches for, half of an import.
//!
//! ```text
//! signers of the LOTL, pinned by the operator -> LOTL -> signers of national lists -> list -> service -> certificate
//! ```
//!
//! Pins are per world: a list that a sandbox's supervisor signed says nothing about production. Everything but the last
//! step into the store is a pure function of files, pins and the time.

mod batch;
mod certificates;
mod criteria;
mod import;
mod list;
mod qualification;
mod service;
mod signature;
mod signed_info;
mod signers;
#[cfg(test)]
mod tests;
mod xml;

use std::fmt;

use jiff::Timestamp;

pub use batch::{Batch, FILES_MAX, Problem};
pub use criteria::{Assert, Criteria, Criterion};
pub use import::ImportError;
pub use list::{ListError, ListKind, Pointer, Skipped, Territory, TrustedList, VERSIONS};
pub use qualification::{Listing, NotQualified, Use, qualify};
pub use service::{Overrule, Period, Service};
pub use signature::{LIST_BYTES_MAX, SignatureError, SignedXml};
pub use signed_info::Unfit;
pub use signers::Signer;
pub use xml::XmlError;

use crate::domain::Environment;

/// What the operator says about trusted lists.
#[derive(Debug, Clone, Default)]
pub struct ListTerms {
    /// Who may sign the list of the lists of which world.
    pub signers: Vec<(Environment, Signer)>,
    /// What production makes of a certificate that no list confirms.
    pub production: Demand,
}

/// What is made of a certificate that no trusted list confirms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// It is said, and the certificate is taken.
    #[default]
    Warn,
    /// It is refused.
    Require,
}

/// Which list: of which world and territory. Written `production/BE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId {
    /// The world.
    pub environment: Environment,
    /// The territory; `EU` for the list of the lists.
    pub territory: Territory,
}

impl fmt::Display for ListId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.environment.as_str(), self.territory)
    }
}

/// `production/BE`, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a list is named by its world and territory, for example production/BE")]
pub struct ListIdError;

impl TryFrom<&str> for ListId {
    type Error = ListIdError;

    fn try_from(text: &str) -> Result<Self, ListIdError> {
        let (environment, territory) = text.split_once('/').ok_or(ListIdError)?;
        let worlds = [Environment::Sandbox, Environment::Production];
        let environment = worlds.into_iter().find(|w| w.as_str() == environment);
        Ok(Self {
            environment: environment.ok_or(ListIdError)?,
            territory: territory.try_into().map_err(|_| ListIdError)?,
        })
    }
}

/// A list that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Which.
    pub id: ListId,
    /// SHA-256 of the file.
    pub file_sha256: [u8; 32],
    /// When it was imported.
    pub imported: Timestamp,
    /// What it says.
    pub list: TrustedList,
}

impl Imported {
    /// Whether the next issue is overdue: the publisher may have said something else meanwhile.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.list.next_update < now
    }
}
