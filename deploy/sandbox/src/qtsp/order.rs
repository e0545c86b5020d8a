//! The order a TPP places with the pretend QTSP: which certificate, for whom, for how long, and what shall be odd in it.
//!
//! In: what a person wants. Out: plain data for the issuing. The oddities are the mistakes real certificates come with,
//! so that every check of Sealkeep and of the bank has something to refuse.

use std::net::IpAddr;

use sealkeep_profiles::qualified::QcType;
use sealkeep_profiles::roles::Role;

/// What kind of certificate (Regulation (EU) 910/2014, annexes III and IV).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Qualified website authentication certificate: for mutual TLS.
    Qwac,
    /// Qualified electronic seal certificate: for signed requests.
    Qsealc,
}

impl Kind {
    /// Days a certificate is issued for when the order does not say: within CA/Browser Forum ballot SC-081v3 for a QWAC,
    /// two years for a QSealC.
    pub fn days_default(self) -> u32 {
        match self {
            Self::Qwac => 199,
            Self::Qsealc => 730,
        }
    }

    /// QcType (EN 319 412-5 §4.2.3).
    pub(super) fn qc_type(self) -> QcType {
        match self {
            Self::Qwac => QcType::Web,
            Self::Qsealc => QcType::Eseal,
        }
    }

    /// Certificate policy: QNCP-w-gen, the one for machine-to-machine QWACs (EN 319 411-2), or QCP-l.
    pub(super) fn policy(self) -> &'static str {
        match self {
            Self::Qwac => "0.4.0.194112.1.6",
            Self::Qsealc => "0.4.0.194112.1.1",
        }
    }
}

/// The national competent authority (NCA) that authorised the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its name, latin letters.
    pub name: String,
    /// Its identifier, for example `DE-BAFIN` (TS 119 495 §5.2.3).
    pub id: String,
}

/// One order. What it leaves out is taken from the signing request.
#[derive(Clone, Debug)]
pub struct Order {
    /// Kind of certificate.
    pub kind: Kind,
    /// Roles in the PSD2 statement.
    pub roles: Vec<Role>,
    /// Country, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Legal name.
    pub organization: Option<String>,
    /// organizationIdentifier 2.5.4.97, for example `PSDDE-BAFIN-123456`.
    pub organization_identifier: Option<String>,
    /// Common name; a QWAC takes its first DNS name when there is none.
    pub common_name: Option<String>,
    /// DNS names of a QWAC.
    pub dns_names: Vec<String>,
    /// IP addresses of a QWAC; real ones have none, a server on a developer's machine may need one.
    pub addresses: Vec<IpAddr>,
    /// Name of the authority.
    pub nca_name: Option<String>,
    /// Identifier of the authority; the one within a `PSD` organization identifier when there is none.
    pub nca_id: Option<String>,
    /// Days of validity.
    pub days: u32,
    /// keyUsage of a seal certificate.
    pub seal_usage: SealUsage,
    /// What shall be wrong.
    pub oddities: Oddities,
}

impl Order {
    /// An order for this kind with these roles; everything else from the request, nothing odd.
    pub fn new(kind: Kind, roles: &[Role]) -> Self {
        Self {
            kind,
            roles: roles.to_vec(),
            country: None,
            organization: None,
            organization_identifier: None,
            common_name: None,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            nca_name: None,
            nca_id: None,
            days: kind.days_default(),
            seal_usage: SealUsage::Commitment,
            oddities: Oddities::default(),
        }
    }
}

/// keyUsage of a seal certificate (EN 319 412-2 §4.3.2): real QTSPs differ, so does this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SealUsage {
    /// nonRepudiation alone, the preferred one.
    Commitment,
    /// digitalSignature alone.
    Signature,
    /// Both.
    Both,
}

/// Mistakes to be made on purpose. All off: a correct certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Ended yesterday.
    pub expired: bool,
    /// Begins tomorrow.
    pub not_yet_valid: bool,
    /// Certifies another key than the one of the request.
    pub wrong_key: bool,
    /// A 2-QWAC: only for TLS certificate bindings (TS 119 411-5), useless for mutual TLS.
    pub tls_binding: bool,
    /// A QWAC without the clientAuth purpose.
    pub no_client_auth: bool,
    /// Without the PSD2 statement.
    pub no_psd2: bool,
    /// Leaves out these roles although they were ordered.
    pub missing_roles: Vec<Role>,
    /// Names no OCSP responder, only lists of revoked certificates.
    pub no_responder: bool,
    /// Names an LDAP directory and a delta CRL before the list that can be used.
    pub odd_lists: bool,
}
