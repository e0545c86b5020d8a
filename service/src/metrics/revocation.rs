//! What issuers say, read at each scrape.
//!
//! In: the snapshot, the operator's rules. Out: gauges a certificate in use that somebody was asked about, and of revoked
//! ones as long as a bank is bound to them: what fires on those ends when the banks have moved.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::state::{FINGERPRINT_BYTES, Labels, gauges};
use crate::credential::revocation::RevocationRules;
use crate::domain::RevocationStatus;
use crate::watch::{Revocable, revocables};
use crate::world::Snapshot;

pub(super) fn encode(
    encoder: &mut DescriptorEncoder,
    snapshot: &Snapshot,
    rules: &RevocationRules,
) -> Result<(), Error> {
    let mut revocables = revocables(snapshot, rules);
    revocables.retain(|one| one.matters() && one.has_source());
    let said = revocables.iter().filter_map(|one| {
        let (statement, _) = one.known.statement.as_ref()?;
        // As ssl_exporter codes it.
        let code = match statement.status {
            RevocationStatus::Good => 0,
            RevocationStatus::Revoked { .. } => 1,
            RevocationStatus::Unknown => 2,
        };
        let [kind, name, fingerprint] = labels(one);
        let source = ("source", statement.source.as_str().to_owned());
        Some(([kind, name, fingerprint, source], code))
    });
    let help = "What the issuer of a certificate last said: 0 good, 1 revoked, 2 unknown to it";
    gauges(encoder, "certificate_revocation_status", help, None, said)?;
    let counting = revocables
        .iter()
        .filter(|one| one.known.revoked().is_none());
    let until = counting.map(|one| (labels(one), one.counts_until.as_second()));
    let (name, help) = (
        "certificate_revocation_counts_until_timestamp",
        "Until when that counts, if nothing newer comes; without any word, until when silence is borne",
    );
    gauges(encoder, name, help, Some(&Unit::Seconds), until)
}

fn labels(one: &Revocable<'_>) -> Labels<3> {
    let sha256 = one.certificate.sha256();
    [
        ("kind", one.kind.as_str().to_owned()),
        ("name", one.name.clone()),
        ("fingerprint", hex::encode(&sha256[..FINGERPRINT_BYTES])),
    ]
}
