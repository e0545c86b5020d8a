//! The pretend QTSP: a root, an issuing CA, and certificates for orders.
//!
//! In: an [`Order`], a verified [`SigningRequest`] and the time. Out: a [`Chain`] by the profile that independent linters
//! accept. It never sees a private key of whoever orders, and it keeps no list of what it issued: it pretends to issue,
//! not to be supervised.
//!
//! Serves ETSI EN 319 412-3 (seals), EN 319 412-4 (web), TS 119 495 (PSD2).

mod csr;
mod extensions;
mod order;
mod profile;

use std::path::Path;

use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;

pub use self::csr::{RequestError, SigningRequest};
pub use self::order::{Authority, Kind, Oddities, Order, SealUsage};
use crate::files::{self, FileError};
use crate::key::{KeyError, KeyKind, SoftwareKey};
use crate::parts::{BuildError, printable, serial, validity};

/// Days the root is valid.
const ROOT_DAYS: i64 = 7300;
/// Days the issuing CA is valid.
const ISSUING_DAYS: i64 = 3650;

const ROOT: &str = "root";
const ISSUING: &str = "issuing";

/// The QTSP with its keys in memory.
#[derive(Debug)]
pub struct Qtsp {
    root: CertificateDer<'static>,
    root_key: SoftwareKey,
    issuing: CertificateDer<'static>,
    issuing_key: SoftwareKey,
}

/// An issued certificate and the issuing CA's, in the order TLS sends them; the root is not part of it.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The certificate.
    pub leaf: CertificateDer<'static>,
    /// Its issuer's.
    pub issuing: CertificateDer<'static>,
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum QtspError {
    /// The signing request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Neither the order nor the request says this.
    #[error("neither the order nor the request says the {0}")]
    Unsaid(&'static str),
    /// The order says something that no such certificate may hold.
    #[error("{0}")]
    Order(String),
    /// A key of the QTSP.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file of the QTSP.
    #[error(transparent)]
    File(#[from] FileError),
    /// The certificate could not be built.
    #[error(transparent)]
    Parts(#[from] BuildError),
}

impl Qtsp {
    /// Founds a QTSP: new keys, a root and an issuing CA below it.
    pub fn create(kind: KeyKind, now: Timestamp) -> Result<Self, QtspError> {
        let root_key = SoftwareKey::generate(kind)?;
        let issuing_key = SoftwareKey::generate(kind)?;
        let root_params = authority("Sealkeep Sandbox QTSP Root CA", None, now, ROOT_DAYS)?;
        let root = root_params
            .self_signed(root_key.pair())
            .map_err(build)?
            .der()
            .clone();
        let issuing = authority(
            "Sealkeep Sandbox QTSP Issuing CA",
            Some(0),
            now,
            ISSUING_DAYS,
        )?
        .signed_by(
            issuing_key.pair(),
            &Issuer::from_params(&root_params, root_key.pair()),
        )
        .map_err(build)?
        .der()
        .clone();
        Ok(Self {
            root,
            root_key,
            issuing,
            issuing_key,
        })
    }

    /// Reads the QTSP that [`Qtsp::save`] wrote.
    pub fn load(folder: &Path) -> Result<Self, QtspError> {
        let certificate = |name: &str| -> Result<CertificateDer<'static>, QtspError> {
            Ok(files::read_certificates(&folder.join(format!("{name}.pem")))?.remove(0))
        };
        let key = |name: &str| SoftwareKey::load(&folder.join(format!("{name}.key")));
        Ok(Self {
            root: certificate(ROOT)?,
            root_key: key(ROOT)?,
            issuing: certificate(ISSUING)?,
            issuing_key: key(ISSUING)?,
        })
    }

    /// Writes `root.pem`, `root.key`, `issuing.pem` and `issuing.key` into a folder.
    pub fn save(&self, folder: &Path) -> Result<(), QtspError> {
        files::create_folder(folder)?;
        let rows = [
            (ROOT, &self.root, &self.root_key),
            (ISSUING, &self.issuing, &self.issuing_key),
        ];
        for (name, certificate, key) in rows {
            key.save(&folder.join(format!("{name}.key")))?;
            let text = files::certificates_pem([certificate]);
            files::write_public(&folder.join(format!("{name}.pem")), &text)?;
        }
        Ok(())
    }

    /// Issues for a signing request. Everybody may order everything here: identities are believed.
    pub fn issue(
        &self,
        order: &Order,
        request: &SigningRequest,
        now: Timestamp,
    ) -> Result<Chain, QtspError> {
        let params = profile::leaf(order, &request.wishes, now)?;
        if !order.oddities.wrong_key {
            return self.certify(params, &request.key);
        }
        let kind = if request.is_rsa {
            KeyKind::Rsa2048
        } else {
            KeyKind::EcP256
        };
        self.certify(params, SoftwareKey::generate(kind)?.pair())
    }

    /// Issues for a key of a pretend party, such as the bank; the order says the whole identity.
    pub fn issue_for(
        &self,
        order: &Order,
        key: &SoftwareKey,
        now: Timestamp,
    ) -> Result<Chain, QtspError> {
        let params = profile::leaf(order, &csr::Wishes::default(), now)?;
        self.certify(params, key.pair())
    }

    /// What everybody trusts.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The CA that signs certificates.
    pub fn issuing(&self) -> &CertificateDer<'static> {
        &self.issuing
    }

    fn certify(
        &self,
        params: CertificateParams,
        key: &impl rcgen::PublicKeyData,
    ) -> Result<Chain, QtspError> {
        let issuer = Issuer::from_ca_cert_der(&self.issuing, self.issuing_key.pair());
        let leaf = params
            .signed_by(key, &issuer.map_err(build)?)
            .map_err(build)?
            .der()
            .clone();
        Ok(Chain {
            leaf,
            issuing: self.issuing.clone(),
        })
    }
}

impl Chain {
    /// Both certificates as PEM, the leaf first.
    pub fn to_pem(&self) -> String {
        files::certificates_pem([&self.leaf, &self.issuing])
    }

    /// Both certificates, the leaf first.
    pub fn to_vec(&self) -> Vec<CertificateDer<'static>> {
        vec![self.leaf.clone(), self.issuing.clone()]
    }
}

fn authority(
    name: &str,
    path_length: Option<u8>,
    now: Timestamp,
    days: i64,
) -> Result<CertificateParams, QtspError> {
    let mut params = CertificateParams::default();
    let mut subject = rcgen::DistinguishedName::new();
    subject.push(DnType::CountryName, printable("FR")?);
    subject.push(DnType::OrganizationName, "Sealkeep Sandbox QTSP");
    subject.push(DnType::CustomDnType(vec![2, 5, 4, 97]), "NTRFR-123456789");
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.serial_number = Some(serial()?);
    (params.not_before, params.not_after) = validity(now, days)?;
    params.is_ca = IsCa::Ca(match path_length {
        Some(length) => BasicConstraints::Constrained(length),
        None => BasicConstraints::Unconstrained,
    });
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = path_length.is_some();
    Ok(params)
}

fn build(error: impl std::fmt::Display) -> QtspError {
    QtspError::Parts(BuildError::new(error))
}
