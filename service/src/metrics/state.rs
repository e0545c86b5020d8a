//! What the service knows, read at each scrape.
//!
//! In: the watch, the snapshot, the token's own word. Out: gauges. Every certificate family has the same labels, empty
//! where a kind has none, so that one rule serves versions, chains, CAs and the service's own certificate. The
//! fingerprint is among them: two certificates may have one name, two series may not.

use std::fmt::Error;
use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::{enrolments, revocation, rotations, tokens, trusted_lists};
use crate::backend::tokens::Tokens;
use crate::bank::rotation::canary::Canaries;
use crate::clock::SharedClock;
use crate::domain::{Version, VersionState};
use crate::process;
use crate::watch::{Expiry, Kind, Watch, steps};
use crate::world::{Snapshot, World};

/// Bytes of a fingerprint in a label.
pub(super) const FINGERPRINT_BYTES: usize = 8;

pub(super) type Labels<const N: usize> = [(&'static str, String); N];

/// Where the state is read.
pub struct State {
    /// Everything that ends.
    pub watch: Watch,
    /// Credentials and banks.
    pub world: Arc<World>,
    /// The tokens.
    pub tokens: Tokens,
    /// What callers report of canaries.
    pub canaries: Canaries,
    /// The time at a scrape.
    pub clock: SharedClock,
    /// When the service started.
    pub started: Timestamp,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let snapshot = self.world.load();
        self.process(&mut encoder)?;
        tokens::encode(&mut encoder, &self.tokens.statuses())?;
        certificates(&mut encoder, &self.watch.expiries())?;
        revocation::encode(&mut encoder, &snapshot, self.watch.revocation_rules())?;
        versions(&mut encoder, &snapshot)?;
        trusted_lists::encode(&mut encoder, &snapshot)?;
        bindings(&mut encoder, &snapshot)?;
        enrolments::encode(&mut encoder, &snapshot)?;
        rotations::encode(&mut encoder, &snapshot, &self.canaries, self.clock.now())
    }
}

impl State {
    /// The usual ones of every exporter, with our prefix because they come from our registry.
    fn process(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let usage = process::usage();
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        gauges(encoder, "build_info", "The software", None, [(version, 1)])?;
        let started = ([], self.started.as_second());
        let help = "When the service started";
        gauges::<0, _>(
            encoder,
            "start_timestamp",
            help,
            Some(&Unit::Seconds),
            [started],
        )?;
        let resident = i64::try_from(usage.resident_bytes).unwrap_or(i64::MAX);
        let (name, help) = ("resident_memory", "Memory of the process");
        gauges::<0, _>(encoder, name, help, Some(&Unit::Bytes), [([], resident)])?;
        let cpu = ConstCounter::new(usage.cpu_seconds);
        let (name, help) = ("cpu", "Processor time, user and system");
        cpu.encode(encoder.encode_descriptor(
            name,
            help,
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?)
    }
}

fn certificates(encoder: &mut DescriptorEncoder, expiries: &[Expiry]) -> Result<(), Error> {
    let mut family = |name: &str, help: &str, at: fn(&Expiry) -> Option<Timestamp>| {
        let certificates = expiries
            .iter()
            .filter(|expiry| expiry.kind.is_certificate());
        let samples = certificates.filter_map(|expiry| {
            let at = at(expiry)?;
            Some((certificate_labels(expiry), at.as_second()))
        });
        gauges(encoder, name, help, Some(&Unit::Seconds), samples)
    };
    let help = "When the life of a certificate ends";
    family("certificate_not_after_timestamp", help, |e| Some(e.end))?;
    let help = "When the life of a certificate begins";
    family("certificate_not_before_timestamp", help, |e| Some(e.begin))?;
    let help = "When the renewal of a certificate should begin: its first threshold";
    family("certificate_renew_at_timestamp", help, |e| {
        steps(e.begin, e.end).first().map(|step| step.at)
    })?;
    let secrets = expiries.iter().filter(|expiry| expiry.kind == Kind::Secret);
    let samples = secrets.map(|e| ([("name", e.name.clone())], e.end.as_second()));
    let (name, help) = (
        "secret_change_by_timestamp",
        "When a shared secret should have been changed",
    );
    gauges(encoder, name, help, Some(&Unit::Seconds), samples)
}

fn certificate_labels(expiry: &Expiry) -> Labels<4> {
    [
        ("kind", expiry.kind.as_str().to_owned()),
        ("name", expiry.name.clone()),
        (
            "state",
            expiry.state.map_or("", VersionState::as_str).to_owned(),
        ),
        (
            "fingerprint",
            hex::encode(&expiry.sha256[..FINGERPRINT_BYTES]),
        ),
    ]
}

fn versions(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> Result<(), Error> {
    let live = || {
        let credentials = snapshot.credentials.values();
        let all = credentials.flat_map(|c| c.versions.iter().map(move |v| (c, v)));
        all.filter(|(_, version)| {
            use VersionState::{Destroyed, Retired, Revoked};
            !matches!(version.state, Retired | Destroyed | Revoked)
        })
    };
    let samples = live().map(|(credential, version)| {
        let about = about(version, credential.purpose.as_str());
        (about, 1)
    });
    gauges(
        encoder,
        "version_info",
        "A version and what its certificate says",
        None,
        samples,
    )?;
    let chains = live().filter_map(|(_, version)| {
        let chain = &version.issued.as_ref()?.chain;
        let end = chain.iter().map(|c| c.not_after()).min()?;
        let labels = [
            ("name", version.id.to_string()),
            ("state", version.state.as_str().to_owned()),
        ];
        Some((labels, end.as_second()))
    });
    let help = "When the first certificate in the chain of a version ends";
    let name = "version_chain_not_after_timestamp";
    gauges(encoder, name, help, Some(&Unit::Seconds), chains)
}

fn about(version: &Version, purpose: &str) -> Labels<12> {
    let leaf = version.issued.as_ref().map(|issued| issued.leaf());
    let of_leaf = |read: fn(&sealkeep_profiles::certificate::Certificate) -> String| {
        leaf.map(read).unwrap_or_default()
    };
    let environment = version
        .issued
        .as_ref()
        .map_or("", |i| i.environment.as_str());
    [
        ("name", version.id.to_string()),
        ("credential", version.id.credential.to_string()),
        ("purpose", purpose.to_owned()),
        ("state", version.state.as_str().to_owned()),
        ("environment", environment.to_owned()),
        ("token", version.token_set.clone()),
        ("key_algorithm", version.key_algorithm.clone()),
        ("key_origin", version.origin.as_str().to_owned()),
        ("serial_number", of_leaf(|leaf| leaf.serial_hex())),
        ("issuer", of_leaf(|leaf| leaf.issuer().rfc2253())),
        (
            "organization_identifier",
            of_leaf(|leaf| {
                leaf.organization_identifier()
                    .unwrap_or_default()
                    .to_owned()
            }),
        ),
        (
            "psd2_roles",
            of_leaf(|leaf| {
                let psd2 = leaf.qualified().psd2();
                let roles = psd2.map(|psd2| psd2.roles()).unwrap_or_default();
                let roles: Vec<_> = roles.iter().map(|role| role.to_string()).collect();
                roles.join(",")
            }),
        ),
    ]
}

fn bindings(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> Result<(), Error> {
    let samples = snapshot.banks.values().flat_map(|destination| {
        let bank = destination.bank.name.to_string();
        destination.bound.iter().map(move |(credential, version)| {
            let labels = [
                ("bank", bank.clone()),
                ("credential", credential.to_string()),
                ("name", version.id.to_string()),
            ];
            (labels, 1)
        })
    });
    gauges(
        encoder,
        "binding_info",
        "Which version of a credential a bank accepts now",
        None,
        samples,
    )
}

/// One family of gauges.
pub(super) fn gauges<const N: usize, I>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    samples: I,
) -> Result<(), Error>
where
    I: IntoIterator<Item = (Labels<N>, i64)>,
    Labels<N>: EncodeLabelSet,
{
    let help = format!("{help}.");
    let mut family = encoder.encode_descriptor(name, &help, unit, MetricType::Gauge)?;
    for (labels, value) in samples {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
