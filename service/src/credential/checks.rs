//! Whether an issued certificate may be installed.
//!
//! In: a version, the chain that came for it, the trust anchors, the time. Out: findings with stable codes, each
//! blocking or not, and the world the chain belongs to. Pure. Never: a network call, a change.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sealkeep_profiles::certificate::{Certificate, CertificateKind};
use sealkeep_profiles::qualified::{Psd2Statement, Severity};
use std::time::Duration;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

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
}

/// Why a file of anchors is not one.
#[derive(Debug, thiserror::Error)]
#[error("trust anchor: {0}")]
pub struct TrustError(String);

/// The CAs that the operator trusts, each for one world.
#[derive(Debug, Default)]
pub struct TrustAnchors {
    anchors: Vec<(Environment, TrustAnchor<'static>)>,
}

impl TrustAnchors {
    /// Adds the CA certificates of a PEM file.
    pub fn add_pem(&mut self, environment: Environment, pem: &[u8]) -> Result<(), TrustError> {
        use rustls_pki_types::pem::PemObject;
        let mut count = 0;
        for der in CertificateDer::pem_slice_iter(pem) {
            let der = der.map_err(|e| TrustError(e.to_string()))?;
            let anchor =
                webpki::anchor_from_trusted_cert(&der).map_err(|e| TrustError(e.to_string()))?;
            self.anchors.push((environment, anchor.to_owned()));
            count += 1;
        }
        if count == 0 {
            return Err(TrustError("the file holds no certificate".to_owned()));
        }
        Ok(())
    }

    /// The world whose anchor the chain ends in.
    fn environment_of(&self, chain: &[Certificate], now: UnixTime) -> Option<Environment> {
        let leaf = CertificateDer::from(chain.first()?.der());
        let leaf = EndEntityCert::try_from(&leaf).ok()?;
        let rest: Vec<_> = chain[1..]
            .iter()
            .map(|c| CertificateDer::from(c.der()))
            .collect();
        [Environment::Sandbox, Environment::Production]
            .into_iter()
            .find(|environment| {
                let anchors: Vec<_> = self
                    .anchors
                    .iter()
                    .filter(|(world, _)| world == environment)
                    .map(|(_, anchor)| anchor.clone())
                    .collect();
                leaf.verify_for_usage(
                    webpki::ALL_VERIFICATION_ALGS,
                    &anchors,
                    &rest,
                    now,
                    AnyUsage,
                    None,
                    None,
                )
                .is_ok()
            })
    }
}

/// The path builder asks about extended key usage for TLS only; seals have none, and [`usage`] checks ours.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        for usage in usages {
            usage?;
        }
        Ok(())
    }
}

/// What the checks look at.
pub(super) struct Candidate<'a> {
    pub(super) version: &'a Version,
    pub(super) purpose: Purpose,
    /// The newest older version that has a certificate.
    pub(super) previous: Option<&'a Certificate>,
    /// Certificates of other versions, for doubles.
    pub(super) others: Vec<[u8; 32]>,
    pub(super) chain: &'a [Certificate],
    pub(super) anchors: &'a TrustAnchors,
    pub(super) now: jiff::Timestamp,
}

/// Runs every check. The world is known only when the chain builds.
pub(super) fn run(candidate: &Candidate<'_>) -> (Vec<Finding>, Option<Environment>) {
    let mut found = Vec::new();
    let leaf = &candidate.chain[0];
    key_match(candidate, leaf, &mut found);
    usage(candidate, leaf, &mut found);
    qualified(leaf, &mut found);
    validity(candidate, leaf, &mut found);
    continuity(candidate, leaf, &mut found);
    let seconds = u64::try_from(candidate.now.as_second()).unwrap_or_default();
    // A certificate that is not valid yet may be staged early: its chain is judged at its own beginning.
    let begin = u64::try_from(leaf.not_before().as_second()).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds.max(begin)));
    let environment = candidate.anchors.environment_of(candidate.chain, at);
    if environment.is_none() {
        let detail = "the chain does not end in a configured trust anchor";
        block(&mut found, "chain.build", detail);
    }
    if candidate.others.contains(&leaf.sha256()) {
        block(
            &mut found,
            "dup",
            "this certificate is installed in another version",
        );
    }
    (found, environment)
}

fn block(found: &mut Vec<Finding>, code: &str, detail: impl Into<String>) {
    found.push(Finding {
        code: code.to_owned(),
        blocking: true,
        detail: detail.into(),
    });
}

fn warn(found: &mut Vec<Finding>, code: &str, detail: impl Into<String>) {
    found.push(Finding {
        code: code.to_owned(),
        blocking: false,
        detail: detail.into(),
    });
}

/// The certificate is for the key in the token.
fn key_match(candidate: &Candidate<'_>, leaf: &Certificate, found: &mut Vec<Finding>) {
    if leaf.public_key().spki_sha256() != candidate.version.key.spki_sha256 {
        let detail = format!(
            "the certificate is for another key than {}",
            candidate.version.id
        );
        block(found, "key.match", detail);
    }
}

/// QWAC for transport, QSealC for seal (certificates of EN 319 412-4 and -3; TS 119 411-5 for the 2-QWAC).
fn usage(candidate: &Candidate<'_>, leaf: &Certificate, found: &mut Vec<Finding>) {
    if leaf.is_precertificate() {
        block(
            found,
            "ct.precert",
            "a precertificate of certificate transparency is not usable",
        );
    }
    let (wanted, name) = match candidate.purpose {
        Purpose::Transport => (CertificateKind::Qwac, "QWAC"),
        Purpose::Seal => (CertificateKind::Qsealc, "QSealC"),
        // Has no certificate: the installation is refused before any check.
        Purpose::Decryption => return,
    };
    let kind = leaf.kind();
    if kind == CertificateKind::TlsBinding {
        block(
            found,
            "kind",
            "a 2-QWAC signs TLS certificate bindings; it opens no mutual TLS",
        );
    } else if kind != wanted {
        let remark = leaf.kind_remark().map_or("", |remark| remark.code());
        block(found, "kind", format!("not a {name} {remark}").trim_end());
    }
    const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
    if candidate.purpose == Purpose::Transport && !leaf.has_eku(CLIENT_AUTH) {
        block(
            found,
            "eku.client_auth",
            "extended key usage lacks clientAuth; banks refuse it",
        );
    }
}

/// The PSD2 statement is there and its structure is sound.
fn qualified(leaf: &Certificate, found: &mut Vec<Finding>) {
    let qualified = leaf.qualified();
    match qualified.psd2() {
        None => block(
            found,
            "qcs.psd2_missing",
            "no PSD2 statement (ETSI TS 119 495)",
        ),
        Some(psd2) if psd2.roles().is_empty() => {
            block(found, "qcs.roles_empty", "the PSD2 statement names no role");
        }
        Some(_) => {}
    }
    for finding in qualified.findings() {
        let code = format!("qcs.{}", finding.code());
        match finding.severity() {
            Severity::Error => block(found, &code, "structure of the QcStatements"),
            Severity::Warning => warn(found, &code, "QcStatements"),
        }
    }
}

fn validity(candidate: &Candidate<'_>, leaf: &Certificate, found: &mut Vec<Finding>) {
    if candidate.now > leaf.not_after() {
        block(
            found,
            "validity.window",
            format!("ended at {}", leaf.not_after()),
        );
    } else if candidate.now < leaf.not_before() {
        warn(
            found,
            "validity.window",
            format!("begins at {}", leaf.not_before()),
        );
    }
}

/// The organisation stays the same: client ids and consents at banks hang on it.
fn continuity(candidate: &Candidate<'_>, leaf: &Certificate, found: &mut Vec<Finding>) {
    let Some(previous) = candidate.previous else {
        return;
    };
    let (old, new) = (
        previous.organization_identifier(),
        leaf.organization_identifier(),
    );
    if old != new {
        let text = |id: Option<&str>| id.unwrap_or("none").to_owned();
        let detail = format!("was {}, is {}", text(old), text(new));
        block(found, "orgid.continuity", detail);
    }
    let roles = |of: &Certificate| {
        of.qualified()
            .psd2()
            .map(Psd2Statement::roles)
            .unwrap_or_default()
    };
    let (held, holds) = (roles(previous), roles(leaf));
    for lost in held.iter().filter(|role| !holds.contains(*role)) {
        block(found, "roles.coverage", format!("role {lost} is lost"));
    }
    if previous.issuer() != leaf.issuer() {
        warn(
            found,
            "chain.issuer_changed",
            "banks that pin the issuer must be told",
        );
    }
}
