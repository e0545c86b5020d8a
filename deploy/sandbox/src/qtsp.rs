//! The pretend QTSP: a root, an issuing CA, and certificates for orders.
//!
//! In: an [`Order`], a verified [`SigningRequest`] and the time. Out: a [`Chain`] by the profile that independent linters
//! accept. It never sees a private key of whoever orders, and it keeps no list of what it issued, only of what it revoked:
//! it pretends to issue, not to be supervised.
//!
//! Serves ETSI EN 319 412-3 (seals), EN 319 412-4 (web), TS 119 495 (PSD2).

mod ca;
mod cmp;
mod cmp_serve;
mod crl;
mod csr;
mod extensions;
mod ocsp;
mod order;
mod profile;
mod revoked;
mod serve;
pub mod trusted_list;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use sealkeep_profiles::certificate::Certificate;

pub use self::cmp::CmpDesk;
pub use self::cmp_serve::CmpServer;
pub use self::crl::CrlKind;
pub use self::csr::{RequestError, SigningRequest};
pub use self::order::{Authority, Kind, Oddities, Order, SealUsage};
pub use self::revoked::{Reason, Revoked};
pub use self::serve::{RunningQtsp, ServeConfig, serve};
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
    revoked: Mutex<Vec<Revoked>>,
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
            revoked: Mutex::default(),
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
            revoked: Mutex::new(revoked::load(folder)?),
        })
    }

    /// Writes `root.pem`, `root.key`, `issuing.pem`, `issuing.key` and `revoked.json` into a folder.
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
        Ok(revoked::save(folder, &self.revoked())?)
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

    /// Revokes a certificate of one of its CAs, from now on; again with another reason replaces that.
    pub fn revoke(
        &self,
        certificate: &CertificateDer<'_>,
        reason: Reason,
        now: Timestamp,
    ) -> Result<(), QtspError> {
        let certificate = Certificate::from_der(certificate).map_err(build)?;
        let issuer = certificate.issuer().der();
        let ours = [self.root_ca()?, self.issuing_ca()?];
        if !ours
            .iter()
            .any(|ca| ca.certificate.subject().der() == issuer)
        {
            let what = "only what this QTSP has issued can be revoked here";
            return Err(QtspError::Order(what.to_owned()));
        }
        self.restore(&certificate);
        let one = Revoked {
            serial: certificate.serial_hex(),
            issuer: certificate.issuer().rfc2253(),
            at: now,
            reason,
        };
        self.list().push(one);
        Ok(())
    }

    /// Takes a suspension back; anything else that was revoked too, which real QTSPs must not.
    pub fn restore(&self, certificate: &Certificate) {
        let (serial, issuer) = (certificate.serial_hex(), certificate.issuer().rfc2253());
        let other = |one: &Revoked| one.serial != serial || one.issuer != issuer;
        self.list().retain(other);
    }

    /// What is revoked.
    pub fn revoked(&self) -> Vec<Revoked> {
        self.list().clone()
    }

    /// The list of what the issuing CA has revoked, DER; fresh for so long.
    pub fn crl(
        &self,
        kind: CrlKind,
        now: Timestamp,
        fresh: SignedDuration,
    ) -> Result<Vec<u8>, QtspError> {
        let next = now.checked_add(fresh).map_err(build)?;
        Ok(crl::list(
            &self.issuing_ca()?,
            &self.list(),
            kind,
            now,
            next,
        )?)
    }

    /// The list of what the root has revoked: CAs.
    pub fn root_crl(&self, now: Timestamp, fresh: SignedDuration) -> Result<Vec<u8>, QtspError> {
        let next = now.checked_add(fresh).map_err(build)?;
        let kind = CrlKind::Full;
        Ok(crl::list(&self.root_ca()?, &self.list(), kind, now, next)?)
    }

    fn ocsp(
        &self,
        delegate: &ocsp::Delegate,
        request: &[u8],
        now: Timestamp,
        fresh: SignedDuration,
    ) -> Result<Vec<u8>, QtspError> {
        let desk = ocsp::Desk {
            root: self.root_ca()?,
            issuing: self.issuing_ca()?,
            delegate,
            revoked: &self.list(),
            now,
            next_update: now.checked_add(fresh).map_err(build)?,
        };
        Ok(desk.answer(request)?)
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Revoked>> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn root_ca(&self) -> Result<ca::Ca<'_>, QtspError> {
        ca::Ca::new(&self.root, &self.root_key)
    }

    fn issuing_ca(&self) -> Result<ca::Ca<'_>, QtspError> {
        ca::Ca::new(&self.issuing, &self.issuing_key)
    }

    /// What everybody trusts.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The CA that signs certificates.
    pub fn issuing(&self) -> &CertificateDer<'static> {
        &self.issuing
    }

    /// When its issuing CA began.
    pub fn founded(&self) -> Result<Timestamp, QtspError> {
        let issuing = Certificate::from_der(&self.issuing).map_err(build)?;
        Ok(issuing.not_before())
    }

    fn certify(
        &self,
        params: CertificateParams,
        key: &impl rcgen::PublicKeyData,
    ) -> Result<Chain, QtspError> {
        let leaf = self.issuing_ca()?.certify(params, key)?;
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
    if path_length.is_some() {
        params.use_authority_key_identifier_extension = true;
        params.crl_distribution_points = vec![extensions::revocation_list(ROOT)];
        params.custom_extensions = vec![extensions::authority_info_access(ROOT).map_err(build)?];
    }
    Ok(params)
}

fn build(error: impl std::fmt::Display) -> QtspError {
    QtspError::Parts(BuildError::new(error))
}
