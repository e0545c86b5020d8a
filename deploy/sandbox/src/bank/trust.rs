//! Whose certificates the bank believes: those of its QTSPs, and no others.
//!
//! In: root and issuing certificates. Out: the verifier for TLS clients and the check of seal certificates. It asks no
//! OCSP responder and reads no revocation list: the pretend QTSP has none.
//!
//! Serves RFC 5280 §6 through webpki.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sealkeep_profiles::certificate::{Certificate, CertificateKind};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use super::StartError;
use super::refused::{Code, Refused};
use crate::clock::unix_time;

/// Roots, and issuing CAs for certificates that come alone.
#[derive(Debug)]
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    issuing: Vec<CertificateDer<'static>>,
    algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
}

impl Trust {
    pub(super) fn new(
        roots: &[CertificateDer<'static>],
        issuing: &[CertificateDer<'static>],
        provider: &CryptoProvider,
    ) -> Result<Self, StartError> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root.clone()).map_err(StartError::tls)?;
        }
        Ok(Self {
            roots: Arc::new(store),
            issuing: issuing.to_vec(),
            algorithms: provider.signature_verification_algorithms.all,
        })
    }

    /// For the TLS handshake: a client certificate is required and must chain to a root.
    pub(super) fn client_verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, StartError> {
        WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider)
            .build()
            .map_err(StartError::tls)
    }

    /// The certificate a signed request carries must be a QSealC, valid now, and issued below a root.
    pub(super) fn check_seal(&self, seal: &Certificate, now: Timestamp) -> Result<(), Refused> {
        let der = CertificateDer::from(seal.der());
        let time = unix_time(now)
            .ok_or_else(|| Code::InternalServerError.because("the clock is before 1970"))?;
        EndEntityCert::try_from(&der)
            .and_then(|certificate| {
                certificate
                    .verify_for_usage(
                        self.algorithms,
                        &self.roots.roots,
                        &self.issuing,
                        time,
                        AnyPurpose,
                        None,
                        None,
                    )
                    .map(|_| ())
            })
            .map_err(refused)?;
        match seal.kind() {
            CertificateKind::Qsealc => Ok(()),
            other => {
                let text = format!("the seal certificate is no QSealC but {other:?}");
                Err(Code::CertificateInvalid.because(text))
            }
        }
    }
}

/// A seal certificate has no purpose of TLS; its kind is judged by its QcType and keyUsage instead.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn refused(error: webpki::Error) -> Refused {
    match error {
        webpki::Error::CertExpired { .. } => {
            Code::CertificateExpired.because("the seal certificate has expired")
        }
        webpki::Error::CertNotValidYet { .. } => {
            Code::CertificateInvalid.because("the seal certificate is not valid yet")
        }
        // The second: a CA of the same name with another key.
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            Code::CertificateInvalid.because("the seal certificate is from no QTSP of this bank")
        }
        other => Code::CertificateInvalid.because(format!("the seal certificate: {other}")),
    }
}
