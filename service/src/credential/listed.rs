//! What the trusted lists say of a chain now, by the operator's terms.
//!
//! In: a chain whose world is known. Out: findings, and the listing that makes its leaf qualified. Never: a change.

use sealkeep_profiles::certificate::Certificate;

use super::CredentialError;
use super::checks::Finding;
use super::checks::trusted_list::{self, Question};
use crate::domain::{Environment, Purpose, Version};
use crate::registry::Registry;
use crate::trust::{ListId, Listing};

/// The entry of a trusted list that makes a certificate qualified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The list.
    pub list: ListId,
    /// The entry.
    pub listing: Listing,
}

impl Registry {
    /// Asks the lists of now about a chain, leaf first. Nothing is listed when only a pinned anchor vouches for it.
    pub(super) fn listed(
        &self,
        chain: &[Certificate],
        purpose: Purpose,
        environment: Environment,
    ) -> (Vec<Finding>, Option<Listed>) {
        let known = self.world.load();
        let (findings, listing) = trusted_list::check(&Question {
            chain,
            purpose,
            environment,
            lists: &known.trusted_lists,
            demand: self.lists.production,
            now: self.clock.now(),
        });
        let listed = listing.map(|listing| Listed {
            list: ListId {
                environment,
                territory: listing.territory.clone(),
            },
            listing,
        });
        (findings, listed)
    }

    /// The same for a version that is installed, before it is put to use.
    ///
    /// # Errors
    /// [`CredentialError::Blocked`].
    pub(super) fn still_listed(
        &self,
        version: &Version,
        purpose: Purpose,
    ) -> Result<(Vec<Finding>, Option<Listed>), CredentialError> {
        let Some(issued) = &version.issued else {
            return Ok((Vec::new(), None));
        };
        let (findings, listed) = self.listed(&issued.chain, purpose, issued.environment);
        match findings.iter().any(|finding| finding.blocking) {
            true => Err(CredentialError::Blocked(findings)),
            false => Ok((findings, listed)),
        }
    }
}
