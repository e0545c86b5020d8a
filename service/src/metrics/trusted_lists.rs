//! Until when the imported trusted lists count.
//!
//! In: the snapshot. Out: one gauge a list; there are never more than the countries of the EEA, twice.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::state::gauges;
use crate::world::Snapshot;

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    snapshot: &Snapshot,
) -> Result<(), Error> {
    let samples = snapshot.trusted_lists.iter().map(|(id, imported)| {
        let labels = [("list", id.to_string())];
        (labels, imported.list.next_update.as_second())
    });
    let name = "trusted_list_next_update_timestamp";
    let help = "When the next issue of an imported trusted list is due";
    gauges(encoder, name, help, Some(&Unit::Seconds), samples)
}
