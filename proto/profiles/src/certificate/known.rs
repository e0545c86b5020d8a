//! Certificates that were parsed before.
//!
//! In: PEM text. Out: its certificates, those that are known not parsed again but shared: a house of thousands reads the
//! same few issuers, and after each change nearly all that it had read before.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::{Certificate, CertificateError, pem};

/// Certificates by their SHA-256. It knows what it parsed, and what it was told of.
#[derive(Debug, Default)]
pub struct KnownCertificates(HashMap<[u8; 32], Certificate>);

impl KnownCertificates {
    /// Adds one that was parsed elsewhere.
    pub fn add(&mut self, certificate: &Certificate) {
        self.0.insert(certificate.sha256(), certificate.clone());
    }

    /// As [`Certificate::chain_from_pem`].
    ///
    /// # Errors
    /// The same.
    pub fn chain_from_pem(&mut self, pem: &[u8]) -> Result<Vec<Certificate>, CertificateError> {
        let ders = pem::certificates(pem)?;
        ders.iter().map(|der| self.parsed(der)).collect()
    }

    fn parsed(&mut self, der: &[u8]) -> Result<Certificate, CertificateError> {
        if let Some(known) = self.0.get(&<[u8; 32]>::from(Sha256::digest(der))) {
            return Ok(known.clone());
        }
        let certificate = Certificate::from_der(der)?;
        self.add(&certificate);
        Ok(certificate)
    }
}
