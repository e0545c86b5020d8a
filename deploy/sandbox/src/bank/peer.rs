//! Who is at the other end of the connection, by the QWAC of the TLS handshake.
//!
//! In: the client certificate, whose chain, validity and proof of possession TLS has checked already. Out: a [`Peer`],
//! or the refusal that every request of this connection gets. Serves TS 119 495 (roles, by object identifier) and RFC 8705 §3 (thumbprint).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sealkeep_profiles::certificate::{Certificate, CertificateKind};
use sealkeep_profiles::roles::Role;

use super::refused::{Code, Refused};

/// A provider with a QWAC.
#[derive(Debug)]
pub(super) struct Peer {
    certificate: Certificate,
    organization: String,
    thumbprint: String,
}

impl Peer {
    /// Reads the certificate of a handshake. A QSealC or a TLS binding certificate (2-QWAC) is not a way in.
    pub(super) fn read(der: &[u8]) -> Result<Self, Refused> {
        let certificate = Certificate::from_der(der)
            .map_err(|error| Code::CertificateInvalid.because(error.to_string()))?;
        match certificate.kind() {
            CertificateKind::Qwac => {}
            other => {
                let text = format!("the client certificate is no QWAC but {other:?}");
                return Err(Code::CertificateInvalid.because(text));
            }
        }
        let Some(organization) = certificate.organization_identifier().map(str::to_owned) else {
            let text = "the client certificate has no organizationIdentifier";
            return Err(Code::CertificateInvalid.because(text));
        };
        let thumbprint = URL_SAFE_NO_PAD.encode(certificate.sha256());
        Ok(Self {
            certificate,
            organization,
            thumbprint,
        })
    }

    /// The certificate must be good for as long as the connection is used, and authorise for this role.
    pub(super) fn permit(&self, role: Role, now: Timestamp) -> Result<(), Refused> {
        if now > self.certificate.not_after() {
            let text = "the client certificate has expired on this connection";
            return Err(Code::CertificateExpired.because(text));
        }
        let Some(psd2) = self.certificate.qualified().psd2() else {
            let text = "the client certificate has no PSD2 statement, so no role at all";
            return Err(Code::RoleInvalid.because(text));
        };
        match psd2.roles().contains(role) {
            true => Ok(()),
            false => {
                let text = format!("this service needs {role}, the QWAC has {}", psd2.roles());
                Err(Code::RoleInvalid.because(text))
            }
        }
    }

    /// The organizationIdentifier, by which the bank knows the provider.
    pub(super) fn organization(&self) -> &str {
        &self.organization
    }

    /// `x5t#S256`: base64url of the SHA-256 of the certificate (RFC 8705 §3.1).
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}
