//! Whether an issued certificate may be installed.
//!
//! In: a version, the chain that came for it, the trust anchors, the time. Out: findings with stable codes, each
//! blocking or not, with what was seen and what to ask the QTSP for; and the world the chain belongs to. Pure. Never: a
//! network call, a change.
//!
//! Some checks are strict in production only: sandbox CAs of banks and QTSPs are careless, and nothing is lost there. A
//! chain that ends nowhere is judged as production.

mod anchors;
mod continuity;
mod key;
mod qualified;
pub(super) mod trusted_list;
mod usage;
mod validity;
mod way_out;

use std::time::Duration;

use rustls_pki_types::UnixTime;
use sealkeep_profiles::certificate::Certificate;

pub use anchors::{TrustAnchors, TrustError};

use crate::domain::{Environment, Purpose, Version};

/// One result of the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable code.
    pub code: String,
    /// Whether it blocks the installation.
    pub blocking: bool,
    /// What was found, in words.
    pub detail: String,
    /// The values that were compared.
    pub evidence: String,
}

impl Finding {
    /// A finding that blocks the installation.
    pub(super) fn block(code: &str, detail: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            blocking: true,
            detail: detail.into(),
            evidence: String::new(),
        }
    }

    /// A finding to be known.
    pub(super) fn warn(code: &str, detail: impl Into<String>) -> Self {
        Self {
            blocking: false,
            ..Self::block(code, detail)
        }
    }

    /// The same with the values that were compared.
    pub(super) fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = evidence.into();
        self
    }

    /// What to ask the QTSP for, or to do; empty when the finding only informs.
    pub fn way_out(&self) -> &'static str {
        way_out::of(&self.code)
    }
}

/// What the checks look at.
pub(super) struct Candidate<'a> {
    pub(super) version: &'a Version,
    pub(super) purpose: Purpose,
    /// The newest older version that has a certificate.
    pub(super) previous: Option<&'a Certificate>,
    /// Certificates of other versions, for doubles.
    pub(super) others: Vec<&'a Certificate>,
    /// Leaf first; never empty.
    pub(super) chain: &'a [Certificate],
    /// What came with it and has no place in the chain.
    pub(super) extra: &'a [Certificate],
    pub(super) anchors: &'a TrustAnchors,
    pub(super) now: jiff::Timestamp,
}

/// What every check gets.
struct Case<'a> {
    candidate: &'a Candidate<'a>,
    leaf: &'a Certificate,
    production: bool,
}

impl Case<'_> {
    /// Blocks in production, warns in a sandbox.
    fn strict(&self, code: &str, detail: impl Into<String>) -> Finding {
        Finding {
            blocking: self.production,
            ..Finding::block(code, detail)
        }
    }
}

/// Runs every check. The world is known only when the chain builds.
pub(super) fn run(candidate: &Candidate<'_>) -> (Vec<Finding>, Option<Environment>) {
    let leaf = &candidate.chain[0];
    let environment = environment(candidate, leaf);
    let case = Case {
        candidate,
        leaf,
        production: environment != Some(Environment::Sandbox),
    };
    let mut found = Vec::new();
    key::check(&case, &mut found);
    usage::check(&case, &mut found);
    qualified::check(&case, &mut found);
    continuity::check(&case, &mut found);
    validity::check(&case, &mut found);
    if environment.is_none() {
        found.push(unbuilt(&case));
    }
    for extra in candidate.extra {
        let seen = extra.subject().rfc2253();
        found.push(
            Finding::warn("chain.extra", "left out: it has no place in the chain").seen(seen),
        );
    }
    (found, environment)
}

fn environment(candidate: &Candidate<'_>, leaf: &Certificate) -> Option<Environment> {
    // A certificate that is not valid yet may be staged early: its chain is judged at its own beginning.
    let at = candidate.now.max(leaf.not_before()).as_second();
    let at = Duration::from_secs(u64::try_from(at).unwrap_or_default());
    let at = UnixTime::since_unix_epoch(at);
    candidate.anchors.environment_of(candidate.chain, at)
}

/// Why the chain does not build: an issuer is missing, or what is there does not verify.
fn unbuilt(case: &Case<'_>) -> Finding {
    let chain = case.candidate.chain;
    let last = &chain[chain.len() - 1];
    let detail = match case.candidate.anchors.knows(last.issuer().der()) {
        true => "the chain names a configured trust anchor but does not verify under it",
        false if last.is_self_issued() => {
            "the chain ends in a CA that is no configured trust anchor"
        }
        false => "the chain has a hole: an issuer is neither in it nor a configured trust anchor",
    };
    Finding::block("chain.build", detail).seen(format!("issuer {}", last.issuer().rfc2253()))
}

#[cfg(test)]
mod tests;
