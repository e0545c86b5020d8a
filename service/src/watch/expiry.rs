//! Everything that ends, as one list.
//!
//! In: a snapshot, and the certificates and secrets the service uses itself. Out: [`Expiry`] values, soonest first. Never: a clock;
//! what is soon is decided in [`super::threshold`]. A new kind of thing that ends is one variant of [`Kind`] and one
//! function that lists them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::deadline::bare;
use super::threshold::Severity;
use crate::domain::{Version, VersionState};
use crate::trust::Imported;
use crate::world::Snapshot;

/// What kind of thing ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The certificate of a version: the one a bank sees as ours.
    Version,
    /// A certificate above versions in their chains, listed once however many rely on it.
    Chain,
    /// A CA that vouches for callers.
    CallerCa,
    /// The certificate by which the service shows itself to callers.
    ServerCertificate,
    /// A shared secret that should be changed.
    Secret,
    /// An approval that lapses when nobody decides.
    Approval,
    /// The time in which a QTSP should have issued or revoked a certificate.
    Enrolment,
    /// What an issuer last said about a certificate, until it counts no more.
    RevocationStatement,
    /// An imported trusted list, until its next issue is overdue.
    TrustedList,
}

impl Kind {
    /// The word of the API, the metrics and the alerts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Chain => "chain",
            Self::CallerCa => "caller_ca",
            Self::ServerCertificate => "server_certificate",
            Self::Secret => "secret",
            Self::Approval => "approval",
            Self::Enrolment => "enrolment",
            Self::RevocationStatement => "revocation_statement",
            Self::TrustedList => "trusted_list",
        }
    }

    /// Whether it is a certificate that ends.
    pub fn is_certificate(self) -> bool {
        use Kind::{CallerCa, Chain, ServerCertificate, Version};
        matches!(self, Version | Chain | CallerCa | ServerCertificate)
    }

    /// How much its end can matter at most: nothing breaks at once when a second person is late, a secret or a list is
    /// old or a QTSP is silent.
    pub fn severity_max(self) -> Severity {
        match self.is_certificate() {
            true => Severity::Page,
            false => Severity::Warning,
        }
    }
}

/// Something that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What kind of thing.
    pub kind: Kind,
    /// The version (`acme-seal@3`), or the subject name of a certificate.
    pub name: String,
    /// SHA-256 of the certificate, or of what tells another thing from its successor: a renewed one is another.
    pub sha256: [u8; 32],
    /// The subject name.
    pub subject: String,
    /// The issuer's name.
    pub issuer: String,
    /// The serial number, hexadecimal.
    pub serial_number: String,
    /// When its life begins.
    pub begin: Timestamp,
    /// When it ends.
    pub end: Timestamp,
    /// Where a version stands; none for other kinds.
    pub state: Option<VersionState>,
    /// The versions that cannot be used after it: the version itself, or those below a certificate of their chains.
    pub versions: Vec<String>,
    /// The banks that those versions are bound to.
    pub banks: Vec<String>,
}

/// A certificate that the service uses itself.
#[derive(Debug, Clone)]
pub struct OwnCertificate {
    /// [`Kind::CallerCa`] or [`Kind::ServerCertificate`].
    pub kind: Kind,
    /// DER.
    pub der: Vec<u8>,
}

/// Everything that ends, soonest first.
pub fn expiries(snapshot: &Snapshot, own: &[OwnCertificate], secrets: Vec<Expiry>) -> Vec<Expiry> {
    let mut all = versions(snapshot);
    all.extend(secrets);
    all.extend(
        snapshot
            .trusted_lists
            .values()
            .map(|list| trusted_list(list)),
    );
    all.extend(own.iter().filter_map(own_certificate));
    // A total order: lists are paged by it.
    all.sort_by(|a, b| {
        let order = |e: &Expiry| (e.end.as_second(), e.kind.as_str(), e.sha256);
        order(a).cmp(&order(b))
    });
    // One CA may stand in a file twice.
    all.dedup_by(|a, b| a.kind == b.kind && a.kind != Kind::Version && a.sha256 == b.sha256);
    all
}

/// Its publisher is the subject, its issue the serial number; a newer issue is another thing that ends.
fn trusted_list(imported: &Imported) -> Expiry {
    let list = &imported.list;
    Expiry {
        name: imported.id.to_string(),
        sha256: imported.file_sha256,
        subject: list.operator.clone(),
        serial_number: list.sequence_number.to_string(),
        ..bare(Kind::TrustedList, list.issued, list.next_update)
    }
}

/// Versions that can still sign, or will; and what stands above them.
fn versions(snapshot: &Snapshot) -> Vec<Expiry> {
    let bound = bound_banks(snapshot);
    let mut leaves = Vec::new();
    let mut above: BTreeMap<[u8; 32], Expiry> = BTreeMap::new();
    let all = snapshot.credentials.values().flat_map(|c| &c.versions);
    for version in all.filter(|version| version.state.is_live()) {
        let Some(issued) = &version.issued else {
            continue;
        };
        let id = version.id.to_string();
        let banks = bound.get(&id).cloned().unwrap_or_default();
        for (depth, certificate) in issued.chain.iter().enumerate() {
            if depth == 0 {
                leaves.push(leaf(version, certificate, banks.clone()));
                continue;
            }
            let entry = above
                .entry(certificate.sha256())
                .or_insert_with(|| chain(certificate));
            entry.versions.push(id.clone());
            for bank in &banks {
                if let Err(at) = entry.banks.binary_search(bank) {
                    entry.banks.insert(at, bank.clone());
                }
            }
        }
    }
    leaves.extend(above.into_values());
    leaves
}

/// The banks of each version, by name; one walk over all banks, however many versions there are.
pub(super) fn bound_banks(snapshot: &Snapshot) -> BTreeMap<String, Vec<String>> {
    let mut bound: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for destination in snapshot.banks.values() {
        for version in destination.bound.values() {
            let banks = bound.entry(version.id.to_string()).or_default();
            banks.push(destination.bank.name.to_string());
        }
    }
    bound
}

fn leaf(version: &Version, certificate: &Certificate, banks: Vec<String>) -> Expiry {
    let name = version.id.to_string();
    Expiry {
        name: name.clone(),
        state: Some(version.state),
        versions: vec![name],
        banks,
        ..read(Kind::Version, certificate)
    }
}

fn chain(certificate: &Certificate) -> Expiry {
    read(Kind::Chain, certificate)
}

fn read(kind: Kind, certificate: &Certificate) -> Expiry {
    let subject = certificate.subject().rfc2253();
    Expiry {
        kind,
        name: subject.clone(),
        sha256: certificate.sha256(),
        subject,
        issuer: certificate.issuer().rfc2253(),
        serial_number: certificate.serial_hex(),
        begin: certificate.not_before(),
        end: certificate.not_after(),
        state: None,
        versions: Vec::new(),
        banks: Vec::new(),
    }
}

/// Our own certificates need not be of the kinds that [`Certificate`] reads; only what is needed here is read.
fn own_certificate(own: &OwnCertificate) -> Option<Expiry> {
    use sha2::{Digest, Sha256};
    let (_, parsed) = X509Certificate::from_der(&own.der).ok()?;
    let time = |at: x509_parser::time::ASN1Time| Timestamp::from_second(at.timestamp()).ok();
    let subject = parsed.subject().to_string();
    Some(Expiry {
        kind: own.kind,
        name: subject.clone(),
        sha256: Sha256::digest(&own.der).into(),
        subject,
        issuer: parsed.issuer().to_string(),
        serial_number: hex::encode(parsed.tbs_certificate.raw_serial()),
        begin: time(parsed.validity().not_before)?,
        end: time(parsed.validity().not_after)?,
        state: None,
        versions: Vec::new(),
        banks: Vec::new(),
    })
}
