//! What issuers say about the certificates in use, for the alerts and for monitoring.
//!
//! In: a snapshot, the operator's rules. Out: a [`Revocable`] each for the certificates that an issuer can revoke. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;

use super::expiry::{Kind, bound_banks};
use crate::credential::revocation::{NO_SOURCE, RevocationRules};
use crate::domain::{Revocation, VersionState};
use crate::world::Snapshot;

/// What is known about one certificate, and who relies on it.
#[derive(Debug, Clone)]
pub struct Revocable<'a> {
    /// [`Kind::Version`], or [`Kind::Chain`] for a certificate above versions.
    pub kind: Kind,
    /// The version, or the subject name.
    pub name: String,
    /// The certificate.
    pub certificate: &'a Certificate,
    /// What is known.
    pub known: &'a Revocation,
    /// Until when that counts.
    pub counts_until: Timestamp,
    /// The versions that rely on it.
    pub versions: Vec<String>,
    /// The banks those are bound to.
    pub banks: Vec<String>,
    /// Whether one of those versions may sign again, or still does.
    pub in_use: bool,
}

/// Every certificate of versions in use or revoked that somebody was asked about.
pub fn revocables<'a>(snapshot: &'a Snapshot, rules: &RevocationRules) -> Vec<Revocable<'a>> {
    let bound = bound_banks(snapshot);
    let mut found: BTreeMap<[u8; 32], Revocable<'a>> = BTreeMap::new();
    let versions = snapshot.credentials.values().flat_map(|c| &c.versions);
    for version in versions {
        let live = version.state.is_live();
        let (true, Some(issued)) = (
            live || version.state == VersionState::Revoked,
            &version.issued,
        ) else {
            continue;
        };
        let id = version.id.to_string();
        for (depth, certificate) in issued.chain.iter().enumerate() {
            let Some(known) = snapshot.revocations.get(&certificate.sha256()) else {
                continue;
            };
            let (kind, name) = match depth {
                0 => (Kind::Version, id.clone()),
                _ => (Kind::Chain, certificate.subject().rfc2253()),
            };
            let one = found.entry(certificate.sha256()).or_insert(Revocable {
                counts_until: rules.of(issued.environment).counts_until(known),
                versions: Vec::new(),
                banks: Vec::new(),
                in_use: false,
                kind,
                name,
                certificate,
                known,
            });
            one.in_use |= live;
            one.versions.push(id.clone());
            for bank in bound.get(&id).into_iter().flatten() {
                if let Err(at) = one.banks.binary_search(bank) {
                    one.banks.insert(at, bank.clone());
                }
            }
        }
    }
    found.into_values().collect()
}

impl Revocable<'_> {
    /// Whether monitoring should see it: a revoked version that no bank is bound to any more is nobody's trouble.
    pub fn matters(&self) -> bool {
        self.in_use || !self.banks.is_empty()
    }

    /// Whether anybody could be asked, or ever answered.
    pub fn has_source(&self) -> bool {
        let failure = self.known.failure.as_ref();
        self.known.statement.is_some() || failure.is_none_or(|failure| failure.reason != NO_SOURCE)
    }
}
