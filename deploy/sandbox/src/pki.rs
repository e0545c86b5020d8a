//! The internal PKI of a demonstration: the CA by which `sealkeepd` and its callers know each other.
//!
//! In: a name, its SANs, the time. Out: a new key with its certificate. Nothing qualified here, and nothing that a bank
//! would ever see. A caller is known by its one SAN, a SPIFFE URI or a DNS name, never by its common name.

use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;

use crate::files::{self, FileError};
use crate::key::{KeyError, KeyKind, SoftwareKey};
use crate::parts::{BuildError, serial, validity};

/// Days the CA is valid.
const CA_DAYS: i64 = 3650;
/// Days a certificate is valid when nobody says.
pub const DAYS_DEFAULT: u32 = 90;

/// A CA with its key in memory.
#[derive(Debug)]
pub struct Pki {
    ca: CertificateDer<'static>,
    key: SoftwareKey,
}

/// Whom to certify.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Common name, for people.
    pub name: String,
    /// URI SANs, for example `spiffe://demo.example.com/payments`.
    pub uris: Vec<String>,
    /// DNS SANs.
    pub dns_names: Vec<String>,
    /// IP address SANs.
    pub addresses: Vec<IpAddr>,
    /// A server certificate; else a client one.
    pub server: bool,
    /// Days of validity.
    pub days: u32,
}

/// A new key and its certificate.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: SoftwareKey,
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A certificate here says at least one SAN and lives at least a day.
    #[error("a certificate needs {0}")]
    Unsaid(&'static str),
    /// The certificate could not be built.
    #[error(transparent)]
    Parts(#[from] BuildError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Pki {
    /// A new CA.
    pub fn create(now: Timestamp) -> Result<Self, PkiError> {
        let key = SoftwareKey::generate(KeyKind::EcP256)?;
        let mut params = parameters("Sealkeep Demo Internal CA", now, CA_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = params.self_signed(key.pair()).map_err(build)?.der().clone();
        Ok(Self { ca, key })
    }

    /// Reads the CA that [`Pki::save`] wrote.
    pub fn load(folder: &Path) -> Result<Self, PkiError> {
        let ca = files::read_certificates(&folder.join("ca.pem"))?.remove(0);
        Ok(Self {
            ca,
            key: SoftwareKey::load(&folder.join("ca.key"))?,
        })
    }

    /// Writes `ca.pem` and `ca.key` into a folder.
    pub fn save(&self, folder: &Path) -> Result<(), PkiError> {
        files::create_folder(folder)?;
        self.key.save(&folder.join("ca.key"))?;
        let text = files::certificates_pem([&self.ca]);
        Ok(files::write_public(&folder.join("ca.pem"), &text)?)
    }

    /// A new EC P-256 key with a certificate.
    pub fn issue(&self, subject: &Subject, now: Timestamp) -> Result<Issued, PkiError> {
        let key = SoftwareKey::generate(KeyKind::EcP256)?;
        let mut params = parameters(&subject.name, now, i64::from(subject.days))?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names = names(subject)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match subject.server {
            true => ExtendedKeyUsagePurpose::ServerAuth,
            false => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let issuer = Issuer::from_ca_cert_der(&self.ca, self.key.pair()).map_err(build)?;
        let certificate = params
            .signed_by(key.pair(), &issuer)
            .map_err(build)?
            .der()
            .clone();
        Ok(Issued { certificate, key })
    }

    /// What everybody trusts.
    pub fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }
}

fn parameters(name: &str, now: Timestamp, days: i64) -> Result<CertificateParams, PkiError> {
    if days < 1 {
        return Err(PkiError::Unsaid("at least one day of validity"));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial()?);
    (params.not_before, params.not_after) = validity(now, days)?;
    Ok(params)
}

fn names(subject: &Subject) -> Result<Vec<SanType>, PkiError> {
    let mut names = Vec::new();
    for uri in &subject.uris {
        names.push(SanType::URI(uri.as_str().try_into().map_err(build)?));
    }
    for dns in &subject.dns_names {
        names.push(SanType::DnsName(dns.as_str().try_into().map_err(build)?));
    }
    names.extend(
        subject
            .addresses
            .iter()
            .map(|address| SanType::IpAddress(*address)),
    );
    match names.is_empty() {
        true => Err(PkiError::Unsaid("a URI, a DNS name or an address")),
        false => Ok(names),
    }
}

fn build(error: impl std::fmt::Display) -> PkiError {
    PkiError::Parts(BuildError::new(error))
}
