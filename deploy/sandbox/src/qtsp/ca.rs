//! A certification authority of the pretend QTSP: its certificate and its key.

use rcgen::{CertificateParams, Issuer};
use rustls_pki_types::CertificateDer;
use sealkeep_profiles::certificate::Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{QtspError, build};
use crate::key::SoftwareKey;

/// One of the two.
pub(super) struct Ca<'a> {
    pub(super) certificate: Certificate,
    pub(super) key: &'a SoftwareKey,
    /// Its subjectKeyIdentifier (RFC 5280 §4.2.1.2).
    pub(super) key_id: Vec<u8>,
    der: &'a CertificateDer<'static>,
}

impl<'a> Ca<'a> {
    pub(super) fn new(
        der: &'a CertificateDer<'static>,
        key: &'a SoftwareKey,
    ) -> Result<Self, QtspError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(build)?;
        let key_id =
            parsed
                .extensions()
                .iter()
                .find_map(|extension| match extension.parsed_extension() {
                    ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                    _ => None,
                });
        Ok(Self {
            certificate: Certificate::from_der(der).map_err(build)?,
            key_id: key_id.ok_or_else(|| build("a CA without subjectKeyIdentifier"))?,
            key,
            der,
        })
    }

    /// Signs a certificate.
    pub(super) fn certify(
        &self,
        params: CertificateParams,
        key: &impl rcgen::PublicKeyData,
    ) -> Result<CertificateDer<'static>, QtspError> {
        let issuer = Issuer::from_ca_cert_der(self.der, self.key.pair()).map_err(build)?;
        Ok(params.signed_by(key, &issuer).map_err(build)?.der().clone())
    }
}
