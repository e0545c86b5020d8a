//! The certificate is qualified by the trusted lists of the EU, when it was issued and now (ETSI TS 119 615).
//!
//! What no imported list can say is said too: then the pinned anchor alone vouches for the certificate. Nothing of this
//! blocks in a sandbox; in production it does when the operator demands it (`trust.production_trusted_list`).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;

use super::Finding;
use crate::domain::{Environment, Purpose};
use crate::trust::{
    Demand, Imported, ListId, ListKind, Listing, NotQualified, Territory, Use, qualify,
};

/// countryName, X.520.
const COUNTRY: &str = "2.5.4.6";

/// What the lists are asked about, and by whose terms.
pub(in crate::credential) struct Question<'a> {
    /// Leaf first; never empty.
    pub(in crate::credential) chain: &'a [Certificate],
    pub(in crate::credential) purpose: Purpose,
    /// The world of the chain.
    pub(in crate::credential) environment: Environment,
    pub(in crate::credential) lists: &'a BTreeMap<ListId, Arc<Imported>>,
    /// What production makes of it.
    pub(in crate::credential) demand: Demand,
    pub(in crate::credential) now: Timestamp,
}

/// Asks. The listing is there only when the certificate is qualified at both moments.
pub(in crate::credential) fn check(question: &Question<'_>) -> (Vec<Finding>, Option<Listing>) {
    let wanted = match question.purpose {
        Purpose::Transport => Use::Website,
        Purpose::Seal => Use::Seal,
        // Has no certificate.
        Purpose::Decryption => return (Vec::new(), None),
    };
    let national: Vec<_> = question
        .lists
        .values()
        .filter(|list| list.id.environment == question.environment)
        .filter(|list| list.list.kind == ListKind::National)
        .collect();
    let issued = question.chain[0].not_before();
    // A certificate that is not valid yet is judged by the lists of today.
    let now = question.now.max(issued);
    let ask = |at| qualify(question.chain, wanted, national.iter().map(|i| &i.list), at);
    let mut found = Vec::new();
    let listing = match (ask(issued), ask(now)) {
        (Ok(_), Ok(listing)) => Some(listing),
        // Nobody asks for lists in a sandbox; who imported some wants to know.
        (Err(NotQualified::Unlisted), _)
            if national.is_empty() && question.environment == Environment::Sandbox =>
        {
            None
        }
        (Err(NotQualified::Unlisted), _) => {
            found.push(unlisted(question, &national));
            None
        }
        (Err(then), Err(since)) if then == since => {
            found.push(question.finding(code(&then), then.to_string()));
            None
        }
        (then, since) => {
            let moments = [("when it was issued", then.err()), ("now", since.err())];
            let each = moments
                .into_iter()
                .filter_map(|(when, why)| Some((when, why?)));
            found.extend(
                each.map(|(when, why)| question.finding(code(&why), format!("{when}: {why}"))),
            );
            None
        }
    };
    let stale = national.iter().find(|imported| {
        let used = listing.as_ref().map(|listing| &listing.territory);
        used == Some(&imported.id.territory) && imported.is_stale(question.now)
    });
    if let Some(stale) = stale {
        let detail = format!(
            "the next issue of {} was due at {}",
            stale.id, stale.list.next_update
        );
        found.push(question.finding("tl.stale", detail));
    }
    (found, listing)
}

impl Question<'_> {
    fn finding(&self, code: &str, detail: impl Into<String>) -> Finding {
        let production = self.environment == Environment::Production;
        match production && self.demand == Demand::Require {
            true => Finding::block(code, detail),
            false => Finding::warn(code, detail),
        }
    }
}

/// No list names the issuer: because it is on none, or because the list of its country is not here.
fn unlisted(question: &Question<'_>, national: &[&Arc<Imported>]) -> Finding {
    let issuer = question.chain[0].issuer();
    let country = issuer.text_of(COUNTRY).map(Territory::try_from);
    let country = country.and_then(Result::ok);
    let here = national
        .iter()
        .any(|i| Some(&i.id.territory) == country.as_ref());
    let (code, detail) = match (&country, here) {
        (Some(country), true) => (
            "tl.granted",
            format!("the trusted list of {country} does not name its issuer"),
        ),
        (Some(country), false) => (
            "tl.unchecked",
            format!(
                "no trusted list of {country} is imported; only a pinned anchor vouches for it"
            ),
        ),
        (None, _) => (
            "tl.unchecked",
            "its issuer names no country; only a pinned anchor vouches for it".to_owned(),
        ),
    };
    question
        .finding(code, detail)
        .seen(format!("issuer {}", issuer.rfc2253()))
}

fn code(why: &NotQualified) -> &'static str {
    match why {
        NotQualified::OtherUse { .. }
        | NotQualified::OtherType { .. }
        | NotQualified::NotStated => "tl.type",
        NotQualified::Unlisted
        | NotQualified::NotYetListed
        | NotQualified::OtherService
        | NotQualified::Contradiction(_)
        | NotQualified::Status { .. } => "tl.granted",
    }
}
