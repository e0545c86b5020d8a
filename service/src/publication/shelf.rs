//! Which certificate is under which name.
//!
//! In: the snapshot, the URLs with a place for the fingerprint. Out: a map from target to certificate. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::SIGNATURE_AGE_HOURS;
use crate::credential::armour;
use crate::domain::{Issued, Name, Purpose, VersionState};
use crate::world::Snapshot;

/// Stands for the fingerprint, in URLs as in the setting of banks.
const FINGERPRINT: &str = "{sha256}";
/// The setting of banks that tells where the certificate is.
const CERTIFICATE_URL: &str = "certificate_url";
/// Longest URL, bytes.
const URL_BYTES_MAX: usize = 512;

/// Where certificates are published: `https://tpp.example/certs/qseal_{sha256}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UrlTemplate {
    url: String,
    /// Before and behind the fingerprint, from the path on.
    path: (String, String),
}

/// Why a text is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an https URL without query, at most 512 bytes, with {{sha256}} once, in the last segment of its path"
)]
pub struct UrlError;

impl TryFrom<String> for UrlTemplate {
    type Error = UrlError;

    fn try_from(url: String) -> Result<Self, UrlError> {
        let graphic = url.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        let rest = url.strip_prefix("https://").ok_or(UrlError)?;
        if !graphic || url.len() > URL_BYTES_MAX || rest.contains(['?', '#', '\\']) {
            return Err(UrlError);
        }
        let (host, path) = rest.split_at(rest.find('/').ok_or(UrlError)?);
        let (before, behind) = path.split_once(FINGERPRINT).ok_or(UrlError)?;
        let once = !behind.contains(FINGERPRINT) && !behind.contains('/');
        match once && !host.is_empty() && !path.contains("..") {
            true => Ok(Self {
                path: (before.to_owned(), behind.to_owned()),
                url,
            }),
            false => Err(UrlError),
        }
    }
}

impl UrlTemplate {
    fn target(&self, fingerprint: &str) -> String {
        let (before, behind) = &self.path;
        format!("{before}{fingerprint}{behind}")
    }
}

/// A published certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaflet {
    /// The certificate alone, PEM.
    pub(super) pem: Bytes,
    /// The entity tag, with its quotation marks.
    pub(super) etag: String,
    /// Until when.
    pub(super) until: Timestamp,
    /// Whether it is revoked.
    pub(super) revoked: bool,
}

/// Everything that is published, by target.
#[derive(Debug, Default)]
pub struct Shelf {
    leaflets: HashMap<String, Arc<Leaflet>>,
    /// Banks that are told to fetch our certificate where we do not publish it.
    elsewhere: BTreeSet<Name>,
}

impl Shelf {
    /// The certificates of all seals, each under every URL.
    ///
    /// The fingerprint is that of the DER, as key ids have it ([`sealkeep_profiles`], `cert-url-sha256`). STET can be
    /// read to mean that of the PEM file; both names are here, for the same bytes.
    pub fn fill(snapshot: &Snapshot, urls: &[UrlTemplate]) -> Self {
        let seals = snapshot.credentials.values();
        let seals = seals.filter(|credential| credential.purpose == Purpose::Seal);
        let mut leaflets = HashMap::new();
        for version in seals.flat_map(|credential| &credential.versions) {
            let Some(issued) = &version.issued else {
                continue;
            };
            let leaflet = Arc::new(leaflet(issued, version.state));
            let of_der = hex::encode(issued.leaf().sha256());
            let of_pem = hex::encode(Sha256::digest(&leaflet.pem));
            for url in urls {
                for fingerprint in [&of_der, &of_pem] {
                    leaflets.insert(url.target(fingerprint), leaflet.clone());
                }
            }
        }
        let told = |settings: &sealkeep_profiles::profile::Settings| {
            let told = settings.get(CERTIFICATE_URL);
            told.is_some_and(|told| !urls.iter().any(|url| url.url == told))
        };
        let banks = snapshot.banks.iter();
        let elsewhere = banks.filter(|(_, destination)| told(&destination.settings));
        Self {
            leaflets,
            elsewhere: elsewhere.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// One certificate under one target.
    #[cfg(test)]
    pub(super) fn of(target: &str, leaflet: Leaflet) -> Self {
        Self {
            leaflets: [(target.to_owned(), Arc::new(leaflet))].into(),
            elsewhere: BTreeSet::new(),
        }
    }

    /// What is under a target.
    pub(super) fn find(&self, target: &str, now: Timestamp) -> Option<&Arc<Leaflet>> {
        let leaflet = self.leaflets.get(target);
        leaflet.filter(|leaflet| now < leaflet.until)
    }

    /// Says once which banks fetch elsewhere.
    pub(super) fn warn_of_elsewhere(&self, before: &Self) {
        for bank in self.elsewhere.difference(&before.elsewhere) {
            tracing::warn!(%bank, "its certificate_url is none of [publication] urls: not published here");
        }
    }
}

fn leaflet(issued: &Issued, state: VersionState) -> Leaflet {
    let leaf = issued.leaf();
    let pem = armour("CERTIFICATE", leaf.der());
    let age = SignedDuration::from_hours(SIGNATURE_AGE_HOURS);
    let until = leaf.not_after().checked_add(age);
    Leaflet {
        pem: Bytes::from(pem),
        etag: format!("\"{}\"", hex::encode(leaf.sha256())),
        until: until.unwrap_or(Timestamp::MAX),
        revoked: state == VersionState::Revoked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<UrlTemplate, UrlError> {
        UrlTemplate::try_from(text.to_owned())
    }

    #[test]
    fn a_url_has_one_place_for_the_fingerprint_in_its_last_segment() {
        let url = template("https://tpp.example/certs/qseal_{sha256}.pem").unwrap();
        assert_eq!(url.target("ab"), "/certs/qseal_ab.pem");
        for bad in [
            "http://tpp.example/{sha256}",
            "https://tpp.example/certs/qseal.pem",
            "https://tpp.example/{sha256}/{sha256}",
            "https://tpp.example/{sha256}_{sha256}",
            "https://tpp.example/{sha256}/cert.pem",
            "https://{sha256}.tpp.example/cert.pem",
            "https://tpp.example/a?b={sha256}",
            "https://tpp.example/../{sha256}",
            "https:///{sha256}",
            "https://tpp.example/a b{sha256}",
            "",
        ] {
            assert_eq!(template(bad), Err(UrlError), "{bad}");
        }
        let long = format!(
            "https://tpp.example/{}{{sha256}}",
            "x".repeat(URL_BYTES_MAX)
        );
        assert_eq!(template(&long), Err(UrlError));
    }
}
