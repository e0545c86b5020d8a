//! The CAs that the operator trusts, each for one world.
//!
//! In: PEM files of CA certificates; chains. Out: the world whose anchor a chain ends in. Pure.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sealkeep_profiles::certificate::Certificate;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use crate::domain::Environment;

/// Why a file of anchors is not one.
#[derive(Debug, thiserror::Error)]
#[error("trust anchor: {0}")]
pub struct TrustError(String);

/// The CAs that the operator trusts, each for one world.
#[derive(Debug, Default)]
pub struct TrustAnchors {
    anchors: Vec<(Environment, TrustAnchor<'static>)>,
    /// The same as certificates; those of kinds that ours cannot have been issued by are not among them.
    certificates: Vec<Certificate>,
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
            self.certificates.extend(Certificate::from_der(&der));
            count += 1;
        }
        if count == 0 {
            return Err(TrustError("the file holds no certificate".to_owned()));
        }
        Ok(())
    }

    /// The anchor that issued a certificate.
    pub(in crate::credential) fn issuer_of(
        &self,
        certificate: &Certificate,
    ) -> Option<Certificate> {
        let issued = |anchor: &&Certificate| certificate.verify_issued_by(anchor).is_ok();
        self.certificates.iter().find(issued).cloned()
    }

    /// Whether some anchor has this name: a chain without it has a hole, one with it a wrong signature or date.
    pub(super) fn knows(&self, name: &[u8]) -> bool {
        // An anchor keeps its name without the outer SEQUENCE.
        let is = |(_, anchor): &(Environment, TrustAnchor<'_>)| name.ends_with(&anchor.subject);
        self.anchors.iter().any(is)
    }

    /// The world whose anchor the chain ends in.
    pub(super) fn environment_of(
        &self,
        chain: &[Certificate],
        now: UnixTime,
    ) -> Option<Environment> {
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

/// The path builder asks about extended key usage for TLS only; seals have none, and `usage` checks ours.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        for usage in usages {
            usage?;
        }
        Ok(())
    }
}
