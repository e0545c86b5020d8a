//! Whether issuers have revoked our certificates.
//!
//! In: certificates in use, the CAs above them, the time. Out: signed statements, kept in the store; versions stopped whose
//! certificate is revoked. Never: a word that the issuer has not signed; a question on the way of a signature, which
//! knows the state of a version and nothing else.
//!
//! ```text
//! locations(certificate) -> fetch -> answer | list: verified -> Statement -> store -> verdict(statement, rules, now)
//! ```
//!
//! Reading and judging are pure: `location`, `ocsp`, `crl`, `rules`. The network is `fetch`; `round` says when.

mod activation;
mod ask;
mod crl;
mod fetch;
#[cfg(test)]
mod foreign;
mod frame;
mod location;
mod meter;
mod ocsp;
mod round;
mod rules;
mod stop;
mod unproven;

use std::time::Duration;

use http::uri::Authority;

use jiff::{SignedDuration, Timestamp};
use sealkeep_profiles::certificate::Certificate;

pub(crate) use ask::NO_SOURCE;
pub use ask::{Asked, Attempt};
use fetch::Fetcher;
pub use location::Skipped;
use meter::Meter;
pub use round::{Looked, keep_asking};
pub use rules::{
    AGE_DEFAULT_S, EnvironmentRules, INTERVAL_DEFAULT_S, RevocationRules, Verdict, WhenUnknown,
    verdict,
};
pub use unproven::Unproven;

/// How issuers are asked, and what is made of it.
#[derive(Debug, Default)]
pub struct Revocations {
    rules: RevocationRules,
    fetcher: Fetcher,
    meter: Meter,
}

impl Revocations {
    /// By the operator's rules, through a proxy or directly.
    pub fn new(rules: RevocationRules, proxy: Option<Authority>) -> Self {
        Self {
            rules,
            fetcher: Fetcher::new(proxy),
            meter: Meter::default(),
        }
    }

    /// The operator's rules.
    pub fn rules(&self) -> &RevocationRules {
        &self.rules
    }

    /// Registers what this room counts.
    pub fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        self.meter.register(registry);
    }
}

/// The serial number, big-endian without sign octet.
fn serial(certificate: &Certificate) -> Vec<u8> {
    let digits = certificate.serial_hex();
    let even = match digits.len() % 2 {
        0 => digits,
        _ => format!("0{digits}"),
    };
    // Cannot fail: it is an even number of hexadecimal digits.
    hex::decode(even).unwrap_or_default()
}

/// Whether an INTEGER's content is the serial number of a certificate.
fn same_serial(content: &[u8], certificate: &Certificate) -> bool {
    let significant = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes[zeros..].to_vec()
    };
    significant(content) == significant(&serial(certificate))
}

fn timestamp(since_1970: Duration) -> Result<Timestamp, Unproven> {
    let since = SignedDuration::try_from(since_1970).ok();
    let at = since.and_then(|since| Timestamp::from_duration(since).ok());
    at.ok_or(Unproven::Malformed("a time beyond the year 9999"))
}
