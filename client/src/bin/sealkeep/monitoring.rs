//! `sealkeep monitoring ...`: what a monitoring system needs of us.
//!
//! In: nothing. Out: the alert rules for Prometheus, those that `deploy/prometheus` tests. Never: a call.

use crate::report::Report;
use clap::Subcommand;

/// The one source of the rules.
const RULES: &str = include_str!("../../../../deploy/prometheus/rules.yml");

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Verb {
    /// The alert rules for Prometheus: `sealkeep monitoring rules > /etc/prometheus/rules/sealkeep.yml`.
    Rules,
}

impl Verb {
    pub(crate) fn run(self) -> Report {
        match self {
            Self::Rules => Report::plain(RULES.to_owned()),
        }
    }
}
